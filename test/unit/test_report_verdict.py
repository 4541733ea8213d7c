"""The report's arithmetic, its text, and its exit states."""

import pytest
from report.expectation import Expectation
from report.settings import CannotMeasure, Settings
from report.verdict import EXPECTED, Counts, interval, lines, what_is_off

SHIPPED = Expectation(EXPECTED)
UNKNOWN = Expectation(None, "the rules changed in the window")


def test_the_expectation_is_the_share_of_amounts_of_at_least_900() -> None:
    amounts = [cents / 100 for cents in range(100, 100_001)]
    assert sum(amount >= 900 for amount in amounts) / len(amounts) == EXPECTED


def test_the_interval_is_wilsons() -> None:
    # By hand, z = 2.5758: (0.1 + 0.00332 +- 2.5758 * 0.009574) / 1.006635.
    low, high = interval(100, 1_000)
    assert (round(low, 4), round(high, 4)) == (0.0781, 0.1271)
    assert interval(0, 0) == (0.0, 1.0)
    assert all(interval(0, trials)[0] == 0.0 for trials in range(1, 1_000))
    assert all(interval(trials, trials)[1] == 1.0 for trials in range(1, 1_000))


def test_the_report_reads_as_the_original() -> None:
    assert lines(Counts(fraud=2_502, legit=22_490, dead=3), SHIPPED, 25, 1000) == [
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
    assert "(as fast as it can)" in lines(Counts(1, 9, 0), SHIPPED, 1, 0)[6]


def test_nothing_judged_is_a_rate_of_zero() -> None:
    assert lines(Counts(0, 0, 0), SHIPPED, 10, 1000)[3] == "transaction fraud rate = 0.00 %"


def test_another_expectation_stands_in_its_place() -> None:
    assert lines(Counts(5_002, 4_998, 0), Expectation(50_001 / 99_901), 10, 1000)[3:6] == [
        "transaction fraud rate = 50.02 %",
        "(expecting ~ 50%)",
        "99 % confidence interval = 48.73 % to 51.31 % (expecting 50.05 %)",
    ]


def test_where_nothing_is_expected_it_is_said_why() -> None:
    assert lines(Counts(5_002, 4_998, 0), UNKNOWN, 10, 1000)[3:6] == [
        "transaction fraud rate = 50.02 %",
        "(no expectation: the rules changed in the window)",
        "99 % confidence interval = 48.73 % to 51.31 %",
    ]


@pytest.mark.parametrize(
    ("counts", "expectation", "problem"),
    [
        (Counts(1_001, 8_999, 0), SHIPPED, None),
        (Counts(925, 9_075, 0), SHIPPED, None),
        (Counts(920, 9_080, 0), SHIPPED, "the fraud rate of 9.20 % is off"),
        (Counts(1_082, 8_918, 0), SHIPPED, "the fraud rate of 10.82 % is off"),
        (Counts(0, 10_000, 0), SHIPPED, "no transactions in the stream: fraud"),
        (Counts(10_000, 0, 0), SHIPPED, "no transactions in the stream: legit"),
        (Counts(0, 0, 0), SHIPPED, "no transactions in the stream: fraud, legit"),
        (Counts(1_001, 8_999, 0, unjudged=7), SHIPPED, "7 transactions have no verdict yet"),
        (Counts(1_001, 8_999, 0), Expectation(0.5), "50.00 % is outside 9.26 % to 10.81 %"),
        (Counts(0, 10_000, 0), Expectation(0.0), None),
        (Counts(10_000, 0, 0), Expectation(1.0), None),
        (Counts(5_002, 4_998, 0), UNKNOWN, None),
        (Counts(0, 10_000, 0), UNKNOWN, None),
        (Counts(0, 0, 5), UNKNOWN, "no transactions in the stream: fraud, legit"),
        (Counts(1, 9, 0, unjudged=7), UNKNOWN, "7 transactions have no verdict yet"),
    ],
)
def test_what_is_off_is_told_in_one_line(
    counts: Counts, expectation: Expectation, problem: str | None
) -> None:
    said = what_is_off(counts, expectation)
    assert (said is None) if problem is None else problem in str(said)


def test_the_window_is_25_seconds_or_what_is_asked() -> None:
    assert Settings.read([], {}).seconds == 25
    assert Settings.read(["10"], {}).seconds == 10


@pytest.mark.parametrize("arguments", [["0"], ["x"], ["-1"], ["1.5"], ["86401"], [""], ["1", "2"]])
def test_a_wrong_argument_cannot_be_measured(arguments: list[str]) -> None:
    with pytest.raises(CannotMeasure):
        Settings.read(arguments, {})


@pytest.mark.parametrize("value", ["a b\nforged", "9" * 400, "x" * 10_000])
@pytest.mark.parametrize(
    "name",
    [
        *("KAFKA_BROKER_URL", "TRANSACTIONS_TOPIC", "LEGIT_TOPIC", "FRAUD_TOPIC"),
        *("DEAD_LETTER_TOPIC", "CONSUMER_GROUP", "TRANSACTIONS_PER_SECOND"),
        *("BROKER_PORT", "FRAUD_THRESHOLD"),
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


def test_an_empty_variable_counts_as_unset() -> None:
    names = ("KAFKA_BROKER_URL", "BROKER_PORT", "TRANSACTIONS_TOPIC", "LEGIT_TOPIC", "FRAUD_TOPIC")
    more = ("DEAD_LETTER_TOPIC", "CONSUMER_GROUP", "TRANSACTIONS_PER_SECOND", "FRAUD_THRESHOLD")
    empty = dict.fromkeys((*names, *more, "RULES_FILE"), "")
    assert Settings.read([], empty) == Settings.read([], {})


def test_the_broker_is_on_this_machine_unless_told_otherwise() -> None:
    assert Settings.read([], {}).broker == "localhost:9094"
    assert Settings.read([], {"BROKER_PORT": "9194"}).broker == "localhost:9194"
    both = {"BROKER_PORT": "9194", "KAFKA_BROKER_URL": "broker:9092"}
    assert Settings.read([], both).broker == "broker:9092"
    with pytest.raises(CannotMeasure, match="BROKER_PORT='65536' is not allowed"):
        Settings.read([], {"BROKER_PORT": "65536"})


@pytest.mark.parametrize(
    ("variables", "share"),
    [
        ({}, EXPECTED),
        ({"FRAUD_THRESHOLD": "500"}, 50_001 / 99_901),
        ({"FRAUD_THRESHOLD": "1000.01"}, 0),
        ({"RULES_FILE": "mine.yaml"}, None),
        ({"RULES_FILE": "mine.yaml", "FRAUD_THRESHOLD": "500"}, None),
    ],
)
def test_without_a_fraud_the_settings_say_what_to_expect(
    variables: dict[str, str], share: float | None
) -> None:
    assert Settings.read([], variables).expectation.share == share


@pytest.mark.parametrize("limit", ["-1", "NaN", "sNaN", "Infinity", "1e13", "much"])
def test_a_limit_that_no_detector_takes_cannot_be_measured(limit: str) -> None:
    with pytest.raises(CannotMeasure, match=f"FRAUD_THRESHOLD='{limit}' is not allowed"):
        Settings.read([], {"FRAUD_THRESHOLD": limit})
