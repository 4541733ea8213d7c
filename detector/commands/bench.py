"""What rules cost a transaction, for a person."""

from collections.abc import Iterator
from dataclasses import replace

from detector.rules.language.tree import Mode, Rulebook
from detector.rules.tools.timing import time_rules

ACCOUNTS = 20_000
_PAYMENTS_EACH = 10  # timed, of each account


def costs(book: Rulebook, accounts: int = ACCOUNTS) -> Iterator[str]:
    """Lines, each as soon as it is measured."""
    rules = tuple(rule for rule in book.rules if rule.mode is not Mode.OFF)
    payments = _PAYMENTS_EACH * accounts
    yield (
        f"microseconds of a processor a transaction; {accounts:,} accounts, 20 payments a day "
        f"each, {payments:,} payments timed"
    )
    all_of_them = time_rules(replace(book, rules=rules), accounts, payments)
    width = max([len(rule.name) for rule in rules], default=0) + 8
    yield f"{f'all {len(rules)} rules together':<{width}}  {all_of_them.rules_us:5.2f}"
    yield f"{'five further conditions':<{width}}  {all_of_them.further_us:5.2f}"
    share = f"of the {all_of_them.hits_share:.1%} that rules fire on"
    yield f"{'reasons':<{width}}  {all_of_them.reasons_us:5.2f}  {share}"
    nothing = time_rules(replace(book, rules=()), accounts // 4, payments // 4).rules_us
    yield f"{'remembering alone':<{width}}  {nothing:5.2f}"
    for rule in rules:
        alone = time_rules(replace(book, rules=(rule,)), accounts // 4, payments // 4)
        yield f"{rule.name:<{width}}  {alone.rules_us:5.2f}  alone"
