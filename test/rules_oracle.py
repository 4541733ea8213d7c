"""What rules mean, by brute force: every payment is judged from all earlier ones of its account,
which are kept for ever, and nothing is remembered in between. Slow, and the definition.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from detector.domain.money import digits, least_minor_units
from detector.rules.language.tree import (
    Binary,
    Choice,
    Feature,
    Given,
    Kind,
    ListNode,
    Literal,
    Mode,
    Node,
    Parameter,
    Payment,
    Rule,
    Rulebook,
    Slot,
    Unary,
)
from detector.rules.tools.test_results import Finding, amount_of
from detector.wire.transaction import Transaction

MAX_EVENTS = 1_000
LATE_MS = 3_600_000  # so much longer than the longest window payments are kept
PAYEES = 32
Record = tuple[int, Transaction]
"""Event time in milliseconds, and what was paid."""


class Unworkable(Exception):
    """An expression can't be worked out."""


@dataclass(frozen=True)
class Moment:
    """A payment, and all of its account up to it, in offset order. `longest` is the longest window
    of any rule, `most` how many payments are kept for windows."""

    past: Sequence[Record]
    now: Record
    longest: int
    most: int

    def window(self, length: int, *, all_currencies: bool = False) -> list[Transaction]:
        time, paid = self.now
        known = [*self.past, self.now]
        latest = max(t for t, _ in known)
        order = sorted(range(len(known)), key=lambda n: (known[n][0], n))
        kept = {n for n in order[-self.most :] if known[n][0] > latest - self.longest - LATE_MS}
        return [
            other
            for n, (t, other) in enumerate(known)
            if (n in kept or n == len(self.past)) and time - length < t <= time
            if all_currencies or other.currency == paid.currency
        ]

    def earlier_amounts(self) -> list[int]:
        return [other.amount for _, other in self.past if other.currency == self.now[1].currency]

    def since_last(self) -> int:
        return max(0, self.now[0] - max([t for t, _ in self.past], default=self.now[0]))

    def mean(self) -> float:
        amounts = self.earlier_amounts()
        return sum(amounts) / len(amounts) if amounts else 0.0

    def deviation(self) -> float:
        amounts = self.earlier_amounts()
        n, total, squares = len(amounts), sum(amounts), sum(x * x for x in amounts)
        return math.sqrt(n * squares - total * total) / n if n else 0.0

    def seen(self) -> bool:
        latest_first = dict.fromkeys(paid.target for _, paid in reversed(self.past))
        return self.now[1].target in list(latest_first)[:PAYEES]

    def feature(self, name: str, arguments: Sequence[Any]) -> Any:  # noqa: PLR0911  # a table
        match name:
            case "amount":
                return self.now[1].amount
            case "currency" | "source" | "target":
                return str(getattr(self.now[1], name), "ascii")
            case "count":
                return len(self.window(*arguments, all_currencies=True))
            case "sum":
                return sum(paid.amount for paid in self.window(*arguments))
            case "distinct_targets":
                return len({paid.target for paid in self.window(*arguments, all_currencies=True)})
            case "count_between":
                length, low, high = arguments
                return sum(low <= paid.amount < high for paid in self.window(length))
            case "count_equal":
                length, amount = arguments
                return sum(paid.amount == amount for paid in self.window(length))
            case "since_last":
                return self.since_last()
            case "history":
                return len(self.earlier_amounts())
            case "mean_amount":
                return self.mean()
            case "stddev_amount":
                return self.deviation()
            case "seen_target":
                return self.seen()
        raise AssertionError(name)


def judge(
    book: Rulebook, records: Sequence[Record], max_events: int = MAX_EVENTS
) -> list[list[Finding]]:
    """For each record of any accounts, in offset order, a finding for each rule that is not off,
    in the book's order."""
    rules = [rule for rule in book.rules if rule.mode is not Mode.OFF]
    longest = max([rule.window_ms or 0 for rule in rules], default=0)
    accounts: dict[Any, list[Record]] = defaultdict(list)
    found = []
    for record in records:
        past = accounts[record[1].source]
        moment = Moment(past[:], record, longest, max_events)
        found.append([finding(rule, moment) for rule in rules])
        past.append(record)
    return found


def engine(rule: Rule, payments: Sequence[Payment]) -> list[Finding]:
    """The oracle as an engine of inline tests."""
    records = [
        (
            payment.at_ms,
            Transaction(
                payment.source.encode(),
                payment.target.encode(),
                amount_of(payment),
                payment.currency.encode(),
            ),
        )
        for payment in payments
    ]
    alone = Rulebook((replace(rule, mode=Mode.ACTIVE),), version="")
    return [found[0] for found in judge(alone, records)]


