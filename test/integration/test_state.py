"""What is remembered of accounts survives kills and scaling: every verdict and reason is the
oracle's, over the same input in offset order."""

import json
import random
import signal
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rules_oracle
from detecting import (
    Running,
    Topics,
    committed,
    numbers,
    running,
    send,
    send_numbered,
    some_topics,
    wait_until_judged,
)
from kafka import TopicPartition
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata
from rulebooks import all_active

from detector.rules.file.loading import load_file
from detector.rules.language.tree import Rulebook
from detector.service.memory import MANIFEST_KEY, Manifest
from detector.wire.transaction import Transaction, parse
from kafka_batch import BatchProducer, Record, StreamConfig, partition_of
from kafka_batch._client.kafka_python_3_0.admin import Admin

ACCOUNTS = 40
FAST = {"STATE_REPLAY_MAX": "300", "STATE_INTERVAL_MS": "200"}
LINE = '{{"source":"{}","target":"{}","amount":{},"currency":"USD"}}'


@pytest.fixture
def topics(kafka: Any, new_topic: Callable[..., str]) -> Topics:
    return some_topics(kafka.bootstrap_servers, new_topic)


@pytest.fixture
def rules_file(tmp_path: Path) -> Path:
    """The ten rules, all of them active."""
    file = tmp_path / "rules.yaml"
    file.write_text(all_active())
    return file


class Load:
    """Payments whose event times go on by some hours a thousand, so that windows end; seeded."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._time_ms = time.time_ns() // 1_000_000 - 30 * 86_400_000

    def take(self, count: int) -> list[tuple[int, Record]]:
        return [self._payment() for _ in range(count)]

    def _payment(self) -> tuple[int, Record]:
        its = self._random
        self._time_ms += its.randrange(60_000)
        late_ms = its.choice([0] * 9 + [600_000])
        source = f"account-{its.randrange(ACCOUNTS)}"
        target = f"payee-{its.randrange(30)}"
        amount = its.choice([its.randrange(1, 100), its.randrange(1, 1_000), 850, 499.99, 3])
        value = LINE.format(source, target, amount).encode()
        record = (self._time_ms - late_ms, source.encode(), value, ())
        return partition_of(source.encode(), 4), record


def reasons(record: Any) -> list[tuple[str, str]]:
    """The rules that fired, and the sentence of each."""
    headers = dict(record.headers)
    return [(r["rule"], r["text"]) for r in json.loads(headers.get("reasons", b"[]"))]


def expected(
    book: Rulebook, topics: Topics
) -> dict[tuple[int, bytes], list[list[tuple[str, str]]]]:
    """By partition and account: the reasons of each payment, in offset order."""
    accounts: dict[tuple[int, bytes], list[tuple[int, Transaction]]] = defaultdict(list)
    for record in sorted(committed(topics, topics.transactions), key=lambda r: r.offset):
        paid = parse(record.value)
        assert isinstance(paid, Transaction)
        accounts[record.partition, record.key].append((record.timestamp, paid))
    return {
        account: [
            [
                (rule.name, its.text or "")
                for rule, its in zip(book.rules, findings, strict=True)
                if its.fires
            ]
            for findings in rules_oracle.judge(book, payments)
        ]
        for account, payments in accounts.items()
    }


def differing(book: Rulebook, topics: Topics) -> list[str]:
    """Payments whose verdict or reasons are not the oracle's."""
    wanted, found = defaultdict(list), defaultdict(list)
    for record in sorted(committed(topics, topics.transactions), key=lambda r: r.offset):
        wanted[record.partition, record.key].append(record)
    for record in committed(topics, topics.legit, topics.fraud):
        found[record.partition, record.key].append(
            (record.value, record.timestamp, reasons(record))
        )
    wrong = []
    for account, findings in expected(book, topics).items():
        due = sorted(
            (r.value, r.timestamp, its) for r, its in zip(wanted[account], findings, strict=True)
        )
        got = sorted(found[account])
        wrong += [f"{account}: {a} != {b}" for a, b in zip(due, got, strict=True) if a != b]
    return wrong


