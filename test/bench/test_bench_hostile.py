"""What hostile records cost, beside what good ones do, and what a backlog takes of memory.

A process that judges is bound by its CPU, so its CPU time a record says what it can keep up with,
also on a machine that has much else to do. Ratios, never times.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest
from corpus.records import FRAUD, LEGIT, RECORDS
from corpus.traffic import good, hostile, mixed
from detecting import REPOSITORY
from kafka.structs import TopicPartition

from bench import throughput
from bench.systems import DETECTOR
from bench.throughput import Input, Run
from bench.topics import PARTITIONS, Broker
from detector.service.settings import RULES_FILE
from kafka_batch import BATCH_BYTES, BatchProducer, Record

EACH = 150_000
ROUNDS = 3
MAX_UNDELIVERED = 50_000
ANY_TIME = {"message.timestamp.after.max.ms": str(2**63 - 1)}
NewTopic = Callable[..., str]


def fill(kafka: Any, topic: str, records: Iterator[Record]) -> None:
    """Writes that many of the records, round and round over the partitions."""
    producer = BatchProducer(kafka.bootstrap_servers, linger_ms=20, batch_size=BATCH_BYTES)
    try:
        for _ in range(0, EACH, 1_000):
            some = list(islice(records, 1_000))
            for partition in range(PARTITIONS):
                place = TopicPartition(topic, partition)
                producer.extend(place, some[partition::PARTITIONS])
            if producer.undelivered > MAX_UNDELIVERED:
                producer.flush_within(60)
        producer.flush_within(60)
    finally:
        producer.close()


def judged(kafka: Any, topic: str, records: int) -> Run:
    """Has a detector as compose starts it judge them all; it remembers nothing yet."""
    detector = DETECTOR.with_variables(
        DETECTOR.name, RULES_FILE=RULES_FILE, STATE_MAX_EVENTS=of_compose("STATE_MAX_EVENTS:-")
    )
    source = Input(topic, records, frauds=(-1.0, 1.0))  # however many there are
    return throughput.measure(Broker(kafka.bootstrap_servers), detector, source, to_the_end=True)


def of_compose(before: str) -> int:
    """A number that compose gives the detector."""
    compose = (REPOSITORY / "docker-compose.yml").read_text()
    found = re.search(rf"{re.escape(before)}(\d+)", compose[compose.index("\n  detector:") :])
    assert found is not None
    return int(found[1])


def test_hostile_records_leave_over_half_of_the_speed_and_alone_an_eighth(
    kafka: Any, new_topic: NewTopic
) -> None:
    unreadable = [odd for odd in RECORDS if odd.outcome not in (LEGIT, FRAUD)]
    streams = {
        "good": good(),
        "one hostile to ten good": mixed(good(), hostile()),
        "all hostile": hostile(unreadable),
    }
    topics = {name: new_topic(PARTITIONS, **ANY_TIME) for name in streams}
    for name, records in streams.items():
        fill(kafka, topics[name], records)
    runs: dict[str, list[Run]] = {name: [] for name in streams}
    for _ in range(ROUNDS):
        for name, topic in topics.items():
            runs[name].append(judged(kafka, topic, EACH))
    # A slow minute of the machine falls on a whole round, mostly: the best of the rounds counts.
    share = {
        name: max(ours.cpu_us / its.cpu_us for ours, its in zip(runs["good"], found, strict=True))
        for name, found in runs.items()
    }
    for name, its in runs.items():
        sys.stderr.write(f"{name}: {[f'{run.cpu_us:.1f} us' for run in its]} a record\n")
    assert share["one hostile to ten good"] > 1 / 2
    assert share["all hostile"] > 1 / 8


@pytest.mark.parametrize(
    "waiting",
    [
        1_000_000,
        pytest.param(
            10_000_000,
            marks=pytest.mark.skipif("LONG" not in os.environ, reason="takes minutes: LONG=1"),
        ),
    ],
)
def test_a_backlog_does_not_take_what_the_container_has_of_memory(
    kafka: Any, new_topic: NewTopic, waiting: int
) -> None:
    topic = new_topic(PARTITIONS)
    Broker(kafka.bootstrap_servers).fill(topic, waiting)
    run = judged(kafka, topic, waiting)
    sys.stderr.write(f"{waiting:,} waiting: {run.memory_mb:.0f} MB, {run.rate:,.0f}/s\n")
    assert run.memory_mb < of_compose("mem_limit: ") * 2**20 / 1e6
