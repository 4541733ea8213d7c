"""Records that are alike: a batch's, taken apart and passed on all together.

Producers write batches whose records have keys of one length, values of some hundred bytes that
end with the same one, and no headers. Such a batch is split where its records end. What stands
before their values is then compared with what must be there, as columns of bytes. What is passed on
is copied as it is: only the deltas are written anew, in place. That takes less than half of what it
takes record by record. Whatever is not alike is left to `codec`, which reads and writes the same.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache, partial
from itertools import accumulate, chain, compress, islice, pairwise, repeat
from operator import itemgetter, le
from struct import Struct
from typing import Any, NamedTuple, TypeVar

from kafka_batch._records import codec
from kafka_batch._records.codec import HeaderBlock, is_dense, is_key_size, size_at

_T = TypeVar("_T")

_MOST = 1 << 13  # from here on, a number takes more than two bytes
_FEWEST, MOST_RECORDS = 16, _MOST  # of a batch: deltas of two bytes can be written in place
_MOST_STRETCHES = 8
_LEAST_SIZE, _MOST_SIZE = 64, 255  # of a record, so that sizes are bytes
_MOST_STAMP = 3  # bytes of a timestamp delta: up to 17 minutes
_LENGTH_SIZE = 2  # bytes of a record's length, and of its value's
_STAMP = _LENGTH_SIZE + 1  # where it begins: the attributes take a byte
_LEAST_FRONT = _STAMP + 2
_END_SIZE = 2
_SHORT_DELTAS = 1 << 6  # take one byte

_SIZES = bytes(range(_LEAST_SIZE, _MOST_SIZE - _END_SIZE + 1))
_WITH_END = bytes(range(_END_SIZE, 256)) + bytes(_END_SIZE)  # by a size without it
_HIGH = bytes(128) + b"\1" * 128  # by a varint's byte, whether more follow
_ODD = b"\0\1" * 128  # by its first byte, whether it is negative


def _two_bytes(numbers: Iterable[int]) -> tuple[bytes, bytes]:
    """The first bytes, and the second, of numbers as varints of two bytes."""
    its = [*numbers]
    return bytes(n << 1 & 127 | 128 for n in its), bytes(n >> 6 & 127 for n in its)


# The bytes of offset deltas by their place, by how many they are.
_DELTAS = {1: (bytes(range(0, 128, 2)),), 2: _two_bytes(range(MOST_RECORDS))}
_LENGTHS = [*map(codec.varint, range(_MOST))]
_WORDS = [int.from_bytes(encoded, "little") for encoded in _LENGTHS]
_FORMS = {1: "B", 2: "H"}  # what writes a word, by how many bytes it is


class AllBut(Sequence[int]):
    """Rows of a batch, in their order: all of so many, but those that are gone. To choose by it
    takes a third of what it takes by their list."""

    def __init__(self, count: int, gone: Iterable[int]) -> None:
        self._kept = bytearray(b"\1") * count
        for row in gone:
            self._kept[row] = 0

    def __len__(self) -> int:
        return self._kept.count(1)

    def __iter__(self) -> Iterator[int]:
        return compress(range(len(self._kept)), self._kept)

    def __getitem__(self, at: Any) -> Any:
        return [*self][at]

    def of(self, column: Iterable[_T]) -> list[_T]:
        """What of a column is in these rows."""
        return [*compress(column, self._kept)]

    def before(self, row: int) -> int:
        """How many of them come before the row."""
        return self._kept.count(1, 0, row)


def pick(column: Sequence[_T], rows: Sequence[int]) -> Sequence[_T]:
    """What of a column is in these rows."""
    if isinstance(rows, AllBut):
        return rows.of(column)
    return itemgetter(*rows)(column) if len(rows) > 1 else [column[row] for row in rows]


def _rise(rows: Sequence[int]) -> bool:
    """Whether rows are in their order."""
    if isinstance(rows, AllBut) or not rows:
        return True
    return rows[0] >= 0 and all(map(le, rows, islice(rows, 1, None)))


def last_within(ends: Sequence[int], first: int, room: int, growth: int) -> int:
    """How many of the records that end there, in bytes from zero on, are before `first` or fit
    behind it, where each grows."""
    return first + bisect_right(
        range(1, len(ends) - first),
        room,
        key=lambda taken: ends[first + taken] - ends[first] + taken * growth,
    )


class _Stretch(NamedTuple):
    """Rows in a row whose timestamp deltas take as many bytes, and whose offset deltas do."""

    first: int
    end: int
    stamp_size: int
    delta_size: int

    @property
    def front(self) -> int:
        """Bytes before the tail."""
        return _STAMP + self.stamp_size + self.delta_size


def cut(
    encoded: bytes, count: int, base_offset: int, last_offset: int, base_timestamp: int
) -> "Alike | None":
    """Takes apart a batch's records as `codec.decode` does, where they are alike.

    None where they are not: keys are of several lengths, some record has headers, a value has less
    than 64 bytes or more than 200 or so, or another last byte, a timestamp is before the batch's
    first, there are too few records, offsets are missing, or these bytes are no such records.
    """
    if not _FEWEST <= count <= min(MOST_RECORDS, len(encoded) // _LEAST_FRONT):
        return None
    if not is_dense(count, base_offset, last_offset, base_timestamp):
        return None
    key_size = encoded[_STAMP + size_at(encoded, _STAMP) + 1]
    end = encoded[-_END_SIZE:]
    records = encoded.split(end)
    if records.pop() or len(records) != count or not is_key_size(key_size) or end[-1]:
        return None
    try:
        sizes = bytes(map(len, records))
    except ValueError:  # one is larger than a byte can say
        return None
    if sizes.translate(None, _SIZES):  # there are others
        return None
    sizes = sizes.translate(_WITH_END)
    middle = 1 + (key_size >> 1) + _LENGTH_SIZE
    read = _stretches(records, sizes, key_size, middle)
    return Alike(encoded, records, sizes, base_timestamp, middle, *read) if read else None


def _stretches(
    records: Sequence[bytes], sizes: bytes, key_size: int, middle: int
) -> tuple[list[_Stretch], Sequence[int]] | None:
    """The stretches, with the timestamp deltas of all rows, zigzag-encoded; None where before some
    value stands something else than must be there."""
    stretches: list[_Stretch] = []
    zigzags: list[Sequence[int]] = []
    first = 0
    while first < len(records):
        read = _stretch_from(first, records, sizes, key_size, middle)
        if read is None or len(stretches) == _MOST_STRETCHES:
            return None
        stretch, its = read
        stretches.append(stretch)
        zigzags.append(its)
        first = stretch.end
    return stretches, _in_a_row(zigzags)


def _stretch_from(
    first: int, all_records: Sequence[bytes], sizes: bytes, key_size: int, middle: int
) -> tuple[_Stretch, Sequence[int]] | None:
    """As `_stretches`, of the one that begins there."""
    delta_size, bound = (1, _SHORT_DELTAS) if first < _SHORT_DELTAS else (2, MOST_RECORDS)
    records = all_records[first:bound]
    stamp_size = size_at(records[0], _STAMP)
    if stamp_size > _MOST_STAMP:
        return None
    shape = _shape(stamp_size, delta_size, middle)
    size = shape.head
    heads = b"".join(map(itemgetter(slice(size)), records))
    stamps = [heads[at::size] for at in range(_STAMP, _STAMP + stamp_size)]
    ends = [column.translate(_HIGH).find(0) for column in stamps[:-1]]
    ends.append(stamps[-1].translate(_HIGH).find(1))
    count = min((end for end in ends if end >= 0), default=len(records))
    heads, stamps = heads[: count * size], [column[:count] for column in stamps]
    end = first + count
    is_negative = stamps[0].translate(_ODD).find(1) >= 0
    if is_negative or shape.columns(heads) != shape.expected(sizes, first, end, key_size):
        return None
    return _Stretch(first, end, stamp_size, delta_size), _zigzags(stamps)


class RowsInText(NamedTuple):
    """Consecutive rows in a text, of which they take the bytes from `start` up to `stop`: of each
    `front` bytes, which begin with none of ASCII; its value; and a zero."""

    start: int
    stop: int
    front: int


class Alike:
    """A batch's records as they are encoded. What they end with is the same for all, and stands
    nowhere else in them: a value's last byte, and the zero that counts headers."""

    largest = _MOST_SIZE

    def __init__(
        self,
        encoded: bytes,
        records: Sequence[bytes],
        sizes: bytes,
        base_timestamp: int,
        middle: int,
        stretches: Sequence[_Stretch],
        zigzags: Sequence[int],
    ) -> None:
        """The records lack their end; the sizes don't. `middle` is how many bytes of a tail stand
        before its value. Timestamp deltas are zigzag-encoded."""
        self.encoded = encoded
        self.end = encoded[-_END_SIZE:]
        self._records = records
        self._base = base_timestamp
        self._middle = middle
        self._stretches = stretches
        self._zigzags = zigzags
        self._sizes = sizes

    @cached_property
    def timestamps(self) -> Sequence[int]:
        """Those of the records, in milliseconds since the epoch."""
        return _timestamps(self._zigzags, self._base)

    @cached_property
    def _latest(self) -> int:
        zigzags = self._zigzags
        last = zigzags[-1]
        if isinstance(zigzags, bytes) and not zigzags.translate(None, bytes(range(last + 1))):
            return last  # none is greater
        return max(zigzags)

    @property
    def time_span(self) -> tuple[int, int]:
        """As `Batch.time_span`."""
        return self._base, self._base + (self._latest >> 1)

    @cached_property
    def tails(self) -> Sequence[bytes]:
        """What of each record depends on nothing outside it (`codec`)."""
        return self._behind(0, self.end)

    @cached_property
    def values(self) -> Sequence[bytes]:
        """The values of the records."""
        return self._behind(self._middle, self.end[:1])

    def _behind(self, skipped: int, end: bytes) -> list[bytes]:
        """Of these tails all behind so many bytes, with such an end."""
        bodies: list[bytes] = []
        for stretch in self._stretches:
            behind = itemgetter(slice(stretch.front + skipped, None))
            bodies += map(behind, self._records[stretch.first : stretch.end])
        return [body + end for body in bodies]

    def rows_in_text(self, most: int) -> Iterator[RowsInText]:
        """All rows in their order, up to so many at a time, in the text `encoded`: there a regular
        expression finds what it looks for in values before any of them is copied."""
        start = 0
        for stretch in self._stretches:
            for first in range(stretch.first, stretch.end, most):
                end = min(first + most, stretch.end)
                is_last = end == len(self._records)
                stop = len(self.encoded) if is_last else start + sum(self._sizes[first:end])
                yield RowsInText(start, stop, stretch.front + self._middle)
                start = stop

    def chosen(
        self, rows: Sequence[int], extra_headers: Sequence[HeaderBlock | None] | None
    ) -> "AlikeRows | None":
        """The chosen rows, with headers for each or none; None where a record gets too large, or
        rows are not in their order."""
        if not _rise(rows):
            return None
        records, end = pick(self._records, rows), self.end
        sizes: Sequence[int] = pick(self._sizes, rows)
        if extra_headers:
            last, none = end[:1], end[1:]
            counted = [block or none for block in extra_headers]
            if _MOST_SIZE + max(map(len, counted)) >= _MOST:
                return None
            records = [
                _LENGTHS[len(its := record[_LENGTH_SIZE:] + last + headers)] + its
                for record, headers in zip(records, counted, strict=True)
            ]
            end, sizes = b"", [*map(len, records)]
        before = rows.before if isinstance(rows, AllBut) else partial(bisect_left, rows)
        places = [before(stretch.first) for stretch in self._stretches] + [len(records)]
        stretches = [
            stretch._replace(first=first, end=stop)
            for stretch, (first, stop) in zip(self._stretches, pairwise(places), strict=True)
        ]
        zigzags = pick(self._zigzags, rows)
        return AlikeRows(records, end, sizes, zigzags, self._latest, stretches, self._base)


