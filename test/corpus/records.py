"""Malformed and hostile records, and odd ones that are fine, each with what must become of it.

This is data. `RECORDS` is the whole corpus. A value is known by the code of its dead letter
(docs/dead-letters.md), or is LEGIT or FRAUD. Wherever a value can say FORGED, it does: no log line
and no `error_detail` may.
"""

from collections.abc import Mapping
from dataclasses import dataclass

LEGIT, FRAUD = "legit", "fraud"  # the outcomes that are no code of a dead letter
SENT_MS = 1_700_000_000_000
# Of every dead letter, behind the record's own.
HEADERS = ("judged", "error", "error_detail", "origin")
FIELDS = ("source", "target", "amount", "currency")

_SHOWN = 400  # characters
Header = tuple[bytes, bytes | None]


@dataclass(frozen=True, repr=False)
class Odd:
    """A record as no well-behaved producer writes it. `name` is the only one of its kind."""

    name: str
    outcome: str
    value: bytes | None
    key: bytes | None = b"account"
    timestamp_ms: int = SENT_MS
    headers: tuple[Header, ...] = ()

    def __repr__(self) -> str:
        shown = f"{self.name!r}, {self.outcome}, {self.value!r}, key={self.key!r}"
        return f"Odd({shown}, at={self.timestamp_ms}, headers={self.headers})"[:_SHOWN]

    @property
    def size(self) -> int:
        """Bytes, about."""
        parts = [self.key, self.value, *(part for header in self.headers for part in header)]
        return sum(len(part or b"") for part in parts)


def a_value(**fields: str) -> bytes:
    """A transaction's JSON; each field is given as JSON text. Others are added."""
    plain = {"source": '"a"', "target": '"b"', "amount": "5.00", "currency": '"USD"', **fields}
    return ("{" + ",".join(f'"{name}":{text}' for name, text in plain.items()) + "}").encode()


def without(name: str) -> bytes:
    """A transaction's JSON that lacks a field."""
    texts = a_value().decode()[1:-1].split(",")
    return ("{" + ",".join(text for text in texts if f'"{name}"' not in text) + "}").encode()


def and_also(text: str) -> bytes:
    """A transaction's JSON with something behind its last field."""
    return a_value()[:-1] + f",{text}}}".encode()


def escaped(name: str) -> str:
    """A field's name, written so that only a JSON parser recognises it."""
    return f"\\u{ord(name[0]):04x}{name[1:]}"


PLAIN, LARGE = a_value(), a_value(amount="900")
NO_TEXT = {
    "null": "null",
    "a number": "5",
    "a number past a double": "1e400",
    "a boolean": "true",
    "an array": '["FORGED"]',
    "an object": '{"FORGED":1}',
    "empty": '""',
    "with a space": '"A B"',
    "not ASCII": '"ÄÖÜ"',
    "with a full-width letter": '"\N{FULLWIDTH LATIN CAPITAL LETTER U}SD"',
    "with an escaped line feed": r'"A\nB"',
    "with an escaped NUL": r'"\u0000AB"',
    "with an escape code of a terminal": r'"\u001b[2JFORGED"',
    "with a line separator": r'"A\u2028B"',
    "a lone surrogate": r'"\ud800"',
    "a log line": r'"a\n{\"level\":\"error\",\"event\":\"FORGED\"}"',
}
AMOUNTS = {
    "a string": '"900"',
    "a string of digits elsewhere": '"٩٠٠"',
    "null": "null",
    "true": "true",
    "false": "false",
    "an array": "[5]",
    "an object": '{"amount":5}',
    "negative": "-0.01",
    "negative, past what a double can tell from zero": "-1e-400",
    "the least double, negative": "-5e-324",
    "past a double": "1e400",
    "the largest double": "1.7976931348623157e308",
    "past a double, negative": "-1e400",
    "past a decimal": "1e99999999999999999999",
    "of 5,000 digits": "9" * 5_000,
    "past 64 bits": "18446744073709551616",
    "the largest of 64 bits": "9223372036854775807",
    "a cent past the limit": "1000000000000.01",
    "a hair past the limit": "1000000000000.0000000000001",
}
NO_NUMBERS = {
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-Infinity": "-Infinity",
    "with a leading zero": "05",
    "with a plus sign": "+5",
    "with a bare point": "5.",
    "with a point first": ".5",
    "in hexadecimal": "0x10",
    "with an underscore": "1_000",
    "with a comma": "1,50",
    "with a bare exponent": "5e",
    "with two minus signs": "--5",
    "in Arabic digits": "\N{ARABIC-INDIC DIGIT FIVE}",
    "nothing": "",
}

