"""The same work on quixstreams, exactly once: values pass as bytes, and are read once."""

import os

import msgspec
from quixstreams import Application

LEGIT, FRAUD = os.environ["LEGIT_TOPIC"], os.environ["FRAUD_TOPIC"]
THRESHOLD = 900


class Transaction(msgspec.Struct):
    """What the record must hold."""

    source: str
    target: str
    amount: float
    currency: str


def main() -> None:
    """Judges until SIGTERM, which quixstreams handles."""
    application = Application(
        broker_address=os.environ["KAFKA_BROKER_URL"],
        consumer_group=os.environ["CONSUMER_GROUP"],
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=int(os.environ["COMMIT_INTERVAL_MS"]) / 1000,
        auto_create_topics=False,
        consumer_extra_config={"fetch.message.max.bytes": 4 << 20, "queued.min.messages": 200_000},
        producer_extra_config={
            "linger.ms": 20,
            "batch.size": 1 << 20,
            "batch.num.messages": 100_000,
            "queue.buffering.max.messages": 1_000_000,
        },
    )
    transactions = application.topic(
        os.environ["TRANSACTIONS_TOPIC"], value_deserializer="bytes", key_deserializer="bytes"
    )
    legit, fraud = (
        application.topic(name, value_serializer="bytes", key_serializer="bytes")
        for name in (LEGIT, FRAUD)
    )
    decode = msgspec.json.Decoder(Transaction).decode
    application.dataframe(transactions).to_topic(
        lambda value, _key, _timestamp, _headers: (
            legit if decode(value).amount < THRESHOLD else fraud
        )
    )
    application.run()


if __name__ == "__main__":
    main()
