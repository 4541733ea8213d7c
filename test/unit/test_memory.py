"""What is remembered of a partition's accounts: what is saved when, and taken up again."""

from collections.abc import Sequence
from itertools import chain

import pytest
from rulebooks import shipped

from detector.rules import Rules
from detector.rules.engine.account import FIRST, FLOOR, NEVER, NUMBER
from detector.rules.engine.compiler import Hit
from detector.rules.file.loading import load
from detector.service.memory import MANIFEST_KEY, Bounds, Manifest, Memory, Saved
from detector.wire.payments import Payments

RULES = shipped()
JUDGE = RULES.program.evaluator("USD")


def a_memory(*, partial: bool = False, **bounds: int) -> Memory:
    return Memory(RULES.layout, Bounds(**bounds), partial=partial)


def one(source: bytes, offset: int, time_ms: int = 0) -> Payments:
    """A payment, at an offset of the input."""
    return Payments([0], [offset], [time_ms], [source], [b"payee"], [100], [b"USD"])


def pay(memory: Memory, source: bytes, offset: int, time_ms: int = 0) -> None:
    """Is judged, and remembered."""
    (account,) = memory.get_or_create(one(source, offset, time_ms))
    JUDGE(account, time_ms, 100, b"payee", b"USD", source)
    memory.next_offset = offset + 1


def put_in(memory: Memory, saved: Sequence[Saved]) -> None:
    """As a batch of the topic gives them."""
    sources, packed = zip(*saved, strict=True)
    assert memory.load(sources, packed) is None


def all_saved(memory: Memory, now_s: float, partitions: int = 1) -> list[Saved]:
    return [*chain.from_iterable(memory.save(now_s, partitions))]


def names(saved: list[Saved]) -> list[bytes]:
    return [source for source, packed in saved if packed is not None]


def test_with_a_bound_of_nothing_all_is_saved_at_every_commit() -> None:
    memory = a_memory(replay_records=0)
    pay(memory, b"a", 0)
    pay(memory, b"b", 1)
    assert names(all_saved(memory, now_s=0)) == [b"a", b"b"]
    assert memory.manifest() == Manifest(as_of=2, low=2, rules_version="", accounts=2)
    assert all_saved(memory, now_s=0) == []


def test_of_many_payments_each_finds_its_account_whatever_became_of_it_before() -> None:
    memory = a_memory(replay_records=2)
    for offset, source in enumerate([b"clean", b"clean too", b"dirty", b"dirty too"]):
        pay(memory, source, offset)
    assert names(all_saved(memory, now_s=0)) == [b"clean", b"clean too"]
    sources = [b"new", b"clean too", b"dirty", b"clean", b"new", b"clean too", b"new too"]
    many, count = range(4, 11), len(sources)
    columns = [*many], [0] * count, sources, [b"payee"] * count, [100] * count, [b"USD"] * count
    accounts = memory.get_or_create(Payments(range(count), *columns))
    assert [*memory.dirty] == [b"dirty", b"dirty too", b"new", b"clean too", b"clean", b"new too"]
    assert all(it is memory.dirty[source] for it, source in zip(accounts, sources, strict=True))
    assert [it[FIRST] for it in memory.dirty.values()] == [2, 3, 4, 5, 7, 10]
    assert [it[NUMBER] for it in memory.dirty.values()] == [1, 1, 0, 1, 1, 0]
    assert len(memory) == 6


def test_accounts_that_were_touched_longest_ago_are_saved_past_the_bound() -> None:
    memory = a_memory(replay_records=2)
    for offset, source in enumerate([b"a", b"b", b"c", b"a"]):
        pay(memory, source, offset)
    assert names(all_saved(memory, now_s=0)) == [b"a", b"b"]
    assert memory.manifest().low == 2
    assert list(memory.dirty) == [b"c"]


