"""Rules for tests, as a file says them."""

from decimal import Decimal
from pathlib import Path

from detector.rules import Rules
from detector.rules.file import load, load_file

SHIPPED = Path(__file__).parents[1] / "detector" / "rules.yaml"

LARGE_AMOUNT = """
  - name: large_amount
    mode: {mode}
    params: {{limit: {{"*": {limit}}}}}
    observed: amount
    threshold: limit
    reason: "{{observed}} {{currency}} is at least {{threshold}} {{currency}}."
"""


def large_amount(*limits: Decimal | int | str, mode: str = "active") -> str:
    """A rules file with a rule of large amounts for each limit."""
    rules = [LARGE_AMOUNT.format(limit=limit, mode=mode) for limit in limits]
    named = [text.replace("large_amount", f"large_amount_{n}") for n, text in enumerate(rules[1:])]
    return "format: 1\nrules:\n" + "".join([rules[0], *named])


def of_large_amounts(*limits: Decimal | int | str) -> Rules:
    """The original rule alone, or with others of its kind."""
    return Rules(load(large_amount(*limits)))


def all_active() -> str:
    """The file that ships, with every rule active."""
    return SHIPPED.read_text().replace("mode: shadow", "mode: active")


def shipped() -> Rules:
    """The ten rules that ship."""
    return Rules(load_file(SHIPPED))
