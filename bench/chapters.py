"""What is measured, chapter by chapter. Each returns rows of plain values, ready for JSON."""

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from bench import latency, reading, remembering, restoring, shapes, throughput
from bench.latency import Latency
from bench.plan import Plan
from bench.systems import (
    CONFLUENT,
    DETECTOR,
    GENERATOR,
    SEND_LOOP,
    STREAMS,
    STREAMS_10MS,
    STREAMS_DEFAULT,
    System,
)
from bench.throughput import Input, Run
from bench.topics import Broker
from bench.turns import Row, described, figures, in_turn, say, summary

_HELD_RATE = 50_000
_SEND_LOOP_SHARE = 10  # it takes so much longer than the generator


def systems(broker: Broker, plan: Plan) -> list[Row]:
    """Throughput by system, and how fast the distribution's own tool reads the same input."""
    with broker.topics("in") as (topic,):
        broker.fill(topic, plan.records)
        turns = [
            (system.name, partial(_run, broker, system, topic, plan)) for system in plan.systems
        ]
        runs = in_turn(turns, plan.rounds)
        rows = [{**described(system), **summary(runs[system.name])} for system in plan.systems]
        tool = [(reading.NAME, partial(reading.measure, broker, topic, plan.records))]
        read = in_turn(tool, plan.rounds)[reading.NAME]
    only_read = {"system": reading.NAME, "settings": "only reads", "rounds": len(read)}
    return [*rows, {**only_read, **figures("rate", read)}]


def by_shape(broker: Broker, plan: Plan) -> list[Row]:
    """Throughput by what a record looks like: other producers write other fields."""
    compared = [it for it in (DETECTOR, CONFLUENT, STREAMS) if it in plan.systems]
    rows: list[Row] = []
    if plan.rounds == 1:
        return rows
    for shape in shapes.SHAPES:
        with broker.topics("in") as (topic,):
            say(f"writing {plan.shaped:,} records, {shape}")
            shapes.fill(broker, topic, shape, plan.shaped)
            given = Input(topic, plan.shaped)
            turns = [(it.name, partial(throughput.measure, broker, it, given)) for it in compared]
            runs = in_turn(turns, plan.rounds)
        rows += [
            {**described(it), "records_like": shape, **summary(runs[it.name])} for it in compared
        ]
    return rows


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
        runs = in_turn(
            [
                (variant.name, partial(_run, broker, variant, topic, plan))
                for variant in variants.values()
            ],
            1,
        )
    return [
        {"system": name, "interval_ms": interval, **summary(runs[variant.name])}
        for (name, interval), variant in variants.items()
    ]


def latencies(broker: Broker, plan: Plan) -> list[Row]:
    """Latency by system and load."""
    compared = [DETECTOR, STREAMS_DEFAULT, STREAMS_10MS, CONFLUENT]
    if plan.rounds == 1:
        compared.remove(CONFLUENT)
    if plan.warm_up_s:
        say(f"the broker warms up for {plan.warm_up_s:.0f} s: a JVM compiles what it runs often")
        latency.measure(broker, DETECTOR, plan.loads[0], plan.warm_up_s)
    return [row for load in plan.loads for row in _latencies(broker, plan, compared, load)]


def _latencies(broker: Broker, plan: Plan, compared: list[System], load: int) -> list[Row]:
    say(f"latencies at {load:,}/s")
    turns = [
        (system.name, partial(latency.measure, broker, system, load, plan.latency_s))
        for system in compared
    ]
    found = in_turn(turns, plan.rounds_of_latency)
    return [
        {**described(system), "per_second": load, **_all_rounds(found[system.name])}
        for system in compared
    ]


def _all_rounds(found: Sequence[Latency]) -> Row:
    counts = sum((Counter(its.counts) for its in found), Counter[int]())
    return {
        "rounds": len(found),
        **figures("median_ms", (its.quantile(0.5) for its in found)),
        **figures("p99_ms", (its.quantile(0.99) for its in found)),
        "cpu": statistics.median(its.cpu for its in found),
        "counts": {str(milliseconds): count for milliseconds, count in sorted(counts.items())},
    }


def compressions(broker: Broker, plan: Plan) -> list[Row]:
    """Throughput of the detector by the compression of what it reads, and of what it writes."""
    if plan.rounds == 1:
        return []
    rows = []
    for read, write in (("none", "lz4"), ("none", "zstd"), ("lz4", "none"), ("zstd", "none")):
        with broker.topics("in") as (topic,):
            broker.fill(topic, plan.records, compression=read)
            variant = DETECTOR.with_variables(f"{read} to {write}", COMPRESSION_TYPE=write)
            runs = in_turn([(variant.name, partial(_run, broker, variant, topic, plan))], 1)
        rows.append({"read": read, "written": write, **summary(runs[variant.name])})
    return rows


def generators(broker: Broker, plan: Plan) -> list[Row]:
    """The generator as fast as it can, against a plain loop; and how it holds a rate."""
    few = plan.records // _SEND_LOOP_SHARE
    runs = in_turn(
        [
            (system.name, partial(throughput.measure_writing, broker, system, records))
            for system, records in ((GENERATOR, plan.records), (SEND_LOOP, few))
        ],
        plan.rounds,
    )
    rows = [
        {**described(system), "asked": 0, **summary(runs[system.name])}
        for system in (GENERATOR, SEND_LOOP)
    ]
    held = GENERATOR.with_variables(
        f"generator at {_HELD_RATE:,}/s", TRANSACTIONS_PER_SECOND=_HELD_RATE
    )
    total = int(_HELD_RATE * (plan.latency_s + 10))
    run = in_turn([(held.name, partial(throughput.measure_writing, broker, held, total))], 1)
    return [*rows, {**described(held), "asked": _HELD_RATE, **summary(run[held.name])}]


def memory(broker: Broker, plan: Plan) -> list[Row]:
    """The detector's peak of memory, by the number of records that wait for it."""
    rows = []
    for waiting in plan.waiting:
        with broker.topics("in") as (topic,):
            broker.fill(topic, waiting)
            say(f"the detector, with {waiting:,} records waiting")
            run = throughput.measure(broker, DETECTOR, Input(topic, waiting), to_the_end=True)
        rows.append({"waiting": waiting, "memory_mb": run.memory_mb, "rate": run.rate})
    return rows


CHAPTERS: Mapping[str, Callable[[Broker, Plan], list[Row]]] = {
    "systems": systems,
    "shapes": by_shape,
    "intervals": intervals,
    "latencies": latencies,
    "compressions": compressions,
    "generators": generators,
    "memory": memory,
    "alone": remembering.alone,
    "rules": remembering.rules,
    "durability": remembering.durability,
    "restore": restoring.restore,
}


def _run(broker: Broker, system: System, topic: str, plan: Plan) -> Run:
    return throughput.measure(broker, system, Input(topic, plan.records))
