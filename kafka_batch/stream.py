"""The exactly-once stream: read committed, let the caller judge and forward, commit.

One Kafka transaction holds everything since the last commit: the records sent, and the offsets
of the records read, under the group membership they were read with (KIP-447). A rebalance ends
it before the partitions change hands. Whatever else goes wrong ends the stream: the caller closes
it and opens another, which begins at the committed offsets; what was in the open Kafka
transaction was never visible to a reader of committed records. So there is no repair in place,
which is where repeats and losses come from (docs/exactly-once.md lists them).
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from kafka import AsyncConsumerRebalanceListener
from kafka.errors import KafkaError, RebalanceInProgressError
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition

from kafka_batch.batch import Batch
from kafka_batch.client import never
from kafka_batch.codec import HeaderBlock, Record
from kafka_batch.config import Guarantee, StreamConfig
from kafka_batch.consumer import BatchConsumer
from kafka_batch.errors import Refused, StartAnew, StreamError, one_line, translate, translated
from kafka_batch.producer import BatchProducer

_IDLE_WAIT_MS = 500
_METADATA_TIMEOUT_S = 4.0
_COMMIT_TIMEOUT_S = 9.0  # within the Kafka transaction's own time-out
_HAND_OVER_TIMEOUT_S = 6.0  # heartbeats stand still meanwhile: well within the session


class Observer(Protocol):
    """Is told what became of a stream's records. Called from the thread that reads, or while it
    waits in `read`."""

    def committed(self, seconds: float) -> None:
        """All forwarded since the last call is visible; the commit took `seconds`."""

    def aborted(self) -> None:
        """All forwarded since the last commit is void, and will be read again."""

    def rebalanced(self, partitions: Sequence[int]) -> None:
        """The group gave this member these partitions, in place of those it had."""


class Stream:
    """Batches in, batches out, committed together.

    Not thread-safe. After an error the stream can only be closed.

        with Stream(config, observer) as stream:
            while not stopping():
                for batch in stream.read():
                    stream.forward(batch, "out", range(len(batch)))
    """

    def __init__(
        self,
        config: StreamConfig,
        observer: Observer,
        give_up_at: Callable[[], float] = never,
    ) -> None:
        """Opens the clients and, for exactly once, takes the transactional id.

        `give_up_at` says when all waits must end (monotonic seconds): a process that is told to
        stop brings it near.

        Raises:
            StreamError: the brokers can't be reached, or refuse.
        """
        self._config = config
        self._observer = observer
        self._give_up_at = give_up_at
        self._offsets: dict[TopicPartition, OffsetAndMetadata] = {}
        self._commit_at = self._commit_began = 0.0
        self._committer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="commit")
        self._commit: Future[None] | None = None  # that runs
        self._caught_up = False
        self._member: ConsumerGroupMetadata | None = None
        self._failure: StreamError | None = None
        self._producer, self._consumer = self._open()
        self._identity = self._producer.identity  # that the open Kafka transaction began with

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def read(self) -> list[Batch]:
        """Commits what is due, and waits up to half a second for records.

        A commit is due after the commit interval, and at once when all there is has been read. It
        runs while records are fetched and taken apart, and has ended before any is returned.

        Raises:
            StreamError: the stream must be closed.
        """
        if self._offsets and (self._caught_up or time.monotonic() >= self._commit_at):
            self._begin_commit()
        with translated(self._config.instance_id):
            batches = self._consumer.read(self._wait_ms())
        if self._failure is not None:
            raise self._failure
        self._finish_commit()
        if batches:
            self._note(batches)
        return batches

    def forward(
        self,
        batch: Batch,
        topic: str,
        rows: Sequence[int],
        extra_headers: Sequence[HeaderBlock] | None = None,
    ) -> None:
        """Passes on the chosen rows of a batch that was read: see `BatchProducer.forward`."""
        with translated(self._config.instance_id):
            self._producer.forward(batch, topic, rows, extra_headers)

    def replace(self, batch: Batch, topic: str, row: int, record: Record) -> None:
        """Sends a record in the place of one row: see `BatchProducer.replace`."""
        with translated(self._config.instance_id):
            self._producer.replace(batch, topic, row, record)

    def commit(self) -> None:
        """Makes all that was read and forwarded since the last commit final, together.

        Raises:
            StreamError: it is not final; the stream must be closed.
        """
        if self._offsets:
            self._begin_commit()
            self._finish_commit()

    def lag(self) -> dict[int, int]:
        """Records yet to be read, by partition, as of the last fetch."""
        return {partition.partition: lag for partition, lag in self._consumer.lag().items()}

    def close(self, timeout_s: float = 3.0) -> None:
        """Voids what was not committed, leaves the group, and closes the clients.

        Raises:
            Refused: a thread of the client did not end and could still send: the process must.
        """
        try:
            self._finish_commit()
        except StreamError as error:
            self._failure = self._failure or error
        self._committer.shutdown(wait=False)
        self._void()
        try:
            self._consumer.close(autocommit=False, timeout_ms=timeout_s * 1000 / 3)
        except KafkaError as error:
            self._failure = self._failure or StartAnew(one_line(error))
        if not self._producer.close(timeout_s):
            raise Refused("the producer's thread did not end: only ending the process stops it")

    # -- opening

    def _open(self) -> tuple[BatchProducer, BatchConsumer]:
        with translated(self._config.instance_id):
            producer = BatchProducer(self._give_up_at, **self._config.for_the_producer())
        try:
            with translated(self._config.instance_id):
                if self._config.guarantee is Guarantee.EXACTLY_ONCE:
                    producer.take_transactional_id(_COMMIT_TIMEOUT_S)
                return producer, self._subscribed()
        except StreamError:
            producer.close(timeout=1)
            raise

    def _subscribed(self) -> BatchConsumer:
        consumer = BatchConsumer(**self._config.for_the_consumer())
        consumer.subscribe([self._config.topic], listener=_Rebalance(self))
        consumer.refresh_metadata(_METADATA_TIMEOUT_S)
        return consumer

    # -- reading

    def _wait_ms(self) -> float:
        if not self._offsets:
            return _IDLE_WAIT_MS
        return max(0.0, (self._commit_at - time.monotonic()) * 1000)

    def _note(self, batches: Sequence[Batch]) -> None:
        if not self._offsets:
            self._commit_at = time.monotonic() + self._config.commit_interval_ms / 1000
            if self._config.guarantee is Guarantee.EXACTLY_ONCE:
                with translated(self._config.instance_id):
                    self._producer.begin_transaction()
                self._identity = self._producer.identity
        for batch in batches:
            self._offsets[TopicPartition(batch.topic, batch.partition)] = OffsetAndMetadata(
                batch.next_offset, "", batch.leader_epoch
            )
        self._caught_up = not any(self._consumer.lag().values())

    # -- committing

    def _begin_commit(self) -> None:
        self._commit_began = time.monotonic()
        if self._config.guarantee is Guarantee.EXACTLY_ONCE:
            self._commit = self._committer.submit(self._flush, _COMMIT_TIMEOUT_S)
            return
        with translated(self._config.instance_id):  # here: it takes the consumer as well
            self._flush(_COMMIT_TIMEOUT_S)
            try:
                self._consumer.commit(dict(self._offsets), timeout_ms=_COMMIT_TIMEOUT_S * 1000)
            except RebalanceInProgressError:
                return  # the hand-over, in the next read, commits it
        self._settle()

    def _finish_commit(self) -> None:
        """Waits for the commit that runs, if one does."""
        if self._commit is not None:
            with translated(self._config.instance_id):
                self._commit.result()
            self._settle()

    def _flush(self, timeout_s: float) -> None:
        """Delivers everything, and for exactly once ends the Kafka transaction."""
        deadline = time.monotonic() + timeout_s
        self._producer.deliver(timeout_s)
        if self._config.guarantee is Guarantee.EXACTLY_ONCE:
            self._end_transaction(deadline)

    def _end_transaction(self, deadline: float) -> None:
        self._producer.send_offsets(self._offsets, self._member, deadline - time.monotonic())
        self._producer.commit(deadline - time.monotonic())
        if self._producer.identity != self._identity:
            # The client began a new epoch: the broker had ended the Kafka transaction, and the
            # commit that "succeeded" found nothing to commit [4].
            raise StartAnew("the Kafka transaction was lost before its commit")

    def _settle(self) -> None:
        self._commit = None
        self._offsets.clear()
        self._observer.committed(time.monotonic() - self._commit_began)

    def _void(self) -> None:
        if not self._offsets:
            return
        self._offsets.clear()  # first: closing the consumer asks for a hand-over once more [13]
        self._observer.aborted()
        if self._config.guarantee is Guarantee.EXACTLY_ONCE:
            try:
                self._producer.abort(timeout_s=1)  # else it stays open until its time-out [14]
            except KafkaError as error:
                self._failure = self._failure or StartAnew(one_line(error))

    # -- rebalances: called on the consumer's thread, while `read` or `close` waits

    async def _hand_over(self) -> None:
        if not self._offsets or self._failure is not None:
            return
        try:
            if self._commit is not None:
                self._commit.result(_HAND_OVER_TIMEOUT_S)
            else:
                self._commit_began = time.monotonic()
                self._flush(_HAND_OVER_TIMEOUT_S)
            if self._config.guarantee is Guarantee.AT_LEAST_ONCE:
                await self._consumer.commit_async(dict(self._offsets))
        except KafkaError as error:
            self._failure = translate(error, self._config.instance_id)
        except StreamError as error:
            self._failure = error
        except TimeoutError:
            self._failure = StartAnew("the commit before a rebalance did not end in time")
        else:
            self._settle()

    def _lost(self) -> None:
        if self._offsets:
            self._failure = StartAnew("the group took our partitions away: no heartbeat in time")

    def _assigned(self, partitions: Sequence[TopicPartition]) -> None:
        # The membership that everything read from now on is committed under: taken here, since at
        # the time of the commit it may be a later one, under which we own other partitions [1].
        self._member = self._consumer.group_metadata()
        self._observer.rebalanced(sorted(partition.partition for partition in partitions))


class _Rebalance(AsyncConsumerRebalanceListener):
    """Asynchronous, since committing on the consumer's own thread must not block on it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # noqa: ARG002  # all of them: assignment is eager
        await self._stream._hand_over()

    async def on_partitions_lost(self, lost: set[TopicPartition]) -> None:  # noqa: ARG002
        self._stream._lost()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._stream._assigned(sorted(assigned))
