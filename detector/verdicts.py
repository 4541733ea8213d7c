"""A verdict as the detector wrote it on a record, read back for people."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from detector.careful import Unreadable
from detector.money import in_words
from detector.rules.reasons import duration_in_words
from detector.transaction import parse

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TABLE = dict.fromkeys([*range(32), *range(127, 160)], "?")  # what a terminal would obey


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
        observed, threshold = self._in_words(self.observed), self._in_words(self.threshold)
        return f"observed {observed}, threshold {threshold}"

    def window(self) -> str | None:
        """When the rule's window began and ended; None for a rule without one."""
        if self.window_ms is None or self.since_ms is None:
            return None
        began, ended = utc(self.since_ms), utc(self.since_ms + self.window_ms)
        return f"window of {duration_in_words(self.window_ms)}: after {began}, up to {ended}"

    def _in_words(self, value: str | float | None) -> str:
        if self.unit == "ms" and isinstance(value, int):
            return duration_in_words(value)
        return clean(f"{value} {self.unit}" if self.unit else f"{value}")


@dataclass(frozen=True)
class Judged:
    """A record with a verdict: where it stands, its event time if that is known, its value, the
    reasons, the version of the rules, and which rules fired in shadow."""

    place: str
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
        amount = f"{in_words(found.amount, currency)} {currency}"
        return f"{amount} from {found.source.decode()} to {found.target.decode()}"


def judged(
    place: str,
    time_ms: int | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes | None]],
) -> Judged | None:
    """What headers say; None where there is no verdict of ours among them.

    The last header of a name counts: those before came with the record.
    """
    known = {name: content or b"" for name, content in headers}
    if not known.keys() & {"reasons", "shadow_rules"}:
        return None
    try:
        reasons = msgspec.json.decode(known.get("reasons", b"[]"), type=tuple[Reason, ...])
    except msgspec.MsgspecError:
        return None
    return Judged(
        place,
        time_ms,
        value,
        reasons,
        clean(_text(known, "rules_version")),
        [clean(name) for name in _text(known, "shadow_rules").split(",") if name],
        known.get("history") == b"partial",
    )


_VERSION = re.compile("(?:^|,)rules_version:([0-9a-f]{12})")
_SHADOW = re.compile("(?:^|,)shadow_rules:([a-z0-9_]+(?:,[a-z0-9_]+(?![a-z0-9_]*:))*)")
_TIME = re.compile("(?:CreateTime|LogAppendTime):([0-9]{1,15})")


def from_the_console(line: str) -> Judged | None:
    """A line of kafka-console-consumer with print.headers=true, and as many other properties as
    one likes; None where it holds no verdict."""
    columns = line.rstrip("\n").split("\t")
    text = next((part for part in columns if "reasons:[" in part or "shadow_rules:" in part), None)
    if text is None:
        return None
    headers: list[tuple[str, bytes | None]] = []
    _, _, rest = text.partition("reasons:")
    if rest.startswith("["):
        try:
            _, end = json.JSONDecoder().raw_decode(rest)
        except ValueError:
            return None
        headers.append(("reasons", rest[:end].encode()))
        text = rest[end:]
    for name, found in (("rules_version", _VERSION), ("shadow_rules", _SHADOW)):
        if match := found.search(text):
            headers.append((name, match[1].encode()))
    if ",history:partial" in text:
        headers.append(("history", b"partial"))
    time = next((its for part in columns if (its := _TIME.fullmatch(part))), None)
    time_ms = int(time[1]) if time else None
    return judged(_place(columns), time_ms, columns[-1].encode(), headers)


def _place(columns: Sequence[str]) -> str:
    given = dict(part.split(":", 1) for part in columns[:-1] if part.count(":") == 1)
    if "Partition" in given and "Offset" in given:
        return f"partition {given['Partition']}, offset {given['Offset']}"
    return ""


def _text(headers: Mapping[str, bytes], name: str) -> str:
    return headers.get(name, b"").decode(errors="replace")


def utc(time_ms: int) -> str:
    """A point in time, to the millisecond."""
    try:
        moment = _EPOCH + timedelta(milliseconds=time_ms)
    except OverflowError:
        return f"{time_ms} ms"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{time_ms % 1000:03} UTC"


def clean(text: str) -> str:
    """The text without what a terminal would obey."""
    return text.translate(_TABLE)
