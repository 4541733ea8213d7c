"""The payments in a batch, as columns: read at once, and judged in turn.

Where all is plain, which is the rule, a column is made by one `map`: with a loop over the payments,
reading takes a third longer.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import compress
from typing import Any, NamedTuple

from detector.rules.engine.account import Account
from detector.rules.engine.compiler import Evaluator, Hit
from detector.wire.strict_reader import Unreadable
from detector.wire.transaction import Amounts, Fields, parse, read_fields
from kafka_batch import NO_TIMESTAMP, Batch

_NO_TIME = Unreadable("bad_timestamp", "the record has no timestamp")
_amounts = cache(Amounts)


class Payments(NamedTuple):
    """Columns of equal length, in offset order: of each payment its row in the batch, its offset,
    its time in milliseconds, who pays, who is paid, the amount in minor units, and its currency."""

    rows: Sequence[int] = ()
    offsets: Sequence[int] = ()
    times_ms: Sequence[int] = ()
    sources: Sequence[bytes] = ()
    targets: Sequence[bytes] = ()
    amounts: Sequence[int] = ()
    currencies: Sequence[bytes] = ()

    def chosen(self, selectors: Sequence[object]) -> "Payments":
        """Those whose selector is true."""
        columns: list[Any] = [[*compress(column, selectors)] for column in self]
        return Payments(*columns)

    def judged(
        self, evaluators: Mapping[bytes, Evaluator], accounts: Sequence[Account]
    ) -> Iterator[list[Hit]]:
        """The matches of one payment after the other, each judged when it is asked for."""
        its = (accounts, self.times_ms, self.amounts, self.targets, self.currencies, self.sources)
        if len({*self.currencies}) == 1:
            return map(evaluators[self.currencies[0]], *its)
        return (evaluators[payment[4]](*payment) for payment in zip(*its, strict=True))


def read_payments(
    batch: Batch, count: int
) -> Iterator[tuple[Payments, list[tuple[int, Unreadable]]]]:
    """The payments among the first `count` rows of a batch, a thousand at a time, and the rows
    that are none, and why."""
    first = 0
    for fields in read_fields(batch):
        rows = range(first, min(count, first + len(fields)))
        if not rows:
            return
        yield _read(batch, rows, fields[: len(rows)])
        first = rows.stop


def _read(
    batch: Batch, rows: range, fields: Sequence[Fields]
) -> tuple[Payments, list[tuple[int, Unreadable]]]:
    its_rows = slice(rows.start, rows.stop)
    offsets, times_ms = batch.offsets[its_rows], batch.timestamps[its_rows]
    sources, targets, texts, currencies, others = zip(*fields, strict=True)
    if not any(others) and len({*currencies}) == 1 and NO_TIMESTAMP not in times_ms:
        known = _amounts(currencies[0]).read(texts)
        return Payments(rows, offsets, times_ms, sources, targets, known, currencies), []
    read, unreadable = [], []
    for row, offset, time_ms, (source, target, text, currency, other) in zip(
        rows, offsets, times_ms, fields, strict=True
    ):
        if not other:
            payment = source, target, _amounts(currency).read_one(text), currency
        else:
            outcome = parse(batch.values[row])
            if isinstance(outcome, Unreadable):
                unreadable.append((row, outcome))
                continue
            payment = outcome
        if time_ms == NO_TIMESTAMP:
            unreadable.append((row, _NO_TIME))
            continue
        read.append((row, offset, time_ms, *payment))
    return Payments(*zip(*read, strict=True)), unreadable
