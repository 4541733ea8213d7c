"""A batch: consecutive records of one partition, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

from kafka_batch import codec
from kafka_batch.codec import Columns, Headers


class Batch(Protocol):
    """Records of one partition in offset order; the columns are equally long.

    Offsets rise strictly but not always by one: compaction and transaction markers leave gaps.
    Timestamps are in milliseconds since the epoch, or -1 where the producer set none.
    `next_offset` is what to commit once the whole batch has been dealt with. A *tail* is a
    record's key, value and headers as Kafka encodes them (`kafka_batch.codec`).
    """

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def leader_epoch(self) -> int: ...
    @property
    def next_offset(self) -> int: ...
    @property
    def offsets(self) -> Sequence[int]: ...
    @property
    def timestamps(self) -> Sequence[int]: ...
    @property
    def keys(self) -> Sequence[bytes | None]: ...
    @property
    def values(self) -> Sequence[bytes | None]: ...
    @property
    def headers(self) -> Sequence[Headers]: ...
    @property
    def tails(self) -> Sequence[bytes]: ...
    @property
    def bare(self) -> bool:
        """Whether it is known that no record has headers."""

    @property
    def found(self) -> Sequence[Sequence[bytes]] | None:
        """What an expression that the batch was read with found in the values: a column for each
        of its groups, empty where a group took no part. None where the batch was read without."""

    def __len__(self) -> int: ...


class Pairs(NamedTuple):
    """The keys and values of a batch, and what follows it."""

    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    next_offset: int


@dataclass(frozen=True)
class PlainBatch:
    """A `Batch` whose columns are given."""

    topic: str
    partition: int
    offsets: Sequence[int]
    timestamps: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: Sequence[Headers]
    leader_epoch: int = -1
    bare = False
    found = None

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def next_offset(self) -> int:
        return self.offsets[-1] + 1

    @cached_property
    def tails(self) -> Sequence[bytes]:
        return list(map(codec.encode_tail, self.keys, self.values, self.headers))


class EncodedBatch:
    """A `Batch` as it was fetched. Keys and headers are taken out of the tails when asked for."""

    def __init__(
        self, topic: str, partition: int, leader_epoch: int, next_offset: int, columns: Columns
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.leader_epoch = leader_epoch
        self.next_offset = next_offset
        self.offsets, self.timestamps, self.values, self.tails, self.bare, self.found = columns

    def __len__(self) -> int:
        return len(self.offsets)

    @cached_property
    def keys(self) -> Sequence[bytes | None]:
        return codec.read_keys(self.tails)

    @cached_property
    def headers(self) -> Sequence[Headers]:
        return [()] * len(self) if self.bare else list(map(codec.read_headers, self.tails))
