"""Reads everything back as committed, with two clients, and compares it with what must be there."""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, TopicPartition
from detecting import Topics, committed, wait_until
from kafka import KafkaAdminClient
from kafka import TopicPartition as Partition
from kafka.admin import OffsetSpec
from kafka.protocol.consumer import IsolationLevel

from faults.load import Written
from faults.oracle import (
    LARGE_AMOUNT,
    PARTITIONS,
    Expected,
    Headers,
    Stored,
    appended,
    came_out,
    judge,
)
from faults.replay import replayed

_READ_S = 400.0  # librdkafka asks for leaders again every five minutes
_SHOWN = 3


def check(
    topics: Topics,
    written: Written,
    rules_file: Path,
    gone: Sequence[Sequence[Stored]] = (),
    *,
    exactly_once: bool = True,
) -> list[str]:
    """What is wrong, a line each; nothing where exactly the right records came out.

    All must have been judged. `gone` are inputs that were there before, each deleted since. A
    record may be in the input twice, where a broker was lost as librdkafka wrote it: then it must
    come out twice.
    """
    names = (topics.transactions, *topics.outputs)
    # A Kafka transaction counts as soon as its end is stored; its records can be read a moment
    # later, when each of their partitions has got the word.
    wait_until(lambda: not _open(topics, names), "all Kafka transactions have ended")
    found = read_back(topics, names)
    lives = [*gone, [record for record in found if record.topic == topics.transactions]]
    inputs = [record for life in lives for record in life]
    results = [record for record in found if record.topic != topics.transactions]
    problems = [*_of_the_load(written, inputs)]
    if Counter(_by_librdkafka(topics.bootstrap_servers, names)) != Counter(found):
        problems.append("the two clients that read it back do not agree")
    wanted: dict[Stored, Headers] = {}  # where memory is not saved, it starts over again and again
    for life in lives if exactly_once else ():
        wanted |= replayed(life, rules_file)
    expected = [
        judge(record, written.planted, topics, _others(wanted.get(record, ()))) for record in inputs
    ]
    problems += of_the_outcome(expected, [came_out(record) for record in results])
    problems += of_the_order(inputs, expected, results)
    if exactly_once:
        problems += of_the_memory(wanted, results, topics)
    problems += _of_the_group(topics)
    return problems


def of_the_outcome(expected: Sequence[Expected], found: Sequence[Expected]) -> list[str]:
    """Lost, repeated and altered records: the difference of two multisets."""
    wanted, got = Counter(expected), Counter(found)
    known = set(wanted)
    missing = [outcome for outcome, n in (wanted - got).items() for _ in range(n)]
    extra = [outcome for outcome, n in (got - wanted).items() for _ in range(n)]
    repeated = [outcome for outcome in extra if outcome in known]
    altered = [outcome for outcome in extra if outcome not in known]
    problems = []
    for what, those in (("lost", missing), ("repeated", repeated), ("altered", altered)):
        if those:
            shown = "; ".join(map(str, those[:_SHOWN]))
            problems.append(f"{what}: {len(those)} of {len(expected)}, as {shown}")
    return problems


def _of_the_load(written: Written, inputs: Iterable[Stored]) -> Iterator[str]:
    """The input must hold what the load was told it holds: else the load is at fault, not we.

    Where a broker was lost, librdkafka may learn that a record is stored, and not at which offset.
    """
    found: dict[bytes | None, set[tuple[int, int]]] = defaultdict(set)
    for record in inputs:
        found[record.value].add((record.partition, record.offset))
    if written.places.keys() != found.keys():
        yield f"the load: {len(written.places)} acknowledged, {len(found)} found"
    moved = [v for v, place in written.places.items() if place[1] >= 0 and place not in found[v]]
    yield from (f"the load: {v!r} is not where it was stored" for v in moved[:_SHOWN])
    yield from (f"the load: {failure}" for failure in written.failures[:_SHOWN])


def of_the_order(
    inputs: Sequence[Stored],
    expected: Sequence[Expected],
    results: Sequence[Stored],
) -> list[str]:
    """Records of a key, from one partition of the input, keep their order within a topic."""
    origins: dict[Expected, deque[int]] = defaultdict(deque)
    for place, outcome in enumerate(expected):
        origins[outcome].append(place)
    last: dict[tuple[str, int, bytes | None], int] = {}
    wrong, misplaced = [], []
    for result in sorted(results, key=lambda r: (r.topic, r.partition, r.offset)):
        places = origins[came_out(result)]
        if not places:
            continue  # altered or repeated, which is told already
        at = places.popleft()
        source = inputs[at]
        stream = (result.topic, source.partition, source.key)
        if at < last.get(stream, -1):
            wrong.append(f"{source.origin} in {result.origin}")
        last[stream] = at
        if source.partition % PARTITIONS != result.partition:
            misplaced.append(f"{source.origin} in {result.origin}")
    return [
        f"{what}: {len(those)}, as {'; '.join(those[:_SHOWN])}"
        for what, those in (("out of order", wrong), ("in another partition", misplaced))
        if those
    ]


