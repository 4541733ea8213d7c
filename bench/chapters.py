"""What is measured, chapter by chapter. Each returns rows of plain values, ready for JSON."""

import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import latency, reading, throughput
from bench.systems import (
    BYTEWAX,
    CONFLUENT,
    DETECTOR,
    DETECTORS,
    FAUST,
    GENERATOR,
    PLAIN_LOOP,
    QUIXSTREAMS,
    SEND_LOOP,
    STREAMS,
    STREAMS_10MS,
    STREAMS_DEFAULT,
    System,
)
from bench.throughput import Run
from bench.topics import Broker

Row = dict[str, Any]
_HELD_RATE = 50_000
_SEND_LOOP_SHARE = 10  # it takes so much longer than the generator


@dataclass(frozen=True)
class Plan:
    """How much is measured: records in the input, rounds, seconds of each latency, the records that
    wait when memory is looked at, commit intervals in milliseconds, and loads by the second."""

    records: int
    rounds: int
    latency_s: float
    systems: Sequence[System]
    waiting: Sequence[int]
    intervals_ms: Sequence[int]
    loads: Sequence[int]


_COMPARED = (
    DETECTOR,
    DETECTORS,
    CONFLUENT,
    STREAMS,
    STREAMS_DEFAULT,
    QUIXSTREAMS,
    BYTEWAX,
    FAUST,
    PLAIN_LOOP,
)
FULL = Plan(
    records=5_000_000,
    rounds=3,
    latency_s=15,
    systems=_COMPARED,
    waiting=(1_000_000, 10_000_000),
    intervals_ms=(10, 30, 100, 300, 1_000),
    loads=(1_000, 20_000),
)
QUICK = Plan(
    records=1_000_000,
    rounds=1,
    latency_s=5,
    systems=(DETECTOR, CONFLUENT, STREAMS, PLAIN_LOOP),
    waiting=(),
    intervals_ms=(),
    loads=(1_000,),
)


def systems(broker: Broker, plan: Plan) -> list[Row]:
    """Throughput by system, and how fast the distribution's own tool reads the same input."""
    with broker.topics("in") as (topic,):
        broker.fill(topic, plan.records)
        turns: list[tuple[str, Callable[[], Run]]] = [
            (system.name, lambda system=system: _run(broker, system, topic, plan))  # type: ignore[misc]
            for system in plan.systems
        ]
        runs = _in_turn(turns, plan.rounds)
        rows = [{**_described(system), **_summary(runs[system.name])} for system in plan.systems]
        read = [_reads(broker, topic, plan) for _ in range(plan.rounds)]
    return [*rows, {"system": reading.NAME, "settings": "only reads", **_figures("rate", read)}]


def intervals(broker: Broker, plan: Plan) -> list[Row]:
    """Throughput against the commit interval."""
    variants = {
        (system.name, interval): system.with_variables(
            f"{system.name}, {interval} ms", COMMIT_INTERVAL_MS=interval
        )
        for interval in plan.intervals_ms
        for system in (DETECTOR, STREAMS)
        if system in plan.systems
    }
    if not variants:
        return []
    with broker.topics("in") as (topic,):
        broker.fill(topic, plan.records)
        runs = _in_turn(
            [
                (variant.name, lambda variant=variant: _run(broker, variant, topic, plan))  # type: ignore[misc]
                for variant in variants.values()
            ],
            1,
        )
    return [
        {"system": name, "interval_ms": interval, **_summary(runs[variant.name])}
        for (name, interval), variant in variants.items()
    ]


def latencies(broker: Broker, plan: Plan) -> list[Row]:
    """Latency by system and load."""
    compared = [DETECTOR, STREAMS_DEFAULT, STREAMS_10MS, CONFLUENT]
    if plan.rounds == 1:
        compared.remove(CONFLUENT)
    rows = []
    for load in plan.loads:
        for system in compared:
            _say(f"latency of {system.name} at {load:,}/s")
            found = latency.measure(broker, system, load, plan.latency_s)
            rows.append(
                {
                    **_described(system),
                    "per_second": load,
                    "median_ms": found.quantile(0.5),
                    "p99_ms": found.quantile(0.99),
                    "cpu": found.cpu,
                    "counts": {str(ms): count for ms, count in sorted(found.counts.items())},
                }
            )
    return rows


