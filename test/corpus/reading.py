"""What must become of a value, read a second time: without speed, and with none of the detector.

It follows docs/dead-letters.md line by line.
"""

import json
import re
import string
from typing import Any, NamedTuple, NoReturn

from corpus.records import FIELDS, FRAUD, LEGIT

MAX_LEVELS = 500
LIMIT = 900
_MAX_PLACE = 13  # digits before the point
_ACCOUNT_LETTERS = set(string.ascii_letters + string.digits + "-_.:")
_NUMBER = re.compile(r"(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?")


class _Number(NamedTuple):
    text: str


class _Object(NamedTuple):
    pairs: list[tuple[str, Any]]


class _NoJson(Exception):
    pass


def outcome_of(value: bytes | None) -> str:
    """LEGIT, FRAUD, or the code of a dead letter."""
    if value is None:
        return "null_value"
    if value == b"":
        return "empty_value"
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return "not_utf8"
    if _levels(text) > MAX_LEVELS:
        return "too_deep"
    try:
        found = json.loads(
            text,
            object_pairs_hook=_Object,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_no_json,
        )
    except (json.JSONDecodeError, _NoJson):
        return "not_json"
    return _outcome_of_object(found.pairs) if isinstance(found, _Object) else "not_object"


def _no_json(word: str) -> NoReturn:
    raise _NoJson(word)


def _levels(text: str) -> int:
    """What is no JSON has levels too: outside of strings a backslash stands for itself."""
    depth = most = 0
    in_string = escaped = False
    for letter in text:
        escaped, after_backslash = False, escaped
        if after_backslash and letter in '\\"':
            continue
        if letter == "\\":
            escaped = True
        elif letter == '"':
            in_string = not in_string
        elif not in_string:
            depth += (letter in "[{") - (letter in "]}")
            most = max(most, depth)
    return most


def _outcome_of_object(pairs: list[tuple[str, Any]]) -> str:
    names = [name for name, _ in pairs]
    if any(names.count(name) > 1 for name in FIELDS):
        return "duplicate_field"
    if any(name not in names for name in FIELDS):
        return "missing_field"
    source, target, amount, currency = (dict(pairs)[name] for name in FIELDS)
    checks = {
        "bad_source": _is_text(source, _ACCOUNT_LETTERS, range(1, 65)),
        "bad_target": _is_text(target, _ACCOUNT_LETTERS, range(1, 65)),
        "bad_amount": isinstance(amount, _Number) and _is_amount(amount.text),
        "bad_currency": _is_text(currency, set(string.ascii_uppercase), range(3, 4)),
    }
    wrong = [code for code, right in checks.items() if not right]
    if wrong:
        return wrong[0]
    return FRAUD if _whole(amount.text) >= LIMIT else LEGIT


def _is_text(found: Any, letters: set[str], sizes: range) -> bool:
    return isinstance(found, str) and len(found) in sizes and set(found) <= letters


def _is_amount(text: str) -> bool:
    minus, digits, place = _parts(text)
    if not digits:
        return True
    if minus or place > _MAX_PLACE:
        return False
    return (_whole(text), digits[max(place, 0) :]) <= (10**12, "")


def _whole(text: str) -> int:
    """The number without what is behind its point."""
    _, digits, place = _parts(text)
    return int(digits[:place].ljust(place, "0")) if digits and place > 0 else 0


def _parts(text: str) -> tuple[bool, str, int]:
    """Of a JSON number: whether it has a minus sign, its digits from the first to the last that is
    not zero, and how many of them stand before the point (below zero: how many zeros behind it)."""
    match = _NUMBER.fullmatch(text)
    assert match is not None
    minus, whole, fraction, exponent = match.groups()
    digits = whole + (fraction or "")
    place = len(whole) - (len(digits) - len(digits.lstrip("0")))
    return minus == "-", digits.strip("0"), place + _shift(exponent or "0")


def _shift(exponent: str) -> int:
    sign, size = ("-", exponent[1:]) if exponent[0] == "-" else ("", exponent.lstrip("+"))
    few = size.lstrip("0")[:9] or "0"  # ten to the power of many digits is as good as of nine
    return int(sign + few)
