"""Hostile records among good ones, through the detector as its users start it."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from corpus.making import records
from corpus.reading import outcome_of
from corpus.records import FRAUD, HEADERS, LEGIT, RECORDS, Odd
from corpus.traffic import good, mixed, to_send
from detecting import (
    Topics,
    committed,
    running,
    send,
    some_topics,
    transaction,
    wait_until_judged,
)
from hypothesis import HealthCheck, Phase, given, settings
from kafka.errors import MessageSizeTooLargeError

from detector.wire.headers import VERDICT_HEADERS
from kafka_batch import NO_TIMESTAMP, Record
from kafka_batch._records.bodies import encode_body
from kafka_batch._records.encoding import encode

FRAUD_HEADERS = {"judged", "rules", "reasons", "rules_version"}
NOTES = {"judged", "shadow_rules", "rules_version", "history"}  # a verdict of either kind may have
EVER_MS = 2**63 - 1
BATCH_HEADER_BYTES = 61
AHEAD_MS = 3_600_000  # of the clock: the furthest that the output topics take
BEHIND_MS = 2**62 - 1
MAX_LOG_LINES = 12  # but for those that come:
EVERY_TEN_SECONDS = ('"event": "judged"', "records can't be judged")

pytestmark = pytest.mark.usefixtures("record_codec")


@pytest.fixture
def topics(kafka: Any, new_topic: Callable[..., str]) -> Topics:
    """The input takes any timestamp; the output topics are as `create-topics` makes them."""
    lenient = {"message.timestamp.after.max.ms": str(EVER_MS)}
    return some_topics(kafka.bootstrap_servers, new_topic, source=lenient)


class Sent:
    """Records with their outcomes, round and round over four partitions of an empty topic."""

    def __init__(self, topics: Topics, outcomes: Sequence[tuple[str, Record]]) -> None:
        self.topics = topics
        self.records = [(n % 4, n // 4, *known) for n, known in enumerate(outcomes)]
        self.began_ms = time.time_ns() // 1_000_000
        send(topics, [(partition, record) for partition, _, _, record in self.records])

    def to(self, *outcomes: str) -> dict[int, list[tuple[int, str, Record]]]:
        """What must be in a topic: by partition, in order, the offset, outcome and record."""
        found: dict[int, list[tuple[int, str, Record]]] = {0: [], 1: [], 2: [], 3: []}
        for partition, offset, outcome, record in self.records:
            if outcome in outcomes:
                found[partition].append((offset, outcome, record))
        return found

    def codes(self) -> set[str]:
        return {outcome for _, _, outcome, _ in self.records} - {LEGIT, FRAUD}


def plain(record: Record) -> tuple[Any, ...]:
    timestamp_ms, key, value, headers = record
    return timestamp_ms, key, value, [(name.encode(), content) for name, content in headers]


def pairs(sent: Sent, topic: str, *outcomes: str) -> Iterator[tuple[int, str, Record, Any]]:
    """Each record that must be in a topic, beside the one that stands in its place there."""
    there: dict[int, list[Any]] = {0: [], 1: [], 2: [], 3: []}
    for record in sorted(committed(sent.topics, topic), key=lambda it: (it.partition, it.offset)):
        there[record.partition].append(record)
    for partition, expected in sent.to(*outcomes).items():
        assert len(there[partition]) == len(expected)
        for (offset, outcome, record), found in zip(expected, there[partition], strict=True):
            yield offset, outcome, record, found


def is_taken(timestamp_ms: int, now_ms: int) -> bool:
    """Whether a payment at this time is judged; one without a timestamp is not."""
    within = now_ms - BEHIND_MS <= timestamp_ms <= now_ms + AHEAD_MS
    return within and timestamp_ms != NO_TIMESTAMP


def check_passed_on(sent: Sent) -> None:
    """Each once, in order, and byte for byte; with the headers of its verdict behind its own."""
    for topic, outcome, needed in (
        (sent.topics.legit, LEGIT, set()),
        (sent.topics.fraud, FRAUD, FRAUD_HEADERS),
    ):
        for _, _, record, found in pairs(sent, topic, outcome):
            own = len(record[3])
            ours = [name for name, _ in found.headers[own:]]
            forged = VERDICT_HEADERS & {name for name, _ in record[3]}
            assert (ours[:1] == ["judged"]) is bool(ours or forged)
            assert needed <= {name for name, _ in found.headers[own:]} <= needed | NOTES
            here = found.timestamp, found.key, found.value, found.headers[:own]
            assert plain(here) == plain(record)


def check_dead(sent: Sent) -> None:
    """One dead letter each, in order, with the right code, and nothing of it in what we add."""
    now_ms = time.time_ns() // 1_000_000
    for offset, code, record, found in pairs(sent, sent.topics.dead_letter, *sent.codes()):
        own = len(record[3])
        ours = dict(found.headers[own:])
        assert tuple(ours)[:4] == HEADERS
        assert ours["error"].decode() == code
        assert ours["error_detail"].decode("ascii").isprintable()
        assert b"FORGED" not in ours["error_detail"]
        origin = f"{sent.topics.transactions}/{found.partition}/{offset}"
        assert ours["origin"].decode() == origin
        timestamp_ms = found.timestamp
        if not is_taken(record[0], now_ms):
            assert sent.began_ms <= timestamp_ms <= now_ms
            timestamp_ms = int(ours["origin_timestamp"])
        assert plain((timestamp_ms, found.key, found.value, found.headers[:own])) == plain(record)


def check(sent: Sent, log: Path) -> None:
    """Runs a detector over what was sent, until all is judged."""
    with running(sent.topics, log) as detector:
        wait_until_judged(sent.topics, len(sent.records))
        assert detector.stop() == 0
        lines = detector.said().splitlines()
    once = [line for line in lines if not any(words in line for words in EVERY_TEN_SECONDS)]
    assert len(once) < MAX_LOG_LINES, once
    assert "FORGED" not in "".join(lines)
    check_passed_on(sent)
    check_dead(sent)


def test_one_hostile_record_to_ten_good_ones_is_one_dead_letter_each(
    topics: Topics, tmp_path: Path
) -> None:
    hostile = ((odd.outcome, to_send(odd)) for odd in RECORDS)
    fine = ((outcome_of(record[2]), record) for record in good())
    check(Sent(topics, [*mixed(fine, hostile)]), tmp_path / "log")


@settings(
    max_examples=400,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(records)
def make(made: list[Odd], odd: Odd) -> None:
    made.append(odd)


def test_of_made_up_records_each_is_a_verdict_or_a_dead_letter(
    topics: Topics, tmp_path: Path
) -> None:
    made: list[Odd] = []
    make(made)
    now_ms = time.time_ns() // 1_000_000

    def outcome(odd: Odd) -> str:
        found = outcome_of(odd.value)
        is_bad = not is_taken(odd.timestamp_ms, now_ms) and found in (LEGIT, FRAUD)
        return "bad_timestamp" if is_bad else found

    check(Sent(topics, [(outcome(odd), to_send(odd)) for odd in made]), tmp_path / "log")


def of_size(value: bytes, size: int) -> Record:
    """A record that takes exactly so many bytes as a batch of its own: blanks go before the brace
    that its value ends with."""

    def padded(blanks: int) -> Record:
        return 1, b"k", value[:-1] + b" " * blanks + value[-1:], ()

    def taken(record: Record) -> int:
        return BATCH_HEADER_BYTES + len(encode([encode_body(*record[1:])], [1], 1, 0))

    blanks = size - taken(padded(0))
    record = padded(blanks - (taken(padded(blanks)) - size))  # lengths take more bytes now
    assert taken(record) == size
    return record


def test_what_the_output_topics_take_with_our_headers_is_passed_on_whole_and_no_more(
    kafka: Any, new_topic: Callable[..., str], tmp_path: Path
) -> None:
    most = 60_000
    small = {"max.message.bytes": str(most)}
    topics = some_topics(kafka.bootstrap_servers, new_topic, outputs=small)
    sent = [
        of_size(value, most + more)
        for more in (-500, -20, 1)
        for value in (transaction(1), transaction(1, "900"), b"no JSON {}")
    ]
    send(topics, [(0, record) for record in sent])
    with running(topics, tmp_path / "log"):
        wait_until_judged(topics, len(sent))
    assert [found.value for found in committed(topics, topics.legit)] == [sent[0][2], sent[3][2]]
    assert [found.value for found in committed(topics, topics.fraud)] == [sent[1][2]]
    dead = [
        (dict(found.headers)["error"].decode(), found.key, found.value)
        for found in committed(topics, topics.dead_letter)
    ]
    assert dead == [
        ("not_json", b"k", sent[2][2]),
        ("too_large", b"k", None),  # the fraud; its headers don't fit
        ("not_json", b"k", None),
        ("too_large", b"k", None),
        ("too_large", b"k", None),
        ("not_json", b"k", None),
    ]


def test_a_record_of_the_largest_size_the_input_takes_is_passed_on(
    topics: Topics, tmp_path: Path
) -> None:
    most = 1_048_588
    values = transaction(1), transaction(1, "900"), b"no JSON {}"
    sent = [(n, of_size(value, most)) for n, value in enumerate(values)]
    send(topics, sent)
    with pytest.raises(MessageSizeTooLargeError):
        send(topics, [(0, of_size(values[0], most + 1))])
    with running(topics, tmp_path / "log"):
        found = wait_until_judged(topics, len(sent))
    places = {record.topic: (record.partition, record.value) for record in found}
    assert places == {
        topic: (n, record[2]) for topic, (n, record) in zip(topics.outputs, sent, strict=True)
    }


def test_a_compressed_record_may_be_larger_than_any_topic_takes(
    topics: Topics, tmp_path: Path
) -> None:
    large = of_size(transaction(1), 20_000_000)
    send(topics, [(0, large), (0, (1, b"k", transaction(2), ()))], compression_type="gzip")
    with running(topics, tmp_path / "log"):
        wait_until_judged(topics, 2)
    (dead,) = committed(topics, topics.dead_letter)
    assert (dict(dead.headers)["error"], dead.key, dead.value) == (b"too_large", b"k", None)
    assert [found.value for found in committed(topics, topics.legit)] == [transaction(2)]
