"""Kafka's record format, version 2: records from their bodies to a batch's bytes."""

from collections.abc import Sequence
from operator import add

from kafka_batch._records.varints import (
    CACHE_SIZE,
    CONTINUED,
    SHORT,
    SMALL,
    VARINTS,
    varint,
    wrapped_timestamp,
)

_FAR_STAMP = 1 << 27  # milliseconds: a shorter delta takes at most four bytes


class _Stamps(dict[int, bytes]):
    """A prefix's middle, by timestamp delta: the attributes, which are zero, and the delta."""

    def __missing__(self, delta: int) -> bytes:
        stamp = b"\x00" + VARINTS[wrapped_timestamp(delta)]
        if -CACHE_SIZE < delta < CACHE_SIZE:
            self[delta] = stamp
        return stamp


_continued_stamps = [b"\x00" + low for low in CONTINUED]
_stamps = _Stamps()


def encode(
    bodies: Sequence[bytes], timestamps: Sequence[int], base_timestamp: int, first_delta: int
) -> bytes:
    """Records in a row, with offset deltas that rise by one from `first_delta`."""
    stamps = _all_stamps(timestamps, base_timestamp)
    deltas = offset_deltas(first_delta, first_delta + len(bodies))
    # Maps and slices, which a loop over the four columns would take twice as long for.
    sizes = [*map(add, map(len, bodies), map(add, map(len, stamps), map(len, deltas)))]
    parts = [b""] * (4 * len(bodies))
    parts[0::4] = map(SMALL.__getitem__ if max(sizes) < CACHE_SIZE else varint, sizes)
    parts[1::4] = stamps
    parts[2::4] = deltas
    parts[3::4] = bodies
    return b"".join(parts)


def offset_deltas(first: int, end: int) -> list[bytes]:
    """Offset deltas that rise by one."""
    return SMALL[first:end] if end <= CACHE_SIZE else [*map(varint, range(first, end))]


def _all_stamps(timestamps: Sequence[int], base: int) -> list[bytes]:
    if timestamps[-1] - base < CACHE_SIZE or max(timestamps) - base >= _FAR_STAMP:
        return [_stamps[timestamp - base] for timestamp in timestamps]
    # Many that are far apart, in half of the time.
    return [
        _continued_stamps[delta << 1 & (1 << 14) - 1] + SHORT[delta >> 13]
        if (delta := timestamp - base) >= CACHE_SIZE
        else _stamps[delta]
        for timestamp in timestamps
    ]
