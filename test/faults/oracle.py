"""What must become of each record, worked out offline, and apart from the detector's own code."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from detecting import Topics

LARGE_AMOUNT = "large_amount"
LIMIT = Decimal(900)
PARTITIONS = 4  # of each topic
Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True)
class Stored:
    """A record as a client reads it back; timestamps are in milliseconds since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def origin(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True)
class Expected:
    """Where a record must come out, as what, and what must stand in which header of ours."""

    topic: str
    record: tuple[int, bytes | None, bytes | None, Headers]
    ours: tuple[tuple[str, str], ...]


def judge(
    stored: Stored, planted: dict[bytes, str], topics: Topics, others: Sequence[str] = ()
) -> Expected:
    """The outcome of one record. `planted` are the malformed values with their error codes;
    `others` the rules that fire on it besides that of large amounts, which is worked out here."""
    record = (stored.timestamp, stored.key, stored.value, stored.headers)
    code = planted.get(stored.value or b"")
    if code is not None:
        return Expected(topics.dead_letter, record, (("error", code), ("origin", stored.origin)))
    amount = json.loads(stored.value or b"", parse_float=Decimal, parse_int=Decimal)["amount"]
    text, rules = "", [*others]
    if amount >= LIMIT:
        text, rules = f"{amount:.2f} USD is at least {LIMIT:.2f} USD.", [LARGE_AMOUNT, *others]
    if not rules:
        return Expected(topics.legit, record, ())
    return Expected(topics.fraud, record, (("rules", ",".join(rules)), ("text", text)))


def came_out(found: Stored) -> Expected:
    """What did come out, in the terms of what must."""
    cut = _cut(found)
    record = (found.timestamp, found.key, found.value, found.headers[:cut])
    return Expected(found.topic, record, tuple(_told(dict(found.headers[cut:]))))


def appended(found: Stored) -> Headers:
    """The headers that the detector has appended to a record."""
    return found.headers[_cut(found) :]


def _cut(found: Stored) -> int:
    marks = [n for n, (name, _) in enumerate(found.headers) if name == "judged"]
    return marks[-1] if marks else len(found.headers)  # a sender's own may have the same name


def _told(ours: dict[str, Any]) -> list[tuple[str, str]]:
    if "rules" in ours:
        texts = {reason["rule"]: reason["text"] for reason in json.loads(ours["reasons"])}
        return [("rules", ours["rules"].decode()), ("text", texts.get(LARGE_AMOUNT, ""))]
    if "error" in ours:
        return [("error", ours["error"].decode()), ("origin", ours["origin"].decode())]
    return []
