"""A detector under test: topics of its own, child processes, and all that came out."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from kafka_batch import BatchProducer, Record, RecoverableError, create_topics

PATIENCE_S = 90.0
REPOSITORY = Path(__file__).parents[2]


def wait_until(true: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> Any:
    """The first true answer; it fails when none comes for a long time."""
    deadline = time.monotonic() + patience_s
    while not (answer := true()):
        assert time.monotonic() < deadline, f"not within {patience_s} s: {what}"
        time.sleep(0.05)
    return answer


def create_topic(
    bootstrap_servers: str, name: str, partitions: int, replicas: int = 1, **configs: str
) -> None:
    """Creates a topic, for which a busy machine may take its time."""

    def created() -> bool:
        try:
            create_topics(bootstrap_servers, {name: configs}, partitions, replicas)
        except RecoverableError:
            return False
        return True

    wait_until(created, f"topic {name!r} is created")


@dataclass(frozen=True)
class Topics:
    """The topics of one detector, and its consumer group."""

    bootstrap_servers: str
    transactions: str
    legit: str
    fraud: str
    dead_letter: str
    state: str

    @property
    def outputs(self) -> tuple[str, str, str]:
        return self.legit, self.fraud, self.dead_letter

    @property
    def group(self) -> str:
        return f"detector-of-{self.transactions}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "KAFKA_BROKER_URL": self.bootstrap_servers,
            "TRANSACTIONS_TOPIC": self.transactions,
            "LEGIT_TOPIC": self.legit,
            "FRAUD_TOPIC": self.fraud,
            "DEAD_LETTER_TOPIC": self.dead_letter,
            "STATE_TOPIC": self.state,
            "CONSUMER_GROUP": self.group,
        }


def some_topics(
    bootstrap_servers: str,
    new_topic: Callable[..., str],
    source: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
) -> Topics:
    """Topics of a detector's own, with configurations of the input and of the outputs."""
    larger = {"max.message.bytes": "1200000"}
    written = [new_topic(4, **(outputs or larger)) for _ in range(3)]
    state = new_topic(4, **{"cleanup.policy": "compact"})
    return Topics(bootstrap_servers, new_topic(4, **(source or {})), *written, state)


def transaction(number: int, amount: str = "5.00") -> bytes:
    """A transaction that is known by its number, which is in its source account."""
    fields = f'"source":"n{number}","target":"t","amount":{amount},"currency":"USD"'
    return f"{{{fields}}}".encode()


def send(topics: Topics, records: Sequence[tuple[int, Record]], **settings: object) -> None:
    """Writes (partition, record) pairs to the input, in order."""
    producer = BatchProducer(bootstrap_servers=topics.bootstrap_servers, linger_ms=20, **settings)
    try:
        for partition, record in records:
            producer.extend(TopicPartition(topics.transactions, partition), [record])
        producer.flush_within(PATIENCE_S)
    finally:
        producer.close()


def send_numbered(topics: Topics, first: int, count: int) -> None:
    """Transactions of rising numbers over all partitions; every tenth one is suspicious."""
    now_ms = time.time_ns() // 1_000_000
    send(
        topics,
        [
            (
                n % 4,
                (now_ms, f"n{n}".encode(), transaction(n, "900.00" if n % 10 == 0 else "5"), ()),
            )
            for n in range(first, first + count)
        ],
    )


def committed(topics: Topics, *names: str, isolation: str = "read_committed") -> list[Any]:
    """All records of the topics as a reader of committed records sees them now."""
    consumer = KafkaConsumer(
        bootstrap_servers=topics.bootstrap_servers,
        isolation_level=isolation,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    try:
        partitions = [
            TopicPartition(name, n) for name in names for n in consumer.partitions_for_topic(name)
        ]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        found = []
        deadline = time.monotonic() + PATIENCE_S
        while any(consumer.position(p) < ends[p] for p in partitions):
            assert time.monotonic() < deadline, "the topics' ends were not reached"
            for records in consumer.poll(timeout_ms=200).values():
                found.extend(records)
        return found
    finally:
        consumer.close(autocommit=False)


def numbers(records: Sequence[Any]) -> list[int]:
    """The numbers of the transactions, sorted: equal to range(n) where each is there once."""
    return sorted(int(record.key[1:]) for record in records)


class Running:
    """A detector as its users start it: `python -m detector`; or a program in its place."""

    def __init__(self, topics: Topics, log: Path, program: str = "", **settings: str) -> None:
        self._log = log
        environment = {**os.environ, **topics.environment, **settings}
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *(("-c", program) if program else ("-m", "detector"))],
                cwd=REPOSITORY,
                env=environment,
                stdout=output,
                stderr=output,
            )

    def said(self) -> str:
        return self._log.read_text()

    def wait_until_said(self, words: str) -> None:
        def said_or_ended() -> bool:
            assert words in self.said() or self.process.poll() is None, self.said()
            return words in self.said()

        wait_until(said_or_ended, f"the detector says {words!r}")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Waits for the end, and returns the exit status."""
        return self.process.wait(PATIENCE_S)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.ended()


@contextmanager
def running(topics: Topics, log: Path, program: str = "", **settings: str) -> Iterator[Running]:
    """A detector that is killed at the latest when the test leaves the block."""
    detector = Running(topics, log, program, **settings)
    try:
        yield detector
    finally:
        detector.process.kill()
        detector.process.wait()


def wait_until_judged(topics: Topics, count: int) -> list[Any]:
    """Waits until at least so many records came out, and returns them all."""

    def enough() -> list[Any] | None:
        found = committed(topics, *topics.outputs)
        return found if len(found) >= count else None

    return wait_until(enough, f"{count} records judged")
