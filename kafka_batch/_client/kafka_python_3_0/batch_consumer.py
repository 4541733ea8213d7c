"""Whole batches out of Kafka: kafka-python 3.0.12, with its fetched batches left whole."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

from kafka.consumer.fetcher import Fetcher
from kafka.errors import (
    CorruptRecordError,
    KafkaTimeoutError,
    UnknownTopicOrPartitionError,
    UnstableOffsetCommitError,
)
from kafka.protocol.consumer import IsolationLevel
from kafka.structs import TopicPartition

from kafka_batch._client.kafka_python_3_0.consumer import Consumer
from kafka_batch._records.batch import Batch, EncodedBatch, KeyValues, PlainBatch, UniformBatch
from kafka_batch._records.decoding import decode
from kafka_batch._records.key_values import decode_key_values
from kafka_batch._records.uniform_parsing import parse_uniform
from kafka_batch._records.varints import wrapped_timestamp

_MARK = "of topic "
_METADATA_TIMEOUT_S = 4.0
# Between two fetches: in a longer one, a topic can be deleted, recreated and filled, and a fetch by
# its name would go on in the middle of the new one.
_PAUSE_S = 1.0
_ASK_AGAIN_S = 0.1
_GROUPS = 8  # an answer of this version has groups
_MAX_BATCHES = 32
_MAX_RECORDS = 5_000  # of one read: a signal is seen within some 100 ms
_COLUMNS_SINCE = 2  # version of the record format

log = logging.getLogger(__name__)


class RawBatch(NamedTuple):
    """A fetched batch that is not decoded yet: the most records that it may have, and functions
    that decode all of them, or their keys and values alone.

    Both raise CorruptRecordError where the bytes are no such batch.
    """

    partition: TopicPartition
    size: int
    batch: Callable[[], Batch]
    pairs: Callable[[], KeyValues]


class BatchConsumer(Consumer):
    """A consumer whose records come as batches.

    With `whole_batches` they are the batches as their producer made them; without, by way of the
    client's public interface, at most one for each partition and read.
    """

    def __init__(self, *topics: str, whole_batches: bool = True, **configs: Any) -> None:
        super().__init__(*topics, **configs)
        self._pinned_topic: tuple[str, UUID] | None = None
        self._must_verify_topic = False  # whether the topic is still the one that we are tied to
        self._fetched_at = 0.0
        self._whole_batches = whole_batches
        if whole_batches:
            self._fetcher.PartitionRecords = WholeBatches

    def pin_topic(self, topic: str) -> str:
        """Takes the topic, whose metadata are known, for the one that it is now: when another one
        of its name takes its place, `fetch` fails [25].

        A partition whose committed offset waits for a Kafka transaction to end doesn't hold up the
        others: these are read from theirs [27].

        Returns what committed offsets are to be marked with, in their metadata: offsets with
        another topic's mark are not taken, and the topic is read from its beginning.
        """
        identity = self._cluster.topic_id(topic)
        if not identity:
            return ""  # brokers before 2.8
        self._pinned_topic, self._fetched_at = (topic, identity), time.monotonic()
        mark = f"{_MARK}{identity.hex}"
        _CommittedOffsets(mark, self._subscription).put_into(self._coordinator)
        request_offset_reset = self._subscription.request_offset_reset

        def noted(*args: Any) -> None:  # a position that is not in its log
            self._must_verify_topic = True
            request_offset_reset(*args)

        self._subscription.request_offset_reset = noted
        return mark

    def read(self, timeout_ms: float) -> list[Batch]:
        """Waits up to `timeout_ms` for batches; an empty list when there were none.

        Raises:
            KafkaError: what `KafkaConsumer.poll` raises.
        """
        return [batch for fetched in self.fetch(timeout_ms) if (batch := fetched.batch())]

    def fetch(self, timeout_ms: float) -> list[RawBatch]:
        """As `read`, but the batches are yet to be taken apart: each at its time, while what it is
        made of is still in the processor's cache, takes a good deal less.

        Raises:
            UnknownTopicOrPartitionError: another topic of its name has taken the topic's place.
            KafkaError: what `KafkaConsumer.poll` raises.
        """
        most = _MAX_BATCHES if self._whole_batches else _MAX_RECORDS
        if not self._fetcher._next_partition_records:
            # What was set aside of a paused partition is taken up again only where this is None,
            # and not where it is used up [26].
            self._fetcher._next_partition_records = None
        self._must_verify_topic |= time.monotonic() - self._fetched_at > _PAUSE_S
        found = self.poll(timeout_ms=timeout_ms, max_records=most)
        self._fetched_at = time.monotonic()
        self._must_verify_topic |= self._cluster.need_update  # there was an error
        if found:
            self._require_the_topic()
        if self._whole_batches:
            return [fetched for its_own in found.values() for fetched in its_own]
        return [_fetched_records(tp, records) for tp, records in found.items()]

    def _require_the_topic(self) -> None:
        if self._pinned_topic is None:
            return
        if self._must_verify_topic:
            self.refresh_metadata(_METADATA_TIMEOUT_S)
            self._must_verify_topic = False
        topic, identity = self._pinned_topic
        known = self._cluster.topic_id(topic)
        if known and known.int and known != identity:
            raise UnknownTopicOrPartitionError(f"topic {topic!r} was deleted, and recreated")


class _CommittedOffsets:
    """What a consumer takes of its group's committed offsets: those with the topic's mark, and of
    partitions whose offset a Kafka transaction that is open may commit, none until it has ended.
    """

    def __init__(self, mark: str, subscription: Any) -> None:
        self._mark = mark
        self._seek, self._reset = subscription.seek, subscription.request_offset_reset
        self._unstable: set[TopicPartition] = set()
        self._ask_at = 0.0

    def put_into(self, coordinator: Any) -> None:
        """Has the consumer's coordinator fetch them this way."""
        self._fetch = coordinator.fetch_committed_offsets_async
        self._handle = coordinator._handle_offset_fetch_response
        coordinator.fetch_committed_offsets_async = self._fetch_own
        coordinator._handle_offset_fetch_response = self._handle_known

    async def _fetch_own(self, asked: Set[TopicPartition], **options: Any) -> dict[Any, Any]:
        if self._unstable and time.monotonic() < self._ask_at:
            raise KafkaTimeoutError
        found = await self._fetch(asked, **options)
        own = {tp: at for tp, at in found.items() if not _is_of_another(at.metadata, self._mark)}
        for tp in found.keys() - own.keys():
            log.warning("%s was recreated: partition %d is read from its beginning", *tp)
        if self._unstable:
            self._ask_at = time.monotonic() + _ASK_AGAIN_S
            for tp in asked - self._unstable:
                if tp in own:
                    self._seek(tp, own[tp].offset)
                else:
                    self._reset(tp)
            raise KafkaTimeoutError  # as the others have none yet
        return own

    def _handle_known(self, response: Any) -> dict[TopicPartition, Any]:
        self._unstable = _drop_unstable(response)
        return dict(self._handle(response))


