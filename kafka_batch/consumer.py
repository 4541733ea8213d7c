"""Whole batches out of Kafka."""

from collections.abc import Sequence
from typing import Any

from kafka_batch.batch import Batch
from kafka_batch.client import Consumer


class BatchConsumer(Consumer):
    """A consumer whose records come as batches, at most one for each partition and call."""

    def read(self, timeout_ms: float, max_records: int | None = None) -> list[Batch]:
        """Waits up to `timeout_ms` for records; an empty list when there were none.

        Raises:
            KafkaError: what `KafkaConsumer.poll` raises.
        """
        fetched = self.poll(timeout_ms=timeout_ms, max_records=max_records)
        return [_as_batch(records) for records in fetched.values()]


def _as_batch(records: Sequence[Any]) -> Batch:
    first = records[0]
    return Batch(
        topic=first.topic,
        partition=first.partition,
        offsets=[record.offset for record in records],
        timestamps=[record.timestamp for record in records],
        keys=[record.key for record in records],
        values=[record.value for record in records],
        headers=[record.headers for record in records],
        leader_epoch=-1 if records[-1].leader_epoch is None else records[-1].leader_epoch,
    )
