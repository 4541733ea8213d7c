"""The parameters of a rule, read from YAML."""

import re
from decimal import Decimal

from detector.rules.file.inline_tests import CURRENCY
from detector.rules.file.nodes import MappingNode, ScalarNode, YamlNode, pairs, scalar
from detector.rules.language.diagnostics import Diagnostics
from detector.rules.language.features import FEATURES
from detector.rules.language.tree import Kind, Param
from detector.rules.language.values import (
    DURATION_FORM,
    MONEY_FORM,
    read_double,
    read_duration,
    read_int,
    read_money,
)

NAME = re.compile("[a-z][a-z0-9_]{0,63}")
NAME_FORM = "1 to 64 lowercase letters, digits and _, a letter first"
GIVEN = ("observed", "threshold")
# Words that CEL keeps for itself.
_RESERVED = re.compile(
    "as|break|const|continue|else|false|for|function|if|import|in|let|loop|null|package|"
    "namespace|return|true|var|void|while"
)
_FORMS = f'a whole number, a number such as 2.5, {DURATION_FORM}, or money such as {{"*": 900}}'


def read_params(node: YamlNode, mistakes: Diagnostics) -> dict[str, tuple[ScalarNode, Param]]:
    """The parameters by name, each with its key. One that is wrong, which has been reported, gets a
    value of the type that it looks like, so that expressions can be checked nevertheless."""
    found = {}
    for key, value in pairs(node, "params", mistakes):
        _check_name(key, mistakes)
        if isinstance(value, MappingNode):
            found[key.text] = key, Param(Kind.MONEY, _money(value, mistakes))
        else:
            found[key.text] = key, _number(key.text, value, mistakes)
    return found


def is_taken(name: str) -> bool:
    """Whether the name means something else in an expression."""
    return name in FEATURES or name in GIVEN or _RESERVED.fullmatch(name) is not None


def _check_name(key: ScalarNode, mistakes: Diagnostics) -> None:
    name = key.text
    if not NAME.fullmatch(name):
        mistakes.add(key.location, f'"{name}" is no name for a parameter: {NAME_FORM}')
    elif is_taken(name):
        mistakes.add(key.location, f'"{name}" is taken; a parameter needs another name')


def _money(node: MappingNode, mistakes: Diagnostics) -> dict[str, Decimal]:
    amounts = {}
    for key, value in pairs(node, "money", mistakes):
        if key.text != "*" and not CURRENCY.fullmatch(key.text):
            what = f'"{key.text}" is no currency: three capital letters, or "*" for any other'
            mistakes.add(key.location, what)
        amounts[key.text] = _amount(value, mistakes)
    if not amounts:
        mistakes.add(node.location, 'money must be there for a currency, or for any: {"*": 900}')
    return amounts


def _amount(node: YamlNode, mistakes: Diagnostics) -> Decimal:
    found = scalar(node, "money", mistakes)
    amount = read_money(found.text) if found else None
    if found and amount is None:
        mistakes.add(node.location, f'"{found.text}" is no money, which is {MONEY_FORM}')
    return amount or Decimal(0)


def _number(name: str, node: YamlNode, mistakes: Diagnostics) -> Param:
    found = scalar(node, f"parameter {name}", mistakes)
    text = found.text if found else "0"
    readings = (
        (Kind.DURATION, read_duration(text)),
        (Kind.INT, read_int(text)),
        (Kind.DOUBLE, read_double(text)),
    )
    for kind, value in readings:
        if value is not None:
            return Param(kind, value)
    mistakes.add(node.location, f'parameter {name} is "{text}", it must be {_FORMS}')
    if any(character.isalpha() for character in text):
        return Param(Kind.DURATION, 1)
    return Param(Kind.DOUBLE, 1.0) if "." in text else Param(Kind.INT, 1)
