"""What an operator does to a running detector, and to its topics."""

import time

from detecting import wait_until
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata

from faults.brokers import some_input
from faults.checker import committed_offsets, read_back
from faults.oracle import PARTITIONS
from faults.run import PATIENCE_S, Run


def partition_added(run: Run) -> float:
    """The input gets one more partition."""
    with run.world.admin() as admin:
        (topic,) = admin.describe_topics([run.topics.transactions])
        count = len(topic["partitions"])
        for name in (run.topics.state, run.topics.transactions):  # each has its memory there
            admin.create_partitions({name: count + 1})
    since = time.time()
    fresh = TopicPartition(run.topics.transactions, count)
    with run.world.admin() as admin:
        wait_until(
            lambda: committed_offsets(admin, run.topics).get(fresh, 0) > 0,
            f"{fresh} is read: {run.said()}",
        )
    return time.time() - since


def offsets_reset(run: Run) -> float:
    """An operator resets the group's offsets while it runs: the broker must refuse."""
    place = some_input(run)
    with run.world.admin() as admin:
        refused = admin.alter_group_offsets(run.topics.group, {place: OffsetAndMetadata(0, "", -1)})
    assert all(error.errno for error in refused.values()), f"offsets were reset: {refused}"
    return run.flows_again(time.time())


def input_recreated(run: Run) -> float:
    """The input is deleted when all of it is judged, and recreated; counted from then."""
    run.load.pause()
    run.all_judged()
    run.gone.append(read_back(run.topics, [run.topics.transactions]))
    with run.world.admin() as admin:
        admin.delete_topics([run.topics.transactions])
        wait_until(lambda: _is_gone(run), "the input is deleted", PATIENCE_S)
    time.sleep(run.random.uniform(0, 3))
    run.world.create(run.topics.transactions, PARTITIONS)
    since = time.time()
    run.load.flow()
    return run.flows_again(since)


def _is_gone(run: Run) -> bool:
    with run.world.admin() as admin:
        return run.topics.transactions not in admin.list_topics()


def gives_up(run: Run) -> float:
    """A detector whose topic is missing says why in one line, ends with a status that is not 0,
    and is started again ever later; the others go on."""
    since = time.time()
    lost = run.add(LEGIT_TOPIC="nowhere")
    wait_until(lambda: lost.said().count("restart-on-failure") > 2, "it is tried again", PATIENCE_S)
    lines = lost.said().splitlines()
    tries = [line.split("with ")[1] for line in lines if "restart-on-failure" in line]
    if tries[:3] != [f"status 1; again in {pause} s" for pause in (0, 1, 2)]:
        run.problems.append(f"it is not started again ever later: {tries}")
    told = [line for line in lines if '"level": "error"' in line or '"level": "warning"' in line]
    if any("topic 'nowhere' does not exist" not in line for line in told[: len(tries)]):
        run.problems.append(f"it does not give up with one line: {lines}")
    run.stop(lost)
    return run.flows_again(since)
