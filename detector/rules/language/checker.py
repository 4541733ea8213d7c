"""Gives every part of an expression its type, or says what doesn't fit.

int, double and money don't mix, but a number that is written beside money is money, in major
units of whatever currency the record has.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import NoReturn, TypeVar, cast

from detector.rules.language import operators
from detector.rules.language.diagnostics import suggestion
from detector.rules.language.features import FEATURES, Argument
from detector.rules.language.lexer import ExpressionError, Token, string_value
from detector.rules.language.syntax import Atom, Call, Infix, Listing, Prefix, Syntax, Ternary
from detector.rules.language.tree import (
    Binary,
    Choice,
    Feature,
    Given,
    Kind,
    ListNode,
    ListOf,
    Literal,
    Node,
    Param,
    Parameter,
    Type,
    Unary,
)
from detector.rules.language.tree_queries import constant
from detector.rules.language.values import (
    MONEY_FORM,
    read_double,
    read_duration,
    read_int,
    read_money,
)

_NUMERALS = {"int", "double", "duration"}
_Number = TypeVar("_Number", int, float)


class Checker:
    """Checks the expressions of one rule. `params` are its parameters, `given` the types of
    observed and threshold where an expression may name them. `used` is filled with the
    parameters that were named."""

    def __init__(self, params: Mapping[str, Param], given: Mapping[str, Kind]) -> None:
        self._params = params
        self._given = given
        self.used: set[str] = set()

    def check(self, syntax: Syntax) -> Node:
        """The checked tree.

        Raises:
            ExpressionError: with every mistake in the expression.
        """
        if isinstance(syntax, Listing):
            _refuse(syntax.token, 'a list stands to the right of "in" only')
        match syntax:
            case Atom(token):
                return self._name(token) if token.kind == "name" else _literal(token)
            case Call():
                return self._call(syntax)
            case Prefix():
                return self._prefix(syntax)
            case Infix():
                return self._infix(syntax)
            case Ternary():
                return self._ternary(syntax)

    def check_as(self, syntax: Syntax, wanted: Kind, what: str) -> Node:
        """As `check`, of the wanted type; a number is money where that is wanted."""
        if wanted is Kind.MONEY and _is_number(syntax):
            return self._money(syntax)
        found = self.check(syntax)
        if found.type != wanted:
            message = f"{what} must be {wanted}, not {found.type}{self._hint(wanted, found)}"
            _refuse(first_token(syntax), message)
        return found

    def _name(self, token: Token) -> Node:
        name = token.text
        if name in {"true", "false"}:
            return Literal(Kind.BOOL, name == "true")
        if name in self._params:
            self.used.add(name)
            return Parameter(self._params[name].type, name)
        if name in self._given:
            return Given(self._given[name], name)
        if name not in FEATURES:
            known = [*self._params, *self._given, *FEATURES]
            _refuse(token, f'unknown name "{name}"{suggestion(name, known)}')
        if FEATURES[name].arguments:
            _refuse(token, f"{name} takes arguments: write {_usage(name)}")
        return Feature(FEATURES[name].type, name)

    def _call(self, call: Call) -> Node:
        name = call.token.text
        if name not in FEATURES:
            known = [name for name in FEATURES if FEATURES[name].arguments]
            _refuse(call.token, f'unknown function "{name}"{suggestion(name, known)}')
        signature = FEATURES[name]
        if len(call.arguments) != len(signature.arguments):
            _refuse(call.token, f"write {_usage(name)}")
        arguments = _every(
            self._argument_check(name, wanted, given)
            for wanted, given in zip(signature.arguments, call.arguments, strict=True)
        )
        return Feature(signature.type, name, tuple(arguments))

    def _argument_check(self, name: str, wanted: Argument, syntax: Syntax) -> Callable[[], Node]:
        what = f"the {wanted} of {name}"
        if wanted is Argument.WINDOW:
            return lambda: self._window(syntax, what)
        return lambda: self.check_as(syntax, Kind.MONEY, what)

    def _window(self, syntax: Syntax, what: str) -> Node:
        found = self.check_as(syntax, Kind.DURATION, what)
        length = constant(found, self._params)
        if not isinstance(length, int):
            _refuse(first_token(syntax), f"{what} must be a parameter or a literal")
        if length <= 0:
            _refuse(first_token(syntax), f"{what} must be longer than 0")
        return found

    def _prefix(self, prefix: Prefix) -> Node:
        token, operand = prefix.token, prefix.operand
        if token.text == "-" and isinstance(operand, Atom) and operand.token.kind in _NUMERALS:
            return _literal(operand.token, sign="-")
        kind = _kind(found := self.check(operand))
        if (token.text, kind) not in operators.UNARY:
            _refuse(token, f'"{token.text}" does not fit {kind}')
        return Unary(kind, token.text, found)

    def _infix(self, infix: Infix) -> Node:
        operator = infix.token.text
        if operator == "in":
            return self._membership(infix)
        if operator in operators.OF_ONE_TYPE:
            left, right = self._alike(infix.left, infix.right)
        else:
            left, right = self._both(infix.left, infix.right)
        kinds = _kind(left), _kind(right)
        kind = operators.BINARY.get((operator, *kinds))
        if kind is None:
            hint = self._hint(kinds[0], right) or self._hint(kinds[1], left)
            if not hint and operator in operators.OF_ONE_TYPE and kinds[0] != kinds[1]:
                hint = "; both sides must be of one type"
            _refuse(infix.token, f"{kinds[0]} {operator} {kinds[1]} does not fit{hint}")
        return Binary(kind, operator, left, right)

    def _both(self, left: Syntax, right: Syntax) -> tuple[Node, Node]:
        found = _every([lambda: self.check(left), lambda: self.check(right)])
        return found[0], found[1]

    def _alike(self, left: Syntax, right: Syntax) -> tuple[Node, Node]:
        """Both sides; where one is a number, it is money if the other is."""
        if _is_number(left) and not _is_number(right):
            other = self.check(right)
            return self._beside(left, other), other
        if _is_number(right) and not _is_number(left):
            other = self.check(left)
            return other, self._beside(right, other)
        return self._both(left, right)

    def _beside(self, number: Syntax, other: Node) -> Node:
        return self._money(number) if other.type == Kind.MONEY else self.check(number)

    def _membership(self, infix: Infix) -> Node:
        listing = infix.right
        if not isinstance(listing, Listing):
            _refuse(first_token(listing), 'behind "in" a list in brackets must stand')
        found = self.check(infix.left)
        kind = _kind(found)
        elements = _every(
            lambda each=each: self.check_as(each, kind, "what stands in this list")  # type: ignore[misc]
            for each in listing.elements
        )
        return Binary(Kind.BOOL, "in", found, ListNode(ListOf(kind), tuple(elements)))

    def _ternary(self, ternary: Ternary) -> Node:
        sides: list[Node] = []

        def check_sides() -> Node:
            sides.extend(self._alike(ternary.yes, ternary.no))
            return sides[0]

        condition, _ = _every([lambda: self._condition(ternary), check_sides])
        kinds = [_kind(side) for side in sides]
        if kinds[0] != kinds[1]:
            what = f'both sides of ":" must be of one type; they are {kinds[0]} and {kinds[1]}'
            _refuse(ternary.token, what)
        return Choice(kinds[0], condition, *sides)

    def _condition(self, ternary: Ternary) -> Node:
        return self.check_as(ternary.condition, Kind.BOOL, 'what stands before "?"')

    def _money(self, syntax: Syntax) -> Node:
        """A number, or a choice of them, as money."""
        match syntax:
            case Ternary():
                parts = _every(
                    [
                        lambda: self._condition(syntax),
                        lambda: self._money(syntax.yes),
                        lambda: self._money(syntax.no),
                    ]
                )
                return Choice(Kind.MONEY, *parts)
            case Prefix(_, Atom(number)):
                return Literal(Kind.MONEY, -_amount(number))
        return Literal(Kind.MONEY, _amount(first_token(syntax)))

    def _hint(self, wanted: Type, found: Node) -> str:
        """How to write what doesn't fit beside the wanted type, where that can be told."""
        if not isinstance(found, Literal | Parameter) or found.type not in {Kind.INT, Kind.DOUBLE}:
            return ""
        value = constant(found, self._params)
        whose = f"parameter {found.name}: " if isinstance(found, Parameter) else ""
        if wanted == Kind.DOUBLE:
            return f"; as a double it is written {whose}{value}.0"
        if wanted == Kind.MONEY and whose:
            return f'; as money it is written {whose}{{"*": {value}}}'
        return ""


