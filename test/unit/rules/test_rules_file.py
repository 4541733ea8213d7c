"""A rules file: what it can say, and what is wrong with one, with line and column."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rules_builders import a_book, a_file, a_rule, a_rule_text

from detector.rules.engine.compiler import Program
from detector.rules.file.loading import RulesError, load, load_file
from detector.rules.language.expression import expression_text
from detector.rules.language.tree import Kind, Mode, Payment, Slot

SHIPPED = Path(__file__).parents[3] / "detector" / "rules.yaml"


def mistakes_in(text: str) -> list[str]:
    with pytest.raises(RulesError) as error:
        load(text, "my.yaml")
    return str(error.value).splitlines()


RULE = """\
format: 1
rules:
  - name: large
    mode: active
    params: {limit: {USD: 900}, window: 10m}
    observed: amount
    threshold: limit
    when: observed >= threshold && count(window) > 1
    reason: "{observed} {currency} is too much."
    tests:
      - name: at the limit
        payments:
          - {at: 0s, amount: 900}
          - {at: 1s, amount: 900, fires: true}
"""


def changed(old: str, new: str) -> str:
    assert RULE.count(old) == 1
    return RULE.replace(old, new)


# -- what a file can say


def test_the_ten_rules_that_ship() -> None:
    rules = load_file(SHIPPED).rules
    assert {rule.name: rule.mode for rule in rules} == {
        "large_amount": Mode.ACTIVE,
        **dict.fromkeys(
            [
                "count_velocity",
                "sum_velocity",
                "test_then_large",
                "structuring",
                "fan_out",
                "repeated_amount",
                "spike",
                "unfamiliar_payee",
                "dormancy",
            ],
            Mode.SHADOW,
        ),
    }
    assert all(rule.source and rule.tests for rule in rules)


def test_every_value_is_what_it_looks_like_to_a_person() -> None:
    params = """
      params: {a: 010, b: 2.50, c: 1e2, d: 90d, e: 500ms, f: {"*": 900.10, JPY: 0}, g: -3}
    """.strip()
    used = "observed: a * g\n    threshold: a\n    when: b > c && d > e && amount > f"
    text = changed("params: {limit: {USD: 900}, window: 10m}", params)
    text = text.replace("observed: amount\n    threshold: limit", used)
    text = text.replace("    when: observed >= threshold && count(window) > 1\n", "")
    found = load(text).rules[0].params
    assert {name: (param.type, param.value) for name, param in found.items()} == {
        "a": (Kind.INT, 10),
        "b": (Kind.DOUBLE, 2.5),
        "c": (Kind.DOUBLE, 100.0),
        "d": (Kind.DURATION, 90 * 86_400_000),
        "e": (Kind.DURATION, 500),
        "f": (Kind.MONEY, {"*": Decimal("900.1"), "JPY": Decimal(0)}),
        "g": (Kind.INT, -3),
    }


@pytest.mark.parametrize("mode", ["off", '"off"'])
def test_off_is_a_mode_and_not_false(mode: str) -> None:
    assert load(changed("mode: active", f"mode: {mode}")).rules[0].mode is Mode.OFF


def test_without_when_a_rule_fires_from_its_threshold_on() -> None:
    assert expression_text(a_rule(when=None).when) == "observed >= threshold"


def test_a_threshold_is_money_where_what_is_observed_is() -> None:
    assert a_rule(observed="amount", threshold="900").threshold.type is Kind.MONEY


def test_a_reason_is_text_and_slots() -> None:
    rule = a_rule(
        params={"k": 3}, threshold="k * 1", observed="history", reason="{{{k}}} {observed}"
    )
    assert rule.reason == ("{", Slot("k"), "} ", Slot("observed"))


def test_the_longest_window_that_a_rule_looks_at() -> None:
    assert a_rule().window_ms is None
    when = "count(10m) > 1 && count_between(w, 0, sum(30m)) > 1"
    assert a_rule(params={"w": "20m"}, when=when).window_ms == 30 * 60_000


def test_payments_that_repeat_are_written_out() -> None:
    payments = [
        {"at": "1m", "every": "10s", "repeat": 2, "amount": 5, "source": "a{n}", "target": "b"},
        {"at": "0s", "amount": 900, "currency": "JPY", "fires": True, "reason": "Why."},
    ]
    (case,) = a_rule(tests=[{"name": "a", "payments": payments}]).tests
    line = case.payments[0].line
    assert case.payments[:2] == (
        Payment(60_000, Decimal(5), "a1", "b", "USD", fires=False, reason=None, line=line),
        Payment(70_000, Decimal(5), "a2", "b", "USD", fires=False, reason=None, line=line),
    )
    assert case.payments[2].currency == "JPY"
    assert (case.payments[2].fires, case.payments[2].reason) == (True, "Why.")


def test_a_rule_and_its_tests_know_their_lines() -> None:
    rule = load(RULE).rules[0]
    assert (rule.line, rule.tests[0].line) == (3, 11)
    assert [payment.line for payment in rule.tests[0].payments] == [13, 14]


# -- versions


def test_versions_stay_where_verdicts_do() -> None:
    other = RULE.replace("    reason:", "    # a comment\n    source: somebody\n    reason:")
    other = other.replace("observed >= threshold &&", "(observed>=threshold)&&")
    other = (
        other.replace("USD: 900", "USD: 900.00")
        .replace("10m", "600s")
        .replace("0s, amount: 900", "0s, amount: 1")
    )
    assert other != RULE
    assert load(other).version == load(RULE).version
    assert load(other).rules[0].version == load(RULE).rules[0].version
    assert [len(load(RULE).version), len(load(RULE).rules[0].version)] == [12, 8]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: large", "name: larger"),
        ("mode: active", "mode: shadow"),
        ("USD: 900", "USD: 900.01"),
        ("window: 10m", "window: 11m"),
        ("observed: amount", "observed: amount * 1"),
        ("threshold: limit", "threshold: limit * 1"),
        ("> 1", ">= 1"),
        ("too much", "a lot"),
    ],
)
def test_versions_change_with_whatever_decides_verdicts_and_reasons(old: str, new: str) -> None:
    other = load(changed(old, new))
    assert other.version != load(RULE).version
    assert other.rules[0].version != load(RULE).rules[0].version


def test_the_order_of_rules_is_part_of_the_version() -> None:
    a, b = a_rule_text(name="a"), a_rule_text(name="b")
    assert a_book(a, b).version != a_book(b, a).version


def test_the_versions_of_the_file_that_ships_are_stable() -> None:
    book = load_file(SHIPPED)
    assert (book.version, book.rules[0].version) == ("ceb52f371119", "a9ed0a47")


# -- what is wrong


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("format: 1", "format: 2", '1:9: format is "2", it must be 1'),
        ("format: 1\n", "", "1:1: a rules file lacks format"),
        ("rules:", "rule:", '2:1: a rules file has no "rule"; did you mean "rules"?'),
        ("mode: active", "mode: activ", '4:11: unknown mode "activ"; did you mean "active"?'),
        ("mode: active", "mode: on", '4:11: unknown mode "on"'),
        ("mode: active", "mood: off", '4:5: a rule has no "mood"; did you mean "mode"?'),
        ("    mode: active\n", "", "3:5: a rule lacks mode"),
        (
            "mode: active",
            "mode: active\n    mode: off",
            '5:5: "mode" stands twice; first on line 4',
        ),
        ("name: large", "name: Large", '3:11: "Large" is no name for a rule'),
        ("name: large", "name:", "3:10: name must be a text or a number"),
        ("USD: 900", "USD: -1", '5:27: "-1" is no money, which is an amount from 0'),
        ("USD: 900", "usd: 900", '5:22: "usd" is no currency'),
        ("USD: 900", "USD: 1, USD: 2", '5:30: "USD" stands twice'),
        ("{USD: 900}", "{}", "5:21: money must be there for a currency"),
        ("10m", "10x", '5:41: parameter window is "10x", it must be a whole number'),
        ("window: 10m", "window: 10m, more: 3", "5:46: parameter more is not used"),
        ("window: 10m", "window: 10m, count: 3", '5:46: "count" is taken'),
        ("window: 10m", "window: 10m, in: 3", '5:46: "in" is taken'),
        ("window: 10m", "window: 10m, W: 3", '5:46: "W" is no name for a parameter'),
        (
            "observed: amount",
            "observed: amont",
            '6:15: unknown name "amont"; did you mean "amount"?',
        ),
        (
            "observed: amount",
            "observed: currency",
            "6:15: observed must be one of int, double, money",
        ),
        (
            "threshold: limit",
            "threshold: 1 + history",
            "7:16: threshold, like observed, must be money",
        ),
        ("threshold: limit", "threshold: observed", '7:16: unknown name "observed"'),
        ("> 1", "> 1.0", "8:50: int > double does not fit"),
        ("> 1", "+ 1", "8:33: bool && int does not fit"),
        (
            "observed >= threshold && count(window) > 1",
            '"observed > threshold ? window : 10m"',
            "8:12: when must be bool, not duration",
        ),
        ("{currency}", "{curency}", '9:25: unknown slot "curency"; did you mean "currency"?'),
        ("{currency}", "{currency", '9:25: "{" stands alone'),
        ("{currency}", "}", '9:25: "}" stands alone'),
        ('"{observed} {currency} is too much."', '"a\\nb"', "9:13: a reason is one line"),
        ("tests:", "test:", '10:5: a rule has no "test"; did you mean "tests"?'),
        ("name: at the limit", "nam: x", '11:9: a test has no "nam"; did you mean "name"?'),
        ("at: 0s", "at: 0", '13:18: at is "0", it must be a duration'),
        ("0s, amount: 900", "0s, amount: -1", '13:30: amount is "-1", it must be an amount from 0'),
        ("0s, amount: 900", "0s", "13:13: a payment lacks amount"),
        (
            "0s, amount: 900",
            "0s, amount: 9, every: 1s",
            '13:40: "every" is for payments that repeat',
        ),
        ("0s, amount: 900", "0s, amount: 9, repeat: 0", '13:41: repeat is "0", it must be a whole'),
        ("0s, amount: 900", "0s, amount: 9, repeat: 2001", '13:41: repeat is "2001", it must be a'),
        ("0s, amount: 900", "0s, amount: 9, currency: usd", '13:43: currency is "usd", it must be'),
        (
            "0s, amount: 900",
            "0s, amount: 9, target: a b",
            '13:41: target is "a b", it must be 1 to 64',
        ),
        ("0s, amount: 900", "0s, amount: 9, reason: x", "13:41: a reason is given where fires"),
        ("fires: true", "fires: yes", '14:42: fires is "yes", it must be true or false'),
        ("fires: true", "fire: true", '14:35: a payment has no "fire"; did you mean "fires"?'),
    ],
)
def test_says_what_is_wrong_and_where(old: str, new: str, mistake: str) -> None:
    found = mistakes_in(changed(old, new))
    assert any(line.startswith(f"my.yaml:{mistake}") for line in found), found
    assert len(found) <= 2  # where a key is misspelt, it is missing too


def test_says_all_that_is_wrong() -> None:
    text = changed("format: 1", "format: x").replace("amount\n", "amont\n").replace("0s", "0")
    assert [line.split(":")[1] for line in mistakes_in(text)] == ["1", "6", "13"]


def test_equal_names_are_refused() -> None:
    second = mistakes_in(a_file(a_rule_text(), a_rule_text()))
    assert [line.partition(" ")[2] for line in second] == [
        'a second rule "a_rule"; the first is on line 4'
    ]
    case = {"name": "x", "payments": [{"at": "0s", "amount": 1}]}
    assert "a second test" in mistakes_in(a_file(a_rule_text(tests=[case, case])))[0]


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("when: amount > limt", "8:20"),
        ("when: 'amount > limt'", "8:21"),
        ('when: "amount > limt"', "8:21"),
        ("when: >-\n      amount >\n        limt", "10:9"),
        ("when: |  # a comment > limt\n      amount >\n\n      limt", "11:7"),
        ("when: amount >\n      5 && amount\n      > limt", "10:9"),
        ("when: 'currency == ''USD'' && amount > limt'", "8:44"),
        (r'when: "currency == \"USD\" && amount > limt"', "8:44"),
    ],
)
def test_finds_the_place_however_the_text_is_written(written: str, place: str) -> None:
    text = changed("when: observed >= threshold && count(window) > 1", written)
    text = text.replace(", window: 10m", "")
    assert mistakes_in(text) == [f'my.yaml:{place}: unknown name "limt"; did you mean "limit"?']


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "1:1: the file is empty"),
        ("# nothing", "1:1: the file is empty"),
        ("5", "1:1: a rules file must have keys and values"),
        ("[1]", "1:1: a rules file must have keys and values"),
        ("a: [", "1:5: no YAML: "),
        ("a: b: c", "1:5: no YAML: mapping values are not allowed here; put quotes around a text"),
        ("a: \x01", "1:4: no YAML: a character that it can't have"),
        ("a: 1\n---\nb: 2", "2:1: a second document; a file has one"),
        (r'a: "x\U00110000"', "1:8: no YAML: an escape or a number that is out of range"),
        (r'a: "x\UFFFFFFFF"', "1:8: no YAML: an escape or a number that is out of range"),
        (f"%YAML {'9' * 5000}.1\n---\na: 1", "1:7: no YAML: an escape or a number that is out"),
        (r'a: "x\ud800"', r"1:4: \ud800 is half of a character; write all of it as one"),
        (r'"\udfff": 1', r"1:1: \udfff is half of a character; write all of it as one"),
        (r'a: "\ud83d\ude00"', r"1:4: \ud83d is half of a character"),
        ("a: \ud800", "1:4: no YAML: a character that it can't have"),
        ("a: &x 1", "1:4: an anchor, &x, is not allowed; in a text that begins so, put quotes"),
        ("a: *x", "1:4: an alias, *x, is not allowed"),
        ("a: !seen_target", "1:4: a tag, !seen_target, is not allowed"),
        ("a: !!str 1", "1:4: a tag, tag:yaml.org,2002:str, is not allowed"),
        ("? [1]\n: 2", "1:3: a key must be a text"),
        ("[" * 50 + "]" * 50, "1:18: nested too deeply; the limit is 16"),
        ("[" * 9000, "1:18: nested too deeply"),
        ("a: " + "x" * (256 << 10), "1:1: the file is larger than 256 KiB"),
        ("format: 1\nrules: []", "2:8: rules must be a list, of one at least"),
    ],
)
def test_refuses_what_is_no_rules_file(text: str, mistake: str) -> None:
    assert mistakes_in(text)[0].startswith(f"my.yaml:{mistake}")


def nested(levels: int) -> str:
    """A count in a count's argument, and so on."""
    inner = "1"
    for _ in range(levels):
        inner = f"count_equal(1h, {inner}) >= 2 ? 1 : 2"
    return f"count_equal(1h, {inner}) >= 2"


