"""The benchmark works, and whole batches are worth it: a ratio, never a time."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import jars_can_be_had

from bench import filler
from bench.processes import running
from bench.systems import DETECTOR_VELOCITY, STREAMS_VELOCITY, System
from bench.topics import Broker, a_broker, partitions_of
from kafka_batch import BatchConsumer

PLAIN_LOOP = "kafka-python, plain loop"


def measured(folder: Path, *asked: str) -> tuple[Any, str]:
    """The results of a quick benchmark, and the tables that it prints."""
    command = [sys.executable, "-m", "bench", "--quick", *asked, "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "results.json").read_text()), done.stdout


@pytest.mark.skipif(not jars_can_be_had(), reason="it starts Kafka from the released jars")
def test_the_detector_is_over_four_times_as_fast_as_a_plain_loop(tmp_path: Path) -> None:
    systems = ["--systems", "detector", PLAIN_LOOP]
    result, said = measured(tmp_path, "--chapters", "systems", *systems, "--records", "600000")
    rates = {row["system"]: row["rate"] for row in result["systems"]}
    assert rates["detector"] > 4 * rates[PLAIN_LOOP]
    assert rates["kafka-consumer-perf-test"] > 0
    assert "detector this" in said
    assert (tmp_path / "bench-throughput.svg").is_file()


@pytest.mark.skipif(not jars_can_be_had(), reason="it starts Kafka from the released jars")
def test_rules_that_remember_are_measured_beside_kafka_streams(tmp_path: Path) -> None:
    measured(tmp_path, "--chapters", "alone", "--records", "32000")
    result, said = measured(tmp_path, "--chapters", "rules", "--records", "32000")
    assert result["measured"].keys() == {"alone", "rules"}  # what was measured before is kept
    shares = {row["system"]: row["frauds"] for row in result["rules"]}
    assert shares["detector, ten rules"] > shares["detector, count, sum and payees"] > 0
    assert shares["Kafka Streams, count, sum and payees"] > 0
    (alone,) = result["alone"]
    assert alone["rules_us"] > 0
    assert "ten rules are" in said
    assert (tmp_path / "bench-rules.svg").is_file()


@pytest.mark.skipif(not jars_can_be_had(), reason="it starts Kafka from the released jars")
def test_kafka_streams_flags_the_very_payments_that_the_detector_does(tmp_path: Path) -> None:
    payments = 20_000
    with a_broker(tmp_path) as broker, broker.topics("in") as (topic,):
        filler.fill(broker, topic, accounts=250, payments=payments)
        ours, theirs = (
            flagged(broker, system, topic, payments)
            for system in (DETECTOR_VELOCITY, STREAMS_VELOCITY)
        )
    assert len(ours) > payments / 50
    assert ours == theirs


def flagged(broker: Broker, system: System, topic: str, payments: int) -> set[tuple[int, int]]:
    """Partition and event time of each committed fraud, once all payments are committed."""
    with broker.outputs() as names:
        legit, fraud = names["LEGIT_TOPIC"], names["FRAUD_TOPIC"]
        variables = {**broker.variables(), **names, "TRANSACTIONS_TOPIC": topic}
        consumer = BatchConsumer(
            bootstrap_servers=broker.address,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
        )
        consumer.assign(partitions_of([legit, fraud]))
        found: list[tuple[int, int]] = []
        count = 0
        with closing(consumer), running(system, variables) as its:
            while count < payments:
                its.require_running()
                for batch in consumer.read(200):
                    count += len(batch)
                    if batch.topic == fraud:
                        found += [(batch.partition, time_ms) for time_ms in batch.timestamps]
    assert len({*found}) == len(found)
    return {*found}
