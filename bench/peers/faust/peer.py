"""The same work on faust-streaming, at least once: raw values are forwarded."""

import os

import faust
import msgspec

LEGIT, FRAUD = os.environ["LEGIT_TOPIC"], os.environ["FRAUD_TOPIC"]
THRESHOLD = 900


class Transaction(msgspec.Struct):
    """What the record must hold."""

    source: str
    target: str
    amount: float
    currency: str


decode = msgspec.json.Decoder(Transaction).decode
app = faust.App(
    os.environ["CONSUMER_GROUP"],
    broker=f"kafka://{os.environ['KAFKA_BROKER_URL']}",
    datadir=os.environ["STATE_DIR"],
    value_serializer="raw",
    key_serializer="raw",
    consumer_auto_offset_reset="earliest",
    broker_commit_interval=int(os.environ["COMMIT_INTERVAL_MS"]) / 1000,
    broker_max_poll_records=5_000,
    stream_buffer_maxsize=16_384,
    stream_wait_empty=False,
    producer_linger=0.02,
    producer_max_batch_size=256 << 10,
    topic_disable_leader=True,
    web_enabled=False,
)
transactions = app.topic(os.environ["TRANSACTIONS_TOPIC"])
legit, fraud = app.topic(LEGIT), app.topic(FRAUD)


@app.agent(transactions)
async def judge(stream: faust.Stream[bytes]) -> None:
    """Forwards each record to the topic of its verdict."""
    async for event in stream.events():
        verdict = legit if decode(event.value).amount < THRESHOLD else fraud
        verdict.send_soon(
            key=event.key,
            value=event.value,
            partition=event.message.partition,
            timestamp=event.message.timestamp,
        )


if __name__ == "__main__":
    app.main()
