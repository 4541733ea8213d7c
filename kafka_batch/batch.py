"""A batch: consecutive records of one partition, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass

Header = tuple[str, bytes | None]
Headers = Sequence[Header]
Record = tuple[int, bytes | None, bytes | None, Headers]
"""A record to send: timestamp in milliseconds since the epoch, key, value, headers."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition in offset order; the columns are equally long.

    Offsets rise strictly but not always by one: compaction and transaction markers leave gaps.
    Timestamps are in milliseconds since the epoch, or -1 where the producer set none.
    """

    topic: str
    partition: int
    offsets: Sequence[int]
    timestamps: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: Sequence[Headers]
    leader_epoch: int = -1

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def next_offset(self) -> int:
        """The offset to commit once the whole batch has been dealt with."""
        return self.offsets[-1] + 1
