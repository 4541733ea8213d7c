"""Records taken apart, and what is looked for in their values found, by one regular expression.

Who looks into every value with a regular expression has all bytes walked over anyway. Put between
the front and the end of a record, as most are, that expression finds both at once, in little more
than half of the time. What it passes over in the fronts, the lengths above all, is compared
afterwards with what must be there, for all records together: so a batch is read as
`codec.decode` reads it, or not at all.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, overload

from kafka_batch.codec import Columns, is_dense, is_key_size, size_at

Expression = Callable[[bytes], bytes]
"""Makes the regular expression to look with, of a batch's first value. It is to match each value
as a whole, with `re.DOTALL`, and no zero byte, which is what stands behind a value. Its groups are
what it finds."""

_FEWEST = 16  # records
_MOST_RUNS = 8
_LEAST_SIZE = 73  # of a record with a value of 64 bytes
_MOST_TAIL = 255
_MOST_STAMP = 3  # bytes of a timestamp delta: up to 17 minutes
_TAIL = 1  # among the groups: front, tail, middle, and the expression's own


def scan(
    records: bytes,
    count: int,
    base_offset: int,
    last_offset: int,
    base_timestamp: int,
    expression: Expression,
) -> Columns | None:
    """Takes apart a batch's records as `codec.decode` does, and looks into their values; `found`
    has a column for each group of the expression.

    None where that can't be done, and `codec.decode` must: not all keys are equally long, some
    record has headers, a value has less than 64 bytes or more than 200 or so, there are too few
    records, offsets are missing, or these bytes are no such records.
    """
    if count < _FEWEST or not is_dense(count, base_offset, last_offset, base_timestamp):
        return None
    its = _Scan(records, base_timestamp)
    for _ in range(_MOST_RUNS):
        done = len(its.tails)
        # Offset deltas rise by one, so all that matters is how many bytes they take.
        delta_size, bound = (1, 1 << 6) if done < 1 << 6 else (2, 1 << 13)
        if done == count or not its.run(min(bound, count) - done, delta_size, expression):
            break
    if len(its.tails) < count or its.position < len(records):
        return None
    offsets = range(base_offset, base_offset + count)
    values = Values(its.tails, its.middle)
    return Columns(offsets, its.timestamps, values, its.tails, bare=True, found=its.found)


class Values(Sequence[bytes]):
    """The values in tails of which each begins at the same place, and has no headers behind it:
    cut out when they are asked for."""

    def __init__(self, tails: Sequence[bytes], start: int) -> None:
        self._tails = tails
        self._start = start

    def __len__(self) -> int:
        return len(self._tails)

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> "Values": ...
    def __getitem__(self, at: int | slice) -> "bytes | Values":
        if isinstance(at, slice):
            return Values(self._tails[at], self._start)
        return self._tails[at][self._start : -1]

    def __iter__(self) -> Iterator[bytes]:
        start = self._start
        return iter([tail[start:-1] for tail in self._tails])


class _Scan:
    """What has been read of a batch, and up to where."""

    def __init__(self, records: bytes, base_timestamp: int) -> None:
        self._records = records
        self._base_timestamp = base_timestamp
        self.position = 0
        self.timestamps: list[int] = []
        self.tails: list[bytes] = []
        self.middle = 0  # bytes of a tail before its value
        self.found: list[list[bytes]] = []

    def run(self, most: int, delta_size: int, expression: Expression) -> bool:
        """Reads records as long as their fronts are like the first one's; false where that fails,
        or there are more than `most`."""
        shape = self._shape(delta_size, expression)
        if shape is None or (self.tails and shape.middle != self.middle):
            return False
        rows = shape.find(self._records, self.position)
        if not rows[-1][_TAIL]:
            rows.pop()  # all that is behind
        if not 0 < len(rows) <= most:
            return False
        fronts, tails, middles, *found = zip(*rows, strict=True)
        sizes = [*map(len, tails)]
        front = b"".join(fronts)
        if max(sizes) > _MOST_TAIL or not shape.fits(bytes(sizes), front, b"".join(middles)):
            return False
        timestamps = _timestamps(front, shape.front, self._base_timestamp)
        if timestamps is None:
            return False
        self.timestamps += timestamps
        self.tails += tails
        self.middle = shape.middle
        self.found = self.found or [[] for _ in found]
        for column, more in zip(self.found, found, strict=True):
            column.extend(more)
        self.position += len(rows) * (shape.front + delta_size) + sum(sizes)
        return True

    def _shape(self, delta_size: int, expression: Expression) -> "_Shape | None":
        records, start = self._records, self.position
        if len(records) - start < _LEAST_SIZE:
            return None
        stamp_size = size_at(records, start + 3)
        key = start + 3 + stamp_size + delta_size
        key_size = records[key]
        if not is_key_size(key_size) or stamp_size > _MOST_STAMP:
            return None
        value = key + 1 + (key_size >> 1) + 2
        first = records[value : value + _MOST_TAIL].partition(b"\0")[0]
        return _shape_of(expression(first), stamp_size, delta_size, key_size)


class _Shape(NamedTuple):
    """How to find records whose fields before their value have certain sizes.

    `front` is how many bytes stand before the offset delta, `middle` how many of the tail before
    the value. `lengths` has, by a tail's size, both bytes of the record's length, and of the
    value's.
    """

    find: Callable[[bytes, int], list[tuple[bytes, ...]]]
    front: int
    middle: int
    lengths: tuple[bytes, ...]

    def fits(self, sizes: bytes, fronts: bytes, middles: bytes) -> bool:
        """Whether the lengths in the fronts, and in the middles, are those of what was found."""
        columns = (
            fronts[0 :: self.front],
            fronts[1 :: self.front],
            middles[self.middle - 2 :: self.middle],
            middles[self.middle - 1 :: self.middle],
        )
        return columns == tuple(map(sizes.translate, self.lengths))


@lru_cache(1 << 8)
def _shape_of(expression: bytes, stamp_size: int, delta_size: int, key_size: int) -> _Shape:
    key = key_size >> 1
    pattern = b"(..\\0%b)%b((%b.{%d}%b)(?:%b)\\0)|.+" % (
        _varint_of(stamp_size),
        _varint_of(delta_size),
        re.escape(bytes((key_size,))),
        key,
        _varint_of(2),
        expression,
    )
    middle = 1 + key + 2
    before_tail = 1 + stamp_size + delta_size
    tails = range(_MOST_TAIL + 1)
    of_record = _length_bytes(size + before_tail for size in tails)
    of_value = _length_bytes(size - middle - 1 for size in tails)
    find = re.compile(pattern, re.DOTALL).findall
    return _Shape(find, 3 + stamp_size, middle, (*of_record, *of_value))


def _varint_of(size: int) -> bytes:
    """A regular expression of a varint of so many bytes."""
    return b"[\\x80-\\xff]" * (size - 1) + b"[\\0-\\x7f]"


def _length_bytes(lengths: Iterable[int]) -> tuple[bytes, bytes]:
    """The first bytes, and the second, of lengths as varints of two bytes."""
    its = [*lengths]
    return bytes(n << 1 & 127 | 128 for n in its), bytes(n >> 6 & 127 for n in its)


def _timestamps(fronts: bytes, size: int, base: int) -> Iterable[int] | None:
    """The timestamps in fronts of so many bytes; None where one is before the base."""
    low = fronts[3::size]
    seen = {*low}
    if any(byte & 1 for byte in seen):
        return None
    more: list[Any] = [fronts[at::size] for at in range(4, size)]
    if not more:
        known = {byte: base + (byte >> 1) for byte in seen}
        return map(known.__getitem__, low)
    if len(more) == 1:
        return [base + ((one & 127 | two << 7) >> 1) for one, two in zip(low, *more, strict=True)]
    return [
        base + ((one & 127 | (two & 127) << 7 | three << 14) >> 1)
        for one, two, three in zip(low, *more, strict=True)
    ]
