"""Expressions of checked rules as Python source: one writer for any payment, and a faster one for a
payment that follows all others of its account."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from detector.domain.money import least_minor_units
from detector.rules.engine.account import STRIDE
from detector.rules.engine.layout import Layout
from detector.rules.language.tree import (
    Binary,
    Choice,
    Feature,
    Given,
    Kind,
    ListNode,
    Literal,
    Node,
    Parameter,
    Rule,
    Unary,
)

_OPERATORS = {"&&": "and", "||": "or", "!": "not "}
_INTEGERS = (Kind.INT, Kind.DURATION)  # of 64 bits, as in CEL


# -- what a rule says of money


def money_of(rule: Rule, currency: str) -> dict[str, int] | None:
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


def resolved(rule: Rule, currency: str) -> object:
    amounts = money_of(rule, currency)
    return None if amounts is None else tuple(amounts.items())


# -- expressions


def running_sums(rule: Rule) -> set[int]:
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


class Writer:
    """Writes expressions of one rule, in one currency."""

    rule: Rule

    def __init__(self, currency: str) -> None:
        self._currency = currency

    def write(self, node: Node) -> str:  # noqa: PLR0911  # one for each kind of node
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
                written = f"({_OPERATORS.get(node.operator, '-')}{self.write(node.operand)})"
                return f"in_64_bits{written}" if node.type in _INTEGERS else written
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
            return f"{'quotient' if node.type in _INTEGERS else 'ratio'}({left}, {right})"
        if node.operator == "%":
            return f"remainder({left}, {right})"
        written = f"({left} {_OPERATORS.get(node.operator, node.operator)} {right})"
        of_money = node.operator == "*" and Kind.DOUBLE not in (node.left.type, node.right.type)
        return f"in_64_bits{written}" if node.type in _INTEGERS or of_money else written

    def feature(self, node: Feature) -> str:
        raise NotImplementedError

    def _literal(self, node: Literal) -> str:
        value = node.value
        if isinstance(value, Decimal):
            return repr(least_minor_units(value, self._currency))
        return repr(value.encode() if isinstance(value, str) else value)

    def _parameter(self, name: str) -> str:
        if self.rule.params[name].type is Kind.MONEY:
            amounts = money_of(self.rule, self._currency) or {}  # it applies, else it isn't written
            return repr(amounts[name])
        return repr(self.rule.params[name].value)


_OF_THE_RECORD = {"amount", "currency", "source", "target"}


class SlowPath(Writer):
    """For any payment: asks a `View`."""

    _PLAIN: Mapping[str, str] = {
        "since_last": "view.idle_ms",
        "history": "view.number",
        "mean_amount": "mean(view.number, view.total)",
        "stddev_amount": "deviation(view.number, view.total, view.squares)",
        "seen_target": "view.seen(target)",
    }

    def feature(self, node: Feature) -> str:
        plain = node.name if node.name in _OF_THE_RECORD else self._PLAIN.get(node.name)
        return plain or f"view.{node.name}({', '.join(map(self.write, node.arguments))})"


class FastPath(Writer):
    """For a payment at its account's end, which has one currency."""

    _PLAIN: Mapping[str, str] = {
        "since_last": "(time_ms - account[0])",
        "history": "number",
        "mean_amount": "mean(number, total)",
        "stddev_amount": "deviation(number, total, account[4])",
        "seen_target": "layout.seen(account, payee)",
    }

    def __init__(self, currency: str, layout: Layout) -> None:
        super().__init__(currency)
        self._start = layout.start
        self._heads = layout.heads
        self._windows = layout.windows

    def feature(self, node: Feature) -> str:
        plain = node.name if node.name in _OF_THE_RECORD else self._PLAIN.get(node.name)
        return plain or self._windowed(node)

    def _windowed(self, node: Feature) -> str:
        window = _constant(node.arguments[0], self.rule)
        if node.name == "sum":
            return f"sum_since(account, {self._head(window)}, time_ms - {window})"
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
        many payments in the window at all, and of one amount so many anywhere; of payees, twice as
        many payments often have enough. A sum must be so large before anything that left its window
        is taken off. What must be above the mean and so many deviations is above the mean, which
        takes no root to find out."""
        counted, least = self._least(node)
        if counted is not None and counted.name == "count_equal" and least >= 1:
            return self._equal_at_least(counted, least)
        written = super().binary(node)
        if self._is_above_the_mean(node):
            return f"((amount * number {node.operator} total or not number) and {written})"
        followed_sum = self._sum_at_least(node)
        if followed_sum:
            return f"({followed_sum} and {written})"
        if counted is None or least < 1:
            return written
        window = _constant(counted.arguments[0], self.rule)
        enough = self._enough(least, window)
        if counted.name == "count":
            return f"({enough})"
        if counted.name == "distinct_targets":
            back = 2 * STRIDE * least
            near = f"account[-{back}] > time_ms - {window}"
            targets = f"len(set(account[{2 - back}::{STRIDE}]))"
            latest = f"size >= {self._start + back} and {near} and {targets} >= {least}"
            written = f"({latest} or {written})"
        return f"({enough} and {written})" if least > 1 else written

    def _equal_at_least(self, counted: Feature, least: int) -> str:
        """The amount is written once: there may be such a comparison in it, too, and so on."""
        window = _constant(counted.arguments[0], self.rule)
        amount = self.write(counted.arguments[1])
        anywhere = f"account[{self._start + 1}::{STRIDE}].count(equal := {amount})"
        inside = f"account[{self._first(window)} + 1::{STRIDE}].count(equal)"
        enough = self._enough(least, window)
        return f"({enough} and {anywhere} >= {least} and {inside} >= {least})"

    def _enough(self, least: int, window: int) -> str:
        """Whether there are so many payments in the window."""
        back = STRIDE * least
        return f"size >= {self._start + back} and account[-{back}] > time_ms - {window}"

    def _first(self, window: int) -> str:
        return f"first(account, {self._start}, time_ms - {window})"

    def _sum_at_least(self, node: Binary) -> str:
        """The comparison with what the account follows of the sum, which is no less; nothing where
        it is none."""
        left, right = (self.rule.meant(side) for side in (node.left, node.right))
        is_least = node.operator in (">", ">=") and isinstance(right, Literal | Parameter)
        if not (is_least and isinstance(left, Feature) and left.name == "sum"):
            return ""
        head = self._head(_constant(left.arguments[0], self.rule))
        return f"sum_{head} {node.operator} {self.write(right)}"

    def _is_above_the_mean(self, node: Binary) -> bool:
        left, right = (self.rule.meant(side) for side in (node.left, node.right))
        match right:
            case Binary(
                operator="+",
                left=Feature(name="mean_amount"),
                right=Binary(operator="*", left=factor, right=Feature(name="stddev_amount")),
            ) if isinstance(factor, Literal | Parameter):
                is_amount = isinstance(left, Feature) and left.name == "amount"
                return node.operator in (">", ">=") and is_amount and self._is_positive(factor)
        return False

    def _is_positive(self, node: Literal | Parameter) -> bool:
        param = self.rule.params[node.name] if isinstance(node, Parameter) else node
        value = param.value
        return isinstance(value, int | float) and value >= 0

    def _least(self, node: Binary) -> tuple[Feature | None, int]:
        """The feature that is to be at least a number, where the comparison is that."""
        left, right = (self.rule.meant(side) for side in (node.left, node.right))
        counts = {"count", "distinct_targets", "count_between", "count_equal"}
        if (
            node.operator in (">=", ">")
            and isinstance(left, Feature)
            and left.name in counts
            and isinstance(right, Literal | Parameter)
        ):
            return left, _constant(right, self.rule) + (node.operator == ">")
        return None, 0

    def _head(self, window: int) -> int:
        """Where the account says where the window's first payment stands."""
        return self._heads[self._windows.index(window)]
