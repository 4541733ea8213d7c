"""Kafka's record format, compared with kafka-python's own encoder and decoder."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.errors import CorruptRecordError
from kafka.protocol.consumer import FetchResponse, IsolationLevel
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder
from kafka.record.util import calc_crc32c
from kafka.structs import TopicPartition

from kafka_batch import Batch, HeaderBlock, Record
from kafka_batch._client.kafka_python_3_0 import selftest
from kafka_batch._client.kafka_python_3_0.batch_consumer import WholeBatches
from kafka_batch._client.kafka_python_3_0.batch_producer import fill
from kafka_batch._records.bodies import Header, append_headers, encode_body
from kafka_batch._records.decoding import decode
from kafka_batch._records.encoding import encode
from kafka_batch._records.key_values import decode_key_values
from kafka_batch._records.rows import RecordBodies
from kafka_batch._records.varints import VARINTS, read_varint

PARTITION = TopicPartition("in", 3)
NO_COMPRESSION, GZIP, SNAPPY, LZ4, ZSTD = range(5)
ROOM = 1 << 26
CONTROL_ABORT, CONTROL_COMMIT = b"\x00\x00\x00\x00", b"\x00\x00\x00\x01"

content = st.none() | st.binary(max_size=80) | st.binary(min_size=8_180, max_size=8_200)
headers = st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=80)), max_size=3)
timestamps = st.integers(-1, 70) | st.integers(-1, 10**13) | st.just(2**62)
record = st.tuples(timestamps, st.none() | st.binary(max_size=70), content, headers)
# Records of one shape are read another way, and what comes between them.
uniform = st.tuples(
    st.integers(10**12, 10**12 + 200),
    st.binary(min_size=12, max_size=12),
    st.binary(min_size=62, max_size=66) | st.binary(min_size=8_165, max_size=8_195),
    st.just(()),
)


@st.composite
def spread(draw: st.DrawFn) -> list[Record]:
    """Records of one shape, minutes, hours or days long, most of them in order of time."""
    span_ms = draw(st.sampled_from([2**14, 2**21, 2**28]))
    times = draw(st.lists(st.integers(0, span_ms), min_size=1, max_size=150))
    shift = draw(st.integers(0, 3))
    times = sorted(times)[shift:] + sorted(times)[:shift]
    return [(10**12 + time, b"k" * 12, b"v" * 90, ()) for time in times]


batches = st.one_of(
    *(st.lists(shape, min_size=1, max_size=150) for shape in (record, uniform, uniform | record)),
    spread(),
)


def written(records: Sequence[Record], compression: int = 0, offsets: Sequence[int] = ()) -> bytes:
    """A batch as the client encodes it; with gaps where offsets are given."""
    builder = MemoryRecordsBuilder(2, compression, ROOM)
    for number, record in enumerate(records):
        if offsets:
            builder.skip(offsets[number] - builder.next_offset())
        builder.append(*record)
    builder.close()
    return bytes(builder.buffer())


def from_producer(
    records: Sequence[Record], base_offset: int, *, producer: int = 7, control: bool = False
) -> bytes:
    """A batch of a Kafka transaction, as the broker stores it."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=True,
        producer_id=producer,
        producer_epoch=0,
        base_sequence=0,
        batch_size=ROOM,
    )
    for number, record in enumerate(records):
        builder.append(number, *record)
    stored = builder.build()
    stored[:8] = base_offset.to_bytes(8, "big")
    return with_attribute(stored, builder.CONTROL_MASK) if control else bytes(stored)


def with_attribute(stored: bytes, attribute: int) -> bytes:
    """The batch with an attribute that only a broker sets, and the checksum that covers it."""
    changed = bytearray(stored)
    changed[22] |= attribute
    changed[17:21] = calc_crc32c(memoryview(changed)[21:]).to_bytes(4, "big")
    return bytes(changed)


def fetched(stored: bytes, offset: int = 0, aborted: Sequence[tuple[int, int]] = ()) -> list[Batch]:
    """What a reader of committed records gets of fetched bytes, from an offset on."""
    transaction = FetchResponse.FetchableTopicResponse.PartitionData.AbortedTransaction
    reader = WholeBatches(
        offset,
        PARTITION,
        MemoryRecords(stored),
        isolation_level=IsolationLevel.READ_COMMITTED,
        aborted_transactions=[transaction(producer_id=p, first_offset=o) for p, o in aborted],
    )
    found = []
    for taken in reader.take():
        batch = taken.batch()
        assert taken.pairs() == (batch.keys, batch.values, batch.next_offset)
        found.append(batch)
    assert not reader
    return [batch for batch in found if batch]


