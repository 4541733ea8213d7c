"""explain and tail on a real Kafka, as an analyst uses them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from changing import Ruled, with_rules
from detecting import (
    PATIENCE_S,
    REPOSITORY,
    committed,
    running,
    send,
    transaction,
    wait_until_judged,
)
from rulebooks import large_amount

from detector.rules.file.loading import load

FIRST, SECOND = large_amount(900), large_amount(500)


@pytest.fixture
def ruled(kafka: Any, new_topic: Callable[..., str]) -> Ruled:
    return with_rules(kafka.bootstrap_servers, new_topic)


@pytest.fixture
def judged(ruled: Ruled, tmp_path: Path) -> Ruled:
    """Three frauds by the first rules, in one partition; then other rules are current."""
    ruled.activate(ruled.publish(FIRST))
    now_ms = time.time_ns() // 1_000_000
    send(ruled.topics, [(0, (now_ms + n, b"n1", transaction(n, "950"), ())) for n in range(3)])
    with running(ruled.topics, tmp_path / "log", **ruled.settings) as detector:
        wait_until_judged(ruled.topics, 3)
        assert detector.stop() == 0
    ruled.activate(ruled.publish(SECOND))
    return ruled


def tailing(ruled: Ruled, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "detector", "tail", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **ruled.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_explain_shows_the_rule_as_it_was_when_it_judged(judged: Ruled) -> None:
    done = judged.run("explain", f"{judged.topics.fraud}/0/0")
    assert (done.returncode, done.stderr) == (0, "")
    book = load(FIRST)
    assert f"version {book.rules[0].version} of rules {book.version}, as in {judged.rules}:" in (
        done.stdout
    )
    assert 'params: {limit: {"*": 900}}' in done.stdout
    assert 'params: {limit: {"*": 500}}' not in done.stdout


def test_explain_takes_lines_of_records_and_goes_on_after_one_that_is_none(judged: Ruled) -> None:
    fraud = judged.topics.fraud
    lines = f"{fraud}/0/1\nnonsense\n\n{fraud}/0/2\n"
    done = judged.run("explain", lines=lines)
    assert done.returncode == 2
    assert done.stderr == (
        "detector: neither topic/partition/offset nor a record with a verdict: nonsense\n"
    )
    assert [line for line in done.stdout.splitlines() if line.startswith(fraud)] == [
        line for line in done.stdout.splitlines() if ": 950.00 USD from n" in line
    ]
    assert done.stdout.count("large_amount: 950.00 USD is at least 900.00 USD.") == 2


def test_explain_takes_lines_of_the_console_consumer(judged: Ruled) -> None:
    (first, *_) = committed(judged.topics, judged.topics.fraud)
    headers = ",".join(f"{name}:{content.decode()}" for name, content in first.headers)
    line = f"{headers}\t{first.value.decode()}\n"
    done = judged.run(
        "explain", lines=line + "x" * (5 << 20) + f"\nforged\t{line}\n{line[:-1]},{line}"
    )
    assert done.returncode == 2
    origin = f"{judged.topics.transactions}/0/0"
    explained = f"{origin} of the input, as this line has it: 950.00 USD from n0 to t"
    assert done.stdout.splitlines().count(explained) == 2
    assert done.stderr.splitlines() == [
        "detector: a line is longer than 4194304 bytes: name the record, topic/partition/offset",
        "detector: several parts of this line look like a verdict: name the record, "
        "topic/partition/offset",
    ]


def test_headers_that_a_sender_wrote_are_no_verdict(judged: Ruled, tmp_path: Path) -> None:
    forged = [
        ("judged", b"in/0/0;rules=0123456789ab"),
        ("reasons", b'[{"rule":"x","text":"FORGED"}]'),
    ]
    now_ms = time.time_ns() // 1_000_000
    send(judged.topics, [(1, (now_ms, b"n", transaction(9, a), forged)) for a in ("5", "950")])
    with running(judged.topics, tmp_path / "log", **judged.settings):
        wait_until_judged(judged.topics, 5)
    done = judged.run("explain", f"{judged.topics.legit}/1/0", f"{judged.topics.fraud}/1/0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "FORGED" not in done.stdout
    assert "no rule that is active fired." in done.stdout.splitlines()
    assert "large_amount: 950.00 USD is at least 500.00 USD." in done.stdout.splitlines()


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("{fraud}/0/99", "no committed record is there, or not any more"),
        ("{fraud}/9/0", "has 4 partitions"),
        ("{source}/0/0", "verdicts are on what the detector writes, which is "),
        ("no-such-topic/0/0", "verdicts are on what the detector writes, which is "),
    ],
)
def test_explain_says_in_one_line_why_a_record_can_not_be_explained(
    judged: Ruled, place: str, words: str
) -> None:
    named = place.format(fraud=judged.topics.fraud, source=judged.topics.transactions)
    done = judged.run("explain", named)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert words in line


def test_tail_shows_each_verdict_on_a_line_without_colours_where_it_is_piped(
    judged: Ruled,
) -> None:
    done = judged.run("tail", "--from-beginning", "--limit", "2")
    assert (done.returncode, done.stderr) == (0, "")
    fraud = judged.topics.fraud
    assert [line[29:] for line in done.stdout.splitlines()] == [
        f"950.00 USD from n{n} to t  large_amount: 950.00 USD is at least 900.00 USD.  "
        f"[{fraud}/0/{n}]"
        for n in range(2)
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_tail_ends_cleanly_when_told_to(judged: Ruled, number: signal.Signals) -> None:
    with tailing(judged, "--from-beginning") as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        assert "large_amount" in tail.stdout.readline()
        tail.send_signal(number)
        assert tail.wait(PATIENCE_S) == 0
        assert tail.stderr.read() == ""


def test_tail_ends_cleanly_when_nobody_reads_it_any_more(judged: Ruled) -> None:
    """Also where no further verdict comes that it could fail to write."""
    with tailing(judged, "--from-beginning") as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        assert "large_amount" in tail.stdout.readline()
        tail.stdout.close()
        assert tail.wait(PATIENCE_S) == 0
        assert tail.stderr.read() == ""
