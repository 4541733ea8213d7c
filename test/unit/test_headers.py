"""The headers that the detector appends."""

from detector.rules import INNOCENT, Matched, Verdict
from detector.wire.headers import dead_letter_headers, verdict_headers
from detector.wire.strict_reader import Unreadable

VERSION = "0123456789ab"


def test_a_fraud_has_the_active_rules_the_reasons_and_the_version() -> None:
    matched = Matched((0, 2), active=("large_amount", "spike"))
    headers = verdict_headers(Verdict(matched, VERSION, b"[{}, {}]"))
    assert headers
    assert headers.decoded() == [
        ("rules", b"large_amount,spike"),
        ("reasons", b"[{}, {}]"),
        ("rules_version", b"0123456789ab"),
    ]


def test_a_partial_history_and_rules_in_shadow_follow() -> None:
    matched = Matched((0, 1, 2), active=("large_amount",), shadow=("fan_out", "dormancy"))
    headers = verdict_headers(Verdict(matched, VERSION, b"[{}]", partial=True))
    assert headers
    assert headers.decoded()[3:] == [
        ("history", b"partial"),
        ("shadow_rules", b"fan_out,dormancy"),
    ]


def test_a_record_that_only_rules_in_shadow_fired_on_has_their_names() -> None:
    headers = verdict_headers(Verdict(Matched((1,), shadow=("fan_out",)), VERSION))
    assert headers
    assert headers.decoded() == [("shadow_rules", b"fan_out")]


def test_where_no_rule_fired_nothing_is_appended() -> None:
    assert verdict_headers(INNOCENT) is None


def test_a_dead_letter_says_what_is_wrong_and_where_it_is_from() -> None:
    fault = Unreadable("not_json", "not JSON at character 0")
    expected = [
        ("error", b"not_json"),
        ("error_detail", b"not JSON at character 0"),
        ("origin", b"in/3/11"),
    ]
    assert dead_letter_headers(fault, b"in/3/11").decoded() == expected
    again = dead_letter_headers(fault, b"in/3/11", origin_timestamp_ms=-5)
    assert again.decoded() == [*expected, ("origin_timestamp", b"-5")]
