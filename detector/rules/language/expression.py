"""Expressions: a typed subset of CEL, from text to checked trees and back.

Meaning is CEL's: division of whole numbers goes towards zero, % has the sign of its left side,
&& and || look at the right side only where the left doesn't decide. Beyond CEL there are money
and durations such as 10m; and where CEL forgives what goes wrong on one side of && or || if the
other decides, nothing is forgiven here: what stands to the left is worked out first.
"""

from collections.abc import Callable, Mapping

from detector.rules.language.checker import Checker
from detector.rules.language.lexer import ExpressionError, string_text
from detector.rules.language.syntax import PRECEDENCE, UNARY, Syntax, parse
from detector.rules.language.tree import (
    Binary,
    Choice,
    Feature,
    Kind,
    ListNode,
    Literal,
    Node,
    Param,
    Unary,
)
from detector.rules.language.values import duration_text

__all__ = ["Checker", "ExpressionError", "Syntax", "check", "expression_text", "parse"]

_CHOICE, _WHOLE = 0, UNARY + 1


def check(text: str, params: Mapping[str, Param], given: Mapping[str, Kind] | None = None) -> Node:
    """The checked tree of an expression. `given` has the types of observed and threshold, where
    these may be named.

    Raises:
        ExpressionError: with every mistake that was found.
    """
    return Checker(params, given or {}).check(parse(text))


def expression_text(node: Node) -> str:
    """The one text of a tree: two expressions that differ in spaces, needless parentheses or the
    way a number is written have the same. Parsed where it stood, it gives the same tree."""
    return _text(node, _CHOICE)


def _text(node: Node, loosest: int) -> str:
    text, level = _written(node)
    return text if level >= loosest else f"({text})"


def _written(node: Node) -> tuple[str, int]:
    """The text, and how tightly its outermost operator binds."""
    match node:
        case Unary(_, operator, operand):
            return operator + _text(operand, UNARY), UNARY
        case Binary(_, operator, left, right):
            level = PRECEDENCE[operator]
            return f"{_text(left, level)} {operator} {_text(right, level + 1)}", level
        case Choice(_, condition, yes, no):
            parts = _text(condition, _CHOICE + 1), _text(yes, _CHOICE + 1), _text(no, _CHOICE)
            return "{} ? {} : {}".format(*parts), _CHOICE
        case Literal(kind, value):
            return _LITERALS[kind](value), _WHOLE
        case ListNode(_, elements):
            return f"[{_listed(elements)}]", _WHOLE
    arguments = node.arguments if isinstance(node, Feature) else ()
    return (f"{node.name}({_listed(arguments)})" if arguments else node.name), _WHOLE


def _listed(nodes: tuple[Node, ...]) -> str:
    return ", ".join([expression_text(node) for node in nodes])


_LITERALS: Mapping[Kind, Callable[..., str]] = {
    Kind.BOOL: lambda value: "true" if value else "false",
    Kind.INT: str,
    Kind.DOUBLE: repr,
    Kind.STRING: string_text,
    Kind.MONEY: lambda value: f"{value:f}",
    Kind.DURATION: lambda value: ("-" if value < 0 else "") + duration_text(abs(value)),
}