def _others(headers: Headers) -> list[str]:
    """The rules that a verdict names besides that of large amounts."""
    named = (dict(headers).get("rules") or b"").decode().split(",")
    return [name for name in named if name not in ("", LARGE_AMOUNT)]


def of_the_memory(
    wanted: Mapping[Stored, Headers], results: Sequence[Stored], topics: Topics
) -> Iterator[str]:
    """Each verdict must be what a replay says, of each topic that the input has been."""
    by_value: dict[bytes | None, list[Headers]] = defaultdict(list)
    for record, headers in wanted.items():
        by_value[record.value].append(headers)
    wrong = [
        f"{result.origin}: {said}, replayed: {by_value[result.value]}"
        for result in results
        if result.topic != topics.dead_letter
        and (said := appended(result)) not in by_value[result.value]
    ]
    if wrong:
        yield f"another verdict than a replay's: {len(wrong)}, as {'; '.join(wrong[:_SHOWN])}"


def _of_the_group(topics: Topics) -> Iterator[str]:
    """Committed offsets at the end of the input."""
    with closing(KafkaAdminClient(bootstrap_servers=topics.bootstrap_servers)) as admin:
        ends = _ends(admin, [topics.transactions])
        done = committed_offsets(admin, topics)
    for place, end in ends.items():
        if end and done.get(place) != end:
            yield f"{place}: committed {done.get(place)}, and the end is {end}"


def _open(topics: Topics, names: Sequence[str]) -> list[Partition]:
    """Where there is a Kafka transaction that has not ended."""
    with closing(KafkaAdminClient(bootstrap_servers=topics.bootstrap_servers)) as admin:
        ends = _ends(admin, names)
        stable = _ends(admin, names, IsolationLevel.READ_COMMITTED)
    return [place for place in ends if ends[place] != stable[place]]


def lag(topics: Topics) -> int:
    """How many records the group has yet to commit."""
    with closing(KafkaAdminClient(bootstrap_servers=topics.bootstrap_servers)) as admin:
        ends, done = _ends(admin, [topics.transactions]), committed_offsets(admin, topics)
    return sum(end - max(0, done.get(place, 0)) for place, end in ends.items())


def committed_offsets(admin: KafkaAdminClient, topics: Topics) -> dict[Partition, int]:
    """Of the detectors' group, where there are any."""
    listed = admin.list_group_offsets(topics.group)[topics.group]
    return {place: at.offset for place, at in listed.items() if at is not None}


def _ends(
    admin: KafkaAdminClient,
    names: Sequence[str],
    level: IsolationLevel = IsolationLevel.READ_UNCOMMITTED,
) -> dict[Partition, int]:
    places = [
        Partition(topic["name"], partition["partition_index"])
        for topic in admin.describe_topics(list(names))
        for partition in topic["partitions"]
    ]
    listed = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST), level)
    return {place: found.offset for place, found in listed.items()}


def read_back(topics: Topics, names: Sequence[str]) -> list[Stored]:
    """All records of the topics, as kafka-python reads them."""
    return [
        Stored(
            r.topic,
            r.partition,
            r.offset,
            r.timestamp,
            r.key,
            r.value,
            tuple((str(name), value) for name, value in r.headers),
        )
        for r in committed(topics, *names)
    ]


def _by_librdkafka(bootstrap_servers: str, names: Sequence[str]) -> Iterator[Stored]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "checker",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )
    try:
        known = consumer.list_topics().topics
        places = [TopicPartition(n, p, 0) for n in names for p in known[n].partitions]
        consumer.assign(places)
        left = {(place.topic, place.partition) for place in places}
        deadline = time.monotonic() + _READ_S
        while left:
            assert time.monotonic() < deadline, f"librdkafka does not reach the ends of {left}"
            for message in consumer.consume(10_000, 0.2):
                if message.error() is not None:
                    assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                    left.discard((message.topic(), message.partition()))
                    continue
                headers = tuple((name, value) for name, value in message.headers() or ())
                where = (message.topic(), message.partition(), message.offset())
                timestamp = message.timestamp()[1]
                yield Stored(*where, timestamp, message.key(), message.value(), headers)
    finally:
        consumer.close()