def compressions(broker: Broker, plan: Plan) -> list[Row]:
    """Throughput of the detector by the compression of what it reads, and of what it writes."""
    if plan.rounds == 1:
        return []
    rows = []
    for read, write in (("none", "lz4"), ("none", "zstd"), ("lz4", "none"), ("zstd", "none")):
        with broker.topics("in") as (topic,):
            broker.fill(topic, plan.records, compression=read)
            variant = DETECTOR.with_variables(f"{read} to {write}", COMPRESSION_TYPE=write)
            runs = _in_turn([(variant.name, lambda: _run(broker, variant, topic, plan))], 1)  # noqa: B023  # it is called in this turn
        rows.append({"read": read, "written": write, **_summary(runs[variant.name])})
    return rows


def generators(broker: Broker, plan: Plan) -> list[Row]:
    """The generator as fast as it can, against a plain loop; and how it holds a rate."""
    few = plan.records // _SEND_LOOP_SHARE
    runs = _in_turn(
        [
            (GENERATOR.name, lambda: throughput.measure_writing(broker, GENERATOR, plan.records)),
            (SEND_LOOP.name, lambda: throughput.measure_writing(broker, SEND_LOOP, few)),
        ],
        plan.rounds,
    )
    rows = [
        {**_described(system), "asked": 0, **_summary(runs[system.name])}
        for system in (GENERATOR, SEND_LOOP)
    ]
    held = GENERATOR.with_variables(
        f"generator at {_HELD_RATE:,}/s", TRANSACTIONS_PER_SECOND=_HELD_RATE
    )
    total = int(_HELD_RATE * (plan.latency_s + 10))
    run = _in_turn([(held.name, lambda: throughput.measure_writing(broker, held, total))], 1)
    return [*rows, {**_described(held), "asked": _HELD_RATE, **_summary(run[held.name])}]


def memory(broker: Broker, plan: Plan) -> list[Row]:
    """The detector's peak of memory, by the number of records that wait for it."""
    rows = []
    for waiting in plan.waiting:
        with broker.topics("in") as (topic,):
            broker.fill(topic, waiting)
            _say(f"the detector, with {waiting:,} records waiting")
            run = throughput.measure(broker, DETECTOR, topic, waiting, to_the_end=True)
        rows.append({"waiting": waiting, "memory_mb": run.memory_mb, "rate": run.rate})
    return rows


CHAPTERS: Mapping[str, Callable[[Broker, Plan], list[Row]]] = {
    "systems": systems,
    "intervals": intervals,
    "latencies": latencies,
    "compressions": compressions,
    "generators": generators,
    "memory": memory,
}


def _run(broker: Broker, system: System, topic: str, plan: Plan) -> Run:
    return throughput.measure(broker, system, topic, plan.records)


def _reads(broker: Broker, topic: str, plan: Plan) -> float:
    rate = reading.measure(broker, topic, plan.records)
    _say(f"{reading.NAME}: {rate:,.0f}/s")
    return rate


def _in_turn(turns: Sequence[tuple[str, Callable[[], Run]]], rounds: int) -> dict[str, list[Run]]:
    """Runs each in each round, so that a slow minute of the machine falls on all of them."""
    runs: dict[str, list[Run]] = {name: [] for name, _ in turns}
    for number in range(rounds):
        for name, turn in turns:
            run = turn()
            _say(
                f"round {number + 1}, {name}: {run.rate:,.0f}/s, "
                f"{run.cpu_us:.2f} us CPU a record, {run.memory_mb:.0f} MB"
            )
            runs[name].append(run)
    return runs


def _described(system: System) -> Row:
    return {
        "system": system.name,
        "version": system.version,
        "guarantee": system.guarantee,
        "settings": system.settings,
    }


def _summary(runs: Sequence[Run]) -> Row:
    return {
        **_figures("rate", (run.rate for run in runs)),
        "cpu_us": statistics.median(run.cpu_us for run in runs),
        "memory_mb": max(run.memory_mb for run in runs),
    }


def _figures(name: str, figures: Iterable[float]) -> Row:
    every = sorted(figures)
    return {name: statistics.median(every), f"{name}_least": every[0], f"{name}_most": every[-1]}


def _say(words: str) -> None:
    sys.stderr.write(f"bench: {words}\n")
