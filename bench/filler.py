"""Fills a topic with payments whose timestamps are simulated: days of them, made in seconds.

The generator stamps its records with the time at which it makes them, so that rules which look back
a day would have all of a run in their windows.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice

from kafka.structs import TopicPartition

from bench.topics import PARTITIONS, Broker
from detector.rules.tools.simulation import Simulation
from kafka_batch import BATCH_BYTES, BatchProducer, Record, partition_of

CHUNK_SIZE = 10_000
_MAX_UNDELIVERED = 200_000
_DELIVERY_S = 60.0


def fill(broker: Broker, topic: str, accounts: int, payments: int, seed: int = 1) -> None:
    """Writes `payments` payments of `accounts` accounts: the same ones each time; raises as
    `write`."""
    write(broker, topic, _records(accounts, payments, seed))


def write(broker: Broker, topic: str, records: Iterable[Record]) -> None:
    """Writes records to the partitions of their keys.

    Raises:
        kafka.errors.KafkaError: the broker refuses them, or takes too long.
    """
    partition = cache(lambda key: partition_of(key, PARTITIONS))
    left = iter(records)
    producer = BatchProducer(
        bootstrap_servers=broker.address, acks="all", linger_ms=20, batch_size=BATCH_BYTES
    )
    try:
        while chunk := [*islice(left, CHUNK_SIZE)]:
            by_partition: list[list[Record]] = [[] for _ in range(PARTITIONS)]
            for record in chunk:
                by_partition[partition(record[1])].append(record)
            for number, some in enumerate(by_partition):
                producer.extend(TopicPartition(topic, number), some)
            if producer.undelivered > _MAX_UNDELIVERED:
                producer.flush_within(_DELIVERY_S)
        producer.flush_within(_DELIVERY_S)
    finally:
        producer.close()


def _records(accounts: int, payments: int, seed: int) -> Iterator[Record]:
    names = [b"%012d" % number for number in range(accounts)]
    simulation = Simulation(accounts, seed)
    for done in range(0, payments, CHUNK_SIZE):
        chunk = simulation.take(min(CHUNK_SIZE, payments - done))
        columns = zip(chunk.times_ms, chunk.sources, chunk.targets, chunk.cents, strict=True)
        for time_ms, source, target, cents in columns:
            whole, rest = divmod(cents, 100)
            value = b'{"source":"%b","target":"%b","amount":%d.%02d,"currency":"USD"}' % (
                names[source],
                names[target],
                whole,
                rest,
            )
            yield time_ms, names[source], value, ()
