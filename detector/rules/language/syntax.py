"""The grammar of expressions, which is that of CEL for what is allowed here.

Precedence from loose to tight: ? :, ||, &&, comparisons and in, + -, * / %, ! and -. All
operators but ? : group from the left.
"""

from dataclasses import dataclass

from detector.rules.language.lexer import ExpressionError, Token, tokens

MAX_LENGTH = 4000
MAX_DEPTH = 64
_TOO_DEEP = f"the expression is nested too deeply; the limit is {MAX_DEPTH}"

_CHOICE = 0
PRECEDENCE = {
    operator: level
    for level, operators in enumerate(
        ["||", "&&", "< <= > >= == != in", "+ -", "* / %"], start=_CHOICE + 1
    )
    for operator in operators.split()
}
UNARY = max(PRECEDENCE.values()) + 1
_WORDS_FOR = {"and": "&&", "or": "||", "not": "!"}


@dataclass(frozen=True, slots=True)
class Atom:
    """A literal or a name."""

    token: Token
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Call:
    """name(arguments)"""

    token: Token
    arguments: "tuple[Syntax, ...]"
    depth: int


@dataclass(frozen=True, slots=True)
class Prefix:
    """`token` is ! or -."""

    token: Token
    operand: "Syntax"
    depth: int


@dataclass(frozen=True, slots=True)
class Infix:
    """`token` is the operator between."""

    token: Token
    left: "Syntax"
    right: "Syntax"
    depth: int


@dataclass(frozen=True, slots=True)
class Ternary:
    """`token` is the question mark."""

    token: Token
    condition: "Syntax"
    yes: "Syntax"
    no: "Syntax"
    depth: int


@dataclass(frozen=True, slots=True)
class Listing:
    """`token` is the opening bracket."""

    token: Token
    elements: "tuple[Syntax, ...]"
    depth: int


Syntax = Atom | Call | Prefix | Infix | Ternary | Listing


def parse(text: str) -> Syntax:
    """The text's grammatical form, at most `MAX_DEPTH` deep.

    Raises:
        ExpressionError: the text is no expression, or is too long or too deep.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(0, f"the expression is longer than {MAX_LENGTH} characters")
    return _Parser(tokens(text)).whole()


class _Parser:
    def __init__(self, words: list[Token]) -> None:
        self._words = iter(words)
        self._next = next(self._words)
        self._open = 0  # how deep the parser itself is

    def whole(self) -> Syntax:
        found = self._expression(_CHOICE)
        if self._next.kind != "end":
            self._refuse("an operator or the end")
        return found

    def _expression(self, loosest: int) -> Syntax:
        """The longest expression from here whose operators bind at least so tightly."""
        self._open += 1
        if self._open > MAX_DEPTH:
            raise ExpressionError(self._next.offset, _TOO_DEEP)
        left = self._unary()
        while (level := PRECEDENCE.get(self._next.text, -1)) >= loosest and self._is_operator():
            token = self._take()
            right = self._expression(level + 1)
            left = Infix(token, left, right, _above(token, left, right))
        if loosest == _CHOICE and self._is("?"):
            left = self._choice(left)
        self._open -= 1
        return left

    def _choice(self, condition: Syntax) -> Syntax:
        token = self._take()
        yes = self._expression(_CHOICE + 1)
        self._expect(":")
        no = self._expression(_CHOICE)
        return Ternary(token, condition, yes, no, _above(token, condition, yes, no))

    def _unary(self) -> Syntax:
        signs: list[Token] = []
        while self._next.text in {"!", "-"} and self._is_operator():
            if signs and signs[-1].text != self._next.text:
                self._refuse("a value")
            signs.append(self._take())
        found = self._primary()
        for token in reversed(signs):
            found = Prefix(token, found, _above(token, found))
        return found

    def _primary(self) -> Syntax:
        if self._is("("):
            self._take()
            inner = self._expression(_CHOICE)
            self._expect(")")
            return inner
        if self._is("["):
            token = self._take()
            return Listing(token, *self._several("]", token))
        if self._next.kind in {"operator", "end"} or self._next.text in _WORDS_FOR | {"in": ""}:
            self._refuse("a value")
        token = self._take()
        if token.kind == "name" and self._is("("):
            self._take()
            return Call(token, *self._several(")", token))
        return Atom(token)

    def _several(self, closing: str, token: Token) -> tuple[tuple[Syntax, ...], int]:
        found: list[Syntax] = []
        while not self._is(closing):
            if found:
                self._expect(",", closing)
            found.append(self._expression(_CHOICE))
        self._take()
        return tuple(found), _above(token, *found)

    def _is_operator(self) -> bool:
        return self._next.kind == "operator" or self._next.text == "in"

    def _is(self, text: str) -> bool:
        return self._next.kind == "operator" and self._next.text == text

    def _take(self) -> Token:
        taken, self._next = self._next, next(self._words, self._next)
        return taken

    def _expect(self, *texts: str) -> None:
        if not self._is(texts[0]):
            self._refuse(" or ".join([f'"{text}"' for text in texts]))
        self._take()

    def _refuse(self, wanted: str) -> None:
        kind, text, offset = self._next
        found = "the expression ends" if kind == "end" else f'"{text}" stands'
        hint = f'; write "{_WORDS_FOR[text]}"' if text in _WORDS_FOR else ""
        raise ExpressionError(offset, f"{found} where {wanted} is expected{hint}")


def _above(token: Token, *parts: Syntax) -> int:
    depth = 1 + max([part.depth for part in parts], default=0)
    if depth > MAX_DEPTH:
        raise ExpressionError(token.offset, _TOO_DEEP)
    return depth