def by_client(stored: bytes) -> list[tuple[int, Record]]:
    return [
        (r.offset, (r.timestamp, r.key, r.value, list(r.headers)))
        for batch in MemoryRecords(stored)
        for r in batch
    ]


def rows(batches: Sequence[Batch]) -> list[tuple[int, Record]]:
    return [
        (offset, (timestamp, key, value, list(own)))
        for b in batches
        for offset, timestamp, key, value, own in zip(
            b.offsets, b.timestamps, b.keys, b.values, b.headers, strict=True
        )
    ]


@pytest.mark.parametrize("compression", [NO_COMPRESSION, GZIP, SNAPPY, LZ4, ZSTD])
@given(records=batches)
@settings(deadline=None)
def test_a_batch_of_the_client_is_read_as_the_client_reads_it(
    compression: int, records: list[Record]
) -> None:
    stored = written(records, compression)
    (batch,) = fetched(stored)
    assert rows([batch]) == by_client(stored)
    assert batch.next_offset == len(records)
    assert not batch.headerless or not any(own for *_, own in records)


@given(records=batches, already=st.integers(0, 80))
@settings(deadline=None)
def test_the_client_reads_what_is_written_here_as_what_it_writes(
    records: list[Record], already: int
) -> None:
    builder = MemoryRecordsBuilder(2, 0, ROOM)
    for record in records[:already]:
        builder.append(*record)
    rest = records[already:]
    bodies = [encode_body(*record[1:]) for record in rest]
    if rest:
        assert fill(builder, ROOM, RecordBodies([record[0] for record in rest], bodies)) == len(
            rest
        )
    builder.close()
    assert bytes(builder.buffer()) == written(records)


any_time = st.sampled_from([-(2**63), -1, 0, 2**63 - 1]) | st.integers(-(2**63), 2**63 - 1)


@given(times=st.lists(any_time, min_size=1, max_size=80), skipped=st.booleans())
@settings(deadline=None)
def test_timestamps_further_apart_than_64_bits_come_back(
    times: list[int], *, skipped: bool
) -> None:
    bodies = [encode_body(b"k", b"v" * 90, ())] * len(times)
    encoded = encode(bodies, times, times[0], 0)
    last = len(times) - 1 + skipped
    assert decode(encoded, len(times), 0, last, times[0]).timestamps == times


@given(records=batches, size=st.integers(60, 3_000))
@settings(deadline=None)
def test_a_batch_takes_what_fits_and_at_least_one_record(records: list[Record], size: int) -> None:
    times = [record[0] for record in records]
    bodies = [encode_body(*record[1:]) for record in records]
    done, read = 0, []
    while done < len(records):
        builder, before = MemoryRecordsBuilder(2, 0, size), done
        done = fill(builder, size, RecordBodies(times, bodies), done)
        builder.close()
        assert len(builder.buffer()) <= size or done == before + 1
        read += [found for _, found in by_client(bytes(builder.buffer()))]
    assert read == [(*record[:3], list(record[3])) for record in records]


def test_a_batch_that_was_sent_takes_no_more() -> None:
    builder = MemoryRecordsBuilder(2, 0, ROOM)
    builder.append(0, b"k", b"v", [])
    builder.close()
    assert fill(builder, ROOM, RecordBodies([0], [encode_body(b"k", b"v", ())])) == 0


@given(records=batches, extra=headers, batch_knows=st.booleans())
@settings(deadline=None)
def test_headers_are_appended_to_those_that_are_there(
    records: list[Record], extra: list[Header], *, batch_knows: bool
) -> None:
    (batch,) = fetched(written(records))
    block = HeaderBlock.of(extra)
    assert block.decoded() == extra
    for body, (_, key, value, own) in zip(batch.bodies, records, strict=True):
        headerless = batch_knows and batch.headerless
        longer = append_headers(body, block, headerless=headerless)
        assert longer == encode_body(key, value, [*own, *extra])


@given(records=batches, gaps=st.lists(st.integers(1, 300_000), min_size=80, max_size=80))
@settings(deadline=None)
def test_offsets_that_compaction_left_out_stay_left_out(
    records: list[Record], gaps: list[int]
) -> None:
    offsets = [sum(gaps[: n + 1]) - 1 for n in range(len(records))]
    stored = written(records, offsets=offsets)
    assert [offset for offset, _ in rows(fetched(stored))] == offsets
    assert rows(fetched(stored)) == by_client(stored)


