"""What the group's coordinator asks of a stream."""

from collections.abc import Sequence
from typing import Protocol

from kafka import AsyncConsumerRebalanceListener
from kafka.structs import TopicPartition


class Member(Protocol):
    """A stream, as its group sees it."""

    async def commit_before_revoke(self) -> None:
        """The partitions are about to be revoked."""

    def on_lost(self) -> None:
        """The group gave the partitions to others, since no heartbeat came in time."""

    def on_assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """These partitions are assigned, in place of those before."""


class RebalanceListener(AsyncConsumerRebalanceListener):
    """Passes rebalances on to the stream. Asynchronous, since a synchronous commit on the
    consumer's own thread would deadlock. Assignment is eager: all partitions are revoked."""

    def __init__(self, member: Member) -> None:
        self._member = member

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # noqa: ARG002
        await self._member.commit_before_revoke()

    async def on_partitions_lost(self, lost: set[TopicPartition]) -> None:  # noqa: ARG002
        self._member.on_lost()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._member.on_assigned(sorted(assigned))
