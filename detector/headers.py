"""The headers that the detector appends to records: their names, and their bytes."""

from functools import lru_cache

from detector.careful import Unreadable
from detector.rules import Matched, Verdict
from kafka_batch import Header, HeaderBlock, HeaderFrame

RULES, REASONS, RULES_VERSION = "rules", "reasons", "rules_version"
HISTORY, SHADOW_RULES = "history", "shadow_rules"
ERROR, ERROR_DETAIL = "error", "error_detail"
ORIGIN, ORIGIN_TIMESTAMP = "origin", "origin_timestamp"

_CACHED = 1 << 12


def verdict_headers(verdict: Verdict) -> HeaderBlock | None:
    """What is appended to a record that was judged; None where no rule fired."""
    matched, rules_version, reasons, partial = verdict
    if matched.active:
        return _frame(matched, rules_version, partial).around(reasons)
    return _shadow_alone(matched) if matched.shadow else None


def dead_letter_headers(
    fault: Unreadable, origin: str, origin_timestamp_ms: int | None = None
) -> HeaderBlock:
    """What is appended to a dead letter; `origin_timestamp_ms` where it gets another timestamp."""
    headers = _error(fault).then((ORIGIN, origin.encode()))
    if origin_timestamp_ms is None:
        return headers
    return headers.then((ORIGIN_TIMESTAMP, b"%d" % origin_timestamp_ms))


@lru_cache(_CACHED)
def _frame(matched: Matched, rules_version: str, partial: bool) -> HeaderFrame:  # noqa: FBT001
    after: list[Header] = [(RULES_VERSION, rules_version.encode())]
    if partial:
        after.append((HISTORY, b"partial"))
    if matched.shadow:
        after.append((SHADOW_RULES, _names(matched.shadow)))
    return HeaderFrame([(RULES, _names(matched.active))], REASONS, after)


@lru_cache(_CACHED)
def _shadow_alone(matched: Matched) -> HeaderBlock:
    return HeaderBlock.of([(SHADOW_RULES, _names(matched.shadow))])


@lru_cache(_CACHED)
def _error(fault: Unreadable) -> HeaderBlock:
    return HeaderBlock.of([(ERROR, fault.code.encode()), (ERROR_DETAIL, fault.detail.encode())])


def _names(rules: tuple[str, ...]) -> bytes:
    return ",".join(rules).encode()
