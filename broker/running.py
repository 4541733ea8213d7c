"""Kafka for as long as a command runs, or until a signal."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from types import FrameType

from broker.cluster import Cluster
from broker.jars import VERSION
from broker.terminal import say

_PATIENCE_S = 15.0  # for the command to deliver and commit, once it was told to stop
_SLICE_S = 0.05
_CANNOT_RUN = 127  # as shells say it


class Told:
    """The signal that told us to stop, if one did. Further ones change nothing.

    All that follows is bounded, and to hurry would leave the command's own children behind.
    """

    def __init__(self) -> None:
        self.signal = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._take)

    def __bool__(self) -> bool:
        return self.signal != 0

    def _take(self, number: int, _frame: FrameType | None) -> None:
        self.signal = self.signal or number


def run(cluster: Cluster, command: Sequence[str]) -> int:
    """Starts Kafka, runs the command (without one: waits for a signal), stops Kafka.

    Kafka stops last, so that the command can deliver and commit what it has. Returns the
    command's exit status, 128 + n where signal n ended it.

    Raises:
        BrokerUnavailable: Kafka can't start, or ends by itself; the command doesn't run then.
    """
    told = Told()
    status = 0
    say(f"starting Kafka {VERSION}, data in {cluster.directory}")
    with ExitStack() as ending:
        ending.callback(cluster.stop)
        up = cluster.start(unless=lambda: bool(told))
        ending.callback(say, "stopping Kafka")
        if up:
            say(f"Kafka is up at {cluster.bootstrap_servers}")
            status = _attend(command, cluster, told) if command else _wait(cluster, told)
        elif command:
            status = 128 + told.signal
    say("stopped")
    return status


def _wait(cluster: Cluster, told: Told) -> int:
    say("Ctrl-C stops it")
    _until(lambda: bool(told), cluster)
    return 0


def _attend(command: Sequence[str], cluster: Cluster, told: Told) -> int:
    say(f"running {shlex.join(command)}")
    try:
        # In a session of its own: a terminal's Ctrl-C reaches only us, and the command is told
        # once, by SIGTERM, however we were.
        child = subprocess.Popen(command, start_new_session=True)
    except OSError as error:
        say(f"{command[0]} can't be run: {error.strerror}")
        return _CANNOT_RUN
    try:
        _until(lambda: bool(told) or child.poll() is not None, cluster)
    finally:
        _end(child)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _until(true: Callable[[], bool], cluster: Cluster) -> None:
    while not true():
        cluster.require_majority()
        time.sleep(_SLICE_S)


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Ends the command with its process group, or what it left of that, as a terminal would."""
    if child.poll() is None:
        say(f"stopping the command, within {_PATIENCE_S:.0f} s")
    _signal_group(child, signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE_S
    while _group_runs(child) and time.monotonic() < deadline:
        time.sleep(_SLICE_S)
    if _group_runs(child):
        say("it did not stop, and is killed")
        _signal_group(child, signal.SIGKILL)
    child.wait()


def _group_runs(child: "subprocess.Popen[bytes]") -> bool:
    child.poll()  # or the ended command itself would count
    return _signal_group(child, 0)


def _signal_group(child: "subprocess.Popen[bytes]", number: int) -> bool:
    with suppress(ProcessLookupError, PermissionError):  # macOS: no permission for a dead group
        os.killpg(child.pid, number)
        return True
    return False
