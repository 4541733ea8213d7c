"""What is remembered of an account: one array of 64-bit words, which is saved as it stands.

To judge a payment takes a microsecond or two where an account is in the processor's cache. It
hardly ever is, there are too many; and each place in memory that must be fetched takes a tenth of a
microsecond. An account of Python's objects is a place for each of them, this is a few in a row. It
takes less than half of their memory, and to save it is to copy it.

    LAST      the greatest event time so far
    CURRENCY  the currency of all its payments, as a number; 0 for an account that is `Mixed`
    NUMBER, SUM, SQUARES   how many payments, the sum of their amounts, and of the squares
    FLOOR     the greatest event time of a payment that is no longer kept
    FOLDED    how many words of the payments kept have their payees among the older ones
    OLDER     how many older payees there are
    FIRST     the input offset of the first payment since the account was last saved
    STORED    whether it was ever saved
    then, for each window whose sum the rules in force follow: where its first payment stands, and
    a sum that is no less than its own: what left the window is taken off when somebody asks; the
    older payees, up to 32 different ones, the one paid last at the end; then the payments, in order
    of event time, equal ones in offset order: time, amount, payee; three words each.

Times are in milliseconds since the epoch, amounts in minor units, offsets those of the input, and a
payee is a number (`payee_of`). What doesn't fit into words is kept beside them.
"""

import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterable
from itertools import compress, islice
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
from crc32c import crc32c

LAST, CURRENCY, NUMBER, SUM, SQUARES, FLOOR, FOLDED, OLDER, FIRST, STORED = range(10)
HEADS = 10
STRIDE = 3
MOST_PAYEES = 32
NEVER = -(1 << 62)
# Of larger amounts than this, 64 bits may not hold a sum of as many as are kept.
MOST_AMOUNT = 1 << 31

Statistics = tuple[int, int, int]
"""How many payments, the sum of their amounts, and of the squares."""

_WORD = 62  # bits of a saved integer's lower part: msgpack has no larger ones than 64
_MOST_WORD = (1 << 63) - 1
_WORD_BYTES = 8
_SAVED = FIRST  # so many of the first words are saved
_FRONT = struct.Struct(f"={2 + _SAVED}q")  # as of, how many words of payments, and those

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def payee_of(target: bytes) -> int:
    """A number for an account's name, the same in every process.

    Two checksums, over different polynomials. Names of one length that differ within eight
    characters in a row never share it, as such a code finds every burst of errors that is no longer
    than its checksum (Peterson and Brown, Cyclic Codes for Error Detection, 1961); of others, it is
    one pair in 2^64.
    """
    return (crc32(target) << 32 | crc32c(target)) - (1 << 63)


def code_of(currency: bytes) -> int:
    """A currency's three letters as a number."""
    return int.from_bytes(currency)


class Mixed(NamedTuple):
    """Of an account with several currencies, or with sums that 64 bits don't hold: the currency of
    each payment kept, and number, sum and sum of squares by currency."""

    currencies: list[int]
    statistics: dict[int, Statistics]


class Account(array):  # type: ignore[type-arg]  # Python 3.11 has no array[int]
    """The words, and what they don't hold."""

    __slots__ = ("mixed",)

    mixed: Mixed | None


