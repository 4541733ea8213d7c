"""What is written on a record that rules fired on: which, and why, for machines and for people."""

import json
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from detector.money import in_words, least_minor_units
from detector.rules.compiler import Hit
from detector.rules.tree import Kind, Mode, Rule, Type
from kafka_batch import Header, HeaderBlock, HeaderFrame

_KEPT = 1 << 12
_KEPT_AMOUNTS = 1 << 16
_UNITS = (
    (86_400_000, 3, "days"),
    (3_600_000, 1, "hours"),
    (60_000, 1, "minutes"),
    (1_000, 1, "seconds"),
)


class Payment(NamedTuple):
    """What a reason may tell of a payment. Time in milliseconds, amount in minor units."""

    time_ms: int
    amount: int
    currency: bytes
    source: bytes
    target: bytes


class Reasons:
    """The headers of hits, by the rules in force."""

    def __init__(self, rules: Sequence[Rule], version: str) -> None:
        self._rules = rules
        self._active = frozenset(n for n, rule in enumerate(rules) if rule.mode is Mode.ACTIVE)
        self._version = ("rules_version", version.encode())
        self._template = lru_cache(_KEPT)(self._template_of)
        self._frame = lru_cache(_KEPT)(self._frame_of)

    def headers(
        self, places: tuple[int, ...], hits: Sequence[Hit], payment: Payment, *, partial: bool
    ) -> HeaderBlock:
        """What is written on a payment that an active rule fired on. `places` are those of the
        hits."""
        texts = [
            self._template(place, payment.currency).write(observed, threshold, payment)
            for place, observed, threshold in hits
            if place in self._active
        ]
        return self._frame(places, partial).around(f"[{','.join(texts)}]".encode())

    def noted(self, places: tuple[int, ...]) -> HeaderBlock | None:
        """What is written on a payment that only shadow rules fired on; None where an active one is
        among them."""
        return None if self._active & {*places} else HeaderBlock.of([self._shadow(places)])

    def _frame_of(self, places: tuple[int, ...], partial: bool) -> HeaderFrame:  # noqa: FBT001  # of a cache
        active = [place for place in places if place in self._active]
        shadow = [place for place in places if place not in self._active]
        behind: list[Header] = [self._version]
        if partial:
            behind.append(("history", b"partial"))
        if shadow:
            behind.append(self._shadow(shadow))
        return HeaderFrame([("rules", self._names(active))], "reasons", behind)

    def _shadow(self, places: Sequence[int]) -> Header:
        return "shadow_rules", self._names(places)

    def _names(self, places: Sequence[int]) -> bytes:
        return ",".join(self._rules[place].name for place in places).encode()

    def _template_of(self, place: int, currency: bytes) -> "_Template":
        return _Template(self._rules[place], currency.decode())


_Telling = Callable[[Any, Any, Payment], object]
"""Tells what stands at one place of a template: by what was observed, threshold and payment."""


class _Template:
    """One rule's reason as JSON, in one currency, with places for what differs."""

    def __init__(self, rule: Rule, currency: str) -> None:
        observed = _Value(rule.observed.type, currency)
        threshold = _Value(rule.threshold.type, currency)
        amount = _Value(Kind.MONEY, currency)
        # Of the words in a reason, those that differ.
        words: dict[str, _Telling] = {
            "observed": lambda its, _t, _p: observed.in_text(its),
            "threshold": lambda _o, its, _p: threshold.in_text(its),
            "amount": lambda _o, _t, payment: amount.in_text(payment.amount),
            "source": lambda _o, _t, payment: payment.source.decode(),
            "target": lambda _o, _t, payment: payment.target.decode(),
        }
        parts: list[str | _Telling] = [
            f'{{"rule":"{rule.name}","rule_version":"{rule.version}","observed":',
            lambda its, _t, _p: observed.in_json(its),
            ',"threshold":',
            lambda _o, its, _p: threshold.in_json(its),
            f',"unit":{json.dumps(observed.unit)},"window_ms":{json.dumps(rule.window_ms)}'
            ',"since_ms":',
            _since(rule.window_ms),
            ',"text":"',
        ]
        for piece in rule.reason:
            if isinstance(piece, str):
                parts.append(json.dumps(piece, ensure_ascii=False)[1:-1])
            else:
                parts.append(words.get(piece.name) or _fixed(piece.name, rule, currency))
        parts.append('"}')
        self._json = "".join(
            [part.replace("%", "%%") if isinstance(part, str) else "%s" for part in parts]
        )
        self._tellings = [part for part in parts if not isinstance(part, str)]

    def write(self, observed: Any, threshold: Any, payment: Payment) -> str:
        told = [telling(observed, threshold, payment) for telling in self._tellings]
        return self._json % tuple(told)


def _since(window_ms: int | None) -> str | _Telling:
    return "null" if window_ms is None else lambda _o, _t, payment: payment.time_ms - window_ms


def _fixed(slot: str, rule: Rule, currency: str) -> str:
    """What is the same in every reason of the rule in that currency."""
    if slot == "currency":
        return currency
    param = rule.params[slot]
    return _Value(param.type, currency).in_text(_of_currency(param.value, currency))


class _Value:
    """How values of one type are told: as JSON, where money is a string with the currency's
    decimals and a duration in milliseconds, and in text for a person."""

    in_json: Callable[[Any], object]
    in_text: Callable[[Any], str]

    def __init__(self, kind: Type, currency: str) -> None:
        self.unit = currency if kind is Kind.MONEY else "ms" if kind is Kind.DURATION else None
        if kind is Kind.MONEY:
            amounts = _Amounts(currency)
            self.in_text = amounts.__getitem__
            self.in_json = lambda value: f'"{amounts[value]}"'
        elif kind is Kind.DURATION:
            self.in_text, self.in_json = duration_in_words, int
        elif kind is Kind.INT:
            self.in_text, self.in_json = str, int
        else:
            self.in_text, self.in_json = _any_in_text, _any_in_json


class _Amounts(dict[float, str]):
    """Amounts of a currency in words. They come again: each is put into words once."""

    def __init__(self, currency: str) -> None:
        super().__init__()
        self._currency = currency

    def __missing__(self, amount: float) -> str:
        if not math.isfinite(amount):
            return str(amount)
        # Rounded down: what is above a mean is then above what is written of it, too.
        words = in_words(math.floor(amount), self._currency)
        if len(self) < _KEPT_AMOUNTS:
            self[amount] = words
        return words


def _any_in_json(value: Any) -> str:
    if isinstance(value, bytes):
        return json.dumps(value.decode())
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    return json.dumps(value)


def _any_in_text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bytes):
        return value.decode()
    return str(value).lower() if isinstance(value, bool) else str(value)


def duration_in_words(milliseconds: int) -> str:
    """In whole units, rounded down: 10 minutes, 24 hours, 90 days."""
    for size, least, name in _UNITS:
        number = milliseconds // size
        if number >= least:
            return f"{number} {name[:-1] if number == 1 else name}"
    return f"{milliseconds} ms"


def _of_currency(value: Any, currency: str) -> Any:
    """A parameter's value; an amount in minor units."""
    if not hasattr(value, "get"):
        return value
    amount = value.get(currency, value.get("*"))
    return least_minor_units(amount, currency)
