"""kafka-python's producer, with every wait bounded."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from kafka import KafkaProducer
from kafka.errors import (
    KafkaError,
    KafkaTimeoutError,
)
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition

from kafka_batch._client.kafka_python_3_0.bootstrap import reachable_servers
from kafka_batch._client.kafka_python_3_0.connections import NonRaisingClient
from kafka_batch._client.kafka_python_3_0.patches import patch_kafka_python
from kafka_batch._client.kafka_python_3_0.transactions import TransactionalSender, Transactions

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
