"""Reads a real Kafka: what arrives, and the committed records of a window by their timestamps."""

import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from tqdm import tqdm

from .expectation import Evidence
from .settings import CannotMeasure, Settings
from .verdict import Counts
from .window import Window

_CONNECT_S = 2.0
_ANSWER_S = 5.0
_BOOTSTRAP_MS = 15_000  # a broker answers, and may be busy
_CATCH_UP_S = 15.0
_LOOK_S = 0.2
# A request for the API versions, as every client's first: size, API key, version, correlation id,
# and no client id. Kafka's answer begins with its size and the correlation id.
_CORRELATION_ID = bytes((0, 0, 0, 1))
_API_VERSIONS = bytes((0, 0, 0, 10, 0, 18, 0, 0, *_CORRELATION_ID, 255, 255))

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
            bootstrap_timeout_ms=_BOOTSTRAP_MS,
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


def input_ends(consumer: KafkaConsumer, settings: Settings) -> Mapping[TopicPartition, int]:
    """Where the input ends now.

    Raises:
        KafkaError: the broker fails.
    """
    ends: Mapping[TopicPartition, int] = consumer.end_offsets(
        _partitions(consumer, [settings.transactions])
    )
    return ends


def count(consumer: KafkaConsumer, settings: Settings, window: Window) -> tuple[Counts, Evidence]:
    """Counts the window, which is over, once the detector has judged what came in it; waits for
    that a quarter of a minute at most.

    Raises:
        KafkaError: the broker fails.
    """
    unjudged = _await_verdicts(consumer, settings, window)
    partitions = _partitions(consumer, settings.outputs)
    found: Counter[str] = Counter()
    evidence = Evidence()
    for record in _read(consumer, _spans(consumer, partitions, window.start_ms), window):
        found[record.topic] += 1
        if record.topic == settings.legit:
            evidence.add(record.value)
        elif record.topic == settings.fraud:
            evidence.add_fraud(record.value, record.headers)
    counts = Counts(
        fraud=found[settings.fraud],
        legit=found[settings.legit],
        dead=found[settings.dead_letter],
        unjudged=unjudged,
    )
    return counts, evidence


def _connect(brokers: str) -> None:
    """Fails soon where no broker answers; the client would try for long."""
    problem: str | None = None
    for broker in brokers.split(","):
        problem = _problem_of(broker)
        if problem is None:
            return
    raise CannotMeasure(f"no broker answers at {brokers}: {problem}")


def _problem_of(broker: str) -> str | None:
    """Why no Kafka answers at host:port; None where one does."""
    host, _, port = broker.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=_CONNECT_S) as probe:
            probe.settimeout(_ANSWER_S)
            probe.sendall(_API_VERSIONS)
            _size, found = probe.recv(4, socket.MSG_WAITALL), probe.recv(4, socket.MSG_WAITALL)
    except (OSError, ValueError) as error:
        return f"is it running? ({error})"
    return (
        None
        if found == _CORRELATION_ID
        else "what listens there does not speak Kafka in plain text"
    )


def _partitions(consumer: KafkaConsumer, topics: Iterable[str]) -> list[TopicPartition]:
    return [
        TopicPartition(topic, number)
        for topic in topics
        for number in sorted(consumer.partitions_for_topic(topic))
    ]


def _await_verdicts(consumer: KafkaConsumer, settings: Settings, window: Window) -> int:
    """Waits until the input is judged as far as it reaches now, and returns how many records of
    the window are not."""
    ends = input_ends(consumer, settings)
    begins = consumer.beginning_offsets(list(ends))
    deadline = time.monotonic() + _CATCH_UP_S
    while True:
        judged = {p: consumer.committed(p) or begins[p] for p in ends}
        behind = {p: (judged[p], ends[p]) for p in ends if judged[p] < ends[p]}
        if not behind or time.monotonic() > deadline:
            # Offsets also number the markers of Kafka transactions: only records count.
            return sum(1 for _ in _read(consumer, behind, window))
        time.sleep(_LOOK_S)


def _spans(consumer: KafkaConsumer, partitions: list[TopicPartition], start_ms: int) -> Spans:
    first = consumer.offsets_for_times(dict.fromkeys(partitions, start_ms))
    ends = consumer.end_offsets(partitions)
    return {p: (first[p].offset, ends[p]) for p in partitions if first[p] is not None}


def _read(consumer: KafkaConsumer, spans: Spans, window: Window) -> Iterator[Any]:
    """Committed records with a timestamp in the window, within the spans of offsets."""
    consumer.assign(list(spans))
    for partition, (first, _) in spans.items():
        consumer.seek(partition, first)
    total = sum(end - first for first, end in spans.values())
    with tqdm(total=total, desc="reading", unit=" records", leave=False, disable=not total) as bar:
        while any(consumer.position(p) < end for p, (_, end) in spans.items()):
            for partition, records in consumer.poll(timeout_ms=500).items():
                end = spans[partition][1]
                bar.update(len(records))
                for record in records:
                    if record.timestamp in window and record.offset < end:
                        yield record
