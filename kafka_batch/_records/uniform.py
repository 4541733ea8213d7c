"""Records that are uniform: a batch's, taken apart and passed on all together.

Producers write batches whose records have keys of one length, values of some hundred bytes that
end with the same one, and no headers. Such a batch is split where its records end. What stands
before their values is then compared with what must be there, as columns of bytes. What is passed on
is copied as it is: only the deltas are rewritten, in place. That takes less than half of what it
takes record by record. Whatever is not uniform is left to `codec`, which reads and writes the same.
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
_MIN_RECORDS, MAX_RECORDS = 16, _MOST  # of a batch: deltas of two bytes can be written in place
_MAX_SEGMENTS = 8
_MIN_SIZE, _MAX_SIZE = 64, 255  # of a record, so that sizes are bytes
_MAX_STAMP = 3  # bytes of a timestamp delta: up to 17 minutes
_LENGTH_SIZE = 2  # bytes of a record's length, and of its value's
_STAMP = _LENGTH_SIZE + 1  # where it begins: the attributes take a byte
_MIN_FRONT = _STAMP + 2
_END_SIZE = 2
_SHORT_DELTAS = 1 << 6  # take one byte

_SIZES = bytes(range(_MIN_SIZE, _MAX_SIZE - _END_SIZE + 1))
_WITH_END = bytes(range(_END_SIZE, 256)) + bytes(_END_SIZE)  # by a size without it
_HIGH = bytes(128) + b"\1" * 128  # by a varint's byte, whether more follow
_ODD = b"\0\1" * 128  # by its first byte, whether it is negative


def _two_bytes(numbers: Iterable[int]) -> tuple[bytes, bytes]:
    """The first bytes, and the second, of numbers as varints of two bytes."""
    its = [*numbers]
    return bytes(n << 1 & 127 | 128 for n in its), bytes(n >> 6 & 127 for n in its)


# The bytes of offset deltas by their place, by how many they are.
_DELTAS = {1: (bytes(range(0, 128, 2)),), 2: _two_bytes(range(MAX_RECORDS))}
_LENGTHS = [*map(codec.varint, range(_MOST))]
_WORDS = [int.from_bytes(encoded, "little") for encoded in _LENGTHS]
_FORMS = {1: "B", 2: "H"}  # what writes a word, by how many bytes it is


class RowMask(Sequence[int]):
    """Rows of a batch, in their order: all of so many, but those that are excluded. To choose by it
    takes a third of what it takes by their list."""

    def __init__(self, count: int, excluded: Iterable[int]) -> None:
        self._kept = bytearray(b"\1") * count
        for row in excluded:
            self._kept[row] = 0

    def __len__(self) -> int:
        return self._kept.count(1)

    def __iter__(self) -> Iterator[int]:
        return compress(range(len(self._kept)), self._kept)

    def __getitem__(self, at: Any) -> Any:
        return [*self][at]

    def apply(self, column: Iterable[_T]) -> list[_T]:
        """What of a column is in these rows."""
        return [*compress(column, self._kept)]

    def rank(self, row: int) -> int:
        """How many of them come before the row."""
        return self._kept.count(1, 0, row)


def select(column: Sequence[_T], rows: Sequence[int]) -> Sequence[_T]:
    """What of a column is in these rows."""
    if isinstance(rows, RowMask):
        return rows.apply(column)
    return itemgetter(*rows)(column) if len(rows) > 1 else [column[row] for row in rows]


def _is_sorted(rows: Sequence[int]) -> bool:
    """Whether rows are in their order."""
    if isinstance(rows, RowMask) or not rows:
        return True
    return rows[0] >= 0 and all(map(le, rows, islice(rows, 1, None)))


def count_within(ends: Sequence[int], first: int, room: int, growth: int) -> int:
    """How many of the records that end there, in bytes from zero on, are before `first` or fit
    behind it, where each grows."""
    return first + bisect_right(
        range(1, len(ends) - first),
        room,
        key=lambda taken: ends[first + taken] - ends[first] + taken * growth,
    )


class _Segment(NamedTuple):
    """Rows in a row whose timestamp deltas take as many bytes, and whose offset deltas do."""

    first: int
    end: int
    stamp_size: int
    delta_size: int

    @property
    def prefix(self) -> int:
        """Bytes before the body."""
        return _STAMP + self.stamp_size + self.delta_size


def parse_uniform(
    encoded: bytes, count: int, base_offset: int, last_offset: int, base_timestamp: int
) -> "UniformRecords | None":
    """Takes apart a batch's records as `codec.decode` does, where they are uniform.

    None where they are not: keys are of several lengths, some record has headers, a value has less
    than 64 bytes or more than 200 or so, or another last byte, a timestamp is before the batch's
    first, there are too few records, offsets are missing, or these bytes are no such records.
    """
    if not _MIN_RECORDS <= count <= min(MAX_RECORDS, len(encoded) // _MIN_FRONT):
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
    read = _segments(records, sizes, key_size, middle)
    return UniformRecords(encoded, records, sizes, base_timestamp, middle, *read) if read else None


def _segments(
    records: Sequence[bytes], sizes: bytes, key_size: int, middle: int
) -> tuple[list[_Segment], Sequence[int]] | None:
    """The segments, with the timestamp deltas of all rows, zigzag-encoded; None where before some
    value stands something else than must be there."""
    segments: list[_Segment] = []
    timestamp_deltas: list[Sequence[int]] = []
    first = 0
    while first < len(records):
        read = _segment_from(first, records, sizes, key_size, middle)
        if read is None or len(segments) == _MAX_SEGMENTS:
            return None
        segment, its = read
        segments.append(segment)
        timestamp_deltas.append(its)
        first = segment.end
    return segments, _in_a_row(timestamp_deltas)


def _segment_from(
    first: int, all_records: Sequence[bytes], sizes: bytes, key_size: int, middle: int
) -> tuple[_Segment, Sequence[int]] | None:
    """As `_segments`, of the one that begins there."""
    delta_size, bound = (1, _SHORT_DELTAS) if first < _SHORT_DELTAS else (2, MAX_RECORDS)
    records = all_records[first:bound]
    stamp_size = size_at(records[0], _STAMP)
    if stamp_size > _MAX_STAMP:
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
    return _Segment(first, end, stamp_size, delta_size), _encoded_deltas(stamps)


class RowsInText(NamedTuple):
    """Consecutive rows in a text, of which they take the bytes from `start` up to `stop`: of each
    `prefix` bytes, which begin with none of ASCII; its value; and a zero."""

    start: int
    stop: int
    prefix: int


class UniformRecords:
    """A batch's records as they are encoded. What they end with is the same for all, and stands
    nowhere else in them: a value's last byte, and the zero that counts headers."""

    max_body_size = _MAX_SIZE

    def __init__(
        self,
        encoded: bytes,
        records: Sequence[bytes],
        sizes: bytes,
        base_timestamp: int,
        middle: int,
        segments: Sequence[_Segment],
        timestamp_deltas: Sequence[int],
    ) -> None:
        """The records lack their end; the sizes don't. `middle` is how many bytes of a body stand
        before its value. Timestamp deltas are zigzag-encoded."""
        self.encoded = encoded
        self.end = encoded[-_END_SIZE:]
        self._records = records
        self._base = base_timestamp
        self._middle = middle
        self._segments = segments
        self._encoded_deltas = timestamp_deltas
        self._sizes = sizes

    @cached_property
    def timestamps(self) -> Sequence[int]:
        """Those of the records, in milliseconds since the epoch."""
        return _timestamps(self._encoded_deltas, self._base)

    @cached_property
    def _latest(self) -> int:
        timestamp_deltas = self._encoded_deltas
        last = timestamp_deltas[-1]
        if isinstance(timestamp_deltas, bytes) and not timestamp_deltas.translate(
            None, bytes(range(last + 1))
        ):
            return last  # none is greater
        return max(timestamp_deltas)

    @property
    def timestamp_bounds(self) -> tuple[int, int]:
        """As `Batch.timestamp_bounds`."""
        return self._base, self._base + (self._latest >> 1)

    @cached_property
    def bodies(self) -> Sequence[bytes]:
        """What of each record depends on nothing outside it (`codec`)."""
        return self._behind(0, self.end)

    @cached_property
    def values(self) -> Sequence[bytes]:
        """The values of the records."""
        return self._behind(self._middle, self.end[:1])

    def _behind(self, skipped: int, end: bytes) -> list[bytes]:
        """Of these bodies all behind so many bytes, with such an end."""
        bodies: list[bytes] = []
        for segment in self._segments:
            behind = itemgetter(slice(segment.prefix + skipped, None))
            bodies += map(behind, self._records[segment.first : segment.end])
        return [body + end for body in bodies]

    def rows_in_text(self, most: int) -> Iterator[RowsInText]:
        """All rows in their order, up to so many at a time, in the text `encoded`: there a regular
        expression finds what it looks for in values before any of them is copied."""
        start = 0
        for segment in self._segments:
            for first in range(segment.first, segment.end, most):
                end = min(first + most, segment.end)
                is_last = end == len(self._records)
                stop = len(self.encoded) if is_last else start + sum(self._sizes[first:end])
                yield RowsInText(start, stop, segment.prefix + self._middle)
                start = stop

    def chosen(
        self, rows: Sequence[int], extra_headers: Sequence[HeaderBlock | None] | None
    ) -> "UniformSelection | None":
        """The chosen rows, with headers for each or none; None where a record gets too large, or
        rows are not in their order."""
        if not _is_sorted(rows):
            return None
        records, end = select(self._records, rows), self.end
        sizes: Sequence[int] = select(self._sizes, rows)
        if extra_headers:
            last, none = end[:1], end[1:]
            counted = [block or none for block in extra_headers]
            if _MAX_SIZE + max(map(len, counted)) >= _MOST:
                return None
            records = [
                _LENGTHS[len(its := record[_LENGTH_SIZE:] + last + headers)] + its
                for record, headers in zip(records, counted, strict=True)
            ]
            end, sizes = b"", [*map(len, records)]
        before = rows.rank if isinstance(rows, RowMask) else partial(bisect_left, rows)
        places = [before(segment.first) for segment in self._segments] + [len(records)]
        segments = [
            segment._replace(first=first, end=stop)
            for segment, (first, stop) in zip(self._segments, pairwise(places), strict=True)
        ]
        timestamp_deltas = select(self._encoded_deltas, rows)
        return UniformSelection(
            records, end, sizes, timestamp_deltas, self._latest, segments, self._base
        )