class Detectors:
    """Detectors that are killed and started again, while payments come in. Each has a name of its
    own, so that the group does not wait for those that were killed."""

    def __init__(self, topics: Topics, folder: Path, stack: ExitStack, **settings: str) -> None:
        self._topics = topics
        self._folder = folder
        self._stack = stack
        self._settings = settings
        self._running: list[Running] = []

    def scale(self, count: int) -> None:
        while len(self._running) < count:
            self._running.append(self._start(len(self._running)))
        while len(self._running) > count:
            gone = self._running.pop()
            gone.wait_until_said("judging")
            assert gone.stop() == 0

    def kill(self, which: int) -> None:
        which %= len(self._running)
        self._running[which].signal(signal.SIGKILL)
        self._running[which].ended()
        self._running[which] = self._start(which)

    def _start(self, which: int) -> Running:
        log = self._folder / f"detector-{time.monotonic_ns()}"
        name = f"detector-{which}"
        detector = running(self._topics, log, INSTANCE_ID=name, **self._settings)
        return self._stack.enter_context(detector)


def test_verdicts_and_reasons_are_the_oracles_after_kills_and_scaling(
    topics: Topics, rules_file: Path, tmp_path: Path
) -> None:
    its, load, sent = random.Random(5), Load(5), 0  # noqa: S311
    with ExitStack() as stack:
        detectors = Detectors(topics, tmp_path, stack, RULES_FILE=str(rules_file), **FAST)
        for members in (1, 2, 3, 1):
            detectors.scale(members)
            for _ in range(5):
                send(topics, load.take(400))
                sent += 400
                wait_until_judged(topics, sent - its.randrange(100, 400))
                detectors.kill(its.randrange(3))
        found = wait_until_judged(topics, sent)
    assert len(found) == sent
    assert sum(bool(reasons(record)) for record in found) > sent / 2
    assert differing(load_file(rules_file), topics) == []


FORGETS = """
import sys
from detector.service import restoring
from detector.__main__ import main
restoring.Restoring._replay = lambda self, batch: None
sys.argv = ["detector"]
sys.exit(main())
"""


def test_the_comparison_sees_memory_that_is_lost(
    topics: Topics, rules_file: Path, tmp_path: Path
) -> None:
    load, unsaved = Load(6), {"STATE_REPLAY_MAX": "100000", "RULES_FILE": str(rules_file)}
    send(topics, load.take(1_000))
    with running(topics, tmp_path / "log", **unsaved) as detector:
        wait_until_judged(topics, 1_000)
        detector.signal(signal.SIGKILL)
        detector.ended()
    send(topics, load.take(1_000))
    with running(topics, tmp_path / "log", program=FORGETS, **unsaved):
        found = wait_until_judged(topics, 2_000)
    assert len(found) == 2_000
    assert differing(load_file(rules_file), topics) != []


def test_all_of_a_partition_is_kept_when_it_comes_back_at_once(
    topics: Topics, rules_file: Path, tmp_path: Path
) -> None:
    """A rebalance after which a partition is where it was restores nothing."""
    load, settings = Load(7), {"RULES_FILE": str(rules_file)}
    send(topics, load.take(400))
    with running(topics, tmp_path / "one", **settings) as one:
        wait_until_judged(topics, 400)
        with running(topics, tmp_path / "two", **settings) as two:
            two.wait_until_said("restored")
            restored = one.said().count('"restored"')
            send(topics, load.take(400))
            wait_until_judged(topics, 800)
            assert one.said().count('"restored"') == restored == 4
            assert two.said().count('"restored"') == 2
    assert differing(load_file(rules_file), topics) == []


def test_an_offset_that_was_set_back_is_refused(
    topics: Topics, rules_file: Path, tmp_path: Path
) -> None:
    settings = {"RULES_FILE": str(rules_file)}
    send(topics, Load(8).take(200))
    with running(topics, tmp_path / "log", **settings) as detector:
        wait_until_judged(topics, 200)
        assert detector.stop() == 0
    with closing(Admin(bootstrap_servers=topics.bootstrap_servers)) as admin:
        places = [TopicPartition(topics.transactions, n) for n in range(4)]
        admin.alter_group_offsets(
            topics.group, {place: OffsetAndMetadata(0, "", -1) for place in places}
        )
    with running(topics, tmp_path / "refused", **settings) as detector:
        assert detector.ended() == 1
        assert "is past the committed offset 0" in detector.said()


