"""The verdicts once more: the whole input judged offline, by the same rules, without a fault.

The oracle, which shares no code with the detector, knows the original rule. What the others say,
in shadow or active, depends on all that an account did before, so it tells whether the
detector's memory came through the faults whole.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from detector.rules import Rules
from detector.rules.file.loading import load_file
from detector.service.memory import Bounds, Memory
from detector.service.routing import Limits, route
from detector.service.settings import DetectorSettings
from faults.oracle import Headers, Stored
from kafka_batch import PlainBatch

_EVER = 1 << 60


def replayed(inputs: Sequence[Stored], rules_file: Path) -> dict[Stored, Headers]:
    """The headers that the detector must have appended to each record.

    `inputs` are those of one topic, in any order; dead letters are left out.
    """
    rules = Rules(load_file(rules_file), DetectorSettings().state_max_events)
    ordered = sorted(inputs, key=lambda record: (record.partition, record.offset))
    return {
        record: headers
        for _, own in groupby(ordered, key=lambda record: record.partition)
        for record, headers in _of_a_partition([*own], rules)
    }


def _of_a_partition(records: Sequence[Stored], rules: Rules) -> Iterator[tuple[Stored, Headers]]:
    batch = PlainBatch(
        topic=records[0].topic,
        partition=records[0].partition,
        offsets=[record.offset for record in records],
        timestamps=[record.timestamp for record in records],
        keys=[record.key for record in records],
        values=[record.value for record in records],
        headers=[record.headers for record in records],
    )
    limits = Limits(max_bytes=_EVER, max_ahead_ms=_EVER)
    routed = route(batch, rules, limits, 0, Memory(rules.layout, Bounds()))
    for row in routed.legit:
        block = routed.legit_headers.get(row)
        yield records[row], tuple(block.decoded()) if block else ()
    for row, block in zip(routed.fraud, routed.fraud_headers, strict=True):
        yield records[row], tuple(block.decoded())
