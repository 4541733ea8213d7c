"""What rules cost a transaction, measured over a load like that of many accounts in a day."""

import gc
import random
import time
from collections.abc import Iterator, Sequence

from detector.loop import GARBAGE
from detector.memory import Bounds, Memory
from detector.rules import Payment, Rules
from detector.rules.tree import Mode, Rule, Rulebook

PAYMENTS = 2_500_000
_ACCOUNTS = 100_000
_A_DAY = 20  # payments of an account
_STEP_US = 86_400_000_000 // (_ACCOUNTS * _A_DAY)
_MEASURED = 5  # the last fifth, when windows of a day are full
_CHUNK = 50_000
_START_MS = 1_750_000_000_000
_USD = b"USD"

_Load = Iterator[Sequence[tuple[int, bytes, bytes, int]]]
"""Chunks of payments: time, source, target, amount."""


def costs(book: Rulebook, payments: int = PAYMENTS) -> Iterator[str]:
    """Lines for a person, each as soon as it is measured."""
    rules = [rule for rule in book.rules if rule.mode is not Mode.OFF]
    yield (
        f"microseconds of a processor a transaction; {_ACCOUNTS:,} accounts, {_A_DAY} payments "
        f"a day each; the last {payments // _MEASURED:,} of {payments:,} payments"
    )
    runs = [*_runs(rules)]
    width = max(len(name) for name, _ in runs)
    for name, chosen in runs:
        took = _cost_us(Rules(Rulebook(tuple(chosen), book.version)), payments)
        yield f"{name:<{width}}  {took:5.2f}"


def _runs(rules: Sequence[Rule]) -> Iterator[tuple[str, Sequence[Rule]]]:
    yield "remembering, without a rule", []
    for rule in rules:
        yield rule.name, [rule]
    if len(rules) > 1:
        yield f"all {len(rules)} together", rules


def _cost_us(rules: Rules, payments: int) -> float:
    gc.set_threshold(*GARBAGE)
    memory = Memory(rules.layout, Bounds())
    warm = payments - payments // _MEASURED
    done = measured = took_ns = 0
    for chunk in _load(payments):
        began = time.thread_time_ns()
        _judge(rules, memory, chunk)
        if done >= warm:
            took_ns += time.thread_time_ns() - began
            measured += len(chunk)
        done += len(chunk)
    return took_ns / 1000 / max(measured, 1)


def _judge(rules: Rules, memory: Memory, chunk: Sequence[tuple[int, bytes, bytes, int]]) -> None:
    """As the stream does it, with what is written on a payment."""
    hot, judge = memory.hot.get, rules.judges[_USD]
    for time_ms, source, target, amount in chunk:
        account = hot(source) or memory.touch(source, time_ms, _USD, 0)
        hits = judge(account, time_ms, amount, target, _USD, source)
        if hits:
            rules.verdict(hits, Payment(time_ms, amount, _USD, source, target), account)


def _load(payments: int) -> _Load:
    """The same payments every time: amounts run evenly from 1.00 to 1000.00."""
    its = random.Random(1)  # noqa: S311  # a load, no secret
    accounts = [f"account{number:05}".encode() for number in range(_ACCOUNTS)]
    amounts = range(100, 100_001)
    for first in range(0, payments, _CHUNK):
        size = min(_CHUNK, payments - first)
        times = [_START_MS + number * _STEP_US // 1000 for number in range(first, first + size)]
        sources, targets = its.choices(accounts, k=size), its.choices(accounts, k=size)
        yield [*zip(times, sources, targets, its.choices(amounts, k=size), strict=True)]