class Layout:
    """Where what stands in an account, and how long and how many payments are kept.

    `windows` is the number of windows whose sum is followed; `keep_ms` for how long payments are
    kept behind the greatest event time, and `most` how many.
    """

    def __init__(self, windows: int, keep_ms: int, most: int) -> None:
        self.heads = range(HEADS, HEADS + 2 * windows, 2)
        self.older = HEADS + 2 * windows
        self.start = self.older + MOST_PAYEES
        self.full = self.start + STRIDE * most
        self.keep_ms = keep_ms
        self._heads = array("q", [self.start, 0] * windows)
        self._new = array("q", [0] * HEADS) + self._heads + array("q", [0] * MOST_PAYEES)

    def new(self, time_ms: int, currency: bytes, offset: int, floor: int = NEVER) -> Account:
        """An account that has paid nothing yet."""
        account = Account("q", self._new)
        account[LAST], account[CURRENCY] = time_ms, code_of(currency)
        account[FLOOR], account[FIRST] = floor, offset
        account.mixed = None
        return account

    def take_over(self, account: Account, other: "Layout") -> None:
        """An account that was laid out otherwise."""
        account[HEADS : other.older] = self._heads
        self.reset(account)

    def drop(self, account: Account, count: int) -> None:
        """Forgets the oldest payments kept, and only those."""
        start, size = self.start, STRIDE * count
        end = start + size
        account[FLOOR] = max(account[FLOOR], account[end - STRIDE])
        if account[FOLDED] < size:
            self._remember(account, account[start + account[FOLDED] + 2 : end : STRIDE])
            account[FOLDED] = size
        account[FOLDED] -= size
        if account.mixed is None:
            for head in self.heads:
                account[head + 1] -= sum(account[account[head] + 1 : end : STRIDE])
                account[head] = max(account[head], end) - size
        else:
            del account.mixed.currencies[:count]
        del account[start:end]

    def insert(
        self, account: Account, time_ms: int, amount: int, target: bytes, currency: bytes
    ) -> "View":
        """Makes room and puts a payment where it belongs, behind those of its time."""
        start, code = self.start, code_of(currency)
        past = max(account[LAST], time_ms) - self.keep_ms
        old = bisect_right(account[start::STRIDE], past)
        if old:
            self.drop(account, old)
        if len(account) >= self.full and account[start] <= time_ms:
            self.drop(account, 1)
        if account.mixed is None and (account[CURRENCY] != code or amount > MOST_AMOUNT):
            self._mix(account)
        # From here on the order of payments is not that in which they came, as it is of payees.
        self._remember(account, account[start + account[FOLDED] + 2 :: STRIDE])
        place = bisect_right(account[start::STRIDE], time_ms)
        at = start + STRIDE * place
        account[at:at] = array("q", (time_ms, amount, payee_of(target)))
        account[FOLDED] = len(account) - start
        if account.mixed is not None:
            account.mixed.currencies.insert(place, code)
        return View(self, account, place, time_ms, code)

    def seen(self, account: Account, payee: int) -> bool:
        """Whether a payee is among those paid last, before the last of the payments kept."""
        recent = account[self.start + account[FOLDED] + 2 : -STRIDE : STRIDE]
        if payee in recent and len(recent) <= MOST_PAYEES:
            return True
        older = account[self.older : self.older + account[OLDER]]
        if payee not in older and payee not in recent:
            return False
        latest = dict.fromkeys(reversed(older + recent))
        return payee in islice(latest, MOST_PAYEES)

    def outgrow(self, account: Account, statistics: Statistics) -> None:
        """What is known of all its payments is more than words hold."""
        code = account[CURRENCY]
        self._mix(account).statistics[code] = statistics

    def _mix(self, account: Account) -> Mixed:
        own = account[CURRENCY]
        kept = (len(account) - self.start) // STRIDE
        statistics = (account[NUMBER], account[SUM], account[SQUARES])
        account.mixed = Mixed([own] * kept, {own: statistics})
        account[CURRENCY] = 0
        return account.mixed

    def _remember(self, account: Account, payees: Iterable[int]) -> None:
        """Makes payees the latest of the older ones, and forgets those that were paid longest
        ago."""
        older, number = self.older, account[OLDER]
        latest = dict.fromkeys(account[older : older + number])
        for payee in payees:
            latest.pop(payee, None)
            latest[payee] = None
        kept = array("q", latest)[-MOST_PAYEES:]
        account[older : older + len(kept)] = kept
        account[OLDER] = len(kept)

    def paid(self, account: Account, payee: int) -> None:
        """Makes a payee the latest of the older ones."""
        self._remember(account, (payee,))

    def reset(self, account: Account) -> None:
        """Sets every window to all that is kept."""
        if account.mixed is None:
            total = sum(account[self.start + 1 :: STRIDE])
            for head in self.heads:
                account[head], account[head + 1] = self.start, total

    # -- as bytes

    def packed(self, account: Account, as_of: int) -> bytes:
        """The account as it is saved: all that doesn't depend on the rules in force, and up to
        which offset of the input (not included) it is complete."""
        payments = account[self.start :]
        return b"".join(
            (
                _FRONT.pack(as_of, len(payments), *account[:_SAVED]),
                account[self.older : self.older + account[OLDER]].tobytes(),
                payments.tobytes(),
                b"" if account.mixed is None else _packed(account.mixed),
            )
        )

    def unpacked(self, packed: bytes, offset: int) -> tuple[Account, int]:
        """The account, touched again at an offset, and up to where it is complete.

        Raises:
            ValueError: the bytes are no account.
        """
        try:
            as_of, size, *words = _FRONT.unpack_from(packed)
            payments = _FRONT.size + _WORD_BYTES * words[OLDER]
            end = payments + _WORD_BYTES * size
            if not 0 <= words[OLDER] <= MOST_PAYEES or size < 0 or len(packed) < end:
                raise ValueError("it is cut off")
            account = Account("q", self._new)
            account[:HEADS] = array("q", (*words, offset, 1))
            older = array("q", packed[_FRONT.size : payments])
            account[self.older : self.older + len(older)] = older
            account.frombytes(packed[payments:end])
            account.mixed = None if words[CURRENCY] else _unpacked(packed[end:])
        except (struct.error, msgspec.MsgspecError, TypeError, IndexError, ValueError) as error:
            raise ValueError(f"not a saved account: {error}") from error
        self.reset(account)
        return account, as_of


