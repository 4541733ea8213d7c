"""A transaction, and the one place where bytes become one.

A value either is a valid `Transaction`, which nothing needs to check again, or `Unreadable`, with
a code of the table in docs/dead-letters.md. The contract is strict, since the next reader may
understand a doubtful record differently: a field that stands twice, a number in quotes, NaN.

A plain record, as the generator and most producers write it, is recognised as wholly valid by one
regular expression; whatever that doesn't match is read with care.
"""

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

from detector.money import digits, minor_units

MAX_AMOUNT = 10**12
_FIELDS = ("source", "target", "amount", "currency")

_ACCOUNT = r"[A-Za-z0-9._:-]{1,64}"
_PLAIN = re.compile(
    rf'{{"source": ?"({_ACCOUNT})", ?"target": ?"({_ACCOUNT})", ?'
    r'"amount": ?(0|[1-9][0-9]{0,11})(?:\.([0-9]{1,4}))?, ?"currency": ?"([A-Z]{3})"}'.encode()
)
_IS_ACCOUNT = re.compile(_ACCOUNT)
_IS_CURRENCY = re.compile("[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class Transaction:
    """Money that one account sends to another; the amount is in the currency's minor units."""

    source: str
    target: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a value is no transaction: a code for machines, and a line for a person.

    The line holds nothing of the value itself, which could forge what a log shows.
    """

    code: str
    detail: str


def parse(value: bytes | None) -> Transaction | Unreadable:
    """Reads a record's value; total: any bytes give one or the other."""
    if value is None:
        return Unreadable("null_value", "the record has no value")
    if not value:
        return Unreadable("empty_value", "the value has no bytes")
    plain = _PLAIN.fullmatch(value)
    if plain is None:
        return _parse_with_care(value)
    source, target, whole, fraction, currency = plain.groups()
    unit = currency.decode()
    places = digits(unit)
    cents = (fraction or b"").ljust(places, b"0")[:places]
    return Transaction(source.decode(), target.decode(), int(whole + cents), unit)


class _Refused(ValueError):
    """Carries an `Unreadable` out of the JSON parser."""

    def __init__(self, code: str, detail: str) -> None:
        self.unreadable = Unreadable(code, detail)
        super().__init__(detail)


class _Number(str):
    """The text of a JSON number, kept until it is known whether it matters."""

    __slots__ = ()


class _Object(dict[str, Any]):
    """A JSON object that knows which of the contract's fields it holds more than once."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.doubled = [name for name in _FIELDS if names.count(name) > 1]


def _not_in_json(_: str) -> NoReturn:
    raise _Refused("not_json", "NaN and Infinity are not numbers in JSON")


_decoder = json.JSONDecoder(
    object_pairs_hook=_Object,
    parse_float=_Number,
    parse_int=_Number,
    parse_constant=_not_in_json,
)


def _parse_with_care(value: bytes) -> Transaction | Unreadable:
    try:
        fields = _object(value)
        named = "1 to 64 ASCII letters, digits, or - _ . :"
        source = _matching(fields, "source", _IS_ACCOUNT, named)
        target = _matching(fields, "target", _IS_ACCOUNT, named)
        amount = _amount(fields["amount"])
        currency = _matching(fields, "currency", _IS_CURRENCY, "three capital letters A to Z")
        return Transaction(source, target, minor_units(amount, currency), currency)
    except _Refused as refused:
        return refused.unreadable


def _object(value: bytes) -> _Object:
    try:
        found = _decoder.decode(value.decode())
    except UnicodeDecodeError as error:
        raise _Refused("not_utf8", f"byte {error.start} is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise _Refused("not_json", f"not JSON at character {error.pos}") from error
    except RecursionError as error:
        raise _Refused("too_deep", "the JSON is nested too deeply to be read") from error
    if not isinstance(found, _Object):
        raise _Refused("not_object", f"the value is JSON {_kind(found)}, expected an object")
    if found.doubled:
        raise _Refused("duplicate_field", f"{found.doubled[0]} stands more than once")
    for name in _FIELDS:
        if name not in found:
            raise _Refused("missing_field", f"{name} is missing")
    return found


def _matching(fields: _Object, name: str, pattern: re.Pattern[str], allowed: str) -> str:
    text = fields[name]
    if not isinstance(text, str) or isinstance(text, _Number):
        raise _Refused(f"bad_{name}", f"{name} is JSON {_kind(text)}, expected a string")
    if not pattern.fullmatch(text):
        raise _Refused(f"bad_{name}", f"{name} is not {allowed}")
    return text


def _amount(number: Any) -> Decimal:
    if not isinstance(number, _Number):
        raise _Refused("bad_amount", f"amount is JSON {_kind(number)}, expected a number")
    rough = float(number)
    # A tiny exponent is zero here, and a huge one infinite, before Decimal meets its own limits.
    exact = Decimal(number) if 0 < rough < 2 * MAX_AMOUNT else Decimal(0)
    if not 0 <= rough < 2 * MAX_AMOUNT or exact > MAX_AMOUNT:
        raise _Refused("bad_amount", f"amount is not between 0 and {MAX_AMOUNT}")
    return exact


def _kind(found: Any) -> str:
    if found is None:
        return "null"
    kinds = {_Object: "object", list: "array", bool: "boolean", _Number: "number", str: "string"}
    return kinds[type(found)]
