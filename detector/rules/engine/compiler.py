"""From checked rules to one Python function for each currency.

Ten rules that are looked up, called and asked one by one take five times as long as one function
that has them written out. Its source is put together from the checked tree alone: known names,
`repr` of literals, fixed operators. Nothing that a user wrote is part of it, and it sees no
builtins.

There are two functions for each currency, of the same rules. The fast path is for the payment that
follows all others of its account in time, where all have one currency: windows end at the end of
the account, sums are running. The slow path asks a `View`, which holds for any payment. They
agree (property tests compare both with a definition that keeps nothing).
"""

from collections.abc import Callable, Iterable, Sequence
from types import FunctionType
from typing import Any, NamedTuple

from detector.domain.money import digits
from detector.rules.engine.account import MAX_AMOUNT, STRIDE, Account, code_of
from detector.rules.engine.codegen import (
    FastPath,
    SlowPath,
    Writer,
    money_of,
    resolved,
    running_sums,
)
from detector.rules.engine.layout import Layout
from detector.rules.engine.runtime import RUNTIME
from detector.rules.language.tree import Mode, Rulebook

LATE_MS = 3_600_000  # so much longer than the longest window payments are kept

Hit = tuple[int, Any, Any]
"""A rule that fired: its index in the program, and of an active one what it observed, and its
threshold."""

Evaluator = Callable[[Account, int, int, bytes, bytes, bytes], list[Hit]]
"""Judges a payment and remembers it: account, time, amount, target, currency, source."""

# Payments that are forgotten at a time, a power of two: deleting from an array's front is O(n).
_PRUNED = 16


class Outcome(NamedTuple):
    """What came of a rule: whether it fired, what it observed, and its threshold."""

    rule: str
    fired: bool
    observed: Any
    threshold: Any


