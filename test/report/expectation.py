"""What share of fraud to expect: known where a limit on the amount is what judges, and what it
judges is the generator's."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

SHIPPED_LIMIT = Decimal(900)
_RULE = "large_amount"
# Amounts run evenly from 1.00 to 1000.00, in hundredths:
_MIN, _MAX = 100, 100_000
_GENERATED = re.compile(
    rb'\{"source":"[A-Za-z0-9]{12}","target":"[A-Za-z0-9]{12}",'
    rb'"amount":([0-9]{1,4}\.[0-9]{1,2}),"currency":"USD"\}'
)

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Expectation:
    """The share of fraud to expect; None where it can't be known, and why."""

    share: float | None
    why: str = ""


def share_from(limit: Decimal) -> float:
    """The share of the generator's amounts that are the limit or more."""
    first = max(_MIN, math.ceil(limit * 100))
    return max(0, _MAX + 1 - first) / (_MAX + 1 - _MIN)


def is_generated(value: bytes | None) -> bool:
    """Whether the generator could have made a record's value."""
    found = _GENERATED.fullmatch(value or b"")
    return found is not None and _MIN <= 100 * float(found[1]) <= _MAX


def detector_headers(headers: Headers) -> dict[str, bytes | None]:
    """The headers that the detector appended: all behind the last `judged`; where there is none,
    the last of each name."""
    marks = [index for index, (name, _) in enumerate(headers) if name == "judged"]
    return dict(headers[marks[-1] + 1 :] if marks else headers)


class Evidence:
    """What judged records tell of who made them and of what judged them."""

    def __init__(self) -> None:
        self._foreign = 0
        self._versions: set[bytes | None] = set()
        self._limits: set[Decimal | None] = set()

    def add(self, value: bytes | None) -> None:
        """A record that was judged."""
        self._foreign += not is_generated(value)

    def add_fraud(self, value: bytes | None, headers: Headers) -> None:
        """A record that was judged, and found suspicious."""
        self.add(value)
        said = detector_headers(headers)
        self._versions.add(said.get("rules_version"))
        self._limits.add(_limit_of(said.get("reasons")))

    def expectation(self, default: Expectation) -> Expectation:
        """What to expect; `default` where no fraud tells of the rules."""
        if self._foreign:
            return Expectation(
                None, f"not of the generator's form: {self._foreign} of the transactions"
            )
        if not self._limits:
            return default
        if len(self._versions) > 1:
            return Expectation(None, "the rules changed in the window")
        limit, *others = self._limits
        if limit is None or others:
            return Expectation(None, "not all frauds are due to one limit of the amount")
        return Expectation(share_from(limit))


def _limit_of(reasons: bytes | None) -> Decimal | None:
    """The limit in US dollars that is the only reason."""
    try:
        (reason,) = json.loads(reasons or b"")
        limit = Decimal(reason["threshold"])
        known = reason["rule"] == _RULE and reason["unit"] == "USD" and limit.is_finite()
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    return limit if known else None
