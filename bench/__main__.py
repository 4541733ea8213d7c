"""python -m bench: measures the detector beside its peers, on one broker that it starts itself."""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.chapters import CHAPTERS
from bench.draw import draw
from bench.environments import WORK
from bench.plan import FULL, QUICK, Plan
from bench.processes import Failed
from bench.report import Result, machine, show
from bench.topics import ROOT, a_broker
from bench.turns import Row, say
from broker import BrokerUnavailable

_PAYMENTS_OF_AN_ACCOUNT = 32


def main(words: list[str]) -> int:
    """Measures what the command line asks for, and returns the exit status."""
    asked = _arguments(words)
    try:
        result = _measure(_plan(asked), asked.chapters or list(CHAPTERS), *_places(asked))
    except (BrokerUnavailable, Failed) as reason:
        sys.stderr.write(f"bench: {reason}\n")
        return 1
    show(result)
    return 0


def _measure(plan: Plan, chapters: list[str], results: Path, pictures: Path) -> Result:
    """Measures chapter by chapter. Each is kept when it is done: the next one may fail."""
    measured = {**machine(), "records": plan.records}
    result: Result = {"measured": {}}
    with tempfile.TemporaryDirectory(prefix="bench-kafka-") as folder, a_broker(Path(folder)) as it:
        for chapter in chapters:
            rows = result[chapter] = CHAPTERS[chapter](it, plan)
            result["measured"][chapter] = measured
            _keep(chapter, rows, measured, results / "results.json")
            say(f"wrote {chapter} to {results / 'results.json'}")
            for picture in draw({chapter: rows}, pictures):
                say(f"drew {picture}")
    return result


def _keep(chapter: str, rows: list[Row], measured: Row, path: Path) -> None:
    """Replaces a chapter in the file, and leaves its others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known: Result = json.loads(path.read_text()) if path.is_file() else {"measured": {}}
    known[chapter] = rows
    known["measured"][chapter] = measured
    path.write_text(json.dumps(known, indent=1) + "\n")


def _plan(asked: argparse.Namespace) -> Plan:
    plan = QUICK if asked.quick else FULL
    if asked.systems:
        chosen = [system for system in FULL.systems if system.name in asked.systems]
        plan = replace(plan, systems=chosen)
    if asked.records:
        accounts = max(2, asked.records // _PAYMENTS_OF_AN_ACCOUNT)
        plan = replace(
            plan,
            records=asked.records,
            shaped=asked.records,
            payments=asked.records,
            accounts=accounts,
        )
    if asked.rounds:
        every = asked.rounds
        plan = replace(plan, rounds=every, rounds_of_rules=every, rounds_of_latency=every)
    return plan


def _places(asked: argparse.Namespace) -> tuple[Path, Path]:
    """Where the figures and the pictures go. Whole chapters replace what the README shows."""
    if asked.out:
        return asked.out, asked.out
    whole = not (asked.quick or asked.systems or asked.records or asked.rounds)
    return (ROOT / "bench", ROOT / "imgs") if whole else (WORK / "results", WORK / "results")


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures the detector beside its peers, in turn, on one broker: prints "
        "tables, and writes them as JSON with pictures (whole chapters: to bench/ and imgs/; a "
        "part of one: to .bench/).",
    )
    names = [system.name for system in FULL.systems]
    parser.add_argument("--quick", action="store_true", help="a part of it, in under 3 minutes")
    parser.add_argument("--chapters", nargs="+", choices=CHAPTERS, help="only these")
    parser.add_argument("--systems", nargs="+", choices=names, help="only these")
    parser.add_argument("--records", type=int, help="how many the input holds")
    parser.add_argument("--rounds", type=int, help="how often each is measured")
    parser.add_argument("--out", type=Path, help="a folder for the figures and the pictures")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
