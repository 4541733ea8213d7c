"""Records that are alike are what the codec finds in the same bytes, or are left to it; and those
chosen of them are written as the codec writes them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder

from kafka_batch import AllBut, HeaderBlock, Record, encode_tail
from kafka_batch._client.producer import fill
from kafka_batch._records import codec
from kafka_batch._records.alike import Alike, cut, pick
from kafka_batch._records.codec import Columns, decode, encode

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
        tails = [encode_tail(key, value, headers) for _, key, value, headers in its]
        return cls(encode(tails, [ms for ms, *_ in its], BASE_MS, 0), len(its), BASE_MS)

    def cut(self) -> Alike | None:
        last = self.last_offset or 100 + self.count - 1
        return cut(self.encoded, self.count, 100, last, self.base_ms)

    def decoded(self) -> Columns:
        return decode(self.encoded, self.count, 100, 100 + self.count - 1, self.base_ms)


def same(alike: Alike, decoded: Columns) -> None:
    assert [*alike.timestamps] == [*decoded.timestamps]
    assert [*alike.tails] == [*decoded.tails]
    assert [*alike.values] == [*decoded.values]
    assert decoded.bare
    earliest, latest = alike.time_span
    assert earliest <= min(decoded.timestamps)
    assert latest == max(decoded.timestamps)
    assert alike.largest >= max(map(len, decoded.tails))
    for most in (1_000_000, 50):
        assert [*values_in_text(alike, most)] == [*decoded.values]


def values_in_text(alike: Alike, most: int) -> Iterator[bytes]:
    """Each value where it is said to stand, behind the one before."""
    text, at = alike.encoded, 0
    for start, stop, front in alike.rows_in_text(most):
        assert start == at
        count = 0
        while at < stop:
            assert text[at] > 127
            end = text.index(alike.end, at + front)
            yield text[at + front : end + 1]
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
    alike = written.cut()
    assert alike
    same(alike, written.decoded())


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
    assert Written.of([*its[:at], odd, *its[at:]]).cut() is None


def test_few_records_many_or_with_gaps_are_left_to_the_codec() -> None:
    assert Written.of(records(15)).cut() is None
    assert Written.of(records(8_193)).cut() is None
    whole = Written.of(records(100))
    assert Written(whole.encoded, 100, last_offset=300).cut() is None
    assert Written(whole.encoded, 99).cut() is None
    assert Written(whole.encoded, 101).cut() is None
    assert Written(whole.encoded, 100, base_ms=2**62).cut() is None
    assert Written(b"", 100).cut() is None


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
    alike = written.cut()
    if alike is not None:
        same(alike, written.decoded())
    elif not changes and letters >= 60:
        pytest.fail("what was not damaged was not found alike")


@given(gone=st.sets(st.integers(0, 99)), row=st.integers(0, 100))
def test_all_but_some_rows_are_the_others(gone: set[int], row: int) -> None:
    rows = AllBut(100, gone)
    others = [n for n in range(100) if n not in gone]
    assert [*rows] == others
    assert len(rows) == len(others)
    assert rows[:2] == others[:2]
    assert bool(rows) == bool(others)
    assert rows.before(row) == len([n for n in others if n < row])
    column = [n * n for n in range(100)]
    assert [*pick(column, rows)] == [*pick(column, others)]


@st.composite
def choices(draw: st.DrawFn) -> tuple[Written, Sequence[int], list[HeaderBlock | None] | None]:
    """A batch, the rows to pass on, and what headers they get."""
    count = draw(st.sampled_from([16, 64, 65, 200]) | st.integers(16, 300))
    written = Written.of(records(count, draw(st.sampled_from([0, 1, 70, 300]))))
    some = draw(st.sets(st.integers(0, count - 1), max_size=count - 1))
    rows: Sequence[int] = AllBut(count, some)
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
    alike = written.cut()
    assert alike
    its = alike.chosen(rows, blocks)
    assert its
    first = data.draw(st.integers(0, len(rows) - 1))
    stop = data.draw(st.integers(first + 1, len(rows)))
    columns = written.decoded()
    tails = [columns.tails[row] for row in rows]
    if blocks:
        tails = [
            codec.append_headers(tail, block) if block else tail
            for tail, block in zip(tails, blocks, strict=True)
        ]
    times = [columns.timestamps[row] for row in rows]
    base_ms = BASE_MS - shift_ms
    assert len(its) == len(rows)
    assert its.latest(first, stop) == max(times[first:stop])
    expected = encode(tails[first:stop], times[first:stop], base_ms, first_delta)
    buffer = bytearray(b"before")
    its.write(buffer, first, stop, base_ms, first_delta)
    assert buffer == b"before" + expected
    room, front = data.draw(st.integers(0, 60_000)), data.draw(st.integers(8, 30))
    fitting = its.fitting(first, room, front)
    sizes = [len(tail) + front for tail in tails[first : fitting + 1]]
    assert sum(sizes[: fitting - first]) <= room
    assert fitting == len(tails) or sum(sizes) + 3 * len(sizes) > room


@pytest.mark.parametrize("rows", [[70, 3], [-1], [0, 5, 4], range(19, -1, -1)])
def test_rows_that_are_not_in_their_order_are_left_to_the_codec(rows: Sequence[int]) -> None:
    alike = Written.of(records(100)).cut()
    assert alike
    assert alike.chosen(rows, None) is None
    assert alike.chosen(sorted({abs(row) for row in rows}), None)


def test_headers_that_make_a_record_too_large_are_left_to_the_codec() -> None:
    alike = Written.of(records(20)).cut()
    assert alike
    assert alike.chosen([0, 1], [None, HeaderBlock.of([("large", b"x" * 8_000)])]) is None


def test_a_batch_takes_no_more_records_than_have_offset_deltas_of_two_bytes() -> None:
    builder = MemoryRecordsBuilder(2, 0, 1 << 20)
    alike = Written.of(records(5_000)).cut()
    assert alike
    rows = alike.chosen(AllBut(5_000, []), None)
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
        tails = [encode_tail(key, value, headers) for _, key, value, headers in its]
        base = BASE_MS + 30 * number
        alike = cut(encode(tails, [ms for ms, *_ in its], base, 0), 150, 0, 149, base)
        assert alike
        rows = alike.chosen(AllBut(150, range(5, 150, 9)), None)
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
