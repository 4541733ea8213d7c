"""What a command found: told as it goes, and written as the table of docs/reliability.md."""

import os
import platform
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from broker.jars import VERSION
from faults.run import Result, Survived

_ENOUGH = 30  # faults, for the rule of three


class Report:
    """Results as they come in. `section` is the part of the document that they belong in."""

    def __init__(self, section: str) -> None:
        self._section = section
        self._results: list[Result] = []
        self._controls: dict[str, str | None] = {}
        self._skipped: dict[str, str] = {}
        self._began = time.monotonic()

    @property
    def struck(self) -> int:
        """How many faults have struck by now."""
        return sum(len(result.faults) for result in self._results)

    def add(self, result: Result) -> None:
        self._results.append(result)
        times = ", ".join(_told(fault) for fault in result.faults)
        how = "FAILED" if result.problems else "ok"
        seeded = f"{result.schedule} (seed {result.seed})"
        say(f"{how} {seeded}: {result.records} records in {result.seconds:.0f} s; {times}")
        self._tell_problems(result)

    def control(self, result: Result, caught: str | None) -> None:
        """Of a detector that must be caught: by what it was; None where it was not."""
        name = result.schedule
        self._controls[name] = caught
        times = ", ".join(_told(fault) for fault in result.faults)
        found = f"caught by {caught!r}" if caught else "NOT CAUGHT"
        say(f"control {name}: {found}; {result.records} records in {result.seconds:.0f} s; {times}")
        if caught is None:
            self._tell_problems(result)

    def _tell_problems(self, result: Result) -> None:
        for problem in result.problems:
            say("    " + problem.replace("\n", "\n    "))

    def skipped(self, name: str, reason: str) -> None:
        self._skipped[name] = reason
        say(f"skipped {name}: {reason}")

    def conclude(self) -> None:
        """The last line."""
        failed = [result for result in self._results if result.problems]
        missed = [fault for fault in self._all() if fault.missed]
        say(
            f"{self.struck} faults, {len(failed)} of {len(self._results)} runs failed, "
            f"{len(missed)} times over their limit, {len(self._uncaught())} of "
            f"{len(self._controls)} controls not caught, {time.monotonic() - self._began:.0f} s"
        )

    def status(self, *, strict_times: bool) -> int:
        """Of the process: 1 where something is wrong."""
        wrong = [*(r for r in self._results if r.problems), *self._uncaught()]
        if strict_times:
            wrong += [fault for fault in self._all() if fault.missed]
        return 1 if wrong else 0

    def write(self, document: Path) -> None:
        """Puts the table in the place of the one that stands between the section's marks."""
        begin, end = f"<!-- {self._section} -->\n", f"<!-- end of {self._section} -->\n"
        head, rest = document.read_text().split(begin)
        tail = rest.split(end)[1]
        table = "\n".join(self._table())
        document.write_text(f"{head}{begin}\n{table}\n\n{end}{tail}")

    def _all(self) -> Iterator[Survived]:
        for result in self._results:
            yield from (*result.faults, *result.stops)

    def _uncaught(self) -> list[str]:
        return [name for name, caught in self._controls.items() if caught is None]

    def _table(self) -> Iterator[str]:
        yield from self._summary()
        yield ""
        yield "| fault | times | median s | worst s | limit s | over it |"
        yield "|---|---|---|---|---|---|"
        by_kind: dict[str, list[Survived]] = defaultdict(list)
        for survived in self._all():
            by_kind[survived.kind].append(survived)
        for kind, those in by_kind.items():
            seconds = [survived.seconds for survived in those]
            limit, over = "", ""
            if those[0].limit_s is not None:
                limit, over = f"{those[0].limit_s:g}", str(sum(s.missed for s in those))
            median, worst = statistics.median(seconds), max(seconds)
            yield f"| {kind} | {len(those)} | {median:.1f} | {worst:.1f} | {limit} | {over} |"
        if self._controls:
            yield ""
            yield "| control | caught by |"
            yield "|---|---|"
            for name, caught in self._controls.items():
                yield f"| {name} | {caught or '**not caught**'} |"

    def _summary(self) -> Iterator[str]:
        failed = sum(1 for result in self._results if result.problems)
        records = sum(result.records for result in self._results)
        minutes = (time.monotonic() - self._began) / 60
        wrong = f"**{failed} of them failed**" if failed else "none of them failed"
        yield (
            f"{self.struck} faults in {len(self._results)} runs, {wrong}; {records:,} records "
            f"checked; {minutes:.0f} minutes. Kafka {VERSION}, Python "
            f"{platform.python_version()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}."
        )
        if self.struck >= _ENOUGH and not failed:
            yield (
                f"No failure in {self.struck} faults: at most {300 / self.struck:.2g} % of them "
                "fail, with 95 % confidence."
            )
        for name, reason in self._skipped.items():
            yield f"Skipped: {name} ({reason})."


def say(line: str) -> None:
    """A line on standard output, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _told(fault: Survived) -> str:
    missed = f", over {fault.limit_s:g}" if fault.missed else ""
    return f"{fault.kind} {fault.seconds:.1f} s{missed}"