def first_token(syntax: Syntax) -> Token:
    """Where an expression begins."""
    match syntax:
        case Infix():
            return first_token(syntax.left)
        case Ternary():
            return first_token(syntax.condition)
    return syntax.token


def _refuse(token: Token, message: str) -> NoReturn:
    raise ExpressionError(token.offset, message)


def _every(checks: Iterable[Callable[[], Node]]) -> list[Node]:
    """All results; where some fail, one error with the mistakes of all."""
    found, mistakes = [], []
    for check in checks:
        try:
            found.append(check())
        except ExpressionError as error:
            mistakes += error.mistakes
    if mistakes:
        raise ExpressionError.of(mistakes)
    return found


def _kind(node: Node) -> Kind:
    return cast("Kind", node.type)  # lists never come this far


def _literal(token: Token, sign: str = "") -> Literal:
    text = sign + token.text
    if token.kind == "string":
        return Literal(Kind.STRING, string_value(token))
    if token.kind == "int":
        return Literal(Kind.INT, _within(read_int(text), token, "does not fit into 64 bits"))
    if token.kind == "double":
        return Literal(Kind.DOUBLE, _within(read_double(text), token, "is too large"))
    length = _within(read_duration(token.text), token, "is too long")
    return Literal(Kind.DURATION, -length if sign else length)


def _amount(number: Token) -> Decimal:
    amount = read_money(number.text)
    if amount is None:
        _refuse(number, f"beside money, a number is {MONEY_FORM}")
    return amount


def _within(number: _Number | None, token: Token, otherwise: str) -> _Number:
    if number is None:
        _refuse(token, f"{token.text} {otherwise}")
    return number


def _is_number(syntax: Syntax) -> bool:
    """Whether it is a number as it stands, or a choice of such, which is money beside money."""
    match syntax:
        case Atom(token):
            return token.kind in {"int", "double"}
        case Prefix(token, Atom(number)):
            return token.text == "-" and number.kind in {"int", "double"}
        case Ternary():
            return _is_number(syntax.yes) and _is_number(syntax.no)
    return False


def _usage(name: str) -> str:
    arguments = FEATURES[name].arguments
    return f"{name}({', '.join(arguments)})" if arguments else name
