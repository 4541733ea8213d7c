"""Explains a verdict: a sentence for each rule that fired, with the rule as it was then."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from textwrap import indent

from detector.domain.printable import clean, clean_lines
from detector.rules.language.tree import Rulebook
from detector.rules.tools.source_excerpt import excerpt
from detector.wire.verdicts import Judged, Reason, utc


@dataclass(frozen=True)
class RulesText:
    """A rules file: what it is called, its text, and the rules in it."""

    name: str
    text: str
    book: Rulebook


RulesOf = Callable[[str], list[RulesText]]
"""The rules files that a version may be found in, the likeliest first."""


def explanation(record: Judged, rules_of: RulesOf) -> Iterator[str]:
    """Lines for a person."""
    time = "" if record.time_ms is None else f", {utc(record.time_ms)}"
    yield f"{clean(record.record_id) or 'the record'}: {record.payment}{time}"
    for reason in record.reasons:
        yield f"{clean(reason.rule)}: {clean(reason.text)}"
        yield f"  {reason.figures()}"
        if window := reason.window():
            yield f"  {window}"
        yield from _definition(reason, record.rules_version, rules_of)
    if not record.reasons:
        yield "no rule that is active fired."
    if record.shadow_rules:
        yield f"in shadow, without effect: {', '.join(record.shadow_rules)}"
    if record.partial:
        yield "history: partial: not all that the rules' windows reach back to was known."


def _definition(reason: Reason, version: str, rules_of: RulesOf) -> Iterator[str]:
    name, its_version = clean(reason.rule), clean(reason.rule_version)
    for source in rules_of(version):
        for rule in source.book.rules:
            if (rule.name, rule.version) == (reason.rule, reason.rule_version):
                yield f"  the rule, version {its_version} of rules {version}, as in {source.name}:"
                yield indent(clean_lines(excerpt(source.text, source.book, rule)), "    ")
                return
    yield f"  its text is not at hand: no rules file has {name} in version {its_version}"


def remembering(rules_of: RulesOf) -> RulesOf:
    """The same, looked up once for each version."""
    return cache(rules_of)
