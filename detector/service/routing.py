"""The middle step of the loop: which row of a batch goes to which topic, with which headers.

Values in, values out: nothing is sent here.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import NamedTuple

from detector.rules import INNOCENT, Payment, Rules, Verdict
from detector.rules.engine.account import Account
from detector.service.memory import Memory
from detector.wire.headers import (
    VERDICT_HEADERS,
    dead_letter_headers,
    judged_headers,
    verdict_headers,
)
from detector.wire.payments import Payments, read_payments
from detector.wire.strict_reader import Unreadable
from kafka_batch import (
    NO_TIMESTAMP,
    Batch,
    HeaderBlock,
    Record,
    RowMask,
    TopicLimits,
    encode_body,
    read_headers,
    record_size,
)

_ENCODED_NAMES = [bytes((2 * len(name),)) + name.encode() for name in VERDICT_HEADERS]
_LONGEST_MS = (1 << 62) - 1  # further off sums overflow, the broker's too


class DeadLetter(NamedTuple):
    """A row that gets no verdict: it is passed on with another timestamp, mostly its own, and with
    headers that say why. Where the topic would refuse that, `record` is sent in its place."""

    row: int
    code: str
    timestamp_ms: int
    headers: HeaderBlock
    record: Record | None = None


@dataclass(slots=True)
class Routed:
    """A judged batch: its rows by destination, each in offset order, with the headers to append;
    `matches` counts the rows that rules fired on, by their indexes in the program."""

    legit: Sequence[int] = ()
    legit_headers: dict[int, HeaderBlock] = field(default_factory=dict)  # by row, of few
    fraud: list[int] = field(default_factory=list)
    fraud_headers: list[HeaderBlock] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    matches: Counter[tuple[int, ...]] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Limits:
    """What every output topic takes: bytes of a record with its headers, and the milliseconds
    that a timestamp may be ahead of the broker's clock, and behind it."""

    max_bytes: int
    max_ahead_ms: int
    max_behind_ms: int = _LONGEST_MS

    @classmethod
    def of(cls, topics: Iterable[TopicLimits], source: TopicLimits) -> "Limits":
        """The strictest of several topics' limits, for what comes from `source`.

        What that took is not too far ahead for a topic that is as lenient: time has only passed
        since. So our own clock, which may be wrong by days, has no say unless it must.
        """
        known = list(topics)
        ahead_ms = min(_LONGEST_MS, *(topic.max_ahead_ms for topic in known))
        return cls(
            min(topic.max_bytes for topic in known),
            _LONGEST_MS if source.max_ahead_ms <= ahead_ms else ahead_ms,
            min(_LONGEST_MS, *(topic.max_behind_ms for topic in known)),
        )

    def times(self, now_ms: int) -> range:
        """The timestamps that are taken now."""
        return range(now_ms - self.max_behind_ms, now_ms + self.max_ahead_ms + 1)

    def refuse(self, timestamp_ms: int, now_ms: int) -> bool:
        """Whether the timestamp is none, or is not taken now."""
        return timestamp_ms == NO_TIMESTAMP or timestamp_ms not in self.times(now_ms)

    def room(self, batch: Batch) -> int:
        """By how many bytes every record of the batch may grow and be taken; negative where one
        may not be taken as it is."""
        return self.max_bytes - record_size(batch.max_body_size)

    def refused(self, batch: Batch, now_ms: int, room: int) -> list[int]:
        """The rows that may not be taken as they are, by the batch's `room`."""
        times = self.times(now_ms)
        if room >= 0 and all(ms in times for ms in batch.timestamp_bounds):
            return []
        most = self.max_bytes - record_size(0)
        return [
            row
            for row, (ms, body) in enumerate(zip(batch.timestamps, batch.bodies, strict=True))
            if ms not in times or len(body) > most
        ]


def route(batch: Batch, rules: Rules, limits: Limits, now_ms: int, memory: Memory) -> Routed:
    """Judges every row of a batch; `memory` is that of its partition.

    `now_ms`, our clock, serves only to foresee which timestamps the broker would refuse. Where
    the broker's clock is behind ours it refuses a few more; the stream then restarts, until
    that clock has caught up.
    """
    routing = _Batch(batch, rules, limits, now_ms)
    for payments, unreadable in read_payments(batch, len(batch)):
        for row, fault in unreadable:
            routing.dead_letter(row, fault)
        _route_payments(routing, payments, memory)
    memory.next_offset = batch.next_offset
    return routing.all_routed()


