"""Payments as accounts make them, simulated in event time: what the speed of rules is measured on.

Each account pays about 20 times a day, at random, all of them beside one another. Most amounts are
small (log-normal, half of them under 25.00), one in nine is large, evenly from 500.00 to 1000.00.
An account has six usual payees; one payment in seven goes to any account. One payment in 500 is the
first of a dozen in a row, to anybody. Once accounts have a history of a day, about one payment in
ten meets at least one of the ten rules that ship.

A seed gives the same payments on every Python: all is drawn through `random()` alone.
"""

import math
import random
from dataclasses import dataclass
from itertools import compress
from statistics import NormalDist

PAYMENTS_A_DAY = 20
START_MS = 1_735_689_600_000  # the first second of 2025, UTC
_DAY_MS = 86_400_000
_USUAL_PAYEES = 6
_PAYEES = range(_USUAL_PAYEES + 1)  # of an account, by place; the last one is anybody
_PRIMES = 7_919, 104_729
_DRAWN_FROM = 1 << 14  # amounts, either kind
_MEDIAN, _SIGMA = 25_00, 1.0
_MIN_LARGE, _MAX_LARGE = 500_00, 1_000_00
_ORDINARY_TO_LARGE = 8
_RUN = 12  # payments in a row, of one account
_RUNS = 500  # a run begins at one payment in so many


@dataclass(frozen=True)
class Payments:
    """Columns of equal length, in order of time: milliseconds since the epoch, the numbers of the
    accounts that pay and are paid, amounts in cents."""

    times_ms: list[int]
    sources: list[int]
    targets: list[int]
    cents: list[int]


class Simulation:
    """An endless stream of payments between `accounts` accounts, numbered from 0."""

    def __init__(self, accounts: int, seed: int) -> None:
        self._accounts = accounts
        self._source, self._payee, self._cents, self._run = (
            random.Random(f"{seed} {column}")  # noqa: S311  # not for secrets
            for column in ("source", "payee", "cents", "run")
        )
        self._amounts = _ordinary() * _ORDINARY_TO_LARGE + _large()
        self._made = 0

    def take(self, count: int) -> Payments:
        """The next `count` payments. A run does not go on from one call to the next."""
        sources = self._source.choices(range(self._accounts), k=count)
        payees = self._payee.choices(_PAYEES, k=count)
        for row in self._runs(count):
            length = min(_RUN, count - row)
            sources[row : row + length] = [sources[row]] * length
            payees[row : row + length] = [_USUAL_PAYEES] * length
        step_ms = _DAY_MS / PAYMENTS_A_DAY / self._accounts
        rows = range(self._made, self._made + count)
        self._made += count
        return Payments(
            [START_MS + int(row * step_ms) for row in rows],
            sources,
            self._targets(sources, payees),
            self._cents.choices(self._amounts, k=count),
        )

    def _runs(self, count: int) -> list[int]:
        begins = self._run.choices([True] + [False] * (_RUNS - 1), k=count)
        return [*compress(range(count), begins)]

    def _targets(self, sources: list[int], payees: list[int]) -> list[int]:
        accounts, (stride, step) = self._accounts, _PRIMES
        others = self._payee.choices(range(accounts), k=len(sources))
        return [
            (source * stride + payee * step + 1) % accounts if payee < _USUAL_PAYEES else other
            for source, payee, other in zip(sources, payees, others, strict=True)
        ]


def _ordinary() -> list[int]:
    """The distribution's quantiles."""
    normal = NormalDist(math.log(_MEDIAN), _SIGMA)
    shares = ((n + 0.5) / _DRAWN_FROM for n in range(_DRAWN_FROM))
    return [round(math.exp(normal.inv_cdf(share))) for share in shares]


def _large() -> list[int]:
    width = _MAX_LARGE - _MIN_LARGE
    return [_MIN_LARGE + width * n // (_DRAWN_FROM - 1) for n in range(_DRAWN_FROM)]