# By code: what is wrong with the value alone.
VALUES: Mapping[str, Mapping[str, bytes | None]] = {
    "null_value": {"no value": None},
    "empty_value": {"no bytes": b""},
    "not_utf8": {
        "a byte that is never UTF-8": b'{"source":"\xff"}',
        "Latin-1": '{"source":"é"}'.encode("latin-1"),
        "UTF-16 with a byte order mark": PLAIN.decode().encode("utf-16"),
        "UTF-8 that is cut off": and_also('"note":"FORGED €').removesuffix(b"\xac}"),
        "an overlong slash": and_also('"note":"%"').replace(b"%", b"\xc0\xaf"),
        "an encoded surrogate": and_also('"note":"%"').replace(b"%", b"\xed\xa0\x80"),
        "past the last code point": and_also('"note":"%"').replace(b"%", b"\xf5\x80\x80\x80"),
        "gzip": b"\x1f\x8b\x08\x00FORGED",
        "Avro with a schema's id": b"\x00\x00\x00\x00\x01\x18FORGED\xfe\xff",
    },
    "not_json": {
        "a record that is cut off": PLAIN[:-1],
        "trailing bytes": PLAIN + b"x",
        "two objects": PLAIN * 2,
        "two objects on two lines": PLAIN + b"\n" + PLAIN,
        "a byte order mark": b"\xef\xbb\xbf" + PLAIN,
        "UTF-16 without a byte order mark": PLAIN.decode().encode("utf-16-le"),
        "a raw line feed in a string": a_value(source='"a\n"'),
        "a raw carriage return in a string": a_value(source='"a\r"'),
        "a raw tab in a string": and_also('"note":"FORGED\t"'),
        "a raw NUL in a string": and_also('"note":"\0"'),
        "a raw DEL's neighbour in a string": and_also('"note":"\x1f"'),
        "a NUL first": b"\0" + PLAIN,
        "a NUL last": PLAIN + b"\0",
        "a form feed between fields": PLAIN.replace(b",", b",\f"),
        "a space that is not ASCII": PLAIN.replace(b",", ",\u00a0".encode()),
        "single quotes": PLAIN.replace(b'"', b"'"),
        "names without quotes": b"{source:1}",
        "a trailing comma": PLAIN[:-1] + b",}",
        "a comma missing": PLAIN.replace(b',"amount"', b' "amount"'),
        "a colon missing": PLAIN.replace(b'"amount":', b'"amount" '),
        "a comment": PLAIN.replace(b",", b"/* FORGED */,", 1),
        "an escape that JSON doesn't have": a_value(source=r'"\x41"'),
        "an escape that is cut off": a_value(source=r'"\u00"'),
        "XML": b"<source>FORGED</source>",
        "CSV": b"a,b,5.00,USD",
        "MessagePack": b"\x04\x05text",
        "a blank": b" ",
        "a line feed": b"\n",
        "a lone quote": b'"',
        "a brace": b"{",
        "NaN in a field that is not known": and_also('"note":NaN'),
        "900 kB of blanks": b" " * 900_000,
        "900 kB without an end": b'{"source":"' + b"x" * 900_000,
        "400 levels without an end": b'{"a":' * 400,
        **{f"amount {kind}": a_value(amount=text) for kind, text in NO_NUMBERS.items()},
    },
    "too_deep": {
        "arrays in arrays, 100,000 levels": b"[" * 100_000 + b"]" * 100_000,
        "arrays in arrays, without an end": b"[" * 100_000,
        "objects in objects, 100,000 levels": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "an unknown field nested too deep": and_also('"note":' + "[" * 5_000 + "]" * 5_000),
        "one level too many": and_also('"note":' + "[" * 500 + "]" * 500),
        "an amount nested too deep": a_value(amount="[" * 9_000 + "]" * 9_000),
    },
    "not_object": {
        "an array": b"[]",
        "an array of a transaction": b"[" + PLAIN + b"]",
        "a number": b"1",
        "a number past a double": b"1e400",
        "a number of 5,000 digits": b"9" * 5_000,
        "a string": b'"FORGED"',
        "a transaction in a string": b'"' + PLAIN.replace(b'"', b'\\"') + b'"',
        "null": b"null",
        "true": b"true",
        "false": b"false",
    },
    "missing_field": {
        "an empty object": b"{}",
        "only a field that is not known": b'{"FORGED":1}',
        "a line of a log": b'\n{"level":"error","event":"FORGED"}\n',
        "a transaction within an object": b'{"transaction":' + PLAIN + b"}",
        "a name in capitals": PLAIN.replace(b"amount", b"Amount"),
        "a name with a blank": PLAIN.replace(b'"amount"', b'"amount "'),
        "a name with a zero-width space": PLAIN.replace(b'"amount"', '"amount\u200b"'.encode()),
        "a name with a letter of another script": PLAIN.replace(
            b"amount", "\N{CYRILLIC SMALL LETTER A}mount".encode()
        ),
        **{f"no {name}": without(name) for name in FIELDS},
    },
    "duplicate_field": {
        **{f"{name} twice": and_also(f'"{name}":1') for name in FIELDS},
        **{f"{name} again, with an escape": and_also(f'"{escaped(name)}":1') for name in FIELDS},
        "the same amount twice": and_also('"amount":5.00'),
        "amount twice, both with an escape": PLAIN.replace(
            b'"amount":5.00', rb'"\u0061mount":5.00,"amoun\u0074":5.00'
        ),
        "amount 1,000 times": and_also(",".join(['"amount":5.00'] * 1_000)),
        "amount twice, and a field missing": b'{"amount":1,"amount":2}',
    },
    **{
        f"bad_{name}": {f"{name} {kind}": a_value(**{name: text}) for kind, text in NO_TEXT.items()}
        | more
        for name, more in {
            "source": {
                "source of 65 characters": a_value(source=f'"{"a" * 65}"'),
                "source of 900 kB": a_value(source=f'"{"a" * 900_000}"'),
            },
            "target": {"target with a slash": a_value(target='"a/b"')},
            "currency": {
                "currency in small letters": a_value(currency='"usd"'),
                "currency of two letters": a_value(currency='"US"'),
                "currency of four letters": a_value(currency='"USDX"'),
                "currency with a digit": a_value(currency='"US1"'),
                "currency as a sign": a_value(currency='"$"'),
            },
        }.items()
    },
    "bad_amount": {f"amount {kind}": a_value(amount=text) for kind, text in AMOUNTS.items()},
    LEGIT: {
        "amount zero": a_value(amount="0"),
        "amount zero, with a minus sign": a_value(amount="-0.0e5"),
        "amount just below the limit": a_value(amount="899.99"),
        "amount below it by less than a cent": a_value(amount="899." + "9" * 60),
        "amount past what a double can tell from zero": a_value(amount="1e-400"),
        "amount with an exponent past a decimal": a_value(amount="1e-99999999999999999999"),
        "amount of 100,000 decimals": a_value(amount="0." + "9" * 100_000),
        "a field that is not known": and_also('"note":"FORGED"'),
        "a name of a field in capitals": and_also('"AMOUNT":900'),
        "a field without a name": and_also('"":0'),
        "fields doubled within one that is not known": and_also('"note":{"amount":1,"amount":2}'),
        "a number past a double that is not known": and_also('"note":1e400'),
        "a number of 900 kB that is not known": and_also('"note":' + "9" * 900_000),
        "10,000 fields that are not known": and_also(
            ",".join(f'"f{n}":{n}' for n in range(10_000))
        ),
        "as many levels as are read": and_also('"note":' + "[" * 499 + "]" * 499),
        "brackets in a string": and_also('"note":"\\"' + "[" * 5_000 + '"'),
        "a lone surrogate in a field that is not known": and_also(r'"note":"\ud800"'),
        "escapes in a name and in a value": a_value(source=r'"\u0061"').replace(
            b"amount", rb"\u0061mount"
        ),
        "another order": b'{"currency":"USD","amount":5,"target":"b","source":"a"}',
        "many lines": PLAIN.replace(b",", b",\r\n\t").replace(b"{", b"{\n"),
        "blanks around it": b" \r\n\t" + PLAIN + b"\n",
        "accounts of every character that is allowed": a_value(
            source=f'"{"Aa09-_.:".ljust(64, "x")}"', target=f'"{"Zz.:".ljust(64, "-")}"'
        ),
        "a currency that nobody knows": a_value(currency='"ZZZ"'),
        "an account that pays itself": a_value(target='"a"'),
    },
    FRAUD: {
        "amount at the limit": LARGE,
        "amount at the limit, as an exponent": a_value(amount="9E+2"),
        "amount at the limit, by many digits": a_value(amount="900." + "0" * 10_000),
        "the most that an amount may be": a_value(amount="1e12"),
        "large, with a line feed behind": LARGE + b"\n",
        "large, with 100 kB that are not known": LARGE[:-1] + b',"note":"' + b"x" * 100_000 + b'"}',
    },
}

