"""Restoring the memory of one partition, in short turns."""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from detector.rules import Rules
from detector.service.memory import FORMAT, Manifest, Memory
from detector.wire.payments import Payments, read_payments
from kafka_batch import Batch, FatalError, KeyValues, Reader

_TURN_S = 0.1  # other partitions wait so long

log = structlog.get_logger("detector")


@dataclass(frozen=True, slots=True)
class StateConfig:
    """Where state is kept, of what input, and whether to go on, with what is left, where it is
    missing."""

    topic: str
    source: str
    go_on_without: bool
    open_reader: Callable[[], Reader]


class Restoring:
    """Of one partition, to what it was at an input offset."""

    def __init__(
        self,
        config: StateConfig,
        reader: Reader,
        rules: Rules,
        memory: Memory,
        partition: int,
        offset: int,
        patience_s: float,
    ) -> None:
        """`memory` is empty, and will be that at the offset. Where nothing comes for `patience_s`,
        it is stalled."""
        self.partition = partition
        self.memory = memory
        self._config = config
        self._reader = reader
        self._rules = rules
        self._offset = offset
        self._manifest: Manifest | None = None
        self._began = time.monotonic()
        self._patience_s = patience_s
        self._read_at = time.monotonic()
        self._loaded = self._replayed = 0
        self._turns = self._restore()

    def step(self) -> bool:
        """A short turn; whether that was the last.

        Raises:
            kafka_batch.FatalError: the state doesn't fit the input.
            kafka_batch.StreamError: the brokers can't be reached.
        """
        until = time.monotonic() + _TURN_S
        return all(time.monotonic() < until for _ in self._turns)

    @property
    def is_stalled(self) -> bool:
        """Nothing has come for a while: a Kafka transaction in front of the end is still open."""
        return time.monotonic() > self._read_at + self._patience_s

    def figures(self) -> dict[str, float]:
        """What there was to do."""
        return {
            "accounts": len(self.memory),
            "records": self._loaded,
            "replayed": self._replayed,
            "seconds": round(time.monotonic() - self._began, 2),
        }

    def _restore(self) -> Iterator[None]:
        reader = self._reader
        self._begin(self._config.topic)
        while not reader.at_end:
            self._load(reader.read_key_values())
            yield
        low = self._low()
        if low < self._offset:
            first = self._begin(self._config.source)
            if first == self._offset and self._manifest is None:
                self.memory.become_partial()  # the group is new here: what was before is gone
            elif first > low:
                self._is_missing(f"the input begins at offset {first}, and {low} is needed")
            reader.seek(max(first, low))
            while reader.position < self._offset:
                self._replay(reader.read())
                yield
        self.memory.restored(self._offset)

    def _begin(self, topic: str) -> int:
        first = self._reader.begin(topic, self.partition)
        self._read_at = time.monotonic()
        return first

    def _load(self, pairs: KeyValues | None) -> None:
        if pairs is None:
            return
        self._read_at = time.monotonic()
        self._loaded += len(pairs.keys)
        sources: Sequence[Any] = pairs.keys  # all are there: the topic is compacted
        manifest = self.memory.load(sources, pairs.values)
        if manifest is not None:
            self._manifest = msgspec.json.decode(manifest, type=Manifest)

    def _low(self) -> int:
        """Where the replay begins."""
        manifest = self._manifest
        if manifest is not None and manifest.format != FORMAT:
            raise FatalError(
                f"{self._place} holds state of format {manifest.format}, and this release reads "
                f"{FORMAT}: go on with the release that wrote it, or give the group another "
                "CONSUMER_GROUP and STATE_TOPIC, and judge the input again"
            )
        problem = self.memory.loaded(manifest)
        if problem:
            self._is_missing(problem)
        if manifest is None:
            return 0
        if manifest.source and self.memory.source not in ("", manifest.source):
            log.warning("the input was recreated: its accounts start over", state=self._place)
            self.memory.start_over()
            return self._offset
        if manifest.as_of > self._offset:
            raise FatalError(
                f"{self._place} holds state as of input offset {manifest.as_of}, which is past the "
                f"committed offset {self._offset}: set the offset back to that, or give this group "
                "another STATE_TOPIC"
            )
        return manifest.low

    @property
    def _place(self) -> str:
        return f"partition {self.partition} of {self._config.topic!r}"

    def _is_missing(self, problem: str) -> None:
        if not self._config.go_on_without:
            raise FatalError(
                f"the state of {self._place} is not complete: {problem}; to go on with what there "
                "is, and mark verdicts with history: partial, set STATE_MISSING=partial"
            )
        self.memory.become_partial()

    def _replay(self, batch: Batch | None) -> None:
        """Remembers payments again; what they were judged is out already."""
        if batch is None:
            return
        self._read_at = time.monotonic()
        count = bisect_left(batch.offsets, self._offset)
        if not count:
            return
        for payments, _ in read_payments(batch, count):
            self._remember(payments)

    def _remember(self, payments: Payments) -> None:
        accounts = self.memory.get_or_create_replayed(payments)
        missing = payments.chosen(accounts)
        known = [account for account in accounts if account]
        for _ in missing.judged(self._rules.recorders, known):
            self._replayed += 1
