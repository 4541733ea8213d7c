"""A plain `send` loop on kafka-python: the same records as the generator's, keyed by source."""

import itertools
import json
import os
import random
import signal
import string

from kafka import KafkaProducer

BROKER, TOPIC = os.environ["KAFKA_BROKER_URL"], os.environ["TRANSACTIONS_TOPIC"]
TOTAL = int(os.environ["TRANSACTIONS_TOTAL"])
ACCOUNTS = 10_000


def main() -> None:
    """Sends until SIGTERM, or until all is sent."""
    running = [True]
    signal.signal(signal.SIGTERM, lambda *_: running.clear())
    rng = random.Random(1)
    letters = string.ascii_letters + string.digits
    accounts = ["".join(rng.choices(letters, k=12)) for _ in range(ACCOUNTS)]
    producer = KafkaProducer(
        bootstrap_servers=BROKER, linger_ms=20, batch_size=256 << 10, acks="all"
    )
    for _ in itertools.takewhile(lambda _: running, range(TOTAL)):
        source, target = rng.choice(accounts), rng.choice(accounts)
        transaction = {
            "source": source,
            "target": target,
            "amount": rng.randint(100, 100_000) / 100,
            "currency": "USD",
        }
        value = json.dumps(transaction, separators=(",", ":")).encode()
        producer.send(TOPIC, value, source.encode())
    producer.close()


if __name__ == "__main__":
    main()
