"""Rules: what makes a transaction suspicious, and the reason it gives.

A rule has a name, a version, a threshold and a sentence. It judges a transaction by its values
and its event time alone; no rule looks at a clock, so a replay gives the same verdicts.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Protocol

import msgspec

from detector.money import in_words, least_minor_units
from detector.transaction import Screen, Transaction, parse_price
from kafka_batch import HeaderBlock

_json = msgspec.json.Encoder().encode
_KEPT_REASONS = 1 << 14  # amounts come again: a reason that was given is kept for the next time
_RULE_VERSION_DIGITS = 8
_RULES_VERSION_DIGITS = 12


class Reason(msgspec.Struct, frozen=True):
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

    @property
    def least_amount(self) -> Decimal:
        """The rule never fires below it, in any currency; 0 where nothing can be said."""

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
        self.least_amount = limit
        self._limits: dict[str, int] = {}  # currency -> minor units
        self._version = version_of(self.definition, _RULE_VERSION_DIGITS)
        self._reason = lru_cache(_KEPT_REASONS)(self._reason_for)

    def judge(self, transaction: Transaction) -> Reason | None:
        limit = self._limits.get(transaction.currency)
        if limit is None:
            limit = least_minor_units(self.least_amount, transaction.currency)
            self._limits[transaction.currency] = limit
        amount = transaction.amount
        return None if amount < limit else self._reason(amount, limit, transaction.currency)

    def _reason_for(self, amount: int, limit: int, currency: str) -> Reason:
        observed = in_words(amount, currency)
        threshold = in_words(limit, currency)
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
        self.screen = Screen(min(rule.least_amount for rule in self._rules))
        self._block = lru_cache(_KEPT_REASONS)(self._block_of)
        self.verdict_on_price = lru_cache(_KEPT_REASONS)(self._verdict_on_price)

    def judge(self, transaction: Transaction) -> list[Reason]:
        """The reasons of all rules that fire; none for a legitimate transaction."""
        reasons = []
        for rule in self._rules:
            reason = rule.judge(transaction)
            if reason is not None:
                reasons.append(reason)
        return reasons

    def verdict(self, transaction: Transaction) -> HeaderBlock | None:
        """What is written on a suspicious transaction; None for a legitimate one."""
        reasons = self.judge(transaction)
        return self._block(*reasons) if reasons else None

    def _verdict_on_price(self, text: bytes) -> HeaderBlock | None:
        """The verdict on a plain transaction that the screen holds, by its price alone."""
        amount, currency = parse_price(text)
        return self.verdict(Transaction("", "", amount, currency))

    def _block_of(self, *reasons: Reason) -> HeaderBlock:
        names = ",".join([reason.rule for reason in reasons])
        return HeaderBlock.of(
            [
                ("rules", names.encode()),
                ("reasons", _json(reasons)),
                ("rules_version", self.version.encode()),
            ]
        )
