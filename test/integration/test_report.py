"""The report's counting on a real Kafka: committed records, by timestamp, in one window."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from detecting import REPOSITORY, Topics, running, send, wait_until_judged
from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata
from report.counting import count, input_ends, reader
from report.expectation import Expectation, share_from
from report.settings import CannotMeasure, Settings
from report.verdict import EXPECTED, Counts
from report.window import Window, watch

from generator.transactions import Transactions
from kafka_batch import BatchProducer, Record

START_MS = time.time_ns() // 1_000_000 - 60_000
END_MS = START_MS + 10_000


@pytest.fixture
def settings(kafka: Any, new_topic: Callable[..., str]) -> Settings:
    names = [new_topic(2) for _ in range(4)]
    broker, group = kafka.bootstrap_servers, f"group-{names[0]}"
    return Settings(broker, *names, group, 1000, 10, Expectation(EXPECTED))


def write(settings: Settings, topic: str, times: Sequence[int], *, commit: bool = True) -> None:
    """One record for each timestamp, in one Kafka transaction, alternating between partitions."""
    producer = BatchProducer(
        bootstrap_servers=settings.broker, transactional_id=f"{topic}-{time.monotonic_ns()}"
    )
    try:
        producer.init_transactional_id(30)
        producer.begin_transaction()
        for partition in (0, 1):
            records: list[Record] = [(at, b"k", b"v", ()) for at in times[partition::2]]
            producer.extend(TopicPartition(topic, partition), records)
        producer.flush_within(30)
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
        counts, _ = count(consumer, settings, Window(START_MS, END_MS))
        return counts


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


def test_a_record_of_a_wrong_clock_before_the_window_does_not_hide_what_has_no_verdict(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("report.counting._CATCH_UP_S", 0.5)
    write(settings, settings.transactions, [END_MS + 1_800_000, START_MS, START_MS])
    judged_up_to(settings, {0: 1, 1: 0})
    assert counted(settings).unjudged == 2


@contextmanager
def arriving(settings: Settings, *ahead_ms: int) -> Iterator[None]:
    """While in it, transactions arrive whose timestamps are ahead of this machine's clock by each
    of these in turn."""
    ended = threading.Event()

    def send_them() -> None:
        with closing(BatchProducer(bootstrap_servers=settings.broker)) as producer:
            while not ended.wait(0.01):
                now_ms = time.time_ns() // 1_000_000
                records: list[Record] = [(now_ms + ms, b"k", b"v", ()) for ms in ahead_ms]
                producer.extend(TopicPartition(settings.transactions, 0), records)

    sending = threading.Thread(target=send_them)
    sending.start()
    try:
        yield
    finally:
        ended.set()
        sending.join()


def test_the_window_is_by_the_stream_s_clock(settings: Settings) -> None:
    """One producer in four is half an hour ahead; the others' clock, a minute."""
    began_ms = time.time_ns() // 1_000_000
    with reader(settings) as consumer, arriving(settings, 60_000, 60_000, 1_800_000, 60_000):
        window = watch(consumer, input_ends(consumer, settings), 3)
    assert window.ahead_ms is not None
    assert 30_000 < window.ahead_ms <= 60_000  # less by as long as a busy machine takes to look
    assert window.start_ms >= began_ms + window.ahead_ms
    assert window.end_ms == window.start_ms + 3_000


def test_a_stream_that_stands_still_is_no_clock_that_is_behind(settings: Settings) -> None:
    write(settings, settings.transactions, [START_MS] * 10)
    with reader(settings) as consumer:
        window = watch(consumer, input_ends(consumer, settings), 1)
    assert window.ahead_ms is None


@pytest.mark.parametrize("limit", ["900", "500"])
def test_the_frauds_of_a_detector_say_what_to_expect(
    settings: Settings, new_topic: Callable[..., str], tmp_path: Path, limit: str
) -> None:
    topics = Topics(
        settings.broker,
        settings.transactions,
        *settings.outputs,
        new_topic(2, **{"cleanup.policy": "compact"}),
    )
    made = Transactions(100, seed=1).take(1_000).values
    send(topics, [(n % 2, (START_MS + n, b"k", value, ())) for n, value in enumerate(made)])
    with running(topics, tmp_path / "log", FRAUD_THRESHOLD=limit):
        wait_until_judged(topics, len(made))
    with reader(replace(settings, group=topics.group)) as consumer:
        counts, evidence = count(consumer, settings, Window(START_MS, END_MS))
    assert counts.judged == len(made)
    default = Expectation(None, "no fraud was seen")
    assert evidence.expectation(default) == Expectation(share_from(Decimal(limit)))


def test_it_asks_the_brokers_that_answer(settings: Settings, free_port: int) -> None:
    servers = f"localhost:{free_port},{settings.broker}"
    with reader(replace(settings, broker=servers)) as consumer:
        assert len(input_ends(consumer, settings)) == 2


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


@pytest.mark.parametrize("answer", [b"HTTP/1.0 400 Bad Request\r\n\r\n", b""])
def test_what_is_no_kafka_ends_the_script_with_2_and_one_line(answer: bytes) -> None:
    class Page(BaseHTTPRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(answer)

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        broker = f"127.0.0.1:{server.server_port}"
        done = run("10", broker=broker)
        server.shutdown()
        serving.join()
    assert (done.returncode, done.stdout) == (2, "")
    why = "what listens there does not speak Kafka in plain text"
    assert done.stderr == f"report: no broker answers at {broker}: {why}\n"


def test_a_wrong_argument_ends_with_2_and_one_line() -> None:
    done = run("soon", broker="localhost:1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == ("report: SECONDS='soon' is not allowed: a whole number, 1 to 86400\n")
