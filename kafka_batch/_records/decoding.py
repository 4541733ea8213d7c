"""Kafka's record format, version 2: a batch's records from bytes to columns.

    record = length, attributes, timestamp delta, offset delta | key, value, headers

Numbers are zigzag varints. What follows the bar, here a record's *body*, depends on nothing outside
it: to pass a record on, its body is copied as it is after a new prefix. Neither key nor value nor
headers are taken apart for that, or put together again.

Source of the format: https://kafka.apache.org/documentation/#messageformat.
"""

import struct
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from kafka_batch._records.varints import (
    VARINTS,
    is_key_size,
    read_varint,
    size_at,
    wrapped_timestamp,
)

_T = TypeVar("_T")

_FAR = 1 << 62  # a base timestamp past which sums may not fit into 64 bits
MIXED_RUN = 64  # records that are read one by one where fewer than MIN_RUN in a row are uniform
MIN_RUN = 16

# A record's first five bytes hold, as most records are, its length in one byte or two, its
# attributes, and a timestamp delta of up to two: one call costs less than four subscripts.
_peek = struct.Struct("5B").unpack_from


class Columns(NamedTuple):
    """A batch's records. Timestamps are in milliseconds since the epoch; `headerless` is
    true where it is known that no record has headers."""

    offsets: Sequence[int]
    timestamps: Sequence[int]
    values: Sequence[bytes | None]
    bodies: Sequence[bytes]
    headerless: bool

    def since(self, offset: int) -> "Columns":
        """The records from an offset on."""
        first = bisect_left(self.offsets, offset)
        if not first:
            return self
        offsets, timestamps, values, bodies, headerless = self
        return Columns(
            offsets[first:], timestamps[first:], values[first:], bodies[first:], headerless
        )


def decode(
    records: bytes, count: int, base_offset: int, last_offset: int, base_timestamp: int
) -> Columns:
    """Takes apart a batch's records, uncompressed and without the batch's header.

    Raises:
        ValueError: the bytes are not `count` records.
    """
    dense = is_dense(count, base_offset, last_offset, base_timestamp)
    way = _decode_dense if dense else _decode_sparse
    return whole(records, count, lambda: way(records, count, base_offset, base_timestamp))


def is_dense(count: int, base_offset: int, last_offset: int, base_timestamp: int) -> bool:
    """Whether no offset is missing, so that none needs to be read, and no timestamp so far off
    that sums may not fit into 64 bits."""
    return count == last_offset - base_offset + 1 and -_FAR < base_timestamp < _FAR


def whole(records: bytes, count: int, taking_apart: Callable[[], tuple[_T, int]]) -> _T:
    """What taking records apart finds, where that ends where they do."""
    try:
        found, end = taking_apart()
    except (IndexError, struct.error) as error:
        raise ValueError(f"the last of {count} records is cut off") from error
    if end != len(records):
        raise ValueError(f"{count} records end at byte {end} of {len(records)}")
    return found


def _decode_dense(
    records: bytes, count: int, base_offset: int, base_timestamp: int
) -> tuple[Columns, int]:
    run = _RecordReader(records, base_timestamp)
    # Offset deltas rise by one, so all that matters is how many bytes they take.
    for bound, delta_size in ((1 << 6, 1), (1 << 13, 2), (1 << 20, 3), (1 << 27, 4)):
        while (left := min(bound, count) - len(run.bodies)) > 0:
            uniform = run.read_uniform(left, delta_size)
            if uniform < MIN_RUN:
                run.read_each(min(left - uniform, MIXED_RUN))
    offsets = range(base_offset, base_offset + count)
    return Columns(offsets, run.timestamps, run.values, run.bodies, run.headerless), run.position


