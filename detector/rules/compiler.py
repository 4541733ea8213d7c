"""From checked rules to one Python function for each currency.

Ten rules that are looked up, called and asked one by one take five times as long as one function
that has them written out. Its source is put together from the checked tree alone: known names,
`repr` of literals, fixed operators. Nothing that a user wrote is part of it, and it sees no
builtins.

There are two functions for each currency, of the same rules. The fast one is for the payment that
follows all others of its account in time, where all have one currency: windows end at the end of
the list, sums are followed. The careful one asks a `View`, which holds for any payment. They agree
(property tests compare both with a definition that keeps nothing).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from detector.money import digits, least_minor_units
from detector.rules.account import HEADS, MOST_PAYEES, STRIDE, Account, Layout, View
from detector.rules.tree import (
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
    Rule,
    Rulebook,
    Unary,
)

LATE_MS = 3_600_000  # so much longer than the longest window payments are kept

Number = int | float
Hit = tuple[int, Any, Any]
"""A rule that fired: its place among those in force, what it observed, and its threshold."""

Judge = Callable[[Account, int, int, bytes, bytes, bytes], list[Hit]]
"""Judges a payment and remembers it: account, time, amount, target, currency, source."""

_PRUNED = 8  # payments that are forgotten at a time: a list's front is dear to take away
_OPERATORS = {"&&": "and", "||": "or", "!": "not "}


class Outcome(NamedTuple):
    """What came of a rule: whether it fired, what it observed, and its threshold."""

    rule: str
    fired: bool
    observed: Any
    threshold: Any


class Program:
    """The rules of a book that are not off, compiled.

    `failed` is told the place of a rule whose expression could not be worked out, as an integer
    divided by zero; such a rule doesn't fire.
    """

    def __init__(
        self, book: Rulebook, most_events: int, failed: Callable[[int], None] = lambda _: None
    ) -> None:
        self.rules = tuple(rule for rule in book.rules if rule.mode is not Mode.OFF)
        self.window_ms = max((rule.window_ms or 0 for rule in self.rules), default=0)
        self._windows = sorted({w for rule in self.rules for w in followed(rule)})
        self.layout = Layout(len(self._windows), self.window_ms + LATE_MS, most_events)
        self._failed = failed
        self._compiled: dict[object, Judge] = {}

    def applicable(self, currency: str) -> list[int]:
        """The places of the rules that have an amount for the currency, where they need one."""
        return [n for n, rule in enumerate(self.rules) if _money(rule, currency) is not None]

    def judge(self, currency: str) -> Judge:
        """The function for a currency; currencies that mean the same to the rules share it."""
        money = tuple(_resolved(rule, currency) for rule in self.rules)
        known = (digits(currency), money)
        if known not in self._compiled:
            self._compiled[known] = self._compile(currency, self._fast)
        return self._compiled[known]

    def outcomes(
        self,
        account: Account,
        time_ms: int,
        amount: int,
        target: bytes,
        currency: str,
        source: bytes,
    ) -> list[Outcome]:
        """Judges a payment and remembers it, with what came of each rule that applies."""
        judge = self._compile(currency, lambda its: self._careful(its, always=True))
        places = judge(account, time_ms, amount, target, currency.encode(), source)
        return [Outcome(self.rules[n].name, *rest) for n, *rest in places]  # type: ignore[arg-type]

    # -- source

    def _compile(self, currency: str, write: Callable[[str], str]) -> Judge:
        names: dict[str, Any] = {
            "__builtins__": {},
            "layout": self.layout,
            "failed": self._failed,
            "ZeroDivisionError": ZeroDivisionError,
            "OverflowError": OverflowError,
            "len": len,
            "iter": iter,
            "next": next,
            "set": set,
            **_RUNTIME,
        }
        if write == self._fast:
            names["judge_carefully"] = self._compile(currency, self._careful)
        exec(compile(write(currency), "<rules>", "exec"), names)  # noqa: S102  # of our own making
        judge: Judge = names["judge"]
        return judge

    def _fast(self, currency: str) -> str:
        start, full = self.layout.start, self.layout.full
        writer = _Fast(currency, self.layout, self._windows)
        due = start + STRIDE * _PRUNED
        follow = [line for n, window in enumerate(self._windows) for line in _follow(n, window)]
        return _function(
            f"size = len(account)",
            f"if time_ms < account[0] or account[1] != currency:",
            f"    return judge_carefully(account, time_ms, amount, target, currency, source)",
            f"if size >= {full}:",
            f"    layout.drop(account, 1)",
            f"    size -= {STRIDE}",
            f"elif size > {due} and account[{due}] <= time_ms - {self.layout.keep_ms}:",
            f"    layout.drop(account, {_PRUNED})",
            f"    size -= {STRIDE * _PRUNED}",
            f"account += (time_ms, amount, target)",
            f"size += {STRIDE}",
            *follow,
            f"number, total, squares, payees = account[2:6]",
            f"hits = []",
            *self._rules(writer, currency),
            f"account[0] = time_ms",
            f"account[2:5] = number + 1, total + amount, squares + amount * amount",
            f"if target in payees:",
            f"    del payees[target]",
            f"    payees[target] = None",
            f"else:",
            f"    payees[target] = None",
            f"    if len(payees) > {MOST_PAYEES}:",
            f"        del payees[next(iter(payees))]",
            f"return hits",
        )

    def _careful(self, currency: str, *, always: bool = False) -> str:
        return _function(
            "view = layout.insert(account, time_ms, amount, target, currency)",
            "hits = []",
            *self._rules(_Careful(currency), currency, always=always),
            "view.remember(amount, target)",
            "layout.reset(account)",
            "return hits",
        )

    def _rules(self, writer: "_Writer", currency: str, *, always: bool = False) -> Iterable[str]:
        for place in self.applicable(currency):
            rule = self.rules[place]
            writer.rule = rule
            when, observed, threshold = map(
                writer.write, (rule.when, rule.observed, rule.threshold)
            )
            yield "try:"
            if always:
                yield f"    hits.append(({place}, True if {when} else False, {observed}, {threshold}))"
            else:
                yield f"    if {when}:"
                yield f"        hits.append(({place}, {observed}, {threshold}))"
            yield "except (ZeroDivisionError, OverflowError):"
            yield f"    failed({place})"


def _function(*lines: str) -> str:
    head = "def judge(account, time_ms, amount, target, currency, source):\n    "
    return head + "\n    ".join(lines) + "\n"


def _follow(number: int, window_ms: int) -> list[str]:
    """Moves a followed window on to where the payment at hand ends it."""
    head = HEADS + 2 * number
    return [
        f"head_{number}, sum_{number} = account[{head}:{head + 2}]",
        f"sum_{number} += amount",
        f"since = time_ms - {window_ms}",
        f"if account[head_{number}] <= since:",
        f"    while account[head_{number}] <= since:",
        f"        sum_{number} -= account[head_{number} + 1]",
        f"        head_{number} += {STRIDE}",
        f"    account[{head}] = head_{number}",
        f"account[{head + 1}] = sum_{number}",
    ]


# -- what a rule says of money


def _money(rule: Rule, currency: str) -> dict[str, int] | None:
    """The rule's amounts in the currency's minor units; None where it has none for it."""
    found = {}
    for name, param in rule.params.items():
        if param.type is Kind.MONEY:
            amounts: Any = param.value
            amount = amounts.get(currency, amounts.get("*"))
            if amount is None:
                return None
            found[name] = least_minor_units(amount, currency)
    return found


def _resolved(rule: Rule, currency: str) -> object:
    amounts = _money(rule, currency)
    return None if amounts is None else tuple(amounts.items())


# -- expressions


def followed(rule: Rule) -> set[int]:
    """The windows whose sum or count has to be known at every payment."""
    found: set[int] = set()
    for node in (rule.when, rule.observed, rule.threshold):
        for part in parts(node):
            if isinstance(part, Feature) and part.name == "sum":
                found.add(_constant(part.arguments[0], rule))
    return found


def parts(node: Node) -> Iterable[Node]:
    """The node and all below it."""
    yield node
    below: Sequence[Node] = ()
    match node:
        case Feature():
            below = node.arguments
        case Unary():
            below = (node.operand,)
        case Binary():
            below = (node.left, node.right)
        case Choice():
            below = (node.condition, node.yes, node.no)
        case ListNode():
            below = node.elements
    for each in below:
        yield from parts(each)


def _constant(node: Node, rule: Rule) -> int:
    """The value of a window, or of a count that another is compared with."""
    match node:
        case Literal():
            value: Any = node.value
        case Parameter():
            value = rule.params[node.name].value
        case _:
            raise TypeError(f"not a constant: {node}")
    return int(value)


class _Writer:
    """Writes expressions of one rule, in one currency."""

    rule: Rule

    def __init__(self, currency: str) -> None:
        self._currency = currency

    def write(self, node: Node) -> str:
        match node:
            case Literal():
                return self._literal(node)
            case Parameter():
                return self._parameter(node.name)
            case Feature():
                return self.feature(node)
            case Given():
                return self.write(getattr(self.rule, node.name))
            case Unary():
                return f"({_OPERATORS.get(node.operator, '-')}{self.write(node.operand)})"
            case Binary():
                return self.binary(node)
            case Choice():
                condition, yes, no = map(self.write, (node.condition, node.yes, node.no))
                return f"({yes} if {condition} else {no})"
            case ListNode():
                return f"({''.join(f'{self.write(element)}, ' for element in node.elements)})"

    def binary(self, node: Binary) -> str:
        left, right = self.write(node.left), self.write(node.right)
        if node.operator == "/":
            whole = node.type in (Kind.INT, Kind.DURATION)
            return f"{'quotient' if whole else 'ratio'}({left}, {right})"
        if node.operator == "%":
            return f"remainder({left}, {right})"
        return f"({left} {_OPERATORS.get(node.operator, node.operator)} {right})"

    def feature(self, node: Feature) -> str:
        raise NotImplementedError

    def _literal(self, node: Literal) -> str:
        value = node.value
        if isinstance(value, Decimal):
            return repr(least_minor_units(value, self._currency))
        return repr(value.encode() if isinstance(value, str) else value)

    def _parameter(self, name: str) -> str:
        if self.rule.params[name].type is Kind.MONEY:
            amounts = _money(self.rule, self._currency)
            assert amounts is not None, "a rule that does not apply is not written"
            return repr(amounts[name])
        return repr(self.rule.params[name].value)


_OF_THE_RECORD = {"amount", "currency", "source", "target"}


class _Careful(_Writer):
    """For any payment: asks a `View`."""

    _PLAIN: Mapping[str, str] = {
        "since_last": "view.idle_ms",
        "history": "view.number",
        "mean_amount": "mean(view.number, view.total)",
        "stddev_amount": "deviation(view.number, view.total, view.squares)",
        "seen_target": "view.seen(target)",
    }

    def feature(self, node: Feature) -> str:
        if node.name in _OF_THE_RECORD:
            return node.name
        if node.name in self._PLAIN:
            return self._PLAIN[node.name]
        return f"view.{node.name}({', '.join(map(self.write, node.arguments))})"


class _Fast(_Writer):
    """For a payment at its account's end, which has one currency."""

    _PLAIN: Mapping[str, str] = {
        "since_last": "(time_ms - account[0])",
        "history": "number",
        "mean_amount": "mean(number, total)",
        "stddev_amount": "deviation(number, total, squares)",
        "seen_target": "(target in payees)",
    }

    def __init__(self, currency: str, layout: Layout, windows: Sequence[int]) -> None:
        super().__init__(currency)
        self._start = layout.start
        self._windows = windows

    def feature(self, node: Feature) -> str:
        if node.name in _OF_THE_RECORD:
            return node.name
        if node.name in self._PLAIN:
            return self._PLAIN[node.name]
        window = _constant(node.arguments[0], self.rule)
        if node.name == "sum":
            return f"sum_{self._windows.index(window)}"
        first = self._first(window)
        if node.name == "count":
            return f"((size - {first}) // {STRIDE})"
        if node.name == "distinct_targets":
            return f"len(set(account[{first} + 2::{STRIDE}]))"
        amounts = f"account[{first} + 1::{STRIDE}]"
        if node.name == "count_equal":
            return f"{amounts}.count({self.write(node.arguments[1])})"
        low, high = map(self.write, node.arguments[1:])
        return f"between({amounts}, {low}, {high})"

    def binary(self, node: Binary) -> str:
        """A count that must reach a number is looked for behind cheaper tests: there must be so
        many payments in the window at all, and of one amount so many anywhere."""
        written = super().binary(node)
        counted, least = self._least(node)
        if counted is None or least < 1:
            return written
        window = _constant(counted.arguments[0], self.rule)
        back = STRIDE * least
        enough = f"size >= {self._start + back} and account[-{back}] > time_ms - {window}"
        if counted.name == "count":
            return f"({enough})"
        if counted.name == "count_equal" and window not in self._windows:
            amount = self.write(counted.arguments[1])
            amounts = f"account[{self._start + 1}::{STRIDE}]"
            return f"({enough} and {amounts}.count({amount}) >= {least} and {written})"
        return f"({enough} and {written})" if least > 1 else written

    def _least(self, node: Binary) -> tuple[Feature | None, int]:
        """The feature that is to be at least a number, where the comparison is that."""
        left, right = (self._meant(side) for side in (node.left, node.right))
        counts = {"count", "distinct_targets", "count_between", "count_equal"}
        if (
            node.operator in (">=", ">")
            and isinstance(left, Feature)
            and left.name in counts
            and isinstance(right, Literal | Parameter)
        ):
            return left, _constant(right, self.rule) + (node.operator == ">")
        return None, 0

    def _meant(self, node: Node) -> Node:
        found: Node = getattr(self.rule, node.name) if isinstance(node, Given) else node
        return found

    def _first(self, window: int) -> str:
        """Where the window's first payment stands."""
        if window in self._windows:
            return f"head_{self._windows.index(window)}"
        return f"first(account, {self._start}, time_ms - {window})"


