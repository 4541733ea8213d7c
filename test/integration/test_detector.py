"""The detector on a real Kafka, as a process: what goes in comes out once, and unchanged."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from detecting import (
    REPOSITORY,
    Topics,
    committed,
    numbers,
    running,
    send,
    send_numbered,
    some_topics,
    transaction,
    wait_until,
    wait_until_judged,
)
from kafka import KafkaAdminClient

pytestmark = pytest.mark.usefixtures("record_codec")


@pytest.fixture
def topics(kafka: Any, new_topic: Callable[..., str]) -> Topics:
    return some_topics(kafka.bootstrap_servers, new_topic)


def by_partition(records: list[Any]) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    for record in sorted(records, key=lambda r: (r.partition, r.offset)):
        found.setdefault(record.partition, []).append(record.value)
    return found


def test_every_record_comes_out_once_in_order_and_unchanged(topics: Topics, tmp_path: Path) -> None:
    now_ms = time.time_ns() // 1_000_000
    amounts = ["899.99", "900", "900.00", "1.00"]
    sent = [
        (n % 4, (now_ms + n, f"n{n}".encode(), transaction(n, amounts[n % 3]), [("h", None)]))
        for n in range(2_000)
    ]
    send(topics, sent)
    with running(topics, tmp_path / "log") as detector:
        wait_until_judged(topics, len(sent))
        assert detector.stop() == 0

    for topic, suspicious in ((topics.legit, False), (topics.fraud, True)):
        expected = [
            (partition, record)
            for partition, record in sent
            if (b":900" in record[2]) is suspicious
        ]
        found = committed(topics, topic)
        assert Counter(
            (r.partition, r.timestamp, r.key, r.value, tuple(r.headers[:1])) for r in found
        ) == Counter((p, ts, key, value, tuple(h)) for p, (ts, key, value, h) in expected)
        assert by_partition(found) == {
            p: [record[2] for q, record in expected if q == p] for p in range(4)
        }
        assert {len(r.headers) for r in found} == {5 if suspicious else 1}


def test_a_fraud_says_which_rule_fired_and_why(topics: Topics, tmp_path: Path) -> None:
    send(topics, [(0, (1, b"k", transaction(1, "950.5"), ()))])
    with running(topics, tmp_path / "log", FRAUD_THRESHOLD="950"):
        (fraud,) = wait_until_judged(topics, 1)
    headers = dict(fraud.headers)
    assert fraud.topic == topics.fraud
    assert headers["rules"] == b"large_amount"
    assert len(headers["rules_version"]) == 12
    (reason,) = json.loads(headers["reasons"])
    assert reason["observed"] == "950.50"
    assert reason["threshold"] == "950.00"
    assert reason["window_ms"] is None
    assert reason["text"] == "950.50 USD is at least 950.00 USD."


def test_what_the_output_topics_would_refuse_becomes_a_dead_letter(
    kafka: Any, new_topic: Callable[..., str], tmp_path: Path
) -> None:
    lenient = {"message.timestamp.after.max.ms": str(2**62), "max.message.bytes": "3000000"}
    small = {"max.message.bytes": "100000"}
    topics = some_topics(kafka.bootstrap_servers, new_topic, source=lenient, outputs=small)
    tomorrow_ms = time.time_ns() // 1_000_000 + 86_400_000
    large = transaction(3)[:-1] + b',"note":"' + b"x" * 200_000 + b'"}'
    sent = [
        (0, (tomorrow_ms, b"ahead", transaction(1), ())),
        (1, (1, b"large", large, ())),
        (2, (1, b"k" * 200_000, b"large key", ())),
        (3, (1, b"fine", transaction(2), ())),
    ]
    send(topics, sent)
    with running(topics, tmp_path / "log"):
        wait_until_judged(topics, len(sent))
    dead = {r.partition: r for r in committed(topics, topics.dead_letter)}
    ahead, bulky, bare = dead[0], dead[1], dead[2]
    assert dict(ahead.headers)["error"] == b"bad_timestamp"
    assert dict(ahead.headers)["origin_timestamp"] == str(tomorrow_ms).encode()
    assert ahead.timestamp < tomorrow_ms
    assert (ahead.key, ahead.value) == (b"ahead", transaction(1))
    assert dict(bulky.headers)["error"] == b"too_large"
    assert (bulky.key, bulky.value, bulky.timestamp) == (b"large", None, 1)
    assert (bare.key, bare.value) == (None, None)
    assert [r.key for r in committed(topics, topics.legit)] == [b"fine"]


TWO_IN_AN_HOUR = """
format: 1
rules:
  - name: two_in_an_hour
    mode: active
    observed: count(1h)
    threshold: "2"
    reason: "{observed}"
