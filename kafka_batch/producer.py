"""Whole batches into Kafka."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat

from kafka.partitioner import murmur2
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.structs import TopicPartition

from kafka_batch.batch import Batch, Headers, Record
from kafka_batch.client import Producer


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key, as Kafka's own default partitioner places it (murmur2)."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


def record_size(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """The most bytes that a batch of this one record takes, which a topic's max.message.bytes
    bounds (for a record that is not compressed)."""
    present = [(name, b"" if content is None else content) for name, content in headers]
    return int(DefaultRecordBatchBuilder.estimate_size_in_bytes(key, value, present))


class BatchProducer(Producer):
    """A producer that takes many records of one partition, or chosen records of a batch."""

    def forward(
        self,
        batch: Batch,
        topic: str,
        rows: Sequence[int],
        extra_headers: Sequence[Headers] | None = None,
    ) -> None:
        """Passes on the batch's chosen rows: key, value, timestamp and headers unchanged.

        `extra_headers`, one for each row, are appended to the record's own. A record keeps its
        partition number where the topic has at least as many partitions as the batch's; else
        its key chooses, so that the records of a key stay in order.

        Raises:
            KafkaTimeoutError: the topic is not known, and no broker says more in time.
        """
        records = self._records(batch, rows, extra_headers or repeat(()))
        self._place(batch, topic, rows, records)

    def replace(self, batch: Batch, topic: str, row: int, record: Record) -> None:
        """Sends a record in the place of one row: to where `forward` would pass that row on."""
        self._place(batch, topic, [row], [record])

    def _records(
        self, batch: Batch, rows: Sequence[int], extra_headers: Iterable[Headers]
    ) -> Iterator[Record]:
        timestamps, keys, values = batch.timestamps, batch.keys, batch.values
        for row, extra in zip(rows, extra_headers, strict=False):
            headers = batch.headers[row]
            yield timestamps[row], keys[row], values[row], [*headers, *extra] if extra else headers

    def _place(
        self, batch: Batch, topic: str, rows: Sequence[int], records: Iterable[Record]
    ) -> None:
        partitions = self.partition_count(topic)
        if partitions >= self.partition_count(batch.topic):
            self.extend(TopicPartition(topic, batch.partition), records)
            return
        for row, record in zip(rows, records, strict=True):
            key = batch.keys[row]
            number = batch.partition % partitions if key is None else partition_of(key, partitions)
            self.extend(TopicPartition(topic, number), [record])
