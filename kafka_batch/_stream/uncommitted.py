"""What was read of the input and is not committed yet."""

import time

from kafka.structs import OffsetAndMetadata, TopicPartition

from kafka_batch._records.batch import Batch


class Uncommitted:
    """The offsets to commit, and when that is due."""

    def __init__(self, interval_ms: float) -> None:
        """Offsets are due `interval_ms` after the first of them."""
        self.offsets: dict[TopicPartition, OffsetAndMetadata] = {}
        self.is_caught_up = False  # all that there was has been read
        self._interval_ms = interval_ms
        self._due_at = 0.0

    def add(self, batch: Batch, topic_id_tag: str) -> None:
        """The batch was read; its offset is committed with the topic's id tag."""
        if not self.offsets:
            self._due_at = time.monotonic() + self._interval_ms / 1000
        self.offsets[TopicPartition(batch.topic, batch.partition)] = OffsetAndMetadata(
            batch.next_offset, topic_id_tag, batch.leader_epoch
        )

    def take(self) -> dict[TopicPartition, OffsetAndMetadata]:
        """The offsets, which are then no longer uncommitted."""
        offsets, self.offsets = self.offsets, {}
        return offsets

    @property
    def is_due(self) -> bool:
        """Whether there is something to commit, now."""
        return bool(self.offsets) and (self.is_caught_up or self.due_in_ms <= 0)

    @property
    def due_in_ms(self) -> float:
        """Milliseconds until the offsets are due; negative where they are overdue."""
        return (self._due_at - time.monotonic()) * 1000