def finding(rule: Rule, moment: Moment) -> Finding:
    try:
        currency = moment.now[1].currency.decode()
        amounts = money(rule, currency)
        evaluation = Evaluation(rule, moment.feature, amounts, currency)
        fires = evaluation.of(rule.when)
        observed, threshold = evaluation.of(rule.observed), evaluation.of(rule.threshold)
    except (Unworkable, OverflowError):
        return Finding(fires=False, observed=None, threshold=None, text=None)
    sentence = reason(rule, observed, threshold, amounts, moment.now[1]) if fires else None
    return Finding(fires, observed, threshold, sentence)


def money(rule: Rule, currency: str) -> dict[str, int]:
    """The rule's amounts in minor units; it doesn't apply where it has none for the currency."""
    found = {}
    for name, param in rule.params.items():
        if isinstance(param.value, Mapping):
            if currency not in param.value and "*" not in param.value:
                raise Unworkable(f"no {name} for {currency}")
            amount = param.value[currency if currency in param.value else "*"]
            found[name] = least_minor_units(amount, currency)
    return found


@dataclass(frozen=True)
class Evaluation:
    """Works an expression out, part by part."""

    rule: Rule
    feature: Any  # of a name and arguments
    money: Mapping[str, int]
    currency: str

    def of(self, node: Node) -> Any:  # noqa: PLR0911  # a table
        match node:
            case Literal(Kind.MONEY, value):
                return least_minor_units(Decimal(value), self.currency)
            case Literal(_, value):
                return value
            case Parameter(kind, name):
                return self.money[name] if kind is Kind.MONEY else self.rule.params[name].value
            case Feature(_, name, arguments):
                return self.feature(name, [self.of(argument) for argument in arguments])
            case Given(_, name):
                return self.of(getattr(self.rule, name))
            case Unary(_, operator, operand):
                value = self.of(operand)
                return not value if operator == "!" else of_its_size(-value, node)
            case Choice(_, condition, yes, no):
                return self.of(yes) if self.of(condition) else self.of(no)
            case ListNode(_, elements):
                return [self.of(element) for element in elements]
        assert isinstance(node, Binary)
        return self.binary(node)

    def binary(self, node: Binary) -> Any:
        left = self.of(node.left)
        if node.operator == "&&":
            return left and self.of(node.right)
        if node.operator == "||":
            return left or self.of(node.right)
        right = self.of(node.right)
        if node.operator == "/":
            whole = node.type in {Kind.INT, Kind.DURATION}
            return of_its_size(towards_zero(left, right), node) if whole else ratio(left, right)
        if node.operator == "%":
            return left - right * towards_zero(left, right)
        return of_its_size(SIMPLE[node.operator](left, right), node)


def of_its_size(value: Any, node: Node) -> Any:
    if node.type in {Kind.INT, Kind.DURATION} and not -(2**63) <= value < 2**63:
        raise Unworkable("an integer past 64 bits")
    return value


def product(left: float, right: float) -> float:
    found = left * right
    if isinstance(found, int) and not -(2**63) <= found < 2**63:
        raise Unworkable("an integer of more than 64 bits")
    return found


SIMPLE: Mapping[str, Any] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": product,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "in": lambda a, b: a in b,
}


def towards_zero(dividend: int, divisor: int) -> int:
    if divisor == 0:
        raise Unworkable("an integer divided by zero")
    whole, rest = divmod(dividend, divisor)
    return whole + 1 if rest and whole < 0 else whole


def ratio(dividend: float, divisor: float) -> float:
    """As IEEE 754 divides, by zero too."""
    if divisor != 0:
        return dividend / divisor
    if dividend == 0 or math.isnan(dividend):
        return math.nan
    return math.copysign(math.inf, dividend) * math.copysign(1, divisor)


def reason(
    rule: Rule, observed: Any, threshold: Any, amounts: Mapping[str, int], paid: Transaction
) -> str:
    currency = paid.currency.decode()
    words = {
        **{
            name: in_words(param.type, amounts.get(name, param.value), currency)
            for name, param in rule.params.items()
        },
        "observed": in_words(rule.observed.type, observed, currency),
        "threshold": in_words(rule.threshold.type, threshold, currency),
        "amount": in_words(Kind.MONEY, paid.amount, currency),
        "currency": currency,
        "source": paid.source.decode(),
        "target": paid.target.decode(),
    }
    return "".join(words[part.name] if isinstance(part, Slot) else part for part in rule.reason)


def in_words(kind: Any, value: Any, currency: str) -> str:
    """Money in the currency's decimals, rounded down; a duration in one whole unit."""
    if kind is Kind.MONEY and math.isfinite(value):
        return f"{Decimal(math.floor(value)).scaleb(-digits(currency)):.{digits(currency)}f}"
    if kind is not Kind.DURATION:
        return f"{value:g}"
    for name, size, least in (
        ("days", 86_400_000, 3),
        ("hours", 3_600_000, 1),
        ("minutes", 60_000, 1),
        ("seconds", 1_000, 1),
    ):
        if value >= size * least:
            return f"{value // size} {name[:-1] if value // size == 1 else name}"
    return f"{value} ms"
