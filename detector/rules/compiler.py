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

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from detector.money import digits
from detector.rules.account import HEADS, MOST_PAYEES, STRIDE, Account, Layout
from detector.rules.tree import Mode, Rulebook
from detector.rules.writer import RUNTIME, Careful, Fast, Writer, followed, money_of, resolved

LATE_MS = 3_600_000  # so much longer than the longest window payments are kept

Hit = tuple[int, Any, Any]
"""A rule that fired: its place among those in force, and of an active one what it observed, and its
threshold."""

Judge = Callable[[Account, int, int, bytes, bytes, bytes], list[Hit]]
"""Judges a payment and remembers it: account, time, amount, target, currency, source."""

_PRUNED = 8  # payments that are forgotten at a time: a list's front is dear to take away


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
        self._judges: dict[object, Judge] = {}  # by what a currency means to the rules
        self._telling: dict[str, Judge] = {}  # by currency

    def applicable(self, currency: str) -> list[int]:
        """The places of the rules that have an amount for the currency, where they need one."""
        return [n for n, rule in enumerate(self.rules) if money_of(rule, currency) is not None]

    def judge(self, currency: str) -> Judge:
        """The function for a currency; currencies that mean the same to the rules share it."""
        money = tuple(resolved(rule, currency) for rule in self.rules)
        known = (digits(currency), money)
        if known not in self._judges:
            careful = self._compiled(self._careful(currency))
            self._judges[known] = self._compiled(self._fast(currency), judge_carefully=careful)
        return self._judges[known]

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
        if currency not in self._telling:
            self._telling[currency] = self._compiled(self._careful(currency, always=True))
        places = self._telling[currency](
            account, time_ms, amount, target, currency.encode(), source
        )
        return [Outcome(self.rules[n].name, *rest) for n, *rest in places]

    # -- source

    def _compiled(self, source: str, **more: Judge) -> Judge:
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
            **RUNTIME,
            **more,
        }
        exec(compile(source, "<rules>", "exec"), names)  # noqa: S102  # of our own making
        judge: Judge = names["judge"]
        return judge

    def _fast(self, currency: str) -> str:
        start, full = self.layout.start, self.layout.full
        writer = Fast(currency, self.layout, self._windows)
        due = start + STRIDE * _PRUNED
        follow = [line for n, window in enumerate(self._windows) for line in _follow(n, window)]
        return _function(
            "size = len(account)",
            "if time_ms < account[0] or account[1] != currency:",
            "    return judge_carefully(account, time_ms, amount, target, currency, source)",
            f"if size >= {full}:",
            "    layout.drop(account, 1)",
            f"    size -= {STRIDE}",
            f"elif size > {due} and account[{due}] <= time_ms - {self.layout.keep_ms}:",
            f"    layout.drop(account, {_PRUNED})",
            f"    size -= {STRIDE * _PRUNED}",
            "account += (time_ms, amount, target)",
            f"size += {STRIDE}",
            *follow,
            "number = account[2]",
            "total = account[3]",
            "squares = account[4]",
            "payees = account[5]",
            "hits = []",
            *self._rules(writer, currency),
            "account[0] = time_ms",
            "account[2] = number + 1",
            "account[3] = total + amount",
            "account[4] = squares + amount * amount",
            "if target in payees:",
            "    del payees[target]",
            "    payees[target] = None",
            "else:",
            "    payees[target] = None",
            f"    if len(payees) > {MOST_PAYEES}:",
            "        del payees[next(iter(payees))]",
            "return hits",
        )

    def _careful(self, currency: str, *, always: bool = False) -> str:
        return _function(
            "view = layout.insert(account, time_ms, amount, target, currency)",
            "hits = []",
            *self._rules(Careful(currency), currency, always=always),
            "view.remember(amount, target)",
            "layout.reset(account)",
            "return hits",
        )

    def _rules(self, writer: Writer, currency: str, *, always: bool = False) -> Iterable[str]:
        for place in self.applicable(currency):
            rule = self.rules[place]
            writer.rule = rule
            when, observed, threshold = map(
                writer.write, (rule.when, rule.observed, rule.threshold)
            )
            yield "try:"
            if always:
                fired = f"True if {when} else False"
                yield f"    hits.append(({place}, {fired}, {observed}, {threshold}))"
            else:
                # Nobody asks what a rule in shadow observed.
                told = f"{observed}, {threshold}" if rule.mode is Mode.ACTIVE else "None, None"
                yield f"    if {when}:"
                yield f"        hits.append(({place}, {told}))"
            yield "except (ZeroDivisionError, OverflowError):"
            yield f"    failed({place})"


def _function(*lines: str) -> str:
    head = "def judge(account, time_ms, amount, target, currency, source):\n    "
    return head + "\n    ".join(lines) + "\n"


def _follow(number: int, window_ms: int) -> list[str]:
    """Moves a followed window on to where the payment at hand ends it."""
    head = HEADS + 2 * number
    return [
        f"head_{number} = account[{head}]",
        f"sum_{number} = account[{head + 1}] + amount",
        f"since = time_ms - {window_ms}",
        f"if account[head_{number}] <= since:",
        f"    while account[head_{number}] <= since:",
        f"        sum_{number} -= account[head_{number} + 1]",
        f"        head_{number} += {STRIDE}",
        f"    account[{head}] = head_{number}",
        f"account[{head + 1}] = sum_{number}",
    ]