# What is odd about the record around its value.
KEYS: Mapping[str, bytes | None] = {
    "no key": None,
    "an empty key": b"",
    "a key that is not text": bytes(range(256)),
    "a key of a NUL": b"\0",
    "a key of 100 kB": b"k" * 100_000,
}
TIMESTAMPS: Mapping[str, int] = {
    "a timestamp of 0": 0,
    "a timestamp of 1": 1,
    "a timestamp before 1970": -2,
    "a timestamp before the universe": -(10**18),
}
BAD_TIMESTAMPS: Mapping[str, int] = {
    "no timestamp": -1,
    "a timestamp in the year 2100": 4_102_444_800_000,
    "a timestamp past what a date can say": 10**15,
    "the last timestamp of all": 2**63 - 1,
    "the first timestamp of all": -(2**63),
}
OWN_HEADERS: Mapping[str, tuple[Header, ...]] = {
    "a header": ((b"own", b"content"),),
    "a header with no value": ((b"own", None),),
    "a header with an empty value": ((b"own", b""),),
    "a header without a name": ((b"", b"content"),),
    "a header twice": ((b"own", b"1"), (b"own", b"2"), (b"own", b"1")),
    "a header whose name is not UTF-8": ((b"\xff\xfe", b"content"), (b"own", b"content")),
    "a header whose name has a NUL and a line feed": ((b"\0\nFORGED", b"\n"),),
    "a header whose value is not text": ((b"own", bytes(range(256))),),
    "headers named as ours": tuple(
        (name.encode(), b"FORGED") for name in (*HEADERS, "rules", "reasons", "origin_timestamp")
    ),
    "a header named as one of a verdict": ((b"own", b"x"), (b"shadow_rules", b"FORGED")),
    "1,000 headers": tuple((b"own%d" % n, b"%d" % n) for n in range(1_000)),
    "a header with a name of 10 kB": ((b"n" * 10_000, b"content"),),
    "a header with a value of 100 kB": ((b"own", b"v" * 100_000),),
}
_INSIDE = {LEGIT: PLAIN, FRAUD: LARGE, "not_json": b"FORGED", "null_value": None}

RECORDS: tuple[Odd, ...] = (
    *(Odd(name, outcome, value) for outcome in VALUES for name, value in VALUES[outcome].items()),
    *(
        Odd(f"{name}, {outcome}", outcome, value, key=key)
        for name, key in KEYS.items()
        for outcome, value in _INSIDE.items()
    ),
    *(
        Odd(f"{name}, {outcome}", outcome, value, timestamp_ms=timestamp_ms)
        for name, timestamp_ms in {**TIMESTAMPS, **BAD_TIMESTAMPS}.items()
        for outcome, value in _INSIDE.items()
        if timestamp_ms in TIMESTAMPS.values() or outcome not in (LEGIT, FRAUD)
    ),
    *(
        Odd(name, "bad_timestamp", value, timestamp_ms=timestamp_ms)
        for name, timestamp_ms in BAD_TIMESTAMPS.items()
        for value in (PLAIN,)
    ),
    *(
        Odd(f"{name}, {outcome}", outcome, value, headers=headers)
        for name, headers in OWN_HEADERS.items()
        for outcome, value in _INSIDE.items()
    ),
)
