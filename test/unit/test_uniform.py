"""Records that are alike are what the codec finds in the same bytes, or are left to it; and those
chosen of them are written as the codec writes them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder

from kafka_batch import HeaderBlock, Record, RowMask, encode_body
from kafka_batch._client.kafka_python_3_0.batch_producer import fill
from kafka_batch._records.bodies import append_headers
from kafka_batch._records.decoding import Columns, decode
from kafka_batch._records.encoding import encode
from kafka_batch._records.row_mask import select
from kafka_batch._records.uniform import UniformRecords
from kafka_batch._records.uniform_parsing import parse_uniform

BASE_MS = 1_700_000_000_000
_FRONT = 21  # bytes of a record before its value, about
BLOCK = HeaderBlock.of([("rules", b"large_amount"), ("none", None)])


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
        bodies = [encode_body(key, value, headers) for _, key, value, headers in its]
        return cls(encode(bodies, [ms for ms, *_ in its], BASE_MS, 0), len(its), BASE_MS)

    def parse_uniform(self) -> UniformRecords | None:
        last = self.last_offset or 100 + self.count - 1
        return parse_uniform(self.encoded, self.count, 100, last, self.base_ms)

    def decoded(self) -> Columns:
        return decode(self.encoded, self.count, 100, 100 + self.count - 1, self.base_ms)


def same(uniform: UniformRecords, decoded: Columns) -> None:
    assert [*uniform.timestamps] == [*decoded.timestamps]
    assert [*uniform.bodies] == [*decoded.bodies]
    assert [*uniform.values] == [*decoded.values]
    assert decoded.headerless
    earliest, latest = uniform.timestamp_bounds
    assert earliest <= min(decoded.timestamps)
    assert latest == max(decoded.timestamps)
    assert uniform.max_body_size >= max(map(len, decoded.bodies))
    for most in (1_000_000, 50):
        assert [*values_in_text(uniform, most)] == [*decoded.values]


def values_in_text(uniform: UniformRecords, most: int) -> Iterator[bytes]:
    """Each value where it is said to stand, behind the one before."""
    text, at = uniform.encoded, 0
    for start, stop, prefix in uniform.rows_in_text(most):
        assert start == at
        count = 0
        while at < stop:
            assert text[at] > 127
            end = text.index(uniform.end, at + prefix)
            yield text[at + prefix : end + 1]
            count, at = count + 1, end + 2
        assert at == stop
        assert count <= most


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
        [*records(40), (BASE_MS, b"k" * 12, b"no such object, of as many bytes " * 3 + b"}", ())],
        [*records(40), (BASE_MS, b"k" * 12, value(1)[:-1] + b"\0\n" + value(2), ())],
    ],
    ids=lambda its: f"{len(its)} over {its[-1][0] - BASE_MS} ms",
)
def test_records_that_are_alike_are_found_as_the_codec_finds_them(its: list[Record]) -> None:
    written = Written.of(its)
    uniform = written.parse_uniform()
    assert uniform
    same(uniform, written.decoded())


@pytest.mark.parametrize(
    "odd",
    [
        (BASE_MS, b"another key", value(1), ()),
        (BASE_MS, b"k" * 12, value(1), (("name", b"content"),)),
        (BASE_MS, b"k" * 12, value(1), (("name", b"}\0"),)),
        (BASE_MS, b"k" * 12, b"short}", ()),
        (BASE_MS, b"k" * 12, b"v" * 300 + b"}", ()),
        (BASE_MS, b"k" * 12, b"v" * 80, ()),
        (BASE_MS, b"k" * 12, value(1) + b"}\0" + value(2), ()),
        (BASE_MS, b"k" * 12, None, ()),
        (BASE_MS, None, value(1), ()),
        (BASE_MS - 1, b"k" * 12, value(1), ()),
        (BASE_MS + 3_600_000, b"k" * 12, value(1), ()),
    ],
)
@pytest.mark.parametrize("at", [0, 40, 99])
def test_where_one_is_not_alike_they_are_left_to_the_codec(odd: Record, at: int) -> None:
    its = records(99)
    assert Written.of([*its[:at], odd, *its[at:]]).parse_uniform() is None


def test_few_records_many_or_with_gaps_are_left_to_the_codec() -> None:
    assert Written.of(records(15)).parse_uniform() is None
    assert Written.of(records(8_193)).parse_uniform() is None
    whole = Written.of(records(100))
    assert Written(whole.encoded, 100, last_offset=300).parse_uniform() is None
    assert Written(whole.encoded, 99).parse_uniform() is None
    assert Written(whole.encoded, 101).parse_uniform() is None
    assert Written(whole.encoded, 100, base_ms=2**62).parse_uniform() is None
    assert Written(b"", 100).parse_uniform() is None


changes = st.lists(
    st.tuples(
        st.sampled_from(["change", "insert", "delete"]),
        st.integers(0, 99),  # the record
        st.integers(0, _FRONT) | st.integers(0, 110),  # the byte in it
        st.sampled_from([0, 1, 2, 24, 125, 127, 128, 255]) | st.integers(0, 255),
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
    uniform = written.parse_uniform()
    if uniform is not None:
        same(uniform, written.decoded())
    elif not changes and letters >= 60:
        pytest.fail("what was not damaged was not found uniform")


@given(excluded=st.sets(st.integers(0, 99)), row=st.integers(0, 100))
def test_all_but_some_rows_are_the_others(excluded: set[int], row: int) -> None:
    rows = RowMask(100, excluded)
    others = [n for n in range(100) if n not in excluded]
    assert [*rows] == others
    assert len(rows) == len(others)
    assert rows[:2] == others[:2]
    assert bool(rows) == bool(others)
    assert rows.rank(row) == len([n for n in others if n < row])
    column = [n * n for n in range(100)]
    assert [*select(column, rows)] == [*select(column, others)]


@st.composite
def choices(draw: st.DrawFn) -> tuple[Written, Sequence[int], list[HeaderBlock | None] | None]:
    """A batch, the rows to pass on, and what headers they get."""
    count = draw(st.sampled_from([16, 64, 65, 200]) | st.integers(16, 300))
    written = Written.of(records(count, draw(st.sampled_from([0, 1, 70, 300]))))
    some = draw(st.sets(st.integers(0, count - 1), max_size=count - 1))
    rows: Sequence[int] = RowMask(count, some)
    if draw(st.booleans()):
        rows = [*rows]
    if not draw(st.booleans()):
        return written, rows, None
    blocks = st.sampled_from([None, BLOCK, HeaderBlock.of([("long", b"x" * 300)])])
    return written, rows, draw(st.lists(blocks, min_size=len(rows), max_size=len(rows)))


@given(
    chosen=choices(),
    shift_ms=st.sampled_from([0, 1, 40, 64, 5_000, -3, 10**9]),
    first_delta=st.sampled_from([0, 1, 63, 64, 500, 8_100, 8_192, 1 << 20]),
    data=st.data(),
)
@settings(deadline=None, max_examples=1_000)
def test_chosen_records_are_written_as_the_codec_writes_them(
    chosen: tuple[Written, Sequence[int], list[HeaderBlock | None] | None],
    shift_ms: int,
    first_delta: int,
    data: st.DataObject,
) -> None:
    written, rows, blocks = chosen
    uniform = written.parse_uniform()
    assert uniform
    its = uniform.chosen(rows, blocks)
    assert its
    first = data.draw(st.integers(0, len(rows) - 1))
    stop = data.draw(st.integers(first + 1, len(rows)))
    columns = written.decoded()
    bodies = [columns.bodies[row] for row in rows]
    if blocks:
        bodies = [
            append_headers(body, block) if block else body
            for body, block in zip(bodies, blocks, strict=True)
        ]
    times = [columns.timestamps[row] for row in rows]
    base_ms = BASE_MS - shift_ms
    assert len(its) == len(rows)
    assert its.max_timestamp(first, stop) == max(times[first:stop])
    expected = encode(bodies[first:stop], times[first:stop], base_ms, first_delta)
    buffer = bytearray(b"before")
    its.write(buffer, first, stop, base_ms, first_delta)
    assert buffer == b"before" + expected
    room, prefix = data.draw(st.integers(0, 60_000)), data.draw(st.integers(8, 30))
    fitting = its.count_fitting(first, room, prefix)
    sizes = [len(body) + prefix for body in bodies[first : fitting + 1]]
    assert sum(sizes[: fitting - first]) <= room
    assert fitting == len(bodies) or sum(sizes) + 3 * len(sizes) > room


@pytest.mark.parametrize("rows", [[70, 3], [-1], [0, 5, 4], range(19, -1, -1)])
def test_rows_that_are_not_in_their_order_are_left_to_the_codec(rows: Sequence[int]) -> None:
    uniform = Written.of(records(100)).parse_uniform()
    assert uniform
    assert uniform.chosen(rows, None) is None
    assert uniform.chosen(sorted({abs(row) for row in rows}), None)


def test_headers_that_make_a_record_too_large_are_left_to_the_codec() -> None:
    uniform = Written.of(records(20)).parse_uniform()
    assert uniform
    assert uniform.chosen([0, 1], [None, HeaderBlock.of([("large", b"x" * 8_000)])]) is None


def test_a_batch_takes_no_more_records_than_have_offset_deltas_of_two_bytes() -> None:
    builder = MemoryRecordsBuilder(2, 0, 1 << 20)
    uniform = Written.of(records(5_000)).parse_uniform()
    assert uniform
    rows = uniform.chosen(RowMask(5_000, []), None)
    assert rows
    assert fill(builder, 1 << 20, rows) == 5_000
    assert fill(builder, 1 << 20, rows) == 8_192 - 5_000
    assert fill(builder, 1 << 20, rows) == 0
    builder.close()
    (batch,) = MemoryRecords(builder.buffer())
    assert [record.offset for record in batch] == [*range(8_192)]


@pytest.mark.parametrize("size", [300, 5_000, 20_000, 1 << 20])
def test_batches_are_filled_with_them_without_a_gap(size: int) -> None:
    builders = [MemoryRecordsBuilder(2, 0, size)]
    passed: list[Record] = []
    for number in range(4):
        its = [(ms + 30 * number, *rest) for ms, *rest in records(150, step_ms=1)]
        bodies = [encode_body(key, value, headers) for _, key, value, headers in its]
        base = BASE_MS + 30 * number
        uniform = parse_uniform(encode(bodies, [ms for ms, *_ in its], base, 0), 150, 0, 149, base)
        assert uniform
        rows = uniform.chosen(RowMask(150, range(5, 150, 9)), None)
        assert rows
        passed += [record for row, record in enumerate(its) if row % 9 != 5]
        done = fill(builders[-1], size, rows)
        while done < len(rows):
            builders.append(MemoryRecordsBuilder(2, 0, size))
            done = fill(builders[-1], size, rows, done)
    found = []
    for builder in builders:
        builder.close()
        assert builder.size_in_bytes() <= max(size, 250)
        (batch,) = MemoryRecords(builder.buffer())
        assert batch.validate_crc()
        read = [*batch]
        assert [record.offset for record in read] == [*range(len(read))]
        assert batch.max_timestamp == max(record.timestamp for record in read)
        found += [(record.timestamp, record.key, record.value, ()) for record in read]
    assert found == passed
