"""python -m faults: strikes running detectors, and checks that nothing was lost or repeated.

The status is 1 where a record was lost, repeated, altered or out of order, where something hung, or
where a control was not caught; with --strict-times also where a time was over its limit.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from rulebooks import all_active

from broker import BrokerUnavailable
from faults.containers import CONTAINERS, lacks, play_containers
from faults.controls import CONTROLS, Control
from faults.report import Report
from faults.run import Result, Run, Survived, a_run
from faults.schedules import SCHEDULES, Schedule
from faults.world import World, a_world

# The brokers' Java would optimize itself for minutes, on all cores, while times are taken.
_JAVA = "-XX:TieredStopAtLevel=1"
NAMES = [*(s.name for s in SCHEDULES), *(c.name for c in CONTROLS), CONTAINERS]


def main(words: list[str]) -> int:
    """Runs what the command line asks for, and returns the exit status."""
    asked = _arguments(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what runs is ended then, too
    os.environ.setdefault("JAVA_TOOL_OPTIONS", _JAVA)
    report = Report("long" if asked.faults else "short")
    try:
        if asked.schedules != [CONTAINERS]:
            _play_all(asked, report)
        if _is_asked_for(CONTAINERS, asked):
            if reason := lacks():
                report.skipped(CONTAINERS, reason)
            else:
                report.add(play_containers(asked.seed))
    except BrokerUnavailable as reason:
        sys.stderr.write(f"faults: {reason}\n")
        return 2
    finally:
        if asked.table:
            report.write(asked.table)
    report.conclude()
    return report.status(strict_times=asked.strict_times)


def _play_all(asked: argparse.Namespace, report: Report) -> None:
    with a_world(3) as world:
        for control in _controls(asked):
            result = play(world, control.schedule, asked.seed, asked.logs)
            report.control(result, control.caught(result))
        for schedule, seed in _runs(asked, report):
            if reason := schedule.lacks(world):
                report.skipped(schedule.name, reason)
            else:
                report.add(play(world, schedule, seed, asked.logs))


def play(world: World, schedule: Schedule, seed: int, logs: Path | None = None) -> Result:
    """One run of a schedule."""
    began = time.monotonic()
    result = Result(schedule.name, seed)
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, ExitStack() as ending:
        place = logs / f"{schedule.name}-{seed}" if logs else Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        world.heal()
        try:
            settings = {**schedule.settings, **(_all_active(place) if schedule.all_active else {})}
            new = Run(world, place, seed, settings, schedule.program, schedule.hung_s)
            run = ending.enter_context(a_run(new))
            result.problems, result.stops = run.problems, run.stops
            run.start(2)
            for fault in schedule.chosen(seed):
                seconds = fault.strike(run)
                result.faults.append(Survived(fault.kind, seconds, fault.limit_s))
            result.records = run.finish()
        except AssertionError as error:
            result.problems.append(f"{error}\n{new.said()}")
    result.seconds = time.monotonic() - began
    return result


def _all_active(folder: Path) -> dict[str, str]:
    """Settings with a file of the rules that ship, in which all are active."""
    file = folder / "rules.yaml"
    file.write_text(all_active())
    return {"RULES_FILE": str(file)}


def _runs(asked: argparse.Namespace, report: Report) -> Iterator[tuple[Schedule, int]]:
    """What is to be run, with its seed: everything once, or again and again until so many
    faults have struck."""
    by_name = {schedule.name: schedule for schedule in SCHEDULES}
    if asked.schedules:
        chosen = [by_name[name] for name in asked.schedules if name in by_name]
    else:
        every = [schedule for schedule in SCHEDULES if asked.faults or not schedule.long]
        chosen = [schedule for schedule in every if _is_asked_for(schedule.name, asked)]
    for seed in range(asked.seed, sys.maxsize if asked.faults else asked.seed + 1):
        order = random.Random(seed).sample(chosen, len(chosen)) if asked.faults else chosen  # noqa: S311
        for schedule in order:
            yield schedule, seed
            if asked.table:
                report.write(asked.table)  # of what is known by now: a long run may be cut short
            if asked.faults and report.struck >= asked.faults:
                return


def _is_asked_for(name: str, asked: argparse.Namespace) -> bool:
    return name in (asked.schedules or NAMES) and name not in asked.without


def _controls(asked: argparse.Namespace) -> Sequence[Control]:
    every = asked.schedules or asked.faults or asked.all_controls
    chosen = [control for control in CONTROLS if every or not control.schedule.long]
    return [control for control in chosen if _is_asked_for(control.name, asked)]


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--schedules", nargs="+", choices=NAMES, default=[], help="only these")
    parser.add_argument("--without", nargs="+", choices=NAMES, default=[], help="all but these")
    parser.add_argument("--seed", type=int, default=1, help="of the victims and moments (1)")
    parser.add_argument("--faults", type=int, default=0, help="go on until so many have struck")
    parser.add_argument("--all-controls", action="store_true", help="also those that take long")
    parser.add_argument("--strict-times", action="store_true", help="a missed time is a failure")
    parser.add_argument("--table", type=Path, help="a document whose table is rewritten")
    parser.add_argument("--logs", type=Path, help="a folder that keeps the detectors' logs")
    asked = parser.parse_args(words)
    if asked.schedules or asked.without:
        asked.table = None  # a part is not what the document tells of
    return asked


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
