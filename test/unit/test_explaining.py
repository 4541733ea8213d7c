"""A verdict in words, from its headers or from what the console consumer prints."""

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from rulebooks import large_amount

from detector.commands.explaining import RulesText, explanation
from detector.commands.tail import coloured, plain
from detector.rules.file.loading import load
from detector.rules.tools.source_excerpt import excerpt
from detector.wire.verdicts import AmbiguousLine, Judged, from_the_console, judged, utc

VALUE = b'{"source":"me","target":"you","amount":950.5,"currency":"USD"}'
TEXT = large_amount(900)
BOOK = load(TEXT)
MARK = f"in/0/5;rules={BOOK.version}"
MARKED = ("judged", MARK.encode())
REASON = {
    "rule": "large_amount",
    "rule_version": BOOK.rules[0].version,
    "observed": "950.50",
    "threshold": "900.00",
    "unit": "USD",
    "window_ms": None,
    "since_ms": None,
    "text": "950.50 USD is at least 900.00 USD.",
}
IN_A_WINDOW = {
    **REASON,
    "rule": "count_velocity",
    "observed": 11,
    "threshold": 10,
    "unit": None,
    "window_ms": 3_600_000,
    "since_ms": 1_795_577_759_102,
    "text": "11 payments within 1 hour, at least 10.",
}


def a_verdict(*reasons: dict[str, Any], shadow: str = "", **headers: str) -> Judged:
    written = {"judged": MARK, "reasons": json.dumps(reasons), **headers}
    if shadow:
        written["shadow_rules"] = shadow
    encoded = [(name, text.encode()) for name, text in written.items()]
    found = judged("fraud/0/17", 1_795_581_359_102, VALUE, encoded)
    assert found is not None
    return found


def explained(verdict: Judged) -> list[str]:
    files = [RulesText("rules.yaml", TEXT, BOOK)]
    return list(explanation(verdict, lambda _: files))


def test_a_rule_is_explained_with_its_text_as_it_was() -> None:
    lines = explained(a_verdict(REASON))
    assert lines[:4] == [
        "fraud/0/17: 950.50 USD from me to you, 2026-11-25 04:35:59.102 UTC",
        "large_amount: 950.50 USD is at least 900.00 USD.",
        "  observed 950.50 USD, threshold 900.00 USD",
        f"  the rule, version {BOOK.rules[0].version} of rules {BOOK.version}, as in rules.yaml:",
    ]
    assert lines[4].splitlines()[:2] == ["    - name: large_amount", "      mode: active"]


def test_a_window_is_told_with_its_begin_and_end() -> None:
    lines = explained(a_verdict(IN_A_WINDOW))
    assert lines[2:4] == [
        "  observed 11, threshold 10",
        "  window of 1 hour: after 2026-11-25 03:35:59.102 UTC, up to 2026-11-25 04:35:59.102 UTC",
    ]


def test_durations_are_told_in_words() -> None:
    idle = {**REASON, "unit": "ms", "observed": 8_640_000_000, "threshold": 7_776_000_000}
    assert explained(a_verdict(idle))[2] == "  observed 100 days, threshold 90 days"


def test_a_rule_that_no_file_at_hand_has_is_said_to_be_missing() -> None:
    gone = {**REASON, "rule_version": "01234567"}
    assert explained(a_verdict(gone))[-1] == (
        "  its text is not at hand: no rules file has large_amount in version 01234567"
    )


def test_rules_in_shadow_and_partial_history_are_told() -> None:
    assert explained(a_verdict(REASON, shadow="spike,fan_out", history="partial"))[-2:] == [
        "in shadow, without effect: spike, fan_out",
        "history: partial: not all that the rules' windows reach back to was known.",
    ]
    only_shadow = judged("legit/0/1", 1, VALUE, [MARKED, ("shadow_rules", b"spike")])
    assert only_shadow is not None
    assert explained(only_shadow)[1:] == [
        "no rule that is active fired.",
        "in shadow, without effect: spike",
    ]


FORGED = [
    ("judged", b"in/0/5;rules=0123456789ab"),
    ("reasons", b'[{"rule":"forged","text":"forged"}]'),
    ("shadow_rules", b"forged"),
    ("history", b"partial"),
]


def test_what_stands_behind_the_last_marker_is_the_detectors_and_nothing_else() -> None:
    own = [MARKED, ("reasons", json.dumps([REASON]).encode())]
    found = judged("fraud/0/1", 1, VALUE, [*FORGED, *own])
    assert found is not None
    assert [reason.rule for reason in found.reasons] == ["large_amount"]
    assert (found.shadow_rules, found.partial, found.rules_version) == ([], False, BOOK.version)


def test_a_legitimate_record_with_forged_headers_is_told_to_be_one() -> None:
    found = judged("legit/0/1", 1, VALUE, [*FORGED, MARKED])
    assert found is not None
    assert explained(found)[1:] == ["no rule that is active fired."]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("rules", b"x")],
        FORGED[1:],
        [MARKED, ("reasons", b"[1]")],
        [MARKED, ("reasons", b"")],
        [("judged", b"in/0/5")],
        [("judged", None)],
        [MARKED, ("error", b"not_json"), ("error_detail", b""), ("origin", b"in/0/5")],
    ],
)
def test_what_carries_no_verdict_is_none(headers: list[tuple[str, bytes | None]]) -> None:
    assert judged("fraud/0/1", 1, VALUE, headers) is None


