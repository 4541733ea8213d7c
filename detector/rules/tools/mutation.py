"""Rules that are a little different: a test that is worth something notices each of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from detector.domain.money import digits
from detector.rules.language.expression import expression_text
from detector.rules.language.tree import Binary, Kind, Node, Param, Rule, Rulebook
from detector.rules.language.tree_queries import parts, windows, with_parts, with_window
from detector.rules.language.values import duration_text
from detector.rules.tools.test_results import Engine, rule_failures

_BOUNDS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
_HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule with one thing changed, and what that is."""

    rule: Rule
    change: str

    def survives(self, engine: Engine) -> bool:
        """Whether no test of the rule fails."""
        return next(rule_failures(self.rule, engine), None) is None


def all_mutants(book: Rulebook) -> list[Mutant]:
    """The mutants of all rules, in the file's order."""
    return [mutant for rule in book.rules for mutant in mutants(rule)]


def mutants(rule: Rule) -> Iterator[Mutant]:
    """Each parameter shifted by one cent, count or millisecond, or a hundredth, both ways, and
    each comparison by its bound."""
    yield from _with_other_params(rule)
    for part in ("observed", "threshold", "when"):
        for node, change in _with_other_bounds(getattr(rule, part)):
            yield Mutant(_changed(rule, part, node), f"{part}: {change}")


def _changed(rule: Rule, part: str, node: Node) -> Rule:
    match part:
        case "observed":
            return replace(rule, observed=node)
        case "threshold":
            return replace(rule, threshold=node)
    return replace(rule, when=node)


def _with_other_params(rule: Rule) -> Iterator[Mutant]:
    for name, param in rule.params.items():
        for value, change in _shifted(param):
            params = {**rule.params, name: replace(param, value=value)}
            mutant = with_window(replace(rule, params=params))
            if all(length > 0 for length in _windows(mutant)):
                yield Mutant(mutant, f"{name}: {change}")


def _windows(rule: Rule) -> Iterator[int]:
    for node in (rule.observed, rule.threshold, rule.when):
        yield from windows(node, rule.params)


def _shifted(param: Param) -> Iterator[tuple[int | float | Mapping[str, Decimal], str]]:
    """Other values of the parameter, each with what changed; none below zero that wasn't."""
    value = param.value
    if isinstance(value, Mapping):
        for currency, amount in value.items():
            cent = Decimal(1).scaleb(-digits(currency))
            for other in (amount - cent, amount + cent):
                if other >= 0:
                    yield {**value, currency: other}, f"{currency} {amount:f} to {other:f}"
    elif isinstance(value, float):
        for other_ in (_plus(value, -_HUNDREDTH), _plus(value, _HUNDREDTH)):
            yield other_, f"{value} to {other_}"
    else:
        for count in (value - 1, value + 1):
            written = duration_text if param.type is Kind.DURATION else str
            yield count, f"{written(value)} to {written(count)}"


def _plus(number: float, difference: Decimal) -> float:
    return float(Decimal(str(number)) + difference)


def _with_other_bounds(node: Node) -> Iterator[tuple[Node, str]]:
    """The node with one comparison changed, for each in it, with what changed."""
    if isinstance(node, Binary) and node.operator in _BOUNDS:
        other = replace(node, operator=_BOUNDS[node.operator])
        yield other, f"{expression_text(node)} to {other.operator}"
    below = parts(node)
    for place, part in enumerate(below):
        for changed, change in _with_other_bounds(part):
            yield with_parts(node, (*below[:place], changed, *below[place + 1 :])), change
