"""The same work on confluent-kafka (librdkafka): batches consumed, values passed through.

No callback for a delivery: `commit_transaction` fails where one did.
"""

import os
import signal
import time

import msgspec
from confluent_kafka import Consumer, Producer

BROKER, GROUP = os.environ["KAFKA_BROKER_URL"], os.environ["CONSUMER_GROUP"]
INPUT = os.environ["TRANSACTIONS_TOPIC"]
LEGIT, FRAUD = os.environ["LEGIT_TOPIC"], os.environ["FRAUD_TOPIC"]
THRESHOLD = 900
COMMIT_S = int(os.environ["COMMIT_INTERVAL_MS"]) / 1000
MOST = 10_000  # messages of one call


class Transaction(msgspec.Struct):
    """What the record must hold."""

    source: str
    target: str
    amount: float
    currency: str


def main() -> None:
    """Judges until SIGTERM."""
    running = [True]
    signal.signal(signal.SIGTERM, lambda *_: running.clear())
    consumer = Consumer(
        {
            "bootstrap.servers": BROKER,
            "group.id": GROUP,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "fetch.min.bytes": 1,
            "fetch.message.max.bytes": 4 << 20,
            "queued.min.messages": 200_000,
            "queued.max.messages.kbytes": 128 << 10,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": BROKER,
            "transactional.id": GROUP,
            "linger.ms": 20,
            "batch.size": 1 << 20,
            "batch.num.messages": 100_000,
            "queue.buffering.max.messages": 1_000_000,
            "queue.buffering.max.kbytes": 1 << 20,
        }
    )
    producer.init_transactions()
    consumer.subscribe([INPUT])
    decode = msgspec.json.Decoder(Transaction).decode
    produce = producer.produce
    commit_at = None
    while running:
        messages = consumer.consume(MOST, timeout=0.05)
        if messages and commit_at is None:
            producer.begin_transaction()
            commit_at = time.monotonic() + COMMIT_S
        for message in messages:
            if message.error():
                raise SystemExit(str(message.error()))
            value = message.value()
            topic = LEGIT if decode(value).amount < THRESHOLD else FRAUD
            produce(
                topic,
                value,
                message.key(),
                message.partition(),
                timestamp=message.timestamp()[1],
                headers=message.headers(),
            )
        producer.poll(0)
        if commit_at is not None and time.monotonic() >= commit_at:
            producer.send_offsets_to_transaction(
                consumer.position(consumer.assignment()), consumer.consumer_group_metadata()
            )
            producer.commit_transaction()
            commit_at = None
    consumer.close()


if __name__ == "__main__":
    main()
