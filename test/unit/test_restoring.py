"""State that is saved and restored, on a cluster in memory."""

import random

import msgspec
import pytest
from list_world import ListWorld, payment
from rulebooks import all_active

from detector.rules.file.loading import load
from kafka_batch import FatalError, Record

RULES = load(all_active())


def some_payments(count: int, seed: int) -> list[Record]:
    """Of few accounts that pay often, so that rules that remember fire."""
    draw = random.Random(seed)  # noqa: S311  # not for secrets
    return [
        payment(
            number,
            draw.choice([1.0, 5.0, 400.0, 700.0, 950.0]),
            f"a{draw.randrange(4)}",
            f"b{draw.randrange(30)}",
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("replay_max", ["0", "40", "200000"])
def test_verdicts_are_those_of_a_detector_that_was_never_restarted(
    seed: int, replay_max: str
) -> None:
    payments = some_payments(300, seed)
    whole, parts = (ListWorld(STATE_REPLAY_MAX=replay_max) for _ in range(2))
    for world in (whole, parts):
        world.produce(payments[150:], partition=1)
    whole.produce(payments)
    whole.run(RULES)
    for first in range(0, 300, 75):
        parts.produce(payments[first : first + 75])
        parts.run(RULES)
    assert any(b"velocity" in msgspec.json.encode(str(it[3])) for it in whole.fraud)
    assert [sorted(records) for records in parts.outputs] == [
        sorted(records) for records in whole.outputs
    ]


def a_world_that_lost_its_state(**variables: str) -> ListWorld:
    world = ListWorld(STATE_REPLAY_MAX="0", **variables)
    world.produce(some_payments(50, seed=1))
    world.run(RULES)
    (state, *_) = world.cluster.topic(world.settings.state_topic).partitions
    assert state
    del state[: len(state) // 2]
    world.produce(some_payments(50, seed=2))
    return world


def test_state_that_is_not_complete_is_refused_with_what_to_do() -> None:
    world = a_world_that_lost_its_state()
    with pytest.raises(FatalError, match=r"is not complete: it holds . accounts, where . were"):
        world.run(RULES)


def test_where_it_is_asked_for_a_detector_goes_on_without_and_marks_its_verdicts() -> None:
    world = a_world_that_lost_its_state(STATE_MISSING="partial")
    before = len(world.fraud)
    world.run(RULES)
    marked = [record for record in world.fraud[before:] if ("history", b"partial") in record[3]]
    assert marked
    assert sum(map(len, world.outputs)) == 100


def test_state_that_is_ahead_of_the_committed_offset_is_refused() -> None:
    world = ListWorld()
    world.produce(some_payments(20, seed=1))
    world.run(RULES)
    group, topic = world.settings.consumer_group, world.settings.transactions_topic
    world.cluster.topic(topic).committed[group, 0] = 10
    with pytest.raises(FatalError, match="as of input offset 20, which is past the committed"):
        world.run(RULES)


def test_the_state_of_an_input_that_was_recreated_is_forgotten() -> None:
    world = ListWorld(STATE_REPLAY_MAX="0")
    world.produce(some_payments(100, seed=1))
    world.run(RULES)
    world.cluster.create(world.settings.transactions_topic, 2)
    fresh = ListWorld(STATE_REPLAY_MAX="0")
    before = [len(records) for records in world.outputs]
    for each in (world, fresh):
        each.produce(some_payments(100, seed=2))
        each.run(RULES)
    found = [records[n:] for records, n in zip(world.outputs, before, strict=True)]
    assert found == fresh.outputs
