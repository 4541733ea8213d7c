"""How an account's words are laid out, and what is done to them; and how they are saved."""

import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import islice

import msgspec

from detector.rules.engine.account import (
    CURRENCY,
    FIRST,
    FLOOR,
    FOLDED,
    HEADS,
    LAST,
    MAX_AMOUNT,
    MAX_PAYEES,
    NEVER,
    NO_PAYEES,
    NUMBER,
    OLDER,
    SQUARES,
    STRIDE,
    SUM,
    Account,
    MultiCurrencyExtra,
    Statistics,
    code_of,
    payee_of,
    start_of,
)

_WORD = 62  # bits of a saved integer's lower part: msgpack has no larger ones than 64
_WORD_BYTES = 8
_FOLDED_AHEAD = 16 * STRIDE  # words of payments: to fold one payee takes as long as several
_SAVED = _WORD_BYTES * FIRST  # so many of the first bytes are saved
_FRONT = struct.Struct("=2q")  # before them: as of, and how many words of payments there are
_BODY = _FRONT.size + _SAVED
# With what says how to go on: the currency, and how many older payees there are.
_look = struct.Struct(
    f"=2q{_WORD_BYTES * CURRENCY}xq{_WORD_BYTES * (OLDER - CURRENCY - 1)}xq"
).unpack_from
_TOUCHED = struct.Struct("=2q")  # first payment since, and that it was saved

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Layout:
    """Where what stands in an account, and how long and how many payments are kept.

    `windows` are those whose running sums are kept, in milliseconds; `keep_ms` is how long payments
    are kept behind the greatest event time, and `most` how many.
    """

    def __init__(self, windows: Sequence[int], keep_ms: int, most: int) -> None:
        self.windows = tuple(windows)
        self.start = start_of(windows)
        self.heads = range(HEADS, self.start, 2)
        self.full = self.start + STRIDE * most
        self.keep_ms = keep_ms
        self._heads = array("q", [self.start, 0] * len(windows))
        self._heads_as_bytes = self._heads.tobytes()
        self._new = array("q", [0] * HEADS) + self._heads

    def new(self, time_ms: int, currency: bytes, offset: int, floor: int = NEVER) -> Account:
        """An account that has paid nothing yet."""
        account = Account("q", self._new)
        account[LAST], account[CURRENCY] = time_ms, code_of(currency)
        account[FLOOR], account[FIRST] = floor, offset
        account.windows, account.older, account.mixed = self.windows, NO_PAYEES, None
        return account

    def take_over(self, account: Account) -> None:
        """An account that may be laid out otherwise."""
        if account.windows != self.windows:
            account[HEADS : start_of(account.windows)] = self._heads
            account.windows = self.windows
            self.reset(account)

    def drop(self, account: Account, count: int) -> None:
        """Forgets the oldest payments kept, and only those."""
        start, size = self.start, STRIDE * count
        end = start + size
        account[FLOOR] = max(account[FLOOR], account[end - STRIDE])
        if account[FOLDED] < size:
            ahead = min(end + _FOLDED_AHEAD, len(account))
            self.remember(account, account[start + account[FOLDED] + 2 : ahead : STRIDE])
            account[FOLDED] = ahead - start
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
    ) -> int:
        """Makes room and puts a payment where it belongs, after those of its time; returns its
        index among the payments."""
        start, code = self.start, code_of(currency)
        past = max(account[LAST], time_ms) - self.keep_ms
        old = bisect_right(account[start::STRIDE], past)
        if old:
            self.drop(account, old)
        if len(account) >= self.full and account[start] <= time_ms:
            self.drop(account, 1)
        if account.mixed is None and (account[CURRENCY] != code or amount > MAX_AMOUNT):
            self._mix(account)
        # From here on the order of payments is not that in which they came, as it is of payees.
        self.remember(account, account[start + account[FOLDED] + 2 :: STRIDE])
        index = bisect_right(account[start::STRIDE], time_ms)
        at = start + STRIDE * index
        account[at:at] = array("q", (time_ms, amount, payee_of(target)))
        account[FOLDED] = len(account) - start
        if account.mixed is not None:
            account.mixed.currencies.insert(index, code)
        return index

    def seen(self, account: Account, payee: int) -> bool:
        """Whether a payee is among those paid last, before the last of the payments kept."""
        recent = account[self.start + account[FOLDED] + 2 : -STRIDE : STRIDE]
        if payee in recent and len(recent) <= MAX_PAYEES:
            return True
        if payee not in account.older and payee not in recent:
            return False
        latest = dict.fromkeys(reversed(account.older + recent))
        return payee in islice(latest, MAX_PAYEES)

    def move_to_extra(self, account: Account, statistics: Statistics) -> None:
        """What is known of all its payments is more than words hold."""
        code = account[CURRENCY]
        self._mix(account).statistics[code] = statistics

    def _mix(self, account: Account) -> MultiCurrencyExtra:
        own = account[CURRENCY]
        kept = (len(account) - self.start) // STRIDE
        statistics = (account[NUMBER], account[SUM], account[SQUARES])
        account.mixed = MultiCurrencyExtra([own] * kept, {own: statistics})
        account[CURRENCY] = 0
        return account.mixed

    def remember(self, account: Account, payees: Iterable[int]) -> None:
        """Makes payees the latest of the older ones, and forgets those that were paid longest
        ago."""
        known = [*account.older, *payees]
        latest = dict.fromkeys(known[::-1])  # the last one first
        account.older = array("q", [*latest][MAX_PAYEES - 1 :: -1])
        account[OLDER] = len(account.older)

    def reset(self, account: Account) -> None:
        """Sets every window to all that is kept."""
        if account.mixed is None:
            total = sum(account[self.start + 1 :: STRIDE])
            for head in self.heads:
                account[head], account[head + 1] = self.start, total

    # -- as bytes

    def packed(self, account: Account, as_of: int) -> bytes:
        """The account as it is saved: all that doesn't depend on the current rules, and up to
        which offset of the input (not included) it is complete."""
        words, start = account.tobytes(), start_of(account.windows)
        return b"".join(
            (
                _FRONT.pack(as_of, len(account) - start),
                words[:_SAVED],
                account.older.tobytes(),
                words[_WORD_BYTES * start :],
                b"" if account.mixed is None else _packed(account.mixed),
            )
        )

    def unpacked(self, packed: bytes, offset: int) -> Account:
        """The account, used again at an offset.

        Raises:
            ValueError: the bytes are no account.
        """
        try:
            _, size, currency, older = _look(packed)
            payments = _BODY + _WORD_BYTES * older
            end = payments + _WORD_BYTES * size
            if not 0 <= older <= MAX_PAYEES or size < 0 or len(packed) < end:
                raise ValueError("it is cut off")
            words = (
                packed[_FRONT.size : _BODY],
                _TOUCHED.pack(offset, 1),
                self._heads_as_bytes,
                packed[payments:end],
            )
            account = Account("q", b"".join(words))
            account.windows = self.windows
            account.older = array("q", packed[_BODY:payments]) if older else NO_PAYEES
            account.mixed = None if currency else _unpacked(packed[end:])
        except (struct.error, msgspec.MsgspecError, TypeError, IndexError, ValueError) as error:
            raise ValueError(f"not a saved account: {error}") from error
        self.reset(account)
        return account

    @staticmethod
    def as_of(packed: bytes) -> int:
        """Up to which offset a saved account is complete.

        Raises:
            ValueError: the bytes are no account.
        """
        if len(packed) < _BODY:
            raise ValueError("not a saved account: it is cut off")
        as_of: int = _look(packed)[0]
        return as_of


def _packed(mixed: MultiCurrencyExtra) -> bytes:
    flat: list[int] = []
    for currency, (number, total, squares) in mixed.statistics.items():
        flat += currency, number, *_words(total), *_words(squares)
    return _encode((flat, mixed.currencies))


def _unpacked(packed: bytes) -> MultiCurrencyExtra:
    flat, currencies = _decode(packed)
    statistics = {
        flat[n]: (flat[n + 1], _of_words(*flat[n + 2 : n + 4]), _of_words(*flat[n + 4 : n + 6]))
        for n in range(0, len(flat), 6)
    }
    return MultiCurrencyExtra(currencies, statistics)


def _words(number: int) -> tuple[int, int]:
    return number >> _WORD, number & (1 << _WORD) - 1


def _of_words(high: int, low: int) -> int:
    return high << _WORD | low
