"""How much is measured: all of it, or a part that takes minutes."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.systems import (
    BYTEWAX,
    CONFLUENT,
    DETECTOR,
    DETECTOR_ORIGINAL,
    DETECTOR_SHIPPED,
    DETECTOR_TEN,
    DETECTOR_VELOCITY,
    DETECTORS,
    FAUST,
    PLAIN_LOOP,
    QUIXSTREAMS,
    STREAMS,
    STREAMS_DEFAULT,
    STREAMS_VELOCITY,
    System,
)


@dataclass(frozen=True)
class Plan:
    """Records in the input, rounds, seconds of each latency, the records that wait when memory is
    looked at, commit intervals in milliseconds, and loads by the second.

    `shaped` is the number of records of each other shape.

    Of latency: its own rounds, and for how long the broker runs under the first load before.

    Of rules that remember: systems, accounts, their payments in all, and rounds; accounts and
    payments on which the rules alone are timed, durability is measured, and restoring.
    """

    records: int
    rounds: int
    latency_s: float
    systems: Sequence[System]
    waiting: Sequence[int]
    intervals_ms: Sequence[int]
    loads: Sequence[int]
    shaped: int = 3_000_000
    rounds_of_latency: int = 3
    warm_up_s: float = 60
    remembering: Sequence[System] = (DETECTOR_TEN, DETECTOR_VELOCITY, STREAMS_VELOCITY)
    accounts: int = 100_000
    payments: int = 3_200_000
    rounds_of_rules: int = 3
    timed: tuple[int, int] = (100_000, 500_000)
    durability: Sequence[tuple[int, int]] = ()
    restored: tuple[int, int] | None = None


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
    rounds=5,
    latency_s=15,
    systems=_COMPARED,
    waiting=(1_000_000, 10_000_000),
    intervals_ms=(10, 30, 100, 300, 1_000),
    loads=(1_000, 20_000),
    remembering=(
        DETECTOR_TEN,
        DETECTOR_SHIPPED,
        DETECTOR_ORIGINAL,
        DETECTOR_VELOCITY,
        STREAMS_VELOCITY,
    ),
    durability=((10_000, 1_500_000), (100_000, 2_400_000), (1_000_000, 3_000_000)),
    restored=(1_000_000, 4_000_000),
)
QUICK = Plan(
    records=1_000_000,
    rounds=1,
    latency_s=5,
    systems=(DETECTOR, CONFLUENT, STREAMS, PLAIN_LOOP),
    waiting=(),
    intervals_ms=(),
    loads=(1_000,),
    rounds_of_latency=1,
    warm_up_s=0,
    accounts=6_000,
    payments=192_000,
    rounds_of_rules=1,
    timed=(2_000, 50_000),
)
