"""Money in minor units."""

from decimal import Decimal

import pytest

from detector.domain.money import format_amount, least_minor_units, minor_units


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
    [
        (90_000, "USD", "900.00"),
        (5, "USD", "0.05"),
        (-105, "USD", "-1.05"),
        (900, "JPY", "900"),
        (1, "KWD", "0.001"),
    ],
)
def test_money_is_written_with_the_currencys_decimals(
    units: int, currency: str, words: str
) -> None:
    assert format_amount(units, currency) == words
