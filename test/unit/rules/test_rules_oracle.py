"""The meaning of rules, point by point, as the brute-force definition has it."""

import pytest
from rules_builders import a_book, a_rule_text, paid
from rules_oracle import Record, judge

from detector.rules.tools.test_results import Finding

HOUR = 3_600_000


def observed_by(feature: str, *records: Record, most: int = 1_000) -> list[float | None]:
    """What a rule with a window of ten seconds sees of each record."""
    threshold = "0s" if feature == "since_last" else "0"
    book = a_book(a_rule_text(observed=feature, threshold=threshold))
    return [finding.observed for (finding,) in judge(book, records, most)]


def fires(records: list[Record], **rule: object) -> list[bool]:
    return [finding.fires for (finding,) in judge(a_book(a_rule_text(**rule)), records)]


def test_a_window_has_what_is_younger_than_it_and_the_record_itself() -> None:
    seen = observed_by("count(10s)", paid(0), paid(9_999), paid(10_000), paid(10_000), paid(30_000))
    assert seen == [1, 2, 2, 3, 1]


def test_a_late_record_sees_what_was_up_to_its_own_time() -> None:
    assert observed_by("count(10s)", paid(5_000), paid(8_000), paid(5_000), paid(4_999)) == [
        1,
        2,
        2,
        1,
    ]


def test_a_record_is_late_by_its_own_time_only() -> None:
    assert observed_by("since_last", paid(5_000), paid(7_000), paid(6_000), paid(9_000)) == [
        0,
        2_000,
        0,
        2_000,
    ]


def test_records_of_another_currency_count_but_have_no_amount() -> None:
    records = [paid(0, 100), paid(1, 200, currency="EUR"), paid(2, 300)]
    assert observed_by("count(10s)", *records) == [1, 2, 3]
    assert observed_by("sum(10s)", *records) == [100, 200, 400]
    assert observed_by("count_between(10s, 0, 5)", *records) == [1, 1, 2]
    assert observed_by("count_equal(10s, 1)", *records) == [1, 0, 1]
    assert observed_by("history", *records) == [0, 0, 1]
    assert observed_by("mean_amount", *records) == [0.0, 0.0, 100.0]


def test_accounts_know_nothing_of_each_other() -> None:
    assert observed_by("count(10s)", paid(0), paid(1, source="other"), paid(2)) == [1, 1, 2]


def test_a_band_is_half_open() -> None:
    records = [paid(n, amount) for n, amount in enumerate([99, 100, 199, 200])]
    assert observed_by("count_between(10s, 1, 2)", *records) == [0, 1, 2, 2]


def test_equal_targets_are_one() -> None:
    records = [paid(n, target=target, currency="EUR") for n, target in enumerate("abab")]
    assert observed_by("distinct_targets(10s)", *records) == [1, 2, 2, 2]


def test_the_mean_and_the_deviation_are_of_all_earlier_amounts() -> None:
    records = [paid(n * HOUR, amount) for n, amount in enumerate([200, 400, 900])]
    assert observed_by("mean_amount", *records) == [0.0, 200.0, 300.0]
    assert observed_by("stddev_amount", *records) == [0.0, 0.0, 100.0]


def test_a_target_is_seen_while_it_is_among_the_last_32_different_ones() -> None:
    others = [paid(n, target=f"other{n}") for n in range(32)]
    rule = {"observed": "history", "threshold": "0", "when": "seen_target"}
    assert fires([paid(0, target="x"), *others[:31], paid(1, target="x")], **rule)[-1]
    assert not fires([paid(0, target="x"), *others, paid(1, target="x")], **rule)[-1]
    again = [
        paid(0, target="x"),
        *others[:31],
        paid(1, target="x"),
        others[31],
        paid(1, target="x"),
    ]
    assert fires(again, **rule)[-1]


def test_a_target_is_not_seen_by_its_own_record() -> None:
    assert fires([paid(0)] * 2, observed="history", threshold="0", when="seen_target") == [
        False,
        True,
    ]


def test_records_are_kept_for_the_longest_window_and_an_hour_more() -> None:
    ahead = 5_000 + 10_000 + HOUR
    assert observed_by("count(10s)", paid(5_000), paid(ahead - 1), paid(5_000))[-1] == 2
    assert observed_by("count(10s)", paid(5_000), paid(ahead), paid(5_000))[-1] == 1


def test_of_a_hot_account_the_latest_records_are_kept() -> None:
    records = [paid(0), paid(3), paid(1), paid(2), paid(3)]
    assert observed_by("count(10s)", *records, most=2) == [1, 2, 1, 1, 2]
    assert observed_by("history", *records, most=2) == [0, 1, 2, 3, 4]


def test_a_rule_that_lacks_the_currency_does_not_apply() -> None:
    book = a_book(a_rule_text(params={"limit": {"USD": 1}}, threshold="limit"))
    ((usd,), (eur,)) = judge(book, [paid(0, 100), paid(1, 100, currency="EUR")])
    assert (usd.fires, usd.threshold) == (True, 100)
    assert eur == Finding(fires=False, observed=None, threshold=None, text=None)


def test_a_star_is_any_other_currency() -> None:
    rule = {"params": {"limit": {"JPY": 500, "*": "1.005"}}, "threshold": "limit"}
    amounts = [("JPY", 500), ("JPY", 499), ("USD", 101), ("USD", 100), ("KWD", 1005), ("KWD", 1004)]
    records = [paid(0, amount, currency=currency) for currency, amount in amounts]
    assert fires(records, **rule) == [True, False] * 3


def test_what_can_not_be_worked_out_does_not_fire() -> None:
    rule = {"observed": "10 / history", "threshold": "0", "when": "true"}
    assert fires([paid(0), paid(1)], **rule) == [False, True]


def test_rules_that_are_off_are_not_judged() -> None:
    modes = [a_rule_text(name=mode, mode=mode) for mode in ("active", "off", "shadow")]
    assert [len(findings) for findings in judge(a_book(*modes), [paid(0)])] == [2]


@pytest.mark.parametrize(
    ("observed", "threshold", "amount", "text"),
    [
        ("amount", "900", 900_00, "900.00 USD, 900.00"),
        ("amount", "1 + amount / 3", 2_00, "2.00 USD, 1.66"),
        ("count(24h)", "1", 1, "1 USD, 1"),
        ("1.5 * 2.0", "0.25", 1, "3 USD, 0.25"),
        ("90d + 1ms", "24h", 1, "90 days USD, 24 hours"),
        ("amount", "amount / 0", 1, "does not fire"),
        ("amount / 0", "999999999999999", 1, "inf USD, 999999999999999.00"),
    ],
)
def test_a_reason_has_values_in_words(
    observed: str, threshold: str, amount: int, text: str
) -> None:
    template = "{observed} {currency}, {threshold}"
    book = a_book(a_rule_text(observed=observed, threshold=threshold, reason=template))
    ((finding,),) = judge(book, [paid(0, amount)])
    assert (finding.text or "does not fire") == text
