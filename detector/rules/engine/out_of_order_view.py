"""An account as one payment sees it."""

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from itertools import compress
from typing import Any

from detector.rules.engine.account import (
    LAST,
    NUMBER,
    SQUARES,
    STRIDE,
    Account,
    code_of,
    payee_of,
)
from detector.rules.engine.layout import Layout


class View:
    """The account as one payment sees it, in any currency and at any time: that payment and all
    that are older or of its time, as far as they are kept. `number`, `total` and `squares` are of
    all earlier payments of its currency.

    This is the definition, and the way of the rare payment: late, or of an account with several
    currencies. The compiled rules do the same for the others with less.
    """

    def __init__(
        self, layout: Layout, account: Account, index: int, time_ms: int, currency: bytes
    ) -> None:
        self._layout = layout
        self._start = layout.start
        self._shutdown = layout.start + STRIDE * (index + 1)
        self._index = index
        self._account = account
        self._time_ms = time_ms
        self._code = code_of(currency)
        self.idle_ms = max(0, time_ms - account[LAST])
        mixed = account.mixed
        own = (
            account[NUMBER : SQUARES + 1]
            if mixed is None
            else (mixed.statistics.get(self._code, (0, 0, 0)))
        )
        self.number: int
        self.total: int
        self.squares: int
        self.number, self.total, self.squares = own

    def seen(self, target: bytes) -> bool:
        """Whether the target is among those paid last."""
        return payee_of(target) in self._account.older

    def count(self, window_ms: int) -> int:
        return (self._shutdown - self._since(window_ms)) // STRIDE

    def distinct_targets(self, window_ms: int) -> int:
        return len({*self._account[self._since(window_ms) + 2 : self._shutdown : STRIDE]})

    def sum(self, window_ms: int) -> int:
        return sum(self._amounts(window_ms))

    def count_between(self, window_ms: int, low: float, high: float) -> int:
        return len([amount for amount in self._amounts(window_ms) if low <= amount < high])

    def count_equal(self, window_ms: int, amount: Any) -> int:
        return [*self._amounts(window_ms)].count(amount)

    def remember(self, amount: int, target: bytes) -> None:
        """The payment becomes an earlier one: the last step."""
        account, layout = self._account, self._layout
        own = (self.number + 1, self.total + amount, self.squares + amount * amount)
        if account.mixed is not None:
            account.mixed.statistics[self._code] = own
        else:
            try:
                account[NUMBER : SQUARES + 1] = array("q", own)
            except OverflowError:
                layout.move_to_extra(account, own)
        account[LAST] = max(account[LAST], self._time_ms)
        layout.remember(account, (payee_of(target),))
        if len(account) > layout.full:
            layout.drop(account, 1)

    def _since(self, window_ms: int) -> int:
        times = self._account[self._start : self._shutdown : STRIDE]
        return self._start + STRIDE * bisect_right(times, self._time_ms - window_ms)

    def _amounts(self, window_ms: int) -> Iterable[int]:
        first = self._since(window_ms)
        amounts = self._account[first + 1 : self._shutdown : STRIDE]
        mixed = self._account.mixed
        if mixed is None:
            return amounts
        currencies = mixed.currencies[(first - self._start) // STRIDE : self._index + 1]
        return compress(amounts, map(self._code.__eq__, currencies))
