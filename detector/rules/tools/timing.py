"""What rules cost by themselves: without Kafka, without reading records, in one process."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from detector.rules.engine.account import Account
from detector.rules.engine.compiler import Hit
from detector.rules.engine.reasons import Payment
from detector.rules.engine.rules import Rules
from detector.rules.file.loading import load
from detector.rules.file.version import book_version, versioned
from detector.rules.language.tree import Mode, Rulebook
from detector.rules.tools.simulation import PAYMENTS_A_DAY, Payments, Simulation

_CURRENCY = b"USD"
_CHUNK_SIZE = 1_000  # payments
_HISTORY = 25  # hours before anything is timed: for so long most rules have payments kept

_FURTHER = """
format: 1
rules:
  - name: further_itself
    mode: active
    params: {limit: {"*": 200}}
    observed: amount
    threshold: limit
    when: observed >= threshold && source == target
    reason: "{observed} to itself."
  - name: further_currency
    mode: active
    params: {limit: {"*": 100}}
    observed: amount
    threshold: limit
    when: currency in ["XAU", "XAG", "XPT"] && observed >= threshold
    reason: "{observed} {currency}."
  - name: further_beginner
    mode: active
    params: {limit: {"*": 990}, few: 3}
    observed: amount
    threshold: limit
    when: history <= few && observed >= threshold
    reason: "{observed} of a new account."
  - name: further_in_haste
    mode: active
    params: {limit: {"*": 990}, haste: 2s}
    observed: amount
    threshold: limit
    when: since_last < haste && observed > threshold
    reason: "{observed} within {haste} of another."
  - name: further_far_from_usual
    mode: active
    params: {times: 40.0, floor: {"*": 995}, enough: 50}
    observed: amount
    threshold: mean_amount * times
    when: amount >= floor && history >= enough && observed > threshold
    reason: "{observed} is above {threshold}."
"""


@dataclass(frozen=True)
class Figures:
    """Of a number of payments, by accounts with a history: CPU microseconds a payment of all rules,
    what five further conditions add, and what writing the reasons of the matches adds; the share of
    payments that any rule fired on."""

    accounts: int
    payments: int
    rules_us: float
    further_us: float
    reasons_us: float
    hits_share: float


def time_rules(
    book: Rulebook, accounts: int = 100_000, payments: int = 500_000, seed: int = 1
) -> Figures:
    """Times the rules of a book, each as it is: in shadow, active, or off.

    Twice: as they are, and with five further conditions, in turns over the same payments, so that
    what else the machine does falls on both. Every account first gets a history of 25 hours, which
    takes longer than what is timed. All of it takes about 10 kB of memory an account.
    """
    plain, more = _Timed(book), _Timed(with_further(book))
    simulation = Simulation(accounts, seed)
    names = [b"%012d" % number for number in range(accounts)]
    with _without_garbage_collection():
        for chunk in _chunks(simulation, accounts * PAYMENTS_A_DAY * _HISTORY // 24):
            for each in (plain, more):
                each.evaluate(chunk, names)
        plain.begin()
        more.begin()
        for number, chunk in enumerate(_chunks(simulation, payments)):
            for each in (plain, more) if number % 2 else (more, plain):
                each.evaluate(chunk, names)
                each.reason(chunk, names)
    return Figures(
        accounts=accounts,
        payments=plain.payments,
        rules_us=plain.us(plain.judging_s),
        further_us=more.us(more.judging_s) - plain.us(plain.judging_s),
        reasons_us=plain.us(plain.reasoning_s),
        hits_share=plain.matches / plain.payments,
    )


def all_active(book: Rulebook) -> Rulebook:
    """The book with every rule in shadow made active."""
    rules = tuple(
        versioned(replace(rule, mode=Mode.ACTIVE)) if rule.mode is Mode.SHADOW else rule
        for rule in book.rules
    )
    return Rulebook(rules, book_version(rules))


def with_further(book: Rulebook) -> Rulebook:
    """The book with five more rules, which look at what is known without a window of their own, and
    fire next to never."""
    rules = (*book.rules, *load(_FURTHER).rules)
    return Rulebook(rules, book_version(rules))


class _Timed:
    """Rules, the accounts they remember, and the CPU time they took since `begin`."""

    def __init__(self, book: Rulebook) -> None:
        self._rules = Rules(book, may_change=True)  # accounts are remembered whatever the rules
        self._accounts: dict[bytes, Account] = {}
        self._found: list[tuple[int, list[Hit]]] = []  # of the last chunk, by row
        self.begin()

    def begin(self) -> None:
        self.payments = self.matches = 0
        self.judging_s = self.reasoning_s = 0.0

    def us(self, seconds: float) -> float:
        """Microseconds a payment."""
        return seconds / self.payments * 1e6

    def evaluate(self, chunk: Payments, names: Sequence[bytes]) -> None:
        """As the detector's loop does: finds the account, judges, keeps what fired."""
        accounts, new = self._accounts, self._rules.layout.new
        known, evaluate = accounts.get, self._rules.evaluators[_CURRENCY]
        found = self._found = []
        sources, targets = (
            [names[account] for account in column] for column in (chunk.sources, chunk.targets)
        )
        columns = zip(chunk.times_ms, sources, targets, chunk.cents, strict=True)
        with _timing(self._judged):
            for row, (time_ms, source, target, cents) in enumerate(columns):
                account = known(source)
                if account is None:
                    account = accounts[source] = new(time_ms, _CURRENCY, 0)
                matches = evaluate(account, time_ms, cents, target, _CURRENCY, source)
                if matches:
                    found.append((row, matches))
        self.payments += len(sources)
        self.matches += len(found)

    def reason(self, chunk: Payments, names: Sequence[bytes]) -> None:
        """What is written on those of the last chunk that rules fired on."""
        verdict, accounts = self._rules.verdict, self._accounts
        with _timing(self._reasoned):
            for row, matches in self._found:
                source, target = names[chunk.sources[row]], names[chunk.targets[row]]
                payment = Payment(chunk.times_ms[row], chunk.cents[row], _CURRENCY, source, target)
                verdict(matches, payment, accounts[source])

    def _judged(self, seconds: float) -> None:
        self.judging_s += seconds

    def _reasoned(self, seconds: float) -> None:
        self.reasoning_s += seconds


def _chunks(simulation: Simulation, payments: int) -> Iterator[Payments]:
    for done in range(0, payments, _CHUNK_SIZE):
        yield simulation.take(min(_CHUNK_SIZE, payments - done))


@contextmanager
def _timing(add: Callable[[float], None]) -> Iterator[None]:
    began = time.process_time()
    yield
    add(time.process_time() - began)


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """The detector looks for cycles so seldom that it doesn't count; by default Python would look
    through all accounts again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
