"""The exactly-once stream: read committed, let the caller judge and forward, commit.

One Kafka transaction holds everything since the last commit: the records sent, and the offsets
of the records read, under the group membership they were read with (KIP-447). A rebalance ends
it before the partitions change hands. Whatever else goes wrong ends the stream: the caller closes
it and opens another, which begins at the committed offsets; what was in the open Kafka
transaction was never visible to a reader of committed records. So there is no repair in place,
which is where repeats and losses come from (docs/exactly-once.md lists them).
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from kafka import AsyncConsumerRebalanceListener
from kafka.errors import KafkaError, RebalanceInProgressError
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition

from kafka_batch._client.kafka_python_3_0.batch_consumer import BatchConsumer, RawBatch
from kafka_batch._client.kafka_python_3_0.batch_producer import BatchProducer
from kafka_batch._client.kafka_python_3_0.producer import never
from kafka_batch._records.batch import Batch
from kafka_batch._records.bodies import HeaderBlock, Record
from kafka_batch.config import Guarantee, StreamConfig
from kafka_batch.errors import (
    RecoverableError,
    ShutdownTimeout,
    StreamError,
    describe_error,
    map_kafka_errors,
    translate,
)

IDLE_WAIT_MS = 500
COMMITTING_WAIT_MS = 5.0  # at the least, while a commit runs that another one waits for
_MAX_STAGED_BYTES = 8 << 20  # so far reading and judging run ahead of a commit
_METADATA_TIMEOUT_S = 4.0
_COMMIT_TIMEOUT_S = 6.0  # within the Kafka transaction's own time-out
_LOOKUP_S = 25.0  # where no network is, a name is looked up for 5 to 20 s (`man resolv.conf`)
_SLICE_S = 0.2
_HAND_OVER_TIMEOUT_S = 5.0  # no heartbeats meanwhile: well within the session


class Observer(Protocol):
    """Is told what became of a stream's records. Called from the thread that uses the stream, or
    while it waits in `read` or `commit`."""

    def committing(self) -> None:
        """A commit begins, of all that was forwarded until now."""

    def committed(self, seconds: float) -> None:
        """The commit has ended, and all of it is visible; it took so long."""

    def aborted(self) -> None:
        """All forwarded that was not committed is void, and will be read again."""

    def rebalanced(self, partitions: Sequence[int]) -> None:
        """The group gave this member these partitions, in place of those it had."""


BeforeCommit = Callable[[Mapping[int, int]], None]
"""Is called as a commit begins, with the offset that each partition of the input will be committed
at, to `send` what belongs to it: state, which is then as exact as the outputs."""


class Stream:
    """Batches in, batches out, committed together.

    Not thread-safe. After an error the stream can only be closed.

        with Stream(config, observer) as stream:
            while not stopping():
                if batch := stream.read():
                    stream.forward(batch, "out", range(len(batch)))

    Where there is more to read, a commit runs beside what the caller does. What is forwarded
    meanwhile is kept, and sent in a Kafka transaction of its own once the commit has ended.
    """

    def __init__(
        self,
        config: StreamConfig,
        observer: Observer,
        deadline_at: Callable[[], float] = never,
        member_id: str = "",
        before_commit: BeforeCommit = lambda _: None,
    ) -> None:
        """Opens the clients and, for exactly once, takes the transactional id.

        `deadline_at` says when all waits must end (monotonic seconds): a process that is told to
        stop brings it near. `member_id` is a predecessor's, of this process: where that one could
        not leave the group, it would have to wait for the predecessor's session to end [20].

        Raises:
            StreamError: the brokers can't be reached, or refuse.
        """
        self._config = config
        self._observer = observer
        self._before_commit = before_commit
        self._give_up_at = deadline_at
        self._fetched: deque[RawBatch] = deque()
        self._caught_up = False
        self._offsets: dict[TopicPartition, OffsetAndMetadata] = {}  # read, and yet to be committed
        self._commit_at = 0.0
        self._begun = False  # a Kafka transaction, for them
        self._committer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="commit")
        self._commit: Future[None] | None = None  # that runs
        self._commit_began = 0.0
        self._member: ConsumerGroupMetadata | None = None
        self._failure: StreamError | None = None
        self._previous_member_id = member_id
        self._topic_id_tag = ""  # of the topic as it is now, in the metadata of committed offsets
        self._producer, self._consumer = self._open()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def read(self, idle_wait_ms: float = IDLE_WAIT_MS) -> Batch | None:
        """The next batch. Commits what is due, and waits up to half a second for records, or as
        long as it is told to.

        A commit is due after the commit interval, and at once when all there is has been read.

        Raises:
            StreamError: the stream must be closed.
        """
        if self._commit is not None and (
            self._caught_up
            or self._commit.done()
            or self._producer.staged_bytes >= _MAX_STAGED_BYTES
        ):
            self._finish_commit()
        if self._commit is None and self._is_due():
            self._begin_commit()
            if self._caught_up:  # nothing to judge meanwhile, and what is fetched now would wait
                self._finish_commit()
        if not self._fetched:
            self._fetch(idle_wait_ms)
        batch = None
        while self._fetched and not batch:
            with map_kafka_errors(self._config.instance_id):
                batch = self._fetched.popleft().batch()
        if batch:
            self._record_position(batch)
        return batch

    def forward(
        self,
        batch: Batch,
        topic: str,
        rows: Sequence[int],
        extra_headers: Sequence[HeaderBlock | None] | None = None,
        timestamps: Sequence[int] | None = None,
    ) -> None:
        """Passes on the chosen rows of the batch that was read last: see `BatchProducer.forward`.

        Raises:
            StreamError: the stream must be closed.
        """
        self._send(lambda: self._producer.forward(batch, topic, rows, extra_headers, timestamps))

    def replace(self, batch: Batch, topic: str, record: Record) -> None:
        """Sends a record in the place of one of the batch: see `BatchProducer.replace`.

        Raises:
            StreamError: the stream must be closed.
        """
        self._send(lambda: self._producer.replace(batch, topic, record))

    def send(self, topic: str, partition: int, records: Sequence[Record]) -> None:
        """Writes further records, which become visible with the next commit: see `BatchProducer`.

        Raises:
            StreamError: the stream must be closed.
        """
        tp = TopicPartition(topic, partition)
        self._send(lambda: self._producer.extend(tp, records))

    def paused_positions(self) -> dict[int, int]:
        """Of the partitions that are held, those whose next offset is known by now, and it."""
        return {tp.partition: offset for tp, offset in self._consumer.paused_positions().items()}

    def resume(self, partition: int) -> None:
        """Begins to read a partition that is held (`StreamConfig.pause_on_assignment`)."""
        self._consumer.resume(TopicPartition(self._config.topic, partition))

    def blocked_partitions(self) -> list[int]:
        """The partitions that are ours and not read: held, or their next offset is not known yet,
        as long as a Kafka transaction that may commit it is open."""
        return sorted(tp.partition for tp in self._consumer.unfetchable_partitions())

    def commit(self) -> None:
        """Makes all that was read and forwarded final, together.

        Raises:
            StreamError: it is not final; the stream must be closed.
        """
        self._finish_commit()
        if self._offsets:
            self._begin_commit()
            self._finish_commit()

    def lag(self) -> dict[int, int]:
        """Records yet to be read, by partition, as of the last fetch."""
        lag = {tp.partition: count for tp, count in self._consumer.lag().items()}
        for fetched in self._fetched:
            number = fetched.partition.partition
            lag[number] = lag.get(number, 0) + fetched.size
        return lag

    @property
    def topic_id_tag(self) -> str:
        """Marks the topic that is read: one that is recreated under its name has another mark.
        Nothing where the brokers don't tell."""
        return self._topic_id_tag

    @property
    def member_id(self) -> str:
        """This member of the group, for a stream that follows in this process."""
        return self._previous_member_id if self._member is None else str(self._member.member_id)

    def close(self, timeout_s: float = 3.0) -> None:
        """Voids what was not committed, leaves the group, and closes the clients.

        Raises:
            ShutdownTimeout: a thread of the client did not end and could still send, so the
                process must end.
        """
        self._producer.discard_staged()
        try:
            self._finish_commit()
        except StreamError as error:
            self._failure = self._failure or error
        self._committer.shutdown(wait=False)
        self._abort_uncommitted()
        try:
            self._consumer.close(autocommit=False, timeout_ms=timeout_s * 1000 / 3)
        except KafkaError as error:
            self._failure = self._failure or RecoverableError(describe_error(error))
        if not self._producer.close(timeout_s) and not self._ends_within(_LOOKUP_S):
            raise ShutdownTimeout(
                "the producer's thread did not end: only ending the process stops it"
            )

    def _ends_within(self, seconds: float) -> bool:
        """Waits for the producer's thread, but not where the process is told to stop."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < min(deadline, self._give_up_at()):
            if self._producer.close(_SLICE_S):
                return True
        return False

    # -- opening

    def _open(self) -> tuple[BatchProducer, BatchConsumer]:
        with map_kafka_errors(self._config.instance_id):
            producer = BatchProducer(
                deadline_at=self._give_up_at, **self._config.for_the_producer()
            )
        try:
            with map_kafka_errors(self._config.instance_id):
                if self._config.guarantee is Guarantee.EXACTLY_ONCE:
                    producer.init_transactional_id(_COMMIT_TIMEOUT_S)
                return producer, self._subscribed()
        except StreamError:
            producer.close(timeout=1)
            raise

    def _subscribed(self) -> BatchConsumer:
        consumer = BatchConsumer(**self._config.for_the_consumer())
        consumer.subscribe([self._config.topic], listener=_Rebalance(self))
        if self._config.instance_id is None:
            consumer.rejoin_as(self._previous_member_id)
        consumer.refresh_metadata(_METADATA_TIMEOUT_S)
        self._topic_id_tag = consumer.pin_topic(self._config.topic)
        return consumer

    # -- reading

    def _fetch(self, idle_wait_ms: float) -> None:
        wait_ms = min(self._wait_ms(), idle_wait_ms)
        with map_kafka_errors(self._config.instance_id):
            self._fetched.extend(self._consumer.fetch(wait_ms))
        if self._failure is not None:
            raise self._failure

    def _is_due(self) -> bool:
        due = self._caught_up or time.monotonic() >= self._commit_at
        return bool(self._offsets) and due

    def _wait_ms(self) -> float:
        if not self._offsets:
            return IDLE_WAIT_MS
        # Where a commit takes longer than the interval, the next one is due and can't begin: not to
        # wait would take a core, which the brokers may need.
        least = 0.0 if self._commit is None else COMMITTING_WAIT_MS
        return max(least, (self._commit_at - time.monotonic()) * 1000)

    def _record_position(self, batch: Batch) -> None:
        if not self._offsets:
            self._commit_at = time.monotonic() + self._config.commit_interval_ms / 1000
        self._offsets[TopicPartition(batch.topic, batch.partition)] = OffsetAndMetadata(
            batch.next_offset, self._topic_id_tag, batch.leader_epoch
        )
        self._caught_up = not self._fetched and not any(self._consumer.lag().values())

    # -- sending

    def _send(self, sending: Callable[[], None]) -> None:
        if self._commit is not None and self._commit.done():
            self._finish_commit()
        if self._commit is None:
            self._ensure_transaction()
        with map_kafka_errors(self._config.instance_id):
            sending()

    def _ensure_transaction(self) -> None:
        if not self._begun and self._config.guarantee is Guarantee.EXACTLY_ONCE:
            with map_kafka_errors(self._config.instance_id):
                self._producer.begin_transaction()
            self._begun = True

    # -- committing

    def _begin_commit(self) -> None:
        self._commit_began = time.monotonic()
        self._notify_before_commit()
        if self._config.guarantee is Guarantee.EXACTLY_ONCE:
            self._ensure_transaction()
            offsets, self._offsets, self._begun = self._offsets, {}, False
            self._producer.stage()
            self._commit = self._committer.submit(self._flush, offsets, _COMMIT_TIMEOUT_S)
            return
        with map_kafka_errors(self._config.instance_id):  # here: it takes the consumer as well
            self._flush(self._offsets, _COMMIT_TIMEOUT_S)
            try:
                self._consumer.commit(dict(self._offsets), timeout_ms=_COMMIT_TIMEOUT_S * 1000)
            except RebalanceInProgressError:
                return  # the hand-over, in the next read, commits it
        self._offsets.clear()
        self._on_committed()

    def _notify_before_commit(self) -> None:
        self._before_commit({tp.partition: at.offset for tp, at in self._offsets.items()})
        self._observer.committing()

    def _finish_commit(self, timeout_s: float | None = None) -> None:
        """Waits for the commit that runs, if one does, and sends what was kept meanwhile.

        Raises:
            StreamError: it failed.
            TimeoutError: it takes longer than it may.
        """
        if self._commit is not None:
            with map_kafka_errors(self._config.instance_id):
                self._commit.result(timeout_s)
            self._on_committed()
            self._send_staged()

    def _send_staged(self) -> None:
        if self._producer.staged_bytes:
            self._ensure_transaction()
        with map_kafka_errors(self._config.instance_id):
            self._producer.unstage()

    def _flush(self, offsets: Mapping[TopicPartition, OffsetAndMetadata], timeout_s: float) -> None:
        """Delivers everything, and for exactly once ends the Kafka transaction."""
        deadline = time.monotonic() + timeout_s
        self._producer.flush_within(timeout_s)
        if self._config.guarantee is Guarantee.EXACTLY_ONCE:
            self._producer.send_offsets(offsets, self._member, deadline - time.monotonic())
            self._producer.commit(deadline - time.monotonic())

    def _on_committed(self) -> None:
        self._commit = None
        self._observer.committed(time.monotonic() - self._commit_began)

    def _abort_uncommitted(self) -> None:
        if not self._offsets and self._commit is None:
            return
        to_abort = self._begun or self._commit is not None
        self._offsets.clear()  # first: closing the consumer asks for a hand-over once more [13]
        self._commit, self._begun = None, False
        self._observer.aborted()
        if to_abort:
            try:
                self._producer.abort(timeout_s=1)  # else it stays open until its time-out [14]
            except KafkaError as error:
                self._failure = self._failure or RecoverableError(describe_error(error))

    # -- rebalances: called on the consumer's thread, while `read` or `close` waits

    async def _commit_before_revoke(self) -> None:
        if self._failure is not None:
            return
        try:
            self._finish_commit(_HAND_OVER_TIMEOUT_S)
            if self._offsets:
                self._commit_began = time.monotonic()
                self._notify_before_commit()
                self._ensure_transaction()
                self._flush(self._offsets, _HAND_OVER_TIMEOUT_S)
                if self._config.guarantee is Guarantee.AT_LEAST_ONCE:
                    await self._consumer.commit_async(dict(self._offsets))
                self._offsets.clear()
                self._begun = False
                self._on_committed()
        except KafkaError as error:
            self._failure = translate(error, self._config.instance_id)
        except StreamError as error:
            self._failure = error
        except TimeoutError:
            self._failure = RecoverableError("the commit before a rebalance did not end in time")

    def _on_lost(self) -> None:
        if self._offsets or self._commit is not None:
            self._failure = RecoverableError(
                "the group took our partitions away: no heartbeat in time"
            )

    def _on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        # The membership that everything read from now on is committed under: taken here, since at
        # the time of the commit it may be a later one, under which we own other partitions [1].
        self._member = self._consumer.group_metadata()
        if self._config.pause_on_assignment:
            self._consumer.pause(*partitions)
        self._observer.rebalanced(sorted(partition.partition for partition in partitions))


class _Rebalance(AsyncConsumerRebalanceListener):
    """Asynchronous, since committing on the consumer's own thread must not block on it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # noqa: ARG002  # all of them: assignment is eager
        await self._stream._commit_before_revoke()

    async def on_partitions_lost(self, lost: set[TopicPartition]) -> None:  # noqa: ARG002
        self._stream._on_lost()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._stream._on_assigned(sorted(assigned))
