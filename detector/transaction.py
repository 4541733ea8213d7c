"""A transaction, and the one place where bytes become one.

A value either is a valid `Transaction`, which nothing needs to check again, or `Unreadable`.

A plain record, as the generator and most producers write it, is recognised as wholly valid by one
regular expression; whatever that doesn't match is read with care (`detector.careful`).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import msgspec

from detector.careful import ACCOUNT, CURRENCY, Unreadable, read_with_care
from detector.money import digits, minor_units
from kafka_batch import Batch, RowsInText

_WHOLE = "0|[1-9][0-9]{0,11}"
_FRACTION = r"[0-9]{1,4}"


def _plain(account: str, amount: str, currency: str, space: str = " ?") -> tuple[str, str]:
    """A regular expression of a plain record, in two parts: up to its amount, and from there."""
    names = f'"source":{space}"{account}",{space}"target":{space}"{account}"'
    return (
        f'{{{names},{space}"amount":{space}',
        f'{amount},{space}"currency":{space}"{currency}"}}',
    )


_PARTS_OF_A_PRICE = rf"({_WHOLE})(?:\.({_FRACTION}))?", f"({CURRENCY})"
_PLAIN = re.compile("".join(_plain(f"({ACCOUNT})", *_PARTS_OF_A_PRICE)).encode())
_PRICE = re.compile(_plain("", *_PARTS_OF_A_PRICE)[1].encode())
_AT_ONCE = 1_000
_MOST_EXACT_PLACES = 3
_numbers = msgspec.json.Decoder(list[float]).decode
_BEFORE, _END = b"\xff", b"}\0"  # where a row begins and ends, in a text
_NO_RECORD = b"}"
UNSCREENED = _BEFORE + _NO_RECORD  # stands for what is no plain transaction: no ASCII


class Transaction(NamedTuple):
    """Money that one account sends to another; the amount is in the currency's minor units, and
    the texts are ASCII."""

    source: bytes
    target: bytes
    amount: int
    currency: bytes


def parse(value: bytes | None) -> Transaction | Unreadable:
    """Reads a record's value; total: any bytes give one or the other."""
    if value is None:
        return Unreadable("null_value", "the record has no value")
    if not value:
        return Unreadable("empty_value", "the value has no bytes")
    plain = _PLAIN.fullmatch(value)
    if plain is None:
        return _parse_with_care(value)
    source, target, *price = plain.groups()
    return Transaction(source, target, *_price(*price))


def _parse_with_care(value: bytes) -> Transaction | Unreadable:
    read = read_with_care(value)
    if isinstance(read, Unreadable):
        return read
    source, target, amount, currency = read
    units = minor_units(amount, currency)
    return Transaction(source.encode(), target.encode(), units, currency.encode())


def parse_price(text: bytes) -> tuple[int, bytes]:
    """The amount, in minor units, and the currency of a plain transaction, from the text that a
    `Screen` gives.

    Raises:
        ValueError: it is no such text.
    """
    price = _PRICE.fullmatch(text)
    if price is None:
        raise ValueError("not from an amount to the end of a plain transaction")
    return _price(*price.groups())


def _price(whole: bytes, fraction: bytes | None, currency: bytes) -> tuple[int, bytes]:
    places = digits(currency.decode())
    cents = (fraction or b"").ljust(places, b"0")[:places]
    return int(whole + cents), currency


Fields = tuple[bytes, bytes, bytes, bytes, bytes]
"""Source, target, amount and currency as a plain record writes them, and nothing; of any other
value none of them, and something."""


def read_fields(batch: Batch) -> Iterator[Sequence[Fields]]:
    """The fields of all values of a batch, a thousand at a time: of one call, which takes a third
    of what a call for each would."""
    for text, rows in _in_text(batch, _AT_ONCE):
        yield _FIELDS.findall(text, rows)


def _in_text(batch: Batch, most: int) -> Iterator[tuple[bytes, RowsInText]]:
    """All values in their order, up to so many at a time, in texts; for those that can't stand in
    one, something that is no record does."""
    if batch.alike and batch.alike.end == _END:
        for rows in batch.alike.rows_in_text(most):
            yield batch.alike.encoded, rows
        return
    for first in range(0, len(batch), _AT_ONCE):
        values = batch.values[first : first + _AT_ONCE]
        text = _joined(values) or _joined([it if _joined([it]) else _NO_RECORD for it in values])
        yield text, RowsInText(0, len(text), len(_BEFORE))


def _joined(values: Sequence[bytes | None]) -> bytes:
    """Values in a text, each behind a byte that is no ASCII and before a zero; nothing where one
    has a zero in it, another end than a record's, no bytes, or is none."""
    if not all(values):
        return b""
    text = _BEFORE + (b"\0" + _BEFORE).join(values) + b"\0"  # type: ignore[arg-type]
    return text if text.count(b"\0") == len(values) == text.count(_END) else b""