def test_state_that_is_gone_is_refused_or_gone_on_without(
    new_topic: Callable[..., str], topics: Topics, rules_file: Path, tmp_path: Path
) -> None:
    """The topic of the state is another, and the input no longer begins at 0."""
    settings = {"RULES_FILE": str(rules_file)}
    load = Load(9)
    send(topics, load.take(400))
    with running(topics, tmp_path / "log", **settings) as detector:
        wait_until_judged(topics, 400)
        assert detector.stop() == 0
    with closing(Admin(bootstrap_servers=topics.bootstrap_servers)) as admin:
        admin.delete_records({TopicPartition(topics.transactions, n): 10 for n in range(4)})
    other = replace(topics, state=new_topic(4, **{"cleanup.policy": "compact"}))
    with running(other, tmp_path / "refused", **settings) as detector:
        assert detector.ended() == 1
        assert "the input begins at offset 10, and 0 is needed" in detector.said()
    send(topics, load.take(400))
    with running(other, tmp_path / "partial", STATE_MISSING="partial", **settings):
        found = wait_until_judged(topics, 800)
    marks = [dict(r.headers).get("history") for r in found if reasons(r)]
    assert b"partial" in marks


def test_state_of_another_release_is_refused(topics: Topics, tmp_path: Path) -> None:
    manifest = msgspec.json.encode(Manifest(0, 0, "", 0, format=1))
    send(replace(topics, transactions=topics.state), [(2, (-1, MANIFEST_KEY, manifest, ()))])
    with running(topics, tmp_path / "log") as detector:
        assert detector.ended() == 1
        assert "holds state of format 1, and this release reads 2" in detector.said()


def test_partitions_wait_for_kafka_transactions_that_do_not_end_and_it_says_so(
    topics: Topics, tmp_path: Path
) -> None:
    config = StreamConfig(topics.bootstrap_servers, topics.group, topics.transactions)
    settings = {**config.for_the_producer(), "transaction_timeout_ms": 300_000}
    with closing(BatchProducer(**settings)) as another:
        another.init_transactional_id(10)
        another.begin_transaction()
        another.extend(TopicPartition(topics.state, 1), [(-1, MANIFEST_KEY, b"{}", ())])
        another.flush_within(10)
        offset = {TopicPartition(topics.transactions, 2): OffsetAndMetadata(7, "", -1)}
        another.send_offsets(offset, ConsumerGroupMetadata(topics.group, -1, "", None), 10)
        send_numbered(topics, 0, 400)
        with running(topics, tmp_path / "log") as detector:
            assert len(wait_until_judged(topics, 200)) == 200
            detector.wait_until_said("partitions are stalled")
            (line, *_) = [line for line in detector.said().splitlines() if "are stalled" in line]
            assert json.loads(line)["partitions"] == [1, 2]
            another.abort(10)
            assert numbers(wait_until_judged(topics, 400)) == list(range(400))
            assert detector.stop() == 0


def test_as_many_partitions_as_the_input_has_are_required(
    new_topic: Callable[..., str], topics: Topics, tmp_path: Path
) -> None:
    with running(replace(topics, state=new_topic(3)), tmp_path / "log") as detector:
        assert detector.ended() == 1
        assert "has 3 partitions" in detector.said()


def test_a_manifest_says_what_is_saved(topics: Topics, rules_file: Path, tmp_path: Path) -> None:
    settings = {"RULES_FILE": str(rules_file), "STATE_REPLAY_MAX": "0"}
    send(topics, Load(10).take(500))
    with running(topics, tmp_path / "log", **settings) as detector:
        wait_until_judged(topics, 500)
        assert detector.stop() == 0
    saved: dict[int, dict[bytes, bytes]] = defaultdict(dict)
    for record in committed(topics, topics.state):
        saved[record.partition][record.key] = record.value
    ends = {p: len(committed_in(topics, p)) for p in saved}
    for partition, values in saved.items():
        manifest = msgspec.json.decode(values.pop(MANIFEST_KEY), type=Manifest)
        assert manifest.accounts == len(values)
        assert manifest.as_of == manifest.low == ends[partition]


def committed_in(topics: Topics, partition: int) -> list[Any]:
    return [r for r in committed(topics, topics.transactions) if r.partition == partition]