class _Batch:
    """A batch on its way."""

    def __init__(self, batch: Batch, rules: Rules, limits: Limits, now_ms: int) -> None:
        self.batch = batch
        self.rules = rules
        self.limits = limits
        self.now_ms = now_ms
        self.room = limits.room(batch)
        self.refused = frozenset(limits.refused(batch, now_ms, self.room))
        self.forged = _forged(batch)
        self.one_by_one = self.refused | self.forged
        self.routed = Routed()
        self._origin = f"{batch.topic}/{batch.partition}/".encode()
        self._version = rules.version.encode()

    def origin(self, row: int) -> bytes:
        """topic/partition/offset."""
        return b"%b%d" % (self._origin, self.batch.offsets[row])

    def dispatch(self, row: int, verdict: Verdict) -> None:
        """Sends a row where its verdict says, if its topic takes it."""
        headers = verdict_headers(verdict)
        if headers or row in self.forged:
            headers = judged_headers(self.origin(row), self._version, headers)
        tight = row in self.refused or (headers and len(headers) > self.room)
        if tight and (fault := _fault(self.batch, row, headers, self.limits, self.now_ms)):
            self.dead_letter(row, fault)
            return
        if headers is None:
            return
        if verdict.matched.indexes:
            self.routed.matches[verdict.matched.indexes] += 1
        if verdict.matched.active:
            self.routed.fraud.append(row)
            self.routed.fraud_headers.append(headers)
        else:
            self.routed.legit_headers[row] = headers

    def dead_letter(self, row: int, fault: Unreadable) -> None:
        """Makes a dead letter of a row."""
        batch, limits, origin = self.batch, self.limits, self.origin(row)
        timestamp_ms, refused_ms = batch.timestamps[row], None
        if limits.refuse(timestamp_ms, self.now_ms):
            timestamp_ms, refused_ms = self.now_ms, timestamp_ms
        headers = dead_letter_headers(fault, origin, refused_ms)
        headers = judged_headers(origin, self._version, headers)
        record = None
        if record_size(len(batch.bodies[row]), headers) > limits.max_bytes:
            record = _cut(batch, row, timestamp_ms, headers, limits)
        letter = DeadLetter(row, fault.code, timestamp_ms, headers, record)
        self.routed.dead.append(letter)

    def all_routed(self) -> Routed:
        """Whatever was sent nowhere else is legitimate."""
        routed = self.routed
        routed.dead.sort()
        elsewhere = chain(routed.fraud, [letter.row for letter in routed.dead])
        routed.legit = RowMask(len(self.batch), elsewhere)
        return routed


def _route_payments(routing: _Batch, payments: Payments, memory: Memory) -> None:
    rules, one_by_one = routing.rules, routing.one_by_one
    accounts = _accounts(payments, rules, memory)
    rows, _, times_ms, sources, targets, amounts, currencies = payments
    judged = payments.judged(rules.evaluators, accounts)
    for n, (row, matches) in enumerate(zip(rows, judged, strict=True)):
        if matches:
            payment = Payment(times_ms[n], amounts[n], currencies[n], sources[n], targets[n])
            routing.dispatch(row, rules.verdict(matches, payment, accounts[n]))
        elif row in one_by_one:
            routing.dispatch(row, INNOCENT)


def _accounts(payments: Payments, rules: Rules, memory: Memory) -> Sequence[Account]:
    """The account of each payment. Every payment is remembered, also one that no topic takes: what
    is remembered then follows from the input alone, not from the clock that refused it."""
    if not rules.remembers:
        return [rules.no_account] * len(payments.rows)
    accounts = memory.get_or_create(payments)
    memory.lay_out(accounts)
    return accounts


def _forged(batch: Batch) -> frozenset[int]:
    """The rows whose sender used the name of a header of ours."""
    if batch.headerless:
        return frozenset()
    return frozenset(
        row
        for row in _rows_with_names(batch.bodies)
        if any(name in VERDICT_HEADERS for name, _ in read_headers(batch.bodies[row]))
    )


def _rows_with_names(bodies: Sequence[bytes]) -> Iterator[int]:
    """Rows in which such a name stands somewhere, as a header's is encoded. All are looked through
    at once: most batches have none, and to decode the headers of every row takes longer."""
    joined, ends = b"".join(bodies), [*accumulate(map(len, bodies))]
    for name in _ENCODED_NAMES:
        position = joined.find(name)
        while position >= 0:
            yield bisect_right(ends, position)
            position = joined.find(name, position + 1)


def _fault(
    batch: Batch, row: int, headers: HeaderBlock | None, limits: Limits, now_ms: int
) -> Unreadable | None:
    """Why the broker would refuse the row as it is."""
    if limits.refuse(batch.timestamps[row], now_ms):
        return Unreadable("bad_timestamp", "the timestamp is further off than the topics take")
    size, most = record_size(len(batch.bodies[row]), headers), limits.max_bytes
    if size > most:
        return Unreadable("too_large", f"{size} bytes with headers; the topics take {most}")
    return None


def _cut(batch: Batch, row: int, timestamp_ms: int, headers: HeaderBlock, limits: Limits) -> Record:
    """What of a dead letter the topic takes: without its value, and where that doesn't suffice,
    without its key and its own headers too. The rest is found at its origin."""
    ours = headers.decoded()
    record = timestamp_ms, batch.keys[row], None, [*batch.headers[row], *ours]
    if record_size(len(encode_body(*record[1:]))) <= limits.max_bytes:
        return record
    return timestamp_ms, None, None, ours
