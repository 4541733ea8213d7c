"""A stream's configuration, and what it means for kafka-python's clients.

The time-outs are chosen so that a stuck member costs the group seconds, not minutes. The numbers in
brackets are the entries of docs/exactly-once.md.
"""

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kafka_batch._client.kafka_python_3_0.selftest import RecordCodec, whole_batches

_CLIENT = {
    "reconnect_backoff_max_ms": 1_000,
    "request_timeout_ms": 10_000,
    "allow_auto_create_topics": False,
    "bootstrap_timeout_ms": 4_000,
    "metadata_max_age_ms": 30_000,  # so long until a partition that was added is read
}
_CONSUMER = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    # Also waits for offsets that another member's open Kafka transaction is about to commit [10].
    "isolation_level": "read_committed",
    "session_timeout_ms": 8_000,
    "heartbeat_interval_ms": 500,  # so late does a member learn that another one left or came
    "max_poll_interval_ms": 45_000,  # a stuck member leaves after this (exactly-once.md, entry 3)
}
_PRODUCER = {
    "acks": "all",
    "max_request_size": 8 << 20,
    "max_block_ms": 10_000,
    "delivery_timeout_ms": 20_000,  # bounds every send (exactly-once.md, entry 5)
    # While the broker finishes a commit, which takes it some milliseconds, it refuses the next
    # Kafka transaction: to try again soon is what latency at low rates depends on.
    "retry_backoff_ms": 1,
}
_TRANSACTION_TIMEOUT_MS = 8_000
# A request to a broker that is silent is given up, and asked of the one that leads by now.
_READER_REQUEST_MS = 3_000
BATCH_BYTES = 512 << 10


class Guarantee(StrEnum):
    EXACTLY_ONCE = "exactly_once"
    AT_LEAST_ONCE = "at_least_once"


class Compression(StrEnum):
    """Of what is written; whatever was written by others is read."""

    NONE = "none"
    GZIP = "gzip"
    SNAPPY = "snappy"
    LZ4 = "lz4"
    ZSTD = "zstd"

    @property
    def for_the_client(self) -> str | None:
        """Its name in kafka-python's settings."""
        return None if self is Compression.NONE else str(self)


@dataclass(frozen=True)
class StreamConfig:
    """Where a stream reads, as whom, and how often it commits.

    `instance_id` names this member for good: transactional id and static membership. It must be
    unique among the running members of the group, and lets a restarted member go on sooner.
    With `pause_on_assignment`, partitions that the group assigns are not read until they are
    resumed, so that their state can be restored first.
    `batch_bytes` is at most what every topic that is forwarded to takes (`TopicLimits.max_bytes`).
    """

    bootstrap_servers: str
    group: str
    topic: str
    guarantee: Guarantee = Guarantee.EXACTLY_ONCE
    commit_interval_ms: int = 100
    instance_id: str | None = None
    batch_bytes: int = BATCH_BYTES
    compression: Compression = Compression.NONE
    codec: RecordCodec = RecordCodec.AUTO
    pause_on_assignment: bool = False

    def for_the_consumer(self) -> dict[str, Any]:
        """Settings of a `BatchConsumer`."""
        return {
            "bootstrap_servers": self.bootstrap_servers,
            "group_id": self.group,
            "group_instance_id": self.instance_id,
            "whole_batches": whole_batches(self.codec),
            **_CLIENT,
            **_CONSUMER,
        }

    def for_a_reader(self, wait_ms: int = 500) -> dict[str, Any]:
        """Settings of a `BatchConsumer` outside of the group, which reads what was committed.

        A broker answers after `wait_ms` where nothing more is there: so late does a reader learn
        that it is at the end.
        """
        return {
            "fetch_max_wait_ms": wait_ms,
            **self.for_the_consumer(),
            "group_id": None,
            "group_instance_id": None,
            "request_timeout_ms": _READER_REQUEST_MS,
            "auto_offset_reset": "none",  # what is gone must not be skipped in silence
        }

    def for_the_producer(self) -> dict[str, Any]:
        """Settings of a `BatchProducer`; without `instance_id` a new transactional id each time."""
        settings = {
            "bootstrap_servers": self.bootstrap_servers,
            "whole_batches": whole_batches(self.codec),
            # Full batches leave at once and a commit flushes the rest, so lingering costs nothing.
            "linger_ms": self.commit_interval_ms,
            "batch_size": self.batch_bytes,
            "compression_type": self.compression.for_the_client,
            **_CLIENT,
            **_PRODUCER,
        }
        if self.guarantee is Guarantee.EXACTLY_ONCE:
            name = self.instance_id or uuid.uuid4().hex
            settings["transactional_id"] = f"{self.group}-{name}"
            settings["transaction_timeout_ms"] = _TRANSACTION_TIMEOUT_MS
        return settings
