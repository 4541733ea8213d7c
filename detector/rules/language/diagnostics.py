"""What is wrong with a rules file, and where: all of it at once, for the person who wrote it."""

import difflib
from collections.abc import Iterable
from typing import NamedTuple, NoReturn

from detector.domain.printable import clean

_MAX_MESSAGE = 400


class Location(NamedTuple):
    """A location in a file; lines and columns count from 1."""

    line: int
    column: int


class Diagnostic(NamedTuple):
    """One thing that is wrong."""

    location: Location
    message: str


class RulesError(ValueError):
    """A rules file that can't be used. Its text has a line `file:line:column: message` for each
    mistake, in the file's order."""

    def __init__(self, name: str, mistakes: Iterable[Diagnostic]) -> None:
        self.mistakes = tuple(sorted(set(mistakes)))
        lines = [
            f"{clean(name)}:{location.line}:{location.column}: {what}"
            for location, what in self.mistakes
        ]
        super().__init__("\n".join(lines))


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean "limit"?`, or nothing where no known name is near."""
    near = difflib.get_close_matches(name, known, n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


class Diagnostics:
    """What has been found wrong in a file so far."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._found: list[Diagnostic] = []

    def add(self, location: Location, message: str) -> None:
        self._found.append(Diagnostic(location, _on_one_line(message)))

    def fail(self, location: Location, message: str) -> NoReturn:
        """
        Raises:
            RulesError: with this mistake and those before.
        """
        self.add(location, message)
        raise RulesError(self._name, self._found)

    def raise_any(self) -> None:
        """
        Raises:
            RulesError: with every mistake so far, if there is one.
        """
        if self._found:
            raise RulesError(self._name, self._found)


def _on_one_line(message: str) -> str:
    """The message may quote a file, which must not forge lines or fill a screen."""
    shown = message if len(message) <= _MAX_MESSAGE else f"{message[:_MAX_MESSAGE]}..."
    return clean(shown)