def sum_since(account: Account, head: int, since_ms: int) -> int:
    """The sum of the payments after a time, which is no earlier than it was at the last call."""
    first: int = account[head]
    total: int = account[head + 1]
    if account[first] <= since_ms:
        while account[first] <= since_ms:
            total -= account[first + 1]
            first += STRIDE
        account[head], account[head + 1] = first, total
    return total


class View:
    """The account as one payment sees it, in any currency and at any time: that payment and all
    that are older or of its time, as far as they are kept. `number`, `total` and `squares` are of
    all earlier payments of its currency.

    This is the definition, and the way of the rare payment: late, or of an account with several
    currencies. The compiled rules do the same for the others with less.
    """

    def __init__(
        self, layout: Layout, account: Account, place: int, time_ms: int, code: int
    ) -> None:
        self._layout = layout
        self._start = layout.start
        self._stop = layout.start + STRIDE * (place + 1)
        self._place = place
        self._account = account
        self._time_ms = time_ms
        self._code = code
        self.idle_ms = max(0, time_ms - account[LAST])
        mixed = account.mixed
        its_own = (
            account[NUMBER : SQUARES + 1]
            if mixed is None
            else (mixed.statistics.get(code, (0, 0, 0)))
        )
        self.number: int
        self.total: int
        self.squares: int
        self.number, self.total, self.squares = its_own

    def seen(self, target: bytes) -> bool:
        """Whether the target is among those paid last."""
        older = self._layout.older
        return payee_of(target) in self._account[older : older + self._account[OLDER]]

    def count(self, window_ms: int) -> int:
        return (self._stop - self._since(window_ms)) // STRIDE

    def distinct_targets(self, window_ms: int) -> int:
        return len({*self._account[self._since(window_ms) + 2 : self._stop : STRIDE]})

    def sum(self, window_ms: int) -> int:
        return sum(self._amounts(window_ms))

    def count_between(self, window_ms: int, low: float, high: float) -> int:
        return len([amount for amount in self._amounts(window_ms) if low <= amount < high])

    def count_equal(self, window_ms: int, amount: Any) -> int:
        return [*self._amounts(window_ms)].count(amount)

    def remember(self, amount: int, target: bytes) -> None:
        """The payment becomes an earlier one: the last step."""
        account, layout = self._account, self._layout
        its_own = (self.number + 1, self.total + amount, self.squares + amount * amount)
        if account.mixed is not None:
            account.mixed.statistics[self._code] = its_own
        elif its_own[2] > _MOST_WORD:
            layout.outgrow(account, its_own)
        else:
            account[NUMBER : SQUARES + 1] = array("q", its_own)
        account[LAST] = max(account[LAST], self._time_ms)
        layout.paid(account, payee_of(target))
        if len(account) > layout.full:
            layout.drop(account, 1)

    def _since(self, window_ms: int) -> int:
        times = self._account[self._start : self._stop : STRIDE]
        return self._start + STRIDE * bisect_right(times, self._time_ms - window_ms)

    def _amounts(self, window_ms: int) -> Iterable[int]:
        first = self._since(window_ms)
        amounts = self._account[first + 1 : self._stop : STRIDE]
        mixed = self._account.mixed
        if mixed is None:
            return amounts
        currencies = mixed.currencies[(first - self._start) // STRIDE : self._place + 1]
        return compress(amounts, map(self._code.__eq__, currencies))


def _packed(mixed: Mixed) -> bytes:
    flat: list[int] = []
    for currency, (number, total, squares) in mixed.statistics.items():
        flat += currency, number, *_words(total), *_words(squares)
    return _encode((flat, mixed.currencies))


def _unpacked(packed: bytes) -> Mixed:
    flat, currencies = _decode(packed)
    statistics = {
        flat[n]: (flat[n + 1], _of_words(*flat[n + 2 : n + 4]), _of_words(*flat[n + 4 : n + 6]))
        for n in range(0, len(flat), 6)
    }
    return Mixed(currencies, statistics)


def _words(number: int) -> tuple[int, int]:
    return number >> _WORD, number & (1 << _WORD) - 1


def _of_words(high: int, low: int) -> int:
    return high << _WORD | low
