"""What is remembered of an account: one flat list, which serves every window.

A class with a list for each column would read better, and take a quarter longer and more memory
than this: the compiled rules touch it some twenty times a transaction, and there are millions.

    LAST      the greatest event time so far
    CURRENCY  the currency of all its payments; none once there were two
    NUMBER, SUM, SQUARES   how many payments, the sum of their amounts, and of the squares
    PAYEES    the different targets paid last, as a dict: the latest at the end
    FLOOR     the greatest event time of a payment that is no longer kept
    FIRST     the input offset of the first payment since the account was last saved
    STORED    whether it was ever saved
    MIXED     of an account with several currencies: `Mixed`; else None
    then, for each window whose sum the rules in force follow: where its first payment stands, and
    its sum; then the payments, in order of event time, equal ones in offset order: time, amount,
    target; three places each.

Times are in milliseconds since the epoch, amounts in minor units, offsets those of the input.
The windows' places follow from the payments, so they are not saved: `reset` sets them to the first
payment of all, and the compiled rules move them on.
"""

from bisect import bisect_right
from itertools import compress
from typing import Any, NamedTuple

import msgspec

LAST, CURRENCY, NUMBER, SUM, SQUARES, PAYEES, FLOOR, FIRST, STORED, MIXED = range(10)
HEADS = 10
STRIDE = 3
MOST_PAYEES = 32
NEVER = -(1 << 62)

Account = list[Any]
_Statistics = tuple[int, int, int]
_WORD = 62  # bits of a saved integer's lower part: msgpack has no larger ones than 64

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Mixed(NamedTuple):
    """Of an account with several currencies: that of each payment kept, and number, sum and sum of
    squares by currency."""

    currencies: list[bytes]
    statistics: dict[bytes, _Statistics]


class Layout:
    """Where the payments begin in an account's list, and how long and how many are kept.

    `windows` is the number of windows whose sum is followed; `keep_ms` for how long payments are
    kept behind the greatest event time, and `most` how many.
    """

    def __init__(self, windows: int, keep_ms: int, most: int) -> None:
        self.heads = range(HEADS, HEADS + 2 * windows, 2)
        self.start = HEADS + 2 * windows
        self.full = self.start + STRIDE * most
        self.keep_ms = keep_ms

    def new(self, time_ms: int, currency: bytes, offset: int, floor: int = NEVER) -> Account:
        """An account that has paid nothing yet."""
        fixed = [time_ms, currency, 0, 0, 0, {}, floor, offset, False, None]
        return fixed + [self.start, 0] * len(self.heads)

    def reset(self, account: Account) -> None:
        """Sets every window to all that is kept."""
        total = sum(account[self.start + 1 :: STRIDE])
        for head in self.heads:
            account[head], account[head + 1] = self.start, total

    def take_over(self, account: Account, other: "Layout") -> None:
        """An account that was laid out otherwise."""
        account[HEADS : other.start] = [0] * (self.start - HEADS)
        self.reset(account)

    def drop(self, account: Account, count: int) -> None:
        """Forgets the oldest payments kept."""
        start = self.start
        end = start + STRIDE * count
        account[FLOOR] = max(account[FLOOR], account[end - STRIDE])
        for head in self.heads:
            gone = account[account[head] + 1 : end : STRIDE]
            account[head + 1] -= sum(gone)
            account[head] = max(account[head], end) - STRIDE * count
        if account[MIXED] is not None:
            del account[MIXED].currencies[:count]
        del account[start:end]

    def insert(
        self, account: Account, time_ms: int, amount: int, target: bytes, currency: bytes
    ) -> "View":
        """Makes room and puts a payment where it belongs, behind those of its time."""
        start = self.start
        past = max(account[LAST], time_ms) - self.keep_ms
        old = bisect_right(account[start::STRIDE], past)
        if old:
            self.drop(account, old)
        if len(account) >= self.full and account[start] <= time_ms:
            self.drop(account, 1)
        if account[MIXED] is None and account[CURRENCY] != currency:
            self._mix(account)
        place = bisect_right(account[start::STRIDE], time_ms)
        at = start + STRIDE * place
        account[at:at] = time_ms, amount, target
        if account[MIXED] is not None:
            account[MIXED].currencies.insert(place, currency)
        return View(self, account, place, time_ms, currency)

    def _mix(self, account: Account) -> None:
        own = account[CURRENCY]
        kept = (len(account) - self.start) // STRIDE
        statistics = (account[NUMBER], account[SUM], account[SQUARES])
        account[MIXED] = Mixed([own] * kept, {own: statistics})
        account[CURRENCY] = b""

    # -- as bytes

    def packed(self, account: Account, as_of: int) -> bytes:
        """The account as it is saved: all that doesn't depend on the rules in force, and up to
        which offset of the input (not included) it is complete."""
        mixed = account[MIXED]
        statistics = (
            {account[CURRENCY]: tuple(account[NUMBER : SQUARES + 1])}
            if mixed is None
            else mixed.statistics
        )
        flat: list[Any] = []
        for currency, (number, total, squares) in statistics.items():
            flat += currency, number, *_words(total), *_words(squares)
        currencies = None if mixed is None else mixed.currencies
        payees = [*account[PAYEES]]
        kept = account[self.start :]
        return _encode((as_of, account[LAST], account[FLOOR], flat, payees, currencies, kept))

    def unpacked(self, packed: bytes, offset: int) -> tuple[Account, int]:
        """The account, touched again at an offset, and up to where it is complete.

        Raises:
            ValueError: the bytes are no account.
        """
        try:
            as_of, last, floor, flat, payees, currencies, kept = _decode(packed)
            statistics = {
                flat[n]: (
                    flat[n + 1],
                    _of_words(*flat[n + 2 : n + 4]),
                    _of_words(*flat[n + 4 : n + 6]),
                )
                for n in range(0, len(flat), 6)
            }
        except (msgspec.MsgspecError, TypeError, IndexError) as error:
            raise ValueError(f"not a saved account: {error}") from error
        account = self.new(last, b"", offset, floor)
        if currencies is None:
            ((currency, its_own),) = statistics.items()
            account[CURRENCY], account[NUMBER : SQUARES + 1] = currency, its_own
        else:
            account[MIXED] = Mixed(currencies, statistics)
        account[PAYEES] = dict.fromkeys(payees)
        account[STORED] = True
        account += kept
        self.reset(account)
        return account, as_of


