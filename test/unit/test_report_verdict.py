"""The report's arithmetic, its text, and its exit states."""

import pytest
from report.settings import CannotMeasure, Settings
from report.verdict import EXPECTED, Counts, interval, lines, what_is_off


def test_the_expectation_is_the_share_of_amounts_of_at_least_900() -> None:
    amounts = [cents / 100 for cents in range(100, 100_001)]
    assert sum(amount >= 900 for amount in amounts) / len(amounts) == EXPECTED


def test_the_interval_is_wilsons() -> None:
    # By hand, z = 2.5758: (0.1 + 0.00332 +- 2.5758 * 0.009574) / 1.006635.
    low, high = interval(100, 1_000)
    assert (round(low, 4), round(high, 4)) == (0.0781, 0.1271)
    assert interval(0, 0) == (0.0, 1.0)
    assert interval(0, 10)[0] == 0.0
    assert interval(10, 10)[1] == 1.0


def test_the_report_reads_as_the_original() -> None:
    assert lines(Counts(fraud=2_502, legit=22_490, dead=3), 25, 1000) == [
        "# fraudulent transactions = 2502",
        "# legitimate transactions = 22490",
        "yielding...",
        "transaction fraud rate = 10.01 %",
        "(expecting ~ 10%)",
        "99 % confidence interval = 9.53 % to 10.51 % (expecting 10.01 %)",
        "transactions per second = 999.8 (asked: 1000)",
        "# dead letters = 3",
    ]


def test_a_rate_without_a_limit_is_told_as_such() -> None:
    assert "(as fast as it can)" in lines(Counts(1, 9, 0), 1, 0)[6]


def test_nothing_judged_is_a_rate_of_zero() -> None:
    assert lines(Counts(0, 0, 0), 10, 1000)[3] == "transaction fraud rate = 0.00 %"


@pytest.mark.parametrize(
    ("counts", "problem"),
    [
        (Counts(1_001, 8_999, 0), None),
        (Counts(925, 9_075, 0), None),
        (Counts(920, 9_080, 0), "the fraud rate of 9.20 % is off"),
        (Counts(1_082, 8_918, 0), "the fraud rate of 10.82 % is off"),
        (Counts(0, 10_000, 0), "no transactions in the stream: fraud"),
        (Counts(10_000, 0, 0), "no transactions in the stream: legit"),
        (Counts(0, 0, 0), "no transactions in the stream: fraud, legit"),
        (Counts(1_001, 8_999, 0, unjudged=7), "7 transactions have no verdict yet"),
    ],
)
def test_what_is_off_is_told_in_one_line(counts: Counts, problem: str | None) -> None:
    said = what_is_off(counts)
    assert (said is None) if problem is None else problem in str(said)


def test_the_window_is_25_seconds_or_what_is_asked() -> None:
    assert Settings.read([], {}).seconds == 25
    assert Settings.read(["10"], {}).seconds == 10


@pytest.mark.parametrize("arguments", [["0"], ["x"], ["-1"], ["1.5"], ["86401"], [""], ["1", "2"]])
def test_a_wrong_argument_cannot_be_measured(arguments: list[str]) -> None:
    with pytest.raises(CannotMeasure):
        Settings.read(arguments, {})


@pytest.mark.parametrize("value", ["", "a b\nforged", "9" * 400, "x" * 10_000])
@pytest.mark.parametrize(
    "name",
    [
        *("KAFKA_BROKER_URL", "TRANSACTIONS_TOPIC", "LEGIT_TOPIC", "FRAUD_TOPIC"),
        *("DEAD_LETTER_TOPIC", "CONSUMER_GROUP", "TRANSACTIONS_PER_SECOND"),
    ],
)
def test_with_a_wrong_variable_nothing_can_be_measured(name: str, value: str) -> None:
    with pytest.raises(CannotMeasure) as failure:
        Settings.read([], {name: value})
    (line,) = str(failure.value).splitlines()
    assert line.startswith(f"{name}={value!r}"[:60])
    assert len(line) < 200


def test_a_negative_rate_cannot_be_measured() -> None:
    with pytest.raises(CannotMeasure, match="TRANSACTIONS_PER_SECOND='-1' is not allowed"):
        Settings.read([], {"TRANSACTIONS_PER_SECOND": "-1"})
