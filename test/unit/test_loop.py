"""The loop, on a cluster in memory."""

from collections.abc import Callable

import pytest
from list_world import ListWorld, payment
from rulebooks import all_active, large_amount

from detector.rules.file.loading import load
from detector.rules.language.tree import Rulebook
from kafka_batch import FatalError

LARGE = load(large_amount(900))


def test_each_transaction_comes_out_once_where_its_verdict_says_as_it_was() -> None:
    world = ListWorld()
    small, large, odd = payment(0), payment(1, 950.0), (1, b"k", b"not JSON", (("own", b"h"),))
    world.produce([small, large, odd])
    metrics = world.run(LARGE)
    assert world.legit == [small]
    ((time_ms, key, value, headers),) = world.fraud
    assert (time_ms, key, value) == large[:3]
    assert dict(headers)["judged"].startswith(b"queueing.transactions/0/1;rules=")
    assert b'"rule":"large_amount"' in dict(headers)["reasons"]
    ((time_ms, key, value, headers),) = world.dead
    assert (time_ms, key, value) == odd[:3]
    assert headers[0] == ("own", b"h")
    assert dict(headers)["error"].startswith(b"not_json")
    assert metrics.committed_total == {"legit": 1, "fraud": 1, "dead_letter": 1}


def test_a_second_life_goes_on_where_the_first_one_stopped() -> None:
    world = ListWorld()
    world.produce([payment(0), payment(1, 950.0)])
    world.run(LARGE)
    world.produce([payment(2), payment(3, 950.0)], partition=1)
    world.run(LARGE)
    assert [len(records) for records in world.outputs] == [2, 2, 0]


def test_what_a_life_did_not_commit_is_judged_by_the_next_one_and_comes_out_once() -> None:
    world = ListWorld()
    world.produce([payment(number, 950.0) for number in range(3)])
    fraud = world.cluster.topics.pop(world.settings.fraud_topic)
    with pytest.raises(FatalError, match=r"'streaming.transactions.fraud' does not exist"):
        world.run(LARGE)
    world.cluster.topics[world.settings.fraud_topic] = fraud
    world.run(LARGE)
    assert [record[0] for record in world.fraud] == [payment(number)[0] for number in range(3)]


def updates(*books: Rulebook | None) -> Callable[[], Rulebook | None]:
    left = iter(books)
    return lambda: next(left, None)


def test_other_rules_judge_from_the_next_batch_on_and_the_log_says_from_which_offset() -> None:
    world = ListWorld(RULES_TOPIC="detector.rules")
    world.produce([payment(0, 500.0)] * 500)
    world.produce([payment(1, 500.0)] * 500, partition=1)
    lower = load(large_amount(400))
    none_yet = [None] * 3  # the turns that restore the partitions, and the first batch
    world.run(LARGE, updates(*none_yet, lower))
    log = world.cluster.records(world.settings.rules_log_topic)
    versions = [value.decode() for _, _, value, _ in log if value]
    assert {*versions} == {LARGE.version, lower.version}
    assert [key for _, key, _, _ in log if key] == [
        b"queueing.transactions/0/0",
        b"queueing.transactions/1/0",
    ]
    assert (len(world.legit), len(world.fraud)) == (500, 500)


def test_topics_that_do_not_fit_one_another_are_refused_with_what_to_do() -> None:
    world = ListWorld()
    world.cluster.create(world.settings.state_topic, 3)
    with pytest.raises(FatalError, match=r"has 3 partitions, and 'queueing.transactions' has 2"):
        world.run(load(all_active()))
