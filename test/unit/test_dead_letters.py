"""When the detector warns of dead letters, and what it says of them."""

from collections import Counter

from detector.service.dead_letters import DeadLetterWarnings
from kafka_batch import HeaderBlock


def a_sample(detail: str, origin: str) -> HeaderBlock:
    content = {"error": b"code", "error_detail": detail.encode(), "origin": origin.encode()}
    return HeaderBlock.of([*content.items()])


SAMPLES = {
    "not_json": a_sample("the value is not JSON", "in/0/7"),
    "bad_amount": a_sample("amount is not a number", "in/3/12"),
}


def test_nothing_is_said_while_there_are_none() -> None:
    assert DeadLetterWarnings().next(0, 1_000, Counter(), {}) == {}


def test_the_first_one_is_told_at_once_with_where_it_came_from() -> None:
    assert DeadLetterWarnings().next(100, 450, Counter(not_json=1), SAMPLES) == {
        "dead_letters": 1,
        "read": 450,
        "share": "0.222 %",
        "commonest_error": "not_json",
        "count": 1,
        "detail": "the value is not JSON",
        "sample": "in/0/7",
    }


def test_further_ones_are_told_together_ten_seconds_later() -> None:
    warnings = DeadLetterWarnings()
    assert warnings.next(100, 10, Counter(not_json=1), SAMPLES)
    assert not warnings.next(109.9, 400, Counter(not_json=41, bad_amount=80), SAMPLES)
    said = warnings.next(110, 510, Counter(not_json=51, bad_amount=200), SAMPLES)
    assert (said["dead_letters"], said["read"], said["share"]) == (250, 500, "50 %")
    assert (said["commonest_error"], said["count"], said["sample"]) == (
        "bad_amount",
        200,
        "in/3/12",
    )


def test_nothing_is_said_again_where_no_more_have_come() -> None:
    warnings = DeadLetterWarnings()
    errors = Counter(not_json=1)
    assert warnings.next(100, 10, errors, SAMPLES)
    assert not warnings.next(200, 90, errors, SAMPLES)
    errors["not_json"] += 1  # the same counter, as the detector's
    assert warnings.next(200.1, 100, errors, SAMPLES)["read"] == 90


def test_the_next_one_after_a_while_is_told_at_once() -> None:
    warnings = DeadLetterWarnings()
    assert warnings.next(100, 10, Counter(not_json=1), SAMPLES)
    assert warnings.next(300, 20, Counter(not_json=2), SAMPLES)["dead_letters"] == 1
