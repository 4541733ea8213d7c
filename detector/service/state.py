"""The state of all partitions that this detector has: kept, saved with each commit, restored.

The accounts of an input partition live in memory (`Memory`). With every commit those touched
longest ago are written to the state topic, in the same Kafka transaction as outputs and offsets,
and behind them a manifest that says what is written. Whoever is given a partition holds it, loads
its accounts, reads the input again from the oldest use that was not saved up to the committed
offset, without sending anything, and only then goes live: it then remembers what its predecessor
did at that offset, to the record. Other partitions go on meanwhile.
"""

import time
from collections.abc import Mapping, Sequence

import msgspec
import structlog

from detector.rules import Rules
from detector.service.memory import MANIFEST_KEY, Bounds, Memory, Saved
from detector.service.restoring import Restoring, StateConfig
from kafka_batch import NO_TIMESTAMP, PartitionReader, Stream

log = structlog.get_logger("detector")
_MIN_PATIENCE_S, _MAX_PATIENCE_S = 1.0, 16.0
_encode = msgspec.json.Encoder().encode


class State:
    """Of one stream: it must not outlive it, since what was written and not committed is void.

    Without `config` nothing is written or restored: the rules remember nothing, or the stream is
    not exactly once, and memory then starts empty with each assignment, which it says (`partial`).
    """

    def __init__(self, config: StateConfig | None, bounds: Bounds, rules: Rules) -> None:
        self._config = config
        self._bounds = bounds
        self._rules = rules
        self._reader: PartitionReader | None = None
        self._restoring: Restoring | None = None
        self._assigned: set[int] | None = None  # by the group, once it has
        self._live: set[int] = set()  # of them, those that are read
        self._stalled: dict[int, float] = {}  # by partition: when its restoring stalled last
        # So long may nothing come; longer each time, since brokers may only be slow.
        self._patience_s = _MIN_PATIENCE_S
        self.memories: dict[int, Memory] = {}  # by partition, those that are complete

    def memory(self, partition: int) -> Memory:
        """That of a partition which is read."""
        if partition not in self.memories and self._config is None:
            self.memories[partition] = Memory(self._rules.layout, self._bounds, partial=True)
        return self.memories[partition]

    @property
    def is_restoring(self) -> bool:
        return self._restoring is not None

    @property
    def is_complete(self) -> bool:
        """Nothing is to be restored before the next rebalance."""
        return self._config is None or self._assigned == self._live

    @property
    def is_progressing(self) -> bool:
        """A partition is being restored that has not stalled so far."""
        return self._restoring is not None and self._restoring.partition not in self._stalled

    def assigned(self, partitions: Sequence[int]) -> None:
        """The group gave these partitions, in place of others: what is not among them is dropped,
        and so is what is half restored."""
        self._restoring = None
        self._assigned, self._live = {*partitions}, set()
        self._stalled.clear()
        self._patience_s = _MIN_PATIENCE_S
        for gone in self.memories.keys() - self._assigned:
            del self.memories[gone]
        if self._config is None:
            self.memories.clear()

    def restore(self, stream: Stream) -> None:
        """A short turn of restoring the partitions that are held, one after the other.

        Raises:
            kafka_batch.FatalError: the state doesn't fit the input; an operator must say what now.
            kafka_batch.StreamError: the brokers can't be reached.
        """
        if self._config is None:
            return
        if self._restoring is None:
            self._begin_one(stream, self._config)
        elif self._restoring.partition not in stream.paused_positions():
            self._restoring = None  # a rebalance takes it: it may be another member's by now
        elif self._restoring.step():
            done, self._restoring = self._restoring, None
            self.memories[done.partition] = done.memory
            log.info("restored", partition=done.partition, **done.figures())
            self._release(stream, done.partition)
        elif self._restoring.is_stalled:
            self._stalled[self._restoring.partition] = time.monotonic()
            if len(stream.paused_positions()) > 1:
                self._restoring = None  # others go first
                self._patience_s = min(2 * self._patience_s, _MAX_PATIENCE_S)

    def _begin_one(self, stream: Stream, config: StateConfig) -> None:
        held = stream.paused_positions()
        for partition in sorted(held, key=lambda it: (self._stalled.get(it, 0.0), it)):
            offset = held[partition]
            memory = self.memories.get(partition)
            if memory is not None and memory.next_offset == offset:
                self._release(stream, partition)  # nobody else had it meanwhile
                continue
            self._reader = self._reader or PartitionReader(**config.reader)
            memory = Memory(self._rules.layout, self._bounds, source=stream.topic_id_tag)
            self._restoring = Restoring(
                config, self._reader, self._rules, memory, partition, offset, self._patience_s
            )
            return

    def _release(self, stream: Stream, partition: int) -> None:
        self._live.add(partition)
        stream.resume(partition)

    def close(self) -> None:
        """Ends its connections."""
        if self._reader is not None:
            self._reader.close()

    def committing(self, stream: Stream, offsets: Mapping[int, int]) -> None:
        """Sends what is to be saved, in the Kafka transaction that commits these offsets. Without
        timestamps: the brokers would refuse those of a clock that is wrong."""
        for partition in offsets:
            memory = self.memories[partition]
            # Which also keeps it within its bounds.
            for saved in memory.save(time.monotonic(), len(offsets)):
                self._send(stream, partition, saved)
            self._send(stream, partition, [(MANIFEST_KEY, _encode(memory.manifest()))])

    def _send(self, stream: Stream, partition: int, saved: Sequence[Saved]) -> None:
        if self._config is not None:
            records = [(NO_TIMESTAMP, source, packed, ()) for source, packed in saved]
            stream.send(self._config.topic, partition, records)

    def switch(self, rules: Rules) -> None:
        """Other rules are in force from the next record on."""
        for memory in self.memories.values():
            memory.switch(rules.layout)
        self._restoring = None
        self._rules = rules
