"""Throughput of a system over a topic that is full: the steady rate, without its start and end."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.processes import Failed, Running, running
from bench.systems import System
from bench.topics import Broker, Ends

_SAMPLE_S = 0.2
_WARM = 0.2  # of the records, or as long as _WARM_S: what is not counted at the start
_WARM_S = 5.0
_ENOUGH = 0.95  # of the records, or as long as _ENOUGH_S: then it has been measured
_ENOUGH_S = 20.0
_PATIENCE_S = 120.0  # without any progress
_FRAUDS = (0.09, 0.11)  # the share of frauds is 10.01 %


@dataclass(frozen=True)
class Sample:
    """Where a run stood: monotonic seconds, records out, CPU seconds."""

    at: float
    records: int
    cpu_s: float


@dataclass(frozen=True)
class Run:
    """What was measured: records a second, CPU microseconds a record, the peak of memory in MB."""

    rate: float
    cpu_us: float
    memory_mb: float


def measure(
    broker: Broker, system: System, topic: str, records: int, *, to_the_end: bool = False
) -> Run:
    """Runs a system over a topic of so many records; `to_the_end`, or until its rate is known.

    Raises:
        Failed: it ended, stood still, or judged wrongly.
    """
    with broker.topics("legit", "fraud", "dead") as (legit, fraud, dead):
        names = {
            "TRANSACTIONS_TOPIC": topic,
            "LEGIT_TOPIC": legit,
            "FRAUD_TOPIC": fraud,
            "DEAD_LETTER_TOPIC": dead,
        }
        with (
            Ends(broker, [legit, fraud, dead]) as ends,
            running(system, {**broker.variables(), **names}) as its,
        ):
            run = _watch(its, ends, records, to_the_end=to_the_end)
            counts = ends.by_topic()
        share = counts[fraud] / max(1, counts[legit] + counts[fraud])
        if not _FRAUDS[0] < share < _FRAUDS[1]:
            raise Failed(f"{system.name} found {share:.1%} frauds")
    return run


def measure_writing(broker: Broker, system: System, records: int) -> Run:
    """Has a generator write records to a topic, and measures it in the same way.

    Raises:
        Failed: it ended early, or stood still.
    """
    with broker.topics("made") as (topic,):
        own = {"TRANSACTIONS_TOPIC": topic, "TRANSACTIONS_TOTAL": str(records)}
        with (
            Ends(broker, [topic]) as ends,
            running(system, {**broker.variables(), **own}) as its,
        ):
            return _watch(its, ends, records, to_the_end=False)


def _watch(its: Running, ends: Ends, records: int, *, to_the_end: bool) -> Run:
    samples: list[Sample] = []
    memory_mb = 0.0
    moved_at = time.monotonic()
    while not _known(samples, records, to_the_end=to_the_end):
        ended = its.ended  # before the look at what is there
        out = sum(ends.by_topic().values())
        now = time.monotonic()
        if out > (samples[-1].records if samples else 0):
            samples.append(Sample(now, out, its.cpu_s()))
            moved_at = now
        elif now > moved_at + _PATIENCE_S:
            raise Failed(f"no progress for {_PATIENCE_S:.0f} s: {its.last_words()}")
        if ended and out < records:
            its.require_running()
        memory_mb = max(memory_mb, its.memory_mb())
        time.sleep(_SAMPLE_S)
    steady = _steady(samples, records)
    first, last = steady[0], steady[-1]
    done = last.records - first.records
    return Run(
        rate=done / (last.at - first.at),
        cpu_us=(last.cpu_s - first.cpu_s) / done * 1e6,
        memory_mb=memory_mb,
    )


def _known(samples: Sequence[Sample], records: int, *, to_the_end: bool) -> bool:
    if not samples:
        return False
    if to_the_end:
        return samples[-1].records >= records
    steady = _steady(samples, records)
    enough = samples[-1].records >= records * _ENOUGH
    return enough or samples[-1].at >= steady[0].at + _ENOUGH_S > samples[0].at + _ENOUGH_S


def _steady(samples: Sequence[Sample], records: int) -> list[Sample]:
    """The samples between the warm-up and the end."""
    since = samples[0].at + _WARM_S
    warm = [s for s in samples if s.records >= records * _WARM or s.at >= since] or [samples[-1]]
    steady = [s for s in warm if s.records <= records * _ENOUGH and s.at <= warm[0].at + _ENOUGH_S]
    return steady or warm[:1]
