"""Kafka for as long as a command runs."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from broker.cluster import Cluster

_LONGEST_S = 15.0  # for the command to end, once it was told to
_SLICE_S = 0.1


def say(words: str) -> None:
    """One line for the person at the terminal."""
    sys.stderr.write(f"broker: {words}\n")


def run(directory: Path, nodes: int, port: int, command: Sequence[str]) -> int:
    """Starts Kafka, runs the command (without one: waits for a signal), stops Kafka.

    Kafka stops last, so that the command can deliver and commit what it has. Returns the
    command's exit status; 0 where it ended since it was told to.

    Raises:
        BrokerUnavailable: Kafka can't be started.
    """
    told = _Told()
    cluster = Cluster(directory, nodes, port)
    say(f"starting Kafka at {cluster.bootstrap_servers}, data in {directory}")
    with cluster:
        say("Kafka is up")
        status = _attend(command, told) if command else _wait_until(told)
        say("stopping Kafka")
    say("stopped")
    return status


class _Told:
    """Whether a signal told us to stop; a further one changes nothing."""

    def __init__(self) -> None:
        self.so = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._take)

    def _take(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.so = True


def _wait_until(told: _Told) -> int:
    while not told.so:
        time.sleep(_SLICE_S)
    return 0


def _attend(command: Sequence[str], told: _Told) -> int:
    # In a session of its own: a terminal's Ctrl-C reaches only us, and the command gets one
    # SIGTERM however it was stopped.
    child = subprocess.Popen(command, start_new_session=True)
    while child.poll() is None and not told.so:
        time.sleep(_SLICE_S)
    if child.poll() is not None and not told.so:
        return child.returncode
    child.terminate()
    try:
        child.wait(_LONGEST_S)
    except subprocess.TimeoutExpired:
        say(f"the command did not end within {_LONGEST_S:.0f} s, and is killed")
        child.kill()
        child.wait()
    return 0
