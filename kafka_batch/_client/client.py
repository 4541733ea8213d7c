"""kafka-python 3.0.12's producer, consumer and admin client, patched where exactly-once needs it.

Each class says what it patches; the numbers in brackets are the entries of docs/exactly-once.md.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    NotControllerError,
    NotLeaderForPartitionError,
)
from kafka.future import Future
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition

from kafka_batch._client.network import NonRaisingClient, patch_kafka_python, reachable_servers
from kafka_batch._client.transactions import TransactionalSender, Transactions

_SLICE_S = 0.1  # how often a wait looks whether it must end early
_ASK_S = 1.0

Offsets = Mapping[TopicPartition, OffsetAndMetadata]


def never() -> float:
    """A point in time (monotonic seconds) that does not come."""
    return float("inf")


class Producer(KafkaProducer):
    """A producer whose every wait is bounded [2, 5, 11] and whose every result is looked at [4].

    `deadline_at` says when all waits end early (monotonic seconds), for a process that is told to
    stop. Timestamps are in milliseconds since the epoch; time-outs in seconds.
    """

    def __init__(
        self, bootstrap_servers: str, deadline_at: Callable[[], float] = never, **configs: Any
    ) -> None:
        patch_kafka_python()
        self._give_up_at = deadline_at
        self._undelivered: deque[Any] = deque()
        super().__init__(
            bootstrap_servers=reachable_servers(bootstrap_servers),
            kafka_client=NonRaisingClient,
            metrics_enabled=False,
            **configs,
        )
        # A batch that is too large for its topic fails. The original splits it, and never
        # completes its result [18].
        self._sender._can_split = lambda _batch, _error: False
        if self._transaction_manager is not None:
            # For which classes to use there is no setting.
            self._transaction_manager.__class__ = Transactions
            self._sender.__class__ = TransactionalSender

    @property
    def undelivered(self) -> int:
        """How many records the broker has not acknowledged, as far as `collect_acks` has looked."""
        return sum(batch.record_count for batch in self._undelivered)

    def partition_count(self, topic: str) -> int:
        """The topic's number of partitions.

        Raises:
            KafkaTimeoutError: no metadata within `max_block_ms`.
        """
        return len(self._wait_on_metadata(topic, self.config["max_block_ms"]))

    def collect_acks(self) -> int:
        """Looks at the results that are in and returns how many records were delivered.

        Raises:
            KafkaError: the first failed delivery, as the broker or the client put it.
        """
        undelivered, delivered = self._undelivered, 0
        while undelivered and undelivered[0].is_done:
            failure = undelivered[0].produce_future.value[2]
            if failure is not None:
                raise failure(0)  # it stays among the undelivered, which it is
            delivered += undelivered.popleft().record_count
        return delivered

    def flush_within(self, timeout_s: float) -> int:
        """Sends all there is, waits for every result, and returns how many records came in.

        Raises:
            KafkaTimeoutError: not done in time.
            KafkaError: the first failed delivery.
        """
        self._accumulator.begin_flush()
        try:
            self._sender.wakeup()
            delivered = 0
            deadline = time.monotonic() + timeout_s
            while self._undelivered:
                self._wait(self._undelivered[0].produce_future.wait, deadline, "delivery")
                delivered += self.collect_acks()
            return delivered
        finally:
            self._accumulator._flushes_in_progress.decrement()

    def init_transactional_id(self, timeout_s: float) -> None:
        """`init_transactions`, bounded: ends what a predecessor with this id left open."""
        deadline = time.monotonic() + timeout_s
        manager = self._transaction_manager
        for result in manager.initialize_transactions(), manager.ask_for_version():
            self._finish(result, deadline - time.monotonic(), "first contact")

    def send_offsets(
        self, offsets: Offsets, member: ConsumerGroupMetadata, timeout_s: float
    ) -> None:
        """`send_offsets_to_transaction`, bounded."""
        manager = self._transaction_manager
        self._finish(
            manager.send_offsets_to_transaction(dict(offsets), member), timeout_s, "sending offsets"
        )

    def commit(self, timeout_s: float) -> None:
        """`commit_transaction`, bounded.

        Raises:
            KafkaTimeoutError: not done in time.
            KafkaError: it is not committed.
        """
        manager = self._transaction_manager
        self._finish(manager.begin_commit(), timeout_s, "commit")
        if manager.ended_as != manager.begun_as:
            # The client began a new epoch: the broker had ended the Kafka transaction, and the
            # commit that "succeeded" found nothing to commit [4].
            raise KafkaError("the Kafka transaction was lost before its commit")

    def abort(self, timeout_s: float) -> None:
        """`abort_transaction`, bounded."""
        self._undelivered.clear()
        self._finish(self._transaction_manager.begin_abort(), timeout_s, "abort")

    def close(self, timeout: float = 3.0, null_logger: bool = False) -> bool:  # noqa: ARG002, FBT001, FBT002  # the original's signature, which it calls at exit
        """Ends the sender thread without sending anything more; says whether it has ended.

        The original flushes first, without end where the broker is away [11].
        """
        if not getattr(self, "_closed", True):
            self._unregister_cleanup()
            self._sender.force_close()
            self._sender.join(timeout)
            self._closed = not self._sender.is_alive()
        return bool(getattr(self, "_closed", True))

    def _finish(self, result: Any, timeout_s: float, what: str) -> None:
        self._sender.wakeup()
        deadline = time.monotonic() + timeout_s
        self._wait(lambda slice_s: result.wait(slice_s * 1000), deadline, what)

    def _wait(self, done: Callable[[float], object], deadline: float, what: str) -> None:
        ask_at = time.monotonic() + _ASK_S
        while not done(_SLICE_S):
            now = time.monotonic()
            if now >= min(deadline, self._give_up_at()):
                raise KafkaTimeoutError(f"no answer from the broker in time: {what}")
            if now >= ask_at:
                # A broker that is silent may have lost its partitions to others: what is sent
                # next must go to these.
                self._metadata.request_update()
                ask_at = now + _ASK_S


def _join_to_the_end(coordinator: Any) -> None:
    """Where a poll ends while the leader of a group has handed the partitions out and waits for its
    own, the client no longer sees why it should join, and never takes them up [28]."""
    is_due = coordinator.need_rejoin
    coordinator.need_rejoin = lambda: coordinator.rejoining or is_due()


def _forget_offsets_of_older_generations(coordinator: Any) -> None:
    """Where a poll is too short for the answer, the client keeps it for the next time that the same
    partitions are asked for: another member may have had them in between, and gone on [29]."""
    fetch = coordinator.fetch_committed_offsets_async
    asked_in = coordinator._generation

    async def fetch_of_this_generation(*args: Any, **options: Any) -> Any:
        nonlocal asked_in
        if coordinator._generation is not asked_in:
            asked_in = coordinator._generation
            coordinator._offset_fetch_futures.clear()
        return await fetch(*args, **options)

    coordinator.fetch_committed_offsets_async = fetch_of_this_generation


def _ask_leaders_for_ends(fetcher: Any) -> None:
    """Where a broker that is asked for a partition's ends no longer leads it, the client asks it
    again and again, as fast as it answers, and never who does lead it [30]."""
    ask = fetcher._send_list_offsets_requests

    async def ask_those_who_lead(timestamps: Any) -> Any:
        found, to_ask_again = await ask(timestamps)
        if to_ask_again:
            raise NotLeaderForPartitionError
        return found, to_ask_again

    fetcher._send_list_offsets_requests = ask_those_who_lead


def _end_waits_without_errors(fetcher: Any) -> None:
    """Where nothing comes in time the client raises, and passes over, an error whose traceback
    leads to itself and to the answer that came last: megabytes, until Python looks for cycles."""
    net, wait_for = fetcher._net, fetcher._manager.wait_for

    async def wait(woken: Future, timeout_ms: float) -> None:
        timer = net.call_later(timeout_ms / 1000, lambda: woken.is_done or woken.success(None))
        try:
            await woken
        finally:
            net.cancel(timer)

    def run(work: Any, *args: Any) -> Any:
        return net.run(wait if work == wait_for else work, *args)

    fetcher._net = SimpleNamespace(run=run)


class Consumer(KafkaConsumer):
    """A consumer that leaves no thread behind when it can't be opened [16], takes up the answer to
    a join that a poll was too short for [28], but not to a question of before a rebalance [29],
    finds a leader that has moved [30], keeps no answer that it is done with, and knows its lag."""

    def __init__(self, *topics: str, bootstrap_servers: str, **configs: Any) -> None:
        patch_kafka_python()
        found = reachable_servers(bootstrap_servers)
        try:
            super().__init__(
                *topics,
                bootstrap_servers=found,
                kafka_client=NonRaisingClient,
                metrics_enabled=False,
                **configs,
            )
        except KafkaTimeoutError:
            self._client.close()
            raise
        _join_to_the_end(self._coordinator)
        _forget_offsets_of_older_generations(self._coordinator)
        _ask_leaders_for_ends(self._fetcher)
        _end_waits_without_errors(self._fetcher)

    def rejoin_as(self, member_id: str) -> None:
        """Joins the group under a member id that it may know; if it doesn't, under a new one."""
        self._coordinator.reset_generation(member_id)

    def close(self, autocommit: bool = False, timeout_ms: float | None = None) -> None:  # noqa: FBT001, FBT002  # the original's signature
        """Leaves the group, also where a join is pending [22], and closes."""
        coordinator = self._coordinator
        if coordinator.rebalance_in_progress() and coordinator.coordinator_id is not None:
            # The broker reads no further request of a connection whose join it has yet to answer:
            # by its plain id it is reached through another one.
            number = str(coordinator.coordinator_id).removeprefix("coordinator-")
            coordinator.coordinator_id = int(number)
        super().close(autocommit=autocommit, timeout_ms=timeout_ms)

    def retain_metadata(self, topic: str) -> None:
        """Keeps the metadata of a topic, whatever is assigned meanwhile: else each turn to it would
        ask a broker, and wait for the answer."""
        self._cluster.add_topic(topic)

    def refresh_metadata(self, timeout_s: float) -> None:
        """Learns the partitions of the topics subscribed to.

        A member that joins before it knows them is given none, and the group rebalances again.
        """
        update = self._cluster.request_update()
        self._net.run(self._manager.wait_for, update, timeout_s * 1000)

    def paused_positions(self) -> dict[TopicPartition, int]:
        """The positions of the partitions that are paused, where they are known; none of those
        that a rebalance which has begun may give to another member."""
        assigned = dict(self._subscription.assignment)
        return {
            partition: state.position.offset
            for partition, state in assigned.items()
            if state.paused and state.position is not None and not state._pending_revocation
        }

    def unfetchable_partitions(self) -> list[TopicPartition]:
        """The partitions that are paused, or whose positions are not known."""
        assigned = dict(self._subscription.assignment)
        return [
            partition
            for partition, state in assigned.items()
            if state.paused or state.position is None
        ]

    def lag(self) -> dict[TopicPartition, int]:
        """Records between the position and the high watermark, where both are known."""
        assigned = dict(self._subscription.assignment)
        return {
            partition: max(0, state.highwater - state.position.offset)
            for partition, state in assigned.items()
            if state.highwater is not None and state.position is not None
        }


class Admin(KafkaAdminClient):
    """An admin client that leaves no thread behind when it can't be opened [16], and raises a
    KafkaError where no broker is the controller for now, in place of a RuntimeError."""

    def __init__(self, bootstrap_servers: str, **configs: Any) -> None:
        patch_kafka_python()
        found = reachable_servers(bootstrap_servers)
        try:
            super().__init__(bootstrap_servers=found, kafka_client=NonRaisingClient, **configs)
        except KafkaTimeoutError:
            self._client.close()
            raise

    async def _send_request_to_controller(self, *args: Any, **options: Any) -> Any:
        try:
            return await super()._send_request_to_controller(*args, **options)
        except RuntimeError as error:
            raise NotControllerError(str(error)) from error


class QuietRepeats(logging.Filter):
    """Lets each message of the client through once per `period_s`, whatever its arguments [12].

    A message is known by the line of code that logs it.
    """

    def __init__(self, period_s: float = 60, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._period_s = period_s
        self._clock = clock
        self._next: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("kafka."):
            return True
        seen, now = (record.pathname, record.lineno), self._clock()
        if now < self._next.get(seen, float("-inf")):
            return False
        self._next[seen] = now + self._period_s
        return True
