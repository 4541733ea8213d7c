"""The generator on a real Kafka, as a process: what it makes is stored, once, at the asked rate."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from detecting import REPOSITORY, Topics, committed, create_topic, wait_until

from broker import Cluster
from generator.transactions import Transactions
from kafka_batch import partition_of

pytestmark = pytest.mark.usefixtures("record_codec")


@contextmanager
def generating(
    bootstrap_servers: str, topic: str, **settings: str
) -> Iterator["subprocess.Popen[str]"]:
    environment = {"KAFKA_BROKER_URL": bootstrap_servers, "TRANSACTIONS_TOPIC": topic, **settings}
    process = subprocess.Popen(
        [sys.executable, "-m", "generator"],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def heard(process: "subprocess.Popen[str]", words: str) -> None:
    """Waits until it says this."""
    assert process.stderr is not None
    while words not in (said := process.stderr.readline()):
        assert said, f"it ended without a word of {words}"


def lines(process: "subprocess.Popen[str]") -> list[dict[str, Any]]:
    """What it said until its end, which is waited for."""
    _, said = process.communicate(timeout=90)
    return [json.loads(line) for line in said.splitlines()]


def stopped(said: list[dict[str, Any]]) -> dict[str, Any]:
    """What it said of its own end. The client may warn of the cluster's state after it."""
    (line,) = (line for line in said if line["event"] == "stopped")
    return line


def stored(bootstrap_servers: str, topic: str) -> list[Any]:
    return committed(Topics(bootstrap_servers, topic, "", "", "", ""), topic)


def test_it_makes_as_many_as_asked_and_ends(kafka: Any, new_topic: Callable[..., str]) -> None:
    topic = new_topic(4)
    settings = {"TRANSACTIONS_TOTAL": "2500", "TRANSACTIONS_PER_SECOND": "0", "SEED": "5"}
    with generating(kafka.bootstrap_servers, topic, **settings) as process:
        last = stopped(lines(process))
    assert process.returncode == 0
    assert (last["made"], last["delivered"], last["skipped"]) == (2_500, 2_500, 0)
    records = stored(kafka.bootstrap_servers, topic)
    expected = Transactions(10_000, seed=5).take(2_500)
    assert sorted(record.value for record in records) == sorted(expected.values)
    for record in records:
        assert record.key.decode() == json.loads(record.value)["source"]
        assert record.partition == partition_of(record.key, 4)


def test_told_to_stop_it_delivers_what_it_made(kafka: Any, new_topic: Callable[..., str]) -> None:
    topic = new_topic(4)
    with generating(kafka.bootstrap_servers, topic, TRANSACTIONS_PER_SECOND="5000") as process:
        wait_until(lambda: stored(kafka.bootstrap_servers, topic), "the first transactions")
        process.send_signal(signal.SIGTERM)
        last = stopped(lines(process))
    assert process.returncode == 0
    assert last["made"] == last["delivered"] == len(stored(kafka.bootstrap_servers, topic))