def test_an_account_that_is_touched_again_is_saved_again() -> None:
    memory = a_memory(replay_records=0)
    pay(memory, b"a", 0)
    all_saved(memory, now_s=0)
    pay(memory, b"a", 1)
    assert memory.dirty[b"a"][NUMBER] == 2
    assert names(all_saved(memory, now_s=0)) == [b"a"]
    assert memory.manifest().accounts == 1


def test_where_little_comes_in_accounts_are_saved_after_the_interval() -> None:
    memory = a_memory(interval_ms=10_000)
    pay(memory, b"a", 0)
    assert all_saved(memory, now_s=100.0) == []
    pay(memory, b"b", 1)
    assert all_saved(memory, now_s=109.9) == []
    assert names(all_saved(memory, now_s=110.1)) == [b"a"]
    assert names(all_saved(memory, now_s=120.0)) == [b"b"]


def test_a_commit_saves_so_many_accounts_at_the_most() -> None:
    memory = a_memory(replay_records=0, a_commit=4)
    for offset, source in enumerate([b"a", b"b", b"c"]):
        pay(memory, source, offset)
    assert names(all_saved(memory, now_s=0, partitions=2)) == [b"a", b"b"]
    assert memory.manifest().low == 2
    assert names(all_saved(memory, now_s=0, partitions=2)) == [b"c"]


def test_accounts_past_what_is_kept_are_dropped_and_those_that_are_new_may_lack_a_history() -> None:
    memory = a_memory(replay_records=0, accounts=2)
    for offset, source in enumerate([b"a", b"b", b"c"]):
        pay(memory, source, offset, time_ms=1_000 * offset)
    assert [source for source, packed in all_saved(memory, now_s=0) if packed is None] == [b"a"]
    assert (memory.evicted, len(memory)) == (1, 2)
    assert memory.manifest().accounts == 2
    pay(memory, b"a", 3, time_ms=5_000)
    assert memory.dirty[b"a"][NUMBER] == 1
    assert memory.dirty[b"a"][FLOOR] == 0  # the event time of what was dropped


def test_what_was_saved_is_taken_up_where_it_was_left() -> None:
    before, after = a_memory(replay_records=0), a_memory()
    pay(before, b"a", 0)
    put_in(after, all_saved(before, now_s=0))
    assert after.loaded(before.manifest()) is None
    assert after.get_or_create_replayed(one(b"a", 0)) == [None]
    assert list(after.dirty) == []
    assert after.get_or_create_replayed(one(b"b", 0)) == [after.dirty[b"b"]]
    pay(after, b"a", 1)
    assert after.dirty[b"a"][NUMBER] == 2


def test_what_was_replayed_is_saved_with_the_next_commit() -> None:
    memory = a_memory()
    for offset, source in enumerate([b"a", b"b"]):
        memory.get_or_create_replayed(one(source, offset))
    memory.restored(2)
    pay(memory, b"c", 2)
    assert names(all_saved(memory, now_s=100.0)) == [b"a", b"b"]
    assert memory.manifest().low == 2


def test_an_account_that_was_saved_takes_up_the_payments_that_came_after() -> None:
    before, after = a_memory(replay_records=0), a_memory()
    pay(before, b"a", 0)
    put_in(after, all_saved(before, now_s=0))
    (account,) = after.get_or_create_replayed(one(b"a", 1))
    assert account is after.dirty[b"a"]
    assert account[NUMBER] == 1
    assert len(after) == 1


def test_of_those_saved_accounts_that_were_not_touched_since_a_restart_are_dropped_first() -> None:
    before, after = a_memory(replay_records=0), a_memory(replay_records=0, accounts=2)
    for offset, source in enumerate([b"a", b"b"]):
        pay(before, source, offset, time_ms=1_000)
    put_in(after, all_saved(before, now_s=0))
    assert after.loaded(before.manifest()) is None
    pay(after, b"a", 2, time_ms=2_000)
    pay(after, b"c", 3, time_ms=3_000)
    assert all_saved(after, now_s=0)[-1] == (b"b", None)
    assert (after.evicted, after.dropped_until, after.manifest().accounts) == (1, 1_000, 2)
    pay(after, b"d", 4, time_ms=4_000)
    assert all_saved(after, now_s=0)[-1] == (b"a", None)
    assert (after.evicted, after.dropped_until, after.manifest().accounts) == (2, 2_000, 2)


