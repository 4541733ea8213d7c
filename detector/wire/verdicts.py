"""A verdict as the detector wrote it on a record, read back for people.

A record keeps the headers that its sender gave it, whatever their names. The detector's own follow
the last `judged` header, whose content is `topic/partition/offset;rules=version`: which record of
the input this is, and which rules judged it. A record that carries no verdict has no such header,
unless its sender used one of these names. So nothing that a sender wrote passes for a verdict.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from detector.domain.money import format_amount
from detector.domain.printable import clean
from detector.rules.engine.reasons import format_duration
from detector.wire.headers import JUDGED, VERDICT_HEADERS
from detector.wire.strict_reader import Unreadable
from detector.wire.transaction import parse

_MARK = re.compile(r"[A-Za-z0-9._-]{1,249}/[0-9]{1,10}/[0-9]{1,19};rules=([0-9a-f]{12})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Reason(msgspec.Struct, frozen=True):
    """Why a rule fired: one element of the header `reasons`. Money is text with decimals."""

    rule: str
    text: str
    rule_version: str = ""
    observed: str | float | int | None = None
    threshold: str | float | int | None = None
    unit: str | None = None
    window_ms: int | None = None
    since_ms: int | None = None

    def figures(self) -> str:
        """What was observed, and its threshold, with their unit."""
        observed, threshold = self._format(self.observed), self._format(self.threshold)
        return f"observed {observed}, threshold {threshold}"

    def window(self) -> str | None:
        """When the rule's window began and ended; None for a rule without one."""
        if self.window_ms is None or self.since_ms is None:
            return None
        began, ended = utc(self.since_ms), utc(self.since_ms + self.window_ms)
        return f"window of {format_duration(self.window_ms)}: after {began}, up to {ended}"

    def _format(self, value: str | float | None) -> str:
        if self.unit == "ms" and isinstance(value, int):
            return format_duration(value)
        return clean(f"{value} {self.unit}" if self.unit else f"{value}")


@dataclass(frozen=True)
class Judged:
    """A record with a verdict: where it stands, its event time if that is known, its value, the
    reasons, the version of the rules, and which rules fired in shadow."""

    record_id: str
    time_ms: int | None
    value: bytes | None
    reasons: Sequence[Reason]
    rules_version: str
    shadow_rules: Sequence[str]
    partial: bool

    @property
    def payment(self) -> str:
        """Who paid how much to whom."""
        found = parse(self.value)
        if isinstance(found, Unreadable):
            return f"what can't be read ({found.code})"
        currency = found.currency.decode()
        amount = f"{format_amount(found.amount, currency)} {currency}"
        return f"{amount} from {found.source.decode()} to {found.target.decode()}"


def judged(
    record_id: str,
    time_ms: int | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes | None]],
) -> Judged | None:
    """What the headers of a record that the detector wrote say; None where that is no verdict."""
    ours: dict[str, str] = {}
    for name, content in headers:
        if name == JUDGED:
            ours.clear()
        if name == JUDGED or ours:
            ours[name] = (content or b"").decode(errors="replace")
    mark = _MARK.fullmatch(ours.get(JUDGED, ""))
    if mark is None or "error" in ours:  # a dead letter
        return None
    try:
        reasons = msgspec.json.decode(ours.get("reasons", "[]"), type=tuple[Reason, ...])
    except msgspec.MsgspecError:
        return None
    return Judged(
        record_id=record_id,
        time_ms=time_ms,
        value=value,
        reasons=reasons,
        rules_version=mark[1],
        shadow_rules=[clean(name) for name in ours.get("shadow_rules", "").split(",") if name],
        partial=ours.get("history") == "partial",
    )


_MARK_IN_LINE = re.compile(f"{JUDGED}:({_MARK.pattern})")
_NAME_IN_LINE = re.compile(f",({'|'.join(sorted(VERDICT_HEADERS))}):")
_TIME = re.compile("(?:CreateTime|LogAppendTime):([0-9]{1,15})")


class AmbiguousLine(ValueError):
    """A line in which a header, the key or the value looks like the detector's own headers."""


def from_the_console(line: str) -> Judged | None:
    """The verdict in a line of kafka-console-consumer with print.headers=true, and as many other
    properties as one likes; None where there is none.

    The console quotes nothing: what a sender wrote can look like a verdict. So the line is
    believed, but what is made of it says that it comes from a line.

    Raises:
        AmbiguousLine: several columns look like a verdict.
    """
    marks = [*_MARK_IN_LINE.finditer(line)]
    if not marks:
        return None
    last = marks[-1]
    if "\t" in line[marks[0].start() : last.start()]:
        raise AmbiguousLine("several parts of this line look like a verdict")
    headers, _, behind = line[last.end() :].rstrip("\n").partition("\t")
    parts = _NAME_IN_LINE.split(headers)
    ours = [(JUDGED, last[1]), *zip(parts[1::2], parts[2::2], strict=True)]
    columns = line[: last.start()].split("\t")
    time = next((match for column in columns if (match := _TIME.fullmatch(column))), None)
    return judged(
        f"{last[1].partition(';')[0]} of the input, as this line has it",
        int(time[1]) if time else None,
        behind.rpartition("\t")[2].encode(errors="replace"),
        [(name, text.encode(errors="replace")) for name, text in ours],
    )


def utc(time_ms: int) -> str:
    """A point in time, to the millisecond."""
    try:
        moment = _EPOCH + timedelta(milliseconds=time_ms)
    except OverflowError:
        return f"{time_ms} ms"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{time_ms % 1000:03} UTC"
