"""The rules that the settings ask for."""

from dataclasses import replace
from decimal import Decimal

from detector.rules.file.loading import load_file
from detector.rules.file.version import book_version, versioned
from detector.rules.language.tree import Kind, Param, Rule, Rulebook
from detector.rules.tools.test_runner import validated
from detector.service.settings import DetectorSettings
from service_kit.settings import SettingsError

_SHORTHAND = ("large_amount", "limit")  # the rule and parameter that FRAUD_THRESHOLD sets


def read_rules(settings: DetectorSettings) -> Rulebook:
    """The rules of the file, with the limit of large amounts that the settings give.

    Raises:
        RulesError: there are mistakes in the file, or a test in it fails.
        SettingsError: the limit is given, and the file has no such rule.
    """
    path = settings.rules_file
    book = validated(load_file(path), str(path), settings.state_max_events)
    return book if settings.fraud_threshold is None else _with_limit(book, settings.fraud_threshold)


def _with_limit(book: Rulebook, limit: Decimal) -> Rulebook:
    rules = tuple(_limited(rule, limit) for rule in book.rules)
    if not any(rule.name == _SHORTHAND[0] for rule in rules):
        name, param = _SHORTHAND
        raise SettingsError(
            f"FRAUD_THRESHOLD={limit} sets {param} of the rule {name}, which the rules file lacks: "
            "unset it, or add the rule"
        )
    return Rulebook(rules, book_version(rules))


def _limited(rule: Rule, limit: Decimal) -> Rule:
    name, param = _SHORTHAND
    if rule.name != name or param not in rule.params:
        return rule
    amounts = {"*": limit}
    return versioned(replace(rule, params={**rule.params, param: Param(Kind.MONEY, amounts)}))
