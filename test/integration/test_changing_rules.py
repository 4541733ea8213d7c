"""Rules change without a restart, on a real Kafka, and the log says which judged each offset."""

import argparse
import getpass
import random
import re
import signal
import socket
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from changing import Ruled, with_rules
from detecting import (
    Running,
    committed,
    numbers,
    running,
    send,
    transaction,
    wait_until,
    wait_until_judged,
)
from rulebooks import SHIPPED, large_amount

from detector.commands import rules
from detector.rules.file.loading import load
from detector.service.published import Activation, RulesTopic
from detector.service.settings import DetectorSettings

LIMITS = {load(large_amount(limit)).version: limit for limit in (900, 500)}
HIGH, LOW = LIMITS
MANY = """format: 1
rules:
  - name: many
    mode: active
    params: {limit: 3, window: 1h}
    observed: count(window)
    threshold: limit
    reason: "{observed} payments within {window}."
"""


@pytest.fixture
def ruled(kafka: Any, new_topic: Callable[..., str]) -> Ruled:
    found = with_rules(kafka.bootstrap_servers, new_topic)
    assert [found.publish(large_amount(limit)) for limit in LIMITS.values()] == [HIGH, LOW]
    return found


def send_some(ruled: Ruled, first: int, count: int) -> None:
    """Numbered transactions over all partitions, with amounts of 0 to 990."""
    now_ms = time.time_ns() // 1_000_000
    send(
        ruled.topics,
        [
            (n % 4, (now_ms, f"n{n}".encode(), transaction(n, f"{n * 7 % 100 * 10}"), ()))
            for n in range(first, first + count)
        ],
    )


@contextmanager
def load_until_left(ruled: Ruled) -> Iterator[Callable[[], int]]:
    """Transactions flow while the block runs; tells how many were sent so far."""
    sent, end = 0, Event()

    def flow() -> None:
        nonlocal sent
        while not end.is_set():
            send_some(ruled, sent, 200)
            sent += 200
            end.wait(0.05)

    with ThreadPoolExecutor(1) as pool:
        flowing = pool.submit(flow)
        try:
            yield lambda: sent
        finally:
            end.set()
            flowing.result()


def require_that_the_log_is_right(ruled: Ruled, sent: int) -> Counter[str]:
    """Every record came out once, judged by the version that the log has for its offset; counts
    records by version."""
    topics, version_at = ruled.topics, ruled.version_at()
    origin = {r.key: r for r in committed(topics, topics.transactions)}
    judged = committed(topics, topics.legit, topics.fraud)
    assert numbers(judged) == list(range(sent))
    counts: Counter[str] = Counter()
    for record in judged:
        place = origin[record.key]
        version = version_at(place.partition, place.offset)
        amount = int(record.key[1:]) * 7 % 100 * 10
        assert (record.topic == topics.fraud) is (amount >= LIMITS[version]), (place, version)
        if record.topic == topics.fraud:
            assert dict(record.headers)["rules_version"].decode() == version, place
        counts[version] += 1
    return counts


