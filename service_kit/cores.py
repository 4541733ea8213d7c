"""Under load, all threads of the process on one core.

One of Python's threads runs at a time, and they hand the global lock to one another some thousand
times a second: whoever judges has it, and those that speak to Kafka need it for a moment each time
data came or went. Where the next one sleeps on another core, that core must wake up first, which
takes longer than what it has to do, and works with cold caches. On the same core it's a switch of
context. (Why several cores make such threads slower: David Beazley, Understanding the Python GIL,
PyCon 2010, https://www.dabeaz.com/python/UnderstandingGIL.pdf.)

Linux only: elsewhere, and where the kernel doesn't tell what is needed, nothing is done.
"""

import os
import threading
import time
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import structlog

_PERIOD_S = 1.0
_IDLE, _BUSY, _TOO_BUSY = 0.3, 0.6, 1.1  # of a core
_CROWDED = 0.1  # of the time
_LEFT_ALONE_S = 2.0
_TASKS = Path("/proc/self/task")
_CORE = 36  # among what stands behind a thread's name in its `stat` (proc_pid_stat(5), no. 39)

log = structlog.get_logger("service")


class Affinity(StrEnum):
    """Who places threads: `CpuAffinity`, or the kernel alone."""

    AUTO = "auto"
    NONE = "none"


class _Times(NamedTuple):
    """Of a thread, in nanoseconds since it began: on a core, and ready but waiting for one."""

    ran: int
    waited: int


class CpuAffinity:
    """Keeps the process's threads together while they are busy.

    They share the core that the main thread is on when they begin to be. While other processes need
    that core too, where the threads need more than one, since what they compress takes no lock, and
    where they are not busy, the kernel places each one among the cores that the process was given.
    """

    def __init__(self, affinity: Affinity = Affinity.AUTO) -> None:
        self._cores = _given() if affinity is Affinity.AUTO else set()
        self._main = threading.get_native_id()
        self._together = False
        self._not_before = 0.0
        self._looked_at = time.monotonic()
        self._times: dict[int, _Times] = {}

    def update(self) -> None:
        """To be called in the loop of the thread that made this; it looks once a second."""
        now = time.monotonic()
        elapsed_s = now - self._looked_at
        if len(self._cores) < 2 or elapsed_s < _PERIOD_S:  # noqa: PLR2004
            return
        self._looked_at = now
        try:
            self._decide(now, elapsed_s)
        except OSError as error:
            log.debug("threads are left where they are", error=str(error))
            self._cores = set()

    def _decide(self, now: float, elapsed_s: float) -> None:
        before, self._times = self._times, _times()
        if self._main not in self._times:
            raise FileNotFoundError("this kernel doesn't say how long threads run and wait")
        if self._main not in before:
            return
        ran = {it: its.ran - before[it].ran for it, its in self._times.items() if it in before}
        waited = self._times[self._main].waited - before[self._main].waited
        busy = sum(ran.values()) / 1e9 / elapsed_s
        # What it waited for beyond its own siblings.
        crowded = (waited - sum(ran.values()) + ran[self._main]) / 1e9 / elapsed_s
        if self._together and crowded > _CROWDED:
            self._not_before = now + _LEFT_ALONE_S
            self._place(self._cores)
        elif self._together and busy < _IDLE:
            self._place(self._cores)
        elif not self._together and _BUSY < busy < _TOO_BUSY and now >= self._not_before:
            self._place({_core_of(self._main)})

    def _place(self, cores: set[int]) -> None:
        for thread in _threads():
            try:
                os.sched_setaffinity(thread, cores)
            except ProcessLookupError:  # it ended
                continue
        self._together = len(cores) == 1
        log.debug("threads are on", cores=sorted(cores))


def _given() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def _threads() -> list[int]:
    return [int(name) for name in os.listdir(_TASKS)]


def _times() -> dict[int, _Times]:
    times = {}
    for thread in _threads():
        try:
            ran, waited, _ = (_TASKS / str(thread) / "schedstat").read_text().split()
        except (FileNotFoundError, ProcessLookupError):  # it ended
            continue
        times[thread] = _Times(int(ran), int(waited))
    return times


def _core_of(thread: int) -> int:
    _, _, behind_name = (_TASKS / str(thread) / "stat").read_text().rpartition(") ")
    return int(behind_name.split()[_CORE])
