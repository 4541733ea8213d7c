"""The words of an expression."""

import re
from collections.abc import Sequence
from typing import NamedTuple, NoReturn, Self

_WORDS = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    | (?P<double>[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)
    | (?P<duration>[0-9]+(?:ms|[smhd]))
    | (?P<int>[0-9]+)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<string>"(?:[^"\\\r\n]|\\.)*"|'(?:[^'\\\r\n]|\\.)*')
    | (?P<operator>&&|\|\||[<>=!]=|[-!*/%+<>?:(),\[\]])""",
    re.VERBOSE,
)
_NUMBERS = {"double", "duration", "int"}
_IN_A_NUMBER = re.compile(r"[A-Za-z0-9_.]+")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "r": "\r", "t": "\t"}
_NOT_HERE = {
    "=": 'to compare, write "=="',
    "&": 'and is "&&"',
    "|": 'or is "||"',
    ".": "a name has no attributes",
    '"': "a string must end on its line",
    "'": "a string must end on its line",
    "{": "there are no maps, and no slots outside of a reason",
}


class Token(NamedTuple):
    """`kind` is double, duration, int, name, string, operator or end; `offset` counts
    characters of the expression."""

    kind: str
    text: str
    offset: int


class ExpressionError(ValueError):
    """What is wrong, and at which character of the expression; several such pairs at times."""

    def __init__(self, offset: int, message: str) -> None:
        self.mistakes = [(offset, message)]
        super().__init__(message)

    @classmethod
    def of(cls, mistakes: Sequence[tuple[int, str]]) -> Self:
        """One error for at least one mistake."""
        error = cls(*mistakes[0])
        error.mistakes = list(mistakes)
        return error


def tokens(text: str) -> list[Token]:
    """All words of the text, and an end.

    Raises:
        ExpressionError: something in it is none.
    """
    found, offset = [], 0
    while offset < len(text):
        word = _WORDS.match(text, offset)
        if word is None:
            _refuse(text, offset)
        kind = str(word.lastgroup)
        if kind in _NUMBERS:
            _require_whole_number(text, word)
        if kind != "space":
            found.append(Token(kind, word[0], offset))
        offset = word.end()
    return [*found, Token("end", "", len(text))]


def string_value(token: Token) -> str:
    """What a string says, without its quotes and escapes.

    Raises:
        ExpressionError: an escape means nothing.
    """

    def character(escape: re.Match[str]) -> str:
        if escape[1] not in _ESCAPED:
            offset = token.offset + 1 + escape.start()
            raise ExpressionError(offset, rf"{escape[0]} means nothing; \\ \" \' \n \r \t do")
        return _ESCAPED[escape[1]]

    return _ESCAPE.sub(character, token.text[1:-1])


def string_text(value: str) -> str:
    """The string as an expression has it."""
    escapes = {character: f"\\{letter}" for letter, character in _ESCAPED.items() if letter != "'"}
    return '"' + "".join([escapes.get(character, character) for character in value]) + '"'


def _require_whole_number(text: str, word: re.Match[str]) -> None:
    whole = _IN_A_NUMBER.match(text, word.start())
    if whole is not None and whole.end() > word.end():
        forms = "numbers are written 10 or 2.5, durations 500ms, 30s, 10m, 24h or 90d"
        raise ExpressionError(word.start(), f'"{whole[0]}" is no number; {forms}')


def _refuse(text: str, offset: int) -> NoReturn:
    character = text[offset]
    hint = f"; {_NOT_HERE[character]}" if character in _NOT_HERE else ""
    raise ExpressionError(offset, f'"{character}" can\'t stand here{hint}')
