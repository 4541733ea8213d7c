"""Whatever a rules file holds: it is refused with its mistakes, or it can be used."""

import random
import re
from collections.abc import Callable
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from rulebooks import SHIPPED
from rules_builders import a_file, a_rule_text

from detector.rules.engine.account import Account
from detector.rules.engine.compiler import Program
from detector.rules.engine.reasons import Payment
from detector.rules.engine.rules import Rules
from detector.rules.file.loading import MAX_NODES, RulesError, load, number_of_nodes
from detector.rules.language.features import FEATURES, Argument
from detector.rules.language.operators import BINARY
from detector.rules.language.tree import Kind, Mode, Rulebook
from detector.rules.tools.test_runner import validated
from detector.rules.tools.timing import all_active

PAYMENTS = 1_000
NODE_SIZE, FRAME_SIZE = 250, 2_000  # characters of code for a node, and around all
CURRENCIES = ["USD", "JPY", "BHD", "XYZ"]

SHIPPED_TEXT = SHIPPED.read_text().replace("mode: shadow", "mode: active")


def usable(text: str) -> Rulebook | None:
    """What a file says, or None where it is refused; any other error is the test's."""
    try:
        return validated(load(text, "my.yaml"), "my.yaml")
    except RulesError as error:
        said = str(error).split("\n")
    assert all(line.startswith("my.yaml:") for line in said)
    return None


def require_that_it_works(book: Rulebook) -> None:
    """Its code is no larger than its bound, and it judges payments of all kinds."""
    active = all_active(book)
    assert number_of_nodes(active.rules) <= MAX_NODES
    program = Program(active, 100)
    applicable = program.applicable("USD")
    most = FRAME_SIZE + NODE_SIZE * number_of_nodes(active.rules)
    assert len(program._fast_path("USD", applicable)) <= most
    assert len(program._slow_path("USD", applicable)) <= most
    judge_some(Rules(active, 100))


def judge_some(rules: Rules) -> None:
    dice = random.Random(7)  # noqa: S311  # dice
    accounts: dict[bytes, Account] = {}
    time_ms = 1_800_000_000_000
    for _ in range(PAYMENTS):
        time_ms += dice.choice((0, 1, 1_000, 600_000, 86_400_000, -3_000_000))
        currency = dice.choice(CURRENCIES).encode() if dice.random() < 0.3 else b"USD"
        source, target = b"s%d" % dice.randrange(9), b"t%d" % dice.randrange(20)
        amount = dice.choice((0, 1, 500, 90_000, dice.randrange(100_000), 10**12))
        account = accounts.get(source) or rules.layout.new(time_ms, currency, 0)
        accounts[source] = account
        matches = rules.evaluators[currency](account, time_ms, amount, target, currency, source)
        if matches:
            rules.verdict(matches, Payment(time_ms, amount, currency, source, target), account)


def fuzz(examples: int) -> Callable[[Any], Any]:
    return settings(max_examples=examples, database=None, phases=[Phase.generate, Phase.shrink])


# -- the file that ships, damaged

WITHOUT_TESTS = re.sub(r"\n    tests:\n(      .*\n)+", "\n", SHIPPED_TEXT)
PIECES = [
    *"{}[]:,\"'&*!#|>-?%@` \n\t\0é\u2028\ud800\U0001f600",
    *(
        r"\U00110000",
        r"\ud800",
        r"\UFFFFFFFF",
        r"\x00",
        "\ufeff",
        "%YAML 9.9\n---\n",
        "%YAML " + "9" * 5000,
    ),
    *(
        "---\n",
        "- ",
        "[[[[",
        "observed",
        "threshold",
        "999999999999",
        "9223372036854775807",
        "0",
        "1e308",
    ),
    *(
        "USD: 1, ",
        '"*": 1, ',
        "count(1h) ",
        " * observed",
        " / (amount - amount)",
        " && ",
        "{observed}",
    ),
    *(
        "{source}",
        "mode: off",
        "106751991167d",
        "-1",
        "0.000000001",
        "count_equal(1h, amount) >= 2 && ",
    ),
]
damages = st.lists(
    st.tuples(
        st.integers(0, len(WITHOUT_TESTS)),
        st.integers(0, 12),
        st.sampled_from(PIECES) | st.text(max_size=3) | st.binary(max_size=3),
    ),
    min_size=1,
    max_size=3,
)