class UniformSelection:
    """Chosen records of a batch, on their way into others: `producer.Rows`."""

    def __init__(
        self,
        records: Sequence[bytes],
        end: bytes,
        sizes: Sequence[int],
        timestamp_deltas: Sequence[int],
        latest: int,
        segments: Sequence[_Segment],
        base_timestamp: int,
    ) -> None:
        """The records lack this end; the sizes don't. Timestamp deltas are zigzag-encoded, and none
        is greater than `latest`."""
        self._records = records
        self._end = end
        self._sizes = sizes
        self._segments = segments
        self._base = base_timestamp
        self._encoded_deltas = timestamp_deltas
        self._latest = latest

    def __len__(self) -> int:
        return len(self._records)

    @cached_property
    def _ends(self) -> Sequence[int]:
        return [*accumulate(self._sizes, initial=0)]

    def count_fitting(self, first: int, room: int, prefix: int) -> int:
        """Where the rows from `first` on end that fit."""
        growth, count = prefix - _MIN_FRONT, len(self) - first
        if sum(self._sizes[first:] if first else self._sizes) + count * growth <= room:
            return first + count
        return count_within(self._ends, first, room, growth)

    def max_timestamp(self, first: int, stop: int) -> int:
        """The latest timestamp of the rows from `first` up to `stop`."""
        timestamp_deltas = self._encoded_deltas
        zigzag = timestamp_deltas[stop - 1]
        return self._base + (
            (zigzag if zigzag == self._latest else max(timestamp_deltas[first:stop])) >> 1
        )

    def base_timestamp_at(self, _first: int) -> int:
        """The timestamp to begin a batch with: that of their own, so that deltas stay."""
        return self._base

    def is_compatible_with(self, base_timestamp: int) -> bool:
        """Only one where deltas stay."""
        return base_timestamp == self._base

    def write(
        self, buffer: bytearray, first: int, stop: int, base_timestamp: int, first_delta: int
    ) -> None:
        """As `codec.encode`, of the rows from `first` up to `stop`."""
        behind = first_delta - first
        for segment in self._segments:
            row, end = max(first, segment.first), min(stop, segment.end)
            for run in _split_at_delta_size(row, end, _SHORT_DELTAS - behind):
                self._write(buffer, *run, segment, base_timestamp, behind)

    def _write(
        self, buffer: bytearray, first: int, stop: int, segment: _Segment, base: int, behind: int
    ) -> None:
        """Of rows that are in one segment, and will be."""
        records, timestamp_deltas = self._records[first:stop], self._encoded_deltas[first:stop]
        prefix, first_delta, end_delta, end = (
            segment.prefix,
            first + behind,
            stop + behind,
            self._end,
        )
        delta_size, shift = 1 if end_delta <= _SHORT_DELTAS else 2, self._base - base
        fits = delta_size == segment.delta_size and end_delta <= MAX_RECORDS
        if not fits or (shift and not self._take(segment.stamp_size, timestamp_deltas, shift)):
            bodies = [record[prefix:] + end for record in records]
            buffer += codec.encode(
                bodies, _timestamps(timestamp_deltas, self._base), base, first_delta
            )
            return
        form, at = _FORMS[delta_size], len(buffer) + prefix - delta_size
        columns: list[Iterable[int]] = [_WORDS[first_delta:end_delta]]
        if shift:
            form, at = _FORMS[segment.stamp_size] + form, len(buffer) + _STAMP
            columns.insert(0, _shifted(timestamp_deltas, shift, segment.stamp_size))
        buffer += end.join(records)
        buffer += end
        places = accumulate(self._sizes[first:stop], initial=at)
        deque(map(Struct("<" + form).pack_into, repeat(buffer), places, *columns), maxlen=0)

    def _take(self, size: int, timestamp_deltas: Sequence[int], shift: int) -> bool:
        """Whether timestamp deltas take so many bytes once they are shifted, and are `_WORDS`."""
        if size not in _FORMS:
            return False
        least, end = (0, _SHORT_DELTAS) if size == 1 else (_SHORT_DELTAS, _MOST)
        if least <= shift and (self._latest >> 1) + shift < end:  # all of the batch do
            return True
        return (
            least <= (min(timestamp_deltas) >> 1) + shift
            and (max(timestamp_deltas) >> 1) + shift < end
        )


