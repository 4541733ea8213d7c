"""python -m faults: strikes running detectors, and checks that nothing was lost or repeated."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from broker import BrokerUnavailable
from faults.run import Result, Run, Survived, a_run
from faults.schedules import LIMITS, SCHEDULES, Schedule
from faults.world import World, a_world


def main(words: list[str]) -> int:
    """Runs the schedules that the command line asks for, and returns the exit status."""
    asked = _arguments(words)
    chosen = [s for s in SCHEDULES if s.name in (asked.schedules or [s.name])]
    results = []
    try:
        with a_world(3) as world:
            for schedule in chosen:
                results.append(play(world, schedule, asked.seed, asked.logs))
                _tell(results[-1])
    except BrokerUnavailable as reason:
        sys.stderr.write(f"faults: {reason}\n")
        return 2
    failed = [result for result in results if result.problems]
    survived = sum(len(result.faults) for result in results)
    _say(f"{survived} faults, {len(failed)} of {len(results)} runs failed")
    return 1 if failed else 0


def play(world: World, schedule: Schedule, seed: int, logs: Path | None = None) -> Result:
    """One run of a schedule."""
    began = time.monotonic()
    result = Result(schedule.name)
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        try:
            with a_run(Run(world, logs or Path(folder), seed, schedule.settings)) as run:
                run.start(2)
                for kind, strike in schedule.faults:
                    seconds = strike(run)
                    result.faults.append(Survived(kind, seconds))
                    if seconds > LIMITS.get(kind, seconds):
                        result.problems.append(f"{kind}: output after {seconds:.1f} s")
                result.records, problems = run.finish()
                result.problems += problems
        except AssertionError as error:
            result.problems.append(str(error))
    result.seconds = time.monotonic() - began
    return result


def _tell(result: Result) -> None:
    times = ", ".join(f"{fault.kind} {fault.seconds:.1f} s" for fault in result.faults)
    how = "FAILED" if result.problems else "ok"
    _say(f"{how} {result.schedule}: {result.records} records, {times}, {result.seconds:.0f} s")
    for problem in result.problems:
        _say(f"    {problem}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    names = [schedule.name for schedule in SCHEDULES]
    parser.add_argument("--schedules", nargs="+", choices=names, help="only these")
    parser.add_argument("--seed", type=int, default=1, help="of the victims and moments (1)")
    parser.add_argument("--logs", type=Path, help="a folder that keeps the detectors' logs")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
