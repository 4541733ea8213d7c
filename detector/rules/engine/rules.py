"""The current rules, compiled, and their verdicts."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import NamedTuple, TypeVar

from detector.rules.engine.account import FLOOR, Account
from detector.rules.engine.compiler import Evaluator, Hit, Program
from detector.rules.engine.reasons import Payment, Reasons
from detector.rules.language.tree import Feature, Mode, Rule, Rulebook
from detector.rules.language.tree_queries import walk

_CACHED = 1 << 12
_OF_THE_RECORD = {"amount", "currency", "source", "target"}
_Made = TypeVar("_Made")
_index = itemgetter(0)  # of a hit


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """The rules that fired on a payment: by their indexes in the program, and by name. There is one
    for each such set of rules, so that a cache can go by it."""

    indexes: tuple[int, ...] = ()
    active: tuple[str, ...] = ()
    shadow: tuple[str, ...] = ()


class Verdict(NamedTuple):
    """What the rules say of a payment. If an active one fired, it is suspicious, and there are the
    reasons, as a JSON array; `partial` then says that less of the account's past was known than the
    rules look back on."""

    matched: Matched
    rules_version: str
    reasons: bytes = b""
    partial: bool = False


INNOCENT = Verdict(Matched(), "")


class _ByCurrency(dict[bytes, _Made]):
    """What is made of a currency, when it first comes."""

    def __init__(self, make: Callable[[bytes], _Made]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, currency: bytes) -> _Made:
        made = self[currency] = self._make(currency)
        return made


def _counting(evaluate: Evaluator, counts: Counter[int], indexes: Iterable[int]) -> Evaluator:
    def counted(*payment: object) -> list[Hit]:
        counts.update(indexes)
        return evaluate(*payment)  # type: ignore[arg-type]

    return counted


class Rules:
    """A rulebook, compiled.

    `failures` and `inapplicable` count by the index of a rule in `program.rules`. Rules that look
    at the record alone need no account; with `may_change`, others may take their place, and
    accounts are remembered for those.
    """

    def __init__(
        self, book: Rulebook, most_events: int = 1_000, *, may_change: bool = False
    ) -> None:
        self.book = book
        self.version = book.version
        self.failures: Counter[int] = Counter()
        self.inapplicable: Counter[int] = Counter()
        self.remembers = may_change or any(map(_looks_at_account, book.rules))
        self.program = Program(book, most_events, self._failed, remembers=self.remembers)
        self.layout = self.program.layout
        self.evaluators = _ByCurrency(self._judge)
        # Of what was judged before.
        self.recorders = _ByCurrency(lambda its: self.program.recorder(its.decode()))
        self._reasons = Reasons(self.program.rules)
        self._without_reasons = lru_cache(_CACHED)(self._verdict_without_reasons)
        self.no_account = self.layout.new(0, b"", 0)  # for rules that need none

    def verdict(self, matches: Sequence[Hit], payment: Payment, account: Account) -> Verdict:
        """What follows from matches, of which there are some."""
        indexes = tuple(map(_index, matches))
        verdict = self._without_reasons(indexes)
        matched = verdict.matched
        if not matched.active:
            return verdict
        reasons = self._reasons.as_json(indexes, matches, payment)
        partial = account[FLOOR] > payment.time_ms - self.program.window_ms
        return Verdict(matched, self.version, reasons, partial)

    def _verdict_without_reasons(self, indexes: tuple[int, ...]) -> Verdict:
        rules = [self.program.rules[index] for index in indexes]
        active = tuple(rule.name for rule in rules if rule.mode is Mode.ACTIVE)
        shadow = tuple(rule.name for rule in rules if rule.mode is Mode.SHADOW)
        return Verdict(Matched(indexes, active, shadow), self.version)

    def clear_counts(self) -> None:
        """Nothing has failed, and nothing was inapplicable."""
        self.failures.clear()
        self.inapplicable.clear()

    def _judge(self, currency: bytes) -> Evaluator:
        evaluate = self.program.evaluator(currency.decode())
        applicable = self.program.applicable(currency.decode())
        left_out = {*range(len(self.program.rules))} - {*applicable}
        return _counting(evaluate, self.inapplicable, left_out) if left_out else evaluate

    def _failed(self, index: int) -> None:
        self.failures[index] += 1


def _looks_at_account(rule: Rule) -> bool:
    expressions = rule.when, rule.observed, rule.threshold
    nodes = chain.from_iterable(map(walk, expressions))
    features = {node.name for node in nodes if isinstance(node, Feature)}
    return rule.mode is not Mode.OFF and not features <= _OF_THE_RECORD
