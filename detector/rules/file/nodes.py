"""YAML as nodes: every value with its location, and as text, whatever it looks like.

A plain load of YAML takes `off` for False and `010` for 8, and keeps the last of two equal keys.
Aliases and tags, which make a file mean more than it says, are refused; so are code points that no
text can have, such as "\\ud800", which could not be written to Kafka.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import yaml
from yaml.error import Mark
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from detector.rules.language.diagnostics import Diagnostics, Location, suggestion

MAX_BYTES = 256 << 10
_MAX_DEPTH = 16
_SURROGATE = re.compile("[\ud800-\udfff]")
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A value without parts. `written` is how it stands in the file, quotes and all."""

    location: Location
    text: str
    style: str | None = field(repr=False)
    written: str = field(repr=False)

    def place_of(self, offset: int) -> Location:
        """Where in the file a character of the text stands, or its end."""
        position = self._start()
        for character in self.text[: offset + 1]:
            if not character.isspace():
                position = self.written.find(character, position) + 1
                if not position:
                    return self.location  # it was written as an escape
        before = self.written[: position - 1 if offset < len(self.text) else position]
        breaks = list(_LINE_BREAK.finditer(before))
        if breaks:
            return Location(self.location.line + len(breaks), len(before) - breaks[-1].end() + 1)
        return Location(self.location.line, self.location.column + len(before))

    def _start(self) -> int:
        """Where the text begins, behind a quote or the line with a block's sign."""
        if self.style in {"|", ">"}:
            first = _LINE_BREAK.search(self.written)
            return first.end() if first else 0
        return 1 if self.style else 0


@dataclass(frozen=True, slots=True)
class SequenceNode:
    """A list."""

    location: Location
    values: "tuple[YamlNode, ...]"


@dataclass(frozen=True, slots=True)
class MappingNode:
    """Keys and values, equal keys too."""

    location: Location
    pairs: "tuple[tuple[ScalarNode, YamlNode], ...]"


YamlNode = ScalarNode | SequenceNode | MappingNode


def read_nodes(text: str, name: str) -> YamlNode:
    """The one document of a YAML file.

    Raises:
        RulesError: the text is too large, is no YAML, or has what a rules file can't have.
    """
    mistakes = Diagnostics(name)
    if len(text.encode(errors="replace")) > MAX_BYTES:
        mistakes.fail(Location(1, 1), f"the file is larger than {MAX_BYTES >> 10} KiB")
    try:
        root = _Reader(text, mistakes).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        location = _at(mark) if mark else Location(1, 1)
        mistakes.fail(location, f"no YAML: {_problem(error)}")
    except yaml.reader.ReaderError as error:
        location = _place_at(text, error.position)
        mistakes.fail(location, "no YAML: a character that it can't have")
    mistakes.raise_any()
    return root


def pairs(
    node: YamlNode, what: str, mistakes: Diagnostics
) -> Iterator[tuple[ScalarNode, YamlNode]]:
    """The keys and values of a mapping, the first of equal keys."""
    if not isinstance(node, MappingNode):
        mistakes.add(node.location, f"{what} must have keys and values, such as a: 1")
        return
    seen: dict[str, Location] = {}
    for key, value in node.pairs:
        if key.text in seen:
            line = seen[key.text].line
            mistakes.add(key.location, f'"{key.text}" stands twice; first on line {line}')
        else:
            seen[key.text] = key.location
            yield key, value


def fields(
    node: YamlNode,
    what: str,
    required: Iterable[str],
    optional: Iterable[str],
    mistakes: Diagnostics,
) -> dict[str, YamlNode]:
    """The values of a mapping by their keys, which must be known ones."""
    known = {*required, *optional}
    found = {}
    for key, value in pairs(node, what, mistakes):
        if key.text in known:
            found[key.text] = value
        else:
            hint = suggestion(key.text, sorted(known)) or f"; it has {', '.join(sorted(known))}"
            mistakes.add(key.location, f'{what} has no "{key.text}"{hint}')
    missing = [key for key in required if key not in found]
    if missing and isinstance(node, MappingNode):
        mistakes.add(node.location, f"{what} lacks {', '.join(missing)}")
    return found


