"""Counting committed records on a real Kafka by their timestamps."""

import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from .settings import CannotMeasure, Settings
from .verdict import Counts

_CONNECT_S = 2.0
_CATCH_UP_S = 15.0
_LOOK_S = 0.2

Spans = Mapping[TopicPartition, tuple[int, int]]  # offsets: from, and up to but without


@contextmanager
def reader(settings: Settings) -> Iterator[KafkaConsumer]:
    """A consumer that sees what is committed, and looks at the detector's group without joining.

    Raises:
        CannotMeasure: no broker answers, or a topic is not there.
    """
    _connect(settings.broker)
    consumer = None
    try:
        consumer = KafkaConsumer(
            bootstrap_servers=settings.broker,
            bootstrap_timeout_ms=int(_CONNECT_S * 1000),
            group_id=settings.group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            allow_auto_create_topics=False,
            max_partition_fetch_bytes=4 << 20,
            max_poll_records=20_000,
        )
        there = consumer.topics()
        for topic in (settings.transactions, *settings.outputs):
            if topic not in there:
                raise CannotMeasure(f"topic {topic!r} does not exist at {settings.broker}")
        yield consumer
    except KafkaError as error:
        raise CannotMeasure(f"the broker at {settings.broker} fails: {error}") from error
    finally:
        if consumer is not None:
            consumer.close(autocommit=False)


def count(consumer: KafkaConsumer, settings: Settings, start_ms: int, end_ms: int) -> Counts:
    """Counts the window [start_ms, end_ms), once the detector has judged what came in it; waits
    for that a quarter of a minute at most.

    Raises:
        KafkaError: the broker fails.
    """
    unjudged = _await_verdicts(consumer, settings, start_ms, end_ms)
    partitions = _partitions(consumer, settings.outputs)
    found = _read(consumer, _spans(consumer, partitions, start_ms), start_ms, end_ms)
    return Counts(
        fraud=found[settings.fraud],
        legit=found[settings.legit],
        dead=found[settings.dead_letter],
        unjudged=unjudged,
    )


def _connect(broker: str) -> None:
    """Fails at once where nothing listens; the client would try for long."""
    host, _, port = broker.split(",", maxsplit=1)[0].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except (OSError, ValueError) as error:
        raise CannotMeasure(f"no broker answers at {broker}: is it running? ({error})") from error


def _partitions(consumer: KafkaConsumer, topics: Iterable[str]) -> list[TopicPartition]:
    return [
        TopicPartition(topic, number)
        for topic in topics
        for number in sorted(consumer.partitions_for_topic(topic))
    ]


def _await_verdicts(consumer: KafkaConsumer, settings: Settings, start_ms: int, end_ms: int) -> int:
    """Waits until the window's input is judged, and returns how many records of it are not."""
    partitions = _partitions(consumer, [settings.transactions])
    begins = consumer.beginning_offsets(partitions)
    after = consumer.offsets_for_times(dict.fromkeys(partitions, end_ms))
    ends = {
        partition: after[partition].offset if after[partition] else end
        for partition, end in consumer.end_offsets(partitions).items()
    }
    deadline = time.monotonic() + _CATCH_UP_S
    while True:
        judged = {p: consumer.committed(p) or begins[p] for p in partitions}
        behind = {p: (judged[p], ends[p]) for p in partitions if judged[p] < ends[p]}
        if not behind or time.monotonic() > deadline:
            # Offsets also number the markers of Kafka transactions: only records count.
            return _read(consumer, behind, start_ms, end_ms)[settings.transactions]
        time.sleep(_LOOK_S)


def _spans(consumer: KafkaConsumer, partitions: list[TopicPartition], start_ms: int) -> Spans:
    first = consumer.offsets_for_times(dict.fromkeys(partitions, start_ms))
    ends = consumer.end_offsets(partitions)
    return {p: (first[p].offset, ends[p]) for p in partitions if first[p] is not None}


def _read(consumer: KafkaConsumer, spans: Spans, start_ms: int, end_ms: int) -> Counter[str]:
    """Committed records by topic with a timestamp in the window, within the spans of offsets."""
    found: Counter[str] = Counter()
    consumer.assign(list(spans))
    for partition, (first, _) in spans.items():
        consumer.seek(partition, first)
    while any(consumer.position(p) < end for p, (_, end) in spans.items()):
        for partition, records in consumer.poll(timeout_ms=500).items():
            end = spans[partition][1]
            found[partition.topic] += sum(
                start_ms <= record.timestamp < end_ms and record.offset < end for record in records
            )
    return found
