"""The faults: each strikes a run, and returns the seconds until output flowed again everywhere."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from detecting import wait_until
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata

from broker import Node
from faults.checker import committed_offsets
from faults.detectors import Detector
from faults.oracle import PARTITIONS
from faults.proxy import Api, Proxy, Trap
from faults.run import Run

_SESSION_S = 10.0
_TRAP_S = 30.0
_OUTAGE_S = 15.0
_MEMBERS_S = 60.0


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
    return seconds


def zombie(run: Run) -> float:
    """SIGSTOP of one detector for longer than its session, then SIGCONT."""
    victim, since = _frozen(run)
    seconds = run.flows_again(since)
    _sleep_until(since + _SESSION_S + 3)
    victim.signal(signal.SIGCONT)
    run.flows_again(time.time())
    await_members(run, len(run.detectors))
    return seconds


def nap(run: Run) -> float:
    """SIGSTOP for less than the session: nobody takes over."""
    victim, since = _frozen(run)
    time.sleep(run.random.uniform(1, 5))
    victim.signal(signal.SIGCONT)
    return run.flows_again(since)


def scale(run: Run) -> float:
    """From 1 detector to 3, one by one, and back to 1; then as many as before."""
    before = len(run.detectors)
    while len(run.detectors) > 1:
        run.stop(run.any())
    worst = 0.0
    for _ in range(2):
        run.add()
        since = time.time()
        await_members(run, len(run.detectors))
        worst = max(worst, run.flows_again(since))
    while len(run.detectors) > 1:
        since = time.time()
        run.stop(run.any())
        worst = max(worst, run.flows_again(since))
    while len(run.detectors) < before:
        run.add()
    await_members(run, before)
    return worst


def broker_killed(run: Run) -> float:
    """SIGKILL of a leader's broker, which comes back later."""
    node = _some_leader(run)
    node.kill()
    since = time.time()
    seconds = run.flows_again(since)
    node.start()
    _await_replicas(run)
    return seconds


def broker_stopped(run: Run) -> float:
    """A clean stop of a leader's broker, which comes back at once."""
    node = _some_leader(run)
    since = time.time()
    node.stop()
    node.start()
    seconds = run.flows_again(since)
    _await_replicas(run)
    return seconds


def broker_paused(run: Run) -> float:
    """SIGSTOP of a leader's broker for longer than its own session, then SIGCONT."""
    node = _some_leader(run)
    node.pause()
    since = time.time()
    try:
        seconds = run.flows_again(since)
        _sleep_until(since + _OUTAGE_S)
    finally:
        node.resume()
    run.flows_again(time.time())
    _await_replicas(run)
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
            lambda: not admin.list_partition_reassignments(), "replicas are in order", _TRAP_S
        )
        admin.elect_leaders(0, {topic: [*range(PARTITIONS)] for topic in topics})
    return run.flows_again(since)


def outage(run: Run) -> float:
    """All brokers are away for a while; counted from their return."""
    run.world.cluster.kill()
    time.sleep(_OUTAGE_S)
    for node in run.world.cluster.nodes:
        node.launch()
    run.world.cluster.wait_until_up()
    seconds = run.flows_again(time.time())
    _await_replicas(run)
    return seconds


def connections_cut(run: Run) -> float:
    """All connections are reset, and refused for some seconds; counted from their healing."""
    with _proxies(run) as proxies:
        for proxy in proxies:
            proxy.cut()
        time.sleep(run.random.uniform(0.5, 6))
    return run.flows_again(time.time())


def connections_slow(run: Run) -> float:
    """Each packet takes 200 ms longer, both ways, for ten seconds; output flows meanwhile."""
    with _proxies(run) as proxies:
        for proxy in proxies:
            proxy.slow(0.2)
        since = time.time()
        seconds = run.flows_again(since)
        _sleep_until(since + 10)
    run.flows_again(time.time())
    return seconds


def connections_half_open(run: Run) -> float:
    """Nothing passes between the detectors and one broker, and no connection ends."""
    number = run.random.choice([*run.world.proxies])
    run.world.proxies[number].hold()
    time.sleep(_SESSION_S + run.random.uniform(1, 4))
    run.world.proxies[number].heal()
    return run.flows_again(time.time())


