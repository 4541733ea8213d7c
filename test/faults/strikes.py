"""Faults of detectors: each strikes a run, and returns the seconds until output flowed again."""

import signal
import time
from collections.abc import Callable

from detecting import wait_until

from faults.detectors import Detector
from faults.run import PATIENCE_S, Run

SESSION_S = 8.0


def kill(run: Run) -> float:
    """SIGKILL of one detector; its runner starts it again."""
    run.a_moment()
    run.any().signal(signal.SIGKILL)
    return run.flows_again(time.time())


def kill_all(run: Run) -> float:
    """SIGKILL of all detectors at once."""
    run.a_moment()
    for detector in run.detectors:
        detector.signal(signal.SIGKILL)
    return run.flows_again(time.time())


def terminate(run: Run) -> float:
    """SIGTERM of one detector; another is started in its place later."""
    run.a_moment()
    victim = run.any()
    since = victim.told_to_stop()
    seconds = run.flows_again(since)
    run.stop(victim)
    run.add()
    run.await_members(len(run.detectors))
    return seconds


def terminate_joining(run: Run) -> float:
    """SIGTERM of a detector that is about to join the group, or has just begun to."""
    newcomer = run.add()
    wait_until(lambda: "judging" in newcomer.said(), f"it starts: {newcomer.said()}", PATIENCE_S)
    run.a_moment()
    since = newcomer.told_to_stop()
    seconds = run.flows_again(since)
    run.stop(newcomer)
    return seconds


def zombie(run: Run) -> float:
    """SIGSTOP of one detector for longer than its session, then SIGCONT."""
    victim, since = _frozen(run)
    seconds = run.flows_again(since)
    sleep_until(since + SESSION_S + 3)
    victim.signal(signal.SIGCONT)
    run.flows_again(time.time())
    run.await_members(len(run.detectors))
    return seconds


def nap(run: Run) -> float:
    """SIGSTOP for less than the session: nobody takes over."""
    victim, since = _frozen(run)
    time.sleep(run.random.uniform(1, 5))
    victim.signal(signal.SIGCONT)
    return run.flows_again(since)


def left_alone(run: Run) -> float:
    """Nothing, for twelve seconds: no detector begins a new stream."""
    before = _streams(run)
    time.sleep(12)
    begun = _streams(run) - before
    assert not begun, f"restless: {begun} new streams"
    return run.flows_again(time.time())


def _streams(run: Run) -> int:
    return sum(detector.said().count('"judging"') for detector in run.detectors)


def scale(run: Run) -> float:
    """From 1 detector to 3, one by one, and back to 1; then as many as before."""
    before = len(run.detectors)
    while len(run.detectors) > 1:
        run.stop(run.any())
    worst = 0.0
    for _ in range(2):
        run.add()
        since = time.time()
        run.await_members(len(run.detectors))
        worst = max(worst, run.flows_again(since))
    while len(run.detectors) > 1:
        since = time.time()
        run.stop(run.any())
        worst = max(worst, run.flows_again(since))
    while len(run.detectors) < before:
        run.add()
    run.await_members(before)
    return worst


def clock_jumps(words: str) -> Callable[[Run], float]:
    """The wall clock of all detectors jumps, e.g. by "-1d", and back a while later."""

    def strike(run: Run) -> float:
        since = time.time()
        run.set_clock(words)
        seconds = run.flows_again(since)
        time.sleep(run.random.uniform(0, 2))
        run.set_clock("+0")
        return max(seconds, run.flows_again(time.time()))

    return strike


def _frozen(run: Run) -> tuple[Detector, float]:
    """Some detector, stopped by SIGSTOP, and the time of it."""
    run.a_moment()
    victim = run.any()
    victim.signal(signal.SIGSTOP)
    return victim, time.time()


def sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))
