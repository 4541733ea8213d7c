"""The keys and values of a batch's records, where nothing else of them is needed."""

import struct

from kafka_batch._records.bodies import read_key
from kafka_batch._records.decoding import MIN_RUN, MIXED_RUN, read_record, shape_of, whole
from kafka_batch._records.varints import NULL, size_at


def decode_key_values(records: bytes, count: int) -> tuple[list[bytes | None], list[bytes | None]]:
    """The keys and the values of a batch's records, where nothing else is wanted of them: in two
    thirds of the time, and where offsets are missing in half of it.

    Raises:
        ValueError: the bytes are not `count` records.
    """
    return whole(records, count, lambda: _decode_key_values(records, count))


def _decode_key_values(
    records: bytes, count: int
) -> tuple[tuple[list[bytes | None], list[bytes | None]], int]:
    keys: list[bytes | None] = []
    values: list[bytes | None] = []
    position = 0
    while len(keys) < count:
        before = len(keys)
        position = _read_key_values_uniform(records, position, count - before, keys, values)
        if len(keys) - before < MIN_RUN:
            for _ in range(min(count - len(keys), MIXED_RUN)):
                *_, body, value, stop, position = read_record(records, position)
                keys.append(read_key(records[body:value]))
                values.append(records[value:stop] if stop >= value else None)
    return (keys, values), position


def _read_key_values_uniform(
    records: bytes,
    position: int,
    most: int,
    keys: list[bytes | None],
    values: list[bytes | None],
) -> int:
    """As `_RecordReader.read_uniform`; returns the position after the last record read.

    Offset deltas only rise, so all take as many bytes as the first one if the last does.
    """
    stamp_size = size_at(records, position + 3)
    delta_size = size_at(records, position + 3 + stamp_size)
    key = position + 3 + stamp_size + delta_size
    key_size = records[key]
    shape = shape_of(stamp_size, delta_size, key_size)
    if shape is None or key_size == NULL[0]:
        return position
    peek, sizes, to_tail, to_value, sign, positive = shape
    from_key, to_key = to_tail + 1, to_tail + 1 + (key_size >> 1)
    add_key, add_value, before = keys.append, values.append, len(keys)
    for _ in range(most):
        try:
            length, stamp, key, value_size = peek(records, position)
        except struct.error:  # a last record that is shorter than this
            break
        size, its_value_size = sizes[length]
        if value_size != its_value_size or key != key_size or stamp & sign != positive:
            break
        end = position + size
        add_key(records[position + from_key : position + to_key])
        add_value(records[position + to_value : end - 1])
        position = end
    while len(keys) > before:
        last = position - to_value - len(values[-1] or b"") - 1
        if records[last + to_tail - 1] < 128:
            break
        del keys[-1], values[-1]
        position = last
    return position