class AlikeRows:
    """Chosen records of a batch, on their way into others: `producer.Rows`."""

    def __init__(
        self,
        records: Sequence[bytes],
        end: bytes,
        sizes: Sequence[int],
        zigzags: Sequence[int],
        latest: int,
        stretches: Sequence[_Stretch],
        base_timestamp: int,
    ) -> None:
        """The records lack this end; the sizes don't. Timestamp deltas are zigzag-encoded, and none
        is greater than `latest`."""
        self._records = records
        self._end = end
        self._sizes = sizes
        self._stretches = stretches
        self._base = base_timestamp
        self._zigzags = zigzags
        self._latest = latest

    def __len__(self) -> int:
        return len(self._records)

    @cached_property
    def _ends(self) -> Sequence[int]:
        return [*accumulate(self._sizes, initial=0)]

    def fitting(self, first: int, room: int, front: int) -> int:
        """Where the rows from `first` on end that fit."""
        growth, count = front - _LEAST_FRONT, len(self) - first
        if sum(self._sizes[first:] if first else self._sizes) + count * growth <= room:
            return first + count
        return last_within(self._ends, first, room, growth)

    def latest(self, first: int, stop: int) -> int:
        """The latest timestamp of the rows from `first` up to `stop`."""
        zigzags = self._zigzags
        zigzag = zigzags[stop - 1]
        return self._base + ((zigzag if zigzag == self._latest else max(zigzags[first:stop])) >> 1)

    def base_of(self, _first: int) -> int:
        """The timestamp to begin a batch with: that of their own, so that deltas stay."""
        return self._base

    def suits(self, base_timestamp: int) -> bool:
        """Only one where deltas stay."""
        return base_timestamp == self._base

    def write(
        self, buffer: bytearray, first: int, stop: int, base_timestamp: int, first_delta: int
    ) -> None:
        """As `codec.encode`, of the rows from `first` up to `stop`."""
        behind = first_delta - first
        for stretch in self._stretches:
            row, end = max(first, stretch.first), min(stop, stretch.end)
            for run in _where_alike(row, end, _SHORT_DELTAS - behind):
                self._write(buffer, *run, stretch, base_timestamp, behind)

    def _write(
        self, buffer: bytearray, first: int, stop: int, stretch: _Stretch, base: int, behind: int
    ) -> None:
        """Of rows that are in one stretch, and will be."""
        records, zigzags = self._records[first:stop], self._zigzags[first:stop]
        front, first_delta, end_delta, end = stretch.front, first + behind, stop + behind, self._end
        delta_size, shift = 1 if end_delta <= _SHORT_DELTAS else 2, self._base - base
        fits = delta_size == stretch.delta_size and end_delta <= MOST_RECORDS
        if not fits or (shift and not self._take(stretch.stamp_size, zigzags, shift)):
            tails = [record[front:] + end for record in records]
            buffer += codec.encode(tails, _timestamps(zigzags, self._base), base, first_delta)
            return
        form, at = _FORMS[delta_size], len(buffer) + front - delta_size
        anew: list[Iterable[int]] = [_WORDS[first_delta:end_delta]]
        if shift:
            form, at = _FORMS[stretch.stamp_size] + form, len(buffer) + _STAMP
            anew.insert(0, _shifted(zigzags, shift, stretch.stamp_size))
        buffer += end.join(records)
        buffer += end
        places = accumulate(self._sizes[first:stop], initial=at)
        deque(map(Struct("<" + form).pack_into, repeat(buffer), places, *anew), maxlen=0)

    def _take(self, size: int, zigzags: Sequence[int], shift: int) -> bool:
        """Whether timestamp deltas take so many bytes once they are shifted, and are `_WORDS`."""
        if size not in _FORMS:
            return False
        least, end = (0, _SHORT_DELTAS) if size == 1 else (_SHORT_DELTAS, _MOST)
        if least <= shift and (self._latest >> 1) + shift < end:  # all of the batch do
            return True
        return least <= (min(zigzags) >> 1) + shift and (max(zigzags) >> 1) + shift < end


