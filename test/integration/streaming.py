"""A stream under test: whom it tells, and what is forwarded through it."""

from collections.abc import Sequence

from detecting import wait_until

from kafka_batch import Batch, Stream


class Told:
    """An observer that remembers what it was told."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def committing(self) -> None:
        self.words.append("committing")

    def committed(self, seconds: float) -> None:
        assert seconds >= 0
        self.words.append("committed")

    def aborted(self) -> None:
        self.words.append("aborted")

    def rebalanced(self, partitions: Sequence[int]) -> None:
        self.words.append(f"rebalanced {list(partitions)}")


def forward_until(stream: Stream, topic: str, count: int) -> int:
    """Reads and forwards so many records, all of them to one topic; returns how many they were,
    which are more where the last batch has more."""
    left = count

    def forwarded() -> bool:
        nonlocal left
        batch: Batch | None = stream.read()
        if batch:
            stream.forward(batch, topic, range(len(batch)))
            left -= len(batch)
        return left <= 0

    wait_until(forwarded, f"{count} records are forwarded")
    return count - left
