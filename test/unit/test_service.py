"""What surrounds a service's loop: stopping, restarting, health, logs, and counting."""

import asyncio
import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from kafka import KafkaAdminClient
from kafka.errors import (
    ClusterAuthorizationFailedError,
    FencedInstanceIdError,
    InvalidConfigurationError,
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    InvalidTopicError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    LeaderNotAvailableError,
    NodeNotReadyError,
    NotControllerError,
    PolicyViolationError,
    ProducerFencedError,
    RequestTimedOutError,
    ThrottlingQuotaExceededError,
    TopicAuthorizationFailedError,
    UnknownBrokerIdError,
    UnknownError,
)
from rulebooks import of_large_amounts

from detector.service.metrics import Metrics
from detector.service.routing import DeadLetter, Routed
from kafka_batch import FatalError, HeaderBlock, RecoverableError, ShutdownTimeout
from kafka_batch._client.kafka_python_3_0.admin import Admin
from kafka_batch._client.kafka_python_3_0.log_filter import QuietRepeats
from kafka_batch.errors import describe_error, translate
from service_kit.health import Heartbeat, check
from service_kit.logs import LogFormat, set_up_logs
from service_kit.restart import run_until_done
from service_kit.shutdown import Shutdown


class Restless(Shutdown):
    """Notes the pauses instead of taking them."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


def test_a_broken_run_is_restarted_with_ever_longer_pauses_until_it_is_done() -> None:
    shutdown, tries = Restless(), iter(range(9))

    def run() -> None:
        if next(tries) < 7:
            raise RecoverableError("no broker answers")

    run_until_done(run, shutdown)
    assert shutdown.pauses == [1, 2, 4, 5, 5, 5, 5]


def test_a_run_that_lasted_begins_with_the_first_pause_again() -> None:
    shutdown, now, lasts = Restless(), 0.0, iter([0, 0, 6, 0, None])

    def run() -> None:
        nonlocal now
        if (seconds := next(lasts)) is not None:
            now += seconds
            raise RecoverableError("no broker answers")

    run_until_done(run, shutdown, clock=lambda: now)
    assert shutdown.pauses == [1, 2, 0.5, 1]


def test_why_it_restarts_is_told_when_it_changes() -> None:
    reasons = iter(["no answer", "no broker", "no broker", "no broker", "no answer"])

    def run() -> None:
        if reason := next(reasons, None):
            raise RecoverableError(reason)

    with structlog.testing.capture_logs() as lines:
        run_until_done(run, Restless())
    assert [line["reason"] for line in lines] == ["no answer", "no broker", "no answer"]


def test_a_thread_that_hangs_ends_the_process_as_a_failure_unless_it_is_told_to_stop() -> None:
    shutdown = Restless()

    def run() -> None:
        raise ShutdownTimeout("the producer's thread did not end")

    with pytest.raises(ShutdownTimeout):
        run_until_done(run, shutdown)

    def told_meanwhile() -> None:
        shutdown.request()
        run()

    run_until_done(told_meanwhile, shutdown)
    assert shutdown.pauses == []


def test_what_only_an_operator_can_fix_is_not_tried_again() -> None:
    shutdown = Restless()

    def run() -> None:
        raise FatalError("no such topic")

    with pytest.raises(FatalError):
        run_until_done(run, shutdown)
    assert shutdown.pauses == []


def test_nothing_is_started_once_the_process_was_told_to_stop() -> None:
    shutdown = Restless()
    shutdown.request()
    run_until_done(lambda: pytest.fail("started"), shutdown)
    assert shutdown.requested


def stopping(program: str) -> "subprocess.CompletedProcess[str]":
    """A program of its own with a `Shutdown` that signals reach."""
    head = "import os, signal, threading, time\nfrom service_kit.shutdown import Shutdown\n"
    return subprocess.run(
        [sys.executable, "-c", head + program], capture_output=True, text=True, check=False
    )


def test_a_signal_brings_the_deadline_of_all_waits_near() -> None:
    done = stopping(
        "shutdown = Shutdown(grace_s=3)\n"
        "assert shutdown.deadline() == float('inf')\n"
        "shutdown.on_signals()\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "assert shutdown.requested\n"
        "deadline = shutdown.deadline()\n"
        "assert deadline <= time.monotonic() + 3\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "assert shutdown.deadline() == deadline\n"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_process_that_is_stuck_when_told_to_stop_is_cut_off_with_a_line() -> None:
    done = stopping(
        "Shutdown(limit_s=0.1, status=7).on_signals()\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "stuck = threading.Lock()\n"
        "with stuck:\n"
        "    stuck.acquire()\n"
    )
    assert done.returncode == 7
    assert "cut off: it did not stop in time" in done.stdout + done.stderr


def test_the_pulse_shows_that_the_loop_is_alive_and_when_it_has_stalled(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    assert "no turn of the loop is known" in str(check(str(file), 30))
    Heartbeat(str(file)).beat()
    assert check(str(file), 30) is None
    file.write_text(f"{time.monotonic() - 60}\n")
    assert check(str(file), 30) == "the loop has stalled for 60 s"
    file.write_text("?")
    assert "no turn of the loop is known" in str(check(str(file), 30))


def a_line(name: str, line: int, text: str) -> logging.LogRecord:
    return logging.LogRecord(name, logging.WARNING, "client.py", line, text, (), None)


def test_each_message_of_the_client_is_let_through_once_a_minute() -> None:
    now = 0.0
    quiet = QuietRepeats(period_s=60, clock=lambda: now)
    assert quiet.filter(a_line("kafka.net", 1, "node 1 is away"))
    assert not quiet.filter(a_line("kafka.net", 1, "node 2 is away"))
    assert quiet.filter(a_line("kafka.net", 2, "another"))
    assert [quiet.filter(a_line("detector", 3, "judged")) for _ in range(2)] == [True, True]
    now = 60.0
    assert quiet.filter(a_line("kafka.net", 1, "node 3 is away"))


@contextmanager
def logs_as_they_were() -> Iterator[None]:
    """Afterwards."""
    handlers, level = logging.root.handlers[:], logging.root.level
    try:
        yield
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)


def test_logs_are_one_json_object_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    with logs_as_they_were():
        set_up_logs("INFO")
        logging.getLogger("kafka.net").warning("node %s\nis away", 1)
        logging.getLogger("kafka.net").info("chatter")
        logging.getLogger("kafka.net.transport").error("as the connection says")
        for error in ("ConcurrentTransactionsError", "NotLeaderForPartitionError"):
            logging.getLogger("kafka.producer.sender").warning("sent again: %s", error)
        logging.getLogger("else").info("heard")
    found = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [(line["event"], line["level"]) for line in found] == [
        ("node 1\nis away", "warning"),
        ("sent again: NotLeaderForPartitionError", "warning"),
        ("heard", "info"),
    ]
    assert all("timestamp" in line for line in found)


def test_logs_for_a_person_are_short_lines_without_colours_where_they_are_piped(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with logs_as_they_were():
        set_up_logs("INFO", LogFormat.CONSOLE)
        structlog.get_logger("detector").info("judged", legit=9, fraud=1)
    (line,) = capfd.readouterr().err.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\dZ \[info     \] judged \[detector\] fraud=1 legit=9", line)


def test_errors_are_sorted_by_who_can_mend_them() -> None:
    assert isinstance(translate(KafkaTimeoutError("slow")), RecoverableError)
    assert isinstance(translate(TopicAuthorizationFailedError("t")), FatalError)
    assert isinstance(translate(ProducerFencedError()), RecoverableError)
    assert isinstance(translate(ProducerFencedError(), "one"), FatalError)
    assert "INSTANCE_ID 'one'" in str(translate(FencedInstanceIdError(), "one"))
    afterwards = KafkaError("an earlier request has failed", ProducerFencedError())
    assert isinstance(translate(afterwards, "one"), FatalError)
    assert isinstance(
        translate(KafkaError("an earlier request", OSError()), "one"), RecoverableError
    )


@pytest.mark.parametrize(
    "error",
    [
        RequestTimedOutError("Request timed out after 4000 ms"),
        NodeNotReadyError("controller"),
        KafkaConnectionError("socket disconnected"),
        NotControllerError("Failed to find active controller id!"),
        UnknownBrokerIdError(1),
        LeaderNotAvailableError(),
        ThrottlingQuotaExceededError(),
        UnknownError(),
    ],
    ids=describe_error,
)
def test_a_broker_that_is_slow_or_changes_is_waited_for(error: KafkaError) -> None:
    assert isinstance(translate(error), RecoverableError)


def test_a_cluster_that_has_no_controller_for_now_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def without_one(*_: object) -> None:
        raise RuntimeError("Failed to find active controller id!")

    monkeypatch.setattr(KafkaAdminClient, "_send_request_to_controller", without_one)
    with pytest.raises(NotControllerError):
        asyncio.run(Admin.__new__(Admin)._send_request_to_controller("create"))


@pytest.mark.parametrize(
    "error",
    [
        ClusterAuthorizationFailedError(),
        InvalidConfigurationError(),
        InvalidPartitionsError(),
        InvalidReplicationFactorError(),
        InvalidTopicError(),
        PolicyViolationError(),
    ],
    ids=describe_error,
)
def test_what_a_broker_never_does_is_for_an_operator(error: KafkaError) -> None:
    assert isinstance(translate(error), FatalError)


def test_an_error_is_told_on_one_line() -> None:
    assert describe_error(ValueError("a\n b")) == "ValueError: a b"
    assert describe_error(ValueError()) == "ValueError"


WHY = HeaderBlock.of([("error", b"not_json"), ("origin", b"in/0/3")])


def some_routed() -> Routed:
    dead = DeadLetter(3, "not_json", 0, WHY)
    return Routed(legit=[0, 1], fraud=[2], fraud_headers=[HeaderBlock.of(())], dead=[dead])


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_records_count_once_they_are_committed() -> None:
    metrics = Metrics(lambda: 0.0)
    metrics.routed(some_routed(), of_large_amounts(900))
    metrics.saved(0.003)
    metrics.committing()
    metrics.routed(some_routed(), of_large_amounts(900))  # into the next Kafka transaction
    assert value(metrics, "detector_records_read_total") == 0
    metrics.committed(0.01)
    assert value(metrics, "detector_records_read_total") == 4
    assert value(metrics, "detector_records_written_total", verdict="legit") == 2
    assert value(metrics, "detector_records_written_total", verdict="fraud") == 1
    assert value(metrics, "detector_dead_letters_total", error="not_json") == 1
    assert (metrics.dead_total, metrics.dead_samples) == ({"not_json": 1}, {"not_json": WHY})
    assert value(metrics, "detector_commit_duration_seconds_count") == 1
    assert value(metrics, "detector_state_save_duration_seconds_sum") == 0.003


def test_what_was_aborted_does_not_count() -> None:
    metrics = Metrics(lambda: 0.0)
    metrics.routed(some_routed(), of_large_amounts(900))
    metrics.committing()
    metrics.routed(some_routed(), of_large_amounts(900))
    metrics.aborted()
    metrics.committing()
    metrics.committed(0.01)
    assert value(metrics, "detector_records_read_total") == 0
    assert (metrics.dead_total, metrics.dead_samples) == ({}, {})
    assert value(metrics, "detector_aborts_total") == 1


def test_rules_that_failed_or_had_no_amount_count_with_the_commit_too() -> None:
    metrics, rules = Metrics(lambda: 0.0), of_large_amounts(900)

    def counted() -> list[float | None]:
        names = "detector_rule_failures_total", "detector_rule_inapplicable_total"
        return [value(metrics, name, rule="large_amount") for name in names]

    def judge_some() -> None:
        rules.failures[0] += 1
        rules.inapplicable[0] += 2
        metrics.rules(rules)
        metrics.committing()

    judge_some()
    metrics.aborted()
    metrics.committed(0.01)
    assert counted() == [None, None]
    judge_some()
    assert counted() == [None, None]
    metrics.committed(0.01)
    assert counted() == [1, 2]


def test_the_lag_is_told_for_the_partitions_one_has() -> None:
    metrics = Metrics(lambda: 0.0)
    metrics.lag({0: 5, 1: 7}, [2, 3])
    metrics.lag({1: 6}, [2])
    assert value(metrics, "detector_lag_records", partition="0") is None
    assert value(metrics, "detector_lag_records", partition="1") == 6
    assert value(metrics, "detector_partitions_waiting") == 1
