"""Versions: the same for files that judge the same, whatever else they say and however they look.

They are over the canonical JSON of what decides verdicts and reasons: not comments, sources,
tests, spaces, or whether a number is written 900 or 900.00.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from detector.rules.language.expression import expression_text
from detector.rules.language.tree import Param, Rule, Slot

_RULE_DIGITS = 8
_BOOK_DIGITS = 12


def versioned(rule: Rule) -> Rule:
    """The rule with its version."""
    return replace(rule, version=_version_of(definition(rule), _RULE_DIGITS))


def book_version(rules: Iterable[Rule]) -> str:
    """The version of rules together, in their order."""
    return _version_of([definition(rule) for rule in rules], _BOOK_DIGITS)


def definition(rule: Rule) -> dict[str, Any]:
    """All that decides a rule's verdicts and reasons, as plain JSON values."""
    return {
        "name": rule.name,
        "mode": str(rule.mode),
        "params": {name: [str(param.type), _plain(param)] for name, param in rule.params.items()},
        "observed": expression_text(rule.observed),
        "threshold": expression_text(rule.threshold),
        "when": expression_text(rule.when),
        "reason": [[part.name] if isinstance(part, Slot) else part for part in rule.reason],
    }


def _plain(param: Param) -> Any:
    if isinstance(param.value, Mapping):
        return {currency: f"{amount.normalize():f}" for currency, amount in param.value.items()}
    return param.value


def _version_of(definition: object, length: int) -> str:
    """The first hex digits of the SHA-256 of the definition's canonical JSON."""
    canonical = json.dumps(definition, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:length]
