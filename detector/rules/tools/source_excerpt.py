"""A rule as its author wrote it."""

import textwrap
from collections.abc import Iterator, Sequence

from detector.rules.language.tree import Rule, Rulebook


def excerpt(text: str, book: Rulebook, rule: Rule) -> str:
    """The lines of a rules file that define a rule of it, without its tests; `book` is what the
    file was read as."""
    lines = text.splitlines()
    later = [other.line for other in book.rules if other.line > rule.line]
    own = lines[rule.line - 1 : min(later, default=len(lines) + 1) - 1]
    kept = [*_without_tests(own)]
    while kept and kept[-1].lstrip()[:1] in {"", "#"}:  # what stands above the next rule
        kept.pop()
    return textwrap.dedent("\n".join(kept))


def _without_tests(lines: Sequence[str]) -> Iterator[str]:
    first = lines[0]
    keys_at = len(first) - len(first.lstrip("- "))  # the column of the rule's own keys
    in_tests = False
    for line in lines:
        if line[:keys_at].strip("- ") or line[keys_at : keys_at + 1] not in {"", " ", "-"}:
            in_tests = line[keys_at:].startswith("tests:")
        if not in_tests:
            yield line
