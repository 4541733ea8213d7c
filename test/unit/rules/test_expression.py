"""Expressions: what they mean, what type they have, and what is wrong with others."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rules_oracle import Evaluation, Unworkable

from detector.rules.language.expression import ExpressionError, check, expression_text
from detector.rules.language.syntax import MAX_LENGTH
from detector.rules.language.tree import (
    Binary,
    Choice,
    Feature,
    Kind,
    ListNode,
    ListOf,
    Literal,
    Node,
    Param,
    Parameter,
    Unary,
)

PARAMS = {
    "limit": Param(Kind.MONEY, {"*": Decimal(900)}),
    "times": Param(Kind.INT, 3),
    "k": Param(Kind.DOUBLE, 1.5),
    "window": Param(Kind.DURATION, 600_000),
    "never": Param(Kind.DURATION, 0),
}
GIVEN = {"observed": Kind.MONEY, "threshold": Kind.MONEY}
FACTS: Mapping[str, Any] = {
    "amount": 100_00,
    "currency": "USD",
    "source": "me",
    "target": "you",
    "count": 7,
    "sum": 500_00,
    "history": 20,
    "mean_amount": 80_00.5,
    "stddev_amount": 10_00.25,
    "since_last": 90_000,
    "seen_target": True,
}


def value_of(text: str) -> Any:
    class Rule:
        params = PARAMS

    evaluation = Evaluation(Rule, lambda name, _: FACTS[name], {"limit": 900_00}, "USD")  # type: ignore[arg-type]
    return evaluation.of(check(text, PARAMS))


def mistakes_of(text: str) -> list[tuple[int, str]]:
    with pytest.raises(ExpressionError) as error:
        check(text, PARAMS, GIVEN)
    return error.value.mistakes


def type_of(text: str) -> object:
    return check(text, PARAMS, GIVEN).type


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("100 / 10 / 5", 2),
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("7 % -4", 3),
        ("-7 % 4", -3),
        ("7.0 / 2.0", 3.5),
        ("- 2 + 3", 1),
        ("--2", 2),
        ("010", 10),
        ("1e3 + .5", 1000.5),
        ("-9223372036854775808", -(2**63)),
        ("true || 1 / 0 == 1", True),
        ("false && 1 / 0 == 1", False),
        ("true || false && false", True),
        ("(true || false) && false", False),
        ("!seen_target || seen_target", True),
        ("1 < 2 == true", True),
        ("1 + 1 == 2 && 3 > 2", True),
        ("false ? 1 : true ? 2 : 3", 2),
        ("true ? 1 : 1 / 0", 1),
        ("currency in ['EUR', \"USD\"]", True),
        ("times in []", False),
        ("target == 'y' + 'ou'", True),
        (r"""'\'' + "\"\\" == '\'"\\'""", True),
        ("'a' < 'b'", True),
        ("1.0 / 0.0 > 1e300", True),
    ],
)
def test_means_what_it_means_in_cel(text: str, value: object) -> None:
    found = value_of(text)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("amount >= 100", True),
        ("amount > 99.99", True),
        ("amount > 100", False),
        ("amount - 0.01", 99_99),
        ("limit", 900_00),
        ("amount == limit / 9", True),
        ("amount * 3", 300_00),
        ("3 * amount + 1", 301_00),
        ("amount * 1.5", 150_00.0),
        ("amount / 3", 10_000 / 3),
        ("sum(window) / amount", 5.0),
        ("mean_amount + k * stddev_amount", 80_00.5 + 1.5 * 10_00.25),
        ("amount in [5, 100.00, limit]", True),
        ("amount >= (history > 30 ? 50 : 200)", False),
        ("amount >= -1", True),
        ("-amount < 0", True),
    ],
)
def test_a_number_beside_money_is_money_in_major_units(text: str, value: object) -> None:
    assert value_of(text) == value


def test_money_that_is_finer_than_the_currency_is_rounded_up() -> None:
    assert value_of("amount >= 99.995") is True
    assert value_of("amount >= 100.001") is False


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("since_last >= 90s", True),
        ("since_last > 1m", True),
        ("since_last + 500ms", 90_500),
        ("window * 6 == 1h", True),
        ("24h * 2 - 1d", 86_400_000),
        ("-5s / 2", -2_500),
        ("1h / 4", 900_000),
        ("window / 1m", 10.0),
    ],
)
def test_durations_are_milliseconds(text: str, value: object) -> None:
    assert value_of(text) == value


@pytest.mark.parametrize("text", ["1 / 0", "1 % 0", "times / (times - 3)", "1m / 0"])
def test_an_integer_divided_by_zero_can_not_be_worked_out(text: str) -> None:
    with pytest.raises(Unworkable):
        value_of(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("count(window)", Kind.INT),
        ("count(10m)", Kind.INT),
        ("sum(window)", Kind.MONEY),
        ("distinct_targets(window)", Kind.INT),
        ("count_between(window, 0, limit)", Kind.INT),
        ("count_between(window, amount / 2, amount * 2)", Kind.INT),
        ("count_equal(24h, amount)", Kind.INT),
        ("since_last", Kind.DURATION),
        ("history", Kind.INT),
        ("mean_amount", Kind.MONEY),
        ("stddev_amount", Kind.MONEY),
        ("seen_target", Kind.BOOL),
        ("observed >= threshold", Kind.BOOL),
        ("currency + target", Kind.STRING),
        ("amount / limit", Kind.DOUBLE),
        ("seen_target ? amount : 5", Kind.MONEY),
    ],
)
def test_has_a_type(text: str, kind: Kind) -> None:
    assert type_of(text) == kind


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        # names
        ("amont > 1", 0, 'unknown name "amont"; did you mean "amount"?'),
        ("amount > limt", 9, 'unknown name "limt"; did you mean "limit"?'),
        ("observd > 1", 0, 'unknown name "observd"; did you mean "observed"?'),
        ("null == 1", 0, 'unknown name "null"'),
        ("cuont(window)", 0, 'unknown function "cuont"; did you mean "count"?'),
        ("count(windw)", 6, 'unknown name "windw"; did you mean "window"?'),
        # types
        ("amount + history", 7, "money + int does not fit; both sides must be of one type"),
        (
            "amount >= times",
            7,
            'money >= int does not fit; as money it is written parameter times: {"*": 3}',
        ),
        ("k * 2", 2, "double * int does not fit; as a double it is written 2.0"),
        (
            "k * times",
            2,
            "double * int does not fit; as a double it is written parameter times: 3.0",
        ),
        ("amount * amount", 7, "money * money does not fit"),
        ("1 / amount", 2, "int / money does not fit"),
        ("amount % 100", 7, "money % int does not fit"),
        ("1.5 % 2.0", 4, "double % double does not fit"),
        ("since_last > 5", 11, "duration > int does not fit; both sides must be of one type"),
        ("1 < 2 < 3", 6, "bool < int does not fit; both sides must be of one type"),
        ("history && true", 8, "int && bool does not fit"),
        ("!history", 0, '"!" does not fit int'),
        ("-target", 0, '"-" does not fit string'),
        ("history ? 1 : 2", 0, 'what stands before "?" must be bool, not int'),
        ("true ? 1 : 2.0", 5, 'both sides of ":" must be of one type; they are int and double'),
        ("amount in [1, 'x']", 14, "what stands in this list must be money, not string"),
        ("amount in 5", 10, 'behind "in" a list in brackets must stand'),
        ("[1] == 1", 0, 'a list stands to the right of "in" only'),
        ("amount > 1e3", 9, "beside money, a number is an amount from 0"),
        # features
        ("count", 0, "count takes arguments: write count(window)"),
        ("count()", 0, "write count(window)"),
        ("amount(1)", 0, "write amount"),
        ("count_between(window, 1)", 0, "write count_between(window, low, high)"),
        ("count(5)", 6, "the window of count must be duration, not int"),
        ("count(since_last)", 6, "the window of count must be a parameter or a literal"),
        ("count(never)", 6, "the window of count must be longer than 0"),
        ("count_equal(window, history)", 20, "the amount of count_equal must be money, not int"),
        # words
        ("9223372036854775808", 0, "9223372036854775808 does not fit into 64 bits"),
        ("1e999", 0, "1e999 is too large"),
        ("count(999999999999d)", 6, "999999999999d is too long"),
        ("10x", 0, '"10x" is no number'),
        ("count(1h30m)", 6, '"1h30m" is no number'),
        ("0x10", 0, '"0x10" is no number'),
        ("amount = 5", 7, '"=" can\'t stand here; to compare, write "=="'),
        ("target.size", 6, '"." can\'t stand here; a name has no attributes'),
        ("seen_target & true", 12, '"&" can\'t stand here; and is "&&"'),
        ("currency == 'USD", 12, "\"'\" can't stand here; a string must end on its line"),
        (r"currency == '\q'", 13, r"\q means nothing"),
        ("amount > 5 é", 11, '"é" can\'t stand here'),
        # grammar
        ("", 0, "the expression ends where a value is expected"),
        ("amount >", 8, "the expression ends where a value is expected"),
        ("amount 5", 7, '"5" stands where an operator or the end is expected'),
        ("seen_target and true", 12, 'an operator or the end is expected; write "&&"'),
        ("not seen_target", 0, 'where a value is expected; write "!"'),
        ("(amount > 5", 11, 'the expression ends where ")" is expected'),
        ("true ? 1", 8, 'the expression ends where ":" is expected'),
        ("count(window", 12, 'the expression ends where "," or ")" is expected'),
        ("!-1 == 2", 1, '"-" stands where a value is expected'),
        ("amount in in", 10, '"in" stands where a value is expected'),
    ],
)
def test_says_what_is_wrong_and_where(text: str, offset: int, message: str) -> None:
    ((found_at, found),) = mistakes_of(text)
    assert message in found
    assert found_at == offset


def test_says_all_that_is_wrong() -> None:
    assert [offset for offset, _ in mistakes_of("a > 1 && count(b) > c || [d, e] == 1")] == [
        0,
        15,
        20,
        25,
    ]


def test_observed_and_threshold_are_known_only_where_they_are_given() -> None:
    with pytest.raises(ExpressionError, match='unknown name "observed"'):
        check("observed > 1", PARAMS)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "1" + ")" * 5000,
        "(" * 900 + "1" + ")" * 900,
        "-" * 1000 + "1",
        "!" * 1000 + "true",
        " + ".join(["1"] * 1000),
        " || ".join(["true"] * 500),
        "true ? 1 : " * 300 + "1",
        "[" * 1000,
        "count(" * 500,
        "1" * (MAX_LENGTH + 1),
    ],
)
def test_what_is_too_long_or_too_deep_is_a_mistake_like_any_other(text: str) -> None:
    ((_, message),) = mistakes_of(text)
    assert "too deep" in message or "longer than" in message


@given(st.text(alphabet="ab1.0 \"'\\()[],?:!&|<>=+-*/%in\n\t", max_size=60))
def test_any_text_is_an_expression_or_has_a_mistake_within_it(text: str) -> None:
    found = []
    try:
        check(text, PARAMS, GIVEN)
    except ExpressionError as error:
        found = error.mistakes
    assert all(0 <= offset <= len(text) and message for offset, message in found)


# -- trees of any shape, by the type that they have

_LITERALS = {
    Kind.BOOL: st.booleans(),
    Kind.INT: st.integers(-(2**63), 2**63 - 1),
    Kind.DOUBLE: st.floats(allow_nan=False, allow_infinity=False),
    Kind.STRING: st.text(max_size=5).filter(lambda text: text.isprintable() or text in "\n\r\t"),
    Kind.DURATION: st.integers(-(10**12), 10**12),
}
_NAMES: dict[Kind, list[Node]] = {
    Kind.BOOL: [Feature(Kind.BOOL, "seen_target")],
    Kind.INT: [Parameter(Kind.INT, "times"), Feature(Kind.INT, "history")],
    Kind.DOUBLE: [Parameter(Kind.DOUBLE, "k")],
    Kind.STRING: [Feature(Kind.STRING, name) for name in ("currency", "source", "target")],
    Kind.DURATION: [Parameter(Kind.DURATION, "window"), Feature(Kind.DURATION, "since_last")],
    Kind.MONEY: [Parameter(Kind.MONEY, "limit"), Feature(Kind.MONEY, "amount")],
}
_AMOUNTS = st.decimals(0, 10**9, places=2).map(
    lambda amount: Literal(Kind.MONEY, amount.normalize())
)
_TWO_OF = {
    Kind.INT: [("+-*/%", Kind.INT, Kind.INT)],
    Kind.DOUBLE: [("+-*/", Kind.DOUBLE, Kind.DOUBLE), ("/", Kind.MONEY, Kind.MONEY)],
    Kind.STRING: [("+", Kind.STRING, Kind.STRING)],
    Kind.DURATION: [("+-", Kind.DURATION, Kind.DURATION), ("*/", Kind.DURATION, Kind.INT)],
    Kind.MONEY: [
        ("+-", Kind.MONEY, Kind.MONEY),
        ("*/", Kind.MONEY, Kind.DOUBLE),
        ("*", Kind.INT, Kind.MONEY),
    ],
}


@st.composite
def trees(draw: st.DrawFn, kind: Kind, depth: int = 4) -> Node:  # noqa: PLR0911  # shapes
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        if kind is not Kind.MONEY and draw(st.booleans()):
            return Literal(kind, draw(_LITERALS[kind]))
        return draw(st.sampled_from(_NAMES[kind]))
    if draw(st.integers(0, 4)) == 0:
        condition, yes, no = (draw(trees(of, depth - 1)) for of in (Kind.BOOL, kind, kind))
        return Choice(kind, condition, yes, no)
    if kind is Kind.BOOL:
        return draw(conditions(depth - 1))
    if kind is Kind.INT and draw(st.booleans()):
        window = draw(
            st.sampled_from([Parameter(Kind.DURATION, "window"), Literal(Kind.DURATION, 1)])
        )
        return Feature(Kind.INT, "count_equal", (window, draw(trees(Kind.MONEY, depth - 1))))
    if kind is not Kind.STRING and draw(st.integers(0, 4)) == 0:
        operand = draw(trees(kind, depth - 1).filter(lambda node: not isinstance(node, Literal)))
        return Unary(kind, "-", operand)
    operators, left, right = draw(st.sampled_from(_TWO_OF[kind]))
    nodes = draw(trees(left, depth - 1)), draw(trees(right, depth - 1))
    return Binary(kind, draw(st.sampled_from(operators)), *nodes)


@st.composite
def conditions(draw: st.DrawFn, depth: int) -> Node:
    operator = draw(st.sampled_from(["!", "&&", "||", "<", "<=", ">", ">=", "==", "!=", "in"]))
    if operator == "!":
        return Unary(Kind.BOOL, "!", draw(trees(Kind.BOOL, depth)))
    if operator in {"&&", "||"}:
        sides = draw(trees(Kind.BOOL, depth)), draw(trees(Kind.BOOL, depth))
        return Binary(Kind.BOOL, operator, *sides)
    kind = draw(st.sampled_from([*Kind]))
    left = draw(trees(kind, depth))
    other = st.one_of(trees(kind, depth), _AMOUNTS) if kind is Kind.MONEY else trees(kind, depth)
    if operator == "in":
        elements = ListNode(ListOf(kind), tuple(draw(st.lists(other, max_size=3))))
        return Binary(Kind.BOOL, "in", left, elements)
    return Binary(Kind.BOOL, operator, left, draw(other))


@given(st.sampled_from([*Kind]).flatmap(trees))
def test_the_text_of_a_tree_reads_as_that_tree(tree: Node) -> None:
    assert check(expression_text(tree), PARAMS, GIVEN) == tree


def test_the_text_is_the_same_however_an_expression_is_written() -> None:
    ways = [
        "amount>=900.00&&(history>3)",
        " ( amount >= 900 ) &&\n history > 3 ",
        "amount >= 900.0 && history > 3",
    ]
    assert {expression_text(check(way, PARAMS)) for way in ways} == {"amount >= 900 && history > 3"}
