"""Threads that are busy share a core, and leave it where somebody else needs it.

What the kernel says of threads is given here, second by second; where they are placed is real.
"""

import os
import threading
import time
from collections.abc import Iterator

import pytest

from service_kit import cores
from service_kit.cores import Affinity, CpuAffinity

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="there is but one core, or the system doesn't say",
)
_S = 1_000_000_000  # nanoseconds


@pytest.fixture
def other() -> Iterator[int]:
    """Another thread."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    yield thread.native_id or 0
    end.set()
    thread.join()


class Seconds:
    """Lets one second after the other pass for the one that keeps threads together."""

    def __init__(self, other: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given = os.sched_getaffinity(0)
        self._cpu_affinity = CpuAffinity()
        self._threads = (threading.get_native_id(), other)
        self._times = dict.fromkeys(self._threads, (0, 0))
        self._now = time.monotonic()
        self._monkeypatch = monkeypatch
        self.passes()

    def passes(self, ran: float = 0, waited: float = 0, others_ran: float = 0) -> set[int]:
        """Where the threads are after a second in which the main one ran and waited so much of the
        time, and the other one ran."""
        self._now += 1
        for thread, (its, its_wait) in zip(
            self._threads, ((ran, waited), (others_ran, 0)), strict=True
        ):
            before, waited_before = self._times[thread]
            self._times[thread] = before + int(its * _S), waited_before + int(its_wait * _S)
        known = {thread: cores._Times(*times) for thread, times in self._times.items()}
        with self._monkeypatch.context() as patch:
            patch.setattr(cores, "_times", lambda: known)
            patch.setattr(time, "monotonic", lambda: self._now)
            self._cpu_affinity.update()
        placed = {frozenset(os.sched_getaffinity(thread)) for thread in self._threads}
        assert len(placed) == 1
        return set(*placed)


@pytest.fixture
def seconds(other: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Seconds]:
    its = Seconds(other, monkeypatch)
    yield its
    os.sched_setaffinity(0, its.given)


def test_all_threads_are_on_one_core_while_they_are_busy(seconds: Seconds) -> None:
    assert seconds.passes(ran=0.5) == seconds.given
    placed = seconds.passes(ran=0.5, others_ran=0.2)
    assert len(placed) == 1
    assert placed < seconds.given
    # The main thread waits for its siblings, and for nobody else.
    assert seconds.passes(ran=0.6, waited=0.35, others_ran=0.3) == placed
    assert seconds.passes(ran=0.3, others_ran=0.1) == placed
    assert seconds.passes(ran=0.1, others_ran=0.1) == seconds.given
    assert len(seconds.passes(ran=0.9)) == 1


def test_threads_that_need_more_than_a_core_get_it(seconds: Seconds) -> None:
    assert seconds.passes(ran=0.6, others_ran=0.8) == seconds.given


def test_a_core_that_others_need_is_left_for_a_while(seconds: Seconds) -> None:
    assert len(seconds.passes(ran=0.9)) == 1
    assert seconds.passes(ran=0.5, waited=0.5, others_ran=0.2) == seconds.given
    assert seconds.passes(ran=0.9) == seconds.given
    assert len(seconds.passes(ran=0.9)) == 1


def test_what_the_kernel_says_of_a_busy_thread_grows() -> None:
    main = threading.get_native_id()
    before = cores._times()[main]
    spent = time.thread_time_ns() + _S // 20
    while time.thread_time_ns() < spent:
        pass
    after = cores._times()[main]
    assert after.ran - before.ran >= _S // 40
    assert after.waited >= before.waited
    assert cores._core_of(main) in os.sched_getaffinity(0)


def test_where_the_kernel_does_not_tell_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    one_core, given, looks = CpuAffinity(), os.sched_getaffinity(0), []
    monkeypatch.setattr(cores, "_PERIOD_S", 0)
    monkeypatch.setattr(cores, "_times", lambda: looks.append(1) or {})
    for _ in range(3):
        one_core.update()
    assert looks == [1]
    assert os.sched_getaffinity(0) == given


def test_none_leaves_threads_to_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    one_core = CpuAffinity(Affinity.NONE)
    monkeypatch.setattr(cores, "_PERIOD_S", 0)
    monkeypatch.setattr(cores, "_times", lambda: pytest.fail("it was looked at"))
    one_core.update()
