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

from kafka.errors import KafkaError, RebalanceInProgressError
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition

from kafka_batch._client.kafka_python_3_0.batch_consumer import RawBatch
from kafka_batch._client.kafka_python_3_0.producer import never
from kafka_batch._records.batch import Batch
from kafka_batch._records.bodies import HeaderBlock, Record
from kafka_batch._stream.observer import BeforeCommit, Observer
from kafka_batch._stream.opening import open_clients
from kafka_batch._stream.uncommitted import Uncommitted
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
COMMITTING_WAIT_MS = 5.0  # minimum wait while a commit runs and another one is due
_MAX_STAGED_BYTES = 8 << 20  # how far reading and forwarding run ahead of a commit
_COMMIT_TIMEOUT_S = 6.0  # within the Kafka transaction's own time-out
_LOOKUP_S = 25.0  # where no network is, a name is looked up for 5 to 20 s (`man resolv.conf`)
_SLICE_S = 0.2
_REVOKE_TIMEOUT_S = 5.0  # no heartbeats are sent meanwhile: well within the session


class Stream:
    """Batches in, batches out, committed together.

    Not thread-safe. After an error the stream can only be closed.

        with Stream(config, observer) as stream:
            while not stopping():
                if batch := stream.read():
                    stream.forward(batch, "out", range(len(batch)))

    Where there is more to read, a commit runs beside what the caller does. What is forwarded
    meanwhile is staged, and sent in a Kafka transaction of its own once the commit has ended.
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
        self._deadline_at = deadline_at
        self._fetched: deque[RawBatch] = deque()
        self._uncommitted = Uncommitted(config.commit_interval_ms)
        self._begun = False  # a Kafka transaction, for them
        self._committer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="commit")
        self._commit: Future[None] | None = None  # that runs
        self._commit_began = 0.0
        self._member: ConsumerGroupMetadata | None = None
        self._failure: StreamError | None = None
        self._previous_member_id = member_id
        self._producer, self._consumer, self._topic_id_tag = open_clients(
            config, self, member_id, deadline_at, _COMMIT_TIMEOUT_S
        )

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
            self._uncommitted.is_caught_up
            or self._commit.done()
            or self._producer.staged_bytes >= _MAX_STAGED_BYTES
        ):
            self._finish_commit()
        if self._commit is None and self._uncommitted.is_due:
            self._begin_commit()
            if (
                self._uncommitted.is_caught_up
            ):  # nothing to judge meanwhile, and what is fetched now would wait
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
        """The next offset of each paused partition for which it is known."""
        return {tp.partition: offset for tp, offset in self._consumer.paused_positions().items()}

    def resume(self, partition: int) -> None:
        """Begins to read a paused partition (`StreamConfig.pause_on_assignment`)."""
        self._consumer.resume(TopicPartition(self._config.topic, partition))

    def blocked_partitions(self) -> list[int]:
        """The assigned partitions that are not read: paused, or waiting for an open Kafka
        transaction that may commit their next offset."""
        return sorted(tp.partition for tp in self._consumer.unfetchable_partitions())

    def commit(self) -> None:
        """Makes all that was read and forwarded final, together.

        Raises:
            StreamError: it is not final; the stream must be closed.
        """
        self._finish_commit()
        if self._uncommitted.offsets:
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
        """Identifies the input topic: one that is recreated under its name has another tag. Empty
        where the brokers have no topic ids (before 2.8)."""
        return self._topic_id_tag

    @property
    def member_id(self) -> str:
        """This member of the group, for a stream that follows in this process."""
        return self._previous_member_id if self._member is None else str(self._member.member_id)

    def close(self, timeout_s: float = 3.0) -> None:
        """Aborts what was not committed, leaves the group, and closes the clients.

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
        while time.monotonic() < min(deadline, self._deadline_at()):
            if self._producer.close(_SLICE_S):
                return True
        return False

    # -- reading

    def _fetch(self, idle_wait_ms: float) -> None:
        wait_ms = min(self._wait_ms(), idle_wait_ms)
        with map_kafka_errors(self._config.instance_id):
            self._fetched.extend(self._consumer.fetch(wait_ms))
        if self._failure is not None:
            raise self._failure

    def _wait_ms(self) -> float:
        if not self._uncommitted.offsets:
            return IDLE_WAIT_MS
        # Where a commit takes longer than the interval, the next one is due and can't begin: not to
        # wait would take a core, which the brokers may need.
        least = 0.0 if self._commit is None else COMMITTING_WAIT_MS
        return max(least, self._uncommitted.due_in_ms)

    def _record_position(self, batch: Batch) -> None:
        self._uncommitted.add(batch, self._topic_id_tag)
        self._uncommitted.is_caught_up = not self._fetched and not any(
            self._consumer.lag().values()
        )

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
            offsets, self._begun = self._uncommitted.take(), False
            self._producer.stage()
            self._commit = self._committer.submit(self._flush, offsets, _COMMIT_TIMEOUT_S)
            return
        with map_kafka_errors(self._config.instance_id):  # here: it takes the consumer as well
            self._flush(self._uncommitted.offsets, _COMMIT_TIMEOUT_S)
            try:
                self._consumer.commit(
                    dict(self._uncommitted.offsets), timeout_ms=_COMMIT_TIMEOUT_S * 1000
                )
            except RebalanceInProgressError:
                return  # `commit_before_revoke`, in the next read, commits it
        self._uncommitted.offsets.clear()
        self._on_committed()

    def _notify_before_commit(self) -> None:
        self._before_commit(
            {tp.partition: at.offset for tp, at in self._uncommitted.offsets.items()}
        )
        self._observer.committing()

    def _finish_commit(self, timeout_s: float | None = None) -> None:
        """Waits for the commit that runs, if one does, and sends what was staged meanwhile.

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
        if not self._uncommitted.offsets and self._commit is None:
            return
        to_abort = self._begun or self._commit is not None
        # First, since closing the consumer calls `commit_before_revoke` once more [13].
        self._uncommitted.offsets.clear()
        self._commit, self._begun = None, False
        self._observer.aborted()
        if to_abort:
            try:
                self._producer.abort(timeout_s=1)  # else it stays open until its time-out [14]
            except KafkaError as error:
                self._failure = self._failure or RecoverableError(describe_error(error))

    # -- rebalances: called on the consumer's thread, while `read` or `close` waits

    async def commit_before_revoke(self) -> None:
        if self._failure is not None:
            return
        try:
            self._finish_commit(_REVOKE_TIMEOUT_S)
            if self._uncommitted.offsets:
                self._commit_began = time.monotonic()
                self._notify_before_commit()
                self._ensure_transaction()
                self._flush(self._uncommitted.offsets, _REVOKE_TIMEOUT_S)
                if self._config.guarantee is Guarantee.AT_LEAST_ONCE:
                    await self._consumer.commit_async(dict(self._uncommitted.offsets))
                self._uncommitted.offsets.clear()
                self._begun = False
                self._on_committed()
        except KafkaError as error:
            self._failure = translate(error, self._config.instance_id)
        except StreamError as error:
            self._failure = error
        except TimeoutError:
            self._failure = RecoverableError("the commit before a rebalance did not end in time")

    def on_lost(self) -> None:
        if self._uncommitted.offsets or self._commit is not None:
            self._failure = RecoverableError(
                "the group took our partitions away: no heartbeat in time"
            )

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        # The membership that everything read from now on is committed under: taken here, since at
        # the time of the commit it may be a later one, under which we own other partitions [1].
        self._member = self._consumer.group_metadata()
        if self._config.pause_on_assignment:
            self._consumer.pause(*partitions)
        self._observer.rebalanced(sorted(partition.partition for partition in partitions))
