"""Rules: what makes a transaction suspicious, and the reason it gives.

A rule has a name, a version, a threshold and a sentence. It judges a transaction by its values
and its event time alone; no rule looks at a clock, so a replay gives the same verdicts.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from detector.money import in_words, least_minor_units
from detector.transaction import Transaction

_RULE_VERSION_DIGITS = 8
_RULES_VERSION_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a rule fired: what it observed, and the threshold that this reached.

    Money is a string with the currency's decimals; `window_ms` is None for a rule without memory.
    """

    rule: str
    rule_version: str
    observed: str
    threshold: str
    unit: str
    window_ms: int | None
    text: str


class Rule(Protocol):
    """Judges one transaction."""

    @property
    def name(self) -> str: ...

    @property
    def definition(self) -> Mapping[str, Any]:
        """All that decides its verdicts, as plain JSON values."""

    def judge(self, transaction: Transaction) -> Reason | None:
        """The reason why the transaction is suspicious; None where it isn't."""


def version_of(definition: object, length: int) -> str:
    """The first hex digits of the SHA-256 of the definition's canonical JSON."""
    canonical = json.dumps(definition, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:length]


class LargeAmount:
    """Fires when the amount is at least a limit, which is the same number in every currency."""

    name = "large_amount"

    def __init__(self, limit: Decimal) -> None:
        self.definition = {
            "name": self.name,
            "observed": "amount",
            "threshold": {"*": f"{limit.normalize():f}"},
        }
        self._limit = limit
        self._limits: dict[str, int] = {}  # currency -> minor units
        self._version = version_of(self.definition, _RULE_VERSION_DIGITS)

    def judge(self, transaction: Transaction) -> Reason | None:
        limit = self._limits.get(transaction.currency)
        if limit is None:
            limit = least_minor_units(self._limit, transaction.currency)
            self._limits[transaction.currency] = limit
        return None if transaction.amount < limit else self._reason(transaction, limit)

    def _reason(self, transaction: Transaction, limit: int) -> Reason:
        currency = transaction.currency
        observed, threshold = in_words(transaction.amount, currency), in_words(limit, currency)
        return Reason(
            rule=self.name,
            rule_version=self._version,
            observed=observed,
            threshold=threshold,
            unit=currency,
            window_ms=None,
            text=f"{observed} {currency} is at least {threshold} {currency}.",
        )


class Rules:
    """The rules in force, in order, with a version over all of them."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(rules)
        self.version = version_of([rule.definition for rule in self._rules], _RULES_VERSION_DIGITS)

    def judge(self, transaction: Transaction) -> list[Reason]:
        """The reasons of all rules that fire; none for a legitimate transaction."""
        reasons = (rule.judge(transaction) for rule in self._rules)
        return [reason for reason in reasons if reason is not None]
