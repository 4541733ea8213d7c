"""What is written on a record that rules fired on: which, and why, for machines and for people."""

import json
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from detector.money import in_words, least_minor_units
from detector.rules.compiler import Hit
from detector.rules.tree import Kind, Mode, Rule, Slot, Type
from kafka_batch import Header, HeaderBlock

_KEPT = 1 << 12
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
        self._names = lru_cache(_KEPT)(self._names_of)

    def headers(self, hits: Sequence[Hit], payment: Payment, *, partial: bool) -> HeaderBlock:
        """What is written on a payment that an active rule fired on."""
        active = [hit for hit in hits if hit[0] in self._active]
        texts = [
            self._template(place, payment.currency).write(observed, threshold, payment)
            for place, observed, threshold in active
        ]
        headers: list[Header] = [
            ("rules", self._names(tuple([hit[0] for hit in active]))),
            ("reasons", f"[{','.join(texts)}]".encode()),
            self._version,
        ]
        if partial:
            headers.append(("history", b"partial"))
        if len(active) < len(hits):
            headers.append(self._shadow(tuple([n for n, *_ in hits if n not in self._active])))
        return HeaderBlock.of(headers)

    def noted(self, places: tuple[int, ...]) -> HeaderBlock | None:
        """What is written on a payment that only shadow rules fired on; None where an active one is
        among them."""
        return None if self._active & {*places} else HeaderBlock.of([self._shadow(places)])

    def _shadow(self, places: tuple[int, ...]) -> Header:
        return "shadow_rules", self._names(places)

    def _names_of(self, places: tuple[int, ...]) -> bytes:
        return ",".join(self._rules[place].name for place in places).encode()

    def _template_of(self, place: int, currency: bytes) -> "_Template":
        return _Template(self._rules[place], currency.decode())


class _Template:
    """One rule's reason as JSON, in one currency, with places for what differs."""

    def __init__(self, rule: Rule, currency: str) -> None:
        observed, threshold = rule.observed.type, rule.threshold.type
        # By name: the words for a person, of what was observed, the threshold and the payment.
        self._words: dict[str, Callable[[Any, Any, Payment], str]] = {
            "observed": lambda its, _t, _p: in_text(its, observed, currency),
            "threshold": lambda _o, its, _p: in_text(its, threshold, currency),
            "amount": lambda _o, _t, payment: in_words(payment.amount, currency),
            "source": lambda _o, _t, payment: payment.source.decode(),
            "target": lambda _o, _t, payment: payment.target.decode(),
        }
        text = "".join(self._piece(piece, rule, currency) for piece in rule.reason)
        slots = [piece.name for piece in rule.reason if isinstance(piece, Slot)]
        self._slots = [name for name in slots if name in self._words]
        self._observed, self._threshold, self._currency = observed, threshold, currency
        self._window_ms = rule.window_ms
        front = {"rule": rule.name, "rule_version": rule.version}
        unit = json.dumps(_unit(observed, currency))
        window = "null" if rule.window_ms is None else rule.window_ms
        self._json = (
            f"{_escaped(json.dumps(front, separators=(',', ':'))[:-1])},"
            f'"observed":%s,"threshold":%s,"unit":{unit},"window_ms":{window},"since_ms":%s,'
            f'"text":"{text}"}}'
        )

    def write(self, observed: Any, threshold: Any, payment: Payment) -> str:
        since = "null" if self._window_ms is None else payment.time_ms - self._window_ms
        figures = (
            in_json(observed, self._observed, self._currency),
            in_json(threshold, self._threshold, self._currency),
            since,
        )
        words = [self._words[name](observed, threshold, payment) for name in self._slots]
        return self._json % (*figures, *words)

    def _piece(self, piece: str | Slot, rule: Rule, currency: str) -> str:
        if isinstance(piece, str):
            return _escaped(json.dumps(piece, ensure_ascii=False)[1:-1])
        if piece.name in self._words:
            return "%s"
        if piece.name == "currency":
            return currency
        param = rule.params[piece.name]
        return _escaped(in_text(_of_currency(param.value, currency), param.type, currency))


def in_json(value: Any, kind: Type, currency: str) -> str:
    """As JSON: money as a string with the currency's decimals, a duration in milliseconds."""
    if kind is Kind.MONEY:
        return f'"{in_text(value, kind, currency)}"'
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, bytes):
        return json.dumps(value.decode())
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    return json.dumps(value)


def in_text(value: Any, kind: Type, currency: str) -> str:
    """For a person: money with the currency's decimals, a duration in whole hours, say."""
    if kind is Kind.MONEY:
        # Rounded down: what is above a mean is then above what is written of it, too.
        return in_words(math.floor(value), currency) if math.isfinite(value) else str(value)
    if kind is Kind.DURATION:
        return duration_in_words(value)
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


def _unit(kind: Type, currency: str) -> str | None:
    if kind is Kind.MONEY:
        return currency
    return "ms" if kind is Kind.DURATION else None


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
