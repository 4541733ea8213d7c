"""Inline tests of rules, and mutants: what a test doesn't notice isn't tested."""

from pathlib import Path
from typing import Any

import rules_oracle
from rules_builders import a_book, a_rule, a_rule_text

from detector.rules.file.loading import load_file
from detector.rules.language.tree import Rule
from detector.rules.tools.mutation import all_mutants, mutants
from detector.rules.tools.test_results import failures, number_of_tests

SHIPPED = Path(__file__).parents[3] / "detector" / "rules.yaml"


def a_test(*payments: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "a test", "payments": [*payments]}]


def failing(*payments: dict[str, Any], **fields: Any) -> list[str]:
    book = a_book(a_rule_text(tests=a_test(*payments), **fields))
    found = [failure.describe("my.yaml") for failure in failures(book, rules_oracle.engine)]
    return [line.partition(", ")[2] for line in found]


def changes(rule: Rule) -> list[str]:
    return [mutant.change for mutant in mutants(rule)]


def surviving(rule: Rule) -> list[str]:
    return [m.change for m in mutants(rule) if m.survives(rules_oracle.engine)]


def test_the_tests_of_the_rules_that_ship_pass() -> None:
    book = load_file(SHIPPED)
    assert list(failures(book, rules_oracle.engine)) == []
    assert number_of_tests(book) == 33


def test_no_mutant_of_the_rules_that_ship_lives() -> None:
    found = all_mutants(load_file(SHIPPED))
    assert len(found) == 63
    assert [mutant for mutant in found if mutant.survives(rules_oracle.engine)] == []


def test_a_payment_that_comes_out_as_expected_is_no_failure() -> None:
    assert failing({"at": "0s", "amount": 899}, {"at": "1s", "amount": 900, "fires": True}) == []


def test_a_failure_says_which_payment_and_what_was_seen() -> None:
    assert failing(
        {"at": "0s", "amount": 900},
        {"at": "1s", "amount": "899.99", "fires": True},
    ) == [
        'test "a test", payment 1 (at 0s, 900 USD): fires, expected not to; '
        "observed 900.00 USD, threshold 900.00 USD",
        'test "a test", payment 2 (at 1s, 899.99 USD): does not fire, expected to; '
        "observed 899.99 USD, threshold 900.00 USD",
    ]


def test_a_failure_begins_with_file_line_and_rule() -> None:
    book = a_book(a_rule_text(tests=a_test({"at": "0s", "amount": 900})))
    (failure,) = failures(book, rules_oracle.engine)
    line = book.rules[0].tests[0].payments[0].line
    assert failure.describe("my.yaml").startswith(f"my.yaml:{line}: a_rule, ")


def test_a_failure_shows_values_exactly_and_with_their_unit() -> None:
    payment = {"at": "0s", "amount": 3, "fires": True}
    seen = {
        "observed 2, threshold 3": {"observed": "2", "threshold": "3"},
        "observed 59999ms, threshold 1m": {"observed": "1m - 1ms", "threshold": "1m"},
        "observed 0.0075 USD, threshold 2.00 USD": {"observed": "amount / 400", "threshold": "2"},
        "observed 0.5, threshold 2.5": {"observed": "0.5", "threshold": "2.5"},
    }
    for text, fields in seen.items():
        assert failing(payment, **fields)[0].endswith(text)


def test_a_rule_that_does_not_apply_says_so() -> None:
    fields = {"params": {"limit": {"USD": 1}}, "threshold": "limit"}
    (line,) = failing({"at": "0s", "amount": 5, "currency": "EUR", "fires": True}, **fields)
    assert line.endswith("it does not apply, or could not be worked out")


def test_the_reason_is_compared_where_a_payment_says_one() -> None:
    payment = {"at": "0s", "amount": 900, "fires": True, "reason": "900.00 is at least 1."}
    (line,) = failing(payment)
    assert 'the reason is "900.00 is at least 900.00.", expected "900.00 is at least 1."' in line


def test_rules_that_are_off_are_tested_too() -> None:
    assert len(failing({"at": "0s", "amount": 900}, mode="off")) == 1


def test_a_mutant_is_one_parameter_by_one_step_or_one_comparison_by_its_bound() -> None:
    params = {"n": 3, "k": 1.5, "w": "10m", "m": {"USD": 5, "JPY": 0, "KWD": 1}}
    when = "count(w) >= n && amount < m || 1.0 == k"
    assert changes(a_rule(params=params, when=when)) == [
        "n: 3 to 2",
        "n: 3 to 4",
        "k: 1.5 to 1.49",
        "k: 1.5 to 1.51",
        "w: 10m to 599999ms",
        "w: 10m to 600001ms",
        "m: USD 5 to 4.99",
        "m: USD 5 to 5.01",
        "m: JPY 0 to 1",
        "m: KWD 1 to 0.999",
        "m: KWD 1 to 1.001",
        "when: count(w) >= n to >",
        "when: amount < m to <=",
        "when: 1.0 == k to !=",
    ]


def test_a_mutant_looks_as_far_as_its_own_window() -> None:
    rule = a_rule(params={"w": "10m"}, when="count(w) > 1")
    assert {mutant.rule.window_ms for mutant in mutants(rule)} == {600_000, 599_999, 600_001}


def test_a_window_never_becomes_nothing() -> None:
    rule = a_rule(params={"w": "1ms"}, when="count(w) > 1")
    assert changes(rule) == ["w: 1ms to 2ms", "when: count(w) > 1 to >="]


def test_what_no_test_notices_lives() -> None:
    def rule(*payments: dict[str, Any]) -> Rule:
        fields = {"params": {"limit": {"USD": 900}}, "threshold": "limit"}
        return a_rule(tests=a_test(*payments), **fields)

    at, below = {"at": "0s", "amount": 900, "fires": True}, {"at": "0s", "amount": "899.99"}
    lower, higher, strict = "limit: USD 900 to 899.99", "limit: USD 900 to 900.01", "to >"
    assert surviving(rule({"at": "0s", "amount": 1})) == [
        lower,
        higher,
        f"when: observed >= threshold {strict}",
    ]
    assert surviving(rule(at)) == [lower]
    assert surviving(rule(below)) == [higher, f"when: observed >= threshold {strict}"]
    assert surviving(rule(at, below)) == []