class Program:
    """The rules of a book that are not off, compiled.

    `failed` is told the index of a rule whose expression could not be worked out, as an integer
    divided by zero; such a rule doesn't fire. Without `remembers`, which holds for rules that look
    at the record alone, judges leave the account as it is.
    """

    def __init__(
        self,
        book: Rulebook,
        most_events: int,
        failed: Callable[[int], None] = lambda _: None,
        *,
        remembers: bool = True,
    ) -> None:
        self.rules = tuple(rule for rule in book.rules if rule.mode is not Mode.OFF)
        self.window_ms = max((rule.window_ms or 0 for rule in self.rules), default=0)
        windows = sorted({w for rule in self.rules for w in running_sums(rule)})
        self.layout = Layout(windows, self.window_ms + LATE_MS, most_events)
        self._failed = failed
        self._remembers = remembers
        self._fast_ones: dict[object, Evaluator] = {}  # by what a currency means to the rules
        self._explaining_ones: dict[str, Evaluator] = {}  # by currency

    def applicable(self, currency: str) -> list[int]:
        """The indexes of the rules that have an amount for the currency, where they need one."""
        return [n for n, rule in enumerate(self.rules) if money_of(rule, currency) is not None]

    def evaluator(self, currency: str) -> Evaluator:
        """The function for a currency; currencies that mean the same to the rules share its
        code."""
        money = tuple(resolved(rule, currency) for rule in self.rules)
        return self._judge(currency, (digits(currency), money), self.applicable(currency))

    def recorder(self, currency: str) -> Evaluator:
        """The function that takes no rule into account: for a payment that was judged before."""
        return self._judge(currency, (), ())

    def _judge(self, currency: str, meaning: object, indexes: Sequence[int]) -> Evaluator:
        if meaning not in self._fast_ones:
            self._fast_ones[meaning] = self._compiled_for(currency, indexes)
        shared: Any = self._fast_ones[meaning]
        code = (code_of(currency.encode()),)
        evaluate: Evaluator = FunctionType(shared.__code__, shared.__globals__, "evaluate", code)
        return evaluate

    def _compiled_for(self, currency: str, indexes: Sequence[int]) -> Evaluator:
        if not self._remembers:
            return self._compiled(self._without_account(currency, indexes))
        slow_path = self._compiled(self._slow_path(currency, indexes))
        return self._compiled(self._fast_path(currency, indexes), evaluate_slowly=slow_path)

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
        if currency not in self._explaining_ones:
            told = self._slow_path(currency, self.applicable(currency), always=True)
            self._explaining_ones[currency] = self._compiled(told)
        indexes = self._explaining_ones[currency](
            account, time_ms, amount, target, currency.encode(), source
        )
        return [Outcome(self.rules[n].name, *rest) for n, *rest in indexes]

    # -- source

    def _compiled(self, source: str, **more: Evaluator) -> Evaluator:
        names: dict[str, Any] = {
            "__builtins__": {},
            "layout": self.layout,
            "failed": self._failed,
            "ZeroDivisionError": ZeroDivisionError,
            "OverflowError": OverflowError,
            "len": len,
            "set": set,
            **RUNTIME,
            **more,
        }
        exec(compile(source, "<rules>", "exec"), names)  # noqa: S102  # of our own making
        evaluate: Evaluator = names["evaluate"]
        return evaluate

    def _fast_path(self, currency: str, rules: Sequence[int]) -> str:
        layout, writer = self.layout, FastPath(currency, self.layout)
        due = layout.start + STRIDE * _PRUNED
        return _function(
            f"if time_ms < account[0] or account[1] != code or amount > {MAX_AMOUNT}:",
            "    return evaluate_slowly(account, time_ms, amount, target, currency, source)",
            "size = len(account)",
            "number = account[2]",
            f"if size >= {layout.full}:",
            "    layout.drop(account, 1)",
            f"    size -= {STRIDE}",
            f"elif not number & {_PRUNED - 1} and size > {due} and "
            f"account[{due}] <= time_ms - {layout.keep_ms}:",
            f"    layout.drop(account, {_PRUNED})",
            f"    size -= {STRIDE * _PRUNED}",
            "payee = payee_of(target)",
            "account.fromlist([time_ms, amount, payee])",
            f"size += {STRIDE}",
            *[line for head in layout.heads for line in _follow(head)],
            "total = account[3]",
            "matches = []",
            *self._rules(writer, rules),
            "account[0] = time_ms",
            "account[2] = number + 1",
            "account[3] = total + amount",
            "try:",
            "    account[4] += amount * amount",
            "except OverflowError:",
            "    squares = account[4] + amount * amount",
            "    layout.move_to_extra(account, (number + 1, total + amount, squares))",
            "return matches",
        )

    def _without_account(self, currency: str, rules: Sequence[int]) -> str:
        return _function("matches = []", *self._rules(SlowPath(currency), rules), "return matches")

    def _slow_path(self, currency: str, rules: Sequence[int], *, always: bool = False) -> str:
        return _function(
            "index = layout.insert(account, time_ms, amount, target, currency)",
            "view = View(layout, account, index, time_ms, currency)",
            "matches = []",
            *self._rules(SlowPath(currency), rules, always=always),
            "view.remember(amount, target)",
            "layout.reset(account)",
            "return matches",
        )

    def _rules(
        self, writer: Writer, indexes: Sequence[int], *, always: bool = False
    ) -> Iterable[str]:
        for index in indexes:
            rule = self.rules[index]
            writer.rule = rule
            when, observed, threshold = map(
                writer.write, (rule.when, rule.observed, rule.threshold)
            )
            yield "try:"
            if always:
                fired = f"True if {when} else False"
                yield f"    matches.append(({index}, {fired}, {observed}, {threshold}))"
            else:
                # Nobody asks what a rule in shadow observed.
                told = f"{observed}, {threshold}" if rule.mode is Mode.ACTIVE else "None, None"
                yield f"    if {when}:"
                yield f"        matches.append(({index}, {told}))"
            yield "except (ZeroDivisionError, OverflowError):"
            yield f"    failed({index})"


def _function(*lines: str) -> str:
    head = "def evaluate(account, time_ms, amount, target, currency, source, code=0):\n    "
    return head + "\n    ".join(lines) + "\n"


def _follow(head: int) -> Iterable[str]:
    """Adds the payment at hand to the sum of a window, of which nothing is taken off yet."""
    yield f"sum_{head} = account[{head + 1}] + amount"
    yield f"account[{head + 1}] = sum_{head}"
