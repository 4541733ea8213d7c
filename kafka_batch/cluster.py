"""What a service needs of Kafka, as an interface, and its adapter to real brokers.

The second adapter is `kafka_batch.lists`, without brokers; both pass the same tests
(`test/stream_contract.py`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Protocol

from kafka.structs import TopicPartition

from kafka_batch._client.kafka_python_3_0.batch_producer import BatchProducer
from kafka_batch._client.reader import PartitionReader
from kafka_batch._client.topics import TopicLimits, describe_topics
from kafka_batch._records.batch import Batch, KeyValues
from kafka_batch._records.bodies import HeaderBlock, Record
from kafka_batch._stream.observer import BeforeCommit, Observer
from kafka_batch._stream.stream import IDLE_WAIT_MS, Stream
from kafka_batch.config import StreamConfig
from kafka_batch.errors import map_kafka_errors

_DELIVERY_S = 10.0


class TransactionalStream(Protocol):
    """Batches in, batches out, committed together: see `Stream`, which says what each does."""

    def __enter__(self) -> "TransactionalStream": ...
    def __exit__(self, *exc: object) -> None: ...
    def read(self, idle_wait_ms: float = IDLE_WAIT_MS) -> Batch | None: ...
    def forward(
        self,
        batch: Batch,
        topic: str,
        rows: Sequence[int],
        extra_headers: Sequence[HeaderBlock | None] | None = None,
        timestamps: Sequence[int] | None = None,
    ) -> None: ...
    def replace(self, batch: Batch, topic: str, record: Record) -> None: ...
    def send(self, topic: str, partition: int, records: Sequence[Record]) -> None: ...
    def paused_positions(self) -> dict[int, int]: ...
    def resume(self, partition: int) -> None: ...
    def blocked_partitions(self) -> list[int]: ...
    def commit(self) -> None: ...
    def lag(self) -> dict[int, int]: ...
    @property
    def topic_id_tag(self) -> str: ...
    @property
    def member_id(self) -> str: ...
    def close(self, timeout_s: float = 3.0) -> None: ...


class Reader(Protocol):
    """Reads one partition outside of any group: `PartitionReader` says what each method does."""

    def begin(self, topic: str, partition: int) -> int: ...
    def seek(self, offset: int) -> None: ...
    def read(self, wait_ms: float = ...) -> Batch | None: ...
    def read_key_values(self, wait_ms: float = ...) -> KeyValues | None: ...
    @property
    def position(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def at_end(self) -> bool: ...
    def close(self) -> None: ...


class Cluster(Protocol):
    """Topics, and streams over them. All methods raise a StreamError where they fail."""

    def open_stream(
        self,
        config: StreamConfig,
        observer: Observer,
        deadline_at: Callable[[], float],
        member_id: str,
        before_commit: BeforeCommit,
    ) -> TransactionalStream:
        """A member of the group that `config` names."""

    def open_reader(self, config: StreamConfig, wait_ms: int = 500) -> Reader:
        """A reader of committed records, which learns within `wait_ms` that it is at the end."""

    def describe(self, config: StreamConfig, names: Iterable[str]) -> Mapping[str, TopicLimits]:
        """The limits of each topic."""

    def write(self, config: StreamConfig, topic: str, partition: int, record: Record) -> None:
        """Writes one record by itself, and waits until it is there."""


class KafkaCluster:
    """`Cluster` on the brokers that a configuration names."""

    def open_stream(
        self,
        config: StreamConfig,
        observer: Observer,
        deadline_at: Callable[[], float],
        member_id: str,
        before_commit: BeforeCommit,
    ) -> Stream:
        return Stream(config, observer, deadline_at, member_id, before_commit)

    def open_reader(self, config: StreamConfig, wait_ms: int = 500) -> PartitionReader:
        return PartitionReader(**config.for_a_reader(wait_ms))

    def describe(self, config: StreamConfig, names: Iterable[str]) -> Mapping[str, TopicLimits]:
        return describe_topics(config.bootstrap_servers, names)

    def write(self, config: StreamConfig, topic: str, partition: int, record: Record) -> None:
        settings = config.for_the_producer()
        with map_kafka_errors(None), closing(BatchProducer(**settings)) as producer:
            producer.extend(TopicPartition(topic, partition), [record])
            producer.flush_within(_DELIVERY_S)


KAFKA = KafkaCluster()
