"""Rules that ask for more payments than are kept of an account."""

from contextlib import nullcontext

import pytest
from rulebooks import SHIPPED
from rules_builders import a_book, a_file, a_rule_text

from detector.rules.file.loading import RulesError, load, load_file
from detector.rules.tools.reachable import require_enough_events
from detector.rules.tools.test_runner import validated
from detector.service.published import Published


def refused(max_events: int, **rule: object) -> str:
    with pytest.raises(RulesError) as error:
        require_enough_events(a_book(a_rule_text(**rule)), max_events, "my.yaml")
    return str(error.value)


def test_a_count_that_must_reach_more_than_is_kept_is_refused_with_the_settings_name() -> None:
    said = refused(100, observed="count(1h)", threshold="150")
    assert said == (
        "my.yaml:4:1: a_rule needs count to reach 150, and STATE_MAX_EVENTS=100 payments are kept "
        "of an account: lower the rule's bound, or raise that setting"
    )


@pytest.mark.parametrize(
    ("when", "needed"),
    [
        ("amount >= 1 && count(1h) > 100", 101),
        ("amount >= 1 || 101 <= count(1h)", 101),
        ("!(count(1h) < 101)", 101),
        ("amount >= 5 ? distinct_targets(1h) == limit : false", 120),
        ("count_equal(1h, amount) >= 101", 101),
        ("count_between(1h, 1, 2) != 101", 101),
    ],
)
def test_so_is_any_comparison_of_a_count_with_a_constant(when: str, needed: int) -> None:
    params = {"limit": 120} if "limit" in when else None
    assert f"to reach {needed}," in refused(100, params=params, when=when)


@pytest.mark.parametrize("when", ["count(1h) >= 100", "count(1h) <= 99", "history > 5000"])
def test_a_bound_that_is_met_is_fine(when: str) -> None:
    require_enough_events(a_book(a_rule_text(when=when)), 100, "my.yaml")


def test_the_rules_that_ship_need_no_more_than_compose_keeps() -> None:
    require_enough_events(load_file(SHIPPED), 100, "rules.yaml")


def test_inline_tests_are_run_with_as_many_payments_as_are_kept() -> None:
    payments = [{"at": "0s", "amount": 1, "repeat": 6}, {"at": "1s", "amount": 1, "fires": True}]
    rule = a_rule_text(
        observed="sum(1h)", threshold="7", tests=[{"name": "seven", "payments": payments}]
    )
    validated(a_book(rule), "my.yaml", max_events=7)
    with pytest.raises(RulesError, match="does not fire"):
        validated(a_book(rule), "my.yaml", max_events=6)


def test_published_rules_are_refused_by_a_detector_that_keeps_too_few() -> None:
    text = a_file(a_rule_text(observed="count(1h)", threshold="150"))
    version = load(text).version
    for max_events, is_refused in ((149, True), (150, False)):
        published = Published("rules", max_events)
        published.take(version.encode(), text.encode())
        with pytest.raises(RulesError) if is_refused else nullcontext():
            published.book(version)