def test_code_grows_with_what_a_file_says_and_not_with_how_deep_it_is_nested() -> None:
    sizes = []
    for levels in (5, 10, 15):
        program = Program(a_book(a_rule_text(when=nested(levels))), 100)
        sizes.append(len(program._fast_path("USD", [0])))
    assert sizes[2] - sizes[1] < 1.2 * (sizes[1] - sizes[0])


def test_refuses_a_rule_that_is_nested_too_deeply_with_what_its_words_stand_for() -> None:
    deep = "history" + " + 1" * 40
    rule = a_rule_text(observed=deep, threshold="1", when="observed" + " + 1" * 40 + " > 3")
    assert mistakes_in(a_file(rule)) == [
        'my.yaml:4:1: "a_rule" is nested too deeply, with what observed and threshold stand for; '
        "the limit is 64"
    ]
    rule["when"] = "observed" + " + 1" * 20 + " > 3"
    load(a_file(rule))


def sum_of(what: str, number: int) -> str:
    return what if number == 1 else f"({sum_of(what, number // 2)} + {sum_of(what, number // 2)})"


def test_refuses_rules_that_would_become_too_much_code() -> None:
    rule = a_rule_text(observed=sum_of("history", 256), threshold="1")
    rule["when"] = f"{sum_of('observed', 256)} > 1"
    (mistake,) = mistakes_in(a_file(rule))
    assert (
        mistake
        == "my.yaml:3:11: the rules have 131585 parts, in all currencies; the limit is 100000"
    )
    names = [f"{a}{b}{c}" for a in "ABCDEFGH" for b in "ABCDEFGH" for c in "ABCDEFGH"]
    limits = dict.fromkeys(names, 1)
    rule = a_rule_text(
        params={"limit": limits}, threshold="limit", when=f"{sum_of('history', 128)} > 1"
    )
    assert "in all currencies; the limit is 100000" in mistakes_in(a_file(rule))[0]


