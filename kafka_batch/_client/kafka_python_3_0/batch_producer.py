"""Whole batches into Kafka: kafka-python 3.0.12, its batches filled many records at a time."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any

from kafka.partitioner import murmur2
from kafka.producer.producer_batch import ProducerBatch
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.structs import TopicPartition

from kafka_batch._client.kafka_python_3_0.producer import Producer, never
from kafka_batch._records.batch import Batch
from kafka_batch._records.bodies import HeaderBlock, Record, append_headers, encode_body
from kafka_batch._records.row_mask import select
from kafka_batch._records.rows import RecordBodies, Rows
from kafka_batch._records.uniform_format import MAX_RECORDS

_MAX_FRONT_BYTES: int = DefaultRecordBatchBuilder.MAX_RECORD_OVERHEAD
_MANY_BATCHES = 8
_MAX_FRAME: int = DefaultRecordBatchBuilder.HEADER_STRUCT.size + _MAX_FRONT_BYTES


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key, as Kafka's own default partitioner places it (murmur2)."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


def record_size(body_size: int, extra_headers: HeaderBlock | None = None) -> int:
    """The most bytes that a batch of this one record takes, by the size of its body, which a
    topic's max.message.bytes bounds (for a record that is not compressed)."""
    return _MAX_FRAME + body_size + len(extra_headers or b"")


