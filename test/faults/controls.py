"""Controls: detectors that must be caught, each with what provokes it.

A suite that finds nothing may be blind. These lack one remedy each, or were never exactly once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from faults import brokers, strikes
from faults.connections import arrives_late, frozen_at, killed_at, terminate_at
from faults.proxy import Api
from faults.run import Result
from faults.schedules import (
    BROKER_KILLED,
    KILL_ALL,
    SCALE,
    Fault,
    Schedule,
)

SEND_DELAYED = Fault("records arrive late", arrives_late(Api.PRODUCE, 5))
# For longer than a commit may take, and less than the Kafka transaction may.
OFFSETS_DELAYED = Fault("offsets arrive late", arrives_late(Api.SEND_OFFSETS, 7))
KILL_AT_OFFSETS = Fault("SIGKILL as offsets are committed", killed_at(Api.COMMIT_OFFSETS))
OFFSETS_REFUSED = Fault("SIGSTOP as offsets are sent", frozen_at(Api.SEND_OFFSETS))
END_DELAYED = Fault("SIGSTOP as a Kafka transaction is ended", frozen_at(Api.END_TRANSACTION))
TERMINATE_COMMITTING = Fault(
    "SIGTERM while a commit has no answer", terminate_at(Api.END_TRANSACTION)
)
LEFT_ALONE = Fault("left alone", strikes.left_alone)
AWAY = Fault("all brokers away", brokers.long_outage(30))

# The one rule that needs no memory: a memory keeps some of these detectors from going wrong.
_ONE_RULE = Path(__file__).parent / "large_amount.yaml"


@dataclass(frozen=True)
class Control:
    """A schedule with a detector that can't stand it, and the word for what must be found."""

    schedule: Schedule
    finding: str

    @property
    def name(self) -> str:
        return self.schedule.name

    def caught(self, result: Result) -> str | None:
        """What was found, where that is what must be."""
        found = [problem.splitlines()[0] for problem in result.problems]
        late = [stop.seconds for stop in result.stops if stop.missed]
        found += [f"does not stop in time: it took {seconds:.0f} s" for seconds in late]
        return next((line.split(", as ")[0] for line in found if self.finding in line), None)


def _control(
    name: str,
    remedies: str,
    faults: Sequence[Fault],
    finding: str,
    *,
    settings: Mapping[str, str] | None = None,
    long: bool = False,
    hung_s: float = 45.0,
) -> Control:
    program = ("-m", "faults.broken", *remedies.split())
    one_rule = {"RULES_FILE": str(_ONE_RULE), **(settings or {})}
    schedule = Schedule(name, faults, one_rule, long=long, program=program, hung_s=hung_s)
    return Control(schedule, finding)


_AT_LEAST_ONCE = {"PROCESSING_GUARANTEE": "at_least_once"}
_LATE = {**_AT_LEAST_ONCE, "COMMIT_INTERVAL_MS": "2000"}

CONTROLS = [
    _control("at-least-once", "", [KILL_AT_OFFSETS], "repeated", settings=_AT_LEAST_ONCE),
    _control("commit-before-send", "order busy", [KILL_ALL], "lost", settings=_LATE),
    _control("without-1", "membership busy", [SCALE], "repeated"),
    _control("without-2", "patience", [BROKER_KILLED] * 2, "hung", long=True),
    _control("without-4", "results short", [SEND_DELAYED], "lost"),
    _control("without-6", "new_stream", [OFFSETS_DELAYED], "lost"),
    _control("without-7", "own_id", [LEFT_ALONE], "restless", long=True),
    _control("without-10", "committed_offsets patient", [END_DELAYED], "repeated", long=True),
    _control("without-11", "limits", [TERMINATE_COMMITTING], "does not stop"),
    _control("without-12", "quiet", [AWAY], "log: ", long=True, hung_s=90),
    _control("without-14", "abort patient", [OFFSETS_REFUSED], "hung", long=True, hung_s=30),
]
