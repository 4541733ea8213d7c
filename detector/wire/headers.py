"""The headers that the detector appends to records: their names, and their bytes.

The first is `judged`: which record of the input this is, and which rules judged it. A reader takes
the last header of that name, and what follows it, for the detector's (`detector.wire.verdicts`).
"""

from functools import lru_cache

from detector.rules import Matched, Verdict
from detector.wire.strict_reader import Unreadable
from kafka_batch import Header, HeaderBlock, HeaderTemplate

JUDGED = "judged"
RULES, REASONS, RULES_VERSION = "rules", "reasons", "rules_version"
HISTORY, SHADOW_RULES = "history", "shadow_rules"
ERROR, ERROR_DETAIL = "error", "error_detail"
ORIGIN, ORIGIN_TIMESTAMP = "origin", "origin_timestamp"

VERDICT_HEADERS = frozenset({JUDGED, RULES, REASONS, RULES_VERSION, HISTORY, SHADOW_RULES})

_CACHED = 1 << 12
_NONE = HeaderBlock.of(())


def judged_headers(origin: bytes, rules_version: bytes, headers: HeaderBlock | None) -> HeaderBlock:
    """These headers behind the one that marks them as the detector's; `origin` is
    topic/partition/offset of the record."""
    return (headers or _NONE).after(JUDGED, b"%b;rules=%b" % (origin, rules_version))


def verdict_headers(verdict: Verdict) -> HeaderBlock | None:
    """What is appended to a record that was judged; None where no rule fired."""
    matched, rules_version, reasons, partial = verdict
    if matched.active:
        return _frame(matched, rules_version, partial).render(reasons)
    return _shadow_alone(matched) if matched.shadow else None


def dead_letter_headers(
    fault: Unreadable, origin: bytes, origin_timestamp_ms: int | None = None
) -> HeaderBlock:
    """What is appended to a dead letter; `origin_timestamp_ms` where it gets another timestamp."""
    headers = _error(fault).extended((ORIGIN, origin))
    if origin_timestamp_ms is None:
        return headers
    return headers.extended((ORIGIN_TIMESTAMP, b"%d" % origin_timestamp_ms))


@lru_cache(_CACHED)
def _frame(matched: Matched, rules_version: str, partial: bool) -> HeaderTemplate:  # noqa: FBT001
    after: list[Header] = [(RULES_VERSION, rules_version.encode())]
    if partial:
        after.append((HISTORY, b"partial"))
    if matched.shadow:
        after.append((SHADOW_RULES, _names(matched.shadow)))
    return HeaderTemplate([(RULES, _names(matched.active))], REASONS, after)


@lru_cache(_CACHED)
def _shadow_alone(matched: Matched) -> HeaderBlock:
    return HeaderBlock.of([(SHADOW_RULES, _names(matched.shadow))])


@lru_cache(_CACHED)
def _error(fault: Unreadable) -> HeaderBlock:
    return HeaderBlock.of([(ERROR, fault.code.encode()), (ERROR_DETAIL, fault.detail.encode())])


def _names(rules: tuple[str, ...]) -> bytes:
    return ",".join(rules).encode()
