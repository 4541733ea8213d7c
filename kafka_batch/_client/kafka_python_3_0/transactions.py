"""Kafka transactions as brokers from 4.0 on take them, which kafka-python 3.0.12 does not speak.

The client asks for each partition, and the group, to be added to a Kafka transaction, and waits for
the answers. With version 2 (KIP-890, `transaction.version` among the features of a cluster) what is
written adds itself, which spares a commit two of the five answers that it waits for. And each end
begins a new epoch: nothing that comes late gets into a later Kafka transaction.
"""

from typing import Any

from kafka.producer.sender import Sender
from kafka.producer.transaction_manager import (
    EndTxnHandler,
    Priority,
    ProducerIdAndEpoch,
    TransactionalRequestResult,
    TransactionManager,
    TransactionState,
    TxnOffsetCommitHandler,
    TxnRequestHandler,
)
from kafka.protocol.metadata import ApiVersionsRequest
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition
from kafka.version import __version__

_NOBODY = -1, -1  # producer id and epoch
_FEATURE = "transaction.version"
_PRODUCE, _OFFSETS, _END = 12, 5, 5  # the versions of requests that are part of version 2


class Transactions(TransactionManager):
    """The client's transaction manager. Speaks version 2 where the brokers do, and knows whose
    Kafka transaction was begun and whose ended."""

    is_version_2 = False
    begun_as = ended_as = _NOBODY

    def ask_for_version(self) -> TransactionalRequestResult:
        """Finds out which version the brokers speak, and speaks it from then on."""
        with self._lock:
            handler = _AskForVersion(self)
            self._enqueue_request(handler)
            return handler.result

    def begin_transaction(self) -> None:
        with self._lock:
            super().begin_transaction()
            known = self.producer_id_and_epoch
            self.begun_as, self.ended_as = (known.producer_id, known.epoch), _NOBODY

    def maybe_add_partition_to_transaction(self, topic_partition: TopicPartition) -> None:
        if not self.is_version_2:
            super().maybe_add_partition_to_transaction(topic_partition)
            return
        with self._lock:
            self._fail_if_not_ready_for_send()
            self._partitions_in_transaction.add(topic_partition)
            self._transaction_started = True

    def send_offsets_to_transaction(
        self,
        offsets: dict[TopicPartition, OffsetAndMetadata],
        group_metadata: ConsumerGroupMetadata,
    ) -> TransactionalRequestResult:
        if not self.is_version_2:
            return super().send_offsets_to_transaction(offsets, group_metadata)
        with self._lock:
            self._fail_if_not_ready_for_send()
            self._transaction_started = True
            self._pending_txn_offset_commits.update(offsets)
            handler = _SendOffsets(self, group_metadata, offsets, TransactionalRequestResult())
            self._enqueue_request(handler)
            return handler.result

    def _begin_completing_transaction(self, committed: bool) -> TransactionalRequestResult:  # noqa: FBT001  # the original's signature
        if self._new_partitions_in_transaction:
            self._enqueue_request(self._add_partitions_to_transaction_handler())
        handler = _End(self, committed)
        self._enqueue_request(handler)
        return handler.result

    def _complete_transaction(self) -> None:
        """Where the client begins a new epoch while a commit is under way [4], it completes the
        Kafka transaction, and then the one that it has not begun, which raises in the sender's
        thread."""
        if TransactionState.is_transition_valid(self._current_state, TransactionState.READY):
            super()._complete_transaction()


class TransactionalSender(Sender):
    """The client's sender, whose records add their partitions to the Kafka transaction, in version
    2."""

    def _produce_request(self, *args: Any) -> Any:
        request = super()._produce_request(*args)
        if self._transaction_manager.is_version_2:
            request._max_version = _PRODUCE
        return request


class _AskForVersion(TxnRequestHandler):
    def __init__(self, manager: Transactions) -> None:
        super().__init__(manager)
        self.request = ApiVersionsRequest(
            client_software_name="kafka-python", client_software_version=__version__
        )

    @property
    def priority(self) -> Priority:
        return Priority.INIT_PRODUCER_ID

    def handle_response(self, response: Any) -> None:
        levels = {it.name: it.max_version_level for it in response.finalized_features or ()}
        self.transaction_manager.is_version_2 = levels.get(_FEATURE, 0) > 1
        self._result.done()


class _SendOffsets(TxnOffsetCommitHandler):
    def _build_request(self) -> Any:
        request = super()._build_request()
        request._max_version = _OFFSETS
        return request


class _End(EndTxnHandler):
    def __init__(self, manager: Transactions, committed: bool) -> None:  # noqa: FBT001  # the original's signature
        super().__init__(manager, committed)
        self._identity = self.producer_id, self.producer_epoch
        if manager.is_version_2:
            self.request._max_version = _END

    def handle_response(self, response: Any) -> None:
        if not response.error_code:
            manager = self.transaction_manager
            manager.ended_as = self._identity
            if manager.is_version_2:
                manager.producer_id_and_epoch = ProducerIdAndEpoch(
                    response.producer_id, response.producer_epoch
                )
                manager._sequence_numbers.clear()
                manager._last_acked_offset.clear()
        super().handle_response(response)
