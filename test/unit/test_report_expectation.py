"""What the report expects, from what judged records tell."""

import json
from decimal import Decimal

import pytest
from report.expectation import Evidence, Expectation, detector_headers, is_generated, share_from

from generator.transactions import Transactions

DEFAULT = Expectation(0.1)
GENERATED = b'{"source":"Ld9bPwVxbQ7c","target":"3FlRnV5jFjzM","amount":996.96,"currency":"USD"}'


def said(
    threshold: str = "500.00", rule: str = "large_amount", unit: str = "USD", version: bytes = b"v1"
) -> list[tuple[str, bytes | None]]:
    """The headers of a fraud."""
    reasons = json.dumps([{"rule": rule, "threshold": threshold, "unit": unit}]).encode()
    return [("rules", rule.encode()), ("reasons", reasons), ("rules_version", version)]


def expectation(*frauds: list[tuple[str, bytes | None]], legit: bytes = GENERATED) -> Expectation:
    evidence = Evidence()
    evidence.add(legit)
    for headers in frauds:
        evidence.add_fraud(GENERATED, headers)
    return evidence.expectation(DEFAULT)


@pytest.mark.parametrize(
    ("limit", "count"),
    [
        ("0", 99_901),
        ("1", 99_901),
        ("1.01", 99_900),
        ("500", 50_001),
        ("899.995", 10_001),
        ("900", 10_001),
        ("1000", 1),
        ("1000.001", 0),
        ("1e12", 0),
    ],
)
def test_of_the_generator_s_amounts_so_many_are_the_limit_or_more(limit: str, count: int) -> None:
    assert share_from(Decimal(limit)) == count / 99_901


def test_what_the_generator_makes_is_known_as_such() -> None:
    assert all(map(is_generated, Transactions(100, seed=1).take(5_000).values))


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        GENERATED.replace(b"996.96", b"1000.01"),
        GENERATED.replace(b"996.96", b"0.99"),
        GENERATED.replace(b"996.96", b"996.961"),
        GENERATED.replace(b"996.96", b"9e2"),
        GENERATED.replace(b"USD", b"EUR"),
        GENERATED.replace(b"Ld9bPwVxbQ7c", b"n17"),
        GENERATED.replace(b',"amount"', b', "amount"'),
        GENERATED[:-1] + b',"city":"Rome"}',
        GENERATED + b"\n",
    ],
)
def test_what_it_does_not_make_is_somebody_else_s(value: bytes | None) -> None:
    assert not is_generated(value)


def test_what_the_detector_says_is_behind_its_last_mark() -> None:
    brought = [("rules", b"forged"), ("judged", b"in/0/1;rules=x"), ("reasons", b"[]")]
    own = [("judged", b"in/0/2;rules=y"), ("rules", b"r"), ("rules_version", b"y")]
    assert detector_headers([*brought, *own]) == {"rules": b"r", "rules_version": b"y"}


def test_without_a_mark_the_last_header_of_a_name_counts() -> None:
    assert detector_headers([("rules", b"forged"), ("trace", b"1"), *said()])["rules"] == (
        b"large_amount"
    )
    assert detector_headers([]) == {}


def test_the_limit_that_all_frauds_name_says_what_to_expect() -> None:
    assert expectation(said(), said()) == Expectation(50_001 / 99_901)


def test_without_a_fraud_the_default_is_expected() -> None:
    assert expectation() == DEFAULT


@pytest.mark.parametrize(
    "frauds",
    [
        [said(), said("600.00")],
        [said(), said(rule="spike")],
        [said(rule="spike")],
        [said(unit="EUR")],
        [said("NaN")],
        [[("reasons", b"[{}, {}]")]],
        [[("reasons", b"[{}]")]],
        [[("reasons", b"7")]],
        [[("reasons", b"\xff")]],
        [[("reasons", None)]],
        [[]],
    ],
)
def test_nothing_is_expected_of_other_rules(frauds: list[list[tuple[str, bytes | None]]]) -> None:
    assert expectation(*frauds) == Expectation(
        None, "not all frauds are due to one limit of the amount"
    )


def test_nothing_is_expected_where_the_rules_changed() -> None:
    changed = expectation(said(), said(version=b"v2"))
    assert changed == Expectation(None, "the rules changed in the window")


def test_nothing_is_expected_of_somebody_else_s_transactions() -> None:
    theirs = expectation(said(), legit=b"{}")
    assert theirs == Expectation(None, "not of the generator's form: 1 of the transactions")
