"""One run: detectors under load, what happens to them, and the check of all that came out."""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from detecting import wait_until
from kafka.errors import CoordinatorNotAvailableError

from detector.service.settings import RULES_FILE
from faults.checker import check, lag
from faults.detectors import SHIPPED, Detector
from faults.flow import Flow
from faults.load import Load
from faults.oracle import PARTITIONS, Stored
from faults.world import World

PER_SECOND = 500
# Without output, or without an end: it won't come any more. What it should take is in the limits.
HUNG_S = 150.0
PATIENCE_S = 90.0  # for anything else
STOPPED = ("exit after SIGTERM", 5.0)
_LAST_WORDS = 1_500  # characters of a log


@dataclass(frozen=True)
class Survived:
    """A fault, the seconds until output flowed again in every partition, and the most they
    should be."""

    kind: str
    seconds: float
    limit_s: float | None = None

    @property
    def missed(self) -> bool:
        return self.limit_s is not None and self.seconds > self.limit_s


@dataclass
class Result:
    """What came of a run; it has failed where there are problems."""

    schedule: str
    seed: int
    faults: list[Survived] = field(default_factory=list)
    stops: list[Survived] = field(default_factory=list)
    records: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Run:
    """Topics, a load, a reader, and detectors that the faults befall."""

    def __init__(
        self,
        world: World,
        folder: Path,
        seed: int,
        settings: Mapping[str, str] | None = None,
        program: Sequence[str] = SHIPPED,
        hung_s: float = HUNG_S,
    ) -> None:
        self.world = world
        self.random = random.Random(seed)  # noqa: S311  # a fault's victim and moment
        self.topics = world.new_topics()
        self.detectors: list[Detector] = []
        self.problems: list[str] = []
        self.stops: list[Survived] = []
        self.gone: list[list[Stored]] = []  # inputs that were judged, and then deleted
        self.folder = folder
        self.settings = dict(settings or {})
        self._program = program
        self._hung_s = hung_s
        self._stopped: list[Detector] = []
        self.clock = folder / "clock"
        self.set_clock("+0")
        self.load = Load(world.direct, self.topics.transactions, PER_SECOND, seed)
        self.flow = Flow(world.direct, self.topics.legit, PARTITIONS)

    def start(self, count: int) -> None:
        """Starts so many more detectors, and the load; returns when they share the partitions, and
        output flows."""
        for _ in range(count):
            self.add()
        self.await_members(len(self.detectors))
        since = time.time()
        self.load.flow()
        self.flows_again(since)

    def add(self, **settings: str) -> Detector:
        """One more detector; `settings` are further variables of its environment."""
        name = f"detector-{len(self.detectors) + len(self._stopped)}"
        environment = {
            **self.topics.environment,
            "KAFKA_BROKER_URL": self.world.proxied,
            "FAKETIME_TIMESTAMP_FILE": str(self.clock),
            **self.settings,
            **settings,
        }
        if self.settings.get("INSTANCE_ID"):
            environment["INSTANCE_ID"] = f"{self.settings['INSTANCE_ID']}-{name}"
        detector = Detector(name, self.folder / f"{name}.log", environment, self._program)
        self.detectors.append(detector)
        return detector

    def any(self) -> Detector:
        """Some detector, as the seed has it."""
        return self.random.choice(self.detectors)

    def a_moment(self, most_s: float = 0.5) -> None:
        """Lets some time pass, as the seed has it, so that faults strike anywhere in a commit."""
        time.sleep(self.random.uniform(0, most_s))

    def set_clock(self, words: str) -> None:
        """Moves the wall clock of those detectors that run with libfaketime."""
        self.clock.write_text(words)

    def flows_again(self, since: float) -> float:
        """Waits until output flows in every partition; seconds from `since` (of time.time).

        Raises:
            AssertionError: it does not, for a long time.
        """
        wait_until(lambda: self.flow.again(since) is not None, "hung: no output", self._hung_s)
        return float(self.flow.again(since) or 0.0)

    def await_members(self, count: int) -> None:
        """Returns when the group has so many members, with partitions each.

        Raises:
            AssertionError: it has not, for a long time.
        """

        def there() -> bool:
            with self.world.admin() as admin, suppress(CoordinatorNotAvailableError):
                group = admin.describe_groups([self.topics.group])[self.topics.group]
                owned = [member["member_assignment"] for member in group["members"]]
                return len(owned) == count and all(owned)
            return False  # a cluster's first group has no coordinator for a moment

        wait_until(there, f"{count} members", PATIENCE_S)

    def all_judged(self) -> None:
        """Returns when the group has committed all there is.

        Raises:
            AssertionError: it does not, for a long time.
        """
        wait_until(lambda: lag(self.topics) == 0, "hung: not all is judged", self._hung_s)

    def stop(self, detector: Detector) -> None:
        """Stops one as an operator does; it must obey, with status 0."""
        detector.told_to_stop()
        self._require_ended(detector)

    def said(self) -> str:
        """The ends of the detectors' logs."""
        logs = [*self._stopped, *self.detectors]
        return "\n".join(f"-- {d.name}:\n{d.said()[-_LAST_WORDS:]}" for d in logs)

    def finish(self) -> int:
        """Ends the run, notes what is wrong, and says how many records were checked."""
        written = self.load.stop()
        self.all_judged()
        for detector in self.detectors:
            detector.told_to_stop()
        for detector in [*self.detectors]:
            self._require_ended(detector)
        exactly_once = "PROCESSING_GUARANTEE" not in self.settings
        rules_file = Path(self.settings.get("RULES_FILE", RULES_FILE))
        self.problems += check(
            self.topics, written, rules_file, self.gone, exactly_once=exactly_once
        )
        self.problems += self._of_the_logs()
        return len(written.places)

    def destroy(self) -> None:
        """Leaves nothing running, whatever happened."""
        for detector in [*self.detectors, *self._stopped]:
            detector.destroy()
        self.load.abandon()
        self.flow.close()
        with self.world.admin() as admin:
            topics = self.topics
            admin.delete_topics([topics.transactions, topics.state, *topics.outputs])

    def _require_ended(self, detector: Detector) -> None:
        status = detector.ended(self._hung_s)
        if status is None:
            self.problems.append(f"{detector.name} hung: it does not stop")
        elif status:
            last = detector.said()[-_LAST_WORDS:]
            self.problems.append(f"{detector.name} stopped with status {status}: {last}")
        self.stops.append(Survived(STOPPED[0], detector.took_to_end_s, STOPPED[1]))
        if left := detector.leftovers():
            self.problems.append(f"{detector.name} left processes: {left}")
        self.detectors.remove(detector)
        self._stopped.append(detector)

    def _of_the_logs(self) -> Iterator[str]:
        for detector in self._stopped:
            said = detector.said()
            if "Traceback" in said:
                at = said.index("Traceback")
                yield f"{detector.name} shows a traceback: {said[at : at + _LAST_WORDS]}"


@contextmanager
def a_run(run: Run) -> Iterator[Run]:
    """Destroyed at the end, however it ends."""
    try:
        yield run
    finally:
        run.destroy()
