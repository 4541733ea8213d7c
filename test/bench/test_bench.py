"""The benchmark works, and whole batches are worth it: a ratio, never a time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import jars_can_be_had

PLAIN_LOOP = "kafka-python, plain loop"


@pytest.mark.skipif(not jars_can_be_had(), reason="it starts Kafka from the released jars")
def test_the_detector_is_over_four_times_as_fast_as_a_plain_loop(tmp_path: Path) -> None:
    asked = ["--quick", "--chapters", "systems", "--systems", "detector", PLAIN_LOOP]
    command = [sys.executable, "-m", "bench", *asked, "--records", "600000", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "results.json").read_text())
    rates = {row["system"]: row["rate"] for row in result["systems"]}
    assert rates["detector"] > 4 * rates[PLAIN_LOOP]
    assert rates["kafka-consumer-perf-test"] > 0
    assert "detector this" in done.stdout
    assert (tmp_path / "bench-throughput.svg").is_file()