def _shifted(timestamp_deltas: Sequence[int], shift: int, size: int) -> Sequence[int]:
    """The words of timestamp deltas that are shifted, and take so many bytes."""
    if size == 1:
        return bytes(timestamp_deltas).translate(_shift_by(2 * shift))
    return [_WORDS[(zigzag >> 1) + shift] for zigzag in timestamp_deltas]


@lru_cache(_SHORT_DELTAS)
def _shift_by(number: int) -> bytes:
    return bytes(max(0, min(255, byte + number)) for byte in range(256))


def _split_at_delta_size(first: int, stop: int, longer: int) -> Iterator[tuple[int, int]]:
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
    sizes = range(_MAX_SIZE + 1)
    of_record = _two_bytes(size - _LENGTH_SIZE for size in sizes)
    of_value = _two_bytes(size - head - 1 for size in sizes)
    return _Shape(stamp_size, delta_size, head, (*of_record, *of_value))


def _encoded_deltas(stamps: Sequence[bytes]) -> Sequence[int]:
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


def _in_a_row(timestamp_deltas: Sequence[Sequence[int]]) -> Sequence[int]:
    """Those of all segments: bytes where they are no larger."""
    if all(isinstance(its, bytes) for its in timestamp_deltas):
        return b"".join(map(bytes, timestamp_deltas))
    return [*chain.from_iterable(timestamp_deltas)]


def _timestamps(timestamp_deltas: Sequence[int], base: int) -> list[int]:
    return [base + (zigzag >> 1) for zigzag in timestamp_deltas]
