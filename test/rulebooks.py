"""Rules for tests, as a file says them."""

from decimal import Decimal
from pathlib import Path

from detector.rules import INNOCENT, Payment, Rules, Verdict
from detector.rules.file.loading import load, load_file
from detector.wire.transaction import Transaction

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


def verdict_on(rules: Rules, transaction: Transaction, time_ms: int = 1_000) -> Verdict:
    """The verdict on an account's first transaction."""
    source, target, amount, currency = transaction
    account = rules.layout.new(time_ms, currency, 0)
    matches = rules.evaluators[currency](account, time_ms, amount, target, currency, source)
    payment = Payment(time_ms, amount, currency, source, target)
    return rules.verdict(matches, payment, account) if matches else INNOCENT
