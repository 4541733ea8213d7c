"""Detectors as containers under compose, with their restart policy: killed, paused, cut off."""

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from detecting import REPOSITORY, wait_until

from detector.service.settings import DetectorSettings
from faults.run import Result, Run, Survived, a_run
from faults.schedules import Fault
from faults.strikes import SESSION_S, sleep_until
from faults.world import World
from kafka_batch import RecoverableError, describe_topics

CONTAINERS = "containers"
_PROJECT = "fraud-detector-faults"
_NETWORK = f"{_PROJECT}_kafka-network"
# An only broker looks for Kafka transactions that have timed out (8 s) every 10 s.
_LEFT_OPEN_S = 18


def docker(*words: str, **variables: str) -> str:
    """What a docker command says."""
    done = subprocess.run(
        ["docker", *words],
        cwd=REPOSITORY,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"docker {' '.join(words)}: {done.stderr}"
    return done.stdout.strip()


def compose(*words: str, **variables: str) -> str:
    return docker("compose", "-p", _PROJECT, *words, **variables)


def lacks() -> str | None:
    """Why containers can't be run here; None where they can."""
    try:
        docker("info")
        docker("compose", "version")
    except (AssertionError, FileNotFoundError):
        return "no Docker engine with compose answers"
    return None


class Container:
    """A detector in a container; what a `Detector` is to a run."""

    def __init__(self, name: str, identity: str) -> None:
        self.name = name
        self.identity = identity
        self.took_to_end_s = 0.0
        self._told_at = 0.0
        self._ending = threading.Thread()

    def signal(self, number: signal.Signals) -> None:
        """To the detector itself, not to the container's first process."""
        docker("exec", self.identity, "sh", "-c", f"kill -{number.value} -1")

    def told_to_stop(self) -> float:
        self._told_at = time.time()
        self._ending = threading.Thread(target=self._stop, daemon=True)
        self._ending.start()
        return self._told_at

    def ended(self, patience_s: float) -> int | None:
        """The container's exit status; None when it still runs after that."""
        self._ending.join(patience_s)
        if docker("inspect", "-f", "{{.State.Running}}", self.identity) == "true":
            return None
        return int(docker("inspect", "-f", "{{.State.ExitCode}}", self.identity))

    def leftovers(self) -> list[int]:
        return []

    def destroy(self) -> None:
        """It is removed with the stack."""

    def _stop(self) -> None:
        docker("stop", self.identity)
        self.took_to_end_s = time.time() - self._told_at

    def said(self) -> str:
        command = ["docker", "logs", self.identity]
        return subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
        ).stdout


class Stack(World):
    """The broker of the compose file."""

    def __init__(self) -> None:
        self.disk = None

    @property
    def direct(self) -> str:
        return "localhost:9094"

    @property
    def proxied(self) -> str:
        return "broker:9092"

    @property
    def replicas(self) -> int:
        return 1


@contextmanager
def a_stack() -> Iterator[Stack]:
    """The broker, for as long as it is needed, and everything else of the project removed."""
    compose("down", "--volumes", "--remove-orphans")
    try:
        compose("build", "detector")
        compose("-f", "docker-compose.kafka.yml", "up", "-d")
        stack = Stack()
        wait_until(lambda: _answers(stack.direct), "the broker answers")
        yield stack
    finally:
        compose("down", "--volumes", "--remove-orphans")


def _answers(server: str) -> bool:
    with suppress(RecoverableError):
        describe_topics(server, [])
        return True
    return False


class ContainerRun(Run):
    """A run whose detectors are containers."""

    def start(self, count: int) -> None:
        # Compose keeps fewer payments of an account than a detector by itself, and the checker.
        settings = {"STATE_MAX_EVENTS": str(DetectorSettings().state_max_events), **self.settings}
        variables = {**self.topics.environment, **settings}
        compose("run", "--rm", "--no-deps", "topics", **variables)  # those that are missing
        scale = ["up", "-d", "--no-deps", "--no-build", "--scale", f"detector={count}", "detector"]
        compose(*scale, **variables)
        found = compose("ps", "-q", "detector").split()
        self.detectors[:] = [Container(f"container-{n}", c) for n, c in enumerate(found)]  # type: ignore[misc]
        super().start(0)


def crash(run: Run) -> float:
    """SIGKILL of a detector within its container: the restart policy starts it again."""
    run.a_moment()
    run.any().signal(signal.SIGKILL)
    return run.flows_again(time.time())


def kill(run: Run) -> float:
    """docker kill, after which an operator starts it again."""
    run.a_moment()
    victim = _some(run)
    docker("kill", victim)
    seconds = run.flows_again(time.time())
    docker("start", victim)
    return seconds


def pause(run: Run) -> float:
    """docker pause for longer than the session."""
    run.a_moment()
    victim, since = _some(run), time.time()
    docker("pause", victim)
    seconds = run.flows_again(since)
    sleep_until(since + SESSION_S + 3)
    docker("unpause", victim)
    run.flows_again(time.time())
    return seconds


def disconnect(run: Run) -> float:
    """docker network disconnect for longer than the session."""
    run.a_moment()
    victim, since = _some(run), time.time()
    docker("network", "disconnect", _NETWORK, victim)
    seconds = run.flows_again(since)
    sleep_until(since + SESSION_S + 3)
    docker("network", "connect", _NETWORK, victim)
    run.flows_again(time.time())
    return seconds


def _some(run: Run) -> str:
    found: Any = run.any()
    return str(found.identity)


FAULTS = [
    Fault("SIGKILL of a detector in its container", crash, 15),
    Fault("docker kill, docker start", kill, 15),
    Fault("docker pause past the session, unpause", pause, _LEFT_OPEN_S),
    Fault("docker network disconnect past the session, connect", disconnect, _LEFT_OPEN_S),
]


@contextmanager
def _explaining_ones(run: Run) -> Iterator[None]:
    """What fails within says what the containers said, which are gone later."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{error}\n{run.said()}") from error


def play_containers(seed: int) -> Result:
    """One run of all of it."""
    began = time.monotonic()
    result = Result(CONTAINERS, seed)
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, a_stack() as stack:
        try:
            with a_run(ContainerRun(stack, Path(folder), seed)) as run, _explaining_ones(run):
                result.problems, result.stops = run.problems, run.stops
                run.start(2)
                for fault in FAULTS:
                    seconds = fault.strike(run)
                    result.faults.append(Survived(fault.kind, seconds, fault.limit_s))
                result.records = run.finish()
        except AssertionError as error:
            result.problems.append(str(error))
    result.seconds = time.monotonic() - began
    return result
