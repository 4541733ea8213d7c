"""Expressions against Google's CEL: random ones are read, refused and worked out alike.

What both have in common is compared as text, so that the grammar is too. Money and durations are
not in CEL: there, the checked tree is written out in CEL's doubles and integers.
"""

import math
import os
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
from cel_expr_python import cel
from rules_builders import a_rule
from rules_oracle import Evaluation, Unworkable

from detector.rules.language.expression import ExpressionError, check
from detector.rules.language.tree import (
    Binary,
    Choice,
    Feature,
    Kind,
    ListNode,
    Literal,
    Node,
    Param,
    Parameter,
    Unary,
)

SECONDS = float(os.environ.get("FUZZ_SECONDS", "10")) / 2
AT_A_TIME = 200
CENTS = 100

TYPES = {
    Kind.BOOL: cel.Type.BOOL,
    Kind.INT: cel.Type.INT,
    Kind.DOUBLE: cel.Type.DOUBLE,
    Kind.STRING: cel.Type.STRING,
    Kind.MONEY: cel.Type.DOUBLE,
    Kind.DURATION: cel.Type.INT,
}
# Features with arguments are variables on CEL's side.
FEATURES = {
    "amount": Kind.MONEY,
    "sum(1h)": Kind.MONEY,
    "mean_amount": Kind.MONEY,
    "history": Kind.INT,
    "count(1h)": Kind.INT,
    "seen_target": Kind.BOOL,
    "currency": Kind.STRING,
    "target": Kind.STRING,
    "since_last": Kind.DURATION,
}
PARAMS = {
    "n": Param(Kind.INT, 3),
    "k": Param(Kind.DOUBLE, 2.5),
    "wait": Param(Kind.DURATION, 90_000),
}
NAMES = {**FEATURES, **{name: param.type for name, param in PARAMS.items()}}
LITERALS = {
    Kind.BOOL: ["true", "false"],
    Kind.INT: ["0", "1", "2", "3", "7", "-2", "010"],
    Kind.DOUBLE: ["0.0", "1.0", "2.5", "-0.5", "1e2", ".25"],
    Kind.STRING: ["'a'", '"b"', r"'\''", "''", r'"\\"'],
    Kind.MONEY: ["0", "1", "2.50", "-3", "10"],
    Kind.DURATION: ["0s", "1s", "2m", "-90s"],
}
COMMON = (Kind.BOOL, Kind.INT, Kind.DOUBLE, Kind.STRING)
OPERATORS = {
    Kind.INT: ["+", "-", "*", "/", "%"],
    Kind.DOUBLE: ["+", "-", "*", "/"],
    Kind.STRING: ["+"],
}
COMPARISONS = ["<", "<=", ">", ">=", "==", "!="]


def as_variable(name: str) -> str:
    return name.replace("(", "_").replace(")", "")


ENVIRONMENT = cel.NewEnv(variables={as_variable(name): TYPES[kind] for name, kind in NAMES.items()})


def some_facts(dice: random.Random) -> dict[str, Any]:
    choices: dict[Kind, list[Any]] = {
        Kind.MONEY: [0, 100, 250, 1_000, dice.randrange(10_000)],
        Kind.INT: [0, 1, 2, 20],
        Kind.BOOL: [True, False],
        Kind.STRING: ["a", "b", "USD"],
        Kind.DURATION: [0, 1_000, 90_000],
    }
    return {name: dice.choice(choices[kind]) for name, kind in FEATURES.items()}


# -- random text