def _shifted(zigzags: Sequence[int], shift: int, size: int) -> Sequence[int]:
    """The words of timestamp deltas that are shifted, and take so many bytes."""
    if size == 1:
        return bytes(zigzags).translate(_shift_by(2 * shift))
    return [_WORDS[(zigzag >> 1) + shift] for zigzag in zigzags]


@lru_cache(_SHORT_DELTAS)
def _shift_by(number: int) -> bytes:
    return bytes(max(0, min(255, byte + number)) for byte in range(256))


def _where_alike(first: int, stop: int, longer: int) -> Iterator[tuple[int, int]]:
    """The rows in two, where those from `longer` on have offset deltas that take a byte more."""
    for row, end in ((first, min(stop, longer)), (max(first, longer), stop)):
        if row < end:
            yield row, end


class _Shape(NamedTuple):
    """How records look before their value, whose fields there have certain sizes.

    `head` is how many bytes that are. `lengths` has, by a record's size, both bytes of its length,
    and of its value's.
    """

    stamp_size: int
    delta_size: int
    head: int
    lengths: tuple[bytes, ...]

    def columns(self, heads: bytes) -> list[bytes]:
        """What stands in so many heads, by its place: all but timestamp deltas and keys."""
        delta, head = _STAMP + self.stamp_size, self.head
        places = (0, 1, 2, *range(delta, delta + self.delta_size + 1), head - 2, head - 1)
        return [heads[at::head] for at in places]

    def expected(self, sizes: bytes, first: int, end: int, key_size: int) -> list[bytes]:
        """What must stand there."""
        its = sizes[first:end]
        length, more, value, value_more = map(its.translate, self.lengths)
        deltas = [column[first:end] for column in _DELTAS[self.delta_size]]
        keys = bytes((key_size,)) * len(its)
        return [length, more, bytes(len(its)), *deltas, keys, value, value_more]


