"""Streams of records to send: good ones, with those of the corpus among them."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle, islice
from typing import TypeVar

from corpus.records import RECORDS, SENT_MS, Odd
from generator.transactions import Transactions
from kafka_batch import Record
from kafka_batch._records.bodies import read_name

_SMALL = 10_000  # bytes: larger ones would fill a stream with themselves
_CHUNK_SIZE = 1_000
_T = TypeVar("_T")


def to_send(odd: Odd) -> Record:
    """The record as a producer takes it."""
    headers = [(read_name(name), content) for name, content in odd.headers]
    return odd.timestamp_ms, odd.key, odd.value, headers


def good() -> Iterator[Record]:
    """An endless stream of transactions, as the generator makes them: the same one each time."""
    transactions = Transactions(10_000, seed=1)
    while True:
        chunk = transactions.take(_CHUNK_SIZE)
        for source, value in zip(chunk.sources, chunk.values, strict=True):
            yield SENT_MS, source.encode(), value, ()


def hostile(records: Sequence[Odd] = RECORDS) -> Iterator[Record]:
    """An endless stream of the corpus: the large ones once, the others again and again."""
    small = [odd for odd in records if odd.size <= _SMALL]
    large = [odd for odd in records if odd.size > _SMALL]
    yield from map(to_send, large)
    yield from map(to_send, cycle(small))


def mixed(good: Iterable[_T], hostile: Iterable[_T], goods: int = 10) -> Iterator[_T]:
    """So many good ones, then one that is hostile, until either stream ends."""
    good = iter(good)
    for odd in hostile:
        yield from islice(good, goods)
        yield odd
