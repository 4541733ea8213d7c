"""The benchmark works, and whole batches are worth it: a ratio, never a time."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import jars_can_be_had

PLAIN_LOOP = "kafka-python, plain loop"
SYSTEMS = ("detector", "Kafka Streams")


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
def test_by_the_same_rules_kafka_streams_finds_the_same_frauds(tmp_path: Path) -> None:
    result, said = measured(tmp_path, "--chapters", "alone", "rules", "--records", "64000")
    shares = {row["system"]: row["frauds"] for row in result["rules"]}
    ours, theirs = (shares[f"{system}, count, sum and payees"] for system in SYSTEMS)
    assert abs(ours - theirs) < 0.005
    assert 0.01 < ours < shares["detector, ten rules"]
    (alone,) = result["alone"]
    assert alone["rules_us"] > 0
    assert "ten rules are" in said
    assert (tmp_path / "bench-rules.svg").is_file()