class _RecordReader:
    """Records that follow one another, and how far they have been read."""

    def __init__(self, records: bytes, base_timestamp: int) -> None:
        self._records = records
        self._base_timestamp = base_timestamp
        self.position = 0
        self.timestamps: list[int] = []
        self.values: list[bytes | None] = []
        self.bodies: list[bytes] = []
        self.deltas: list[int] = []  # of the offsets of those read one by one
        self.headerless = True

    def read_uniform(self, most: int, delta_size: int) -> int:
        """Reads records while each is like the first, and returns how many: its timestamp delta
        takes as many bytes, its key is as long, its value has 64 to 8191 bytes, and it has no
        headers.

        Most batches are so. One call then gets all that matters of a record, and what its value's
        length must be follows from its own.
        """
        records, position, before = self._records, self.position, len(self.bodies)
        stamp_size = size_at(records, position + 3)
        key = position + 3 + stamp_size + delta_size
        key_size = records[key] if key < len(records) else -1
        shape = shape_of(stamp_size, delta_size, key_size)
        if shape is None:
            return 0
        peek, sizes, to_tail, to_value, sign, positive = shape
        stamps: list[int] = []
        add_stamp, add_value, add_tail = stamps.append, self.values.append, self.bodies.append
        for _ in range(most):
            try:
                length, stamp, key, value_size = peek(records, position)
            except struct.error:  # a last record that is shorter than this
                break
            size, its_value_size = sizes[length]
            if value_size != its_value_size or key != key_size or stamp & sign != positive:
                break
            end = position + size
            add_stamp(stamp)
            add_value(records[position + to_value : end - 1])
            add_tail(records[position + to_tail : end])
            position = end
        base = self._base_timestamp
        if stamp_size == 2:
            stamps = [stamp & 127 | stamp >> 8 << 7 for stamp in stamps]
        elif stamp_size > 2:
            top = 127 << 21 if stamp_size > 3 else 0
            stamps = [
                stamp & 127 | stamp >> 1 & 127 << 7 | stamp >> 2 & 127 << 14 | stamp >> 3 & top
                for stamp in stamps
            ]
        self.timestamps += [base + (stamp >> 1) for stamp in stamps]
        self.position = position
        return len(self.bodies) - before

    def read_each(self, count: int) -> None:
        """Reads `count` records, whatever each is like."""
        records, position = self._records, self.position
        timestamps, values, bodies, deltas = self.timestamps, self.values, self.bodies, self.deltas
        base = self._base_timestamp
        for _ in range(count):
            # Many are read right here, without a call: a length of 64 to 8191 bytes, a timestamp
            # of up to 8 s after the first, an offset of up to a million after it, a key of up to
            # 63 bytes or none, a value.
            length, more, _, stamp, delta = _peek(records, position)
            rare = length < 128 or more > 127 or stamp & 1 or (stamp > 127 and delta > 127)
            if not rare:
                end = position + (length >> 1) + (more << 6) - 62
                body = position + 5
                if stamp > 127:
                    stamp += (delta << 7) - 128
                    delta = records[body]
                    body += 1
                if delta > 127:
                    delta += (records[body] << 7) - 128
                    body += 1
                    if delta >= 1 << 14:
                        top = records[body]
                        delta += (top << 14) - (1 << 14)
                        body += 1
                        rare = top > 127
                rare |= delta & 1
            if not rare:
                key_size = records[body]
                value = body + 1 + (key_size >> 1)
                size = records[value]
                if size > 127:
                    stop = value + 2 + ((size + (records[value + 1] << 7) - 128) >> 1)
                    value += 2
                else:
                    value += 1
                    stop = value + (size >> 1)
                rare = key_size > 127 or size & 1
            if rare:
                stamp, delta, body, value, stop, end = read_record(records, position)
                delta *= 2
                stamp = 2 * (wrapped_timestamp(base + (stamp >> 1)) - base)
            timestamps.append(base + (stamp >> 1))
            deltas.append(delta >> 1)
            values.append(records[value:stop] if stop >= value else None)
            bodies.append(records[body:end])
            if stop + 1 != end:
                self.headerless = False
            position = end
        self.position = position


class _Sizes(dict[bytes, tuple[int, bytes]]):
    """By a record's length as it is encoded, and its attributes: the size of the record, and the
    length of its value as it is encoded, where all but the value takes `rest` bytes."""

    def __init__(self, rest: int) -> None:
        super().__init__()
        self._rest = rest

    def __missing__(self, prefix: bytes) -> tuple[int, bytes]:
        length, start = read_varint(prefix, 0) if prefix[1] < 128 else (0, 0)
        value_size = length - self._rest
        known = start == 2 and value_size >= 64
        found = (2 + length, VARINTS[value_size]) if known else (0, b"")
        self[prefix] = found
        return found


# By a timestamp delta's size: what gets it, of three bytes with a fourth, and the bits that say how
# large it is and whether it is negative, with what they are where it has that size and is not.
_STAMPS = {
    1: ("B", 0x81, 0),
    2: ("H", 0x8081, 0x80),
    3: ("I", 0x808081, 0x8080),
    4: ("I", 0x80808081, 0x808080),
}


@lru_cache(1 << 8)
def shape_of(
    stamp_size: int, delta_size: int, key_size: int
) -> tuple[Callable[..., tuple[Any, ...]], _Sizes, int, int, int, int] | None:
    """How to read records whose fields have these sizes, the key's as it is encoded.

    That is: what gets a record's length with its attributes, its timestamp delta, and the lengths
    of its key and value; the sizes that follow from the first; where its body and its value begin;
    and the bits of a timestamp delta that has this size and is not negative, by a mask.
    """
    if not is_key_size(key_size):
        return None
    key = key_size >> 1
    stamp, sign, positive = _STAMPS[stamp_size]
    read = delta_size + stamp_size - struct.calcsize(f"<{stamp}")
    peek = struct.Struct(f"<3s{stamp}{read}xB{key}x2s").unpack_from
    to_tail = 3 + stamp_size + delta_size
    to_value = to_tail + 1 + key + 2
    return peek, _Sizes(to_value - 1), to_tail, to_value, sign, positive


def _decode_sparse(
    records: bytes, count: int, base_offset: int, base_timestamp: int
) -> tuple[Columns, int]:
    run = _RecordReader(records, base_timestamp)
    run.read_each(count)
    offsets = [base_offset + delta for delta in run.deltas]
    timestamps = run.timestamps
    if not -_FAR < base_timestamp < _FAR:
        timestamps = [*map(wrapped_timestamp, timestamps)]
    return Columns(offsets, timestamps, run.values, run.bodies, run.headerless), run.position


def read_record(records: bytes, position: int) -> tuple[int, int, int, int, int, int]:
    """Any record: twice its timestamp delta, its offset delta, and where its body and its value
    start, its value stops (before its start for a null), and the record ends."""
    length, start = read_varint(records, position)
    delta, at = read_varint(records, start + 1)
    offset_delta, body = read_varint(records, at)
    key_size, at = read_varint(records, body)
    size, value = read_varint(records, at + max(key_size, 0))
    return 2 * delta, offset_delta, body, value, value + size, start + length
