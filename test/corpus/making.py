"""Further hostile records, as many as are asked for: strategies of Hypothesis."""

from hypothesis import strategies as st

from corpus.records import AMOUNTS, FIELDS, NO_NUMBERS, NO_TEXT, RECORDS, SENT_MS, Odd, escaped

_SMALL = 2_000  # bytes

_account = st.from_regex(r'"[A-Za-z0-9._:-]{1,64}"', fullmatch=True)
_good = {
    "source": _account,
    "target": _account,
    "amount": st.integers(0, 100_000).map(lambda cents: str(cents / 100)),
    "currency": st.sampled_from(['"USD"', '"JPY"', '"KWD"']),
}
_numbers = st.from_regex(
    r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?([eE][+-]?[0-9]{1,4})?", fullmatch=True
)
_near_the_limits = st.sampled_from(["899.99", "900", "0", "-0", "1e12", "1000000000000.01", "9e2"])
_amounts = _numbers | _near_the_limits | st.sampled_from([*AMOUNTS.values(), *NO_NUMBERS.values()])
_nested = st.integers(490, 510).map(lambda levels: "[" * levels + "]" * levels)
_texts = st.sampled_from([*NO_TEXT.values()]) | st.text(max_size=8) | _nested
_odd = {**dict.fromkeys(FIELDS, _texts), "amount": _amounts | _texts}
_blanks = st.sampled_from(["", "", "", " ", "\n", "\r\n\t", "\f", "\u00a0"])
_names = st.sampled_from([*FIELDS, *map(escaped, FIELDS), "note", "other", ""])


@st.composite
def _objects(draw: st.DrawFn) -> bytes:
    """A transaction of which a little may be wrong: a field, a name, the blanks, what follows."""
    odd = draw(st.sets(st.sampled_from(FIELDS), max_size=2))
    fields = [(name, draw(_odd[name] if name in odd else _good[name])) for name in FIELDS]
    fields += draw(st.lists(st.tuples(_names, _texts | _amounts), max_size=2))
    fields = draw(st.permutations(fields)) if draw(st.booleans()) else fields
    blank = draw(_blanks)
    body = f",{blank}".join(f'"{name}":{blank}{text}' for name, text in fields)
    return f"{{{body}}}".encode("utf-8", "surrogatepass")


@st.composite
def _mutants(draw: st.DrawFn, values: st.SearchStrategy[bytes]) -> bytes:
    """A value with a few bytes taken out, put in, or doubled."""
    value = bytearray(draw(values))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(value)))
        end = min(len(value), start + draw(st.integers(0, 12)))
        new = draw(
            st.binary(max_size=3) | st.sampled_from([value[start:end] * 2, b'"', b"\\", b"\n"])
        )
        value[start:end] = new
    return bytes(value)


_corpus = st.sampled_from([odd.value for odd in RECORDS if odd.value and odd.size <= _SMALL])
values = st.one_of(
    _objects(),
    _mutants(_objects() | _corpus),
    st.binary(max_size=60),
    st.none(),
)
_names_of_headers = st.binary(max_size=12) | st.sampled_from([b"error", b"origin", b"rules"])
_contents = st.none() | st.binary(max_size=20)
_timestamps = st.sampled_from([SENT_MS] * 6 + [-1, 0, 2**62, 2**63 - 1, -(2**63)]) | st.integers(
    -(2**63), 2**63 - 1
)
records = st.builds(
    Odd,
    name=st.just("made"),
    outcome=st.just("unknown"),
    value=values,
    key=st.none() | st.binary(max_size=20),
    timestamp_ms=_timestamps,
    headers=st.lists(st.tuples(_names_of_headers, _contents), max_size=3).map(tuple),
)
