"""Nothing but a verdict or a dead letter ever comes of a record, whatever it is."""

from collections.abc import Sequence
from itertools import product

from corpus.making import records, values
from corpus.reading import outcome_of
from corpus.records import FRAUD, LEGIT, RECORDS, Odd
from corpus.traffic import to_send
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rulebooks import of_large_amounts, shipped, verdict_on

from detector.rules import Rules
from detector.service.memory import Bounds, Memory
from detector.service.routing import Limits, Routed, route
from detector.wire.strict_reader import Unreadable
from detector.wire.transaction import Transaction, _parse_strictly, parse
from kafka_batch import NO_TIMESTAMP, Batch
from kafka_batch._records.batch import EncodedBatch, PlainBatch
from kafka_batch._records.bodies import encode_body
from kafka_batch._records.decoding import decode
from kafka_batch._records.encoding import encode

ONE_RULE, TEN_RULES = of_large_amounts(900), shipped()
NOW_MS = 1_800_000_000_000
SMALL = [odd for odd in RECORDS if odd.size < 2_000]
LIMITS = Limits(max_bytes=1_100_000, max_ahead_ms=3_600_000)
thorough = settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])


def read(outcome: Transaction | Unreadable) -> str:
    """What became of a value, in the words of the corpus."""
    if isinstance(outcome, Unreadable):
        return outcome.code
    return FRAUD if verdict_on(ONE_RULE, outcome).matched.active else LEGIT


def expected(odd: Odd) -> str:
    outcome = outcome_of(odd.value)
    taken = -(2**62) < odd.timestamp_ms - NOW_MS <= LIMITS.max_ahead_ms
    refused = not taken or odd.timestamp_ms == NO_TIMESTAMP
    return "bad_timestamp" if refused and outcome in (LEGIT, FRAUD) else outcome


def whole(odds: Sequence[Odd]) -> Batch:
    """As a batch is when it is fetched."""
    sent = [to_send(odd) for odd in odds]
    bodies = [encode_body(key, value, headers) for _, key, value, headers in sent]
    base = sent[0][0]
    encoded = encode(bodies, [ms for ms, *_ in sent], base, 0)
    columns = decode(encoded, len(bodies), 100, 100 + len(bodies) - 1, base)
    return EncodedBatch("in", 3, 0, 100 + len(bodies), columns)


def by_record(odds: Sequence[Odd]) -> Batch:
    """As a batch is that the client's codec has read."""
    timestamps, keys, values, headers = zip(*map(to_send, odds), strict=True)
    return PlainBatch("in", 3, range(100, 100 + len(odds)), timestamps, keys, values, headers)


def routed(batch: Batch, rules: Rules = ONE_RULE) -> Routed:
    return route(batch, rules, LIMITS, NOW_MS, Memory(rules.layout, Bounds()))


def test_the_corpus_is_large_and_says_what_a_second_reading_says() -> None:
    assert len({odd.name for odd in RECORDS}) == len(RECORDS) >= 100
    assert {odd.name: odd.outcome for odd in RECORDS} == {
        odd.name: expected(odd) for odd in RECORDS
    }


@given(values)
@thorough
def test_a_value_is_read_the_same_by_every_way(value: bytes | None) -> None:
    assert read(parse(value)) == outcome_of(value)
    if value:
        assert _parse_strictly(value) == parse(value)


@given(st.lists(records | st.sampled_from(SMALL), min_size=1, max_size=8))
@settings(thorough, max_examples=60)
@example(list(RECORDS))
def test_each_record_of_a_batch_has_one_outcome_the_one_it_would_have_alone(
    odds: list[Odd],
) -> None:
    for batch, rules in product((whole(odds), by_record(odds)), (ONE_RULE, TEN_RULES)):
        its = routed(batch, rules)
        dead = [letter.row for letter in its.dead]
        assert len(its.legit) + len(its.fraud) + len(dead) == len(odds)
        for rows in its.legit, its.fraud, dead:
            assert [*rows] == sorted(rows)
        found = dict.fromkeys(its.legit, LEGIT) | dict.fromkeys(its.fraud, FRAUD)
        found |= {letter.row: letter.code for letter in its.dead}
        assert found == {row: expected(odd) for row, odd in enumerate(odds)}


@given(records)
@thorough
def test_what_a_dead_letter_says_is_one_line_with_nothing_of_the_record(odd: Odd) -> None:
    for letter in routed(whole([odd])).dead:
        found = dict(letter.headers.decoded())
        detail = (found["error_detail"] or b"").decode("ascii")
        assert found["error"] == letter.code.encode()
        assert found["origin"] == b"in/3/100"
        assert detail.isprintable()
        assert len(detail) < 120
        assert not LIMITS.refuse(letter.timestamp_ms, NOW_MS)