class Writer:
    """Writes expressions of a type; parentheses are left out at random, so that what a text means,
    or whether it means anything, is up to its reader."""

    def __init__(self, dice: random.Random, kinds: tuple[Kind, ...], careless: float) -> None:
        self._dice = dice
        self._kinds = kinds
        self._careless = careless

    def write(self, kind: Kind, depth: int) -> str:
        dice = self._dice
        if depth == 0 or dice.random() < 0.2:
            names = [name for name, its in NAMES.items() if its is kind]
            return dice.choice(names if names and dice.random() < 0.6 else LITERALS[kind])
        text = self._composed(kind, depth - 1)
        return text if dice.random() < self._careless else f"({text})"

    def _composed(self, kind: Kind, depth: int) -> str:
        if self._dice.random() < 0.15:
            parts = [self.write(of, depth) for of in (Kind.BOOL, kind, kind)]
            return "{} ? {} : {}".format(*parts)
        if kind is Kind.BOOL:
            return self._condition(depth)
        if kind is not Kind.STRING and self._dice.random() < 0.15:
            return self._signed("-", kind, depth)
        left, operator, right = self._operation(kind)
        space = self._dice.choice(["", " "])
        return f"{self.write(left, depth)} {operator}{space}{self.write(right, depth)}"

    def _signed(self, sign: str, kind: Kind, depth: int) -> str:
        operand = self.write(kind, depth)
        # CEL leaves out two signs in a row before it looks at types, and so takes !!'text'.
        return f"{sign}({operand})" if operand.startswith(sign) else f"{sign}{operand}"

    def _operation(self, kind: Kind) -> tuple[Kind, str, Kind]:
        operations = [(kind, operator, kind) for operator in OPERATORS.get(kind, ["+", "-"])]
        if kind is Kind.MONEY:
            operations += [(kind, each, of) for each in "*/" for of in (Kind.INT, Kind.DOUBLE)]
            operations += [(Kind.INT, "*", kind), (Kind.DOUBLE, "*", kind)]
        if kind is Kind.DURATION:
            operations += [(kind, "*", Kind.INT), (Kind.INT, "*", kind), (kind, "/", Kind.INT)]
        if kind is Kind.DOUBLE and Kind.MONEY in self._kinds:
            operations += [(Kind.MONEY, "/", Kind.MONEY), (Kind.DURATION, "/", Kind.DURATION)]
        return self._dice.choice(operations)

    def _condition(self, depth: int) -> str:
        dice = self._dice
        if dice.random() < 0.1:
            return self._signed("!", Kind.BOOL, depth)
        if dice.random() < 0.4:
            sides = self.write(Kind.BOOL, depth), self.write(Kind.BOOL, depth)
            return dice.choice(["{} && {}", "{} || {}"]).format(*sides)
        kind = dice.choice(self._kinds)
        left = self.write(kind, depth)
        if dice.random() < 0.2:
            several = [self.write(kind, depth) for _ in range(dice.randrange(4))]
            return f"{left} in [{', '.join(several)}]"
        return f"{left} {dice.choice(COMPARISONS)} {self.write(kind, depth)}"


# -- a checked tree in CEL: money in doubles of cents, durations in integers of milliseconds


def in_cel(node: Node) -> str:  # noqa: PLR0911  # a table
    match node:
        case Literal(Kind.MONEY, value):
            return repr(float(value * CENTS))
        case Literal(Kind.BOOL, value):
            return str(value).lower()
        case Literal(Kind.STRING, value):
            return "'" + str(value).replace("\\", r"\\").replace("'", r"\'") + "'"
        case Literal(_, value):
            return repr(value)
        case Parameter(_, name):
            return name
        case Feature(_, name, arguments):
            return f"{name}_1h" if arguments else name
        case Unary(_, operator, operand):
            return f"{operator}({in_cel(operand)})"
        case Choice(_, condition, yes, no):
            return f"(({in_cel(condition)}) ? ({in_cel(yes)}) : ({in_cel(no)}))"
        case ListNode(_, elements):
            return f"[{', '.join([in_cel(element) for element in elements])}]"
    assert isinstance(node, Binary)
    return _binary_in_cel(node)


def _binary_in_cel(node: Binary) -> str:
    left, right = in_cel(node.left), in_cel(node.right)
    kinds = {node.left.type, node.right.type}
    mixed = Kind.MONEY in kinds and Kind.INT in kinds
    lengths = node.operator == "/" and node.right.type is Kind.DURATION
    if mixed or lengths:
        left, right = f"double({left})", f"double({right})"
    return f"(({left}) {node.operator} ({right}))"


# -- comparing


RULE = a_rule(
    params={"n": 3, "k": 2.5, "wait": "90s"}, when="n > 1 && k > 1.0 && since_last > wait"
)


