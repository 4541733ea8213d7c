"""Partitions, read from an offset to their end, outside of any group."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from kafka_batch._client.kafka_python_3_0.batch_consumer import BatchConsumer, RawBatch
from kafka_batch._records.batch import Batch, KeyValues
from kafka_batch.errors import map_kafka_errors

_WAIT_MS = 20
_ASK_MS = 10_000  # several requests, each of which may be one to a broker that is silent
_CLOSE_MS = 500

_Found = TypeVar("_Found", Batch, KeyValues)


class PartitionReader:
    """Reads what was committed of one partition at a time, batch by batch.

        with PartitionReader(**config.for_a_reader()) as reader:
            reader.begin("topic", 0)
            while not reader.at_end:
                batch = reader.read()

    All methods raise a StreamError where the brokers can't be reached, or what is asked for is
    gone; all but `close`.
    """

    def __init__(self, **settings: Any) -> None:
        with map_kafka_errors(None):
            self._consumer = BatchConsumer(**settings)
        self._tp = TopicPartition("", -1)
        self._fetched: list[RawBatch] = []
        self._next_offset = 0

    def __enter__(self) -> "PartitionReader":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def begin(self, topic: str, partition: int) -> int:
        """Goes to the first record of a partition that is still there, and returns its offset."""
        self._tp = TopicPartition(topic, partition)
        self._consumer.retain_metadata(topic)
        with map_kafka_errors(None):
            self._consumer.assign([self._tp])
            first = int(self._consumer.beginning_offsets([self._tp], _ASK_MS)[self._tp])
        self.seek(first)
        return first

    def seek(self, offset: int) -> None:
        """Goes on at an offset."""
        self._fetched.clear()
        self._consumer.seek(self._tp, offset)

    def read(self, wait_ms: float = _WAIT_MS) -> Batch | None:
        """The next batch, if one comes soon."""
        return self._next(wait_ms, lambda fetched: fetched.batch())

    def read_key_values(self, wait_ms: float = _WAIT_MS) -> KeyValues | None:
        """As `read`, for the keys and values alone, which takes less time."""
        return self._next(wait_ms, lambda fetched: fetched.pairs())

    def _next(self, wait_ms: float, taken_apart: Callable[[RawBatch], _Found]) -> _Found | None:
        with map_kafka_errors(None):
            if not self._fetched:
                self._fetched = self._consumer.fetch(wait_ms)[::-1]
            if not self._fetched:
                return None
            found = taken_apart(self._fetched.pop())
        self._next_offset = found.next_offset
        return found

    @property
    def position(self) -> int:
        """All before this offset has been read."""
        if self._fetched:
            return self._next_offset
        return int(self._consumer.position(self._tp))

    @property
    def end(self) -> int:
        """The last stable offset."""
        with map_kafka_errors(None):
            return int(self._consumer.end_offsets([self._tp], _ASK_MS)[self._tp])

    @property
    def at_end(self) -> bool:
        """Whether all has been read that stood there at the last look. What a Kafka transaction
        that is still open has written counts as not read."""
        end = self._consumer.highwater(self._tp)
        return not self._fetched and end is not None and self.position >= end

    def close(self) -> None:
        """Ends the connections. Whatever goes wrong with them by then has no consequence."""
        with suppress(KafkaError):
            self._consumer.close(autocommit=False, timeout_ms=_CLOSE_MS)