@lru_cache(1 << 8)
def _shape(stamp_size: int, delta_size: int, middle: int) -> _Shape:
    head = _STAMP + stamp_size + delta_size + middle
    sizes = range(_MOST_SIZE + 1)
    of_record = _two_bytes(size - _LENGTH_SIZE for size in sizes)
    of_value = _two_bytes(size - head - 1 for size in sizes)
    return _Shape(stamp_size, delta_size, head, (*of_record, *of_value))


def _zigzags(stamps: Sequence[bytes]) -> Sequence[int]:
    """Timestamp deltas, zigzag-encoded, from the bytes of their varints by their place."""
    low, *more = stamps
    if not more:
        return low
    if len(more) == 1:
        return [one & 127 | two << 7 for one, two in zip(low, *more, strict=True)]
    return [
        one & 127 | (two & 127) << 7 | three << 14
        for one, two, three in zip(low, *more, strict=True)
    ]


def _in_a_row(zigzags: Sequence[Sequence[int]]) -> Sequence[int]:
    """Those of all stretches: bytes where they are no larger."""
    if all(isinstance(its, bytes) for its in zigzags):
        return b"".join(map(bytes, zigzags))
    return [*chain.from_iterable(zigzags)]


def _timestamps(zigzags: Sequence[int], base: int) -> list[int]:
    return [base + (zigzag >> 1) for zigzag in zigzags]
