"""The middle step of the loop: which row of a batch goes to which topic, with which headers.

Values in, values out: nothing is sent here.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, compress
from typing import NamedTuple

from detector.careful import Unreadable
from detector.memory import Memory
from detector.payments import Payments, read_payments
from detector.rules import INNOCENT, Payment, Rules, Verdict
from detector.transaction import UNSCREENED, Screen, parse
from detector.verdicts import MARKER, OUR_HEADERS
from kafka_batch import (
    NO_TIMESTAMP,
    AllBut,
    Batch,
    HeaderBlock,
    Record,
    TopicLimits,
    encode_tail,
    record_size,
)

_KEPT_FAULTS = 1 << 12
_ENCODED_NAMES = [bytes((2 * len(name),)) + name.encode() for name in OUR_HEADERS]
_NO_HEADERS = HeaderBlock.of(())
_LONGEST_MS = (1 << 62) - 1  # further off sums overflow, the broker's too


class DeadLetter(NamedTuple):
    """A row that gets no verdict: it is passed on with another timestamp, mostly its own, and with
    headers that say why. Where the topic would refuse that, `record` tells of it in its place."""

    row: int
    code: str
    timestamp_ms: int
    headers: HeaderBlock
    record: Record | None = None


@dataclass(slots=True)
class Routed:
    """A judged batch: its rows by destination, each in offset order, with the headers to append;
    `hits` counts the rows that rules fired on, by the places of these in the program."""

    legit: Sequence[int] = ()
    legit_headers: dict[int, HeaderBlock] = field(default_factory=dict)  # by row, of few
    fraud: list[int] = field(default_factory=list)
    fraud_headers: list[HeaderBlock] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    hits: Counter[tuple[int, ...]] = field(default_factory=Counter)

    def sort_fraud(self) -> None:
        """Brings these rows into offset order."""
        order = sorted(range(len(self.fraud)), key=self.fraud.__getitem__)
        self.fraud = [self.fraud[n] for n in order]
        self.fraud_headers = [self.fraud_headers[n] for n in order]


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
        """The timestamps that are taken now; a record may also have none."""
        return range(now_ms - self.max_behind_ms, now_ms + self.max_ahead_ms + 1)

    def refuse(self, timestamp_ms: int, now_ms: int) -> bool:
        """Whether the timestamp is not taken now."""
        return timestamp_ms not in self.times(now_ms) and timestamp_ms != NO_TIMESTAMP

    def room(self, batch: Batch) -> int:
        """By how many bytes every record of the batch may grow and be taken; negative where one
        may not be taken as it is."""
        return self.max_bytes - record_size(batch.largest)

    def refused(self, batch: Batch, now_ms: int, room: int) -> list[int]:
        """The rows that may not be taken as they are, by the batch's `room`."""
        times = self.times(now_ms)
        if room >= 0 and all(ms in times for ms in batch.time_span):
            return []
        most = self.max_bytes - record_size(0)
        return [
            row
            for row, (ms, tail) in enumerate(zip(batch.timestamps, batch.tails, strict=True))
            if (ms not in times and ms != NO_TIMESTAMP) or len(tail) > most
        ]


def route(batch: Batch, rules: Rules, limits: Limits, now_ms: int, memory: Memory) -> Routed:
    """Judges every row of a batch; `memory` is that of its partition.

    `now_ms`, our clock, serves only to foresee which timestamps the broker would refuse. Where
    the broker's clock is behind ours it refuses a few more; the stream then starts anew, until
    that clock has caught up.
    """
    its = _Batch(batch, rules, limits, now_ms)
    if rules.screen is None:
        _route_by_account(its, memory)
    else:
        _route_by_price(its, rules.screen)
    memory.next_offset = batch.next_offset
    return its.all_routed()


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
        self._version = f";rules={rules.version}".encode()

    def marked(self, row: int, headers: HeaderBlock) -> HeaderBlock:
        """The headers, behind the one that marks them as ours (`detector.verdicts`)."""
        content = b"%b%d%b" % (self._origin, self.batch.offsets[row], self._version)
        return headers.after(MARKER, content)

    def place(self, row: int, verdict: Verdict) -> None:
        """Sends a row where its verdict says, if its topic takes it."""
        routed, headers = self.routed, verdict.headers
        if headers or row in self.forged:
            headers = self.marked(row, headers or _NO_HEADERS)
        tight = row in self.refused or (headers and len(headers) > self.room)
        if tight and (fault := _fault(self.batch, row, headers, self.limits, self.now_ms)):
            self.bury(row, fault)
            return
        if headers is None:
            return
        if verdict.places:
            routed.hits[verdict.places] += 1
        if verdict.suspicious:
            routed.fraud.append(row)
            routed.fraud_headers.append(headers)
        else:
            routed.legit_headers[row] = headers

    def place_all(self, rows: Sequence[int], verdicts: Sequence[Verdict]) -> None:
        """Many at once, which are not among the refused."""
        places, suspicious, unmarked = zip(*verdicts, strict=True)
        headers = [*map(self.marked, rows, unmarked)] if all(suspicious) else []
        fit = headers and max(map(len, headers)) <= self.room
        if not fit:
            for row, verdict in zip(rows, verdicts, strict=True):
                self.place(row, verdict)
            return
        self.routed.fraud += rows
        self.routed.fraud_headers += headers
        self.routed.hits.update(places)

    def bury(self, row: int, fault: Unreadable) -> None:
        """Makes a dead letter of a row."""
        headers = self.marked(row, _why(fault))
        letter = _dead_letter(self.batch, row, fault, headers, self.limits, self.now_ms)
        self.routed.dead.append(letter)

    def all_routed(self) -> Routed:
        """Whatever was sent nowhere else is legitimate."""
        routed = self.routed
        routed.dead.sort()
        elsewhere = chain(routed.fraud, [letter.row for letter in routed.dead])
        routed.legit = AllBut(len(self.batch), elsewhere)
        return routed


