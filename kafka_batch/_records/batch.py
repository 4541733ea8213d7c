"""A batch: consecutive records of one partition, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

from kafka_batch._records.bodies import Headers, encode_body, read_headers, read_keys
from kafka_batch._records.decoding import Columns
from kafka_batch._records.uniform import UniformRecords


class Batch(Protocol):
    """Records of one partition in offset order; the columns are equally long.

    Offsets rise strictly but not always by one: compaction and transaction markers leave gaps.
    Timestamps are in milliseconds since the epoch, or -1 where the producer set none.
    `next_offset` is what to commit once the whole batch has been dealt with. A *body* is a
    record's key, value and headers as Kafka encodes them (`kafka_batch._records.bodies`).
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
    def bodies(self) -> Sequence[bytes]: ...
    @property
    def headerless(self) -> bool:
        """Whether it is known that no record has headers."""

    @property
    def uniform(self) -> UniformRecords | None:
        """The records as they are encoded, where they are uniform: so they are passed on in half of
        the time."""

    @property
    def max_body_size(self) -> int:
        """An upper bound of its largest body, in bytes."""

    @property
    def timestamp_bounds(self) -> tuple[int, int]:
        """No timestamp is before the first of these, and none after the second."""

    def __len__(self) -> int: ...


class KeyValues(NamedTuple):
    """The keys and values of a batch, and what follows it."""

    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    next_offset: int


class _FromColumns:
    """What of a batch follows from its columns."""

    @property
    def max_body_size(self: Batch) -> int:
        return max(map(len, self.bodies))

    @property
    def timestamp_bounds(self: Batch) -> tuple[int, int]:
        return min(self.timestamps), max(self.timestamps)


@dataclass(frozen=True)
class PlainBatch(_FromColumns):
    """A `Batch` whose columns are given."""

    topic: str
    partition: int
    offsets: Sequence[int]
    timestamps: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: Sequence[Headers]
    leader_epoch: int = -1
    headerless = False
    uniform = None

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def next_offset(self) -> int:
        return self.offsets[-1] + 1

    @cached_property
    def bodies(self) -> Sequence[bytes]:
        return list(map(encode_body, self.keys, self.values, self.headers))


class UniformBatch:
    """A `Batch` of records that are uniform. Most columns are made when they are asked for."""

    headerless = True

    def __init__(
        self, topic: str, partition: int, leader_epoch: int, offsets: range, uniform: UniformRecords
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.leader_epoch = leader_epoch
        self.offsets = offsets
        self.uniform = uniform

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def next_offset(self) -> int:
        return self.offsets.stop

    @property
    def timestamps(self) -> Sequence[int]:
        return self.uniform.timestamps

    @property
    def values(self) -> Sequence[bytes]:
        return self.uniform.values

    @property
    def bodies(self) -> Sequence[bytes]:
        return self.uniform.bodies

    @cached_property
    def keys(self) -> Sequence[bytes | None]:
        return read_keys(self.bodies)

    @cached_property
    def headers(self) -> Sequence[Headers]:
        return [()] * len(self)

    @property
    def max_body_size(self) -> int:
        return self.uniform.max_body_size

    @property
    def timestamp_bounds(self) -> tuple[int, int]:
        return self.uniform.timestamp_bounds


class EncodedBatch(_FromColumns):
    """A `Batch` as it was fetched. Keys and headers are taken out of the bodies when asked for."""

    uniform = None

    def __init__(
        self, topic: str, partition: int, leader_epoch: int, next_offset: int, columns: Columns
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.leader_epoch = leader_epoch
        self.next_offset = next_offset
        self.offsets, self.timestamps, self.values, self.bodies, self.headerless = columns

    def __len__(self) -> int:
        return len(self.offsets)

    @cached_property
    def keys(self) -> Sequence[bytes | None]:
        return read_keys(self.bodies)

    @cached_property
    def headers(self) -> Sequence[Headers]:
        return [()] * len(self) if self.headerless else list(map(read_headers, self.bodies))
