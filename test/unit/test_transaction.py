"""Reading a record's value: a transaction, or the reason why it is none."""

import json
import re
from pathlib import Path

import pytest
from corpus.records import FRAUD, LEGIT, RECORDS, Odd, a_value
from hypothesis import given
from hypothesis import strategies as st

from detector.wire.strict_reader import Unreadable
from detector.wire.transaction import Transaction, _parse_strictly, parse

CODES = re.findall(
    r"^\| `(\w+)` \|",
    (Path(__file__).parents[2] / "docs" / "dead-letters.md").read_text().split("| code |")[1],
    re.MULTILINE,
)


VALUES = {odd.name: odd for odd in RECORDS if odd.outcome != "bad_timestamp"}


@pytest.mark.parametrize("odd", VALUES.values(), ids=VALUES.keys())
def test_an_odd_value_is_read_as_the_corpus_says(odd: Odd) -> None:
    outcome = parse(odd.value)
    if odd.outcome in (LEGIT, FRAUD):
        assert isinstance(outcome, Transaction)
        assert (outcome.amount >= 90_000) == (odd.outcome == FRAUD)
    else:
        assert isinstance(outcome, Unreadable)
        assert outcome.code == odd.outcome


AMOUNTS = {
    "0": 0,
    "-0": 0,
    "-0.0": 0,
    "0.01": 1,
    "0.009": 0,
    "1": 100,
    "5.5": 550,
    "899.99": 89_999,
    "899.999": 89_999,
    "899." + "9" * 60: 89_999,
    "0." + "9" * 500_000: 99,
    "900": 90_000,
    "9e2": 90_000,
    "9E+2": 90_000,
    "90000e-2": 90_000,
    "900.0000": 90_000,
    "1e-400": 0,
    "1e-99999999999999999999": 0,
    "999999999999.99": 99_999_999_999_999,
    "1000000000000": 100_000_000_000_000,
    "1e12": 100_000_000_000_000,
}


@pytest.mark.parametrize(("text", "cents"), AMOUNTS.items(), ids=[t[:20] for t in AMOUNTS])
def test_an_amount_is_read_exactly_and_rounded_down_to_cents(text: str, cents: int) -> None:
    assert parse(a_value(amount=text)) == Transaction(b"a", b"b", cents, b"USD")


def test_account_names_may_have_every_allowed_character_up_to_64() -> None:
    name = "Aa09-_.:".ljust(64, "x")
    found = parse(a_value(source=f'"{name}"', target=f'"{name}"'))
    assert found == Transaction(name.encode(), name.encode(), 500, b"USD")


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_give_a_transaction_or_a_documented_code(value: bytes) -> None:
    outcome = parse(value)
    assert isinstance(outcome, Transaction) or outcome.code in CODES


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
FIELDS = ("source", "target", "amount", "currency")


@given(st.dictionaries(st.sampled_from([*FIELDS, "note"]), JSON))
def test_a_detail_is_one_short_line_of_plain_ascii(fields: dict[str, object]) -> None:
    outcome = parse(json.dumps(fields).encode())
    if isinstance(outcome, Unreadable):
        assert outcome.code in CODES
        assert outcome.detail.isascii()
        assert outcome.detail.isprintable()
        assert len(outcome.detail) < 200


ACCOUNT = st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True)


@given(
    ACCOUNT,
    ACCOUNT,
    st.from_regex(r"(0|[1-9][0-9]{0,11})(\.[0-9]{1,4})?", fullmatch=True),
    st.from_regex("[A-Z]{3}", fullmatch=True) | st.sampled_from(["JPY", "KWD", "CLF"]),
    st.sampled_from(["", " "]),
)
def test_the_quick_and_the_careful_way_agree(
    source: str, target: str, amount: str, currency: str, blank: str
) -> None:
    value = (
        f'{{"source":{blank}"{source}",{blank}"target":{blank}"{target}",{blank}'
        f'"amount":{blank}{amount},{blank}"currency":{blank}"{currency}"}}'
    ).encode()
    found = parse(value)
    assert isinstance(found, Transaction)
    assert found == _parse_strictly(value)


def test_the_table_of_codes_is_what_the_corpus_tries_and_what_is_too_large() -> None:
    assert set(CODES) == {odd.outcome for odd in RECORDS} - {LEGIT, FRAUD} | {"too_large"}
