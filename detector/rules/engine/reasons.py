"""Why rules fired, for machines and for people."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from detector.domain.money import format_amount, least_minor_units
from detector.rules.engine.compiler import Hit
from detector.rules.language.tree import Kind, Mode, Parameter, Rule, Slot, Type
from detector.rules.language.tree_queries import windows

_CACHE_SIZE = 1 << 12
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
    """The reasons that rules give."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._writer = lru_cache(_CACHE_SIZE)(self._writer_of)
        self._writers = lru_cache(_CACHE_SIZE)(self._writers_of)

    def as_json(self, indexes: tuple[int, ...], matches: Sequence[Hit], payment: Payment) -> bytes:
        """An array with a reason for each active rule that fired. `indexes` are those of the
        matches."""
        writers = self._writers(indexes, payment.currency)
        texts = [
            write(observed, threshold, payment)
            for write, (_, observed, threshold) in zip(writers, matches, strict=True)
            if write
        ]
        return f"[{','.join(texts)}]".encode()

    def _writers_of(self, indexes: tuple[int, ...], currency: bytes) -> list["_Writer | None"]:
        return [
            self._writer(index, currency) if self._rules[index].mode is Mode.ACTIVE else None
            for index in indexes
        ]

    def _writer_of(self, index: int, currency: bytes) -> "_Writer":
        return _compiled(self._rules[index], currency.decode())


_Writer = Callable[[Any, Any, Payment], str]
"""Writes a reason as JSON: by what was observed, threshold and payment."""

# How a value of a type is written, as a field of an f-string: in JSON, where money is a string
# with the currency's decimals and a duration is in milliseconds, and in text for a person.
_FORMS: Mapping[Type, tuple[str, str]] = {
    Kind.MONEY: ('"{%s_formatted}"', "{%s_formatted}"),
    Kind.DURATION: ("{%s}", "{format_duration(%s)}"),
    Kind.INT: ("{%s}", "{%s}"),
}
_OTHER_FORMS = ("{any_in_json(%s)}", "{any_in_text(%s)}")


def _compiled(rule: Rule, currency: str) -> _Writer:
    """One rule's reason in one currency: a function that is one f-string, in which all that is the
    same each time stands already, as literals."""
    names: dict[str, Any] = {
        "__builtins__": {},
        "money": _money(currency),
        "format_duration": format_duration,
        "any_in_json": _any_in_json,
        "any_in_text": _any_in_text,
    }
    lines, fields = [], {}
    for name, node in (("observed", rule.observed), ("threshold", rule.threshold)):
        fields[name] = [field % name for field in _FORMS.get(node.type, _OTHER_FORMS)]
        if isinstance(node, Parameter):
            names[f"{name}_formatted"] = _fixed(node.name, rule, currency)
        elif node.type is Kind.MONEY:
            lines.append(f"{name}_formatted = money({name})")
    # Of the words in a reason, those that differ.
    differing = {
        "observed": fields["observed"][1],
        "threshold": fields["threshold"][1],
        "amount": "{money(payment.amount)}",
        "source": "{payment.source.decode()}",
        "target": "{payment.target.decode()}",
    }
    window_ms = max(windows(rule.observed, rule.params), default=None)
    window, unit = json.dumps(window_ms), json.dumps(_unit(rule.observed.type, currency))
    since = "null" if window_ms is None else f"{{payment.time_ms - {window}}}"
    parts = [
        _literal(f'{{"rule":"{rule.name}","rule_version":"{rule.version}","observed":'),
        fields["observed"][0],
        ',"threshold":',
        fields["threshold"][0],
        f',"unit":{unit},"window_ms":{window},"since_ms":{since},"text":"',
    ]
    parts += [_piece(piece, differing, rule, currency) for piece in rule.reason]
    parts.append(_literal('"}'))
    body = [*lines, f"return f{''.join(parts)!r}"]
    source = "def write(observed, threshold, payment):\n    " + "\n    ".join(body)
    exec(compile(source, "<reason>", "exec"), names)  # noqa: S102  # literals, and what stands above
    write: _Writer = names["write"]
    return write


def _piece(piece: str | Slot, differing: Mapping[str, str], rule: Rule, currency: str) -> str:
    """A piece of the rule's sentence: words of its own, or a slot."""
    if isinstance(piece, str):
        return _literal(json.dumps(piece, ensure_ascii=False)[1:-1])
    return differing.get(piece.name) or _literal(_fixed(piece.name, rule, currency))


def _literal(text: str) -> str:
    """As it must stand in an f-string."""
    return text.replace("{", "{{").replace("}", "}}")


def _unit(kind: Type, currency: str) -> str | None:
    return currency if kind is Kind.MONEY else "ms" if kind is Kind.DURATION else None


def _fixed(slot: str, rule: Rule, currency: str) -> str:
    """What is the same in every reason of the rule in that currency."""
    if slot == "currency":
        return currency
    param = rule.params[slot]
    value = _of_currency(param.value, currency)
    if param.type is Kind.MONEY:
        return _money(currency)(value)
    return format_duration(value) if param.type is Kind.DURATION else _any_in_text(value)


def _money(currency: str) -> Callable[[float], str]:
    """What puts amounts of a currency into words."""

    def in_its_words(amount: float) -> str:
        # Rounded down: what is above a mean is then above what is written of it, too.
        is_whole = isinstance(amount, int)  # of any size
        if not is_whole and not math.isfinite(amount):
            return str(amount)
        return format_amount(math.floor(amount), currency)

    return in_its_words


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


def format_duration(milliseconds: int) -> str:
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
