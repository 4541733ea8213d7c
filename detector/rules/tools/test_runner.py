"""Inline tests, run by the very functions that judge payments."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from detector.domain.printable import clean
from detector.rules.engine.account import Account
from detector.rules.engine.compiler import Hit, Program
from detector.rules.engine.reasons import Payment as Judged
from detector.rules.engine.reasons import Reasons
from detector.rules.language.diagnostics import Diagnostic, Location, RulesError
from detector.rules.language.tree import Mode, Payment, Rule, Rulebook
from detector.rules.language.tree_queries import currencies
from detector.rules.tools.reachable import require_enough_events
from detector.rules.tools.test_results import Failure, Finding, amount_of, failures

_NO_CURRENCY = "XXX"  # of ISO 4217, for a transaction without one
_MAX_EVENTS = 100_000  # the setting's largest value


def compiled(
    rule: Rule, payments: Sequence[Payment], max_events: int = _MAX_EVENTS
) -> list[Finding]:
    """Judges payments by one rule, compiled as it is for the stream (`proof.Engine`), where
    `max_events` payments are kept of an account.

    Each account is kept twice: what fires is what the stream's function says, and what was
    observed where nothing fires is what the same rule tells when asked to tell always.
    """
    trial = _Trial(rule, max_events)
    return [trial.finding(payment) for payment in payments]


def validated(book: Rulebook, name: str, max_events: int = _MAX_EVENTS) -> Rulebook:
    """The book, whose inline tests hold where `max_events` payments are kept of an account, and
    whose code and reasons can all be made; `name` is what messages call it.

    Raises:
        RulesError: a rule needs more payments; or a test fails: one line, of the first that does.
    """
    require_enough_events(book, max_events, name)
    found = next(failures(book, partial(compiled, max_events=max_events)), None)
    if found is not None:
        raise TestFailed(name, found)
    _make_all(book)
    return book


def _make_all(book: Rulebook) -> None:
    """Compiles all rules, those that are off too, in each currency that they name and in another,
    and writes a reason of each: what can't be made must show now, not at the first hit."""
    active = Rulebook(tuple(replace(rule, mode=Mode.ACTIVE) for rule in book.rules), book.version)
    program = Program(active, _MAX_EVENTS)
    reasons = Reasons(program.rules)
    for currency in (*currencies(book.rules), _NO_CURRENCY):
        program.evaluator(currency)
        payment = Judged(0, 1, currency.encode(), b"source", b"target")
        for place in program.applicable(currency):
            reasons.as_json((place,), [(place, 1, 1)], payment)


class TestFailed(RulesError):
    """A rules file with an inline test that fails."""

    __test__ = False  # of ours, not of pytest's

    def __init__(self, name: str, failure: Failure) -> None:
        super().__init__(name, [Diagnostic(Location(failure.case.line, 1), "a test fails")])
        self.args = (clean(failure.describe(name)),)


class _Trial:
    def __init__(self, rule: Rule, max_events: int) -> None:
        active = replace(rule, mode=Mode.ACTIVE)
        self._program = Program(Rulebook((active,), ""), max_events)
        self._reasons = Reasons(self._program.rules)
        self._judged: dict[str, Account] = {}
        self._told: dict[str, Account] = {}

    def finding(self, payment: Payment) -> Finding:
        currency, amount = payment.currency, amount_of(payment)
        source, target = payment.source.encode(), payment.target.encode()
        seen = Judged(payment.at_ms, amount, currency.encode(), source, target)
        told = self._program.outcomes(
            self._account(self._told, payment), payment.at_ms, amount, target, currency, source
        )
        account, evaluate = self._account(self._judged, payment), self._program.evaluator(currency)
        matches = evaluate(account, payment.at_ms, amount, target, currency.encode(), source)
        if matches:
            _, observed, threshold = matches[0]
            return Finding(True, observed, threshold, self._text(matches, seen))  # noqa: FBT003
        _, _, observed, threshold = told[0] if told else (None, None, None, None)
        return Finding(False, observed, threshold, None)  # noqa: FBT003

    def _account(self, accounts: dict[str, Account], payment: Payment) -> Account:
        known = accounts.get(payment.source)
        if known is None:
            known = self._program.layout.new(payment.at_ms, payment.currency.encode(), 0)
            accounts[payment.source] = known
        return known

    def _text(self, matches: Sequence[Hit], payment: Judged) -> str:
        (reason,) = json.loads(self._reasons.as_json((0,), matches, payment))
        return str(reason["text"])
