"""Latency of a system under a steady load: from a record's timestamp to a read-committed reader.

The timestamp is the generator's, when it makes the record; what the generator then takes to have
it stored counts too, and is the same for every system.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from bench.processes import running
from bench.systems import GENERATOR, System
from bench.topics import Broker, partitions_of
from kafka_batch import BatchConsumer

WARM_UP_S = 10.0  # a JVM compiles what it runs often
_POLL_MS = 200
_FIRST_S = 60.0


@dataclass(frozen=True)
class Latency:
    """How many records came in after how many milliseconds, and the CPU seconds a second that the
    system took."""

    counts: Mapping[int, int]
    cpu: float

    def __str__(self) -> str:
        return f"{self.quantile(0.5)} ms, 99 % {self.quantile(0.99)} ms"

    def quantile(self, share: float) -> int:
        """The time, in milliseconds, within which this share of the records came in."""
        left = share * sum(self.counts.values())
        for milliseconds in sorted(self.counts):
            left -= self.counts[milliseconds]
            if left <= 0:
                return milliseconds
        raise ValueError("nothing was measured")


def measure(broker: Broker, system: System, per_second: int, seconds: float) -> Latency:
    """Runs a system under a load for so long, beyond its warm-up.

    Raises:
        Failed: it, or the generator, ended by itself.
        TimeoutError: nothing comes out of it.
    """
    with broker.topics("in") as (topic,), broker.outputs() as names:
        variables = {**broker.variables(), **names, "TRANSACTIONS_TOPIC": topic}
        load = GENERATOR.with_variables("load", TRANSACTIONS_PER_SECOND=per_second)
        reader = _Reader(broker, (names["LEGIT_TOPIC"], names["FRAUD_TOPIC"]))
        try:
            with running(system, variables) as its, running(load, variables) as its_load:
                reader.wait_for_the_first()
                reader.read(WARM_UP_S)
                before = its.cpu_s()
                counts = reader.read(seconds)
                cpu = (its.cpu_s() - before) / seconds
                its.require_running()
                its_load.require_running()
        finally:
            reader.close()
    return Latency(counts, cpu)


class _Reader:
    """Reads whole batches: it takes next to nothing away from what it measures."""

    def __init__(self, broker: Broker, topics: tuple[str, ...]) -> None:
        self._consumer = BatchConsumer(
            bootstrap_servers=broker.address,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        self._consumer.assign(partitions_of(topics))

    def close(self) -> None:
        self._consumer.close()

    def wait_for_the_first(self) -> None:
        """
        Raises:
            TimeoutError: nothing comes.
        """
        deadline = time.monotonic() + _FIRST_S
        while not self._consumer.read(_POLL_MS):
            if time.monotonic() > deadline:
                raise TimeoutError("no record came out")

    def read(self, seconds: float) -> dict[int, int]:
        """How many records came in after how many milliseconds, during this time."""
        counts: Counter[int] = Counter()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            batches = self._consumer.read(_POLL_MS)
            now_ms = time.time_ns() // 1_000_000
            for batch in batches:
                counts.update(now_ms - timestamp for timestamp in batch.timestamps)
        return dict(counts)
