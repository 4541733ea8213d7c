"""The rules in force: compiled, with the headers that they write."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from detector.rules.account import FLOOR, Account
from detector.rules.compiler import Hit, Judge, Program
from detector.rules.reasons import Payment, Reasons
from detector.rules.tree import (
    Binary,
    Feature,
    Kind,
    Literal,
    Node,
    Parameter,
    Rule,
    Rulebook,
)
from detector.rules.writer import parts
from detector.transaction import Amounts, Screen, Transaction, parse_price
from kafka_batch import HeaderBlock

_KEPT_VERDICTS = 1 << 14
_OF_THE_PRICE = {"amount", "currency"}
_OF_THE_RECORD = {*_OF_THE_PRICE, "source", "target"}
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


class _OnPrice(dict[bytes, Verdict]):
    """The verdict on a plain transaction, by the text that the screen holds of it. Amounts come
    again: each is judged once, until there are too many."""

    def __init__(self, judge: Callable[[bytes], Verdict]) -> None:
        super().__init__()
        self._judge = judge

    def __missing__(self, text: bytes) -> Verdict:
        if len(self) >= _KEPT_VERDICTS:
            self.clear()
        verdict = self[text] = self._judge(text)
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

    `failures` and `inapplicable` count by the place of a rule in `program.rules`. With
    `may_change`, others may follow in their place, and accounts are remembered for those.
    """

    def __init__(
        self, book: Rulebook, most_events: int = 1_000, *, may_change: bool = False
    ) -> None:
        self.book = book
        self.version = book.version
        self.failures: Counter[int] = Counter()
        self.inapplicable: Counter[int] = Counter()
        self.program = Program(book, most_events, self._failed)
        self.layout = self.program.layout
        self.amounts = _ByCurrency(Amounts)
        self.judges = _ByCurrency(self._judge)
        # Of what was judged before.
        self.rememberers = _ByCurrency(lambda its: self.program.rememberer(its.decode()))
        self._reasons = Reasons(self.program.rules, book.version)
        self._noted = _Noted(self._reasons)
        features = {name for rule in self.program.rules for name in _features(rule)}
        self.remembers = may_change or not features <= _OF_THE_RECORD
        of_the_price = not may_change and features <= _OF_THE_PRICE
        self.screen = Screen(self._least_amount()) if of_the_price else None
        self.on_price = _OnPrice(self._verdict_on_price)

    def verdict(self, hits: Sequence[Hit], payment: Payment, account: Account) -> Verdict:
        """What follows from hits, of which there are some."""
        places = tuple(map(_place, hits))
        noted = self._noted[places]
        if noted is not None:
            return noted
        partial = account[FLOOR] > payment.time_ms - self.program.window_ms
        headers = self._reasons.headers(places, hits, payment, partial=partial)
        return Verdict(places, True, headers)  # noqa: FBT003  # by its name it takes twice as long

    def judge_alone(self, transaction: Transaction, time_ms: int) -> Verdict:
        """The verdict on a transaction without an account's memory; for rules without one."""
        source, target, amount, currency = transaction
        account = self.layout.new(time_ms, currency, 0)
        hits = self.judges[currency](account, time_ms, amount, target, currency, source)
        if not hits:
            return INNOCENT
        return self.verdict(hits, Payment(time_ms, amount, currency, source, target), account)

    def _judge(self, currency: bytes) -> Judge:
        judge = self.program.judge(currency.decode())
        applicable = self.program.applicable(currency.decode())
        left_out = {*range(len(self.program.rules))} - {*applicable}
        return _counting(judge, self.inapplicable, left_out) if left_out else judge

    def _verdict_on_price(self, text: bytes) -> Verdict:
        """The verdict on a plain transaction that the screen holds, by its price alone."""
        amount, currency = parse_price(text)
        return self.judge_alone(Transaction(b"", b"", amount, currency), 0)

    def _failed(self, place: int) -> None:
        self.failures[place] += 1

    def _least_amount(self) -> Decimal:
        return min((least_amount(rule) for rule in self.program.rules), default=Decimal(0))


def _features(rule: Rule) -> set[str]:
    expressions = (rule.when, rule.observed, rule.threshold)
    return {p.name for node in expressions for p in parts(node) if isinstance(p, Feature)}


def least_amount(rule: Rule) -> Decimal:
    """An amount in major units below which the rule never fires, in any currency; 0 where nothing
    is known."""
    found = Decimal(0)
    for clause in _clauses(rule.when):
        match clause:
            case Binary(operator=">=" | ">", left=left, right=right) if _is_amount(left, rule):
                found = max(found, _least_of(rule.meant(right), rule))
    return found


def _clauses(node: Node) -> Iterable[Node]:
    if isinstance(node, Binary) and node.operator == "&&":
        yield from _clauses(node.left)
        yield from _clauses(node.right)
    else:
        yield node


def _is_amount(node: Node, rule: Rule) -> bool:
    meant = rule.meant(node)
    return isinstance(meant, Feature) and meant.name == "amount"


def _least_of(node: Node, rule: Rule) -> Decimal:
    if isinstance(node, Literal) and isinstance(node.value, Decimal):
        return node.value
    if isinstance(node, Parameter) and rule.params[node.name].type is Kind.MONEY:
        amounts: Any = rule.params[node.name].value
        least: Decimal = min(amounts.values())
        return least
    return Decimal(0)
