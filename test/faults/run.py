"""One run: detectors under load, what happens to them, and the check of all that came out."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from detecting import wait_until

from faults.checker import check, lag
from faults.detectors import Detector
from faults.flow import Flow
from faults.load import Load
from faults.oracle import PARTITIONS
from faults.world import World

PER_SECOND = 1_000
HUNG_S = 90.0  # without output: it won't come any more
_STOPS_S = 5.0
_LAST_WORDS = 1_500  # characters of a log


@dataclass
class Survived:
    """A fault, and the seconds until output flowed again in every partition."""

    kind: str
    seconds: float


@dataclass
class Result:
    """What came of a run; it has failed where there are problems."""

    schedule: str
    faults: list[Survived] = field(default_factory=list)
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
    ) -> None:
        self.world = world
        self.random = random.Random(seed)  # noqa: S311  # a fault's victim and moment
        self.topics = world.new_topics()
        self.detectors: list[Detector] = []
        self.problems: list[str] = []
        self._folder = folder
        self._settings = dict(settings or {})
        self._stopped: list[Detector] = []
        self.load = Load(world.direct, self.topics.transactions, PER_SECOND, seed)
        self.flow = Flow(world.direct, self.topics.legit, PARTITIONS)

    def start(self, count: int) -> None:
        """Starts so many more detectors, and the load; returns when output flows."""
        for _ in range(count):
            self.add()
        since = time.time()
        self.load.flow()
        self.flows_again(since)

    def add(self) -> Detector:
        """One more detector."""
        name = f"detector-{len(self.detectors) + len(self._stopped)}"
        environment = {
            **self.topics.environment,
            "KAFKA_BROKER_URL": self.world.proxied,
            **self._settings,
        }
        if self._settings.get("INSTANCE_ID"):
            environment["INSTANCE_ID"] = f"{self._settings['INSTANCE_ID']}-{name}"
        detector = Detector(name, self._folder / f"{name}.log", environment)
        self.detectors.append(detector)
        return detector

    def any(self) -> Detector:
        """Some detector, as the seed has it."""
        return self.random.choice(self.detectors)

    def a_moment(self, most_s: float = 0.5) -> None:
        """Lets some time pass, as the seed has it, so that faults strike anywhere in a commit."""
        time.sleep(self.random.uniform(0, most_s))

    def flows_again(self, since: float) -> float:
        """Waits until output flows in every partition; seconds from `since` (of time.time).

        Raises:
            AssertionError: it does not, for a long time.
        """
        wait_until(
            lambda: self.flow.again(since) is not None, f"output flows: {self.said()}", HUNG_S
        )
        return float(self.flow.again(since) or 0.0)

    def stop(self, detector: Detector) -> None:
        """Stops one as an operator does; it must obey, with status 0."""
        detector.told_to_stop()
        self._require_ended(detector)

    def said(self) -> str:
        """The ends of the detectors' logs."""
        logs = [*self._stopped, *self.detectors]
        return "\n".join(f"-- {d.name}:\n{d.said()[-_LAST_WORDS:]}" for d in logs)

    def finish(self) -> tuple[int, list[str]]:
        """Ends the run: how many records were checked, and what is wrong."""
        written = self.load.stop()
        wait_until(lambda: lag(self.topics) == 0, f"all is judged: {self.said()}", HUNG_S)
        for detector in self.detectors:
            detector.told_to_stop()
        for detector in [*self.detectors]:
            self._require_ended(detector)
        found = check(self.topics, written)
        return len(written.places), [*self.problems, *found, *self._of_the_logs()]

    def destroy(self) -> None:
        """Leaves nothing running, whatever happened."""
        for detector in [*self.detectors, *self._stopped]:
            detector.destroy()
        self.load.abandon()
        self.flow.close()
        with self.world.admin() as admin:
            admin.delete_topics([self.topics.transactions, *self.topics.outputs])

    def _require_ended(self, detector: Detector) -> None:
        status = detector.ended(_STOPS_S)
        if status is None:
            self.problems.append(f"{detector.name} does not stop: {detector.said()[-_LAST_WORDS:]}")
        elif status:
            self.problems.append(f"{detector.name} stopped with status {status}")
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


Fault = Callable[[Run], float]


@contextmanager
def a_run(run: Run) -> Iterator[Run]:
    """Destroyed at the end, however it ends."""
    try:
        yield run
    finally:
        run.destroy()
