"""A batch's rows by destination: judged here, sent elsewhere."""

import json
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rulebooks import large_amount, of_large_amounts, shipped

from detector.rules import Rules
from detector.rules.file.loading import load
from detector.service.memory import Bounds, Memory
from detector.service.routing import Limits, Routed, route
from detector.wire.headers import VERDICT_HEADERS
from kafka_batch import NO_TIMESTAMP, Batch, Headers, PlainBatch, TopicLimits, record_size
from kafka_batch._records.batch import UniformBatch
from kafka_batch._records.encoding import encode
from kafka_batch._records.uniform_parsing import parse_uniform

RULES = of_large_amounts(900)
NOW_MS = 1_000_000_000
LIMITS = Limits(max_bytes=10_000, max_ahead_ms=3_600_000)
FINE = b'{"source":"a","target":"b","amount":5,"currency":"USD"}'
LARGE = b'{"source":"a","target":"b","amount":900,"currency":"USD"}'


def a_batch(
    *values: bytes | None,
    key: bytes | None = b"k",
    timestamp_ms: int = NOW_MS,
    headers: Headers = (),
) -> Batch:
    rows = len(values)
    return PlainBatch(
        "in", 3, range(10, 10 + rows), [timestamp_ms] * rows, [key] * rows, values, [headers] * rows
    )


def routed(batch: Batch, rules: Rules = RULES, limits: Limits = LIMITS) -> Routed:
    return route(batch, rules, limits, NOW_MS, Memory(rules.layout, Bounds()))


def test_each_row_has_one_destination_in_offset_order() -> None:
    found = routed(a_batch(FINE, LARGE, b"?", FINE, None, LARGE))
    assert [*found.legit] == [0, 3]
    assert found.fraud == [1, 5]
    assert [letter.row for letter in found.dead] == [2, 4]
    assert [letter.code for letter in found.dead] == ["not_json", "null_value"]


@given(
    values=st.lists(
        st.sampled_from([FINE, LARGE, b"?}", b"[1]}", FINE.replace(b":", b": "), FINE + b"\n{}"]),
        min_size=16,
        max_size=80,
    )
)
@settings(deadline=None)
def test_a_batch_of_records_that_are_alike_is_routed_as_any_other(values: list[bytes]) -> None:
    padded = [value[:-1].replace(b"a", b"a" * 20, 1).ljust(70) + value[-1:] for value in values]
    plain = a_batch(*padded)
    encoded = encode(plain.bodies, plain.timestamps, NOW_MS, 0)
    uniform = parse_uniform(encoded, len(values), 10, 9 + len(values), NOW_MS)
    assert uniform
    batch = UniformBatch("in", 3, -1, range(10, 10 + len(values)), uniform)
    for rules in RULES, shipped():
        expected, found = routed(plain, rules), routed(batch, rules)
        assert [*found.legit] == [*expected.legit]
        assert found.fraud == expected.fraud
        assert found.fraud_headers == expected.fraud_headers
        assert found.dead == expected.dead
        assert found.matches == expected.matches


def test_a_fraud_gets_the_headers_of_its_verdict() -> None:
    (block,) = routed(a_batch(LARGE)).fraud_headers
    headers = block.decoded()
    names = [name for name, _ in headers]
    assert names == ["judged", "rules", "reasons", "rules_version"]
    found = dict(headers)
    assert found["judged"] == f"in/3/10;rules={RULES.version}".encode()
    assert found["rules"] == b"large_amount"
    assert found["rules_version"] == RULES.version.encode()
    (reason,) = json.loads(found["reasons"] or b"")
    assert reason["text"] == "900.00 USD is at least 900.00 USD."


def test_a_reason_names_both_accounts_whatever_the_order_of_the_records_fields() -> None:
    book = large_amount(900).replace("{observed}", "From {source} to {target}: {observed}")
    fields = b'"source":"alice"', b'"target":"bob"', b'"amount":950', b'"currency":"USD"'
    values = [b"{%b}" % b",".join(order) for order in permutations(fields)]
    found = routed(a_batch(*values), Rules(load(book))).fraud_headers
    assert len(found) == 24
    for headers in found:
        (reason,) = json.loads(dict(headers.decoded())["reasons"] or b"")
        assert reason["text"] == "From alice to bob: 950.00 USD is at least 900.00 USD."


