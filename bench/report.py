"""The tables of a benchmark, from its rows."""

import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from bench.systems import DETECTOR, DETECTOR_TEN, System
from broker import jars

Result = dict[str, Any]
_Column = tuple[str, Callable[[dict[str, Any]], str]]
_GIGABYTE = 1e9


def machine() -> Result:
    """What it was measured on, and when. Python is named with where it is from: how a Python was
    built makes it a fifth faster or slower."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": psutil.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(psutil.virtual_memory().total / _GIGABYTE),
        "system": platform.platform(),
        "python": f"{platform.python_version()} ({Path(sys.executable).resolve()})",
        "java": _java_version(),
        "kafka": jars.VERSION,
    }


def _processor() -> str:
    found = Path("/proc/cpuinfo")
    lines = found.read_text().splitlines() if found.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


def _java_version() -> str:
    line = [jars.java_program(), "-version"]
    said = subprocess.run(line, capture_output=True, text=True, check=True).stderr
    return said.splitlines()[0]


def show(result: Result) -> None:
    """Prints the tables of all chapters that were measured in one run."""
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, soft_wrap=True)
    console.print(", ".join(f"{name} {value}" for name, value in _measured(result).items()))
    for chapter, title, columns in _tables(result):
        rows = result.get(chapter, [])
        if not rows:
            continue
        table = Table(title=title, title_justify="left")
        for name, _ in columns:
            table.add_column(name, justify="left" if name in _WORDS else "right")
        for row in rows:
            table.add_row(*[cell(row) for _, cell in columns])
        console.print(table)
    settings = {row["system"]: row["settings"] for row in _rows(result) if "settings" in row}
    for system, chosen in settings.items():
        console.print(f"{system}: {chosen}", highlight=False)


def _measured(result: Result) -> Result:
    """On what, and how much: the same for all chapters of a run."""
    found: Result = next(iter(result["measured"].values()))
    return found


def _rows(result: Result) -> list[Result]:
    return [row for chapter, _, _ in _tables(result) for row in result.get(chapter, [])]


_WORDS = ("system", "records like", "guarantee", "read", "written", "saved")
_WIDTH = 180  # where it goes to a file


def _text(key: str) -> Callable[[dict[str, Any]], str]:
    return lambda row: str(row.get(key, ""))


def _number(key: str, form: str) -> Callable[[dict[str, Any]], str]:
    return lambda row: format(row[key], form) if key in row else ""


def _spread(key: str, form: str = ",.0f") -> Callable[[dict[str, Any]], str]:
    return lambda row: f"{row[f'{key}_least']:{form}}-{row[f'{key}_most']:{form}}"


def _tables(result: Result) -> Sequence[tuple[str, str, list[_Column]]]:
    measured = _measured(result)
    rate: list[_Column] = [
        ("rounds", _text("rounds")),
        ("records/s", _number("rate", ",.0f")),
        ("least-most", _spread("rate")),
        ("CPU us/record", _number("cpu_us", ".2f")),
        ("peak MB", _number("memory_mb", ".0f")),
    ]
    return [
        (
            "systems",
            f"throughput, {measured['records']:,} records, medians",
            [
                ("system", lambda row: f"{row['system']} {row.get('version', '')}".strip()),
                ("guarantee", _text("guarantee")),
                *rate,
                ("detector is", lambda row: _times(result, row)),
            ],
        ),
        (
            "shapes",
            "throughput by what a record looks like, the threshold rule alone",
            [
                ("records like", _text("records_like")),
                ("system", _text("system")),
                *rate,
                ("detector is", lambda row: _times_of_shape(result, row)),
            ],
        ),
        (
            "intervals",
            "throughput against the commit interval",
            [("system", _text("system")), ("interval ms", _text("interval_ms")), *rate],
        ),
        (
            "latencies",
            "latency, from the record's timestamp to a reader of committed records",
            [
                ("system", _text("system")),
                ("records/s", _number("per_second", ",")),
                ("rounds", _text("rounds")),
                ("median ms", _number("median_ms", ".0f")),
                ("least-most", _spread("median_ms")),
                ("99 % ms", _number("p99_ms", ".0f")),
                ("least-most", _spread("p99_ms")),
                ("cores", _number("cpu", ".2f")),
            ],
        ),
        (
            "compressions",
            "the detector, by compression",
            [("read", _text("read")), ("written", _text("written")), *rate],
        ),
        (
            "generators",
            "generators",
            [("system", _text("system")), ("asked/s", _number("asked", ",")), *rate],
        ),
        (
            "memory",
            "the detector's peak of memory",
            [("waiting", _number("waiting", ",")), ("peak MB", _number("memory_mb", ".0f"))],
        ),
        *_tables_of_rules(result, rate),
    ]


def _tables_of_rules(
    result: Result, rate: list[_Column]
) -> Sequence[tuple[str, str, list[_Column]]]:
    return [
        (
            "alone",
            "the ten rules by themselves, CPU us a payment",
            [
                ("accounts", _number("accounts", ",")),
                ("payments", _number("payments", ",")),
                ("rules", _number("rules_us", ".2f")),
                ("reasons", _number("reasons_us", ".2f")),
                ("five further conditions", _number("further_us", ".2f")),
                ("hits", _number("hits_share", ".1%")),
            ],
        ),
        (
            "rules",
            "rules that remember accounts",
            [
                ("system", _text("system")),
                *rate,
                ("frauds", _number("frauds", ".1%")),
                ("ten rules are", lambda row: _times(result, row, "rules", DETECTOR_TEN)),
            ],
        ),
        (
            "durability",
            "the ten rules, by how often what they remember is saved",
            [
                ("accounts", _number("accounts", ",")),
                ("saved", _text("saved")),
                *rate,
                ("costs", lambda row: _cost(result, row)),
            ],
        ),
        (
            "restore",
            "restoring after a SIGKILL, by how often it was saved",
            [
                ("saved", _text("saved")),
                ("rounds", _text("rounds")),
                ("accounts", _number("accounts", ",")),
                ("records read", _number("records", ",")),
                ("replayed", _number("replayed", ",")),
                ("restored in s", _number("seconds", ".1f")),
                ("least-most", _spread("seconds", ".1f")),
                ("live after s", _number("live_s", ".1f")),
                ("MB", _number("memory_mb", ".0f")),
                ("bytes/account", _number("bytes_an_account", ",.0f")),
                ("commit ms", _number("commit_ms", ".0f")),
                ("at most", _number("commit_ms_most", ",.0f")),
                ("saving ms", _number("saving_ms", ".1f")),
                ("at most", _number("saving_ms_most", ",.0f")),
            ],
        ),
    ]


def _times(
    result: Result, row: dict[str, Any], chapter: str = "systems", ours: System = DETECTOR
) -> str:
    own = next(r["rate"] for r in result[chapter] if r["system"] == ours.name)
    return f"{own / row['rate']:.2f} x"


def _times_of_shape(result: Result, row: dict[str, Any]) -> str:
    same = [it for it in result["shapes"] if it["records_like"] == row["records_like"]]
    return _times({"shapes": same}, row, "shapes")


def _cost(result: Result, row: dict[str, Any]) -> str:
    """The share of the rate that durability takes."""
    without = next(
        its["rate"]
        for its in result["durability"]
        if its["accounts"] == row["accounts"] and its["saved"] == "never"
    )
    return f"{1 - row['rate'] / without:.0%}"
