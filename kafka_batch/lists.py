"""A cluster in memory: topics are lists of records.

It has the meaning of `KafkaCluster` without its brokers, threads and waiting, for tests of what
stands on a stream and for replays: a stream is the only member of its group, a commit is done when
the call returns, and nothing goes wrong.
"""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kafka_batch._client.topics import TopicLimits
from kafka_batch._records.batch import Batch, KeyValues, PlainBatch
from kafka_batch._records.bodies import HeaderBlock, Headers, Record
from kafka_batch._stream.observer import BeforeCommit, Observer
from kafka_batch.config import StreamConfig
from kafka_batch.errors import FatalError

_BATCH_RECORDS = 500


@dataclass
class Topic:
    """Committed records by partition; a record's index is its offset. `committed` has the next
    offset of each group and partition."""

    limits: TopicLimits
    partitions: list[list[Record]]
    committed: dict[tuple[str, int], int] = field(default_factory=dict)
    identity: str = field(default_factory=lambda: uuid.uuid4().hex)


class ListCluster:
    """Topics by name."""

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}

    def create(self, name: str, partitions: int, cleanup_policy: str = "delete") -> None:
        """Makes a topic, in the place of the one that has the name."""
        limits = TopicLimits(partitions, cleanup_policy=cleanup_policy)
        self.topics[name] = Topic(limits, [[] for _ in range(partitions)])

    def records(self, topic: str) -> list[Record]:
        """All committed records of a topic, partition by partition."""
        return [record for partition in self.topic(topic).partitions for record in partition]

    def topic(self, name: str) -> Topic:
        """
        Raises:
            FatalError: it does not exist.
        """
        if name not in self.topics:
            raise FatalError(f"topic {name!r} does not exist: create it, or correct the name")
        return self.topics[name]

    def append(self, topic: str, partition: int, records: Iterable[Record]) -> None:
        """Writes records, which are visible at once."""
        self.topic(topic).partitions[partition].extend(records)

    # -- Cluster

    def open_stream(
        self,
        config: StreamConfig,
        observer: Observer,
        deadline_at: Callable[[], float],  # noqa: ARG002  # nothing waits
        member_id: str,
        before_commit: BeforeCommit,
    ) -> "ListStream":
        return ListStream(self, config, observer, member_id, before_commit)

    def open_reader(self, config: StreamConfig, wait_ms: int = 500) -> "ListReader":  # noqa: ARG002
        return ListReader(self)

    def describe(
        self,
        config: StreamConfig,  # noqa: ARG002
        names: Iterable[str],
    ) -> Mapping[str, TopicLimits]:
        return {name: self.topic(name).limits for name in names}

    def write(
        self,
        config: StreamConfig,  # noqa: ARG002
        topic: str,
        partition: int,
        record: Record,
    ) -> None:
        self.append(topic, partition, [record])


