"""A transaction, and the one place where bytes become one.

A value either is a valid `Transaction`, which nothing needs to check again, or `Unreadable`.

A plain record, as the generator and most producers write it, is recognised as wholly valid by one
regular expression; whatever that doesn't match is read with care (`detector.wire.strict_reader`).
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import msgspec

from detector.domain.money import digits, minor_units
from detector.wire.strict_reader import ACCOUNT, CURRENCY, Unreadable, read_strictly
from kafka_batch import Batch, RowsInText

_WHOLE = "0|[1-9][0-9]{0,11}"
_FRACTION = r"[0-9]{1,4}"


def _plain(account: str, amount: str, space: str) -> str:
    """A regular expression of a plain record, with groups for accounts and currency."""
    values = f'"{account}"', f'"{account}"', amount, f'"({CURRENCY})"'
    names = "source", "target", "amount", "currency"
    fields = [f'"{name}":{space}{value}' for name, value in zip(names, values, strict=True)]
    return f"{{{f',{space}'.join(fields)}}}"


_PLAIN = re.compile(_plain(f"({ACCOUNT})", rf"({_WHOLE})(?:\.({_FRACTION}))?", " ?").encode())
_CHUNK_SIZE = 1_000
_MAX_EXACT_PLACES = 3
_numbers = msgspec.json.Decoder(list[float]).decode
_BEFORE, _END = b"\xff", b"}\0"  # where a row begins and ends, in a text
_NO_RECORD = b"}"
_SPACED = b'{"source": '
_ANY_ROW = "[\x80-\xff].*?(?=}\0)"  # up to the end of its value


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
        return _parse_strictly(value)
    source, target, whole, fraction, currency = plain.groups()
    return Transaction(source, target, _minor_units(whole, fraction, currency), currency)


def _parse_strictly(value: bytes) -> Transaction | Unreadable:
    read = read_strictly(value)
    if isinstance(read, Unreadable):
        return read
    source, target, amount, currency = read
    units = minor_units(amount, currency)
    return Transaction(source.encode(), target.encode(), units, currency.encode())


def _minor_units(whole: bytes, fraction: bytes | None, currency: bytes) -> int:
    places = digits(currency.decode())
    return int(whole + (fraction or b"").ljust(places, b"0")[:places])


Fields = tuple[bytes, bytes, bytes, bytes, bytes]
"""`(source, target, amount, currency, other)`: the first four of a canonical record, else `other`;
what is not there is b""."""


def read_fields(batch: Batch) -> Iterator[Sequence[Fields]]:
    """The fields of all values of a batch, a thousand at a time: one call for many values takes a
    third of the time that a call for each would."""
    for text, rows in _in_text(batch):
        has_spaces = text.startswith(_SPACED, rows.start + rows.prefix)
        pattern = _row_pattern(rows.prefix, " " if has_spaces else "")
        yield pattern.findall(text, rows.start, rows.stop)


@cache
def _row_pattern(front: int, space: str) -> re.Pattern[bytes]:
    """A row of a text, whose value begins after `front` bytes: a plain record, with a group for
    each field, or anything else in one group.

    Producers write JSON either without spaces or with one after each comma and colon. A pattern for
    both takes more time; so does one that backtracks, hence `+` after what is repeated.
    """
    plain = _plain(f"({ACCOUNT}+)", rf"((?:{_WHOLE})(?:\.{_FRACTION})?)", space)
    text = f".{{{front}}}+{plain}\0|({_ANY_ROW}}})\0"
    return re.compile(text.encode("latin-1"), re.DOTALL)


def _in_text(batch: Batch) -> Iterator[tuple[bytes, RowsInText]]:
    """All values in their order, a thousand at a time, in texts; for those that can't stand in one,
    something that is no record does."""
    if batch.uniform and batch.uniform.end == _END:
        for rows in batch.uniform.rows_in_text(_CHUNK_SIZE):
            yield batch.uniform.encoded, rows
        return
    for first in range(0, len(batch), _CHUNK_SIZE):
        values = batch.values[first : first + _CHUNK_SIZE]
        text = _joined(values) or _joined([it if _joined([it]) else _NO_RECORD for it in values])
        yield text, RowsInText(0, len(text), len(_BEFORE))


def _joined(values: Sequence[bytes | None]) -> bytes:
    """Values in a text, each behind a byte that is no ASCII and before a zero; nothing where one
    has a zero in it, another end than a record's, no bytes, or is none."""
    if not all(values):
        return b""
    text = _BEFORE + (b"\0" + _BEFORE).join(values) + b"\0"  # type: ignore[arg-type]
    return text if text.count(b"\0") == len(values) == text.count(_END) else b""


class Amounts:
    """Reads amounts of one currency, as a plain record writes them, in its minor units."""

    def __init__(self, currency: bytes) -> None:
        places = digits(currency.decode())
        self._currency = currency
        self._scale = b"e%d" % places if places <= _MAX_EXACT_PLACES else None

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
        return _minor_units(whole, fraction, self._currency)
