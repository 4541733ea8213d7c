"""The state of all partitions that this detector has: kept, saved with each commit, restored.

The accounts of an input partition live in memory (`Memory`). With every commit those used
longest ago are written to the state topic, in the same Kafka transaction as outputs and offsets,
and behind them a manifest that says what is written. Whoever is given a partition pauses it, loads
its accounts, reads the input again from the oldest use that was not saved up to the committed
offset, without sending anything, and only then goes live: it then remembers what its predecessor
did at that offset, to the record. Other partitions go on meanwhile.
"""

import time
from collections.abc import Mapping, Sequence
from enum import Enum, auto

import msgspec
import structlog

from detector.rules import Rules
from detector.service.memory import MANIFEST_KEY, Bounds, Memory, Saved
from detector.service.restoring import Restoring, StateConfig
from kafka_batch import NO_TIMESTAMP, Reader, TransactionalStream

log = structlog.get_logger("detector")
_MIN_PATIENCE_S, _MAX_PATIENCE_S = 1.0, 16.0
_encode = msgspec.json.Encoder().encode


class Phase(Enum):
    """How far an assigned partition has come. Only a live one is read."""

    WAITING = auto()  # for others to be restored, or for its committed offset to be known
    RESTORING = auto()
    STALLED = auto()  # restoring it has stalled; it is tried again, after the others
    LIVE = auto()


class State:
    """Of one stream: it must not outlive it, since what was written and not committed is void.

    Without `config` nothing is written or restored: the rules remember nothing, or the stream is
    not exactly once, and memory then starts empty with each assignment, which it says (`partial`).
    """

    def __init__(self, config: StateConfig | None, bounds: Bounds, rules: Rules) -> None:
        self._config = config
        self._bounds = bounds
        self._rules = rules
        self._reader: Reader | None = None
        self._restoring: Restoring | None = None
        self._has_joined = False
        self._phases: dict[int, Phase] = {}  # by partition that the group assigned
        self._stalled_at: dict[int, float] = {}  # by partition
        self._patience_s = _MIN_PATIENCE_S  # stall time-out, doubled each time
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
        if self._config is None:
            return True
        return self._has_joined and {*self._phases.values()} <= {Phase.LIVE}

    @property
    def is_progressing(self) -> bool:
        """A partition is being restored that has not stalled so far."""
        return Phase.RESTORING in self._phases.values()

    def assigned(self, partitions: Sequence[int]) -> None:
        """The group gave these partitions, in place of others: what is not among them is dropped,
        and so is what is half restored."""
        self._restoring = None
        self._has_joined = True
        self._phases = dict.fromkeys(partitions, Phase.WAITING)
        self._stalled_at.clear()
        self._patience_s = _MIN_PATIENCE_S
        for revoked in self.memories.keys() - self._phases.keys():
            del self.memories[revoked]
        if self._config is None:
            self.memories.clear()

    def restore(self, stream: TransactionalStream) -> None:
        """A short turn of restoring the partitions that are paused, one after the other.

        Raises:
            kafka_batch.FatalError: the state doesn't fit the input; an operator must say what now.
            kafka_batch.StreamError: the brokers can't be reached.
        """
        if self._config is None:
            return
        if self._restoring is None:
            self._begin_one(stream, self._config)
        elif self._restoring.partition not in stream.paused_positions():
            self._restart_later()  # a rebalance takes it: it may be another member's by now
        elif self._restoring.step():
            done, self._restoring = self._restoring, None
            self.memories[done.partition] = done.memory
            log.info("restored", partition=done.partition, **done.figures())
            self._go_live(stream, done.partition)
        elif self._restoring.is_stalled:
            self._phases[self._restoring.partition] = Phase.STALLED
            self._stalled_at[self._restoring.partition] = time.monotonic()
            if len(stream.paused_positions()) > 1:
                self._restoring = None  # others go first
                self._patience_s = min(2 * self._patience_s, _MAX_PATIENCE_S)

    def _begin_one(self, stream: TransactionalStream, config: StateConfig) -> None:
        paused = stream.paused_positions()
        for partition in sorted(paused, key=lambda it: (self._stalled_at.get(it, 0.0), it)):
            offset = paused[partition]
            memory = self.memories.get(partition)
            if memory is not None and memory.next_offset == offset:
                self._go_live(stream, partition)  # nobody else had it meanwhile
                continue
            self._reader = self._reader or config.open_reader()
            memory = Memory(self._rules.layout, self._bounds, source=stream.topic_id_tag)
            self._restoring = Restoring(
                config, self._reader, self._rules, memory, partition, offset, self._patience_s
            )
            if partition not in self._stalled_at:
                self._phases[partition] = Phase.RESTORING
            return

    def _go_live(self, stream: TransactionalStream, partition: int) -> None:
        self._phases[partition] = Phase.LIVE
        stream.resume(partition)

    def _restart_later(self) -> None:
        for partition, phase in self._phases.items():
            if phase is Phase.RESTORING:
                self._phases[partition] = Phase.WAITING
        self._restoring = None

    def close(self) -> None:
        """Ends its connections."""
        if self._reader is not None:
            self._reader.close()

    def committing(self, stream: TransactionalStream, offsets: Mapping[int, int]) -> None:
        """Sends what is to be saved, in the Kafka transaction that commits these offsets. Without
        timestamps: the brokers would refuse those of a clock that is wrong."""
        for partition in offsets:
            memory = self.memories[partition]
            # Which also keeps it within its bounds.
            for saved in memory.save(time.monotonic(), len(offsets)):
                self._send(stream, partition, saved)
            self._send(stream, partition, [(MANIFEST_KEY, _encode(memory.manifest()))])

    def _send(self, stream: TransactionalStream, partition: int, saved: Sequence[Saved]) -> None:
        if self._config is not None:
            records = [(NO_TIMESTAMP, source, packed, ()) for source, packed in saved]
            stream.send(self._config.topic, partition, records)

    def switch(self, rules: Rules) -> None:
        """Another rule set is current from the next record on."""
        for memory in self.memories.values():
            memory.switch(rules.layout)
        self._restart_later()
        self._rules = rules