# -- what the written functions call


def _first(account: Account, start: int, since_ms: int) -> int:
    """Where the first payment after a time stands: looked for from the end, which is near."""
    at = len(account) - STRIDE
    while at >= start and account[at] > since_ms:
        at -= STRIDE
    return at + STRIDE


def _between(amounts: list[int], low: Number, high: Number) -> int:
    return len([amount for amount in amounts if low <= amount < high])


def _mean(number: int, total: int) -> float:
    return total / number if number else 0.0


def _deviation(number: int, total: int, squares: int) -> float:
    return math.sqrt(number * squares - total * total) / number if number else 0.0


def _quotient(dividend: int, divisor: int) -> int:
    """As CEL divides integers: towards zero."""
    found = abs(dividend) // abs(divisor)
    return found if (dividend < 0) == (divisor < 0) else -found


def _remainder(dividend: int, divisor: int) -> int:
    return dividend - divisor * _quotient(dividend, divisor)


def _ratio(dividend: Number, divisor: Number) -> float:
    """As IEEE 754 divides, by zero too."""
    if divisor:
        return dividend / divisor
    if not dividend or dividend != dividend:
        return math.nan
    return math.copysign(math.inf, dividend) * math.copysign(1.0, divisor)


_RUNTIME = {
    "first": _first,
    "between": _between,
    "mean": _mean,
    "deviation": _deviation,
    "quotient": _quotient,
    "remainder": _remainder,
    "ratio": _ratio,
}
__all__ = ["Hit", "Judge", "Outcome", "Program", "View"]
