"""What is remembered of an account: an array of 64-bit words, which is saved as it stands.

To judge a payment takes a microsecond or two where an account is in the processor's cache. It
hardly ever is, there are too many; and each index in memory that must be fetched takes a tenth of a
microsecond. An account of Python's objects is a index for each of them, this is a few in a row. It
takes less than half of their memory, and to save it is to copy it.

    LAST      the greatest event time so far
    CURRENCY  the currency of all its payments, as a number; 0 where it has a `MultiCurrencyExtra`
    NUMBER, SUM, SQUARES   how many payments, the sum of their amounts, and of the squares
    FLOOR     the greatest event time of a payment that is no longer kept
    FOLDED    how many words of the payments kept have their payees among the older ones
    OLDER     how many older payees there are
    FIRST     the input offset of the first payment since the account was last saved
    STORED    whether it was ever saved
    then, for each window whose sum the current rules follow: where its first payment stands, and
    a sum that is no less than its own: what left the window is taken off when somebody asks; then
    the payments, in order of event time, equal ones in offset order: time, amount, payee; three
    words each.

Times are in milliseconds since the epoch, amounts in minor units, offsets those of the input, and a
payee is a number (`payee_of`). Beside the words is what many accounts don't have: older payees, and
what doesn't fit into words.
"""

from array import array
from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

from crc32c import crc32c

LAST, CURRENCY, NUMBER, SUM, SQUARES, FLOOR, FOLDED, OLDER, FIRST, STORED = range(10)
HEADS = 10
STRIDE = 3
MAX_PAYEES = 32
NEVER = -(1 << 62)
# Of larger amounts than this, 64 bits may not hold a sum of as many as are kept.
MAX_AMOUNT = 1 << 31

Statistics = tuple[int, int, int]
"""How many payments, the sum of their amounts, and of the squares."""


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


class MultiCurrencyExtra(NamedTuple):
    """Of an account with several currencies, or with sums that 64 bits don't hold: the currency of
    each payment kept, and number, sum and sum of squares by currency."""

    currencies: list[int]
    statistics: dict[int, Statistics]


NO_PAYEES = array("q")


class Account(array):  # type: ignore[type-arg]  # Python 3.11 has no array[int]
    """The words, and what they don't hold.

    `windows` are those whose sums the words follow, in milliseconds. `older` are the payees of
    payments that are no longer kept, and of some that are: up to 32 different ones, the one paid
    last at the end. It is replaced, never changed.
    """

    __slots__ = ("mixed", "older", "windows")

    windows: tuple[int, ...]
    older: "array[int]"
    mixed: MultiCurrencyExtra | None


def start_of(windows: Sequence[int]) -> int:
    """Where the payments begin in an account that follows the sums of such windows."""
    return HEADS + 2 * len(windows)


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
