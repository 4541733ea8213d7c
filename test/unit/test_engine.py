"""The compiled rules find what the definition finds, payment by payment."""

import random
from collections.abc import Sequence
from operator import add

import pytest
import rules_oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from rulebooks import SHIPPED
from rules_builders import a_book, a_rule_text

from detector.rules.engine.account import FLOOR, SUM, Account
from detector.rules.engine.compiler import Hit, Program
from detector.rules.file.loading import load, load_file
from detector.rules.language.tree import Mode, Rulebook
from detector.rules.tools.test_results import Finding
from detector.rules.tools.timing import all_active
from detector.wire.transaction import Transaction

HOUR_MS = 3_600_000
BOOK = all_active(load_file(SHIPPED))
EVERYTHING = """
format: 1
rules:
  - name: all_features
    mode: active
    params: {w: 1h, v: 3h, low: {USD: 2, "*": 3}, high: {USD: 8.5, JPY: 7, "*": 9}, k: 1.5, n: 2}
    observed: sum(w)
    threshold: mean_amount + k * stddev_amount
    when: >-
      count(w) > n || sum(v) >= high || count_between(w, low, high) >= n
      || (count_equal(v, amount) >= 2 && distinct_targets(w) >= n) || history / n == 3
      || (since_last > 30m && !seen_target) || observed > threshold
      || history / (history - 4) > 2
    reason: "{observed} and {threshold} of {currency}."
  - name: dollars_only
    mode: shadow
    params: {limit: {USD: 5}, w: 2h}
    observed: sum(w) - amount
    threshold: limit
    reason: "{observed}"
  - name: counted
    mode: active
    params: {w: 90m, limit: 3}
    observed: count(w) * 2
    threshold: limit
    when: observed >= threshold && target in ["a", "c"] && amount > 3
    reason: "{observed}"
  - name: different
    mode: active
    params: {w: 90m}
    observed: distinct_targets(w)
    threshold: count(w)
    when: 'observed < threshold ? amount == 4 : source != "x"'
    reason: "{observed}"
"""

Record = tuple[int, Transaction]
minutes = st.integers(-200, 400) | st.sampled_from([0, 30, 60, 90, 180])
times = st.lists(st.tuples(minutes, st.sampled_from([0, 0, 0, 1, 59_999])), max_size=40)


small = st.builds(add, st.sampled_from(range(100, 1_100, 100)), st.sampled_from([0, 0, 49, 50]))
any_size = small | st.sampled_from([1 << 30, 1 << 31, (1 << 31) + 1, 10**12, 10**16])


