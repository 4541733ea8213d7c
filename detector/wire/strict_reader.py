"""Reading a value with care: what no regular expression of a plain record matches.

The contract is strict, since the next reader may understand a doubtful record differently: a field
that stands twice, a number in quotes, NaN. docs/dead-letters.md has the table of codes.
"""

import json
import re
from decimal import Decimal
from itertools import accumulate
from operator import itemgetter
from typing import Any, NamedTuple, NoReturn

MAX_AMOUNT = 10**12
ACCOUNT = r"[A-Za-z0-9._:-]{1,64}"
CURRENCY = "[A-Z]{3}"
_FIELDS = ("source", "target", "amount", "currency")
_in_order = itemgetter(*_FIELDS)
_IS_ACCOUNT = re.compile(ACCOUNT)
_IS_CURRENCY = re.compile(CURRENCY)
_NAMED = "1 to 64 ASCII letters, digits, or - _ . :"
_BELOW_ZERO = re.compile(r"-[0.]*[1-9]")  # also where it is too little for a double
_MAX_LEVELS = 500  # of arrays and objects in each other
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in _STEPS)


class Unreadable(NamedTuple):
    """Why a value is no transaction: a code for machines, and a line for a person.

    The line holds nothing of the value itself, which could forge what a log shows.
    """

    code: str
    detail: str


class _Number(str):
    """The text of a JSON number, kept until it is known whether it matters."""

    __slots__ = ()


class _Doubled(dict[str, Any]):
    """A JSON object that holds a name more than once; `names` are all it holds."""

    names: list[str]


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        found = _Doubled(found)
        found.names = [name for name, _ in pairs]
    return found


class _NotInJson(ValueError):
    """The parser came upon NaN or Infinity."""


def _not_in_json(word: str) -> NoReturn:
    raise _NotInJson(word)


_decoder = json.JSONDecoder(
    object_pairs_hook=_fields,
    parse_float=_Number,
    parse_int=_Number,
    parse_constant=_not_in_json,
)


def read_strictly(value: bytes) -> tuple[str, str, Decimal, str] | Unreadable:
    """Source, target, amount and currency of a transaction that is written in whatever way JSON
    allows; or why the value is none."""
    fields = _object(value)
    if isinstance(fields, Unreadable):
        return fields
    source, target, amount, currency = _in_order(fields)
    fault = (
        _fault_of_text("source", source, _IS_ACCOUNT, _NAMED)
        or _fault_of_text("target", target, _IS_ACCOUNT, _NAMED)
        or _fault_of_amount(amount)
        or _fault_of_text("currency", currency, _IS_CURRENCY, "three capital letters A to Z")
    )
    return fault or (source, target, _exact(amount), currency)


def _object(value: bytes) -> dict[str, Any] | Unreadable:
    """The JSON object that has all fields of the contract, each once."""
    try:
        text = value.decode()
        if value.count(b"[") + value.count(b"{") > _MAX_LEVELS < _levels(value):
            return Unreadable("too_deep", f"the JSON is nested over {_MAX_LEVELS} levels deep")
        found = _decoder.decode(text)
    except UnicodeDecodeError as error:
        return Unreadable("not_utf8", f"byte {error.start} is not UTF-8")
    except json.JSONDecodeError as error:
        return Unreadable("not_json", f"not JSON at character {error.pos}")
    except _NotInJson:
        return Unreadable("not_json", "NaN and Infinity are not numbers in JSON")
    if not isinstance(found, dict):
        return Unreadable("not_object", f"the value is JSON {_kind(found)}, expected an object")
    return _fault_of_names(found) or found


def _fault_of_names(found: dict[str, Any]) -> Unreadable | None:
    if isinstance(found, _Doubled):
        for name in _FIELDS:
            if found.names.count(name) > 1:
                return Unreadable("duplicate_field", f"{name} stands more than once")
    for name in _FIELDS:
        if name not in found:
            return Unreadable("missing_field", f"{name} is missing")
    return None


def _levels(value: bytes) -> int:
    """How deep JSON is nested. The parser has a limit too, but one that depends on the Python it
    runs on, and a verdict must not."""
    outside_strings = value.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2]
    brackets = b"".join(outside_strings).translate(None, _NO_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)


def _fault_of_text(
    name: str, text: Any, pattern: re.Pattern[str], allowed: str
) -> Unreadable | None:
    if type(text) is not str:
        return Unreadable(f"bad_{name}", f"{name} is JSON {_kind(text)}, expected a string")
    if not pattern.fullmatch(text):
        return Unreadable(f"bad_{name}", f"{name} is not {allowed}")
    return None


def _fault_of_amount(number: Any) -> Unreadable | None:
    if type(number) is not _Number:
        return Unreadable("bad_amount", f"amount is JSON {_kind(number)}, expected a number")
    rough = float(number)  # infinite for a huge exponent, before Decimal meets its own limits
    if rough >= 2 * MAX_AMOUNT or _BELOW_ZERO.match(number) or _exact(number) > MAX_AMOUNT:
        return Unreadable("bad_amount", f"amount is not between 0 and {MAX_AMOUNT}")
    return None


def _exact(number: str) -> Decimal:
    """The number, which may have any exponent below zero: so tiny a one is zero."""
    return Decimal(number) if float(number) else Decimal(0)


def _kind(found: Any) -> str:
    if found is None:
        return "null"
    kinds = {list: "array", bool: "boolean", _Number: "number", str: "string"}
    return kinds.get(type(found), "object")
