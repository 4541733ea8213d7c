"""The original rule: what it flags, why, and under which version."""

import json
from typing import Any

import pytest
from rulebooks import large_amount, of_large_amounts, verdict_on

from detector.rules import Rules, Verdict
from detector.rules.file.loading import load
from detector.wire.transaction import Transaction


def the_verdict(rules: Rules, amount: int, currency: bytes = b"USD") -> Verdict:
    return verdict_on(rules, Transaction(b"a", b"b", amount, currency))


def fires(limit: int | str, amount: int, currency: bytes = b"USD") -> bool:
    return bool(the_verdict(of_large_amounts(limit), amount, currency).matched.active)


def reasons_of(verdict: Verdict) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(verdict.reasons)
    return found


@pytest.mark.parametrize(
    ("amount", "flagged"), [(89_999, False), (90_000, True), (90_001, True), (0, False)]
)
def test_flags_an_amount_of_at_least_the_limit(amount: int, flagged: bool) -> None:  # noqa: FBT001
    assert fires(900, amount) is flagged


@pytest.mark.parametrize(
    ("currency", "below", "at"),
    [
        (b"USD", 89_999, 90_000),
        (b"JPY", 899, 900),
        (b"KWD", 899_999, 900_000),
        (b"XXX", 89_999, 90_000),
    ],
)
def test_the_limit_is_the_same_number_in_every_currency(
    currency: bytes, below: int, at: int
) -> None:
    assert not fires(900, below, currency)
    assert fires(900, at, currency)


def test_a_limit_finer_than_the_currency_is_met_by_the_next_amount() -> None:
    assert not fires("900.005", 90_000)
    assert fires("900.005", 90_001)


def test_a_reason_says_what_was_observed_and_what_the_threshold_is() -> None:
    rules = of_large_amounts(900)
    (reason,) = reasons_of(the_verdict(rules, 95_050))
    assert reason == {
        "rule": "large_amount",
        "rule_version": rules.book.rules[0].version,
        "observed": "950.50",
        "threshold": "900.00",
        "unit": "USD",
        "window_ms": None,
        "since_ms": None,
        "text": "950.50 USD is at least 900.00 USD.",
    }


WINDOWS = """
format: 1
rules:
  - name: observed_over_ten_minutes
    mode: active
    observed: count(10m)
    threshold: "1"
    when: observed >= threshold && count(24h) >= 1
    reason: "{observed}"
  - name: observed_without_a_window
    mode: active
    observed: amount
    threshold: "1"
    when: observed >= threshold && count(24h) >= 1
    reason: "{observed}"
"""


def test_a_reasons_window_is_that_of_what_was_observed() -> None:
    counted, paid = reasons_of(the_verdict(Rules(load(WINDOWS)), 100))
    assert (counted["window_ms"], counted["since_ms"]) == (600_000, 1_000 - 600_000)
    assert (paid["window_ms"], paid["since_ms"]) == (None, None)


def test_a_reasons_own_words_are_written_as_they_stand() -> None:
    book = large_amount(900).replace("is at least", r"{{100%}} \"é\" \\n {{observed}}")
    (reason,) = reasons_of(the_verdict(Rules(load(book)), 95_050))
    assert reason["text"] == r'950.50 USD {100%} "é" \n {observed} 900.00 USD.'


def test_a_version_changes_with_the_limit_and_not_with_how_it_is_written() -> None:
    def version(limit: str) -> str:
        return of_large_amounts(limit).version

    assert version("900") == version("900.00")
    assert version("900.01") != version("900")


def test_every_rule_that_fires_gives_its_reason_in_order() -> None:
    verdict = the_verdict(of_large_amounts(900, 950, 1_000), 96_000)
    assert [reason["threshold"] for reason in reasons_of(verdict)] == ["900.00", "950.00"]
    assert verdict.matched.indexes == (0, 1)


def test_a_shadow_rule_is_noted_and_makes_nothing_suspicious() -> None:
    verdict = the_verdict(Rules(load(large_amount(900, mode="shadow"))), 90_000)
    assert not verdict.matched.active
    assert verdict.matched.shadow == ("large_amount",)
