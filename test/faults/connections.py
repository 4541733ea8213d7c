"""Faults between the detectors and the brokers: cut, slow and half-open connections."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from detecting import wait_until

from faults.detectors import Detector
from faults.proxy import Api, Proxy, Trap
from faults.run import Run
from faults.strikes import SESSION_S, sleep_until

TRAP_S = 60.0


def connections_cut(run: Run) -> float:
    """All connections are reset, and refused for some seconds; counted from their healing."""
    with proxies_of(run) as proxies:
        for proxy in proxies:
            proxy.cut()
        time.sleep(run.random.uniform(0.5, 6))
    return run.flows_again(time.time())


def connections_slow(run: Run) -> float:
    """Each packet takes 200 ms longer, both ways, for ten seconds; output flows meanwhile."""
    with proxies_of(run) as proxies:
        for proxy in proxies:
            proxy.slow(0.2)
        since = time.time()
        seconds = run.flows_again(since)
        sleep_until(since + 10)
    run.flows_again(time.time())
    return seconds


def connections_half_open(run: Run) -> float:
    """Nothing passes between the detectors and one broker, and no connection ends."""
    number = run.random.choice([*run.world.proxies])
    run.world.proxies[number].hold()
    time.sleep(SESSION_S + run.random.uniform(1, 4))
    run.world.proxies[number].heal()
    return run.flows_again(time.time())


def one_cut_off(run: Run) -> float:
    """One detector is cut off from all brokers for longer than its session: a zombie that runs."""
    victim = run.any()
    with proxies_of(run) as proxies:
        for proxy in proxies:
            proxy.hold(victim.owns)
        since = time.time()
        seconds = run.flows_again(since)
        sleep_until(since + SESSION_S + 3)
    run.flows_again(time.time())
    return seconds


def cut_at(api: Api, *, after: bool) -> Callable[[Run], float]:
    """A connection breaks in the middle of a commit: before the broker gets it, or after."""

    def strike(run: Run) -> float:
        trap = Trap(api, after)
        with proxies_of(run):
            spring(run, trap)
        return run.flows_again(time.time())

    return strike


def killed_at(api: Api) -> Callable[[Run], float]:
    """SIGKILL of a detector as it sends a request, which does not arrive."""

    def strike(run: Run) -> float:
        def kill(port: int) -> None:
            _owner(run, port).signal(signal.SIGKILL)

        trap = Trap(api, after=False, strike=kill)
        with proxies_of(run):
            spring(run, trap)
        return run.flows_again(time.time())

    return strike


def _owner(run: Run, port: int) -> Detector:
    (owner,) = [detector for detector in run.detectors if detector.owns(port)]
    return owner


def arrives_late(api: Api, seconds: float) -> Callable[[Run], float]:
    """A request is under way to its broker for that long."""

    def strike(run: Run) -> float:
        trap = Trap(api, after=False, hold=lambda _: time.sleep(seconds))
        spring(run, trap)
        return run.flows_again(time.time())

    return strike


def frozen_at(api: Api) -> Callable[[Run], float]:
    """A detector is stopped (SIGSTOP) for longer than its session as it sends a request, which
    arrives at the end of it; counted from SIGCONT."""

    def strike(run: Run) -> float:
        struck: list[Detector] = []

        def freeze(port: int) -> None:
            owner = _owner(run, port)
            owner.signal(signal.SIGSTOP)
            time.sleep(SESSION_S + 6)
            struck.append(owner)

        trap = Trap(api, after=False, hold=freeze)
        spring(run, trap)
        wait_until(lambda: struck, f"{api.name}, and then SIGCONT", TRAP_S)
        time.sleep(2)  # it has arrived
        struck[0].signal(signal.SIGCONT)
        return run.flows_again(time.time())

    return strike


def terminate_half_open(run: Run) -> float:
    """SIGTERM of a detector while no broker answers it; counted from the connections' healing."""
    victim = run.any()
    with proxies_of(run) as proxies:
        for proxy in proxies:
            proxy.hold()
        time.sleep(run.random.uniform(0, 3))
        run.stop(victim)
    seconds = run.flows_again(time.time())
    run.add()
    run.await_members(len(run.detectors))
    return seconds


def terminate_at(api: Api) -> Callable[[Run], float]:
    """SIGTERM of a detector that waits for the answer to a request, which never comes; counted from
    the connections' healing."""

    def strike(run: Run) -> float:
        victims: list[Detector] = []
        with proxies_of(run) as proxies:

            def silence(port: int) -> None:
                for proxy in proxies:
                    proxy.hold()
                victims.append(_owner(run, port))

            spring(run, Trap(api, after=False, hold=silence))
            wait_until(lambda: victims, api.name, TRAP_S)
            run.stop(victims[0])
        return run.flows_again(time.time())

    return strike


def spring(run: Run, trap: Trap) -> None:
    """Sets a trap in front of every node, and waits until it has sprung."""
    for proxy in run.world.proxies.values():
        proxy.arm(trap)
    assert trap.sprung.wait(TRAP_S), f"no {trap.api.name} in {TRAP_S} s"


@contextmanager
def proxies_of(run: Run) -> Iterator[list[Proxy]]:
    """All of them, healed at the end."""
    proxies = [*run.world.proxies.values()]
    try:
        yield proxies
    finally:
        for proxy in proxies:
            proxy.heal()
