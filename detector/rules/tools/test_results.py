"""The inline tests of rules, and whether they would notice if a rule were a little different."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from detector.domain.money import digits, format_amount, minor_units
from detector.rules.language.tree import InlineTest, Kind, Payment, Rule, Rulebook
from detector.rules.language.values import duration_text


@dataclass(frozen=True, slots=True)
class Finding:
    """What becomes of a payment by one rule. Money is in minor units, time in milliseconds;
    `observed` and `threshold` are None where the rule doesn't apply to the payment's currency or
    could not be worked out, and `text`, the reason's sentence, where it doesn't fire."""

    fires: bool
    observed: float | None
    threshold: float | None
    text: str | None


Engine = Callable[[Rule, Sequence[Payment]], Sequence[Finding]]
"""Judges payments, in offset order, by one rule as if it were active, each by the memory of its own
account: one finding for each payment."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A payment of an inline test that came out otherwise than expected."""

    rule: Rule
    case: InlineTest
    number: int  # of the payment, from 1, repeats counted
    finding: Finding

    def describe(self, name: str) -> str:
        """A line for a person; `name` is that of the file."""
        payment = self.case.payments[self.number - 1]
        at = f"at {duration_text(payment.at_ms)}, {payment.amount:f} {payment.currency}"
        where = f'{name}:{payment.line}: {self.rule.name}, test "{self.case.name}"'
        return f"{where}, payment {self.number} ({at}): {self._what(payment)}; {self._seen()}"

    def _what(self, payment: Payment) -> str:
        if payment.fires and self.finding.fires:
            return f'the reason is "{self.finding.text}", expected "{payment.reason}"'
        if payment.fires:
            return "does not fire, expected to"
        return "fires, expected not to"

    def _seen(self) -> str:
        finding = self.finding
        if finding.observed is None or finding.threshold is None:
            return "it does not apply, or could not be worked out"
        currency = self.case.payments[self.number - 1].currency
        observed = _format(self.rule, finding.observed, currency)
        threshold = _format(self.rule, finding.threshold, currency)
        return f"observed {observed}, threshold {threshold}"


def failures(book: Rulebook, engine: Engine) -> Iterator[Failure]:
    """All payments of all tests that come out otherwise than expected, in the file's order."""
    for rule in book.rules:
        yield from rule_failures(rule, engine)


def rule_failures(rule: Rule, engine: Engine) -> Iterator[Failure]:
    """The same for one rule."""
    for case in rule.tests:
        findings = engine(rule, case.payments)
        expected = zip(case.payments, findings, strict=True)
        for number, (payment, finding) in enumerate(expected, start=1):
            reason_differs = payment.reason is not None and payment.reason != finding.text
            if payment.fires is not finding.fires or reason_differs:
                yield Failure(rule, case, number, finding)


def number_of_tests(book: Rulebook) -> int:
    """How many inline tests all rules have together."""
    return sum(len(rule.tests) for rule in book.rules)


def amount_of(payment: Payment) -> int:
    """The payment's amount in minor units, as it would be read from a record."""
    return minor_units(payment.amount, payment.currency)


def _format(rule: Rule, value: float, currency: str) -> str:
    """What a rule observed, exactly and with its unit."""
    if rule.observed.type is Kind.DURATION:
        return duration_text(int(value))
    if rule.observed.type is not Kind.MONEY:
        return str(value)
    if not float(value).is_integer():
        return f"{value / 10 ** digits(currency)} {currency}"
    sign = "-" if value < 0 else ""
    return f"{sign}{format_amount(abs(int(value)), currency)} {currency}"