def ours(tree: Node, facts: Mapping[str, Any], evaluation: type[Evaluation] = Evaluation) -> Any:
    """The value by our definition; none where there is none."""

    def feature(name: str, arguments: list[Any]) -> Any:
        return facts[f"{name}(1h)" if arguments else name]

    try:
        return evaluation(RULE, feature, {}, "USD").of(tree)
    except Unworkable:
        return None


class DividedByNothing(Exception):
    """Where money is about: whether that is plus or minus infinity depends on the sign of a zero,
    which doubles have and whole amounts don't, nor then what was worked out of them."""


class OfMoney(Evaluation):
    def binary(self, node: Binary) -> Any:
        of_doubles = node.operator == "/" and node.type not in {Kind.INT, Kind.DURATION}
        if of_doubles and self.of(node.right) == 0:
            raise DividedByNothing
        return super().binary(node)


def theirs(expression: Any, facts: Mapping[str, Any]) -> Any:
    """The value by CEL; none, with what it says, where there is none."""
    values: dict[str, Any] = {name: param.value for name, param in PARAMS.items()}
    values |= {
        as_variable(name): float(value) if FEATURES[name] is Kind.MONEY else value
        for name, value in facts.items()
    }
    found = expression.eval(data=values)
    return None if found.type() == cel.Type.ERROR else found.value()


def alike(mine: Any, its: Any) -> bool:
    if isinstance(mine, float) and math.isnan(mine):
        return isinstance(its, float) and math.isnan(its)
    return type(mine) is type(its) and bool(mine == its)


def compiled(text: str) -> Any:
    try:
        return ENVIRONMENT.compile(text)
    except RuntimeError:
        return None


def checked(text: str) -> Node | None:
    try:
        return check(text, PARAMS)
    except ExpressionError:
        return None


def rounds() -> Iterator[random.Random]:
    """Dice for a while; a failure shows its expression and values, so that no seed is needed."""
    end = time.monotonic() + SECONDS
    while True:
        for _ in range(AT_A_TIME):
            yield random.Random(random.SystemRandom().getrandbits(64))  # noqa: S311  # dice
        if time.monotonic() > end:
            return


def agree(mine: Any, its: Any, text: str) -> bool:
    """CEL absorbs what goes wrong on one side of && or || where the other decides; and its
    integers overflow, of which there is no danger at the sizes in here."""
    return alike(mine, its) or (mine is None and ("&&" in text or "||" in text))


def test_reads_and_works_out_what_cel_does() -> None:
    accepted = valued = 0
    for dice in rounds():
        text = Writer(dice, COMMON, careless=0.6).write(dice.choice(COMMON), 4)
        tree, expression = checked(text), compiled(text.replace("(1h)", "_1h"))
        assert (tree is None) == (expression is None), text
        if tree is not None:
            facts = some_facts(dice)
            mine, its = ours(tree, facts), theirs(expression, facts)
            assert agree(mine, its, text), (text, facts, mine, its)
            accepted, valued = accepted + 1, valued + (mine is not None)
    assert min(accepted, valued) > AT_A_TIME // 4


def test_works_out_money_and_durations_as_cel_does_doubles_and_integers() -> None:
    valued = 0
    for dice in rounds():
        kinds = tuple(Kind)
        tree = checked(Writer(dice, kinds, careless=0.0).write(dice.choice(kinds), 4))
        if tree is None:
            continue
        facts, text = some_facts(dice), in_cel(tree)
        with suppress(DividedByNothing):
            mine, its = ours(tree, facts, OfMoney), theirs(compiled(text), facts)
            if tree.type is Kind.MONEY and mine is not None:
                mine = float(mine)
            assert agree(mine, its, text), (text, facts, mine, its)
            valued += mine is not None
    assert valued > AT_A_TIME // 4


@pytest.mark.parametrize(
    "text", ["1 / 0 == 1 || true", "(n - 3 != 0 && 1 / (n - 3) > 0) || 1 / 0 == 1 || true"]
)
def test_what_goes_wrong_is_absorbed_by_cel_and_not_here(text: str) -> None:
    tree = checked(text)
    assert tree is not None
    facts = some_facts(random.Random(0))  # noqa: S311  # dice
    assert theirs(compiled(text), facts) is True
    assert ours(tree, facts) is None
