"""The distribution's own `kafka-consumer-perf-test`: how fast Java alone reads the same input."""

import subprocess

from bench.topics import ROOT, Broker
from broker.tools import command

NAME = "kafka-consumer-perf-test"
_RATE = "fetch.nMsg.sec"


def measure(broker: Broker, topic: str, records: int) -> float:
    """Records a second, without the time that it takes to join its group.

    Raises:
        subprocess.CalledProcessError: the tool fails.
    """
    words = ["--topic", topic, "--num-records", str(records), "--timeout", "60000"]
    line = command("consumer-perf-test", ["--bootstrap-server", broker.address, *words])
    done = subprocess.run(line, cwd=ROOT, check=True, capture_output=True, text=True)
    names, figures = (
        [word.strip() for word in row.split(",")]
        for row in done.stdout.splitlines()
        if row.count(",") > 1
    )
    return float(figures[names.index(_RATE)])