"""


@pytest.mark.parametrize("written", ["CreateTime", "LogAppendTime"])
def test_where_the_broker_gives_the_input_its_times_rules_go_by_those(
    kafka: Any, new_topic: Callable[..., str], tmp_path: Path, written: str
) -> None:
    source, outputs = ({"message.timestamp.type": kind} for kind in ("LogAppendTime", written))
    topics = some_topics(kafka.bootstrap_servers, new_topic, source=source, outputs=outputs)
    rules = tmp_path / "rules.yaml"
    rules.write_text(TWO_IN_AN_HOUR)
    began_ms = time.time_ns() // 1_000_000
    send(topics, [(0, (sent_ms, b"k", transaction(1), ())) for sent_ms in (1, 7_200_000, -1)])
    sent_by_ms = time.time_ns() // 1_000_000
    with running(topics, tmp_path / "log", RULES_FILE=str(rules)):
        wait_until_judged(topics, 3)
    times = [record.timestamp for record in committed(topics, topics.transactions)]
    assert all(began_ms <= time_ms <= sent_by_ms for time_ms in times)
    assert len(committed(topics, topics.legit)) == 1
    for fraud, time_ms in zip(committed(topics, topics.fraud), times[1:], strict=True):
        (reason,) = json.loads(dict(fraud.headers)["reasons"])
        assert reason["since_ms"] + reason["window_ms"] == time_ms
        if written == "CreateTime":
            assert fraud.timestamp == time_ms
        else:
            assert time_ms < fraud.timestamp <= time.time_ns() // 1_000_000


def test_output_topics_that_take_small_batches_only_are_no_obstacle(
    kafka: Any, new_topic: Callable[..., str], tmp_path: Path
) -> None:
    small = {"max.message.bytes": "20000"}
    topics = some_topics(kafka.bootstrap_servers, new_topic, outputs=small)
    send_numbered(topics, 0, 4_000)
    with running(topics, tmp_path / "log"):
        assert numbers(wait_until_judged(topics, 4_000)) == list(range(4_000))


DIES_BEFORE_COMMIT = """
import sys, time
from kafka_batch import Stream, StreamConfig

class Nobody:
    def committing(self): pass
    def committed(self, seconds): pass
    def aborted(self): pass
    def rebalanced(self, partitions): pass

stream = Stream(StreamConfig(sys.argv[1], sys.argv[2], sys.argv[3]), Nobody())
read = 0
while read < int(sys.argv[5]):
    stream._uncommitted.is_caught_up, stream._uncommitted._due_at = False, float("inf")
    batch = stream.read()
    if batch:
        stream.forward(batch, sys.argv[4], range(len(batch)))
        read += len(batch)
