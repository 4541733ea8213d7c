"""Reads everything back as committed, with two clients, and compares it with what must be there."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from kafka import KafkaAdminClient, KafkaConsumer
from kafka import TopicPartition as Partition
from kafka.admin import OffsetSpec
from kafka.protocol.consumer import IsolationLevel

from faults.load import Written
from faults.oracle import PARTITIONS, Expected, Outputs, Stored, came_out, judge

_READ_S = 120.0
_SHOWN = 3


def check(
    bootstrap_servers: str,
    topic: str,
    outputs: Outputs,
    group: str,
    written: Written,
) -> list[str]:
    """What is wrong, a line each; nothing where exactly the right records came out.

    All must have been judged.
    """
    names = (topic, outputs.legit, outputs.fraud, outputs.dead_letter)
    found = _by_kafka_python(bootstrap_servers, names)
    inputs = [record for record in found if record.topic == topic]
    results = [record for record in found if record.topic != topic]
    problems = [*_of_the_load(written, inputs)]
    if Counter(_by_librdkafka(bootstrap_servers, names)) != Counter(found):
        problems.append("the two clients that read it back do not agree")
    expected = [judge(record, written.planted, outputs) for record in inputs]
    problems += of_the_outcome(expected, [came_out(record, outputs) for record in results])
    problems += _of_the_order(inputs, expected, results, outputs)
    problems += _of_the_group(bootstrap_servers, group, names)
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
    """The input must hold what the load was told it holds: else the load is at fault, not we."""
    places = {record.value: (record.partition, record.offset) for record in inputs}
    if places != written.places:
        yield f"the load: {len(written.places)} acknowledged, {len(places)} found"
    yield from (f"the load: {failure}" for failure in written.failures[:_SHOWN])


def _of_the_order(
    inputs: Sequence[Stored],
    expected: Sequence[Expected],
    results: Sequence[Stored],
    outputs: Outputs,
) -> list[str]:
    """Records of a key, from one partition of the input, keep their order within a topic."""
    origin = {outcome: place for place, outcome in enumerate(expected)}
    last: dict[tuple[str, int, bytes | None], int] = {}
    wrong, misplaced = [], []
    for result in sorted(results, key=lambda r: (r.topic, r.partition, r.offset)):
        at = origin.get(came_out(result, outputs))
        if at is None:
            continue  # altered, which is told already
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


def _of_the_group(bootstrap_servers: str, group: str, names: Sequence[str]) -> Iterator[str]:
    """Committed offsets at the end of the input, and no Kafka transaction left open."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        places = [*_partitions(admin, names)]
        latest = dict.fromkeys(places, OffsetSpec.LATEST)
        ends = _offsets(admin.list_partition_offsets(latest))
        stable = _offsets(admin.list_partition_offsets(latest, IsolationLevel.READ_COMMITTED))
        committed = admin.list_group_offsets(group)[group]
    finally:
        admin.close()
    open_ones = [place for place in places if ends[place] != stable[place]]
    if open_ones:
        yield f"a Kafka transaction is open in {open_ones}"
    for place in places:
        if place.topic == names[0] and ends[place]:
            at = committed.get(place)
            if at is None or at.offset != ends[place]:
                yield f"{place}: committed {at and at.offset}, and the end is {ends[place]}"


def _offsets(listed: Mapping[Partition, Any]) -> dict[Partition, int]:
    return {place: found.offset for place, found in listed.items()}


def _partitions(admin: KafkaAdminClient, names: Sequence[str]) -> Iterator[Partition]:
    for topic in admin.describe_topics(list(names)):
        for partition in topic["partitions"]:
            yield Partition(topic["name"], partition["partition_index"])


def lag(bootstrap_servers: str, group: str, topic: str) -> int:
    """How many records the group has yet to commit."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        places = [*_partitions(admin, [topic])]
        ends = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
        committed = admin.list_group_offsets(group)[group]
    finally:
        admin.close()
    done = {place: at.offset for place, at in committed.items() if at is not None}
    return sum(ends[place].offset - max(0, done.get(place, 0)) for place in places)


def _by_kafka_python(bootstrap_servers: str, names: Sequence[str]) -> list[Stored]:
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    try:
        places = [Partition(n, p) for n in names for p in consumer.partitions_for_topic(n)]
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        found = []
        deadline = time.monotonic() + _READ_S
        while any(consumer.position(place) < ends[place] for place in places):
            assert time.monotonic() < deadline, "kafka-python does not reach the topics' ends"
            for records in consumer.poll(timeout_ms=200).values():
                for r in records:
                    headers = tuple((str(name), value) for name, value in r.headers)
                    where = (r.topic, r.partition, r.offset)
                    found.append(Stored(*where, r.timestamp, r.key, r.value, headers))
        return found
    finally:
        consumer.close(autocommit=False)


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
        left = len(places)
        deadline = time.monotonic() + _READ_S
        while left:
            assert time.monotonic() < deadline, "librdkafka does not reach the topics' ends"
            for message in consumer.consume(10_000, 0.2):
                if message.error() is not None:
                    left -= 1  # the end of a partition
                    continue
                headers = tuple((name, value) for name, value in message.headers() or ())
                where = (message.topic(), message.partition(), message.offset())
                timestamp = message.timestamp()[1]
                yield Stored(*where, timestamp, message.key(), message.value(), headers)
    finally:
        consumer.close()
