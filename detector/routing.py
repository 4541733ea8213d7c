"""The middle step of the loop: which row of a batch goes to which topic, with which headers.

Values in, values out: nothing is sent here.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import not_

from detector.memory import Memory
from detector.rules import INNOCENT, Payment, Rules, Verdict
from detector.transaction import Screen, Unreadable, parse, read_fields
from kafka_batch import Batch, HeaderBlock, Record, TopicLimits, encode_tail, record_size


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A row that gets no verdict, and the record that tells of it in its place."""

    row: int
    code: str
    record: Record


@dataclass(slots=True)
class Routed:
    """A judged batch: its rows by destination, each in offset order, with the headers to append;
    `hits` counts by a rule's place in the program."""

    legit: list[int] = field(default_factory=list)
    legit_headers: dict[int, HeaderBlock] = field(default_factory=dict)  # by row, of few
    fraud: list[int] = field(default_factory=list)
    fraud_headers: list[HeaderBlock] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    hits: Counter[int] = field(default_factory=Counter)

    def sort(self) -> None:
        """Brings the rows into offset order."""
        self.legit.sort()
        order = sorted(range(len(self.fraud)), key=self.fraud.__getitem__)
        self.fraud = [self.fraud[n] for n in order]
        self.fraud_headers = [self.fraud_headers[n] for n in order]


@dataclass(frozen=True, slots=True)
class Limits:
    """What every output topic takes: bytes of a record with its headers, and the milliseconds
    that a timestamp may be ahead of the broker's clock."""

    max_bytes: int
    max_ahead_ms: int

    @classmethod
    def of(cls, topics: Iterable[TopicLimits]) -> "Limits":
        """The strictest of several topics' limits."""
        known = list(topics)
        return cls(min(t.max_bytes for t in known), min(t.max_ahead_ms for t in known))

    def latest_ms(self, now_ms: int) -> int:
        """The latest timestamp that is taken now."""
        return now_ms + self.max_ahead_ms

    def room(self, batch: Batch, now_ms: int) -> int:
        """By how many bytes every record of the batch may grow and be taken; negative where one
        may not be taken as it is."""
        if max(batch.timestamps) > self.latest_ms(now_ms):
            return -1
        return self.max_bytes - record_size(max(map(len, batch.tails)))


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
    return its.routed


class _Batch:
    """A batch on its way."""

    def __init__(self, batch: Batch, rules: Rules, limits: Limits, now_ms: int) -> None:
        self.batch = batch
        self.rules = rules
        self.limits = limits
        self.now_ms = now_ms
        self.room = limits.room(batch, now_ms)
        self.routed = Routed()

    def place(self, row: int, verdict: Verdict) -> None:
        """Sends a row where its verdict says, if its topic takes it."""
        routed, headers = self.routed, verdict.headers
        tight = self.room < (len(headers.encoded) if headers else 0)
        if tight and (fault := _fault(self.batch, row, headers, self.limits, self.now_ms)):
            self.bury(row, fault)
            return
        routed.hits.update(verdict.places)
        if headers is None:
            routed.legit.append(row)
        elif verdict.suspicious:
            routed.fraud.append(row)
            routed.fraud_headers.append(headers)
        else:
            routed.legit.append(row)
            routed.legit_headers[row] = headers

    def bury(self, row: int, fault: Unreadable) -> None:
        """Makes a dead letter of a row."""
        letter = _dead_letter(self.batch, row, fault, self.limits, self.now_ms)
        self.routed.dead.append(letter)


# -- rules that look at a payment's price alone


def _route_by_price(its: _Batch, screen: Screen) -> None:
    batch, rows = its.batch, range(len(its.batch))
    if its.room >= 0:
        held = screen.held(batch.values)
        its.routed.legit += compress(rows, map(not_, held))
        rest = _route_plain(its, held)
    else:
        rest = [*rows]
    for row in rest:
        outcome = parse(batch.values[row])
        if isinstance(outcome, Unreadable):
            its.bury(row, outcome)
        else:
            its.place(row, its.rules.judge_alone(outcome, batch.timestamps[row]))
    its.routed.sort()


def _route_plain(its: _Batch, held: Sequence[bytes]) -> list[int]:
    """Routes what the screen holds of the plain transactions, and returns the other rows."""
    others = []
    values, verdict_on_price = its.batch.values, its.rules.verdict_on_price
    for row in compress(range(len(held)), held):
        price = held[row]
        if len(price) < len(values[row] or b""):
            its.place(row, verdict_on_price(price))
        else:
            others.append(row)
    return others


# -- rules that remember


def _route_by_account(its: _Batch, memory: Memory) -> None:
    """Every readable payment is remembered, also one that no topic takes: what is remembered then
    follows from the input alone, not from the clock that refused it."""
    batch, rules = its.batch, its.rules
    hot, judges, legit = memory.hot.get, rules.judges, its.routed.legit
    amounts = rules.amounts
    exact = its.room < 0
    rows = zip(batch.offsets, batch.timestamps, read_fields(batch.values), strict=True)
    for row, (offset, time_ms, (source, target, text, currency, other)) in enumerate(rows):
        if other:
            outcome = parse(batch.values[row])
            if isinstance(outcome, Unreadable):
                its.bury(row, outcome)
                continue
            source, target, amount, currency = outcome  # noqa: PLW2901
        else:
            amount = amounts[currency][text]
        account = hot(source) or memory.touch(source, time_ms, currency, offset)
        hits = judges[currency](account, time_ms, amount, target, currency, source)
        if hits:
            payment = Payment(time_ms, amount, currency, source, target)
            its.place(row, rules.verdict(hits, payment, account))
        elif exact:
            its.place(row, INNOCENT)
        else:
            legit.append(row)


def _fault(
    batch: Batch, row: int, headers: HeaderBlock | None, limits: Limits, now_ms: int
) -> Unreadable | None:
    """Why the broker would refuse the row as it is."""
    if batch.timestamps[row] > limits.latest_ms(now_ms):
        return Unreadable("bad_timestamp", "the timestamp is further ahead than the topics take")
    size, most = record_size(len(batch.tails[row]), headers), limits.max_bytes
    if size > most:
        return Unreadable("too_large", f"{size} bytes with headers; the topics take {most}")
    return None


def _dead_letter(
    batch: Batch, row: int, fault: Unreadable, limits: Limits, now_ms: int
) -> DeadLetter:
    """The record as it came, with headers that say what is wrong; what the broker would refuse
    of it is left out, and found at its origin."""
    timestamp_ms, key, value = batch.timestamps[row], batch.keys[row], batch.values[row]
    headers: list[tuple[str, bytes | None]] = [
        ("error", fault.code.encode()),
        ("error_detail", fault.detail.encode()),
        ("origin", f"{batch.topic}/{batch.partition}/{batch.offsets[row]}".encode()),
    ]
    if timestamp_ms > limits.latest_ms(now_ms):
        headers.append(("origin_timestamp", str(timestamp_ms).encode()))
        timestamp_ms = now_ms
    own = batch.headers[row]
    for record in (
        (timestamp_ms, key, value, [*own, *headers]),
        (timestamp_ms, key, None, [*own, *headers]),
    ):
        if record_size(len(encode_tail(*record[1:]))) <= limits.max_bytes:
            return DeadLetter(row, fault.code, record)
    return DeadLetter(row, fault.code, (timestamp_ms, None, None, headers))