def listed(node: YamlNode, what: str, mistakes: Diagnostics) -> tuple[YamlNode, ...]:
    """The values of a list, of which there must be one at least."""
    if not isinstance(node, SequenceNode) or not node.values:
        mistakes.add(node.location, f"{what} must be a list, of one at least")
        return ()
    return node.values


def scalar(node: YamlNode, what: str, mistakes: Diagnostics) -> ScalarNode | None:
    """A value without parts, which must not be empty."""
    if isinstance(node, ScalarNode) and node.text.strip():
        return node
    mistakes.add(node.location, f"{what} must be a text or a number")
    return None


class _Reader:
    """Makes nodes from YAML's events; what is wrong but understood is reported on the way."""

    def __init__(self, text: str, mistakes: Diagnostics) -> None:
        self._text = text
        self._mistakes = mistakes
        self._loader: Any = yaml.SafeLoader(text)  # its methods have no types

    def document(self) -> YamlNode:
        self._next()  # the stream begins
        if not isinstance(self._next(), DocumentStartEvent):
            self._mistakes.fail(Location(1, 1), "the file is empty")
        root = self._node(self._next(), 0)
        self._next()  # the document ends
        following = self._next()
        if isinstance(following, DocumentStartEvent):
            self._mistakes.add(_location(following), "a second document; a file has one")
        return root

    def _node(self, event: Event, depth: int) -> YamlNode:
        location = _location(event)
        if depth > _MAX_DEPTH:
            self._mistakes.fail(location, f"nested too deeply; the limit is {_MAX_DEPTH}")
        self._require_plain(event, location)
        if isinstance(event, MappingStartEvent):
            return MappingNode(location, tuple(self._pairs(depth)))
        if isinstance(event, SequenceStartEvent):
            values = [self._node(each, depth + 1) for each in self._until_end()]
            return SequenceNode(location, tuple(values))
        if isinstance(event, ScalarEvent):
            written = self._text[_mark(event.start_mark).index : _mark(event.end_mark).index]
            if surrogate := _SURROGATE.search(event.value):
                what = f"{surrogate[0]} is half of a character; write all of it as one"
                self._mistakes.add(location, what)
            return ScalarNode(location, event.value, event.style, written)
        return ScalarNode(location, "", None, "")  # an alias, which has been refused

    def _pairs(self, depth: int) -> Iterator[tuple[ScalarNode, YamlNode]]:
        for event in self._until_end():
            key = self._node(event, depth + 1)
            value = self._node(self._next(), depth + 1)
            if isinstance(key, ScalarNode):
                yield key, value
            else:
                self._mistakes.add(key.location, "a key must be a text")

    def _until_end(self) -> Iterator[Event]:
        while not isinstance(event := self._next(), CollectionEndEvent):
            yield event

    def _next(self) -> Event:
        try:
            return cast("Event", self._loader.get_event())
        except (ValueError, OverflowError):  # of chr and int, which the parser calls
            location = _at(self._loader.get_mark())
            self._mistakes.fail(location, "no YAML: an escape or a number that is out of range")

    def _require_plain(self, event: Event, location: Location) -> None:
        quote = "in a text that begins so, put quotes around it"
        if isinstance(event, AliasEvent):
            self._mistakes.add(location, f"an alias, *{event.anchor}, is not allowed; {quote}")
        elif isinstance(event, NodeEvent) and event.anchor is not None:
            self._mistakes.add(location, f"an anchor, &{event.anchor}, is not allowed; {quote}")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._mistakes.add(location, f"a tag, {tag}, is not allowed; {quote}")


def _mark(mark: object) -> Mark:
    return cast("Mark", mark)  # events of a parser always have them


def _location(event: Event) -> Location:
    return _at(_mark(event.start_mark))


def _at(mark: Mark) -> Location:
    return Location(mark.line + 1, mark.column + 1)


def _place_at(text: str, index: int) -> Location:
    breaks = list(_LINE_BREAK.finditer(text[:index]))
    return Location(len(breaks) + 1, index - (breaks[-1].end() if breaks else 0) + 1)


def _problem(error: yaml.MarkedYAMLError) -> str:
    """What YAML's parser says, on one line."""
    said = " ".join([part for part in (error.context, error.problem) if part])
    hint = (
        '; put quotes around a text that has ": " in it'
        if error.problem == "mapping values are not allowed here"
        else ""
    )
    return said + hint
