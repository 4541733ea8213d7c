"""Reads a rules file: all of it is found right, or everything that is wrong is told at once."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

from detector.rules.file.inline_tests import InlineTestReader
from detector.rules.file.nodes import (
    MAX_BYTES,
    ScalarNode,
    YamlNode,
    fields,
    listed,
    read_nodes,
    scalar,
)
from detector.rules.file.parameters import GIVEN, NAME, NAME_FORM, is_taken, read_params
from detector.rules.file.template import read_template
from detector.rules.file.version import book_version, versioned
from detector.rules.language.checker import Checker, first_token
from detector.rules.language.diagnostics import (
    Diagnostic,
    Diagnostics,
    Location,
    RulesError,
    suggestion,
)
from detector.rules.language.lexer import ExpressionError
from detector.rules.language.syntax import MAX_DEPTH, Syntax, parse
from detector.rules.language.tree import (
    Binary,
    Given,
    Kind,
    Literal,
    Mode,
    Node,
    Rule,
    Rulebook,
    Slot,
)
from detector.rules.language.tree_queries import currencies, size_and_depth, with_window

__all__ = ["RulesError", "load", "load_file", "read_text"]

_FORMAT = "1"
_REQUIRED = ("name", "mode", "observed", "threshold", "reason")
_OPTIONAL = ("params", "when", "source", "tests")
# Nodes of all expressions, for each currency that has code of its own. The shipped ten have 216.
# Each becomes 50 characters of Python or so, and never more than 250.
MAX_NODES = 100_000
_MEASURES = (Kind.INT, Kind.DOUBLE, Kind.MONEY, Kind.DURATION)
_WRONG = Literal(Kind.BOOL, value=False)  # stands for an expression in which there is a mistake


def load_file(path: Path) -> Rulebook:
    """The rules of a file.

    Raises:
        RulesError: it can't be read, or there are mistakes in it.
    """
    return load(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a rules file; of one that is too large, as much as shows that it is.

    Raises:
        RulesError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            read = file.read(MAX_BYTES + 1)
        return read.decode(errors="strict" if len(read) <= MAX_BYTES else "replace")
    except OSError as error:
        raise _unreadable(path, f"can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"byte {error.start} of the file is not UTF-8") from error


def load(text: str, name: str = "rules.yaml") -> Rulebook:
    """The rules that a text holds; `name` is what messages call it.

    Raises:
        RulesError: there are mistakes in it.
    """
    mistakes = Diagnostics(name)
    rulebook = _rulebook(read_nodes(text, name), mistakes)
    mistakes.raise_any()
    return rulebook


def _unreadable(path: Path, message: str) -> RulesError:
    return RulesError(str(path), [Diagnostic(Location(1, 1), message)])


def _rulebook(node: YamlNode, mistakes: Diagnostics) -> Rulebook:
    given = fields(node, "a rules file", ["format", "rules"], [], mistakes)
    if "format" in given:
        format_ = scalar(given["format"], "format", mistakes)
        if format_ and format_.text != _FORMAT:
            mistakes.add(format_.location, f'format is "{format_.text}", it must be {_FORMAT}')
    rules: dict[str, Rule] = {}
    case_reader = InlineTestReader(mistakes)
    for each in listed(given["rules"], "rules", mistakes) if "rules" in given else ():
        rule = _RuleReader(each, case_reader, mistakes).rule()
        if rule.name in rules:
            first = rules[rule.name].line
            mistakes.add(
                each.location, f'a second rule "{rule.name}"; the first is on line {first}'
            )
        rules[rule.name] = rule
    if "rules" in given:
        _require_small(rules.values(), given["rules"].location, mistakes)
    return Rulebook(tuple(rules.values()), book_version(rules.values()))


def number_of_nodes(rules: Iterable[Rule]) -> int:
    """What the code of rules grows with: the nodes of their expressions, in each currency."""
    known = [*rules]
    return sum(_size(rule)[0] for rule in known) * (len(currencies(known)) + 1)


def _size(rule: Rule) -> tuple[int, int]:
    """How many nodes a rule has, and how deep it is."""
    given = {name: size_and_depth(getattr(rule, name)) for name in GIVEN}
    when, depth = size_and_depth(rule.when, given)
    return when + sum(size for size, _ in given.values()), depth


def _require_small(rules: Iterable[Rule], location: Location, mistakes: Diagnostics) -> None:
    known = [*rules]
    number = number_of_nodes(known)
    if number > MAX_NODES:
        what = f"the rules have {number} parts, in all currencies; the limit is {MAX_NODES}"
        mistakes.add(location, what)
    for rule in known:
        if _size(rule)[1] > MAX_DEPTH:
            what = f'"{rule.name}" is nested too deeply, with what observed and threshold stand for'
            mistakes.add(Location(rule.line, 1), f"{what}; the limit is {MAX_DEPTH}")


class _RuleReader:
    """Reads one rule. What it gives is of use only when there is no mistake in the end."""

    def __init__(
        self, node: YamlNode, case_reader: InlineTestReader, mistakes: Diagnostics
    ) -> None:
        self._location = node.location
        self._mistakes = mistakes
        self._case_reader = case_reader
        self._given = fields(node, "a rule", _REQUIRED, _OPTIONAL, mistakes)
        params = self._given.get("params")
        self._keyed = read_params(params, mistakes) if params else {}
        self._params = {name: param for name, (_, param) in self._keyed.items()}
        self._used: set[str] = set()  # parameters that something names

    def rule(self) -> Rule:
        observed, threshold, when = self._expressions()
        reason = self._reason()
        if not any(node is _WRONG for node in (observed, threshold, when)):
            self._require_use()
        tests = self._given.get("tests")
        rule = Rule(
            name=self._name(),
            mode=self._mode(),
            params=self._params,
            observed=observed,
            threshold=threshold,
            when=when,
            reason=reason,
            source=self._text("source"),
            tests=self._case_reader.cases(tests) if tests else (),
            version="",
            line=self._location.line,
            window_ms=None,
        )
        return versioned(with_window(rule))

    def _scalar(self, key: str) -> ScalarNode | None:
        return scalar(self._given[key], key, self._mistakes) if key in self._given else None

    def _text(self, key: str) -> str:
        found = self._scalar(key)
        return found.text if found else ""

    def _name(self) -> str:
        found = self._scalar("name")
        if found and not NAME.fullmatch(found.text):
            self._mistakes.add(found.location, f'"{found.text}" is no name for a rule: {NAME_FORM}')
        return found.text if found else f"on line {self._location.line}"

    def _mode(self) -> Mode:
        found = self._scalar("mode")
        if found and found.text not in list(Mode):
            hint = suggestion(found.text, Mode) or f"; it is one of {', '.join(Mode)}"
            self._mistakes.add(found.location, f'unknown mode "{found.text}"{hint}')
            return Mode.OFF
        return Mode(found.text) if found else Mode.OFF

    def _expressions(self) -> tuple[Node, Node, Node]:
        """What is observed, its threshold, and when the rule fires."""
        checker = Checker(self._params, {})
        observed = self._expression(
            "observed", lambda syntax: _measured(checker, syntax, "observed")
        )
        kind = _kind(observed)
        threshold = self._expression("threshold", lambda syntax: _threshold(checker, syntax, kind))
        kind = kind or _kind(threshold)
        condition = Checker(self._params, dict.fromkeys(GIVEN, kind or Kind.INT))
        when = self._expression("when", lambda syntax: _condition(condition, syntax, kind))
        if "when" not in self._given and kind:
            when = Binary(Kind.BOOL, ">=", Given(kind, "observed"), Given(kind, "threshold"))
        self._used |= checker.used | condition.used
        return observed, threshold, when

    def _expression(self, key: str, check: Callable[[Syntax], Node]) -> Node:
        found = self._scalar(key)
        if found is None:
            return _WRONG
        try:
            return check(parse(found.text))
        except ExpressionError as error:
            for offset, message in error.mistakes:
                self._mistakes.add(found.place_of(offset), message)
            return _WRONG

    def _reason(self) -> tuple[str | Slot, ...]:
        found = self._scalar("reason")
        if found is None:
            return ()
        parts = read_template(found, self._params, self._mistakes)
        self._used |= {part.name for part in parts if isinstance(part, Slot)}
        return parts

    def _require_use(self) -> None:
        for name, (key, _) in self._keyed.items():
            if name not in self._used and not is_taken(name):
                self._mistakes.add(key.location, f"parameter {name} is not used")


def _kind(node: Node) -> Kind | None:
    return cast("Kind", node.type) if node is not _WRONG else None


def _measured(checker: Checker, syntax: Syntax, what: str) -> Node:
    found = checker.check(syntax)
    if found.type not in _MEASURES:
        message = f"{what} must be one of {', '.join(_MEASURES)}, not {found.type}"
        raise ExpressionError(first_token(syntax).offset, message)
    return found


def _threshold(checker: Checker, syntax: Syntax, kind: Kind | None) -> Node:
    if kind is None:
        return _measured(checker, syntax, "threshold")
    return checker.check_as(syntax, kind, "threshold, like observed,")


def _condition(checker: Checker, syntax: Syntax, kind: Kind | None) -> Node:
    """What `when` says; nothing can be said of it where the type of observed isn't known."""
    return checker.check_as(syntax, Kind.BOOL, "when") if kind else _WRONG
