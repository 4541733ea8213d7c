"""A batch that is taken apart by a regular expression is what the codec finds in it, or is left to
the codec."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_batch import Record, encode_tail
from kafka_batch.codec import Columns, decode, encode
from kafka_batch.scan import scan

BASE_MS = 1_700_000_000_000
_FRONT = 21  # bytes of a record before its value, about
EXPRESSION = rb'\{"n":([0-9]+),"text":"(a*)"\}|([^\0]+)'


def value(number: int, letters: int = 60) -> bytes:
    return b'{"n":%d,"text":"%b"}' % (number, b"a" * letters)


def records(count: int, step_ms: int = 0, key: bytes = b"k" * 12) -> list[Record]:
    return [(BASE_MS + n * step_ms, key, value(n), ()) for n in range(count)]


@dataclass(frozen=True)
class Written:
    """A batch's records, as bytes and what is known of them beside."""

    encoded: bytes
    count: int
    base_ms: int = BASE_MS
    last_offset: int = 0

    @classmethod
    def of(cls, its: Sequence[Record]) -> "Written":
        tails = [encode_tail(key, value, headers) for _, key, value, headers in its]
        return cls(encode(tails, [ms for ms, *_ in its], BASE_MS, 0), len(its), BASE_MS)

    def scanned(self) -> Columns | None:
        last = self.last_offset or 100 + self.count - 1
        return scan(self.encoded, self.count, 100, last, self.base_ms, lambda _: EXPRESSION)

    def decoded(self) -> Columns:
        return decode(self.encoded, self.count, 100, 100 + self.count - 1, self.base_ms)


def same(scanned: Columns, decoded: Columns) -> None:
    assert scanned.offsets == decoded.offsets
    assert [*scanned.timestamps] == [*decoded.timestamps]
    assert [*scanned.tails] == [*decoded.tails]
    assert [*scanned.values] == [*decoded.values]
    assert [scanned.values[n] for n in range(len(decoded.values))] == decoded.values
    assert decoded.bare
    matches = [re.fullmatch(EXPRESSION, value or b"", re.DOTALL) for value in decoded.values]
    groups = [match.groups(b"") if match else () for match in matches]
    assert [*zip(*(scanned.found or ()), strict=True)] == groups


@pytest.mark.parametrize(
    "its",
    [
        records(16),
        records(64),
        records(65, key=b""),
        records(2_000, key=b"k" * 63),
        records(8_192),
        records(200, step_ms=1),
        records(200, step_ms=70),
        records(2_000, step_ms=500),
        [(ms, None, value, headers) for ms, _, value, headers in records(100)],
        [*records(40), (BASE_MS, b"k" * 12, b"anything else, of as many bytes " * 3, ())],
    ],
    ids=lambda its: f"{len(its)} over {its[-1][0] - BASE_MS} ms",
)
def test_records_that_are_alike_are_found_as_the_codec_finds_them(its: list[Record]) -> None:
    written = Written.of(its)
    scanned = written.scanned()
    assert scanned
    same(scanned, written.decoded())
    same(scanned.since(110), written.decoded().since(110))


@pytest.mark.parametrize(
    "odd",
    [
        (BASE_MS, b"another key", value(1), ()),
        (BASE_MS, b"k" * 12, value(1), (("name", b"content"),)),
        (BASE_MS, b"k" * 12, value(1), (("name", b"\0"),)),
        (BASE_MS, b"k" * 12, b"short", ()),
        (BASE_MS, b"k" * 12, b"v" * 300, ()),
        (BASE_MS, b"k" * 12, value(1) + b"\0" + value(2), ()),
        (BASE_MS, b"k" * 12, None, ()),
        (BASE_MS, None, value(1), ()),
        (BASE_MS - 1, b"k" * 12, value(1), ()),
        (BASE_MS + 3_600_000, b"k" * 12, value(1), ()),
    ],
)
@pytest.mark.parametrize("at", [0, 40, 99])
def test_where_one_is_not_alike_the_codec_reads_them(odd: Record, at: int) -> None:
    its = records(99)
    assert Written.of([*its[:at], odd, *its[at:]]).scanned() is None


def test_few_records_many_or_with_gaps_are_read_by_the_codec() -> None:
    assert Written.of(records(15)).scanned() is None
    assert Written.of(records(8_193)).scanned() is None
    whole = Written.of(records(100))
    assert Written(whole.encoded, 100, last_offset=300).scanned() is None
    assert Written(whole.encoded, 99).scanned() is None
    assert Written(whole.encoded, 101).scanned() is None
    assert Written(whole.encoded, 100, base_ms=2**62).scanned() is None


changes = st.lists(
    st.tuples(
        st.sampled_from(["change", "insert", "delete"]),
        st.integers(0, 99),  # the record
        st.integers(0, _FRONT) | st.integers(0, 110),  # the byte in it
        st.sampled_from([0, 1, 2, 24, 127, 128, 255]) | st.integers(0, 255),
    ),
    max_size=4,
)


@given(changes=changes, step_ms=st.sampled_from([0, 1, 70]), letters=st.integers(53, 62))
@settings(deadline=None, max_examples=1_500)
def test_whatever_the_bytes_are_they_are_read_as_by_the_codec_or_not_at_all(
    changes: list[tuple[str, int, int, int]], step_ms: int, letters: int
) -> None:
    its = records(100, step_ms)
    its[50:] = [(ms, key, value(n, letters), ()) for n, (ms, key, *_) in enumerate(its[50:], 50)]
    whole = Written.of(its)
    damaged = bytearray(whole.encoded)
    for how, row, byte, what in changes:
        its_value = whole.encoded.index(b'{"n":%d,' % row)
        at = min(max(0, its_value - _FRONT) + byte, len(damaged) - 1)
        if how == "delete":
            del damaged[at]
        elif how == "insert":
            damaged.insert(at, what)
        else:
            damaged[at] = what
    written = Written(bytes(damaged), whole.count)
    scanned = written.scanned()
    if scanned is not None:
        same(scanned, written.decoded())
    elif not changes and letters >= 60:
        pytest.fail("what was not damaged was not scanned")
