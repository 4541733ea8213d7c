"""Runs in turn, and what they come to: rows of plain values, ready for JSON."""

import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from bench.systems import System
from bench.throughput import Run

Row = dict[str, Any]
_Measured = TypeVar("_Measured")


def in_turn(
    turns: Sequence[tuple[str, Callable[[], _Measured]]], rounds: int
) -> dict[str, list[_Measured]]:
    """Measures each in each round, so that a slow minute of the machine falls on all of them."""
    found: dict[str, list[_Measured]] = {name: [] for name, _ in turns}
    for number in range(rounds):
        for name, turn in turns:
            found[name].append(turn())
            say(f"round {number + 1}, {name}: {found[name][-1]}")
    return found


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
        "rounds": len(runs),
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
