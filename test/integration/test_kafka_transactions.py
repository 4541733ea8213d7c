"""Both versions of Kafka transactions, on a real Kafka whose feature is set to each."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from conftest import Kafka
from detecting import Topics, committed, numbers, send_numbered, some_topics, wait_until
from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.structs import TopicPartition
from streaming import Told, forward_until

from kafka_batch import BatchProducer, Stream, StreamConfig
from kafka_batch._client.kafka_python_3_0.selftest import RecordCodec

FEATURE = "transaction.version"
MAX_EPOCHS = 32_000  # of the 32,767 that there are: the coordinator keeps some


@pytest.fixture(params=[1, 2])
def version(request: pytest.FixtureRequest, kafka: Kafka) -> Iterator[int]:
    level: int = request.param
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)) as admin:
        has = admin.describe_features()[FEATURE]["finalized"][1]
        finalize(admin, level)
        yield level
        finalize(admin, has)


def finalize(admin: KafkaAdminClient, level: int) -> None:
    def finalized() -> bool:
        at: int = admin.describe_features()[FEATURE]["finalized"][1]
        return at == level

    if not finalized():
        kind = "SAFE_DOWNGRADE" if level < 2 else "UPGRADE"
        assert admin.update_features({FEATURE: (kind, level)}) == {FEATURE: "OK"}
        wait_until(finalized, f"{FEATURE} is {level}")


@pytest.fixture
def topics(kafka: Kafka, new_topic: Callable[..., str]) -> Topics:
    return some_topics(kafka.bootstrap_servers, new_topic)


@pytest.fixture
def producer(kafka: Kafka, record_codec: RecordCodec, version: int) -> Iterator[BatchProducer]:
    """That has its transactional id, from a broker that speaks the version."""
    codec = record_codec is RecordCodec.AUTO
    name = f"of-version-{version}-{next(_NUMBERS)}"
    opened = BatchProducer(kafka.bootstrap_servers, whole_batches=codec, transactional_id=name)
    try:
        opened.init_transactional_id(30)
        yield opened
    finally:
        assert opened.close()


_NUMBERS = itertools.count()


def identity(producer: BatchProducer) -> tuple[int, int]:
    known = producer._transaction_manager.producer_id_and_epoch
    return known.producer_id, known.epoch


def test_a_stream_passes_on_every_record_once(topics: Topics, version: int) -> None:
    config = StreamConfig(topics.bootstrap_servers, topics.group, topics.transactions)
    send_numbered(topics, 0, 30)
    with Stream(config, Told()) as stream:
        assert stream._producer._transaction_manager.is_version_2 is (version == 2)
        assert forward_until(stream, topics.legit, 30) == 30
        stream.commit()
        send_numbered(topics, 30, 10)
        forward_until(stream, topics.legit, 1)  # one batch, which is void
    with Stream(config, Told()) as stream:
        assert forward_until(stream, topics.legit, 10) == 10
        stream.commit()
        send_numbered(topics, 40, 10)
        assert forward_until(stream, topics.legit, 10) == 10
        stream.commit()
    assert numbers(committed(topics, topics.legit)) == list(range(50))


def test_an_end_begins_a_new_epoch_in_version_2_alone(
    producer: BatchProducer, version: int, new_topic: Callable[..., str]
) -> None:
    topic = new_topic(1)
    before = identity(producer)
    for end in (producer.commit, producer.abort, producer.commit):
        producer.begin_transaction()
        producer.extend(TopicPartition(topic, 0), [(1, b"k", b"v", ())])
        producer.flush_within(30)
        end(30)
    producer_id, epoch = before
    assert identity(producer) == (producer_id, epoch + (3 if version == 2 else 0))


@pytest.mark.skipif("LONG" not in os.environ, reason="takes minutes: LONG=1")
@pytest.mark.parametrize("version", [2], indirect=True)
@pytest.mark.parametrize("record_codec", ["auto"], indirect=True)
def test_when_its_epochs_are_used_up_a_producer_goes_on_with_a_new_id(
    producer: BatchProducer, topics: Topics
) -> None:
    """At ten commits a second that is after 55 minutes."""
    first, _ = identity(producer)
    place, count = TopicPartition(topics.legit, 0), 0
    while identity(producer)[0] == first or identity(producer)[1] < 10:
        producer.begin_transaction()
        producer.extend(place, [(1, b"k%d" % count, None, ())])
        producer.flush_within(30)
        (producer.abort if count % 2 else producer.commit)(30)
        count += 1
    assert count > MAX_EPOCHS
    assert numbers(committed(topics, topics.legit)) == [*range(0, count, 2)]


def test_a_commit_of_a_kafka_transaction_that_was_lost_says_so(
    producer: BatchProducer, new_topic: Callable[..., str]
) -> None:
    """As where it timed out, and the client began a new epoch while the commit was under way."""
    producer.begin_transaction()
    producer.extend(TopicPartition(new_topic(1), 0), [(1, b"k", b"v", ())])
    producer.flush_within(30)
    producer._transaction_manager._transaction_started = False
    with pytest.raises(KafkaError, match="lost before its commit"):
        producer.commit(30)
