"""What differs between two rulebooks, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from detector.rules.language.expression import expression_text
from detector.rules.language.tree import Kind, Param, Rule, Rulebook, Slot
from detector.rules.language.values import duration_text


def differences(old: Rulebook, new: Rulebook) -> Iterator[str]:
    """Lines that say which rules were added, removed and changed, and how; none where both judge
    alike."""
    before, after = _by_name(old), _by_name(new)
    for name, rule in after.items():
        if name not in before:
            yield f"added: {name} ({rule.mode})"
        elif before[name].version != rule.version:
            yield f"changed: {name}, {before[name].version} to {rule.version}"
            yield from [f"  {line}" for line in _changes(before[name], rule)]
    for name, rule in before.items():
        if name not in after:
            yield f"removed: {name} ({rule.mode})"
    common = [name for name in before if name in after], [name for name in after if name in before]
    if common[0] != common[1]:
        yield f"reordered: {', '.join(common[1])}"


def _by_name(book: Rulebook) -> dict[str, Rule]:
    return {rule.name: rule for rule in book.rules}


def _changes(old: Rule, new: Rule) -> Iterator[str]:
    if old.mode is not new.mode:
        yield f"mode: {old.mode} to {new.mode}"
    for name in [*old.params, *[name for name in new.params if name not in old.params]]:
        yield from _param_changes(name, old.params.get(name), new.params.get(name))
    for part in ("observed", "threshold", "when"):
        texts = expression_text(getattr(old, part)), expression_text(getattr(new, part))
        if texts[0] != texts[1]:
            yield f'{part}: "{texts[0]}" to "{texts[1]}"'
    if old.reason != new.reason:
        yield f'reason: "{_template(old)}" to "{_template(new)}"'


def _param_changes(name: str, old: Param | None, new: Param | None) -> Iterator[str]:
    """A parameter that is new, gone or another; of money, the currencies in question."""
    before, after = _values(old), _values(new)
    for currency in [*before, *[currency for currency in after if currency not in before]]:
        values = before.get(currency, "none"), after.get(currency, "none")
        if values[0] != values[1]:
            yield f"{name}{currency and ' '}{currency}: {values[0]} to {values[1]}"


def _values(param: Param | None) -> Mapping[str, str]:
    """The parameter's value in words, by currency where it is money."""
    if param is None:
        return {}
    value: Any = param.value
    if param.type is Kind.MONEY:
        return {currency: f"{amount:f}" for currency, amount in value.items()}
    return {"": duration_text(value) if param.type is Kind.DURATION else str(value)}


def _template(rule: Rule) -> str:
    parts = [
        f"{{{part.name}}}" if isinstance(part, Slot) else part.replace("{", "{{").replace("}", "}}")
        for part in rule.reason
    ]
    return "".join(parts)
