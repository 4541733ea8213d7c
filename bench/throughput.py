"""Throughput of a system over a topic that is full: the steady rate, without its start and end."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.processes import Failed, Running, running
from bench.systems import System
from bench.topics import VERDICTS, Broker, Ends

_SAMPLE_S = 0.2
_PATIENCE_S = 120.0  # without any progress


@dataclass(frozen=True)
class Span:
    """What of a run counts: from when a share `warm` of the records is out, or `warm_s` after the
    first of them came out; until `enough` of them are, or `enough_s` later."""

    warm: float = 0.2
    warm_s: float = 5.0
    enough: float = 0.95
    enough_s: float = 20.0


@dataclass(frozen=True)
class Input:
    """A topic that is full: how many records it holds, what share of them a system must find to be
    frauds, and what of a run over it counts."""

    topic: str
    records: int
    frauds: tuple[float, float] = (0.09, 0.11)  # it is 10.01 %
    span: Span = Span()


@dataclass(frozen=True)
class Sample:
    """Where a run stood: monotonic seconds, records out, CPU seconds."""

    at: float
    records: int
    cpu_s: float


@dataclass(frozen=True)
class Run:
    """What was measured: records a second, CPU microseconds a record, the peak of memory in MB, and
    the share of frauds among what came out."""

    rate: float
    cpu_us: float
    memory_mb: float
    frauds: float = 0.0

    def __str__(self) -> str:
        return f"{self.rate:,.0f}/s, {self.cpu_us:.2f} us CPU a record, {self.memory_mb:.0f} MB"


def measure(broker: Broker, system: System, source: Input, *, to_the_end: bool = False) -> Run:
    """Runs a system over an input; `to_the_end`, or until its rate is known.

    Raises:
        Failed: it ended, stood still, or judged wrongly.
    """
    with broker.outputs() as names:
        legit, fraud, dead = (names[name] for name in VERDICTS)
        variables = {**broker.variables(), **names, "TRANSACTIONS_TOPIC": source.topic}
        with Ends(broker, [legit, fraud, dead]) as ends, running(system, variables) as its:
            run = _watch(its, ends, source.records, source.span, to_the_end=to_the_end)
            counts = ends.by_topic()
    share = counts[fraud] / max(1, counts[legit] + counts[fraud])
    if not source.frauds[0] < share < source.frauds[1]:
        raise Failed(f"{system.name} found {share:.1%} frauds")
    return replace(run, frauds=share)


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
            return _watch(its, ends, records, Span(), to_the_end=False)


def _watch(its: Running, ends: Ends, records: int, span: Span, *, to_the_end: bool) -> Run:
    samples: list[Sample] = []
    memory_mb = 0.0
    begun = Sample(time.monotonic(), 0, its.cpu_s())
    moved_at = begun.at
    while not _known(samples, records, span, to_the_end=to_the_end):
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
    steady = _steady(samples, records, span)
    # Where all was done between two looks, its start is not left out.
    first, last = (steady[0] if len(steady) > 1 else begun), steady[-1]
    done = last.records - first.records
    return Run(
        rate=done / (last.at - first.at),
        cpu_us=(last.cpu_s - first.cpu_s) / done * 1e6,
        memory_mb=memory_mb,
    )


def _known(samples: Sequence[Sample], records: int, span: Span, *, to_the_end: bool) -> bool:
    if not samples:
        return False
    if to_the_end:
        return samples[-1].records >= records
    steady = _steady(samples, records, span)
    enough = samples[-1].records >= records * span.enough
    return enough or samples[-1].at >= steady[0].at + span.enough_s > samples[0].at + span.enough_s


def _steady(samples: Sequence[Sample], records: int, span: Span) -> list[Sample]:
    """The samples between the warm-up and the end."""
    warm_at, warm = samples[0].at + span.warm_s, records * span.warm
    after = [s for s in samples if s.records >= warm or s.at >= warm_at] or [samples[-1]]
    until = after[0].at + span.enough_s
    steady = [s for s in after if s.records <= records * span.enough and s.at <= until]
    return steady or after[:1]