# -- rules that look at a payment's price alone


def _route_by_price(its: _Batch, screen: Screen) -> None:
    batch = its.batch
    held = screen.held(batch)
    for row in its.one_by_one:
        held[row] = UNSCREENED
    others = _route_plain(its, held)
    for row in others:
        outcome = parse(batch.values[row])
        if isinstance(outcome, Unreadable):
            its.bury(row, outcome)
        else:
            its.place(row, its.rules.judge_alone(outcome, batch.timestamps[row]))
    if others:
        its.routed.sort_fraud()


def _route_plain(its: _Batch, held: Sequence[bytes]) -> list[int]:
    """Routes what the screen holds of the plain transactions, and returns the other rows."""
    rows = [*compress(range(len(held)), held)]
    texts = [*filter(None, held)]
    others: list[int] = []
    if not b"".join(texts).isascii():
        others = [row for row in rows if not held[row].isascii()]
        rows = [row for row in rows if held[row].isascii()]
        texts = [held[row] for row in rows]
    if rows:
        its.place_all(rows, [*map(its.rules.on_price.__getitem__, texts)])
    return others


# -- rules that remember


def _route_by_account(its: _Batch, memory: Memory) -> None:
    """Every readable payment is remembered, also one that no topic takes: what is remembered then
    follows from the input alone, not from the clock that refused it."""
    for payments, unreadable in read_payments(its.batch, its.rules.amounts, len(its.batch)):
        for row, fault in unreadable:
            its.bury(row, fault)
        _route_payments(its, payments, memory)


def _route_payments(its: _Batch, payments: Payments, memory: Memory) -> None:
    rules, one_by_one = its.rules, its.one_by_one
    accounts = memory.touch(payments)
    memory.lay_out(accounts)
    rows, _, times_ms, sources, targets, amounts, currencies = payments
    judged = payments.judged(rules.judges, accounts)
    for n, (row, hits) in enumerate(zip(rows, judged, strict=True)):
        if hits:
            payment = Payment(times_ms[n], amounts[n], currencies[n], sources[n], targets[n])
            its.place(row, rules.verdict(hits, payment, accounts[n]))
        elif row in one_by_one:
            its.place(row, INNOCENT)


def _forged(batch: Batch) -> frozenset[int]:
    """The rows whose sender used the name of a header of ours."""
    if batch.bare or not any(map(b"".join(batch.tails).__contains__, _ENCODED_NAMES)):
        return frozenset()
    return frozenset(
        row
        for row, headers in enumerate(batch.headers)
        if any(name in OUR_HEADERS for name, _ in headers)
    )


def _fault(
    batch: Batch, row: int, headers: HeaderBlock | None, limits: Limits, now_ms: int
) -> Unreadable | None:
    """Why the broker would refuse the row as it is."""
    if limits.refuse(batch.timestamps[row], now_ms):
        return Unreadable("bad_timestamp", "the timestamp is further off than the topics take")
    size, most = record_size(len(batch.tails[row]), headers), limits.max_bytes
    if size > most:
        return Unreadable("too_large", f"{size} bytes with headers; the topics take {most}")
    return None


def _dead_letter(
    batch: Batch, row: int, fault: Unreadable, headers: HeaderBlock, limits: Limits, now_ms: int
) -> DeadLetter:
    timestamp_ms = batch.timestamps[row]
    origin = f"{batch.topic}/{batch.partition}/{batch.offsets[row]}"
    headers = headers.then(("origin", origin.encode()))
    if limits.refuse(timestamp_ms, now_ms):
        headers = headers.then(("origin_timestamp", b"%d" % timestamp_ms))
        timestamp_ms = now_ms
    record = None
    if record_size(len(batch.tails[row]), headers) > limits.max_bytes:
        record = _cut(batch, row, timestamp_ms, headers, limits)
    return DeadLetter(row, fault.code, timestamp_ms, headers, record)


@lru_cache(_KEPT_FAULTS)
def _why(fault: Unreadable) -> HeaderBlock:
    return HeaderBlock.of([("error", fault.code.encode()), ("error_detail", fault.detail.encode())])


def _cut(batch: Batch, row: int, timestamp_ms: int, headers: HeaderBlock, limits: Limits) -> Record:
    """What of a dead letter the topic takes: without its value, and where that doesn't suffice,
    without its key and its own headers too. The rest is found at its origin."""
    ours = headers.decoded()
    record = timestamp_ms, batch.keys[row], None, [*batch.headers[row], *ours]
    if record_size(len(encode_tail(*record[1:]))) <= limits.max_bytes:
        return record
    return timestamp_ms, None, None, ours