stream._producer.flush_within(30)
print("sent", flush=True)
time.sleep(600)
"""


def test_a_detector_killed_between_send_and_commit_loses_and_repeats_nothing(
    topics: Topics, tmp_path: Path
) -> None:
    send_numbered(topics, 0, 500)
    arguments = [topics.bootstrap_servers, topics.group, topics.transactions, topics.legit, "500"]
    with subprocess.Popen(
        [sys.executable, "-c", DIES_BEFORE_COMMIT, *arguments],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "sent\n"
        first.kill()
    with running(topics, tmp_path / "log") as second:
        judged = wait_until_judged(topics, 500)
        assert second.stop() == 0
    assert numbers(judged) == list(range(500))
    assert numbers(committed(topics, topics.legit, topics.fraud)) == list(range(500))
    # The control: the first one's records are there, for a reader who doesn't ask for committed.
    assert len(committed(topics, topics.legit, isolation="read_uncommitted")) == 500 + 450


def test_detectors_that_come_and_go_lose_and_repeat_nothing(topics: Topics, tmp_path: Path) -> None:
    """1 -> 2 -> 1 detectors under load, each change while records flow."""
    total = 0

    def more() -> None:
        nonlocal total
        send_numbered(topics, total, 400)
        total += 400

    with running(topics, tmp_path / "first") as first:
        first.wait_until_said("judging")
        more()
        with running(topics, tmp_path / "second") as second:
            second.wait_until_said("judging")
            for _ in range(5):
                more()
            wait_until(lambda: shares(topics, 2), "each has its share of the partitions")
            for _ in range(5):
                more()
            assert first.stop() == 0
            for _ in range(5):
                more()
            wait_until_judged(topics, total)
            assert second.stop() == 0
    assert numbers(committed(topics, topics.legit, topics.fraud)) == list(range(total))


def shares(topics: Topics, members: int) -> bool:
    """Whether so many members have partitions each."""
    admin = KafkaAdminClient(bootstrap_servers=topics.bootstrap_servers)
    try:
        group = admin.describe_groups([topics.group])[topics.group]
        owned = [member["member_assignment"] for member in group["members"]]
        return len(owned) == members and all(owned)
    finally:
        admin.close()


def test_a_killed_detectors_work_is_taken_over_by_the_other(topics: Topics, tmp_path: Path) -> None:
    with running(topics, tmp_path / "first") as first, running(topics, tmp_path / "second"):
        wait_until(lambda: shares(topics, 2), "each has its share of the partitions")
        send_numbered(topics, 0, 2_000)
        first.signal(signal.SIGKILL)
        first.ended()
        send_numbered(topics, 2_000, 400)
        assert numbers(wait_until_judged(topics, 2_400)) == list(range(2_400))


def test_a_detector_that_was_stopped_for_longer_than_its_session_repeats_nothing(
    topics: Topics, tmp_path: Path
) -> None:
    """The zombie: it wakes up with an open transaction for partitions it lost."""
    with running(topics, tmp_path / "zombie") as zombie:
        zombie.wait_until_said("judging")
        send_numbered(topics, 0, 400)
        wait_until_judged(topics, 400)
        zombie.signal(signal.SIGSTOP)
        send_numbered(topics, 400, 400)
        with running(topics, tmp_path / "heir") as heir:
            wait_until_judged(topics, 800)
            zombie.signal(signal.SIGCONT)
            wait_until(lambda: shares(topics, 2), "the zombie is a member again")
            send_numbered(topics, 800, 400)
            assert numbers(wait_until_judged(topics, 1_200)) == list(range(1_200))
            assert (zombie.stop(), heir.stop()) == (0, 0)


def test_at_least_once_delivers_everything_and_commits_its_offsets(
    topics: Topics, tmp_path: Path
) -> None:
    send_numbered(topics, 0, 300)
    for name in ("first", "second"):
        with running(topics, tmp_path / name, PROCESSING_GUARANTEE="at_least_once") as detector:
            detector.wait_until_said("judging")
            wait_until_judged(topics, 300)
            assert detector.stop() == 0
    assert numbers(committed(topics, topics.legit, topics.fraud)) == list(range(300))


def test_memory_stays_within_its_bound_also_where_it_is_not_saved(
    topics: Topics, tmp_path: Path, free_port: int
) -> None:
    send_numbered(topics, 0, 300)  # 75 accounts in each partition
    bounds = {"STATE_MAX_ACCOUNTS": "10", "STATE_REPLAY_MAX": "0"}
    settings = {"PROCESSING_GUARANTEE": "at_least_once", "METRICS_PORT": str(free_port), **bounds}
    with running(topics, tmp_path / "log", **settings):
        wait_until_judged(topics, 300)
        for metric, value in {"accounts": 10, "accounts_evicted_total": 65}.items():
            lines = [f'detector_{metric}{{partition="{n}"}} {value}.0' for n in range(4)]
            told = f"{metric} is {value} in every partition"
            wait_until(lambda lines=lines: {*lines} <= {*scraped(free_port)}, told)


def test_a_stable_identity_lets_a_killed_detector_go_on_where_it_stood(
    topics: Topics, tmp_path: Path
) -> None:
    with running(topics, tmp_path / "first", INSTANCE_ID="one") as first:
        send_numbered(topics, 0, 300)
        wait_until_judged(topics, 300)
        first.signal(signal.SIGKILL)
        first.ended()
    send_numbered(topics, 300, 300)
    with running(topics, tmp_path / "again", INSTANCE_ID="one"):
        assert numbers(wait_until_judged(topics, 600)) == list(range(600))


def test_a_second_detector_with_the_same_identity_makes_the_first_give_up(
    topics: Topics, tmp_path: Path
) -> None:
    with running(topics, tmp_path / "first", INSTANCE_ID="one") as first:
        first.wait_until_said("judging")
        send_numbered(topics, 0, 100)
        wait_until_judged(topics, 100)
        with running(topics, tmp_path / "usurper", INSTANCE_ID="one") as usurper:
            usurper.wait_until_said("judging")
            send_numbered(topics, 100, 100)
            assert first.ended() == 1
            assert "another process may run with INSTANCE_ID 'one'" in first.said()
            assert numbers(wait_until_judged(topics, 200)) == list(range(200))
            assert usurper.stop() == 0


def test_a_topic_that_does_not_exist_is_one_clear_line(topics: Topics, tmp_path: Path) -> None:
    with running(topics, tmp_path / "log", FRAUD_TOPIC="no-such-topic") as detector:
        assert detector.ended() == 1
    rules, line = detector.said().splitlines()
    assert json.loads(rules)["event"] == "rules of RULES_FILE count"
    assert "topic 'no-such-topic' does not exist" in json.loads(line)["reason"]


def scraped(port: int) -> list[str]:
    with urllib.request.urlopen(f"http://localhost:{port}/metrics") as page:
        return page.read().decode().splitlines()


def test_a_dead_letter_is_told_with_where_it_came_from(topics: Topics, tmp_path: Path) -> None:
    send(topics, [(2, (1, None, b"?", ()))])
    with running(topics, tmp_path / "log") as detector:
        detector.wait_until_said("records can't be judged: docs/dead-letters.md")
        (line,) = (line for line in detector.said().splitlines() if "can't be judged" in line)
    told = json.loads(line)
    assert (told["level"], told["topic"]) == ("warning", topics.dead_letter)
    assert (told["dead_letters"], told["share"]) == (1, "100 %")
    assert (told["commonest_error"], told["sample"]) == ("not_json", f"{topics.transactions}/2/0")


def test_metrics_tell_what_was_committed(topics: Topics, tmp_path: Path, free_port: int) -> None:
    send_numbered(topics, 0, 100)
    send(topics, [(0, (1, None, b"?", ()))])
    with running(topics, tmp_path / "log", METRICS_PORT=str(free_port)):
        wait_until_judged(topics, 101)
        all_read = "detector_records_read_total 101.0"
        wait_until(lambda: all_read in scraped(free_port), "101 records read")
        nothing_left = 'detector_lag_records{partition="0"} 0.0'
        wait_until(lambda: nothing_left in scraped(free_port), "nothing left to read")
        lines = scraped(free_port)
    assert 'detector_records_written_total{verdict="legit"} 90.0' in lines
    assert 'detector_records_written_total{verdict="fraud"} 10.0' in lines
    assert 'detector_dead_letters_total{error="not_json"} 1.0' in lines
    assert any(line.startswith("detector_commit_duration_seconds_count ") for line in lines)