def _drop_unstable(response: Any) -> set[TopicPartition]:
    """Takes the offsets that are not known yet out of an answer, and returns whose they are."""
    unstable = set()
    for topic in response.groups[0].topics if response.API_VERSION >= _GROUPS else response.topics:
        stable = []
        for found in topic.partitions:
            if found.error_code == UnstableOffsetCommitError.errno:
                unstable.add(TopicPartition(topic.name, found.partition_index))
            else:
                stable.append(found)
        topic.partitions = stable
    return unstable


def _is_of_another(metadata: str, mark: str) -> bool:
    """Whether an offset was committed for another topic; one that an operator sets has no mark."""
    return metadata.startswith(_MARK) and metadata != mark


class WholeBatches(Fetcher.PartitionRecords):
    """What was fetched of a partition, as one `RawBatch` for each of the producer's batches.

    The original makes an object of each record. What it does with batches as such is done here
    as well: checksums, and what belongs to aborted Kafka transactions or to their markers.
    """

    next_fetch_offset: int

    def _maybe_skip_record(self, _fetched: RawBatch) -> bool:
        return False

    def _unpack_records(self, tp: TopicPartition, records: Any, *_: object) -> Iterator[RawBatch]:
        while (fetched := records.next_batch()) is not None:
            if not fetched.validate_crc():
                raise CorruptRecordError(f"{tp} at {fetched.base_offset}: wrong checksum")
            self.bytes_read += fetched.size_in_bytes
            if fetched.magic < _COLUMNS_SINCE:
                own = [record for record in fetched if record.offset >= self.fetch_offset]
                if own:
                    self.next_fetch_offset = own[-1].offset + 1
                    yield _fetched_records(tp, own)
            else:
                self.leader_epoch = fetched.leader_epoch
                self.next_fetch_offset = fetched.next_offset
                if not self._is_void(fetched):
                    its = tp, fetched, self.fetch_offset
                    yield RawBatch(
                        tp, fetched.records_count, partial(_decoded, *its), partial(_pairs, *its)
                    )
        self.drain()

    def _is_void(self, fetched: Any) -> bool:
        if self.isolation_level == IsolationLevel.READ_COMMITTED and fetched.has_producer_id():
            self._consume_aborted_transactions_up_to(fetched.last_offset)
            if self._contains_abort_marker(fetched):
                self.aborted_producer_ids.discard(fetched.producer_id)
            elif self._is_batch_aborted(fetched):
                return True
        return bool(fetched.is_control_batch)


