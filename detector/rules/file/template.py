"""The sentence that a rule gives as its reason, with slots in braces."""

import re
from collections.abc import Collection

from detector.rules.file.nodes import ScalarNode
from detector.rules.language.diagnostics import Diagnostics, suggestion
from detector.rules.language.tree import Slot

_SLOTS = ("observed", "threshold", "currency", "amount", "source", "target")
_BRACES = re.compile(r"(\{\{|\}\}|\{[^{}]*\}|[{}])")
_ONE_LINE = re.compile(r"[^\x00-\x1f\x7f\x85\u2028\u2029]{1,500}")


def read_template(
    found: ScalarNode, params: Collection[str], mistakes: Diagnostics
) -> tuple[str | Slot, ...]:
    """The sentence in parts: text, and slots, which name a parameter or something of the hit.
    `{{` and `}}` stand for braces."""
    if not _ONE_LINE.fullmatch(found.text):
        mistakes.add(found.location, "a reason is one line of up to 500 characters")
    parts: list[str | Slot] = []
    text, offset = "", 0
    for piece in _BRACES.split(found.text):
        if piece in {"{{", "}}"}:
            text += piece[0]
        elif piece[:1] in {"{", "}"}:
            problem = _problem(piece, params)
            if problem:
                mistakes.add(found.place_of(offset), problem)
            parts += [text, Slot(piece[1:-1])]
            text = ""
        else:
            text += piece
        offset += len(piece)
    return tuple([part for part in [*parts, text] if part != ""])


def _problem(piece: str, params: Collection[str]) -> str:
    """What is wrong with a piece that should be {a slot}; nothing where it is right."""
    if len(piece) == 1:
        return f'"{piece}" stands alone; {{name}} is a slot, and "{piece * 2}" a brace'
    name, known = piece[1:-1], [*params, *_SLOTS]
    return "" if name in known else f'unknown slot "{name}"{suggestion(name, known)}'
