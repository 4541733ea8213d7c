"""A transaction, and the one place where bytes become one.

A value either is a valid `Transaction`, which nothing needs to check again, or `Unreadable`, with
a code of the table in docs/dead-letters.md. The contract is strict, since the next reader may
understand a doubtful record differently: a field that stands twice, a number in quotes, NaN.

A plain record, as the generator and most producers write it, is recognised as wholly valid by one
regular expression; whatever that doesn't match is read with care.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn

from detector.money import digits, minor_units

MAX_AMOUNT = 10**12
_FIELDS = ("source", "target", "amount", "currency")

_ACCOUNT = r"[A-Za-z0-9._:-]{1,64}"
_WHOLE = "0|[1-9][0-9]{0,11}"
_FRACTION = r"[0-9]{1,4}"
_CURRENCY = "[A-Z]{3}"


def _plain(account: str, amount: str, currency: str, space: str = " ?") -> tuple[str, str]:
    """A regular expression of a plain record, in two parts: up to its amount, and from there."""
    names = f'"source":{space}"{account}",{space}"target":{space}"{account}"'
    return (
        f'{{{names},{space}"amount":{space}',
        f'{amount},{space}"currency":{space}"{currency}"}}',
    )


_AMOUNT_AND_CURRENCY = rf"({_WHOLE})(?:\.({_FRACTION}))?", f"({_CURRENCY})"
_PLAIN = re.compile("".join(_plain(f"({_ACCOUNT})", *_AMOUNT_AND_CURRENCY)).encode())
_PRICE = re.compile(_plain("", *_AMOUNT_AND_CURRENCY)[1].encode())
_FIELDS_OF_A_LINE = "".join(
    _plain(f"({_ACCOUNT})", rf"((?:{_WHOLE})(?:\.{_FRACTION})?)", f"({_CURRENCY})")
)
_FIELD_LINE = re.compile(_FIELDS_OF_A_LINE.encode())
_FIELD_LINES = re.compile(rf"^(?:{_FIELDS_OF_A_LINE}|(.+))$".encode(), re.MULTILINE)
_KEPT_AMOUNTS = 1 << 17
_NOTHING = b"\n"  # stands for a value of no bytes, or none
_IS_ACCOUNT = re.compile(_ACCOUNT)
_IS_CURRENCY = re.compile("[A-Z]{3}")


class Transaction(NamedTuple):
    """Money that one account sends to another; the amount is in the currency's minor units, and
    the texts are ASCII."""

    source: bytes
    target: bytes
    amount: int
    currency: bytes


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
    source, target, *price = plain.groups()
    return Transaction(source, target, *_price(*price))


def parse_price(text: bytes) -> tuple[int, bytes]:
    """The amount, in minor units, and the currency of a plain transaction, from the text that a
    `Screen` gives.

    Raises:
        ValueError: it is no such text.
    """
    price = _PRICE.fullmatch(text)
    if price is None:
        raise ValueError("not from an amount to the end of a plain transaction")
    return _price(*price.groups())


def _price(whole: bytes, fraction: bytes | None, currency: bytes) -> tuple[int, bytes]:
    places = digits(currency.decode())
    cents = (fraction or b"").ljust(places, b"0")[:places]
    return int(whole + cents), currency


Fields = tuple[bytes, bytes, bytes, bytes, bytes]
"""Source, target, amount and currency as a plain record writes them; of any other value none of
them, and all of the value behind."""


def read_fields(values: Sequence[bytes | None]) -> Sequence[Fields]:
    """The fields of many values at once: of one call, which takes a third of what a call for each
    would."""
    lines = b"\n".join(values) if all(values) else b""  # type: ignore[arg-type]
    if not lines or lines.count(b"\n") != len(values) - 1:  # none in one, or two lines
        return [_fields(value or _NOTHING) for value in values]
    found: list[Fields] = _FIELD_LINES.findall(lines)
    return found


def _fields(value: bytes) -> Fields:
    plain = _FIELD_LINE.fullmatch(value)
    if plain is None:
        return b"", b"", b"", b"", value
    source, target, amount, currency = plain.groups()
    return source, target, amount, currency, b""


class Amounts(dict[bytes, int]):
    """The minor units of one currency, by an amount as a plain record writes it. Amounts come
    again: each is worked out once."""

    def __init__(self, currency: bytes) -> None:
        super().__init__()
        self._currency = currency

    def __missing__(self, text: bytes) -> int:
        whole, _, fraction = text.partition(b".")
        amount, _ = _price(whole, fraction, self._currency)
        if len(self) < _KEPT_AMOUNTS:
            self[text] = amount
        return amount


class Screen:
    """Finds, among many values at once, the plain transactions of less than a certain amount.

    Most records are that, and where no rule fires below the amount they are legitimate. One
    regular expression over all of them takes a tenth of what reading each of them would.
    """

    def __init__(self, least_amount: Decimal) -> None:
        less = _less_than(int(least_amount))
        # Producers write JSON either without spaces or with one behind each comma and colon; to
        # look for spaces that aren't there would take a quarter longer.
        self._compact, self._spaced = _lines(less, ""), _lines(less, " ")

    def held(self, values: Sequence[bytes | None]) -> Sequence[bytes]:
        """For each value no bytes where it is such a transaction, and in no other case.

        Of another plain transaction it is the text from the amount on (`parse_price`); of
        anything else it is at least as long as the value.
        """
        lines = b"\n".join(values) if all(values) else b""  # type: ignore[arg-type]
        if not lines or lines.count(b"\n") != len(values) - 1:  # none in one, or two lines
            return [self._held(value) if value else _NOTHING for value in values]
        spaced = lines.startswith(b'{"source": ')
        return (self._spaced if spaced else self._compact).findall(lines)

    def _held(self, value: bytes) -> bytes:
        found = self._compact.fullmatch(value)
        return value if found is None else found[1] or b""


def _lines(less: str, space: str) -> re.Pattern[bytes]:
    """Matches any line. Its group is empty where the amount is less, which is tried first; else
    it holds the rest of the line: from the amount on in a plain record, or all of it."""
    names, price = _plain(_ACCOUNT, f"(?:{less})(?:\\.{_FRACTION}|)", _CURRENCY, space)
    any_price = _plain("", f"(?:{_WHOLE})(?:\\.{_FRACTION}|)", _CURRENCY, space)[1]
    lines = f"^(?:{names}{price}|(?:{names}(?={any_price}$)|)(.+))$"
    return re.compile(lines.encode(), re.MULTILINE)


def _less_than(bound: int) -> str:
    """A regular expression for the whole numbers below the bound, without leading zeros; the long
    ones first, which most are."""
    if bound <= 0:
        return "(?!)"  # none
    numeral = str(bound)
    choices = []
    for place, digit in enumerate(numeral):
        least = 0 if place else 1
        if int(digit) > least:
            rest = len(numeral) - place - 1
            choices.append(f"{numeral[:place]}[{least}-{int(digit) - 1}][0-9]{{{rest}}}")
    if len(numeral) > 1:
        choices.append(f"[1-9][0-9]{{0,{len(numeral) - 2}}}")
    return "|".join([*choices, "0"])


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
        units = minor_units(amount, currency)
        return Transaction(source.encode(), target.encode(), units, currency.encode())
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
