"""Whether the payments that are kept of an account are enough for a rule's bounds."""

from collections.abc import Iterator

from detector.rules.language.diagnostics import Diagnostic, Location, RulesError
from detector.rules.language.tree import Binary, Feature, Literal, Node, Parameter, Rule, Rulebook
from detector.rules.language.tree_queries import constant, walk

_COUNTS = {"count", "count_between", "count_equal", "distinct_targets"}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_PAST_THE_BOUND = {">", "<="}  # decided by one payment more than the bound


def require_enough_events(book: Rulebook, max_events: int, name: str) -> None:
    """
    Raises:
        RulesError: a rule compares a count with a number that no count reaches, as `max_events`
            payments are kept of an account. `name` is what messages call the file.
    """
    mistakes = [
        Diagnostic(Location(rule.line, 1), _message(rule, feature, needed, max_events))
        for rule in book.rules
        for feature, needed in _needed_events(rule)
        if needed > max_events
    ]
    if mistakes:
        raise RulesError(name, mistakes)


def _message(rule: Rule, feature: str, needed: int, max_events: int) -> str:
    return (
        f"{rule.name} needs {feature} to reach {needed}, and STATE_MAX_EVENTS={max_events} "
        "payments are kept of an account: lower the rule's bound, or raise that setting"
    )


def _needed_events(rule: Rule) -> Iterator[tuple[str, int]]:
    """For each comparison of a count with a constant: the feature, and how many payments decide
    it."""
    for expression in (rule.when, rule.observed, rule.threshold):
        for node in walk(expression):
            if isinstance(node, Binary) and node.operator in _MIRRORED:
                left, right = rule.meant(node.left), rule.meant(node.right)
                yield from _needed(left, node.operator, right, rule)
                yield from _needed(right, _MIRRORED[node.operator], left, rule)


def _needed(counted: Node, operator: str, bound: Node, rule: Rule) -> Iterator[tuple[str, int]]:
    if not (isinstance(counted, Feature) and counted.name in _COUNTS):
        return
    number = constant(bound, rule.params) if isinstance(bound, Literal | Parameter) else None
    if isinstance(number, int):
        yield counted.name, number + (operator in _PAST_THE_BOUND)