def _decoded(tp: TopicPartition, fetched: Any, fetch_offset: int) -> Batch:
    base, last = fetched.base_offset, fetched.last_offset
    with _corrupt(tp, base):
        batch = _uncompressed(fetched), fetched.records_count, base, last, fetched.first_timestamp
        whole = base >= fetch_offset and fetched.timestamp_type != fetched.LOG_APPEND_TIME
        if whole and (uniform := parse_uniform(*batch)):
            offsets = range(base, last + 1)
            return UniformBatch(tp.topic, tp.partition, fetched.leader_epoch, offsets, uniform)
        columns = decode(*batch)
    if fetched.timestamp_type == fetched.LOG_APPEND_TIME:
        columns = columns._replace(timestamps=[fetched.max_timestamp] * len(columns.values))
    columns = columns.since(fetch_offset)
    return EncodedBatch(tp.topic, tp.partition, fetched.leader_epoch, last + 1, columns)


def _pairs(tp: TopicPartition, fetched: Any, fetch_offset: int) -> KeyValues:
    if fetched.base_offset < fetch_offset:
        return _pairs_of(_decoded(tp, fetched, fetch_offset))
    with _corrupt(tp, fetched.base_offset):
        keys, values = decode_key_values(_uncompressed(fetched), fetched.records_count)
    return KeyValues(keys, values, fetched.last_offset + 1)


def _pairs_of(batch: Batch) -> KeyValues:
    return KeyValues(batch.keys, batch.values, batch.next_offset)


def _uncompressed(fetched: Any) -> bytes:
    fetched._maybe_uncompress()
    return bytes(memoryview(fetched._buffer)[fetched._pos :])


@contextmanager
def _corrupt(tp: TopicPartition, base_offset: int) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise CorruptRecordError(f"{tp} at {base_offset}: {error}") from error


def _fetched_records(tp: TopicPartition, records: Sequence[Any]) -> RawBatch:
    epoch = getattr(records[-1], "leader_epoch", None)  # which old formats don't have
    taking_apart = partial(_of_records, tp, records, -1 if epoch is None else epoch)
    return RawBatch(tp, len(records), taking_apart, lambda: _pairs_of(taking_apart()))


def _of_records(
    tp: TopicPartition,
    records: Sequence[Any],
    leader_epoch: int,
) -> PlainBatch:
    return PlainBatch(
        topic=tp.topic,
        partition=tp.partition,
        offsets=[record.offset for record in records],
        timestamps=[wrapped_timestamp(record.timestamp) for record in records],
        keys=[record.key for record in records],
        values=[record.value for record in records],
        headers=[record.headers for record in records],
        leader_epoch=leader_epoch,
    )
