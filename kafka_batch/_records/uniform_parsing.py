"""Recognises a batch whose records are uniform, and takes it apart."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import NamedTuple

from kafka_batch._records.decoding import is_dense
from kafka_batch._records.uniform import UniformRecords
from kafka_batch._records.uniform_format import (
    CONTINUES,
    DELTAS,
    END_SIZE,
    IS_ODD,
    LENGTH_SIZE,
    MAX_RECORDS,
    MAX_SEGMENTS,
    MAX_SIZE,
    MAX_STAMP,
    MIN_PREFIX,
    MIN_RECORDS,
    SHORT_DELTAS,
    SIZES,
    STAMP,
    WITH_END,
    Segment,
    two_bytes,
)
from kafka_batch._records.varints import is_key_size, size_at


def parse_uniform(
    encoded: bytes, count: int, base_offset: int, last_offset: int, base_timestamp: int
) -> "UniformRecords | None":
    """Takes apart a batch's records as `decode` does, where they are uniform.

    None where they are not: keys are of several lengths, some record has headers, a value has less
    than 64 bytes or more than 200 or so, or another last byte, a timestamp is before the batch's
    first, there are too few records, offsets are missing, or these bytes are no such records.
    """
    if not MIN_RECORDS <= count <= min(MAX_RECORDS, len(encoded) // MIN_PREFIX):
        return None
    if not is_dense(count, base_offset, last_offset, base_timestamp):
        return None
    key_size = encoded[STAMP + size_at(encoded, STAMP) + 1]
    end = encoded[-END_SIZE:]
    records = encoded.split(end)
    if records.pop() or len(records) != count or not is_key_size(key_size) or end[-1]:
        return None
    try:
        sizes = bytes(map(len, records))
    except ValueError:  # one is larger than a byte can say
        return None
    if sizes.translate(None, SIZES):  # there are others
        return None
    sizes = sizes.translate(WITH_END)
    middle = 1 + (key_size >> 1) + LENGTH_SIZE
    read = _segments(records, sizes, key_size, middle)
    return UniformRecords(encoded, records, sizes, base_timestamp, middle, *read) if read else None


def _segments(
    records: Sequence[bytes], sizes: bytes, key_size: int, middle: int
) -> tuple[list[Segment], Sequence[int]] | None:
    """The segments, with the timestamp deltas of all rows, zigzag-encoded; None where before some
    value stands something else than must be there."""
    segments: list[Segment] = []
    timestamp_deltas: list[Sequence[int]] = []
    first = 0
    while first < len(records):
        read = _segment_from(first, records, sizes, key_size, middle)
        if read is None or len(segments) == MAX_SEGMENTS:
            return None
        segment, its = read
        segments.append(segment)
        timestamp_deltas.append(its)
        first = segment.end
    return segments, _in_a_row(timestamp_deltas)


def _segment_from(
    first: int, all_records: Sequence[bytes], sizes: bytes, key_size: int, middle: int
) -> tuple[Segment, Sequence[int]] | None:
    """As `_segments`, of the one that begins there."""
    delta_size, bound = (1, SHORT_DELTAS) if first < SHORT_DELTAS else (2, MAX_RECORDS)
    records = all_records[first:bound]
    stamp_size = size_at(records[0], STAMP)
    if stamp_size > MAX_STAMP:
        return None
    shape = _shape(stamp_size, delta_size, middle)
    size = shape.head
    heads = b"".join(map(itemgetter(slice(size)), records))
    stamps = [heads[at::size] for at in range(STAMP, STAMP + stamp_size)]
    ends = [column.translate(CONTINUES).find(0) for column in stamps[:-1]]
    ends.append(stamps[-1].translate(CONTINUES).find(1))
    count = min((end for end in ends if end >= 0), default=len(records))
    heads, stamps = heads[: count * size], [column[:count] for column in stamps]
    end = first + count
    is_negative = stamps[0].translate(IS_ODD).find(1) >= 0
    if is_negative or shape.columns(heads) != shape.expected(sizes, first, end, key_size):
        return None
    return Segment(first, end, stamp_size, delta_size), _encoded_deltas(stamps)


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
        """The columns of `heads`, except timestamp deltas and keys."""
        delta, head = STAMP + self.stamp_size, self.head
        places = (0, 1, 2, *range(delta, delta + self.delta_size + 1), head - 2, head - 1)
        return [heads[at::head] for at in places]

    def expected(self, sizes: bytes, first: int, end: int, key_size: int) -> list[bytes]:
        """What must stand there."""
        its = sizes[first:end]
        length, more, value, value_more = map(its.translate, self.lengths)
        deltas = [column[first:end] for column in DELTAS[self.delta_size]]
        keys = bytes((key_size,)) * len(its)
        return [length, more, bytes(len(its)), *deltas, keys, value, value_more]


@lru_cache(1 << 8)
def _shape(stamp_size: int, delta_size: int, middle: int) -> _Shape:
    head = STAMP + stamp_size + delta_size + middle
    sizes = range(MAX_SIZE + 1)
    of_record = two_bytes(size - LENGTH_SIZE for size in sizes)
    of_value = two_bytes(size - head - 1 for size in sizes)
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