def test_each_payment_that_a_rule_has_no_amount_for_is_counted() -> None:
    rules = Rules(load(large_amount(900).replace('"*"', "EUR")))
    assert [*routed(a_batch(FINE, LARGE, FINE, LARGE), rules).legit] == [0, 1, 2, 3]
    assert rules.inapplicable == {0: 4}


def test_rules_that_look_at_the_record_alone_remember_no_account_unless_others_may_follow() -> None:
    for may_change in (False, True):
        rules = Rules(load(large_amount(900)), may_change=may_change)
        memory = Memory(rules.layout, Bounds())
        route(a_batch(FINE, LARGE), rules, LIMITS, NOW_MS, memory)
        assert (rules.remembers, len(memory)) == (may_change, may_change)


def test_a_dead_letter_is_the_record_with_headers_of_its_own() -> None:
    (letter,) = routed(a_batch(FINE, b"?", headers=[("own", None)])).dead
    assert (letter.row, letter.timestamp_ms, letter.record) == (1, NOW_MS, None)
    assert letter.headers.decoded() == [
        ("judged", f"in/3/11;rules={RULES.version}".encode()),
        ("error", b"not_json"),
        ("error_detail", b"not JSON at character 0"),
        ("origin", b"in/3/11"),
    ]


@pytest.mark.parametrize("rules", [RULES, shipped()])
@pytest.mark.parametrize("name", sorted(VERDICT_HEADERS))
def test_what_a_sender_calls_as_the_detector_does_gets_the_marker_behind_it(
    rules: Rules, name: str
) -> None:
    forged = a_batch(FINE, FINE, headers=[("trace", b"x"), (name, b"forged")])
    found = routed(forged, rules)
    assert [*found.legit] == [0, 1]
    assert {row: block.decoded() for row, block in found.legit_headers.items()} == {
        row: [("judged", f"in/3/{10 + row};rules={rules.version}".encode())] for row in (0, 1)
    }
    assert not found.matches


def test_a_legitimate_record_with_other_headers_stays_as_it_is() -> None:
    own = [("trace", b"\x0arules"), ("Judged", b"x"), ("judged\0", b"x")]
    found = routed(a_batch(FINE, headers=own))
    assert ([*found.legit], found.legit_headers) == ([0], {})


def test_a_forged_header_takes_its_marker_also_where_there_is_no_room() -> None:
    batch = a_batch(FINE, headers=[("judged", b"x")])
    (letter,) = routed(batch, limits=Limits(LIMITS.max_bytes, 3_600_000)).dead or (None,)
    assert letter is None
    tight = Limits(record_size(batch.max_body_size) + 10, 3_600_000)
    (letter,) = routed(batch, limits=tight).dead
    assert letter.code == "too_large"


def test_a_timestamp_may_be_as_far_ahead_as_the_topics_take() -> None:
    latest = NOW_MS + LIMITS.max_ahead_ms
    assert [*routed(a_batch(FINE, timestamp_ms=latest)).legit] == [0]
    (letter,) = routed(a_batch(FINE, timestamp_ms=latest + 1)).dead
    assert (letter.code, letter.timestamp_ms, letter.record) == ("bad_timestamp", NOW_MS, None)
    assert dict(letter.headers.decoded())["origin_timestamp"] == str(latest + 1).encode()


def test_a_timestamp_may_be_as_far_behind_as_the_topics_take() -> None:
    limits = Limits(10_000, 3_600_000, max_behind_ms=1_000)
    earliest = NOW_MS - limits.max_behind_ms
    assert [*routed(a_batch(FINE, timestamp_ms=earliest), limits=limits).legit] == [0]
    (letter,) = routed(a_batch(FINE, timestamp_ms=earliest - 1), limits=limits).dead
    assert (letter.code, letter.timestamp_ms) == ("bad_timestamp", NOW_MS)


