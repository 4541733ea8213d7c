"""Money, the rule of large amounts, and versions."""

from decimal import Decimal

import pytest

from detector.money import in_words, least_minor_units, minor_units
from detector.rules import LargeAmount, Reason, Rules
from detector.transaction import Transaction


def a_payment(amount: int, currency: str = "USD") -> Transaction:
    return Transaction("a", "b", amount, currency)


@pytest.mark.parametrize(
    ("amount", "fires"), [(89_999, False), (90_000, True), (90_001, True), (0, False)]
)
def test_flags_an_amount_of_at_least_the_limit(amount: int, fires: bool) -> None:  # noqa: FBT001
    assert (LargeAmount(Decimal(900)).judge(a_payment(amount)) is not None) is fires


@pytest.mark.parametrize(
    ("currency", "below", "at"),
    [
        ("USD", 89_999, 90_000),
        ("JPY", 899, 900),
        ("KWD", 899_999, 900_000),
        ("XXX", 89_999, 90_000),
    ],
)
def test_the_limit_is_the_same_number_in_every_currency(currency: str, below: int, at: int) -> None:
    rule = LargeAmount(Decimal(900))
    assert rule.judge(a_payment(below, currency)) is None
    assert rule.judge(a_payment(at, currency)) is not None


def test_a_limit_finer_than_the_currency_is_met_by_the_next_amount() -> None:
    rule = LargeAmount(Decimal("900.005"))
    assert rule.judge(a_payment(90_000)) is None
    assert rule.judge(a_payment(90_001)) is not None


def test_a_reason_says_what_was_observed_and_what_the_threshold_is() -> None:
    assert LargeAmount(Decimal(900)).judge(a_payment(95_050)) == Reason(
        rule="large_amount",
        rule_version="6100a32c",
        observed="950.50",
        threshold="900.00",
        unit="USD",
        window_ms=None,
        text="950.50 USD is at least 900.00 USD.",
    )


def test_a_version_changes_with_the_limit_and_not_with_how_it_is_written() -> None:
    def version(limit: str) -> str:
        return Rules([LargeAmount(Decimal(limit))]).version

    assert version("900") == version("900.00") == version("9E+2") == "929f3e498f4f"
    assert version("900.01") != version("900")


def test_every_rule_that_fires_gives_its_reason_in_order() -> None:
    rules = Rules(
        [LargeAmount(Decimal(900)), LargeAmount(Decimal(950)), LargeAmount(Decimal(1000))]
    )
    reasons = rules.judge(a_payment(96_000))
    assert [reason.threshold for reason in reasons] == ["900.00", "950.00"]


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [("899.999", "USD", 89_999), ("1.9", "JPY", 1), ("1.2345", "KWD", 1_234), ("0.999", "XXX", 99)],
)
def test_money_is_rounded_down(amount: str, currency: str, units: int) -> None:
    assert minor_units(Decimal(amount), currency) == units


def test_a_limit_is_rounded_up() -> None:
    assert least_minor_units(Decimal("1.001"), "USD") == 101
    assert least_minor_units(Decimal(900), "JPY") == 900


@pytest.mark.parametrize(
    ("units", "currency", "words"),
    [(90_000, "USD", "900.00"), (5, "USD", "0.05"), (900, "JPY", "900"), (1, "KWD", "0.001")],
)
def test_money_is_written_with_the_currencys_decimals(
    units: int, currency: str, words: str
) -> None:
    assert in_words(units, currency) == words
