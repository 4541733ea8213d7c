"""What compiled rules call."""

import math

from detector.rules.engine.account import STRIDE, Account, payee_of, sum_since
from detector.rules.engine.out_of_order_view import View

Number = int | float


def _first(account: Account, start: int, since_ms: int) -> int:
    """Where the first payment after a time stands: the first one that is kept, or looked for from
    the end, which is near."""
    if account[start] > since_ms:
        return start
    at = len(account) - STRIDE
    while at >= start and account[at] > since_ms:
        at -= STRIDE
    return at + STRIDE


def _between(amounts: list[int], low: Number, high: Number) -> int:
    return len([amount for amount in amounts if low <= amount < high])


def _mean(number: int, total: int) -> float:
    return total / number if number else 0.0


def _deviation(number: int, total: int, squares: int) -> float:
    return math.sqrt(number * squares - total * total) / number if number else 0.0


def _in_64_bits(number: int) -> int:
    """
    Raises:
        OverflowError: the number is none of 64 bits.
    """
    if not -(1 << 63) <= number < 1 << 63:
        raise OverflowError
    return number


def _quotient(dividend: int, divisor: int) -> int:
    """As CEL divides integers: towards zero."""
    found = abs(dividend) // abs(divisor)
    return _in_64_bits(found if (dividend < 0) == (divisor < 0) else -found)


def _remainder(dividend: int, divisor: int) -> int:
    return dividend - divisor * _quotient(dividend, divisor)


def _ratio(dividend: Number, divisor: Number) -> float:
    """As IEEE 754 divides, by zero too."""
    if divisor:
        return dividend / divisor
    if not dividend or math.isnan(dividend):
        return math.nan
    return math.copysign(math.inf, dividend) * math.copysign(1.0, divisor)


RUNTIME = {
    "payee_of": payee_of,
    "View": View,
    "sum_since": sum_since,
    "first": _first,
    "between": _between,
    "mean": _mean,
    "deviation": _deviation,
    "in_64_bits": _in_64_bits,
    "quotient": _quotient,
    "remainder": _remainder,
    "ratio": _ratio,
}
