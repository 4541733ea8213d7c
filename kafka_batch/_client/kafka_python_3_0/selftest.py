"""Whether whole batches can be had from the kafka-python that is installed.

They need its internals to be what they were in 3.0.12. So one batch is written and read both
ways, here and by the client; where anything differs, records go through the client's public
interface, one by one: slower, and as safe.
"""

import logging
from enum import StrEnum
from functools import cache

from kafka.errors import KafkaError
from kafka.protocol.consumer import IsolationLevel
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder
from kafka.structs import TopicPartition

from kafka_batch._client.kafka_python_3_0.batch_consumer import WholeBatches
from kafka_batch._client.kafka_python_3_0.batch_producer import fill
from kafka_batch._records.bodies import Record, encode_body
from kafka_batch._records.rows import RecordBodies

_BATCH_BYTES = 1 << 20
_PARTITION = TopicPartition("self-test", 0)
_RECORDS: list[Record] = [
    (1_000, b"key", b"value", ()),
    (900, None, b"v" * 70, (("name", b"content"), ("name", None))),
    (20_000, b"k" * 200, None, ()),
    *((1_000 + number, b"%d" % number, b"v" * number, ()) for number in range(100)),
]

log = logging.getLogger(__name__)


class RecordCodec(StrEnum):
    AUTO = "auto"
    CLIENT = "client"


@cache
def whole_batches(codec: RecordCodec) -> bool:
    """Whether to read and write whole batches; the log says which way was taken, once."""
    if codec is RecordCodec.CLIENT:
        log.info("records are read and written one by one, by the client's codec, as asked")
        return False
    fault = find_fault()
    if fault is None:
        log.info("records are read and written in whole batches")
        return True
    log.warning(
        "records are read and written one by one, which is slower: this version of kafka-python "
        "differs from the one that whole batches were made for (%s)",
        fault,
    )
    return False


def find_fault() -> str | None:
    """What differs between our way and the client's; None where nothing does."""
    try:
        if _read_by_client(_written_here()) != _read_by_client(_written_by_client()):
            return "batches are written otherwise"
        if _read_here(_written_by_client()) != _read_by_client(_written_by_client()):
            return "batches are read otherwise"
    except (AttributeError, KafkaError, LookupError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _written_by_client() -> bytes:
    records = MemoryRecordsBuilder(2, 0, _BATCH_BYTES)
    for record in _RECORDS:
        records.append(*record)
    records.close()
    return bytes(records.buffer())


def _written_here() -> bytes:
    records = MemoryRecordsBuilder(2, 0, _BATCH_BYTES)
    bodies = [encode_body(key, value, headers) for _, key, value, headers in _RECORDS]
    fill(records, _BATCH_BYTES, RecordBodies([timestamp for timestamp, *_ in _RECORDS], bodies))
    records.close()
    return bytes(records.buffer())


def _read_by_client(written: bytes) -> list[tuple[object, ...]]:
    (batch,) = MemoryRecords(written)
    return [(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in batch]


def _read_here(written: bytes) -> list[tuple[object, ...]]:
    fetched = WholeBatches(
        0,
        _PARTITION,
        MemoryRecords(written),
        isolation_level=IsolationLevel.READ_COMMITTED,
        aborted_transactions=[],
    )
    batch = fetched.take(2)[0].batch()
    headers = map(tuple, batch.headers)
    return [*zip(batch.offsets, batch.timestamps, batch.keys, batch.values, headers, strict=True)]
