"""How soon a detector that was killed goes on where it stood, and what its accounts take of memory.

A detector judges nearly all of an input, is killed, and restarts. What counts is what it then
says it restored, and how much memory it has as the last partition is done, next to a detector that
has no accounts.
"""

import json
import statistics
import time
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.plan import Plan
from bench.processes import Failed, Running, running
from bench.remembering import ROOM, SAVING, write
from bench.systems import DETECTOR_TEN, System
from bench.topics import PARTITIONS, VERDICTS, Broker, Ends
from bench.turns import Row, figures, in_turn
from broker.ports import free_ports

_KILLED_AT = 0.97  # of the records
_PATIENCE_S = 180.0
_LOOK_S = 0.05
_DURATIONS = {
    "commit_ms": "detector_commit_duration_seconds",
    "saving_ms": "detector_state_save_duration_seconds",
}


@dataclass(frozen=True)
class _Restored:
    """What the restored detector says of all partitions, its memory then, and the seconds since it
    was started."""

    figures: Mapping[str, float]
    memory_mb: float
    live_s: float


def restore(broker: Broker, plan: Plan) -> list[Row]:
    """Restoring, by how often what the ten rules remember was saved."""
    if plan.restored is None:
        return []
    accounts, payments = plan.restored
    with broker.topics("in", "empty") as (topic, empty):
        write(broker, topic, accounts, payments)
        alone = _start(broker, _variant("never"), empty).memory_mb
        turns = [
            (saved, partial(_measure, broker, saved, topic, payments, alone)) for saved in SAVING
        ]
        runs = in_turn(turns, plan.rounds_of_rules)
    return [{"saved": saved, **_summary(its)} for saved, its in runs.items()]


class _Figures(dict[str, float]):
    """What was measured of one restart."""

    def __str__(self) -> str:
        return f"restored in {self['seconds']:.1f} s"


def _summary(runs: Sequence[_Figures]) -> Row:
    """The median of each figure, of the seconds their bounds, too; of what nothing was longer than,
    the longest."""
    row = {
        name: (max if name.endswith("_most") else statistics.median)(run[name] for run in runs)
        for name in runs[0]
    }
    return {"rounds": len(runs), **row, **figures("seconds", (run["seconds"] for run in runs))}


def _variant(saved: str) -> System:
    """The same member of the same group, whenever it is started."""
    name, (port,) = uuid.uuid4().hex[:8], free_ports(1)
    return DETECTOR_TEN.with_variables(
        f"detector, saved {saved}",
        CONSUMER_GROUP=f"bench-{name}",
        INSTANCE_ID=name,
        METRICS_PORT=port,
        LOG_LEVEL="INFO",
        **ROOM,
        **SAVING[saved],
    )


def _measure(broker: Broker, saved: str, topic: str, payments: int, alone_mb: float) -> _Figures:
    system = _variant(saved)
    with broker.outputs() as names:
        variables = {**broker.variables(), **names, "TRANSACTIONS_TOPIC": topic}
        written = [names[name] for name in VERDICTS]
        with Ends(broker, written) as ends, running(system, variables) as its:
            _wait_for(ends, its, payments * _KILLED_AT)
            durations = _durations(system.variables["METRICS_PORT"])
            its.kill()
        with running(system, variables) as its:
            found = _restored(its)
    accounts = found.figures["accounts"]
    return _Figures(
        **found.figures,
        live_s=found.live_s,
        memory_mb=found.memory_mb,
        bytes_an_account=(found.memory_mb - alone_mb) * 1e6 / accounts,
        **durations,
    )


def _start(broker: Broker, system: System, topic: str) -> _Restored:
    with broker.outputs() as names:
        variables = {**broker.variables(), **names, "TRANSACTIONS_TOPIC": topic}
        with running(system, variables) as its:
            return _restored(its)


def _wait_for(ends: Ends, its: Running, records: float) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while sum(ends.by_topic().values()) < records:
        its.require_running()
        if time.monotonic() > deadline:
            raise Failed(f"not done in {_PATIENCE_S:.0f} s: {its.last_words()}")
        time.sleep(_LOOK_S)


def _restored(its: Running) -> _Restored:
    """Waits until all partitions are restored; what the log says of each is added up."""
    began = time.monotonic()
    while len(lines := _lines(its)) < PARTITIONS:
        its.require_running()
        if time.monotonic() > began + _PATIENCE_S:
            raise Failed(f"not restored in {_PATIENCE_S:.0f} s: {its.last_words()}")
        time.sleep(_LOOK_S)
    names = ("accounts", "records", "replayed", "seconds")
    figures = {name: sum(line[name] for line in lines) for name in names}
    return _Restored(figures, its.memory_mb(), time.monotonic() - began)


def _lines(its: Running) -> list[dict[str, Any]]:
    whole = (line for line in its.said().splitlines(keepends=True) if line.endswith("}\n"))
    said = (json.loads(line) for line in whole)
    return [line for line in said if line["event"] == "restored"]


def _durations(port: str) -> Row:
    """The mean of all commits, and of what the loop did before them, and bounds that none of them
    was longer than, in milliseconds."""
    with urllib.request.urlopen(f"http://localhost:{port}/metrics", timeout=10) as answer:
        lines = [line.rpartition(" ") for line in answer.read().decode().splitlines()]
    row: Row = {}
    for column, metric in _DURATIONS.items():
        found = {name: float(value) for name, _, value in lines if name.startswith(metric)}
        count = found[f"{metric}_count"]
        bounds = [
            float(name.split('"')[1])
            for name, value in found.items()
            if "_bucket" in name and value >= count
        ]
        row[column] = found[f"{metric}_sum"] / count * 1000
        row[f"{column}_most"] = min(bounds) * 1000
    return row
