"""Runs in turn, and what they come to: rows of plain values, ready for JSON."""

import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bench.systems import System
from bench.throughput import Run

Row = dict[str, Any]


def in_turn(turns: Sequence[tuple[str, Callable[[], Run]]], rounds: int) -> dict[str, list[Run]]:
    """Runs each in each round, so that a slow minute of the machine falls on all of them."""
    runs: dict[str, list[Run]] = {name: [] for name, _ in turns}
    for number in range(rounds):
        for name, turn in turns:
            run = turn()
            say(
                f"round {number + 1}, {name}: {run.rate:,.0f}/s, "
                f"{run.cpu_us:.2f} us CPU a record, {run.memory_mb:.0f} MB"
            )
            runs[name].append(run)
    return runs


def described(system: System) -> Row:
    """What a system is."""
    return {
        "system": system.name,
        "version": system.version,
        "guarantee": system.guarantee,
        "settings": system.settings,
    }


def summary(runs: Sequence[Run]) -> Row:
    """The median rate with its bounds, CPU time a record, and the peak of memory."""
    return {
        **figures("rate", (run.rate for run in runs)),
        "cpu_us": statistics.median(run.cpu_us for run in runs),
        "memory_mb": max(run.memory_mb for run in runs),
    }


def figures(name: str, found: Iterable[float]) -> Row:
    """Their median and their bounds."""
    every = sorted(found)
    return {name: statistics.median(every), f"{name}_least": every[0], f"{name}_most": every[-1]}


def say(words: str) -> None:
    """Tells how it goes."""
    sys.stderr.write(f"bench: {words}\n")