def damaged(damage: list[tuple[int, int, str | bytes]]) -> str:
    """As it would be read of a topic, if bytes were damaged; text may hold half characters."""
    text = WITHOUT_TESTS
    for at, removed, added in damage:
        piece = added if isinstance(added, str) else added.decode(errors="replace")
        text = text[:at] + piece + text[at + removed :]
    return text


@fuzz(120)
@given(damages)
def test_the_shipped_file_with_any_damage_is_refused_or_works(
    damage: list[tuple[int, int, str | bytes]],
) -> None:
    book = usable(damaged(damage))
    if book is not None:
        require_that_it_works(book)


# -- files that are made up

NAMES = {
    Kind.INT: ["n", "history", "0", "1", "3", "9223372036854775807"],
    Kind.DOUBLE: ["x", "0.0", "1.5", "1e308"],
    Kind.MONEY: ["limit", "low", "amount", "mean_amount", "stddev_amount"],
    Kind.DURATION: ["w", "since_last", "1h", "1ms", "106751991167d"],
    Kind.STRING: ["source", "target", "currency", '"USD"', "'é'", '"\U0001f600\\n"'],
    Kind.BOOL: ["seen_target", "true", "false"],
}
PARAMS = {"n": 2, "x": 2.5, "w": "1h", "limit": {"*": 900}, "low": {"USD": 1, "JPY": "0.5"}}


class Maker:
    """Makes expressions that mostly fit: of each type, with all features and operators."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def of(self, kind: Kind, depth: int) -> str:
        dice = self._dice
        if depth < 1 or dice.random() < 0.2:
            return dice.choice(NAMES[kind])
        make = dice.choice([self._feature, self._operation, self._operation, self._choice])
        return make(kind, depth - 1)

    def _feature(self, kind: Kind, depth: int) -> str:
        fits = [name for name, its in FEATURES.items() if its.type is kind and its.arguments]
        if not fits:
            return self._operation(kind, depth)
        name = self._dice.choice(fits)
        arguments = [self._argument(each, depth) for each in FEATURES[name].arguments]
        return f"{name}({', '.join(arguments)})"

    def _argument(self, argument: Argument, depth: int) -> str:
        is_window = argument is Argument.WINDOW
        return self._dice.choice(["w", "1h", "90d"]) if is_window else self.of(Kind.MONEY, depth)

    def _operation(self, kind: Kind, depth: int) -> str:
        if kind is Kind.BOOL and self._dice.random() < 0.3:
            of = self._dice.choice(list(NAMES))
            return f"{self.of(of, depth)} in [{self.of(of, depth)}, {self.of(of, depth)}]"
        fits = [signature for signature, found in BINARY.items() if found is kind]
        operator, left, right = self._dice.choice(fits)
        return f"({self.of(left, depth)} {operator} {self.of(right, depth)})"

    def _choice(self, kind: Kind, depth: int) -> str:
        return f"({self.of(Kind.BOOL, depth)} ? {self.of(kind, depth)} : {self.of(kind, depth)})"


def made_up(dice: random.Random, reason: str, number: int) -> dict[str, Any]:
    maker, depth = Maker(dice), dice.choice((1, 2, 3, 5))
    kind = dice.choice((Kind.INT, Kind.DOUBLE, Kind.MONEY, Kind.DURATION))
    observed, threshold = maker.of(kind, depth), maker.of(kind, depth)
    when = dice.choice(["true", "observed >= threshold", maker.of(Kind.BOOL, depth)])
    chain = dice.choice((0, 40)) if kind is Kind.INT else 0
    text = " ".join([observed, threshold, when, reason])
    return a_rule_text(
        name=f"rule_{number}",
        mode=dice.choice(list(Mode)),
        params={name: its for name, its in PARAMS.items() if re.search(rf"\b{name}\b", text)},
        observed=observed,
        threshold=threshold,
        when=f"({when}) && {'observed * ' * chain}observed >= threshold",
        reason=reason,
    )


words = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs", "Cc"]), max_size=8)
sentences = (
    words.map("{{}} {observed} ".__add__)
    | st.sampled_from(["{threshold}", "{n} {w} {x} {low} {limit}", "\ud800", "{", "\0"])
    | st.sampled_from(["{amount} of {source} to {target}, {currency}"])
)


@fuzz(120)
@given(st.randoms(use_true_random=False), st.lists(sentences, min_size=1, max_size=4))
def test_a_file_that_is_made_up_is_refused_or_works(
    dice: random.Random, reasons: list[str]
) -> None:
    text = a_file(*(made_up(dice, reason, number) for number, reason in enumerate(reasons)))
    book = usable(text)
    if book is not None:
        require_that_it_works(book)
