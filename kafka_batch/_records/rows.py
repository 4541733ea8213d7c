"""Records on their way into batches."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

from kafka_batch._records.encoding import encode
from kafka_batch._records.row_mask import count_within


class Rows(Protocol):
    """Records that are to be put into batches."""

    def __len__(self) -> int: ...

    def count_fitting(self, first: int, room: int, prefix: int) -> int:
        """The end of the rows from `first` on that take at most `room` bytes, each with a prefix of
        `prefix` bytes."""

    def max_timestamp(self, first: int, stop: int) -> int:
        """The latest timestamp of the rows from `first` up to `stop`."""

    def base_timestamp_at(self, first: int) -> int:
        """The base timestamp of a batch that begins with this row."""

    def is_compatible_with(self, base_timestamp: int) -> bool:
        """Whether a batch with this one is as good as a new one."""

    def write(
        self, buffer: bytearray, first: int, stop: int, base_timestamp: int, first_delta: int
    ) -> None:
        """Adds the rows from `first` up to `stop`, with offset deltas that rise from
        `first_delta`."""


class RecordBodies:
    """`Rows` of which the bodies are known."""

    def __init__(self, timestamps: Sequence[int], bodies: Sequence[bytes]) -> None:
        self._ends = [*accumulate(map(len, bodies), initial=0)]
        self._timestamps = timestamps
        self._bodies = bodies

    def __len__(self) -> int:
        return len(self._bodies)

    def count_fitting(self, first: int, room: int, prefix: int) -> int:
        """By their bodies."""
        return count_within(self._ends, first, room, prefix)

    def max_timestamp(self, first: int, stop: int) -> int:
        """That of what is given."""
        return max(self._timestamps[first:stop])

    def base_timestamp_at(self, first: int) -> int:
        """The row's own timestamp."""
        return self._timestamps[first]

    def is_compatible_with(self, _base_timestamp: int) -> bool:
        """Any batch is."""
        return True

    def write(
        self, buffer: bytearray, first: int, stop: int, base_timestamp: int, first_delta: int
    ) -> None:
        """By `encode`."""
        bodies, timestamps = self._bodies[first:stop], self._timestamps[first:stop]
        buffer += encode(bodies, timestamps, base_timestamp, first_delta)