def test_it_holds_the_rate_it_was_asked_for(kafka: Any, new_topic: Callable[..., str]) -> None:
    topic = new_topic(4)
    settings = {"TRANSACTIONS_TOTAL": "4000", "TRANSACTIONS_PER_SECOND": "1000"}
    with generating(kafka.bootstrap_servers, topic, **settings) as process:
        last = stopped(lines(process))
    times = sorted(record.timestamp for record in stored(kafka.bootstrap_servers, topic))
    assert len(times) == 4_000
    # Never ahead of the rate; what a busy machine made it skip was due all the same.
    assert times[-1] - times[0] >= 0.995 * (len(times) + last["skipped"]) - 25
    # And, but for the hiccups of a busy machine, evenly spread: so many each tenth of a second.
    tenths = Counter((time - times[0]) // 100 for time in times)
    assert 95 <= median(tenths.values()) <= 105
    # Nor does it drift. A busy machine makes some late, none early: of the first and the last
    # second the most punctual one is compared with the millisecond it is due in.
    late = [time - number for number, time in enumerate(times)]
    first, final = min(late[:1_000]), min(late[-1_000:]) - last["skipped"]
    assert abs(final - first) <= 0.005 * 3_000


def test_a_broker_that_is_away_for_a_while_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        (node,) = cluster.nodes
        create_topic(cluster.bootstrap_servers, "in", 4)
        settings = {"TRANSACTIONS_PER_SECOND": "2000", "SEED": "6"}
        with generating(cluster.bootstrap_servers, "in", **settings) as process:
            wait_until(lambda: stored(cluster.bootstrap_servers, "in"), "the first transactions")
            node.pause()
            heard(process, "stalled")
            node.resume()
            heard(process, "skipped what came due")
            process.send_signal(signal.SIGTERM)
            last = stopped(lines(process))
        records = stored(cluster.bootstrap_servers, "in")
    assert process.returncode == 0
    assert last["made"] == last["delivered"] == len(records)
    assert in_order(records) == made_for(Transactions(10_000, seed=6), last["made"])
    assert last["skipped"] > 2_000


def in_order(records: list[Any]) -> dict[int, list[bytes]]:
    """The values in each partition, by offset."""
    found = defaultdict(list)
    for record in sorted(records, key=lambda record: record.offset):
        found[record.partition].append(record.value)
    return found


def made_for(transactions: Transactions, count: int) -> dict[int, list[bytes]]:
    """The first so many values, by the partition of four where their account's records go."""
    chunk, made = transactions.take(count), defaultdict(list)
    for source, value in zip(chunk.sources, chunk.values, strict=True):
        made[partition_of(source.encode(), 4)].append(value)
    return made


def test_a_slow_generator_says_too_that_no_broker_acknowledges_and_what_it_could_not_deliver(
    tmp_path: Path,
) -> None:
    with Cluster(tmp_path) as cluster:
        create_topic(cluster.bootstrap_servers, "in", 4)
        with generating(cluster.bootstrap_servers, "in", TRANSACTIONS_PER_SECOND="10") as process:
            wait_until(lambda: stored(cluster.bootstrap_servers, "in"), "the first transactions")
            cluster.nodes[0].pause()
            heard(process, "stalled")
            process.send_signal(signal.SIGTERM)
            said = lines(process)
        cluster.nodes[0].resume()
    assert process.returncode == 1
    last = stopped(said)
    left = last["made"] - last["delivered"]
    assert left > 0
    reasons = [line.get("reason", "") for line in said if line["event"] == "giving up"]
    assert [reason.split(":")[0] for reason in reasons] == [
        f"{left} transactions that were made are not known to be stored"
    ]


def test_a_topic_that_does_not_exist_is_one_clear_line(kafka: Any) -> None:
    with generating(kafka.bootstrap_servers, "nowhere") as process:
        (line,) = lines(process)
    assert process.returncode == 1
    assert line["reason"].startswith("topic 'nowhere' does not exist")


def test_metrics_tell_the_rate_asked_and_reached(
    kafka: Any, new_topic: Callable[..., str], free_port: int
) -> None:
    settings = {"METRICS_PORT": str(free_port), "TRANSACTIONS_PER_SECOND": "100"}
    with generating(kafka.bootstrap_servers, new_topic(4), **settings):

        def scraped() -> dict[str, float]:
            try:
                with urllib.request.urlopen(f"http://localhost:{free_port}/metrics") as page:
                    text = page.read().decode()
            except OSError:
                return {}
            samples = [line.split() for line in text.splitlines() if not line.startswith("#")]
            return {name: float(value) for name, value in samples}

        reached = "generator_reached_transactions_per_second"
        wait_until(lambda: scraped().get(reached), "a rate is reached")
        found = scraped()
    assert found["generator_asked_transactions_per_second"] == 100
    assert found["generator_transactions_made_total"] > 0
    assert found["generator_transactions_delivered_total"] > 0
