"""The same transactions as other producers write them: other orders of fields, and further fields.

The values are the generator's own (`SEED=1`), taken apart and written again.
"""

import time
from collections.abc import Callable, Iterator, Mapping

import msgspec

from bench import filler
from bench.topics import Broker
from generator.transactions import Transaction, Transactions
from kafka_batch import Record

_ACCOUNTS = 10_000
_decode = msgspec.json.Decoder(Transaction).decode
_encode = msgspec.json.Encoder().encode


def _another_order(value: bytes, _number: int) -> bytes:
    it = _decode(value)
    return _encode(
        {"currency": it.currency, "amount": it.amount, "target": it.target, "source": it.source}
    )


def _more_fields(value: bytes, number: int) -> bytes:
    it = _decode(value)
    return _encode(
        {
            "transaction_id": f"tx-{number:016d}",
            "event_time": f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:00Z",
            "source": it.source,
            "target": it.target,
            "amount": it.amount,
            "currency": it.currency,
            "merchant": f"merchant-{number % 997:04d}",
            "mcc": str(5000 + number % 900),
            "country": "DE",
            "channel": "online",
            "ip": f"10.{number % 251}.{number % 241}.{number % 239}",
        }
    )


SHAPES: Mapping[str, Callable[[bytes, int], bytes]] = {
    "the generator's": lambda value, _: value,
    "another order": _another_order,
    "eleven fields": _more_fields,
}
"""What makes a shape's value of one of the generator's, and the transaction's number."""


def fill(broker: Broker, topic: str, shape: str, records: int) -> None:
    """Writes `records` transactions of a shape, keyed by account: the same ones each time; raises
    as `filler.write`."""
    filler.write(broker, topic, _records(SHAPES[shape], records))


def _records(shaped: Callable[[bytes, int], bytes], records: int) -> Iterator[Record]:
    transactions = Transactions(_ACCOUNTS, seed=1)
    for done in range(0, records, filler.CHUNK_SIZE):
        now_ms = time.time_ns() // 1_000_000
        chunk = transactions.take(min(filler.CHUNK_SIZE, records - done))
        made = zip(chunk.sources, chunk.values, strict=True)
        for number, (source, value) in enumerate(made, done):
            yield now_ms, source.encode(), shaped(value, number), ()