def test_a_switch_under_load_is_logged_to_the_offset_also_when_detectors_are_killed(
    ruled: Ruled, tmp_path: Path
) -> None:
    its = random.Random(20)  # noqa: S311  # moments, no secret
    ruled.activate(HIGH)
    with ExitStack() as to_end:

        def start(name: str) -> Running:
            settings = {**ruled.settings, "INSTANCE_ID": name}
            return to_end.enter_context(running(ruled.topics, tmp_path / name, **settings))

        detectors = {name: start(name) for name in ("one", "two")}
        for detector in detectors.values():
            detector.wait_until_said("judging")
        with load_until_left(ruled) as sent:
            for kill in range(8):
                known, version = len(ruled.log_entries()), (LOW, HIGH)[kill % 2]
                ruled.activate(version)
                time.sleep(its.uniform(0, 1.5))  # a random moment around the switch
                name = ("one", "two")[kill // 2 % 2]
                detectors[name].signal(signal.SIGKILL)
                detectors[name].ended()
                detectors[name] = start(name)
                wait_until(lambda n=known: len(ruled.log_entries()) > n, "the switch is logged")
        total = sent()
        wait_until_judged(ruled.topics, total)
        for detector in detectors.values():
            assert detector.stop() == 0
    counts = require_that_the_log_is_right(ruled, total)
    assert set(counts) == {HIGH, LOW}
    switches = [entry for entry in ruled.log_entries() if entry[1] > 0]
    assert len(switches) >= 8


# Dies at the first commit after a switch, of what was judged before it.
STRUCK = """
import os, signal, sys, time
from detector.commands.line import main
from detector.service.loop import Detector

turn = Detector._turn

def struck(self, stream, state, limits):
    version = self._rules.version
    turn(self, stream, state, limits)
    if stream._uncommitted.offsets:
        print("has judged", flush=True)
        while self._rules.version == version:
            time.sleep(0.01)
            self._take_update(state)
        stream.commit()
        os.kill(os.getpid(), signal.SIGKILL)

Detector._turn = struck
sys.exit(main())
"""


def test_a_kill_between_a_switch_and_the_first_record_after_it_is_no_matter(
    ruled: Ruled, tmp_path: Path
) -> None:
    ruled.activate(HIGH)
    send_some(ruled, 0, 400)
    settings = {**ruled.settings, "INSTANCE_ID": "one"}
    with running(ruled.topics, tmp_path / "struck", STRUCK, **settings) as detector:
        detector.wait_until_said("has judged")
        ruled.activate(LOW)
        assert detector.ended() == -signal.SIGKILL
    send_some(ruled, 400, 400)
    with running(ruled.topics, tmp_path / "again", **settings) as detector:
        wait_until_judged(ruled.topics, 800)
        assert detector.stop() == 0
    assert set(require_that_the_log_is_right(ruled, 800)) == {HIGH, LOW}


def test_detectors_take_up_what_is_activated_and_roll_back(ruled: Ruled, tmp_path: Path) -> None:
    with (
        running(ruled.topics, tmp_path / "one", RULES_FILE=a_file(tmp_path), **ruled.settings) as a,
        running(ruled.topics, tmp_path / "two", RULES_FILE=a_file(tmp_path), **ruled.settings) as b,
    ):
        of_the_file = load(MANY).version
        for detector in (a, b):
            detector.wait_until_said(f'"rules_version": "{of_the_file}"')
        for asked, version in (("activate", HIGH), ("activate", LOW), ("rollback", HIGH)):
            arguments = [version] if asked == "activate" else []
            done = ruled.run("rules", asked, *arguments)
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.startswith(f"{version} is current")
            for detector in (a, b):
                wait_until(lambda d=detector, v=version: v in last_said(d), "it is taken up")
    listed = ruled.run("rules", "list").stdout.splitlines()
    assert listed[0].startswith(f"* {HIGH}  activated ")
    assert listed[1:] == [f"  {LOW}"]
    done = ruled.run("rules", "rollback")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "detector: no version was current before the one that is\n"


HOSTILE = large_amount(900).replace('"{observed}', r'"\U00110000 {observed}')


def test_a_reason_with_what_is_no_character_hurts_no_detector(ruled: Ruled, tmp_path: Path) -> None:
    ruled.activate(LOW)
    with running(ruled.topics, tmp_path / "log", **ruled.settings) as detector:
        detector.wait_until_said("judging")
        ruled.write("0123456789ab", HOSTILE)
        ruled.activate("0123456789ab")
        detector.wait_until_said("rules refused")
        with running(ruled.topics, tmp_path / "another", **ruled.settings) as another:
            another.wait_until_said(f'"rules_version": "{LOW}"')
            assert "/0123456789ab:9:16: no YAML: an escape" in another.said()
            ruled.activate(HIGH)
            for each in (detector, another):
                each.wait_until_said(f'"rules_version": "{HIGH}", "topic"')
            assert another.stop() == 0
        assert detector.stop() == 0


@pytest.mark.parametrize("escape", [r"\U00110000", r"\ud800"])
def test_no_command_takes_a_reason_with_what_is_no_character(
    ruled: Ruled, tmp_path: Path, escape: str
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(HOSTILE.replace(r"\U00110000", escape))
    ruled.write("0123456789ab", path.read_text())
    check, publish, activate = (
        ruled.run("rules", *words)
        for words in (("check", str(path)), ("publish", str(path)), ("activate", "0123456789ab"))
    )
    assert [done.returncode for done in (check, publish, activate)] == [2, 2, 2]
    for said, name in (
        (check.stdout, f"{path}:"),
        (publish.stderr, f"detector: {path}:"),
        (activate.stderr, f"detector: {ruled.rules}/0123456789ab:"),
    ):
        (line,) = said.splitlines()
        assert line.startswith(f"{name}9:1")


# -- who, when and why


def test_who_activated_rules_when_and_why_is_kept(ruled: Ruled) -> None:
    done = ruled.run("rules", "activate", HIGH, "--by", "ana", "--why", "fewer alarms")
    assert (done.returncode, done.stderr) == (0, "")
    first, second = ruled.run("rules", "list").stdout.splitlines()
    assert re.fullmatch(rf"\* {HIGH}  activated .* UTC by ana: fewer alarms", first)
    assert second == f"  {LOW}"
    ruled.run("rules", "activate", LOW)
    second = ruled.run("rules", "list").stdout.splitlines()[1]
    assert second.endswith(f" UTC by {getpass.getuser()}@{socket.gethostname()}")


def test_nothing_changes_where_another_version_is_current_than_was_expected(ruled: Ruled) -> None:
    done = ruled.run("rules", "activate", HIGH, "--expect", LOW)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"detector: RULES_FILE is current, and not {LOW}: nothing was changed\n"
    assert ruled.run("rules", "activate", HIGH, "--expect", "RULES_FILE").returncode == 0
    assert ruled.run("rules", "activate", LOW, "--expect", HIGH).returncode == 0
    done = ruled.run("rules", "rollback", "--expect", HIGH)
    assert (done.returncode, done.stdout) == (1, "")
    assert ruled.run("rules", "rollback", "--expect", LOW).stdout.startswith(f"{HIGH} is current")


def test_of_two_who_activate_at_once_the_second_is_told(
    ruled: Ruled, capsys: pytest.CaptureFixture[str]
) -> None:
    ruled.activate(HIGH)
    asked = argparse.Namespace(expect=None)
    with closing(RulesTopic(DetectorSettings.from_environment(ruled.environment))) as topic:
        current = topic.read_all().current
        assert current is not None
        ruled.run("rules", "activate", LOW, "--by", "ben")  # in between
        mine = current.followed_by(LOW, Activation("ana", 1))
        assert rules._use(asked, topic, mine) == 1
        out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith(f"detector: {LOW} is current, in place of what it was not meant to ")
    assert " by ben; rules list shows what counts" in error
    assert ruled.run("rules", "list").stdout.splitlines()[1].endswith(" by ana")


def test_rules_of_the_file_count_again_also_for_detectors_that_run(
    ruled: Ruled, tmp_path: Path
) -> None:
    of_the_file = load(MANY).version
    settings = {**ruled.settings, "RULES_FILE": a_file(tmp_path)}
    with running(ruled.topics, tmp_path / "log", **settings) as detector:
        detector.wait_until_said("judging")
        assert of_the_file in last_said(detector)
        for back in (
            lambda: ruled.run("rules", "activate", "--file", "--by", "ana"),
            lambda: ruled.write("current", None),  # a tombstone
        ):
            ruled.activate(HIGH)
            wait_until(lambda: HIGH in last_said(detector), "the version is taken up")
            back()
            wait_until(lambda: of_the_file in last_said(detector), "the file counts again")
    done = ruled.run("rules", "activate", "--file")
    assert (done.returncode, done.stdout) == (0, "RULES_FILE is current already\n")
    assert ruled.run("rules", "activate").returncode == 2


def test_a_start_says_which_rules_count_and_what_does_not(
    ruled: Ruled, new_topic: Callable[..., str], tmp_path: Path
) -> None:
    settings = {**ruled.settings, "FRAUD_THRESHOLD": "100"}
    with running(ruled.topics, tmp_path / "file", **settings) as detector:
        detector.wait_until_said("rules of RULES_FILE count")
        assert '"fraud_threshold": "100"' in detector.said()
    ruled.run("rules", "activate", HIGH, "--by", "ana", "--why", "a test")
    with running(ruled.topics, tmp_path / "both", **settings) as detector:
        detector.wait_until_said("RULES_FILE and FRAUD_THRESHOLD do not count")
        (line,) = [line for line in detector.said().splitlines() if "do not count" in line]
        assert "python -m detector rules activate --file" in line
        assert f'"activated": "{HIGH}"' in line
        assert '"activated_by": "ana"' in line
        assert "cleanup.policy" not in detector.said()
    ruled.publish(SHIPPED.read_text())  # known, and not current: nobody is to be warned
    with running(ruled.topics, tmp_path / "known", **ruled.settings) as detector:
        detector.wait_until_said("judging")
        assert "rules of RULES_TOPIC count" in detector.said()
        assert "do not count" not in detector.said()
    deleted = {**ruled.settings, "RULES_TOPIC": new_topic(1)}
    with running(ruled.topics, tmp_path / "deleted", **deleted) as detector:
        detector.wait_until_said("RULES_TOPIC must have cleanup.policy=compact")


def a_file(folder: Path) -> str:
    path = folder / "many.yaml"
    path.write_text(MANY)
    return str(path)


def last_said(detector: Running) -> str:
    return [line for line in detector.said().splitlines() if '"judging"' in line][-1]


def test_a_detector_that_starts_takes_the_current_version_and_logs_a_version_once(
    ruled: Ruled, tmp_path: Path
) -> None:
    ruled.activate(LOW)
    for start in range(3):
        send_some(ruled, start * 100, 100)
        with running(ruled.topics, tmp_path / f"{start}", **ruled.settings) as detector:
            wait_until_judged(ruled.topics, 100 * (start + 1))
            assert detector.stop() == 0
    assert ruled.log_entries() == [(partition, 0, LOW) for partition in range(4)]
    assert require_that_the_log_is_right(ruled, 300) == {LOW: 300}


def test_rules_that_can_not_be_used_are_refused_and_the_old_ones_go_on(
    ruled: Ruled, tmp_path: Path, free_port: int
) -> None:
    ruled.activate(HIGH)
    settings = {**ruled.settings, "METRICS_PORT": str(free_port)}
    with running(ruled.topics, tmp_path / "log", **settings) as detector:
        detector.wait_until_said("judging")
        ruled.write("0123456789ab", large_amount(500).replace("threshold", "treshold"))
        ruled.activate("0123456789ab")
        detector.wait_until_said("rules refused")
        send_some(ruled, 0, 100)
        wait_until_judged(ruled.topics, 100)
        with urllib.request.urlopen(f"http://localhost:{free_port}/metrics") as page:
            metrics = page.read().decode()
        ruled.activate(LOW)
        detector.wait_until_said(f'"rules_version": "{LOW}"')
    (line,) = [line for line in detector.said().splitlines() if "refused" in line]
    assert "/0123456789ab:4:5: a rule lacks threshold (and 2 more)" in line
    assert "detector_rules_refused_total 1.0" in metrics
    assert f'detector_current_rules{{version="{HIGH}"}} 1.0' in metrics
    assert require_that_the_log_is_right(ruled, 100) == {HIGH: 100}


def test_where_the_current_version_can_not_be_used_a_start_takes_the_one_before(
    ruled: Ruled, tmp_path: Path
) -> None:
    ruled.activate(LOW)
    ruled.activate("0123456789ab")
    with running(ruled.topics, tmp_path / "log", **ruled.settings) as detector:
        detector.wait_until_said(f'"rules_version": "{LOW}"')
    assert "no rules were published under this version" in detector.said()


def test_a_rule_that_was_in_shadow_moves_records_once_it_is_active(
    ruled: Ruled, tmp_path: Path
) -> None:
    in_shadow = ruled.publish(large_amount(900, mode="shadow"))
    ruled.activate(in_shadow)
    with running(ruled.topics, tmp_path / "log", **ruled.settings) as detector:
        detector.wait_until_said(in_shadow)
        send_some(ruled, 0, 100)
        noted = [r for r in wait_until_judged(ruled.topics, 100) if r.headers]
        assert {r.topic for r in noted} == {ruled.topics.legit}
        assert {tuple(r.headers[1:]) for r in noted} == {(("shadow_rules", b"large_amount"),)}
        assert {r.headers[0][0] for r in noted} == {"judged"}
        ruled.activate(HIGH)
        detector.wait_until_said(HIGH)
        send_some(ruled, 100, 100)
        wait_until_judged(ruled.topics, 200)
    moved = committed(ruled.topics, ruled.topics.fraud)
    assert len(moved) == len(noted) == 10
    assert {dict(r.headers)["rules"] for r in moved} == {b"large_amount"}


def test_accounts_are_remembered_for_rules_that_come_later(ruled: Ruled, tmp_path: Path) -> None:
    many, now_ms = ruled.publish(MANY), time.time_ns() // 1_000_000
    payment = (0, (now_ms, b"n1", transaction(1), ()))
    ruled.activate(HIGH)
    with running(ruled.topics, tmp_path / "first", **ruled.settings) as detector:
        send(ruled.topics, [payment] * 2)
        wait_until_judged(ruled.topics, 2)
        detector.signal(signal.SIGKILL)
    ruled.activate(many)
    with running(ruled.topics, tmp_path / "second", **ruled.settings):
        send(ruled.topics, [payment])
        wait_until_judged(ruled.topics, 3)
    (fraud,) = committed(ruled.topics, ruled.topics.fraud)
    assert dict(fraud.headers)["rules"] == b"many"
    assert b'"observed":3' in dict(fraud.headers)["reasons"]


def test_publish_refuses_what_is_wrong_and_activate_what_is_unknown(
    ruled: Ruled, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(MANY.replace("many", "Many"))
    done = ruled.run("rules", "publish", str(wrong))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"detector: {wrong}:3:11: ")
    done = ruled.run("rules", "activate", f"{HIGH[:-1]}x")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f'detector: no rules were published as "{HIGH[:-1]}x"; did you mean "{HIGH}"?\n'
    )
    right = tmp_path / "right.yaml"
    right.write_text(MANY)
    done = ruled.run("rules", "publish", str(right))
    assert (done.returncode, done.stderr) == (0, "")
    assert load(MANY).version in done.stdout