def one_cut_off(run: Run) -> float:
    """One detector is cut off from all brokers for longer than its session: a zombie that runs."""
    victim = run.any()
    with _proxies(run) as proxies:
        for proxy in proxies:
            proxy.hold(victim.owns)
        since = time.time()
        seconds = run.flows_again(since)
        _sleep_until(since + _SESSION_S + 3)
    run.flows_again(time.time())
    return seconds


def cut_at(api: Api, *, after: bool) -> Callable[[Run], float]:
    """A connection breaks in the middle of a commit: before the broker gets it, or after."""

    def strike(run: Run) -> float:
        trap = Trap(api, after)
        with _proxies(run) as proxies:
            for proxy in proxies:
                proxy.arm(trap)
            assert trap.sprung.wait(_TRAP_S), f"no {api.name} in {_TRAP_S} s"
        return run.flows_again(time.time())

    return strike


def coordinator_killed(api: Api) -> Callable[[Run], float]:
    """The broker that a commit is sent to dies as it arrives."""

    def strike(run: Run) -> float:
        struck: list[int] = []
        trap = {
            number: Trap(api, after=False, strike=lambda n=number: _kill(run, n, struck))
            for number in run.world.proxies
        }
        with _proxies(run):
            for number, proxy in run.world.proxies.items():
                proxy.arm(trap[number])
            wait_until(lambda: struck, f"a {api.name}", _TRAP_S)
            since = time.time()
        seconds = run.flows_again(since)
        run.world.node(struck[0]).start()
        _await_replicas(run)
        return seconds

    return strike


def _kill(run: Run, number: int, struck: list[int]) -> None:
    struck.append(number)
    if struck[0] == number:
        run.world.node(number).kill()


def partition_added(run: Run) -> float:
    """The input gets one more partition."""
    with run.world.admin() as admin:
        admin.create_partitions({run.topics.transactions: PARTITIONS + 1})
    since = time.time()
    fresh = TopicPartition(run.topics.transactions, PARTITIONS)
    with run.world.admin() as admin:
        wait_until(
            lambda: committed_offsets(admin, run.topics).get(fresh, 0) > 0,
            f"{fresh} is read: {run.said()}",
        )
    return time.time() - since


def offsets_reset(run: Run) -> float:
    """An operator resets the group's offsets while it runs: the broker must refuse."""
    place = _some_input(run)
    with run.world.admin() as admin:
        refused = admin.alter_group_offsets(run.topics.group, {place: OffsetAndMetadata(0, "", -1)})
    assert all(error.errno for error in refused.values()), f"offsets were reset: {refused}"
    return run.flows_again(time.time())


def await_members(run: Run, count: int) -> None:
    """Returns when so many detectors have partitions each."""

    def there() -> bool:
        with run.world.admin() as admin:
            group = admin.describe_groups([run.topics.group])[run.topics.group]
        owned = [member["member_assignment"] for member in group["members"]]
        return len(owned) == count and all(owned)

    wait_until(there, f"{count} members: {run.said()}", _MEMBERS_S)


@contextmanager
def _proxies(run: Run) -> Iterator[list[Proxy]]:
    """All of them, healed at the end."""
    proxies = [*run.world.proxies.values()]
    try:
        yield proxies
    finally:
        for proxy in proxies:
            proxy.heal()


def _frozen(run: Run) -> tuple[Detector, float]:
    """Some detector, stopped by SIGSTOP, and the time of it."""
    run.a_moment()
    victim = run.any()
    victim.signal(signal.SIGSTOP)
    return victim, time.time()


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))


def _some_leader(run: Run) -> Node:
    """The node that leads some partition of the input, at some moment."""
    node = run.world.node(run.world.leader(_some_input(run)))
    run.a_moment()
    return node


def _some_input(run: Run) -> TopicPartition:
    return TopicPartition(run.topics.transactions, run.random.randrange(PARTITIONS))


def _await_replicas(run: Run) -> None:
    for topic in (
        run.topics.transactions,
        run.topics.legit,
        "__consumer_offsets",
        "__transaction_state",
    ):
        run.world.await_replicas(topic)
