"""What comes out for a recorded input, byte for byte.

200,000 payments of 4,000 accounts go through `route` by three rule sets. The JSON file beside this
one has a SHA-256 of what comes out, for each 20,000 of them. A change that should not affect
verdicts must not change these; one that should says in its commit which of them it changed.
"""

import hashlib
import json
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from rulebooks import SHIPPED, all_active, large_amount

from detector.rules import Rules
from detector.rules.file.loading import load
from detector.service.memory import Bounds, Memory
from detector.service.routing import Limits, Routed, route
from kafka_batch import Batch, PlainBatch

PAYMENTS, BATCH, CHUNK = 200_000, 2_000, 20_000
ACCOUNTS = 4_000
START_MS = 1_735_689_600_000
MINUTE_MS, DAY_MS = 60_000, 86_400_000
STEP_MS = 4_000
KEPT_EVENTS = 40  # an account that pays often reaches this
LIMITS = Limits(max_bytes=1_600, max_ahead_ms=60 * MINUTE_MS, max_behind_ms=30 * DAY_MS)

RULE_SETS = {
    "shipped": SHIPPED.read_text(),
    "all active": all_active(),
    "large_amount": large_amount(900),
}

RECORDED = json.loads(Path(__file__).with_suffix(".json").read_text())

AMOUNTS = (
    "3.5",
    "12.34",
    "49",
    "49.99",
    "150",
    "150.00",
    "799.99",
    "800",
    "850.5",
    "899.999",
    "900",
)
CURRENCIES = ("USD",) * 18 + ("EUR", "JPY")
UNREADABLE = (
    None,
    b"",
    b"not json",
    b'{"source":"a"}',
    b'{"source":"a","target":"b","amount":"5","currency":"USD"}',
    b'{"source":"a","target":"b","amount":5,"currency":"usd"}',
    b'{"source":"a","source":"a","target":"b","amount":5,"currency":"USD"}',
    b'{"source":"\xff","target":"b","amount":5,"currency":"USD"}',
)


class Draw:
    """Random choices that are the same on every Python: all are drawn through `random()` alone."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random  # noqa: S311  # not for secrets

    def below(self, number: int) -> int:
        return int(self._random() * number)

    def one_in(self, number: int) -> bool:
        return self.below(number) == 0


def an_account(draw: Draw) -> int:
    """One payment in twenty is made by one of the first twenty accounts."""
    return draw.below(20) if draw.one_in(20) else draw.below(ACCOUNTS)


def a_currency(draw: Draw, account: int) -> str:
    """Accounts have one currency, but for a few payments."""
    number = draw.below(len(CURRENCIES)) if draw.one_in(2_000) else account % len(CURRENCIES)
    return CURRENCIES[number]


def an_amount(draw: Draw) -> str:
    if draw.one_in(500):
        return "5000"
    if draw.one_in(3):
        return AMOUNTS[draw.below(len(AMOUNTS))]
    return f"{draw.below(1_000)}.{draw.below(100):02}"


def a_value(draw: Draw) -> bytes | None:
    """Most are written as the generator writes them, the others as JSON also allows."""
    if draw.one_in(200):
        return UNREADABLE[draw.below(len(UNREADABLE))]
    source = an_account(draw)
    payee = draw.below(ACCOUNTS) if draw.one_in(5) else source + 1 + draw.below(6)
    names = f'"source":"account{source}"', f'"target":"account{payee}"'
    amount = f'"amount":{an_amount(draw)}'
    currency = f'"currency":"{a_currency(draw, source)}"'
    match draw.below(20):
        case 0:
            text = f"{{{currency},{amount},{names[1]},{names[0]}}}"
        case 1:
            text = f'{{"id":{draw.below(1_000)},{names[0]},{names[1]},{amount},{currency}}}'
        case 2:
            text = f"{{{', '.join((*names, amount, currency))}}}".replace(":", ": ")
        case 3 if draw.one_in(20):
            note = f'"note":"{"x" * (1_000 + draw.below(800))}"'
            text = f"{{{note},{names[0]},{names[1]},{amount},{currency}}}"
        case _:
            text = f"{{{names[0]},{names[1]},{amount},{currency}}}"
    return text.encode()


def a_time(draw: Draw, now_ms: int) -> int:
    """Some payments are late, a few of them by more than any window. A few have a timestamp that
    the topics refuse."""
    if draw.one_in(2_000):
        return now_ms + (2 * 60 * MINUTE_MS if draw.one_in(2) else -40 * DAY_MS)
    if draw.one_in(100):
        return now_ms - draw.below(30 * 60 if draw.one_in(10) else 30) * MINUTE_MS
    return now_ms


def now_at(row: int) -> int:
    """Halfway, nobody pays for 91 days."""
    return START_MS + row * STEP_MS + (91 * DAY_MS if row >= PAYMENTS // 2 else 0)


@cache
def recorded_input() -> list[Batch]:
    draw = Draw(seed=20)
    batches: list[Batch] = []
    for first in range(0, PAYMENTS, BATCH):
        rows = range(first, first + BATCH)
        times = [a_time(draw, now_at(row)) for row in rows]
        values = [a_value(draw) for _ in rows]
        batches.append(PlainBatch("in", 1, rows, times, [b"key"] * BATCH, values, [()] * BATCH))
    return batches


def what_came_out(routed: Routed) -> bytes:
    """Destinations of rows, appended headers, and what dead letters say."""
    dead = [
        [letter.row, letter.code, letter.timestamp_ms, letter.headers, letter.record]
        for letter in routed.dead
    ]
    shadow = sorted(routed.legit_headers.items())
    return repr([[*routed.legit], shadow, routed.fraud, routed.fraud_headers, dead]).encode()


def digests(rules_text: str) -> Iterator[str]:
    """One for each 20,000 payments."""
    rules = Rules(load(rules_text), KEPT_EVENTS)
    memory = Memory(rules.layout, Bounds())
    sha256 = hashlib.sha256()
    for batch in recorded_input():
        now_ms = now_at(batch.offsets[-1])
        sha256.update(what_came_out(route(batch, rules, LIMITS, now_ms, memory)))
        if batch.next_offset % CHUNK == 0:
            yield sha256.hexdigest()
            sha256 = hashlib.sha256()


@pytest.mark.parametrize("rule_set", RULE_SETS)
def test_what_came_out_is_what_was_recorded(rule_set: str) -> None:
    found = [*digests(RULE_SETS[rule_set])]
    assert found == RECORDED[rule_set], json.dumps({rule_set: found}, indent=4)
