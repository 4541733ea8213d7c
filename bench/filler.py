"""Fills a topic with payments whose timestamps are simulated: days of them, made in seconds.

The generator stamps its records with the time at which it makes them, so that rules which look back
a day would have all of a run in their windows.
"""

from collections.abc import Iterator

from kafka.structs import TopicPartition

from bench.topics import PARTITIONS, Broker
from detector.rules.tools.simulation import Payments, Simulation
from kafka_batch import BATCH_BYTES, BatchProducer, Record, partition_of

_CHUNK_SIZE = 10_000
_MAX_UNDELIVERED = 200_000
_DELIVERY_S = 60.0


def fill(broker: Broker, topic: str, accounts: int, payments: int, seed: int = 1) -> None:
    """Writes so many payments of so many accounts, keyed by account: the same ones each time.

    Raises:
        kafka.errors.KafkaError: the broker refuses them, or takes too long.
    """
    names = [b"%012d" % number for number in range(accounts)]
    places = [partition_of(name, PARTITIONS) for name in names]
    simulation = Simulation(accounts, seed)
    producer = BatchProducer(
        bootstrap_servers=broker.address, acks="all", linger_ms=20, batch_size=BATCH_BYTES
    )
    try:
        for done in range(0, payments, _CHUNK_SIZE):
            chunk = simulation.take(min(_CHUNK_SIZE, payments - done))
            by_partition: list[list[Record]] = [[] for _ in range(PARTITIONS)]
            for source, record in _records(chunk, names):
                by_partition[places[source]].append(record)
            for number, records in enumerate(by_partition):
                producer.extend(TopicPartition(topic, number), records)
            if producer.undelivered > _MAX_UNDELIVERED:
                producer.flush_within(_DELIVERY_S)
        producer.flush_within(_DELIVERY_S)
    finally:
        producer.close()


def _records(chunk: Payments, names: list[bytes]) -> Iterator[tuple[int, Record]]:
    columns = zip(chunk.times_ms, chunk.sources, chunk.targets, chunk.cents, strict=True)
    for time_ms, source, target, cents in columns:
        whole, rest = divmod(cents, 100)
        value = b'{"source":"%b","target":"%b","amount":%d.%02d,"currency":"USD"}' % (
            names[source],
            names[target],
            whole,
            rest,
        )
        yield source, (time_ms, names[source], value, ())
