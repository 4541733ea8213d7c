"""Records that are uniform: a batch's, taken apart and passed on all together.

Producers write batches whose records have keys of one length, values of some hundred bytes that
end with the same one, and no headers. Such a batch is split where its records end. What stands
before their values is then compared with what must be there, as columns of bytes. What is passed on
is copied as it is: only the deltas are rewritten, in place. That takes less than half of what it
takes record by record. Whatever is not uniform is left to `codec`, which reads and writes the same.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache, partial
from itertools import accumulate, pairwise, repeat
from operator import itemgetter
from struct import Struct
from typing import NamedTuple

from kafka_batch._records.bodies import HeaderBlock
from kafka_batch._records.encoding import encode
from kafka_batch._records.row_mask import RowMask, count_within, is_sorted, select
from kafka_batch._records.uniform_format import (
    END_SIZE,
    FORMS,
    LENGTH_SIZE,
    LENGTHS,
    MAX_RECORDS,
    MAX_SIZE,
    MIN_PREFIX,
    SHORT_DELTAS,
    STAMP,
    TWO_BYTE_LIMIT,
    WORDS,
    Segment,
)


class RowsInText(NamedTuple):
    """Consecutive rows in a text, of which they take the bytes from `start` up to `stop`: of each
    `prefix` bytes, which begin with none of ASCII; its value; and a zero."""

    start: int
    stop: int
    prefix: int


class UniformRecords:
    """A batch's records as they are encoded. What they end with is the same for all, and stands
    nowhere else in them: a value's last byte, and the zero that counts headers."""

    max_body_size = MAX_SIZE

    def __init__(
        self,
        encoded: bytes,
        records: Sequence[bytes],
        sizes: bytes,
        base_timestamp: int,
        middle: int,
        segments: Sequence[Segment],
        timestamp_deltas: Sequence[int],
    ) -> None:
        """The records lack their end; the sizes don't. `middle` is how many bytes of a body stand
        before its value. Timestamp deltas are zigzag-encoded."""
        self.encoded = encoded
        self.end = encoded[-END_SIZE:]
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
        """Each body from byte `skipped` on, with `end` appended."""
        bodies: list[bytes] = []
        for segment in self._segments:
            behind = itemgetter(slice(segment.prefix + skipped, None))
            bodies += map(behind, self._records[segment.first : segment.end])
        return [body + end for body in bodies]

    def rows_in_text(self, most: int) -> Iterator[RowsInText]:
        """All rows in order, up to `most` at a time, in the text `encoded`: there a regular
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
        if not is_sorted(rows):
            return None
        records, end = select(self._records, rows), self.end
        sizes: Sequence[int] = select(self._sizes, rows)
        if extra_headers:
            last, none = end[:1], end[1:]
            counted = [block or none for block in extra_headers]
            if MAX_SIZE + max(map(len, counted)) >= TWO_BYTE_LIMIT:
                return None
            records = [
                LENGTHS[len(its := record[LENGTH_SIZE:] + last + headers)] + its
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
        segments: Sequence[Segment],
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
        growth, count = prefix - MIN_PREFIX, len(self) - first
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
        """As `encode`, of the rows from `first` up to `stop`."""
        behind = first_delta - first
        for segment in self._segments:
            row, end = max(first, segment.first), min(stop, segment.end)
            for run in _split_at_delta_size(row, end, SHORT_DELTAS - behind):
                self._write(buffer, *run, segment, base_timestamp, behind)

    def _write(
        self, buffer: bytearray, first: int, stop: int, segment: Segment, base: int, behind: int
    ) -> None:
        """Of rows that are in one segment, and will be."""
        records, timestamp_deltas = self._records[first:stop], self._encoded_deltas[first:stop]
        prefix, first_delta, end_delta, end = (
            segment.prefix,
            first + behind,
            stop + behind,
            self._end,
        )
        delta_size, shift = 1 if end_delta <= SHORT_DELTAS else 2, self._base - base
        fits = delta_size == segment.delta_size and end_delta <= MAX_RECORDS
        if not fits or (shift and not self._take(segment.stamp_size, timestamp_deltas, shift)):
            bodies = [record[prefix:] + end for record in records]
            buffer += encode(bodies, _timestamps(timestamp_deltas, self._base), base, first_delta)
            return
        form, at = FORMS[delta_size], len(buffer) + prefix - delta_size
        columns: list[Iterable[int]] = [WORDS[first_delta:end_delta]]
        if shift:
            form, at = FORMS[segment.stamp_size] + form, len(buffer) + STAMP
            columns.insert(0, _shifted(timestamp_deltas, shift, segment.stamp_size))
        buffer += end.join(records)
        buffer += end
        places = accumulate(self._sizes[first:stop], initial=at)
        deque(map(Struct("<" + form).pack_into, repeat(buffer), places, *columns), maxlen=0)

    def _take(self, size: int, timestamp_deltas: Sequence[int], shift: int) -> bool:
        """Whether timestamp deltas take `size` bytes once they are shifted, and are in `WORDS`."""
        if size not in FORMS:
            return False
        least, end = (0, SHORT_DELTAS) if size == 1 else (SHORT_DELTAS, TWO_BYTE_LIMIT)
        if least <= shift and (self._latest >> 1) + shift < end:  # all of the batch do
            return True
        return (
            least <= (min(timestamp_deltas) >> 1) + shift
            and (max(timestamp_deltas) >> 1) + shift < end
        )


def _shifted(timestamp_deltas: Sequence[int], shift: int, size: int) -> Sequence[int]:
    """The words of timestamp deltas that are shifted, and take `size` bytes."""
    if size == 1:
        return bytes(timestamp_deltas).translate(_shift_by(2 * shift))
    return [WORDS[(zigzag >> 1) + shift] for zigzag in timestamp_deltas]


@lru_cache(SHORT_DELTAS)
def _shift_by(number: int) -> bytes:
    return bytes(max(0, min(255, byte + number)) for byte in range(256))


def _split_at_delta_size(first: int, stop: int, longer: int) -> Iterator[tuple[int, int]]:
    """The rows in two, where those from `longer` on have offset deltas that take a byte more."""
    for row, end in ((first, min(stop, longer)), (max(first, longer), stop)):
        if row < end:
            yield row, end


def _timestamps(timestamp_deltas: Sequence[int], base: int) -> list[int]:
    return [base + (zigzag >> 1) for zigzag in timestamp_deltas]
