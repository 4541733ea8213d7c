"""The rules in force: compiled, with the headers that they write."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from operator import itemgetter
from typing import NamedTuple, TypeVar

from detector.rules.account import FLOOR, Account
from detector.rules.compiler import Hit, Judge, Program
from detector.rules.reasons import Payment, Reasons
from detector.rules.tree import Feature, Mode, Rule, Rulebook
from detector.rules.walk import walk
from detector.transaction import Amounts
from kafka_batch import HeaderBlock

_OF_THE_RECORD = {"amount", "currency", "source", "target"}
_Made = TypeVar("_Made")
_place = itemgetter(0)  # of a hit


class Verdict(NamedTuple):
    """What came of a payment: the places of the rules that fired, whether that makes it suspicious,
    and what is written on it."""

    places: tuple[int, ...]
    suspicious: bool
    headers: HeaderBlock | None


INNOCENT = Verdict((), suspicious=False, headers=None)


class _Noted(dict[tuple[int, ...], Verdict | None]):
    """The verdict on a payment that only shadow rules fired on, by their places; None where an
    active rule is among them."""

    def __init__(self, reasons: Reasons) -> None:
        super().__init__()
        self._reasons = reasons

    def __missing__(self, places: tuple[int, ...]) -> Verdict | None:
        headers = self._reasons.noted(places)
        verdict = Verdict(places, suspicious=False, headers=headers) if headers else None
        self[places] = verdict
        return verdict


class _ByCurrency(dict[bytes, _Made]):
    """What is made of a currency, when it first comes."""

    def __init__(self, make: Callable[[bytes], _Made]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, currency: bytes) -> _Made:
        made = self[currency] = self._make(currency)
        return made


def _counting(judge: Judge, counts: Counter[int], places: Iterable[int]) -> Judge:
    def counted(*payment: object) -> list[Hit]:
        counts.update(places)
        return judge(*payment)  # type: ignore[arg-type]

    return counted


class Rules:
    """All rules of a book, in force.

    `failures` and `inapplicable` count by the place of a rule in `program.rules`. Rules that look
    at the record alone need no account; with `may_change`, others may follow in their place, and
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
        self.amounts = _ByCurrency(Amounts)
        self.judges = _ByCurrency(self._judge)
        # Of what was judged before.
        self.rememberers = _ByCurrency(lambda its: self.program.rememberer(its.decode()))
        self._reasons = Reasons(self.program.rules, book.version)
        self._noted = _Noted(self._reasons)
        self.no_account = self.layout.new(0, b"", 0)  # for rules that need none

    def verdict(self, hits: Sequence[Hit], payment: Payment, account: Account) -> Verdict:
        """What follows from hits, of which there are some."""
        places = tuple(map(_place, hits))
        noted = self._noted[places]
        if noted is not None:
            return noted
        partial = account[FLOOR] > payment.time_ms - self.program.window_ms
        headers = self._reasons.headers(places, hits, payment, partial=partial)
        return Verdict(places, True, headers)  # noqa: FBT003  # by its name it takes twice as long

    def _judge(self, currency: bytes) -> Judge:
        judge = self.program.judge(currency.decode())
        applicable = self.program.applicable(currency.decode())
        left_out = {*range(len(self.program.rules))} - {*applicable}
        return _counting(judge, self.inapplicable, left_out) if left_out else judge

    def _failed(self, place: int) -> None:
        self.failures[place] += 1


def _looks_at_account(rule: Rule) -> bool:
    expressions = rule.when, rule.observed, rule.threshold
    nodes = chain.from_iterable(map(walk, expressions))
    features = {node.name for node in nodes if isinstance(node, Feature)}
    return rule.mode is not Mode.OFF and not features <= _OF_THE_RECORD
