"""A transaction, and the one place where bytes become one.

A value either is a valid `Transaction`, which nothing needs to check again, or `Unreadable`.

A plain record, as the generator and most producers write it, is recognised as wholly valid by one
regular expression; whatever that doesn't match is read with care (`detector.careful`).
"""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from detector.careful import ACCOUNT, CURRENCY, Unreadable, read_with_care
from detector.money import digits, minor_units
from kafka_batch import Batch

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


def _fields(space: str) -> str:
    """A regular expression of a plain record, with a group for each of its fields."""
    amount = rf"((?:{_WHOLE})(?:\.{_FRACTION})?)"
    return "".join(_plain(f"({ACCOUNT})", amount, f"({CURRENCY})", space))


# Producers write JSON either without spaces or with one behind each comma and colon; to look for
# spaces that may be there takes more time.
_SPACED = b'\n{"source": '
_SPACES = ("", " ")
_FIELD_LINES = [re.compile(f"\n(?:{_fields(space)}|(.+))$".encode(), re.M) for space in _SPACES]
_AT_ONCE = 1_000
_MOST_EXACT_PLACES = 3
_numbers = msgspec.json.Decoder(list[float]).decode
_NOTHING = b"\n"  # stands for a value of no bytes, or none
UNSCREENED = b"\n"  # what anything begins with that is no plain transaction
_A_LINE = b"-"  # that is no transaction


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
"""Source, target, amount and currency as a plain record writes them; of any other value none of
them, and all of the value behind."""


def read_fields(batch: Batch) -> Iterator[Sequence[Fields]]:
    """The fields of all values of a batch, a thousand at a time: of one call, which takes a third
    of what a call for each would."""
    for first, lines, odd in _in_lines(batch):
        found: list[Fields] = _FIELD_LINES[lines.startswith(_SPACED)].findall(lines)
        for row in odd:
            found[row - first] = b"", b"", b"", b"", batch.values[row] or _NOTHING
        yield found


def _in_lines(batch: Batch) -> Iterator[tuple[int, bytes, Sequence[int]]]:
    """The values, so many at a time as stay in the processor's cache: the first row, the values as
    one text, each behind a line feed; and the rows of those that can't stand in one, which are no
    bytes, none at all, or several lines. Something that is no transaction does."""
    for first in range(0, len(batch), _AT_ONCE):
        rows = slice(first, first + _AT_ONCE)
        lines = batch.joined_values(b"\n", rows)
        if lines is not None:
            yield first, lines, ()
            continue
        values = [*batch.values[rows]]
        odd = [n for n, value in enumerate(values) if not value or b"\n" in value]
        for n in odd:
            values[n] = _A_LINE
        text = b"\n".join([b"", *values])  # type: ignore[list-item]
        yield first, text, [first + n for n in odd]


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
        less = _less_than(int(least_amount))
        self._lines = [_screening(less, space) for space in _SPACES]

    def held(self, batch: Batch) -> list[bytes]:
        """For each value no bytes where it is such a transaction, and in no other case.

        Of another plain transaction it is the text from the amount on (`parse_price`); of
        anything else it begins with a line feed.
        """
        held: list[bytes] = []
        for _, lines, odd in _in_lines(batch):
            held += self._lines[lines.startswith(_SPACED)].findall(lines)
            for row in odd:
                held[row] = UNSCREENED
        return held


def _screening(less: str, space: str) -> re.Pattern[bytes]:
    """Matches any line, with the line feed before it. Its group is empty where the amount is less,
    which is tried first; else it holds the rest of the line: from the amount on in a plain record,
    or all of it."""
    names, price = _plain(ACCOUNT, f"(?:{less})(?:\\.{_FRACTION}|)", CURRENCY, space)
    any_price = _plain("", f"(?:{_WHOLE})(?:\\.{_FRACTION}|)", CURRENCY, space)[1]
    line = f"(?:\n{names}{price}|(?:\n{names}(?={any_price}$)|)(\n?.+))$"
    return re.compile(line.encode(), re.MULTILINE)


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