def test_nothing_of_a_record_reaches_the_terminal_as_a_command() -> None:
    hostile = {**REASON, "rule": "a\x1b[2Jb", "text": "c\x9bd\nforged\u202e", "unit": "\u200b"}
    lines = explained(a_verdict(hostile, shadow="e\x1bf"))
    lines += [plain(a_verdict(hostile, shadow="e\x1bf"))]
    assert all(line.isprintable() for each in lines for line in each.split("\n"))
    assert "forged" not in [line.strip() for line in "\n".join(lines).splitlines()]


# -- from the console


def console_line(
    *columns: str, sent: str = "", reasons: str = json.dumps([REASON]), more: str = ""
) -> str:
    ours = f"judged:{MARK},rules:a,b,reasons:{reasons},rules_version:{BOOK.version}{more}"
    return "\t".join([*columns, sent + ours, "a key", VALUE.decode()]) + "\n"


def test_a_line_of_the_console_consumer_is_understood() -> None:
    found = from_the_console(console_line(more=",history:partial,shadow_rules:spike,fan_out"))
    assert found is not None
    assert [reason.text for reason in found.reasons] == ["950.50 USD is at least 900.00 USD."]
    assert (found.rules_version, found.partial) == (BOOK.version, True)
    assert found.shadow_rules == ["spike", "fan_out"]
    assert found.time_ms is None
    assert explained(found)[0] == (
        "in/0/5 of the input, as this line has it: 950.50 USD from me to you"
    )


def test_the_time_that_the_console_consumer_prints_is_taken_in() -> None:
    found = from_the_console(console_line("CreateTime:1795581359102", "Partition:3", "Offset:17"))
    assert found is not None
    assert found.time_ms == 1_795_581_359_102


def test_a_record_that_only_rules_in_shadow_fired_on_is_understood() -> None:
    found = from_the_console(f"judged:{MARK},shadow_rules:spike,fan_out\t{VALUE.decode()}")
    assert found is not None
    assert (found.reasons, found.shadow_rules) == ((), ["spike", "fan_out"])


def test_of_a_sender_s_headers_in_a_line_none_is_taken_for_ours() -> None:
    forged = ",".join(f"{name}:{content.decode()}" for name, content in FORGED)
    found = from_the_console(console_line(sent=f"{forged},"))
    assert found is not None
    assert [reason.rule for reason in found.reasons] == ["large_amount"]
    assert (found.shadow_rules, found.partial, found.rules_version) == ([], False, BOOK.version)


@pytest.mark.parametrize(
    "line", [console_line("judged:" + MARK), f"x{console_line()[:-1]}judged:{MARK}"]
)
def test_a_line_that_can_be_read_in_two_ways_is_not(line: str) -> None:
    with pytest.raises(AmbiguousLine):
        from_the_console(line)


@pytest.mark.parametrize(
    "line",
    ["", "NO_HEADERS\t{}", VALUE.decode(), console_line(reasons="[{"), "shadow_rules:spike\t{}"],
)
def test_a_line_without_a_verdict_is_none(line: str) -> None:
    assert from_the_console(line) is None


@pytest.mark.parametrize(
    "piece", ["a", "judged:", ",reasons:[", f"judged:{MARK},", "shadow_rules:a,", "\t"]
)
def test_a_long_line_is_read_in_time_that_grows_with_its_length(piece: str) -> None:
    """A megabyte takes well under a second; were it quadratic, hours."""
    began = time.process_time()
    with suppress(AmbiguousLine):
        from_the_console(f"judged:{MARK},shadow_rules:a," + piece * ((1 << 20) // len(piece)))
    assert time.process_time() - began < 10


# -- tail


def test_a_verdict_is_one_line_that_names_its_record() -> None:
    assert plain(a_verdict(REASON, shadow="spike")) == (
        "2026-11-25 04:35:59.102 UTC  950.50 USD from me to you  "
        "large_amount: 950.50 USD is at least 900.00 USD.  (in shadow: spike)  [fraud/0/17]"
    )


def test_colours_change_nothing_but_the_colours() -> None:
    verdict = a_verdict(REASON, IN_A_WINDOW)
    without = coloured(verdict)
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m"):
        assert code in without
        without = without.replace(code, "")
    assert without == plain(verdict)


def test_times_before_and_far_after_the_epoch_can_be_told() -> None:
    assert utc(-1) == "1969-12-31 23:59:59.999 UTC"
    assert utc(1 << 62) == f"{1 << 62} ms"


# -- the rule's text

TWO = """format: 1
rules:
  # the first
  - name: one
    mode: active
    tests:
      - {name: a, payments: [{at: 0s, amount: 1, fires: true}]}
    observed: amount
    threshold: 1
    reason: "{observed}"

  # the second
  - {name: two, mode: off, observed: amount, threshold: 1, reason: x}
"""


def test_a_rules_text_is_its_own_lines_without_its_tests() -> None:
    book = load(TWO)
    first, second = book.rules
    assert excerpt(TWO, book, first).splitlines() == [
        "- name: one",
        "  mode: active",
        "  observed: amount",
        "  threshold: 1",
        '  reason: "{observed}"',
    ]
    assert excerpt(TWO, book, second) == (
        "- {name: two, mode: off, observed: amount, threshold: 1, reason: x}"
    )
