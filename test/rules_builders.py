"""Rules and payments for tests, each with just what the test is about."""

import json
from typing import Any

from rules_oracle import Record

from detector.rules.file.loading import load
from detector.rules.language.tree import Rule, Rulebook
from detector.wire.transaction import Transaction


def a_rule_text(**fields: Any) -> dict[str, Any]:
    """A rule as a rules file has it, which fires from 900 on unless the fields say otherwise."""
    usual = {
        "name": "a_rule",
        "mode": "active",
        "observed": "amount",
        "threshold": "900",
        "reason": "{observed} is at least {threshold}.",
    }
    return {key: value for key, value in {**usual, **fields}.items() if value is not None}


def a_file(*rules: dict[str, Any]) -> str:
    """The text of a rules file; JSON is YAML too."""
    return json.dumps({"format": 1, "rules": [*rules]}, indent=1)


def a_book(*rules: dict[str, Any]) -> Rulebook:
    return load(a_file(*rules))


def a_rule(**fields: Any) -> Rule:
    return a_book(a_rule_text(**fields)).rules[0]


def paid(
    at_ms: int, amount: int = 100, *, source: str = "a", target: str = "b", currency: str = "USD"
) -> Record:
    """A payment; the amount is in minor units."""
    return at_ms, Transaction(source.encode(), target.encode(), amount, currency.encode())
