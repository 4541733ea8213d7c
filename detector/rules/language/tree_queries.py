"""Going through the trees of rules."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from detector.rules.language.features import FEATURES, Argument
from detector.rules.language.tree import (
    Binary,
    Choice,
    Feature,
    Given,
    ListNode,
    Literal,
    Node,
    Param,
    Parameter,
    Rule,
    Unary,
)


def parts(node: Node) -> tuple[Node, ...]:
    """The nodes right below, in the order in which they are written."""
    match node:
        case Feature(_, _, arguments):
            return arguments
        case Unary(_, _, operand):
            return (operand,)
        case Binary(_, _, left, right):
            return left, right
        case Choice(_, condition, yes, no):
            return condition, yes, no
        case ListNode(_, elements):
            return elements
    return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it."""
    yield node
    for part in parts(node):
        yield from walk(part)


def size_and_depth(
    node: Node, given: Mapping[str, tuple[int, int]] | None = None
) -> tuple[int, int]:
    """How many nodes a tree has and how deep it is, where `observed` and `threshold` count as what
    they stand for, each time, and a text as a node for eight bytes."""
    if isinstance(node, Given):
        return (given or {})[node.name]
    if isinstance(node, Literal) and isinstance(node.value, str):
        return 1 + len(node.value.encode(errors="replace")) // 8, 1
    below = [size_and_depth(part, given) for part in parts(node)]
    return 1 + sum(size for size, _ in below), 1 + max((depth for _, depth in below), default=0)


def currencies(rules: Iterable[Rule]) -> set[str]:
    """Those that the rules name an amount for."""
    params = (param for rule in rules for param in rule.params.values())
    return {each for p in params if isinstance(p.value, Mapping) for each in p.value} - {"*"}


def constant(node: Node, params: Mapping[str, Param]) -> object:
    """The value of a literal or a parameter; None for what is known with a record only."""
    match node:
        case Literal(_, value):
            return value
        case Parameter(_, name):
            return params[name].value
    return None


def windows(node: Node, params: Mapping[str, Param]) -> Iterator[int]:
    """The length, in milliseconds, of every window that is looked at."""
    for each in walk(node):
        if isinstance(each, Feature):
            wanted = FEATURES[each.name].arguments
            for argument, given in zip(wanted, each.arguments, strict=True):
                length = constant(given, params)
                if argument is Argument.WINDOW and isinstance(length, int):
                    yield length


def with_parts(node: Node, changed: tuple[Node, ...]) -> Node:
    """The node with other nodes right below it, as many as there were."""
    match node:
        case Feature():
            return replace(node, arguments=changed)
        case Unary():
            return replace(node, operand=changed[0])
        case Binary():
            return replace(node, left=changed[0], right=changed[1])
        case Choice():
            return replace(node, condition=changed[0], yes=changed[1], no=changed[2])
        case ListNode():
            return replace(node, elements=changed)
    return node


def with_window(rule: Rule) -> Rule:
    """The rule with the longest of its windows."""
    nodes = (rule.observed, rule.threshold, rule.when)
    lengths = [length for node in nodes for length in windows(node, rule.params)]
    return replace(rule, window_ms=max(lengths, default=None))