def test_an_offset_that_takes_more_bytes_than_the_first_one_s_is_noticed() -> None:
    """One of these records passes for one like the first, with its key and its value a byte too
    early: the last byte of its offset is the size of a key, what follows that of a value."""
    for size in range(200, 400):
        records: list[Record] = [
            (0, b"k", b"v" * 90, []),
            (0, b"\xd8", b"vv", [("n", b"h" * size)]),
            (0, b"k", b"v" * 90, []),
        ]
        stored = written(records, offsets=[0, 130, 131])
        assert rows(fetched(stored)) == by_client(stored)


@given(records=batches, data=st.data())
@settings(deadline=None)
def test_a_seek_into_the_middle_of_a_batch_leaves_out_what_comes_before(
    records: list[Record], data: st.DataObject
) -> None:
    stored = written(records)
    offset = data.draw(st.integers(0, len(records) - 1))
    assert rows(fetched(stored, offset)) == by_client(stored)[offset:]


FINE: Record = (1_000, b"k", b"v" * 90, [])


def test_the_broker_s_own_timestamp_counts_for_all_records_where_it_sets_it() -> None:
    stored = with_attribute(written([FINE, (2_000, *FINE[1:])]), 0x08)
    assert rows(fetched(stored)) == by_client(stored)
    assert [timestamp for _, (timestamp, *_) in rows(fetched(stored))] == [2_000, 2_000]


def test_markers_and_what_was_aborted_are_passed_over() -> None:
    stored = b"".join(
        (
            from_producer([FINE], 0, producer=1),
            from_producer([FINE, FINE], 1, producer=2),
            from_producer([(0, CONTROL_ABORT, b"", [])], 3, producer=2, control=True),
            from_producer([FINE], 4, producer=2),
            from_producer([(0, CONTROL_COMMIT, b"", [])], 5, producer=1, control=True),
        )
    )
    found = fetched(stored, aborted=[(2, 1)])
    assert [list(batch.offsets) for batch in found] == [[0], [4]]
    assert [batch.next_offset for batch in found] == [1, 5]


def test_a_last_batch_that_was_cut_off_is_left_for_the_next_fetch() -> None:
    whole = from_producer([FINE], 0)
    assert [batch.next_offset for batch in fetched(whole + whole[:-1])] == [1]


@pytest.mark.parametrize("at", [25, 60, 70, -1])
def test_a_byte_that_changed_on_the_way_is_noticed(at: int) -> None:
    stored = bytearray(from_producer([FINE], 0))
    stored[at] ^= 1
    with pytest.raises(CorruptRecordError, match="wrong checksum"):
        fetched(bytes(stored))


@pytest.mark.parametrize("records", [b"", b"\xd0", b"\xd0\x01\x00", b"\xff" * 99, b"\x00" * 200])
def test_bytes_that_are_no_records_are_refused(records: bytes) -> None:
    with pytest.raises(ValueError, match=r"record|varint"):
        decode(records, 2, 0, 1, 0)
    with pytest.raises(ValueError, match=r"record|varint"):
        decode_key_values(records, 2)


def test_bits_past_the_64th_are_dropped_as_the_broker_does() -> None:
    assert read_varint(b"\xff" * 9 + b"\x7f", 0) == (-(2**63), 10)


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_of_every_size_come_back(number: int) -> None:
    encoded = VARINTS[number]
    assert read_varint(b"?" + encoded, 1) == (number, 1 + len(encoded))


def test_this_version_of_the_client_has_whole_batches() -> None:
    assert selftest.find_fault() is None


@pytest.mark.parametrize("name", ["encode_body", "fill", "WholeBatches"])
def test_a_client_that_differs_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def otherwise(*_: object, **__: object) -> bytes:
        raise AttributeError("no such thing")

    monkeypatch.setattr(selftest, name, otherwise)
    assert selftest.find_fault() == "AttributeError: no such thing"
    selftest.whole_batches.cache_clear()
    assert not selftest.whole_batches(selftest.RecordCodec.AUTO)
    selftest.whole_batches.cache_clear()


def test_the_client_s_own_way_is_taken_where_it_is_asked_for() -> None:
    assert not selftest.whole_batches(selftest.RecordCodec.CLIENT)
