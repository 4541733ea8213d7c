"""Draws a benchmark's pictures from its rows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt  # the backend first: no display is needed
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.reading import NAME as ONLY_READS

_OURS, _OTHERS = "#c0392b", "#7f8c8d"
_COLOURS = (_OURS, "#2c3e50", "#2980b9", "#8e44ad")
_STYLE: Any = {
    "font.size": 11,
    "svg.hashsalt": "bench",  # the same picture from the same figures
    "axes.spines.top": False,
    "axes.spines.right": False,
}
Rows = Sequence[dict[str, Any]]


def draw(result: dict[str, Any], folder: Path) -> list[Path]:
    """Draws what was measured into the folder, and returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures: list[tuple[str, str, Callable[[Rows], Figure]]] = [
        ("systems", "bench-throughput.svg", _throughput),
        ("latencies", "bench-latency.svg", _latency),
        ("intervals", "bench-intervals.svg", _intervals),
        ("rules", "bench-rules.svg", _throughput),
    ]
    drawn = []
    with mpl.rc_context(_STYLE):
        for chapter, name, picture in pictures:
            rows = result.get(chapter)
            if rows:
                figure = picture(rows)
                figure.savefig(folder / name, metadata={"Date": None}, bbox_inches="tight")
                plt.close(figure)
                drawn.append(folder / name)
    return drawn


def _throughput(rows: Rows) -> Figure:
    compared = sorted((r for r in rows if r["system"] != ONLY_READS), key=lambda r: r["rate"])
    figure, axes = plt.subplots(figsize=(9, 0.45 * len(compared) + 1.2))
    names = [f"{r['system']} ({r['guarantee']})" for r in compared]
    rates = [r["rate"] for r in compared]
    colours = [_OURS if r["system"].startswith("detector") else _OTHERS for r in compared]
    bars = axes.barh(names, rates, color=colours)
    axes.bar_label(bars, [f"{rate:,.0f}" for rate in rates], padding=4)
    axes.set_xlabel("records a second, judged and republished")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.margins(x=0.15)
    return figure


def _latency(rows: Rows) -> Figure:
    loads = sorted({row["per_second"] for row in rows})
    figure, every = plt.subplots(1, len(loads), figsize=(5 * len(loads), 4), squeeze=False)
    for axes, load in zip(every[0], loads, strict=True):
        for colour, row in zip(
            _COLOURS, (row for row in rows if row["per_second"] == load), strict=False
        ):
            _distribution(axes, row, colour)
        axes.set_title(f"{load:,} records a second")
        axes.set_xlabel("milliseconds to a committed reader")
        # A stall of seconds, which the tables tell, must not press all else to the left.
        axes.set_xlim(0, 2.5 * max(r["median_ms"] for r in rows if r["per_second"] == load))
        axes.set_ylim(0, 100)
    every[0][0].set_ylabel("% of the records")
    every[0][-1].legend(loc="lower right")
    return figure


def _distribution(axes: Axes, row: dict[str, Any], colour: str) -> None:
    total, seen = sum(row["counts"].values()), 0
    times, shares = [0], [0.0]
    for milliseconds, count in row["counts"].items():
        seen += count
        times.append(int(milliseconds))
        shares.append(100 * seen / total)
    axes.step(times, shares, where="post", color=colour, label=row["system"])


def _intervals(rows: Rows) -> Figure:
    figure, axes = plt.subplots(figsize=(7, 4))
    for colour, name in zip(_COLOURS, dict.fromkeys(row["system"] for row in rows), strict=False):
        own = [row for row in rows if row["system"] == name]
        axes.plot(
            [row["interval_ms"] for row in own],
            [row["rate"] for row in own],
            marker="o",
            color=colour,
            label=name,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("commit interval, milliseconds")
    axes.set_ylabel("records a second")
    axes.legend()
    return figure