SUM_OF = """
  - name: sum_of_{window}
    mode: active
    params: {{window: {window}, limit: {{"*": 250}}}}
    observed: sum(window)
    threshold: limit
    reason: "{{observed}} within {{window}}."
"""


def sums_of(*windows: str) -> Rules:
    texts = [SUM_OF.format(window=window) for window in windows]
    return Rules(load("format: 1\nrules:\n" + "".join(texts)))


def remember(memory: Memory, rules: Rules, offset: int) -> list[Hit]:
    time_ms = offset * 1_200_000  # 20 minutes
    (account,) = memory.get_or_create(one(b"a", offset, time_ms))
    memory.lay_out([account])
    return rules.evaluators[b"USD"](account, time_ms, 10_000, b"payee", b"USD", b"a")


@pytest.mark.parametrize("after", [("1h",), ("2d",), ("2d", "1h")])
def test_where_other_rules_take_over_accounts_are_as_if_those_had_been_current_all_along(
    after: Sequence[str],
) -> None:
    old, new = sums_of("1h"), sums_of(*after)
    for is_saved in (False, True):
        switched, all_along = (
            Memory(old.layout, Bounds(replay_records=0)),
            Memory(new.layout, Bounds(replay_records=0)),
        )
        for offset in range(4):
            remember(switched, old, offset)
            remember(all_along, new, offset)
        if is_saved:
            all_saved(switched, now_s=0)
        switched.switch(new.layout)
        for offset in range(4, 12):
            assert remember(switched, new, offset) == remember(all_along, new, offset)


def test_an_account_that_has_not_paid_since_other_rules_took_over_is_saved_all_the_same() -> None:
    old, new = sums_of("1h"), sums_of("2d", "1h")
    switched, stayed = (Memory(old.layout, Bounds(replay_records=0)) for _ in range(2))
    for offset in range(4):
        remember(switched, old, offset)
        remember(stayed, old, offset)
    switched.switch(new.layout)
    assert all_saved(switched, now_s=0) == all_saved(stayed, now_s=0)


def test_a_topic_that_lacks_accounts_is_found_out() -> None:
    memory = a_memory()
    manifest = Manifest(as_of=1, low=1, rules_version="v", accounts=1)
    assert memory.loaded(manifest) == "it holds 0 accounts, where 1 were saved"


def test_an_account_that_was_dropped_is_not_loaded() -> None:
    memory = a_memory()
    put_in(memory, [(b"a", b"..."), (b"b", b"...")])
    put_in(memory, [(b"a", None), (b"b", None), (b"c", None), (b"b", b"...")])
    assert len(memory) == 1


def test_what_is_new_in_a_memory_that_began_in_the_middle_may_lack_a_history() -> None:
    complete, partial = a_memory(), a_memory(partial=True)
    for memory in (complete, partial):
        pay(memory, b"a", 7, time_ms=5_000)
    assert complete.dirty[b"a"][FLOOR] == NEVER
    assert partial.dirty[b"a"][FLOOR] == 5_000


def test_no_account_has_the_manifests_name() -> None:
    assert b"#" in MANIFEST_KEY  # which the contract allows in no account


def test_where_the_input_is_another_all_is_forgotten_in_the_topic_too() -> None:
    memory = a_memory()
    put_in(memory, [(b"a", RULES.layout.packed(RULES.layout.new(0, b"USD", 0), 1))])
    memory.start_over()
    pay(memory, b"a", 0)
    assert memory.dirty[b"a"][NUMBER] == 1
    assert all_saved(memory, now_s=0) == [(b"a", None)]
    assert memory.manifest().accounts == 0
