"""The rate, as a statistic over simulated time."""

import random

import pytest

from generator.pace import Pace


def made_at(pace: Pace, seconds: float, hiccup_s: float = 0.0) -> list[tuple[float, int]]:
    """(time, count) of everything made in simulated time, waking up late by up to `hiccup_s`."""
    late = random.Random(1)  # noqa: S311
    now, found = 0.0, []
    while now < seconds:
        count = pace.due(now)
        if count:
            pace.made(count)
            found.append((now, count))
        now += pace.pause_s(now) + late.uniform(0, hiccup_s)
    return found


@pytest.mark.parametrize("rate", [1, 10, 1_000, 20_000])
@pytest.mark.parametrize("hiccup_s", [0.0, 0.012])
def test_over_any_ten_seconds_the_rate_is_held_within_half_a_percent(
    rate: int, hiccup_s: float
) -> None:
    found = made_at(Pace(rate, 0.0), 60, hiccup_s)
    for start in range(50):
        count = sum(n for at, n in found if start <= at < start + 10)
        assert abs(count - 10 * rate) <= max(1, 0.005 * 10 * rate)


def test_nothing_comes_in_bursts_of_over_20_ms_worth() -> None:
    found = made_at(Pace(1_000, 0.0), 30, hiccup_s=0.05)
    assert max(count for _, count in found) <= 20


def test_a_late_turn_is_caught_up_over_the_next_ones() -> None:
    pace = Pace(1_000, 0.0)
    first = pace.due(0.5)
    pace.made(first)
    assert first == 20
    assert sum(count for _, count in made_at_from(pace, 0.5, 1.0)) == 1_000 - 20


def made_at_from(pace: Pace, now: float, until: float) -> list[tuple[float, int]]:
    found = []
    while now <= until:
        count = pace.due(now)
        pace.made(count)
        found.append((now, count))
        now += pace.pause_s(now)
    last = pace.due(until)
    pace.made(last)
    return [*found, (until, last)]


def test_a_debt_of_a_second_is_still_owed_and_a_larger_one_is_skipped() -> None:
    patient, stalled = Pace(1_000, 0.0), Pace(1_000, 0.0)
    assert patient.due(1.0) == 20
    assert patient.skipped == 0
    assert stalled.due(1.25) == 0
    assert stalled.skipped == 1_250


def test_after_a_stall_the_rate_goes_on_without_a_flood() -> None:
    pace = Pace(1_000, 0.0)
    pace.due(30.0)
    found = made_at_from(pace, 30.0, 40.0)
    assert sum(count for _, count in found) == 10_000
    assert max(count for _, count in found) <= 20


def test_what_was_not_made_stays_due() -> None:
    pace = Pace(1_000, 0.0)
    assert pace.due(0.01) == pace.due(0.01) == 10
    pace.made(4)
    assert pace.due(0.01) == 6


def test_it_sleeps_until_the_next_is_due_and_never_under_a_tick() -> None:
    assert Pace(1, 0.0).pause_s(0.0) == pytest.approx(1.0)
    assert Pace(1_000_000, 0.0).pause_s(0.0) == pytest.approx(0.005)