@st.composite
def histories(
    draw: st.DrawFn, currencies: Sequence[bytes], amounts: st.SearchStrategy[int] = small
) -> list[Record]:
    """An account's payments, in offset order: mostly in order of time, at times late or alike."""
    now, found = 0, []
    for step, more in draw(times):
        now = max(0, now + (step if step < 0 else step // 4)) if step < -150 else now + max(0, step)
        amount = draw(amounts)
        target = draw(st.sampled_from([b"a", b"b", b"c"]))
        currency = draw(st.sampled_from(currencies))
        late = draw(st.sampled_from([0, 0, 0, 0, 5, 70, 400]))
        at_ms = max(0, (now - late) * 60_000 + more)
        found.append((at_ms, Transaction(b"me", target, amount, currency)))
    return found


def judged(
    program: Program,
    records: Sequence[Record],
    account: Account | None = None,
    *,
    saved_at: int = -1,
) -> list[list[Hit]]:
    """The matches on each record; the account is saved and taken up again before one of them."""
    found = []
    for offset, (time_ms, (source, target, amount, currency)) in enumerate(records):
        if account is None:
            account = program.layout.new(time_ms, currency, offset)
        if offset == saved_at:
            saved = program.layout.packed(account, offset)
            assert program.layout.as_of(saved) == offset
            account = program.layout.unpacked(saved, offset)
        evaluate = program.evaluator(currency.decode())
        found.append(evaluate(account, time_ms, amount, target, currency, source))
    return found


def defined(book: Rulebook, records: Sequence[Record], most: int) -> list[list[Hit]]:
    def hit(place: int, its: Finding) -> Hit:
        is_active = book.rules[place].mode is Mode.ACTIVE
        return (place, its.observed, its.threshold) if is_active else (place, None, None)

    return [
        [hit(place, its) for place, its in enumerate(findings) if its.fires]
        for findings in rules_oracle.judge(book, records, most)
    ]


@pytest.mark.parametrize("book", [BOOK, load(EVERYTHING)], ids=["shipped", "everything"])
@pytest.mark.parametrize("currencies", [[b"USD"], [b"USD", b"JPY", b"EUR"]], ids=["one", "mixed"])
@given(data=st.data(), most=st.sampled_from([3, 8, 1_000]), saved_at=st.integers(-1, 20))
@settings(deadline=None, max_examples=150)
def test_the_compiled_rules_agree_with_the_definition(
    book: Rulebook, currencies: Sequence[bytes], data: st.DataObject, most: int, saved_at: int
) -> None:
    records = data.draw(histories(currencies))
    found = judged(Program(book, most), records, saved_at=saved_at)
    assert found == defined(book, records, most)


@pytest.mark.parametrize("currencies", [[b"USD"], [b"USD", b"JPY"]], ids=["one", "mixed"])
@given(data=st.data(), saved_at=st.integers(-1, 20))
@settings(deadline=None, max_examples=100)
def test_amounts_of_any_size_agree_with_the_definition(
    currencies: Sequence[bytes], data: st.DataObject, saved_at: int
) -> None:
    records = data.draw(histories(currencies, any_size))
    found = judged(Program(BOOK, 8), records, saved_at=saved_at)
    assert found == defined(BOOK, records, 8)


@pytest.mark.parametrize("seed", range(6))
def test_a_long_history_of_one_account_agrees_with_the_definition(seed: int) -> None:
    its = random.Random(seed)  # noqa: S311
    now, records = 0, []
    for _ in range(400):
        now += its.choice([0, 1, 60_000, 600_000, HOUR_MS, 3 * HOUR_MS])
        late = its.choice([0] * 12 + [HOUR_MS // 2])
        amount = its.choice([100, 400, 50_000, 80_000, 89_999, 90_000, 99_999])
        target = its.choice([b"a", b"b", b"%d" % its.randrange(50)])
        records.append((max(0, now - late), Transaction(b"me", target, amount, b"USD")))
    found = judged(Program(BOOK, 1_000), records, saved_at=its.randrange(400))
    assert found == defined(BOOK, records, 1_000)


@pytest.mark.parametrize("currencies", [[b"USD"], [b"USD", b"JPY"]], ids=["one", "mixed"])
@given(data=st.data(), most=st.sampled_from([3, 1_000]), count=st.integers(0, 30))
@settings(deadline=None, max_examples=100)
def test_what_is_only_remembered_is_remembered_as_if_it_were_judged(
    currencies: Sequence[bytes], data: st.DataObject, most: int, count: int
) -> None:
    records, failures = data.draw(histories(currencies, any_size)), list[int]()
    program = Program(load(EVERYTHING), most, failures.append)
    account = program.layout.new(0, b"USD", 0)
    for time_ms, (source, target, amount, currency) in records[:count]:
        remember = program.recorder(currency.decode())
        assert not remember(account, time_ms, amount, target, currency, source)
    assert not failures
    found = judged(program, records[count:], account)
    expected_account = program.layout.new(0, b"USD", 0)
    judged(program, records[:count], expected_account)
    assert found == judged(program, records[count:], expected_account)


def test_a_limit_that_is_not_given_in_a_currency_leaves_the_rule_out() -> None:
    program = Program(load(EVERYTHING), 1_000)
    assert program.applicable("USD") == [0, 1, 2, 3]
    assert program.applicable("CHF") == [0, 2, 3]


def test_currencies_that_mean_the_same_share_a_function() -> None:
    program = Program(load(EVERYTHING), 1_000)
    assert program.evaluator("EUR").__code__ is program.evaluator("CHF").__code__
    assert program.evaluator("EUR").__code__ is not program.evaluator("JPY").__code__
    assert program.evaluator("EUR").__code__ is not program.evaluator("USD").__code__


def test_what_can_not_be_worked_out_does_not_fire_and_is_counted() -> None:
    failures: list[int] = []
    first_rule = EVERYTHING.split("  - name: dollars_only", maxsplit=1)[0]
    book = load(first_rule.replace("count(w) > n ||", "1 / history > 0 ||"))
    program = Program(book, 1_000, failures.append)
    payment = (0, Transaction(b"me", b"a", 10**6, b"USD"))
    assert judged(program, [payment]) == [[]]
    assert failures == [0]


@pytest.mark.parametrize(
    ("sum_of_integers", "fails"),
    [
        ("9223372036854775806 + count(1h)", False),
        ("9223372036854775807 + count(1h)", True),
        ("-9223372036854775808 - count(1h)", True),
        ("3037000500 * count(1h) * 3037000500", True),
        ("-(-9223372036854775808 / count(1h))", True),
        ("-9223372036854775808 / (0 - count(1h))", True),
    ],
)
def test_an_integer_that_leaves_64_bits_does_not_fire_and_is_counted(
    sum_of_integers: str,
    fails: bool,  # noqa: FBT001
) -> None:
    failures: list[int] = []
    book = a_book(a_rule_text(observed="count(1h)", threshold="1", when=f"{sum_of_integers} != 0"))
    payment = (0, Transaction(b"me", b"a", 100, b"USD"))
    found = judged(Program(book, 1_000, failures.append), [payment])
    assert found == defined(book, [payment], 1_000) == ([[]] if fails else [[(0, 1, 1)]])
    assert failures == ([0] if fails else [])


def test_a_duration_that_leaves_64_bits_does_not_fire_either() -> None:
    when = "since_last < 2000000000h * 4000000000000"
    book = a_book(a_rule_text(observed="since_last", threshold="0s", when=when))
    payment = (0, Transaction(b"me", b"a", 100, b"USD"))
    assert judged(Program(book, 1_000), [payment]) == defined(book, [payment], 1_000) == [[]]


def test_the_limit_of_payments_kept_is_told() -> None:
    program = Program(BOOK, 2)
    account = program.layout.new(0, b"USD", 0)
    evaluate = program.evaluator("USD")
    for n in range(3):
        evaluate(account, n, 100, b"t", b"USD", b"me")
    assert account[FLOOR] == 0  # the time of the payment that was dropped
    assert account[SUM] == 300  # of all time