def test_a_record_without_a_timestamp_is_a_dead_letter_and_no_payment_of_its_account() -> None:
    rules = Rules(load(large_amount(900)), may_change=True)
    memory = Memory(rules.layout, Bounds())
    for value, code in ((FINE, "bad_timestamp"), (b"?", "not_json")):
        batch = a_batch(value, timestamp_ms=NO_TIMESTAMP)
        (letter,) = route(batch, rules, LIMITS, NOW_MS, memory).dead
        assert (letter.code, letter.timestamp_ms) == (code, NOW_MS)
        assert dict(letter.headers.decoded())["origin_timestamp"] == b"-1"
    assert len(memory) == 0


def test_one_timestamp_too_far_ahead_is_no_matter_to_the_rows_beside_it() -> None:
    values, timestamps = [FINE, LARGE, FINE, b"?"], [NOW_MS, NOW_MS, 2**63 - 1, NOW_MS]
    batch = PlainBatch("in", 3, range(4), timestamps, [None] * 4, values, [()] * 4)
    found = routed(batch)
    assert ([*found.legit], found.fraud) == ([0], [1])
    assert [(it.row, it.code) for it in found.dead] == [(2, "bad_timestamp"), (3, "not_json")]


def test_a_record_that_is_unreadable_and_ahead_gets_a_timestamp_the_broker_takes() -> None:
    (letter,) = routed(a_batch(b"?", timestamp_ms=2 * NOW_MS)).dead
    assert (letter.code, letter.timestamp_ms) == ("not_json", NOW_MS)


def padded(value: bytes, size: int) -> bytes:
    return value[:-1] + b',"note":"' + b"x" * size + b'"}'


def test_a_record_too_large_for_the_topics_leaves_its_value_at_its_origin() -> None:
    (letter,) = routed(a_batch(padded(FINE, 11_000))).dead
    assert letter.code == "too_large"
    assert letter.record is not None
    _, key, value, headers = letter.record
    assert (key, value) == (b"k", None)
    assert dict(headers)["origin"] == b"in/3/10"


def test_a_key_too_large_for_the_topics_is_left_out_too() -> None:
    batch = a_batch(FINE, key=b"k" * 11_000, headers=[("own", b"x")])
    (letter,) = routed(batch).dead
    assert letter.record is not None
    _, key, value, headers = letter.record
    assert (key, value) == (None, None)
    assert [name for name, _ in headers] == ["judged", "error", "error_detail", "origin"]


def test_a_record_that_fits_only_without_the_headers_of_a_verdict_is_too_large() -> None:
    size = LIMITS.max_bytes - 300
    assert [*routed(a_batch(padded(FINE, size))).legit] == [0]
    (letter,) = routed(a_batch(padded(LARGE, size))).dead
    assert letter.code == "too_large"


def test_dead_letters_are_in_offset_order_whatever_is_wrong_with_each() -> None:
    batch = a_batch(LARGE, b"?", LARGE, FINE, b"?")
    tight = Limits(batch.max_body_size + 150, max_ahead_ms=3_600_000)
    found = routed(batch, limits=tight)
    assert [*found.legit] == [3]
    assert [(letter.row, letter.code) for letter in found.dead] == [
        (0, "too_large"),
        (1, "not_json"),
        (2, "too_large"),
        (4, "not_json"),
    ]


def test_the_limits_are_the_strictest_of_the_topics() -> None:
    topics = [TopicLimits(4, 1_000, 50, 9), TopicLimits(4, 500, 60)]
    assert Limits.of(topics, TopicLimits(4, max_ahead_ms=51)) == Limits(500, 50, 9)


def test_what_an_input_as_strict_has_taken_is_not_too_far_ahead_whatever_our_clock_says() -> None:
    limits = Limits.of([TopicLimits(4), TopicLimits(4)], TopicLimits(4))
    a_day_ahead = a_batch(FINE, timestamp_ms=NOW_MS + 86_400_000)
    assert [*routed(a_day_ahead, limits=limits).legit] == [0]
