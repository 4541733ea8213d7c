"""The fields of a whole batch, read at once, are what reading each record on its own gives."""

from collections.abc import Sequence
from itertools import chain

from hypothesis import example, given, settings
from hypothesis import strategies as st

from detector.domain.money import digits
from detector.wire.payments import read_payments
from detector.wire.strict_reader import Unreadable
from detector.wire.transaction import Amounts, Transaction, parse, read_fields
from kafka_batch import Batch, PlainBatch, encode_body
from kafka_batch._records.batch import UniformBatch
from kafka_batch._records.encoding import encode
from kafka_batch._records.uniform_parsing import parse_uniform


def value_of(amount: str, currency: str = "USD") -> bytes:
    return f'{{"source":"a","target":"b","amount":{amount},"currency":"{currency}"}}'.encode()


def spaced(value: bytes) -> bytes:
    return value.replace(b":", b": ").replace(b",", b", ")


def batch_of(values: Sequence[bytes | None]) -> Batch:
    count = len(values)
    return PlainBatch("in", 0, range(count), [0] * count, [b"k"] * count, values, [()] * count)


amounts = st.decimals(0, 10**12, places=2).map(str) | st.integers(0, 10**13).map(str)
plain = st.tuples(amounts, st.sampled_from(["USD", "JPY", "KWD", "usd"])).map(
    lambda p: value_of(*p)
)
near = plain | plain.map(spaced)
hostile = st.sampled_from(
    [
        b"",
        b"\n",
        value_of("1") + b"\n",
        value_of("1") + b"\n" + value_of("1"),
        value_of("1") + b"\r",
        b" " + value_of("1"),
        value_of("01"),
        b'900,"currency":"USD"}',
        value_of("1."),
        value_of("-1"),
        value_of("1e2"),
        value_of('"1"'),
        value_of("1").replace(b'"amount":1', b'"amount":1,"amount":2'),
    ]
)
values = st.lists(near | hostile | st.none() | st.binary(max_size=60), min_size=1, max_size=20)


@given(values)
@example([None])
@example([b"", b""])
@settings(deadline=None, max_examples=500)
def test_a_batch_has_the_payments_that_its_values_are(values: list[bytes | None]) -> None:
    require_as_parsed(batch_of(values))


def require_as_parsed(batch: Batch) -> None:
    """Each value gives, beside the others, what it gives alone."""
    found: dict[int, Transaction | Unreadable] = {}
    for payments, unreadable in read_payments(batch, len(batch)):
        columns = payments.sources, payments.targets, payments.amounts, payments.currencies
        found.update(zip(payments.rows, map(Transaction, *columns), strict=True))
        found.update(unreadable)
    assert found == dict(enumerate(map(parse, batch.values)))


def test_where_producers_write_spaces_and_others_do_not_each_value_is_read_all_the_same() -> None:
    mixed = [value_of("1"), spaced(value_of("1")), value_of("2")]
    for values in mixed, mixed[1:]:
        fields = chain.from_iterable(read_fields(batch_of(values)))
        for value, its_fields in zip(values, fields, strict=True):
            uniform = value.startswith(b'{"source": ') == values[0].startswith(b'{"source": ')
            assert its_fields[4] == (b"" if uniform else b"\xff" + value)
        require_as_parsed(batch_of(values))


def test_fields_are_read_some_at_a_time_of_all_values_in_their_order() -> None:
    values: list[bytes | None] = [value_of(f"{number}") for number in range(4_000)]
    values[1], values[999], values[1_000], values[3_999] = None, b"none", b"in\nlines", b""
    chunks = [*read_fields(batch_of(values))]
    assert len(chunks) > 3
    for row, its_fields in enumerate(chain.from_iterable(chunks)):
        if row in (1, 999, 1_000, 3_999):
            assert its_fields[4] == b"\xff}"  # stands for what is no plain record
        else:
            assert its_fields[2:] == (b"%d" % row, b"USD", b"")


def long(value: bytes) -> bytes:
    """As long as the values of records that are uniform."""
    return value.replace(b'"a"', b'"account.of.someone"')


long_plain = plain.map(long)
long_hostile = st.sampled_from(
    [long(value_of(amount)) for amount in ("01", "1.", "-1", "1e2", '"1"', "1.00000", "900\n")]
    + [
        b"\xff" * 80 + b"}",
        b"\0" * 80 + b"}",
        b"}" * 80,
        b'900,"currency":"USD"}'.rjust(80),
        long(value_of("900")).replace(b"someone", b"some\0ne"),
        long(value_of("900")).replace(b"someone", b"some\xff\n"),
    ]
)


def alike_batch_of(values: Sequence[bytes], key_size: int = 12, step_ms: int = 0) -> Batch:
    count = len(values)
    bodies = [encode_body(b"k" * key_size, value, ()) for value in values]
    encoded = encode(bodies, [n * step_ms for n in range(count)], 0, 0)
    uniform = parse_uniform(encoded, count, 0, count - 1, 0)
    assert uniform
    return UniformBatch("in", 0, 0, range(count), uniform)


@given(
    values=st.lists(long_plain | long_hostile, min_size=16, max_size=200),
    key_size=st.integers(0, 63),
    step_ms=st.sampled_from([0, 1, 99]),
)
@settings(deadline=None, max_examples=300)
def test_values_of_records_that_are_alike_are_looked_into_where_they_stand(
    values: list[bytes], key_size: int, step_ms: int
) -> None:
    batch = alike_batch_of(values, key_size, step_ms)
    require_as_parsed(batch)
    assert fields_of(batch) == fields_of(batch_of(values))


def test_so_are_those_with_spaces() -> None:
    values = [spaced(long(value_of(f"{number}"))) for number in range(800, 1_000)]
    batch = alike_batch_of(values)
    require_as_parsed(batch)
    assert not any(other for *_, other in fields_of(batch))


def fields_of(batch: Batch) -> list[tuple[bytes | bool, ...]]:
    return [(*its, bool(other)) for *its, other in chain.from_iterable(read_fields(batch))]


@given(
    amounts=st.lists(
        st.tuples(st.integers(0, 10**12 - 1), st.from_regex("[0-9]{0,4}", fullmatch=True)),
        min_size=1,
    ),
    currency=st.sampled_from([b"USD", b"JPY", b"KWD", b"CLF"]),
)
@example(amounts=[(10**12 - 1, "9999"), (10**12 - 1, "99")], currency=b"USD")
@example(amounts=[(10**12 - 1, "9999")], currency=b"JPY")
@example(amounts=[(10**12 - 1, "9999"), (0, "0009")], currency=b"KWD")
@example(amounts=[(10**12 - 1, "9999")], currency=b"CLF")
@settings(deadline=None, max_examples=1_000)
def test_amounts_that_are_read_at_once_are_what_each_of_them_is(
    amounts: list[tuple[int, str]], currency: bytes
) -> None:
    texts = [
        b"%d.%b" % (whole, part.encode()) if part else b"%d" % whole for whole, part in amounts
    ]
    places = digits(currency.decode())
    exact = [int(f"{whole}{part.ljust(places, '0')[:places]}") for whole, part in amounts]
    read = Amounts(currency)
    assert read.read(texts) == exact
    assert [*map(read.read_one, texts)] == exact
