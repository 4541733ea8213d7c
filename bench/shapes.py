"""The same transactions as other producers write them: other orders of fields, and further fields.

The values are the generator's own (`SEED=1`), taken apart and written again.
"""

import time
from collections.abc import Callable, Mapping

import msgspec
from kafka.structs import TopicPartition

from bench.topics import PARTITIONS, Broker
from generator.transactions import Transaction, Transactions
from kafka_batch import BATCH_BYTES, BatchProducer, Record, partition_of

_ACCOUNTS = 10_000
_CHUNK_SIZE = 10_000
_MAX_UNDELIVERED = 200_000
_DELIVERY_S = 60.0
_decode = msgspec.json.Decoder(Transaction).decode
_encode = msgspec.json.Encoder().encode


def _another_order(value: bytes, _number: int) -> bytes:
    it = _decode(value)
    return _encode(
        {"currency": it.currency, "amount": it.amount, "target": it.target, "source": it.source}
    )


def _more_fields(value: bytes, number: int) -> bytes:
    it = _decode(value)
    return _encode(
        {
            "transaction_id": f"tx-{number:016d}",
            "event_time": f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:00Z",
            "source": it.source,
            "target": it.target,
            "amount": it.amount,
            "currency": it.currency,
            "merchant": f"merchant-{number % 997:04d}",
            "mcc": str(5000 + number % 900),
            "country": "DE",
            "channel": "online",
            "ip": f"10.{number % 251}.{number % 241}.{number % 239}",
        }
    )


SHAPES: Mapping[str, Callable[[bytes, int], bytes]] = {
    "the generator's": lambda value, _: value,
    "another order": _another_order,
    "eleven fields": _more_fields,
}
"""What makes a shape's value of one of the generator's, and the transaction's number."""


def fill(broker: Broker, topic: str, shape: str, records: int) -> None:
    """Writes `records` transactions of a shape, keyed by account: the same ones each time.

    Raises:
        kafka.errors.KafkaError: the broker refuses them, or takes too long.
    """
    shaped, transactions = SHAPES[shape], Transactions(_ACCOUNTS, seed=1)
    producer = BatchProducer(
        bootstrap_servers=broker.address, acks="all", linger_ms=20, batch_size=BATCH_BYTES
    )
    try:
        for done in range(0, records, _CHUNK_SIZE):
            now_ms = time.time_ns() // 1_000_000
            chunk = transactions.take(min(_CHUNK_SIZE, records - done))
            by_partition: list[list[Record]] = [[] for _ in range(PARTITIONS)]
            for number, (source, value) in enumerate(
                zip(chunk.sources, chunk.values, strict=True), done
            ):
                key = source.encode()
                record = (now_ms, key, shaped(value, number), ())
                by_partition[partition_of(key, PARTITIONS)].append(record)
            for partition, made in enumerate(by_partition):
                producer.extend(TopicPartition(topic, partition), made)
            if producer.undelivered > _MAX_UNDELIVERED:
                producer.flush_within(_DELIVERY_S)
        producer.flush_within(_DELIVERY_S)
    finally:
        producer.close()
