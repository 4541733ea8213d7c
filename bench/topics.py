"""The broker of a benchmark, and topics on it that last as long as they are needed."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kafka.structs import TopicPartition

from broker import Cluster
from detector.commands.run import STATE_TOPIC_CONFIGS
from kafka_batch import Admin, Consumer, create_topics

PARTITIONS = 4
ROOT = Path(__file__).parents[1]
# Records keep the timestamps that they came with: none is to be deleted while it is needed.
_PROPERTIES = {"log.retention.ms": "-1"}
_STATE = "state"
_CONFIGS = {_STATE: STATE_TOPIC_CONFIGS}
VERDICTS = ("LEGIT_TOPIC", "FRAUD_TOPIC", "DEAD_LETTER_TOPIC")  # where a record goes


@dataclass(frozen=True)
class Broker:
    """Where the benchmark's broker is."""

    address: str

    def variables(self) -> dict[str, str]:
        """The environment that every process gets: this one's, and the broker."""
        ours = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        return {**ours, "KAFKA_BROKER_URL": self.address, "LOG_LEVEL": "WARNING"}

    @contextmanager
    def topics(self, *kinds: str) -> Iterator[list[str]]:
        """New topics, deleted at the end."""
        names = [f"{kind}-{uuid.uuid4().hex[:8]}" for kind in kinds]
        configs = [_CONFIGS.get(kind, {}) for kind in kinds]
        create_topics(self.address, dict(zip(names, configs, strict=True)), PARTITIONS, 1)
        try:
            yield names
        finally:
            admin = Admin(bootstrap_servers=self.address)
            try:
                admin.delete_topics(names)
            finally:
                admin.close()

    @contextmanager
    def outputs(self) -> Iterator[dict[str, str]]:
        """New topics for all that a system writes, by the variables that name them."""
        with self.topics("legit", "fraud", "dead", _STATE) as names:
            yield dict(zip([*VERDICTS, "STATE_TOPIC"], names, strict=True))

    def fill(self, topic: str, records: int, compression: str = "none") -> None:
        """Has the generator write so many records: the same ones each time.

        Raises:
            subprocess.CalledProcessError: the generator fails.
        """
        sys.stderr.write(f"bench: writing {records:,} records, compression {compression}\n")
        made = {
            "TRANSACTIONS_TOPIC": topic,
            "TRANSACTIONS_TOTAL": str(records),
            "TRANSACTIONS_PER_SECOND": "0",
            "SEED": "1",
            "COMPRESSION_TYPE": compression,
        }
        command = [sys.executable, "-m", "generator"]
        subprocess.run(command, env={**self.variables(), **made}, cwd=ROOT, check=True)


@contextmanager
def a_broker(folder: Path) -> Iterator[Broker]:
    """One node of Kafka, with its data in the folder."""
    with Cluster(folder, properties=_PROPERTIES) as cluster:
        yield Broker(cluster.bootstrap_servers)


class Ends:
    """The ends of topics: how many records stand in each, Kafka's own markers included."""

    def __init__(self, broker: Broker, topics: Iterable[str]) -> None:
        self._consumer = Consumer(bootstrap_servers=broker.address, enable_auto_commit=False)
        self._partitions = partitions_of(topics)

    def __enter__(self) -> "Ends":
        return self

    def __exit__(self, *exc: object) -> None:
        self._consumer.close()

    def by_topic(self) -> dict[str, int]:
        """The number of records by topic."""
        counts: dict[str, int] = {}
        for place, end in self._consumer.end_offsets(self._partitions).items():
            counts[place.topic] = counts.get(place.topic, 0) + end
        return counts


def partitions_of(topics: Iterable[str]) -> Sequence[TopicPartition]:
    """All partitions of the benchmark's topics."""
    return [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