class BatchProducer(Producer):
    """A producer that takes many records of one partition, or chosen records of a batch.

    With `whole_batches` it writes them into the client's batches itself; without, it has the
    client's own encoder do so, one record at a time.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        deadline_at: Callable[[], float] = never,
        *,
        whole_batches: bool = True,
        **configs: Any,
    ) -> None:
        super().__init__(bootstrap_servers, deadline_at, **configs)
        self._whole_batches = whole_batches
        self._is_staging = False
        self._staged: defaultdict[TopicPartition, deque[ProducerBatch]] = defaultdict(deque)

    def stage(self) -> None:
        """Keeps what is added from now on, in batches that are ready to be sent: it belongs to a
        later Kafka transaction than the one that is about to be committed."""
        self._is_staging = True

    @property
    def staged_bytes(self) -> int:
        """How much is kept."""
        batches = chain.from_iterable(self._staged.values())
        return sum(batch.records.size_in_bytes() for batch in batches)

    def unstage(self) -> None:
        """Sends what was kept, and all that follows."""
        self._is_staging = False
        staged, now = self.discard_staged(), time.monotonic()
        for partition, batches in staged.items():
            for batch in batches:
                batch.created = batch.last_attempt = now  # its time begins
            with self._queue(partition) as queue:
                queue.extend(batches)
        if staged:
            self._sender.wakeup()

    def discard_staged(self) -> dict[TopicPartition, deque[ProducerBatch]]:
        """Forgets what was kept, and returns it."""
        staged = dict(self._staged)
        self._staged.clear()
        return staged

    def extend(self, partition: TopicPartition, records: Iterable[Record]) -> None:
        """Adds records to the partition's open batch, and opens further ones as they fill up.

        `send` does this for one record at a time, with a future for each. It also refuses a
        record with neither key nor value, and a header with a null value; both are valid in
        Kafka, and a record that is passed on must stay as it is [15].

        Raises:
            KafkaTimeoutError: the topic is not known, and no broker says more in time.
        """
        if not self._whole_batches:
            self._extend_one_by_one(partition, records)
        elif known := [*records]:
            timestamps, *columns = zip(*known, strict=True)
            self._extend_encoded(partition, RecordBodies(timestamps, [*map(encode_body, *columns)]))

    def forward(
        self,
        batch: Batch,
        topic: str,
        rows: Sequence[int],
        extra_headers: Sequence[HeaderBlock | None] | None = None,
        timestamps: Sequence[int] | None = None,
    ) -> None:
        """Passes on the batch's chosen rows: key, value, timestamp and headers unchanged.

        `extra_headers`, one for each row or none, are appended to the record's own; `timestamps`
        stand in the place of its own. A record keeps its partition number, modulo those that the
        topic has: what was in one partition stays in one, in order, also where the batch's topic
        gets further partitions later.

        Raises:
            KafkaTimeoutError: the topic is not known, and no broker says more in time.
        """
        partition = self._target_partition(batch, topic)
        if self._whole_batches:
            uniform = (
                batch.uniform.chosen(rows, extra_headers)
                if batch.uniform and not timestamps
                else None
            )
            self._extend_encoded(
                partition, uniform or _bodies(batch, rows, extra_headers, timestamps)
            )
        else:
            self._extend_one_by_one(partition, _records(batch, rows, extra_headers, timestamps))

    def replace(self, batch: Batch, topic: str, record: Record) -> None:
        """Sends a record in the place of one of the batch: to where `forward` would pass it on."""
        self.extend(self._target_partition(batch, topic), [record])

    def _target_partition(self, batch: Batch, topic: str) -> TopicPartition:
        return TopicPartition(topic, batch.partition % self.partition_count(topic))

    def _extend_one_by_one(self, partition: TopicPartition, records: Iterable[Record]) -> None:
        with self._queue(partition) as queue:
            batch = queue[-1] if queue else None
            for record in records:
                # A batch that is full, or was sent before, takes no more: it returns None.
                if batch is None or batch.records.append(*record) is None:
                    batch = self._open_batch(partition)
                    batch.records.append(*record)
                    queue.append(batch)

    def _extend_encoded(self, partition: TopicPartition, rows: Rows) -> None:
        size = self.config["batch_size"]
        done = 0
        with self._queue(partition) as queue:
            if queue:
                done = fill(queue[-1].records, size, rows)
            while done < len(rows):
                batch = self._open_batch(partition)
                done = fill(batch.records, size, rows, done)
                queue.append(batch)

    @contextmanager
    def _queue(self, partition: TopicPartition) -> Iterator[deque[ProducerBatch]]:
        """The partition's batches that are not sent, under their lock; or those that are kept.

        The sender is woken where one was opened: the one before is full, or it must learn that
        there is one. In a Kafka transaction only where many wait: its end wakes the sender, and
        each time takes the time of a hundred records."""
        self.partition_count(partition.topic)  # the sender only looks for topics it was told of
        if self._is_staging:
            yield self._staged[partition]
            return
        is_transactional = self.config["transactional_id"] is not None
        if is_transactional:
            self._transaction_manager.maybe_add_partition_to_transaction(partition)
        accumulator = self._accumulator
        with accumulator._tp_lock(partition):
            queue = accumulator._batches[partition]
            before = len(queue)
            yield queue
            waiting = len(queue)
            for batch in islice(queue, before, None):
                accumulator._incomplete.add(batch)
                self._undelivered.append(batch)
        if waiting > before and (waiting >= _MANY_BATCHES or not is_transactional):
            self._sender.wakeup()

    def _open_batch(self, partition: TopicPartition) -> ProducerBatch:
        config = self.config
        records = MemoryRecordsBuilder(2, config["compression_attrs"], config["batch_size"])
        return ProducerBatch(partition, records)


def fill(records: MemoryRecordsBuilder, batch_size: int, rows: Rows, first: int = 0) -> int:
    """Adds as many records to a batch of the client as it takes, and says where the rest begins.

    `first` is where to begin. An empty batch takes one record of any size.
    """
    builder = records._builder
    if builder is None:
        return first  # it was sent before
    base = builder._first_timestamp
    if base is not None and 2 * builder.size() > batch_size and not rows.is_compatible_with(base):
        return first
    most: int = first + MAX_RECORDS - records._next_offset
    stop = min(most, rows.count_fitting(first, batch_size - builder.size(), _MAX_FRONT_BYTES))
    if base is None:
        stop = max(stop, first + 1)
        base = builder._first_timestamp = builder._max_timestamp = rows.base_timestamp_at(first)
    if stop > first:
        rows.write(builder._buffer, first, stop, base, records._next_offset)
        builder._max_timestamp = max(builder._max_timestamp, rows.max_timestamp(first, stop))
        builder._num_records += stop - first
        records._next_offset += stop - first
        builder._last_offset = records._next_offset - 1
    return stop


def _bodies(
    batch: Batch,
    rows: Sequence[int],
    extra_headers: Sequence[HeaderBlock | None] | None,
    timestamps: Sequence[int] | None,
) -> RecordBodies:
    bodies = select(batch.bodies, rows)
    if extra_headers:
        bodies = [
            append_headers(body, block, headerless=batch.headerless) if block else body
            for body, block in zip(bodies, extra_headers, strict=True)
        ]
    return RecordBodies(timestamps or select(batch.timestamps, rows), bodies)


def _records(
    batch: Batch,
    rows: Sequence[int],
    extra: Sequence[HeaderBlock | None] | None,
    timestamps: Sequence[int] | None,
) -> Iterator[Record]:
    keys, values, headers = batch.keys, batch.values, batch.headers
    stamps = timestamps or select(batch.timestamps, rows)
    for position, row in enumerate(rows):
        block = extra[position] if extra else None
        own = [*headers[row], *block.decoded()] if block else headers[row]
        yield stamps[position], keys[row], values[row], own