class View:
    """The account as one payment sees it, in any currency and at any time: that payment and all
    that are older or of its time, as far as they are kept. `number`, `total` and `squares` are of
    all earlier payments of its currency.

    This is the definition, and the way of the rare payment: late, or of an account with several
    currencies. The compiled rules do the same for the others with less.
    """

    def __init__(
        self, layout: Layout, account: Account, place: int, time_ms: int, currency: bytes
    ) -> None:
        self._layout = layout
        self._start = layout.start
        self._stop = layout.start + STRIDE * (place + 1)
        self._place = place
        self._account = account
        self._time_ms = time_ms
        self._currency = currency
        self.idle_ms = max(0, time_ms - account[LAST])
        mixed = account[MIXED]
        its_own = (
            account[NUMBER : SQUARES + 1]
            if mixed is None
            else (mixed.statistics.get(currency, (0, 0, 0)))
        )
        self.number, self.total, self.squares = its_own

    def seen(self, target: bytes) -> bool:
        """Whether the target is among those paid last."""
        return target in self._account[PAYEES]

    def count(self, window_ms: int) -> int:
        return (self._stop - self._since(window_ms)) // STRIDE

    def distinct_targets(self, window_ms: int) -> int:
        return len({*self._account[self._since(window_ms) + 2 : self._stop : STRIDE]})

    def sum(self, window_ms: int) -> int:
        return sum(self._amounts(window_ms))

    def count_between(self, window_ms: int, low: float, high: float) -> int:
        return len([amount for amount in self._amounts(window_ms) if low <= amount < high])

    def count_equal(self, window_ms: int, amount: Any) -> int:
        return self._amounts(window_ms).count(amount)

    def remember(self, amount: int, target: bytes) -> None:
        """The payment becomes an earlier one: the last step."""
        account = self._account
        its_own = (self.number + 1, self.total + amount, self.squares + amount * amount)
        if account[MIXED] is None:
            account[NUMBER : SQUARES + 1] = its_own
        else:
            account[MIXED].statistics[self._currency] = its_own
        account[LAST] = max(account[LAST], self._time_ms)
        remember_payee(account[PAYEES], target)
        if len(account) > self._layout.full:
            self._layout.drop(account, 1)

    def _since(self, window_ms: int) -> int:
        times = self._account[self._start : self._stop : STRIDE]
        return self._start + STRIDE * bisect_right(times, self._time_ms - window_ms)

    def _amounts(self, window_ms: int) -> list[int]:
        first = self._since(window_ms)
        amounts: list[int] = self._account[first + 1 : self._stop : STRIDE]
        mixed = self._account[MIXED]
        if mixed is None:
            return amounts
        currencies = mixed.currencies[(first - self._start) // STRIDE : self._place + 1]
        return [*compress(amounts, map(self._currency.__eq__, currencies))]


def remember_payee(payees: dict[bytes, None], target: bytes) -> None:
    """Makes a target the latest, and forgets the one that was paid longest ago."""
    payees.pop(target, None)
    payees[target] = None
    if len(payees) > MOST_PAYEES:
        del payees[next(iter(payees))]


def _words(number: int) -> tuple[int, int]:
    return number >> _WORD, number & (1 << _WORD) - 1


def _of_words(high: int, low: int) -> int:
    return high << _WORD | low
