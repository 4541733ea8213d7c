"""Reading a record's value: a transaction, or the reason why it is none."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.transaction import Transaction, Unreadable, _parse_with_care, parse

CODES = re.findall(
    r"^\| `(\w+)` \|",
    (Path(__file__).parents[2] / "docs" / "dead-letters.md").read_text().split("| code |")[1],
    re.MULTILINE,
)


def a_value(**fields: str) -> bytes:
    """A transaction's JSON; each field is given as JSON text."""
    plain = {"source": '"a"', "target": '"b"', "amount": "5.00", "currency": '"USD"', **fields}
    return ("{" + ",".join(f'"{name}":{text}' for name, text in plain.items()) + "}").encode()


def without(name: str) -> bytes:
    fields = json.loads(a_value())
    del fields[name]
    return json.dumps(fields).encode()


HOSTILE = {
    "no value": (None, "null_value"),
    "no bytes": (b"", "empty_value"),
    "not UTF-8": (b'{"source":"\xff"}', "not_utf8"),
    "UTF-16": (a_value().decode().encode("utf-16"), "not_utf8"),
    "Latin-1": ('{"source":"é"}'.encode("latin-1"), "not_utf8"),
    "a truncated record": (a_value()[:-1], "not_json"),
    "trailing bytes": (a_value() + b"x", "not_json"),
    "two objects": (a_value() * 2, "not_json"),
    "a byte order mark": (b"\xef\xbb\xbf" + a_value(), "not_json"),
    "a raw line feed in a string": (a_value(source='"a\n"'), "not_json"),
    "a NUL byte": (b"\0" + a_value(), "not_json"),
    "single quotes": (a_value().replace(b'"', b"'"), "not_json"),
    "a leading zero": (a_value(amount="05"), "not_json"),
    "a plus sign": (a_value(amount="+5"), "not_json"),
    "a bare point": (a_value(amount="5."), "not_json"),
    "hexadecimal": (a_value(amount="0x10"), "not_json"),
    "NaN": (a_value(amount="NaN"), "not_json"),
    "Infinity": (a_value(amount="Infinity"), "not_json"),
    "-Infinity": (a_value(amount="-Infinity"), "not_json"),
    "NaN in an unknown field": (a_value(note="NaN"), "not_json"),
    "900 KB of nothing": (b" " * 900_000, "not_json"),
    "nested 100,000 deep": (b"[" * 100_000 + b"]" * 100_000, "too_deep"),
    "an unknown field nested too deep": (a_value(note="[" * 100_000 + "]" * 100_000), "too_deep"),
    "an array": (b"[]", "not_object"),
    "a number": (b"1", "not_object"),
    "a string": (b'"a"', "not_object"),
    "null": (b"null", "not_object"),
    "true": (b"true", "not_object"),
    "an array of objects": (b"[" + a_value() + b"]", "not_object"),
    "an empty object": (b"{}", "missing_field"),
    **{f"no {name}": (without(name), "missing_field") for name in json.loads(a_value())},
    "another case of a name": (a_value().replace(b"amount", b"Amount"), "missing_field"),
    **{
        f"{name} twice": (a_value()[:-1] + f',"{name}":1}}'.encode(), "duplicate_field")
        for name in json.loads(a_value())
    },
    "amount again, with an escape": (a_value()[:-1] + rb',"\u0061mount":5}', "duplicate_field"),
    "the same amount twice": (a_value()[:-1] + b',"amount":5.00}', "duplicate_field"),
    **{
        f"{name} {kind}": (a_value(**{name: text}), f"bad_{name}")
        for name in ("source", "target", "currency")
        for kind, text in {
            "null": "null",
            "a number": "5",
            "a boolean": "true",
            "an array": "[]",
            "an object": "{}",
            "empty": '""',
            "with a space": '"A B"',
            "not ASCII": '"ÄÖÜ"',
            "with an escaped line feed": r'"A\nB"',
            "with an escaped NUL": r'"\u0000AB"',
            "a lone surrogate": r'"\ud800"',
        }.items()
    },
    "source of 65 characters": (a_value(source=f'"{"a" * 65}"'), "bad_source"),
    "target with a slash": (a_value(target='"a/b"'), "bad_target"),
    "currency in small letters": (a_value(currency='"usd"'), "bad_currency"),
    "currency of two letters": (a_value(currency='"US"'), "bad_currency"),
    "currency of four letters": (a_value(currency='"USDX"'), "bad_currency"),
    "currency with a digit": (a_value(currency='"US1"'), "bad_currency"),
    "amount a string": (a_value(amount='"900"'), "bad_amount"),
    "amount null": (a_value(amount="null"), "bad_amount"),
    "amount true": (a_value(amount="true"), "bad_amount"),
    "amount an array": (a_value(amount="[5]"), "bad_amount"),
    "amount negative": (a_value(amount="-0.01"), "bad_amount"),
    "amount past a double": (a_value(amount="1e400"), "bad_amount"),
    "amount past a decimal": (a_value(amount="1e99999999999999999999"), "bad_amount"),
    "amount of 5,000 digits": (a_value(amount="9" * 5_000), "bad_amount"),
    "amount a cent past the limit": (a_value(amount="1000000000000.01"), "bad_amount"),
    "amount a hair past the limit": (a_value(amount="1000000000000.0000000000001"), "bad_amount"),
}


@pytest.mark.parametrize(("value", "code"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_value_is_unreadable_with_the_code_of_the_table(
    value: bytes | None, code: str
) -> None:
    outcome = parse(value)
    assert isinstance(outcome, Unreadable)
    assert outcome.code == code


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


@pytest.mark.parametrize(
    "value",
    [
        a_value(note='"x"'),
        a_value(note='{"amount":1,"amount":2}'),
        a_value(note="9" * 900_000),
        json.dumps(dict(reversed(json.loads(a_value()).items()))).encode(),
        json.dumps(json.loads(a_value()), indent=2).encode(),
        b" \r\n\t" + a_value() + b"\n",
        a_value(source=r'"\u0061"'),
    ],
    ids=[
        "unknown",
        "nested duplicates",
        "huge number",
        "other order",
        "indented",
        "blanks",
        "escape",
    ],
)
def test_a_reader_tolerates_what_does_not_change_the_meaning(value: bytes) -> None:
    assert parse(value) == Transaction(b"a", b"b", 500, b"USD")


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
    assert found == _parse_with_care(value)


def test_the_table_of_codes_is_what_the_reader_and_the_router_can_say() -> None:
    seen = {code for _, code in HOSTILE.values()}
    assert set(CODES) == seen | {"too_large", "bad_timestamp"}
