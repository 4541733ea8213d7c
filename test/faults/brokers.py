"""Faults of brokers: each strikes a run, and returns the seconds until output flowed again."""

import errno
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from detecting import wait_until
from kafka import TopicPartition

from broker import Node
from faults.connections import TRAP_S, proxies_of
from faults.oracle import PARTITIONS
from faults.proxy import Api, Trap
from faults.run import Run
from faults.strikes import sleep_until

_OUTAGE_S = 15.0
_FILLED_AT_ONCE = 1 << 16
_LINES_A_MINUTE = 10
_GROWTH_BYTES = 32 << 20


def broker_killed(run: Run) -> float:
    """SIGKILL of a leader's broker, which comes back later."""
    node = _some_leader(run)
    node.kill()
    since = time.time()
    seconds = run.flows_again(since)
    node.start()
    await_replicas(run)
    return seconds


def broker_stopped(run: Run) -> float:
    """A clean stop of a leader's broker, which comes back at once."""
    node = _some_leader(run)
    since = time.time()
    node.stop()
    node.start()
    seconds = run.flows_again(since)
    await_replicas(run)
    return seconds


def broker_paused(run: Run) -> float:
    """SIGSTOP of a leader's broker for longer than its own session, then SIGCONT."""
    node = _some_leader(run)
    node.pause()
    since = time.time()
    try:
        seconds = run.flows_again(since)
        sleep_until(since + _OUTAGE_S)
    finally:
        node.resume()
    run.flows_again(time.time())
    await_replicas(run)
    return seconds


def leader_moved(run: Run) -> float:
    """Every partition's leadership, of the input and of the outputs, moves to another broker."""
    topics = (run.topics.transactions, *run.topics.outputs)
    places = [TopicPartition(topic, n) for topic in topics for n in range(PARTITIONS)]
    shift = run.random.choice((1, 2))
    with run.world.admin() as admin:
        order = {p: [(p.partition + shift + n) % 3 + 1 for n in range(3)] for p in places}
        leaders = {place: run.world.leader(place) for place in places}
        order = {p: sorted(o, key=lambda n, p=p: n == leaders[p]) for p, o in order.items()}
        run.a_moment()
        since = time.time()
        admin.alter_partition_reassignments(order)
        wait_until(
            lambda: not admin.list_partition_reassignments(), "replicas are in order", TRAP_S
        )
        admin.elect_leaders(0, {topic: [*range(PARTITIONS)] for topic in topics})
    return run.flows_again(since)


def outage(run: Run) -> float:
    """All brokers are away for a while; counted from their return."""
    run.world.cluster.kill()
    time.sleep(_OUTAGE_S)
    return _all_back(run)


def _all_back(run: Run) -> float:
    for node in run.world.cluster.nodes:
        node.launch()
    run.world.cluster.wait_until_up()
    seconds = run.flows_again(time.time())
    await_replicas(run)
    return seconds


def long_outage(seconds: float) -> Callable[[Run], float]:
    """All brokers are away for that long. The detectors stay, and neither flood their log nor
    grow; counted from the brokers' return."""

    def strike(run: Run) -> float:
        before = {
            d.name: (d.pid, _memory(d.pid), len(d.said().splitlines())) for d in run.detectors
        }
        run.world.cluster.kill()
        time.sleep(seconds)
        for detector in run.detectors:
            pid, memory, lines = before[detector.name]
            said = detector.said().splitlines()[lines:]
            if len(said) > _LINES_A_MINUTE * max(1, seconds / 60):
                run.problems.append(f"log: {len(said)} lines in {seconds:.0f} s")
            if detector.pid != pid:
                run.problems.append(f"{detector.name} did not outlive the outage")
            elif _memory(pid) > memory + _GROWTH_BYTES:
                run.problems.append(f"{detector.name} grew from {memory} to {_memory(pid)} bytes")
        return _all_back(run)

    return strike


def _memory(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def disk_full(run: Run) -> float:
    """The disk of a broker fills up, which ends it; it is started again when there is room."""
    node, disk = run.world.node(run.world.disk_of), run.world.disk
    assert disk is not None
    filler = disk / "filler"
    _fill(filler)
    try:
        since = time.time()
        wait_until(lambda: node.ended, "the broker sees that its disk is full")
        seconds = run.flows_again(since)
    finally:
        filler.unlink()
    node.start()
    await_replicas(run)
    return seconds


def _fill(path: Path) -> None:
    """Writes a file until there is no room left."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(_FILLED_AT_ONCE))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def coordinator_killed(api: Api) -> Callable[[Run], float]:
    """The broker that a commit is sent to dies as it arrives."""

    def strike(run: Run) -> float:
        struck: list[int] = []
        trap = {
            number: Trap(api, after=False, strike=lambda _, n=number: _kill(run, n, struck))
            for number in run.world.proxies
        }
        with proxies_of(run):
            for number, proxy in run.world.proxies.items():
                proxy.arm(trap[number])
            wait_until(lambda: struck, f"a {api.name}", TRAP_S)
            since = time.time()
        seconds = run.flows_again(since)
        run.world.node(struck[0]).start()
        await_replicas(run)
        return seconds

    return strike


def _kill(run: Run, number: int, struck: list[int]) -> None:
    struck.append(number)
    if struck[0] == number:
        run.world.node(number).kill()


def _some_leader(run: Run) -> Node:
    """The node that leads some partition of the input, at some moment."""
    node = run.world.node(run.world.leader(some_input(run)))
    run.a_moment()
    return node


def some_input(run: Run) -> TopicPartition:
    return TopicPartition(run.topics.transactions, run.random.randrange(PARTITIONS))


def await_replicas(run: Run) -> None:
    for topic in (
        run.topics.transactions,
        run.topics.legit,
        "__consumer_offsets",
        "__transaction_state",
    ):
        run.world.await_replicas(topic)