def test_refuses_more_payments_than_a_file_may_have() -> None:
    payment = {"at": "0s", "amount": 1, "repeat": 2000}
    cases = [{"name": f"{n}", "payments": [payment] * 13} for n in range(2)]
    assert (
        "more than 50000 payments in the file" in mistakes_in(a_file(a_rule_text(tests=cases)))[0]
    )


def test_a_file_that_is_not_there_or_not_utf8_is_refused_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    with pytest.raises(RulesError, match=r"rules\.yaml:1:1: can't be read: No such file"):
        load_file(path)
    path.write_bytes(b"format: \xff")
    with pytest.raises(RulesError, match=r"rules\.yaml:1:1: byte 8 of the file is not UTF-8"):
        load_file(path)
    path.write_bytes(b"# " + "é".encode() * (256 << 10))
    with pytest.raises(RulesError, match=r"rules\.yaml:1:1: the file is larger than 256 KiB"):
        load_file(path)


def test_what_a_file_says_forges_no_lines() -> None:
    text = changed("mode: active", '"mode\\nmy.yaml:1:1: \\e[31m": 1\n    mode: active')
    (line,) = mistakes_in(text)
    assert line.startswith(r'my.yaml:4:5: a rule has no "mode\nmy.yaml:1:1: \x1b[31m"')
    (line,) = mistakes_in(changed("mode: active", f"{'x' * 9_000}: 1\n    mode: active"))
    assert len(line) < 500


@given(
    st.lists(
        st.tuples(
            st.integers(0, len(RULE)),
            st.integers(0, 20),
            st.one_of(
                st.sampled_from(
                    [*"{}[]:,\"'&*!#|>-?%@` \n\t\0é\u2028\ud800", "---\n", "- ", "[[[["]
                ),
                st.text(max_size=3),
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_damage_to_a_file_is_told_line_by_line(damage: list[tuple[int, int, str]]) -> None:
    text = RULE
    for at, removed, added in damage:
        text = text[:at] + added + text[at + removed :]
    told = "my.yaml:1:1: fine"
    try:
        load(text, "my.yaml")
    except RulesError as error:
        told = str(error)
    assert all(line.startswith("my.yaml:") for line in told.split("\n"))
