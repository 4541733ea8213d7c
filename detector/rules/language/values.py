"""How values are written, in a rules file and for people."""

import math
import re
from decimal import Decimal

_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_DURATION = re.compile(f"([0-9]{{1,18}})({'|'.join(_UNITS)})")
_MONEY = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?")
_INT = re.compile(r"-?[0-9]{1,19}")
_DOUBLE = re.compile(r"-?([0-9]*\.[0-9]+([eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)")
_TOO_LONG = 2**63
_TWO_DAYS = 2 * _UNITS["d"]

DURATION_FORM = "a duration such as 500ms, 30s, 10m, 24h or 90d"
MONEY_FORM = "an amount from 0, of up to 15 digits and 9 decimals"


def read_duration(text: str) -> int | None:
    """Milliseconds, within 64 bits; None where the text is no such duration."""
    found = _DURATION.fullmatch(text)
    length = int(found[1]) * _UNITS[found[2]] if found else _TOO_LONG
    return length if length < _TOO_LONG else None


def read_money(text: str) -> Decimal | None:
    """Major units, so that 900 and 900.00 are the same; None where the text is no amount."""
    return Decimal(text).normalize() if _MONEY.fullmatch(text) else None


def read_int(text: str) -> int | None:
    """An integer of 64 bits in decimal digits: 010 is ten. None where the text is no such."""
    number = int(text) if _INT.fullmatch(text) else None
    return number if number is not None and -_TOO_LONG <= number < _TOO_LONG else None


def read_double(text: str) -> float | None:
    """A finite number with a point or an exponent; None where the text is no such."""
    number = float(text) if _DOUBLE.fullmatch(text) else math.inf
    return number if math.isfinite(number) else None


def duration_text(milliseconds: int) -> str:
    """The duration as a rules file has it, e.g. 10m, 24h, 90d: in the largest unit that it is
    whole in, where days count from two on."""
    for unit, size in _UNITS.items():
        if milliseconds and milliseconds % size == 0 and (unit != "d" or milliseconds >= _TWO_DAYS):
            return f"{milliseconds // size}{unit}"
    return "0s"
