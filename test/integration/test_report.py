"""The report's counting on a real Kafka: committed records, by timestamp, in one window."""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from detecting import REPOSITORY
from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata
from report.counting import count, reader
from report.settings import CannotMeasure, Settings
from report.verdict import Counts

from kafka_batch import BatchProducer, Record

START_MS = time.time_ns() // 1_000_000 - 60_000
END_MS = START_MS + 10_000


@pytest.fixture
def settings(kafka: Any, new_topic: Callable[..., str]) -> Settings:
    names = [new_topic(2) for _ in range(4)]
    return Settings(kafka.bootstrap_servers, *names, f"group-{names[0]}", 1000, 10)


def write(settings: Settings, topic: str, times: Sequence[int], *, commit: bool = True) -> None:
    """One record for each timestamp, in one Kafka transaction, alternating between partitions."""
    producer = BatchProducer(
        bootstrap_servers=settings.broker, transactional_id=f"{topic}-{time.monotonic_ns()}"
    )
    try:
        producer.take_transactional_id(30)
        producer.begin_transaction()
        for partition in (0, 1):
            records: list[Record] = [(at, b"k", b"v", ()) for at in times[partition::2]]
            producer.extend(TopicPartition(topic, partition), records)
        producer.deliver(30)
        if commit:
            producer.commit(30)
        else:
            producer.abort(30)
    finally:
        producer.close()


def judged_up_to(settings: Settings, offsets: dict[int, int]) -> None:
    consumer = KafkaConsumer(bootstrap_servers=settings.broker, group_id=settings.group)
    partitions = {TopicPartition(settings.transactions, p): o for p, o in offsets.items()}
    consumer.assign(list(partitions))
    consumer.commit({p: OffsetAndMetadata(o, "", -1) for p, o in partitions.items()})
    consumer.close(autocommit=False)


def counted(settings: Settings) -> Counts:
    with reader(settings) as consumer:
        return count(consumer, settings, START_MS, END_MS)


def test_a_window_has_its_start_and_not_its_end(settings: Settings) -> None:
    edges = [START_MS - 1, START_MS, START_MS + 1, END_MS - 1, END_MS, END_MS + 1]
    for topic in settings.outputs:
        write(settings, topic, edges)
    assert counted(settings) == Counts(fraud=3, legit=3, dead=3)


def test_what_was_aborted_does_not_count(settings: Settings) -> None:
    write(settings, settings.fraud, [START_MS] * 4)
    write(settings, settings.fraud, [START_MS] * 6, commit=False)
    write(settings, settings.legit, [START_MS] * 2)
    assert counted(settings) == Counts(fraud=4, legit=2, dead=0)


def test_transactions_without_a_verdict_are_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("report.counting._CATCH_UP_S", 0.5)
    write(settings, settings.transactions, [START_MS] * 10 + [END_MS] * 4)
    judged_up_to(settings, {0: 5, 1: 2})
    assert counted(settings) == Counts(fraud=0, legit=0, dead=0, unjudged=3)


def test_a_marker_of_a_kafka_transaction_is_no_transaction_without_a_verdict(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("report.counting._CATCH_UP_S", 0.5)
    write(settings, settings.transactions, [START_MS] * 10)
    judged_up_to(settings, {0: 5, 1: 5})
    assert counted(settings).unjudged == 0


def test_a_topic_that_is_not_there_cannot_be_measured(settings: Settings) -> None:
    with (
        pytest.raises(CannotMeasure, match="topic 'nowhere' does not exist"),
        reader(replace(settings, fraud="nowhere")),
    ):
        pytest.fail("measured")


def run(*arguments: str, broker: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [REPOSITORY / "test" / "run.sh", *arguments],
        env={**os.environ, "KAFKA_BROKER_URL": broker},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_broker_the_script_ends_with_2_and_one_line(free_port: int) -> None:
    done = run("10", broker=f"localhost:{free_port}")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"report: no broker answers at localhost:{free_port}")


def test_a_wrong_argument_ends_with_2_and_one_line() -> None:
    done = run("soon", broker="localhost:1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == ("report: SECONDS='soon' is not allowed: a whole number, 1 to 86400\n")
