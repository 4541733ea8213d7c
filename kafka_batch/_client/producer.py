"""Whole batches into Kafka: kafka-python 3.0.12, its batches filled many records at a time."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, chain, islice
from typing import Any, Protocol

from kafka.partitioner import murmur2
from kafka.producer.producer_batch import ProducerBatch
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.structs import TopicPartition

from kafka_batch._client.client import Producer, never
from kafka_batch._records.alike import MOST_RECORDS, last_within, pick
from kafka_batch._records.batch import Batch
from kafka_batch._records.codec import HeaderBlock, Record, append_headers, encode, encode_tail

_MOST_FRONT_BYTES: int = DefaultRecordBatchBuilder.MAX_RECORD_OVERHEAD
_MANY_BATCHES = 8
_MOST_FRAME: int = DefaultRecordBatchBuilder.HEADER_STRUCT.size + _MOST_FRONT_BYTES


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key, as Kafka's own default partitioner places it (murmur2)."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


def record_size(tail_size: int, extra_headers: HeaderBlock | None = None) -> int:
    """The most bytes that a batch of this one record takes, by the size of its tail, which a
    topic's max.message.bytes bounds (for a record that is not compressed)."""
    return _MOST_FRAME + tail_size + len(extra_headers or b"")


class Rows(Protocol):
    """Records that are to be put into batches."""

    def __len__(self) -> int: ...

    def fitting(self, first: int, room: int, front: int) -> int:
        """Where the rows from `first` on end that take at most so many bytes, if each has a front
        of so many."""

    def latest(self, first: int, stop: int) -> int:
        """The latest timestamp of the rows from `first` up to `stop`."""

    def base_of(self, first: int) -> int:
        """The base timestamp of a batch that begins with this row."""

    def suits(self, base_timestamp: int) -> bool:
        """Whether a batch with this one is as good as a new one."""

    def write(
        self, buffer: bytearray, first: int, stop: int, base_timestamp: int, first_delta: int
    ) -> None:
        """Adds the rows from `first` up to `stop`, with offset deltas that rise from
        `first_delta`."""


class Tails:
    """`Rows` of which the tails are known."""

    def __init__(self, timestamps: Sequence[int], tails: Sequence[bytes]) -> None:
        self._ends = [*accumulate(map(len, tails), initial=0)]
        self._timestamps = timestamps
        self._tails = tails

    def __len__(self) -> int:
        return len(self._tails)

    def fitting(self, first: int, room: int, front: int) -> int:
        """By their tails."""
        return last_within(self._ends, first, room, front)

    def latest(self, first: int, stop: int) -> int:
        """That of what is given."""
        return max(self._timestamps[first:stop])

    def base_of(self, first: int) -> int:
        """The row's own timestamp."""
        return self._timestamps[first]

    def suits(self, _base_timestamp: int) -> bool:
        """Any batch is."""
        return True

    def write(
        self, buffer: bytearray, first: int, stop: int, base_timestamp: int, first_delta: int
    ) -> None:
        """By `codec.encode`."""
        tails, timestamps = self._tails[first:stop], self._timestamps[first:stop]
        buffer += encode(tails, timestamps, base_timestamp, first_delta)


class BatchProducer(Producer):
    """A producer that takes many records of one partition, or chosen records of a batch.

    With `whole_batches` it writes them into the client's batches itself; without, it has the
    client's own encoder do so, one record at a time.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        give_up_at: Callable[[], float] = never,
        *,
        whole_batches: bool = True,
        **configs: Any,
    ) -> None:
        super().__init__(bootstrap_servers, give_up_at, **configs)
        self._whole_batches = whole_batches
        self._holds = False
        self._held: defaultdict[TopicPartition, deque[ProducerBatch]] = defaultdict(deque)

    def hold(self) -> None:
        """Keeps what is added from now on, in batches that are ready to be sent: it belongs to a
        later Kafka transaction than the one that is about to be committed."""
        self._holds = True

    @property
    def held_bytes(self) -> int:
        """How much is kept."""
        batches = chain.from_iterable(self._held.values())
        return sum(batch.records.size_in_bytes() for batch in batches)

    def release(self) -> None:
        """Sends what was kept, and all that follows."""
        self._holds = False
        held, now = self.drop_held(), time.monotonic()
        for partition, batches in held.items():
            for batch in batches:
                batch.created = batch.last_attempt = now  # its time begins
            with self._queue(partition) as queue:
                queue.extend(batches)
        if held:
            self._sender.wakeup()

    def drop_held(self) -> dict[TopicPartition, deque[ProducerBatch]]:
        """Forgets what was kept, and returns it."""
        held = dict(self._held)
        self._held.clear()
        return held

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
            self._extend_encoded(partition, Tails(timestamps, [*map(encode_tail, *columns)]))

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
        partition = self._place(batch, topic)
        if self._whole_batches:
            alike = (
                batch.alike.chosen(rows, extra_headers) if batch.alike and not timestamps else None
            )
            self._extend_encoded(partition, alike or _tails(batch, rows, extra_headers, timestamps))
        else:
            self._extend_one_by_one(partition, _records(batch, rows, extra_headers, timestamps))

    def replace(self, batch: Batch, topic: str, record: Record) -> None:
        """Sends a record in the place of one of the batch: to where `forward` would pass it on."""
        self.extend(self._place(batch, topic), [record])

    def _place(self, batch: Batch, topic: str) -> TopicPartition:
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
        if self._holds:
            yield self._held[partition]
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
    if base is not None and 2 * builder.size() > batch_size and not rows.suits(base):
        return first
    most: int = first + MOST_RECORDS - records._next_offset
    stop = min(most, rows.fitting(first, batch_size - builder.size(), _MOST_FRONT_BYTES))
    if base is None:
        stop = max(stop, first + 1)
        base = builder._first_timestamp = builder._max_timestamp = rows.base_of(first)
    if stop > first:
        rows.write(builder._buffer, first, stop, base, records._next_offset)
        builder._max_timestamp = max(builder._max_timestamp, rows.latest(first, stop))
        builder._num_records += stop - first
        records._next_offset += stop - first
        builder._last_offset = records._next_offset - 1
    return stop


def _tails(
    batch: Batch,
    rows: Sequence[int],
    extra_headers: Sequence[HeaderBlock | None] | None,
    timestamps: Sequence[int] | None,
) -> Tails:
    tails = pick(batch.tails, rows)
    if extra_headers:
        tails = [
            append_headers(tail, block, bare=batch.bare) if block else tail
            for tail, block in zip(tails, extra_headers, strict=True)
        ]
    return Tails(timestamps or pick(batch.timestamps, rows), tails)


def _records(
    batch: Batch,
    rows: Sequence[int],
    extra: Sequence[HeaderBlock | None] | None,
    timestamps: Sequence[int] | None,
) -> Iterator[Record]:
    keys, values, headers = batch.keys, batch.values, batch.headers
    stamps = timestamps or pick(batch.timestamps, rows)
    for position, row in enumerate(rows):
        block = extra[position] if extra else None
        own = [*headers[row], *block.decoded()] if block else headers[row]
        yield stamps[position], keys[row], values[row], own