class _InText(dict[tuple[int, bool], re.Pattern[bytes]]):
    """Regular expressions for a row in a text, by how many bytes stand before its value, and
    whether spaces stand in that.

    Producers write JSON either without spaces or with one behind each comma and colon; to look for
    spaces that may be there takes more time. So does to look for a name's end once it is found,
    hence `+` behind what is repeated.
    """

    def __init__(self, plain: Callable[[str, str], str]) -> None:
        """`plain` is given what matches before a value, and spaces."""
        super().__init__()
        self._plain = plain

    def __missing__(self, key: tuple[int, bool]) -> re.Pattern[bytes]:
        front, has_spaces = key
        text = self._plain(f".{{{front}}}+", " " if has_spaces else "")
        self[key] = re.compile(text.encode("latin-1"), re.DOTALL)
        return self[key]

    def findall(self, text: bytes, rows: RowsInText) -> list[Any]:
        """As that of a regular expression, for each of these rows."""
        has_spaces = text.startswith(_SPACED, rows.start + rows.front)
        return self[rows.front, has_spaces].findall(text, rows.start, rows.stop)


_SPACED = b'{"source": '
_ROW = "[\x80-\xff].*?(?=}\0)"  # whatever is in it, but for what it ends with


def _fields(front: str, space: str) -> str:
    """A plain record, with a group for each of its fields; or in a group whatever else."""
    amount = rf"((?:{_WHOLE})(?:\.{_FRACTION})?)"
    fields = "".join(_plain(f"({ACCOUNT}+)", amount, f"({CURRENCY})", space))
    return f"{front}{fields}\0|({_ROW}}})\0"


_FIELDS = _InText(_fields)


class Amounts:
    """Reads amounts of one currency, as a plain record writes them, in its minor units."""

    def __init__(self, currency: bytes) -> None:
        places = digits(currency.decode())
        self._currency = currency
        self._scale = b"e%d" % places if places <= _MOST_EXACT_PLACES else None

    def read(self, texts: Sequence[bytes]) -> list[int]:
        """All at once, as numbers in JSON with an exponent, which takes less than a table of those
        that came before. What is behind the minor units is cut off: with up to three places, a
        double is nearer to any amount than that is to the next unit."""
        if self._scale is None:
            return [*map(self.read_one, texts)]
        numbers = _numbers(b"[%b%b]" % ((self._scale + b",").join(texts), self._scale))
        return [*map(int, numbers)]

    def read_one(self, text: bytes) -> int:
        """One of them."""
        whole, _, fraction = text.partition(b".")
        amount, _ = _price(whole, fraction, self._currency)
        return amount


class Screen:
    """Finds, among all values of a batch, the plain transactions of less than a certain amount.

    Most records are that, and where no rule fires below the amount they are legitimate. One
    regular expression over all of them takes a tenth of what reading each of them would.
    """

    def __init__(self, least_amount: Decimal) -> None:
        self._rows = _InText(partial(_screening, _less_than(int(least_amount))))

    def held(self, batch: Batch) -> list[bytes]:
        """For each value no bytes where it is such a transaction, and in no other case.

        Of another plain transaction it is the text from the amount on (`parse_price`); what
        anything else begins with is no ASCII.
        """
        held: list[bytes] = []
        for text, rows in _in_text(batch, len(batch)):
            held += self._rows.findall(text, rows)
        return held


def _screening(less: str, front: str, space: str) -> str:
    """A plain record of less, which is tried first; or in a group another one, from its amount on,
    or whatever else."""
    fraction = f"(?:\\.{_FRACTION}+|)"
    names, price = _plain(f"{ACCOUNT}+", f"(?>{less}){fraction}", CURRENCY, space)
    _, any_price = _plain("", f"(?>{_WHOLE}){fraction}", CURRENCY, space)
    record = f"{front}{names}"
    return f"{record}{price}\0|(?:{record}(?={any_price}\0)|)((?:{_ROW})?[^\0]+)\0"


def _less_than(bound: int) -> str:
    """A regular expression for the whole numbers below the bound, without leading zeros; the long
    ones first, which most are."""
    if bound <= 0:
        return "(?!)"  # none
    numeral = str(bound)
    choices = []
    for place, digit in enumerate(numeral):
        least = 0 if place else 1
        if int(digit) > least:
            rest = len(numeral) - place - 1
            choices.append(f"{numeral[:place]}[{least}-{int(digit) - 1}][0-9]{{{rest}}}")
    if len(numeral) > 1:
        choices.append(f"[1-9][0-9]{{0,{len(numeral) - 2}}}")
    return "|".join([*choices, "0"])
