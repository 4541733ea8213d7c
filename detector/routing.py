"""The middle step of the loop: which row of a batch goes to which topic, with which headers.

Values in, values out: nothing is sent here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import not_

from detector.rules import Rules
from detector.transaction import Unreadable, parse
from kafka_batch import Batch, HeaderBlock, Record, TopicLimits, encode_tail, record_size


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A row that gets no verdict, and the record that tells of it in its place."""

    row: int
    code: str
    record: Record


@dataclass(slots=True)
class Routed:
    """A judged batch: its rows by destination, each in offset order."""

    legit: list[int] = field(default_factory=list)
    fraud: list[int] = field(default_factory=list)
    fraud_headers: list[HeaderBlock] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)

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


def route(batch: Batch, rules: Rules, limits: Limits, now_ms: int) -> Routed:
    """Judges every row of a batch.

    `now_ms`, our clock, serves only to foresee which timestamps the broker would refuse. Where
    the broker's clock is behind ours it refuses a few more; the stream then starts anew, until
    that clock has caught up.
    """
    routed = Routed()
    room = limits.room(batch, now_ms)
    if room >= 0:
        held = rules.screen.held(batch.values)
        routed.legit += compress(range(len(batch)), map(not_, held))
        rest = _route_plain(batch, held, rules, room, routed)
    else:
        rest = [*range(len(batch))]
    for row in rest:
        _route_one(batch, row, rules, limits, now_ms, room, routed)
    if rest:
        routed.sort()
    return routed


def _route_plain(
    batch: Batch, held: Sequence[bytes], rules: Rules, room: int, routed: Routed
) -> list[int]:
    """Routes what the screen holds of the plain transactions, and returns the other rows."""
    others = []
    values = batch.values
    for row in compress(range(len(batch)), held):
        price = held[row]
        headers = None
        if len(price) < len(values[row] or b""):
            headers = rules.verdict_on_price(price)
        if headers is None or len(headers.encoded) > room:
            others.append(row)
        else:
            routed.fraud.append(row)
            routed.fraud_headers.append(headers)
    return others


def _route_one(
    batch: Batch, row: int, rules: Rules, limits: Limits, now_ms: int, room: int, routed: Routed
) -> None:
    outcome = parse(batch.values[row])
    if isinstance(outcome, Unreadable):
        routed.dead.append(_dead_letter(batch, row, outcome, limits, now_ms))
        return
    headers = rules.verdict(outcome)
    tight = room < (len(headers.encoded) if headers else 0)
    if tight and (fault := _fault(batch, row, headers, limits, now_ms)):
        routed.dead.append(_dead_letter(batch, row, fault, limits, now_ms))
    elif headers:
        routed.fraud.append(row)
        routed.fraud_headers.append(headers)
    else:
        routed.legit.append(row)


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
