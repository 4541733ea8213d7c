"""The same work on bytewax, at least once: the ends of its epochs are its commits."""

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import msgspec
from bytewax import operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

BROKERS = [os.environ["KAFKA_BROKER_URL"]]
LEGIT, FRAUD = os.environ["LEGIT_TOPIC"], os.environ["FRAUD_TOPIC"]
THRESHOLD = 900


class Transaction(msgspec.Struct):
    """What the record must hold."""

    source: str
    target: str
    amount: float
    currency: str


decode = msgspec.json.Decoder(Transaction).decode


def judge(message: KafkaSourceMessage) -> KafkaSinkMessage:
    """The same message, to the topic of its verdict."""
    topic = LEGIT if decode(message.value).amount < THRESHOLD else FRAUD
    return KafkaSinkMessage(
        message.key, message.value, topic, message.headers, message.partition, message.timestamp[1]
    )


def flow() -> Dataflow:
    """From the input, by way of `judge`, to the topics of the verdicts."""
    dataflow = Dataflow("detector")
    source = KafkaSource(
        BROKERS,
        [os.environ["TRANSACTIONS_TOPIC"]],
        tail=True,
        add_config={
            "isolation.level": "read_committed",
            "fetch.message.max.bytes": str(4 << 20),
            "queued.min.messages": "200000",
        },
        batch_size=10_000,
    )
    sink = KafkaSink(
        BROKERS,
        None,
        add_config={
            "linger.ms": "20",
            "batch.size": str(1 << 20),
            "batch.num.messages": "100000",
            "queue.buffering.max.messages": "1000000",
        },
    )
    op.output("out", op.map("judge", op.input("in", dataflow, source), judge), sink)
    return dataflow


def main() -> None:
    """Judges until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    state = Path(os.environ["STATE_DIR"])
    init_db_dir(state, 1)
    cli_main(
        flow(),
        epoch_interval=timedelta(milliseconds=int(os.environ["COMMIT_INTERVAL_MS"])),
        recovery_config=RecoveryConfig(str(state)),
    )


if __name__ == "__main__":
    main()
