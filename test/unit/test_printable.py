"""What others wrote, on its way to a terminal."""

import pytest

from detector.domain.printable import clean, clean_lines
from detector.rules.language.diagnostics import Diagnostic, Location, RulesError


@pytest.mark.parametrize(
    ("character", "shown"),
    [
        ("\x1b", r"\x1b"),
        ("\x9b", r"\x9b"),
        ("\n", r"\n"),
        ("\r", r"\r"),
        ("\x7f", r"\x7f"),
        ("\u202e", r"\u202e"),  # turns the direction of writing
        ("\u2066", r"\u2066"),
        ("\u200b", r"\u200b"),  # has no width
        ("\ufeff", r"\ufeff"),
        ("\u2028", r"\u2028"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_a_terminal_would_obey_or_not_show_is_escaped(character: str, shown: str) -> None:
    assert clean(f"a{character}b") == f"a{shown}b"


def test_what_can_be_shown_stays() -> None:
    text = "12.50 USD from Zoë to 東京 😀"
    assert clean(text) == text
    assert clean_lines("a\nb\x1b") == "a\nb\\x1b"


def test_the_name_of_a_rules_file_is_shown_so_too() -> None:
    assert str(RulesError("a\x1b]0;b", [Diagnostic(Location(1, 1), "c")])) == r"a\x1b]0;b:1:1: c"
