"""The plain loop on kafka-python's public interface, at least once: what most would write."""

import os
import signal
import time

import msgspec
from kafka import KafkaConsumer, KafkaProducer

BROKER, GROUP = os.environ["KAFKA_BROKER_URL"], os.environ["CONSUMER_GROUP"]
INPUT = os.environ["TRANSACTIONS_TOPIC"]
LEGIT, FRAUD = os.environ["LEGIT_TOPIC"], os.environ["FRAUD_TOPIC"]
THRESHOLD = 900
COMMIT_S = int(os.environ["COMMIT_INTERVAL_MS"]) / 1000
# A poll that ends while its member joins again can leave it without partitions for good: entry 28
# of docs/exactly-once.md.
POLL_MS, JOIN_MS = 50, 10_000


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
    consumer = KafkaConsumer(
        INPUT,
        bootstrap_servers=BROKER,
        group_id=GROUP,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    producer = KafkaProducer(
        bootstrap_servers=BROKER, linger_ms=20, batch_size=256 << 10, acks="all"
    )
    decode = msgspec.json.Decoder(Transaction).decode
    commit_at = None
    while running:
        wait_ms = POLL_MS if consumer.assignment() else JOIN_MS
        fetched = consumer.poll(timeout_ms=wait_ms, max_records=5_000)
        if fetched and commit_at is None:
            commit_at = time.monotonic() + COMMIT_S
        for records in fetched.values():
            for record in records:
                producer.send(
                    LEGIT if decode(record.value).amount < THRESHOLD else FRAUD,
                    record.value,
                    record.key,
                    record.headers,
                    record.partition,
                    record.timestamp,
                )
        if commit_at is not None and time.monotonic() >= commit_at:
            producer.flush()
            consumer.commit()
            commit_at = None
    producer.close()
    consumer.close()


if __name__ == "__main__":
    main()
