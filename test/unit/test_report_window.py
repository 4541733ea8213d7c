"""The report's window, by the clock of the stream."""

import pytest
from report.settings import CannotMeasure
from report.window import Window


def test_it_begins_by_the_clock_of_the_timestamps() -> None:
    window = Window.of_arrivals(1_000_000, 25, [59_990, 59_998, 60_000, 60_002, 60_010])
    assert (window.start_ms, window.end_ms, window.ahead_ms) == (1_060_000, 1_085_000, 60_000)


def test_it_has_its_start_and_not_its_end() -> None:
    window = Window(10, 20)
    assert [ms in window for ms in (9, 10, 19, 20)] == [False, True, True, False]


def test_a_producer_whose_clock_is_wrong_has_no_say() -> None:
    for wrong in (3_000_000.0, -9e11):
        arrived = [*[-5.0] * 60, *[wrong] * 40]
        assert Window.of_arrivals(1_000_000, 25, arrived).ahead_ms == -5


def test_where_nothing_arrives_it_is_that_of_this_machine_s_clock() -> None:
    window = Window.of_arrivals(1_000_000, 25, [])
    assert (window.start_ms, window.end_ms) == (1_000_000, 1_025_000)
    assert window.remark == "no new transactions came in"


@pytest.mark.parametrize("few", [[8.0], [7.0, 9.0]])
def test_a_few_records_suffice(few: list[float]) -> None:
    assert Window.of_arrivals(0, 25, few).ahead_ms == 8


def test_timestamps_that_tell_nothing_of_when_they_came_cannot_be_measured() -> None:
    history = [-1_000.0 * day for day in range(100)]
    assert Window.of_arrivals(0, 50, history).ahead_ms is not None
    with pytest.raises(CannotMeasure, match="most are over 50 s apart"):
        Window.of_arrivals(0, 49, history)


@pytest.mark.parametrize(
    ("ahead_ms", "told"),
    [
        (60_000, "the newest transactions are 60 s ahead of this machine's clock"),
        (2_000, "the newest transactions are 2 s ahead of this machine's clock"),
        (1_999, ""),
        (-1_999, ""),
        (-7_200_000, "the newest transactions are 7200 s behind this machine's clock"),
    ],
)
def test_a_clock_that_differs_notably_is_told(ahead_ms: int, told: str) -> None:
    said = Window.of_arrivals(1_000_000, 25, [ahead_ms]).remark
    assert said == (f"{told}: the window is measured by their timestamps" if told else None)
