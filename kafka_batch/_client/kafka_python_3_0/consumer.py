"""kafka-python's consumer, patched where it would hang, skip or leak."""

from types import SimpleNamespace
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import (
    KafkaTimeoutError,
    NotLeaderForPartitionError,
)
from kafka.future import Future
from kafka.structs import TopicPartition

from kafka_batch._client.kafka_python_3_0.bootstrap import reachable_servers
from kafka_batch._client.kafka_python_3_0.connections import NonRaisingClient
from kafka_batch._client.kafka_python_3_0.patches import patch_kafka_python


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