class ListStream:
    """`TransactionalStream` over a `ListCluster`."""

    def __init__(
        self,
        cluster: ListCluster,
        config: StreamConfig,
        observer: Observer,
        member_id: str,
        before_commit: BeforeCommit,
    ) -> None:
        self.member_id = member_id or uuid.uuid4().hex
        self._cluster = cluster
        self._config = config
        self._observer = observer
        self._before_commit = before_commit
        self._input = cluster.topic(config.topic)
        self._positions: dict[int, int] = {}
        self._paused: set[int] = set()
        self._offsets: dict[int, int] = {}  # read, and yet to be committed
        self._staged: defaultdict[tuple[str, int], list[Record]] = defaultdict(list)

    def __enter__(self) -> "ListStream":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def topic_id_tag(self) -> str:
        return self._input.identity

    def read(self, idle_wait_ms: float = 0.0) -> Batch | None:  # noqa: ARG002  # it never waits
        if not self._positions:
            self._join()
        if not any(self._fetchable()):
            self.commit()
        for partition in self._fetchable():
            batch = _batch_of(self._cluster, self._config.topic, partition, self._positions)
            self._offsets[partition] = self._positions[partition] = batch.next_offset
            return batch
        return None

    def _join(self) -> None:
        group, known = self._config.group, self._input.committed
        numbers = range(len(self._input.partitions))
        self._positions = {number: known.get((group, number), 0) for number in numbers}
        if self._config.pause_on_assignment:
            self._paused.update(numbers)
        self._observer.rebalanced(numbers)

    def _fetchable(self) -> list[int]:
        lag = self.lag()
        return [it for it in self._positions if lag[it] and it not in self._paused]

    def forward(
        self,
        batch: Batch,
        topic: str,
        rows: Sequence[int],
        extra_headers: Sequence[HeaderBlock | None] | None = None,
        timestamps: Sequence[int] | None = None,
    ) -> None:
        staged = self._output(batch, topic)
        for n, row in enumerate(rows):
            extra = extra_headers[n] if extra_headers else None
            headers: Headers = (*batch.headers[row], *(extra.decoded() if extra else ()))
            time_ms = timestamps[n] if timestamps else batch.timestamps[row]
            staged.append((time_ms, batch.keys[row], batch.values[row], headers))

    def replace(self, batch: Batch, topic: str, record: Record) -> None:
        self._output(batch, topic).append(record)

    def send(self, topic: str, partition: int, records: Sequence[Record]) -> None:
        self._staged[topic, partition] += records

    def _output(self, batch: Batch, topic: str) -> list[Record]:
        partitions = len(self._cluster.topic(topic).partitions)
        return self._staged[topic, batch.partition % partitions]

    def paused_positions(self) -> dict[int, int]:
        return {it: self._positions[it] for it in sorted(self._paused)}

    def resume(self, partition: int) -> None:
        self._paused.discard(partition)

    def blocked_partitions(self) -> list[int]:
        return sorted(self._paused)

    def commit(self) -> None:
        if not self._offsets:
            return
        self._before_commit(dict(self._offsets))
        self._observer.committing()
        for (topic, partition), records in self._staged.items():
            self._cluster.append(topic, partition, records)
        for partition, offset in self._offsets.items():
            self._input.committed[self._config.group, partition] = offset
        self._discard()
        self._observer.committed(0.0)

    def lag(self) -> dict[int, int]:
        partitions = self._input.partitions
        return {it: len(partitions[it]) - at for it, at in self._positions.items()}

    def close(self, timeout_s: float = 3.0) -> None:  # noqa: ARG002
        if self._offsets:
            self._discard()
            self._observer.aborted()

    def _discard(self) -> None:
        self._offsets.clear()
        self._staged.clear()


class ListReader:
    """`Reader` over a `ListCluster`."""

    def __init__(self, cluster: ListCluster) -> None:
        self._cluster = cluster
        self._topic, self._partition = "", -1
        self.position = 0

    def begin(self, topic: str, partition: int) -> int:
        self._topic, self._partition, self.position = topic, partition, 0
        return 0

    def seek(self, offset: int) -> None:
        self.position = offset

    def read(self, wait_ms: float = 0.0) -> Batch | None:  # noqa: ARG002  # it never waits
        if self.at_end:
            return None
        positions = {self._partition: self.position}
        batch = _batch_of(self._cluster, self._topic, self._partition, positions)
        self.position = batch.next_offset
        return batch

    def read_key_values(self, wait_ms: float = 0.0) -> KeyValues | None:
        batch = self.read(wait_ms)
        return None if batch is None else KeyValues(batch.keys, batch.values, batch.next_offset)

    @property
    def end(self) -> int:
        return len(self._cluster.topic(self._topic).partitions[self._partition])

    @property
    def at_end(self) -> bool:
        return self.position >= self.end

    def close(self) -> None:
        pass


def _batch_of(
    cluster: ListCluster, topic: str, partition: int, positions: Mapping[int, int]
) -> PlainBatch:
    first = positions[partition]
    records = cluster.topic(topic).partitions[partition][first : first + _BATCH_RECORDS]
    timestamps, keys, values, headers = zip(*records, strict=True)
    offsets = range(first, first + len(records))
    return PlainBatch(topic, partition, offsets, timestamps, keys, values, headers)
