"""Kafka's record format, version 2: a batch's records from bytes to columns, and back.

    record = length, attributes, timestamp delta, offset delta | key, value, headers

Numbers are zigzag varints. What stands behind the bar, here a record's *body*, depends on nothing
outside it: to pass a record on, its body is copied as it is behind a new prefix. Neither key nor
value nor headers are taken apart for that, or put together again.

Source of the format: https://kafka.apache.org/documentation/#messageformat. Nothing here knows a
client.
"""

import struct
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import add
from typing import Any, NamedTuple, TypeVar

_T = TypeVar("_T")

Header = tuple[str, bytes | None]
Headers = Sequence[Header]
Record = tuple[int, bytes | None, bytes | None, Headers]
"""A record to send: timestamp in milliseconds since the epoch, key, value, headers."""

NO_TIMESTAMP = -1  # a record without one: brokers take it whatever their clock says

_KEPT = 1 << 14
_NULL = b"\x01"  # the length -1
_NO_HEADERS = b"\x00"
_MAX_VARINT_BITS = 63
_WORD, _SIGN = 1 << 64, 1 << 63
_FAR = 1 << 62  # a base timestamp past which sums may not fit into 64 bits
_FAR_STAMP = 1 << 27  # milliseconds: less take four bytes at the most
_UNLIKE = 64  # records that are read each on its own where not so many in a row are uniform
_ALIKE = 16

# A record's first five bytes hold, as most records are, its length in one byte or two, its
# attributes, and a timestamp delta of up to two: one call costs less than four subscripts.
_peek = struct.Struct("5B").unpack_from


# Varints without zigzag: of 14 bits, and two bytes of 14 bits that further ones follow.
_short = [bytes((n,) if n < 1 << 7 else (n & 127 | 128, n >> 7)) for n in range(1 << 14)]
_continued = [bytes((n & 127 | 128, n >> 7 | 128)) for n in range(1 << 14)]


def _varint_of(rest: int) -> bytes:
    if rest < 1 << 14:
        return _short[rest]
    return _continued[rest & (1 << 14) - 1] + _varint_of(rest >> 14)


class _Varints(dict[int, bytes]):
    """The zigzag varint of a number; each small one is looked up."""

    def __missing__(self, number: int) -> bytes:
        encoded = _varint_of(number << 1 ^ number >> 63)
        if -_KEPT < number < _KEPT:
            self[number] = encoded
        return encoded


def wrapped_timestamp(number: int) -> int:
    """A timestamp, or the delta between two, as it is in 64 bits, which it may not fit into:
    timestamps can be further apart, and adding the wrapped delta brings them back."""
    return (number + _SIGN) % _WORD - _SIGN


class _Stamps(dict[int, bytes]):
    """A prefix's middle, by timestamp delta: the attributes, which are zero, and the delta."""

    def __missing__(self, delta: int) -> bytes:
        stamp = b"\x00" + _varints[wrapped_timestamp(delta)]
        if -_KEPT < delta < _KEPT:
            self[delta] = stamp
        return stamp


_varints = _Varints()
varint = _varints.__getitem__
_small = [*map(varint, range(_KEPT))]  # those that are not negative, for less than a dict takes
_continued_stamps = [b"\x00" + low for low in _continued]
_stamps = _Stamps()


class Columns(NamedTuple):
    """A batch's records. Timestamps are in milliseconds since the epoch; `headerless` is
    true where it is known that no record has headers."""

    offsets: Sequence[int]
    timestamps: Sequence[int]
    values: Sequence[bytes | None]
    bodies: Sequence[bytes]
    headerless: bool

    def since(self, offset: int) -> "Columns":
        """The records from an offset on."""
        first = bisect_left(self.offsets, offset)
        if not first:
            return self
        offsets, timestamps, values, bodies, headerless = self
        return Columns(
            offsets[first:], timestamps[first:], values[first:], bodies[first:], headerless
        )


# -- from bytes


def decode(
    records: bytes, count: int, base_offset: int, last_offset: int, base_timestamp: int
) -> Columns:
    """Takes apart a batch's records, uncompressed and without the batch's header.

    Raises:
        ValueError: the bytes are not so many records.
    """
    dense = is_dense(count, base_offset, last_offset, base_timestamp)
    way = _decode_dense if dense else _decode_sparse
    return _whole(records, count, lambda: way(records, count, base_offset, base_timestamp))


def is_dense(count: int, base_offset: int, last_offset: int, base_timestamp: int) -> bool:
    """Whether no offset is missing, so that none needs to be read, and no timestamp so far off
    that sums may not fit into 64 bits."""
    return count == last_offset - base_offset + 1 and -_FAR < base_timestamp < _FAR


def _whole(records: bytes, count: int, taking_apart: Callable[[], tuple[_T, int]]) -> _T:
    """What taking records apart finds, where that ends where they do."""
    try:
        found, end = taking_apart()
    except (IndexError, struct.error) as error:
        raise ValueError(f"the last of {count} records is cut off") from error
    if end != len(records):
        raise ValueError(f"{count} records end at byte {end} of {len(records)}")
    return found


def _decode_dense(
    records: bytes, count: int, base_offset: int, base_timestamp: int
) -> tuple[Columns, int]:
    run = _RecordReader(records, base_timestamp)
    # Offset deltas rise by one, so all that matters is how many bytes they take.
    for bound, delta_size in ((1 << 6, 1), (1 << 13, 2), (1 << 20, 3), (1 << 27, 4)):
        while (left := min(bound, count) - len(run.bodies)) > 0:
            uniform = run.read_uniform(left, delta_size)
            if uniform < _ALIKE:
                run.read_each(min(left - uniform, _UNLIKE))
    offsets = range(base_offset, base_offset + count)
    return Columns(offsets, run.timestamps, run.values, run.bodies, run.headerless), run.position


class _RecordReader:
    """Records that follow one another, and how far they have been read."""

    def __init__(self, records: bytes, base_timestamp: int) -> None:
        self._records = records
        self._base_timestamp = base_timestamp
        self.position = 0
        self.timestamps: list[int] = []
        self.values: list[bytes | None] = []
        self.bodies: list[bytes] = []
        self.deltas: list[int] = []  # of the offsets of those read one by one
        self.headerless = True

    def read_uniform(self, most: int, delta_size: int) -> int:
        """Reads records while each is like the first, and returns how many: its timestamp delta
        takes as many bytes, its key is as long, its value has 64 to 8191 bytes, and it has no
        headers.

        Most batches are so. One call then gets all that matters of a record, and what its value's
        length must be follows from its own.
        """
        records, position, before = self._records, self.position, len(self.bodies)
        stamp_size = size_at(records, position + 3)
        key = position + 3 + stamp_size + delta_size
        key_size = records[key] if key < len(records) else -1
        shape = _shape(stamp_size, delta_size, key_size)
        if shape is None:
            return 0
        peek, sizes, to_tail, to_value, sign, positive = shape
        stamps: list[int] = []
        add_stamp, add_value, add_tail = stamps.append, self.values.append, self.bodies.append
        for _ in range(most):
            try:
                length, stamp, key, value_size = peek(records, position)
            except struct.error:  # a last record that is shorter than this
                break
            size, its_value_size = sizes[length]
            if value_size != its_value_size or key != key_size or stamp & sign != positive:
                break
            end = position + size
            add_stamp(stamp)
            add_value(records[position + to_value : end - 1])
            add_tail(records[position + to_tail : end])
            position = end
        base = self._base_timestamp
        if stamp_size == 2:
            stamps = [stamp & 127 | stamp >> 8 << 7 for stamp in stamps]
        elif stamp_size > 2:
            top = 127 << 21 if stamp_size > 3 else 0
            stamps = [
                stamp & 127 | stamp >> 1 & 127 << 7 | stamp >> 2 & 127 << 14 | stamp >> 3 & top
                for stamp in stamps
            ]
        self.timestamps += [base + (stamp >> 1) for stamp in stamps]
        self.position = position
        return len(self.bodies) - before

    def read_each(self, count: int) -> None:
        """Reads so many records, whatever each is like."""
        records, position = self._records, self.position
        timestamps, values, bodies, deltas = self.timestamps, self.values, self.bodies, self.deltas
        base = self._base_timestamp
        for _ in range(count):
            # Many are read right here, without a call: a length of 64 to 8191 bytes, a timestamp
            # of up to 8 s after the first, an offset of up to a million after it, a key of up to
            # 63 bytes or none, a value.
            length, more, _, stamp, delta = _peek(records, position)
            rare = length < 128 or more > 127 or stamp & 1 or (stamp > 127 and delta > 127)
            if not rare:
                end = position + (length >> 1) + (more << 6) - 62
                body = position + 5
                if stamp > 127:
                    stamp += (delta << 7) - 128
                    delta = records[body]
                    body += 1
                if delta > 127:
                    delta += (records[body] << 7) - 128
                    body += 1
                    if delta >= 1 << 14:
                        top = records[body]
                        delta += (top << 14) - (1 << 14)
                        body += 1
                        rare = top > 127
                rare |= delta & 1
            if not rare:
                key_size = records[body]
                value = body + 1 + (key_size >> 1)
                size = records[value]
                if size > 127:
                    stop = value + 2 + ((size + (records[value + 1] << 7) - 128) >> 1)
                    value += 2
                else:
                    value += 1
                    stop = value + (size >> 1)
                rare = key_size > 127 or size & 1
            if rare:
                stamp, delta, body, value, stop, end = _read_record(records, position)
                delta *= 2
                stamp = 2 * (wrapped_timestamp(base + (stamp >> 1)) - base)
            timestamps.append(base + (stamp >> 1))
            deltas.append(delta >> 1)
            values.append(records[value:stop] if stop >= value else None)
            bodies.append(records[body:end])
            if stop + 1 != end:
                self.headerless = False
            position = end
        self.position = position


class _Sizes(dict[bytes, tuple[int, bytes]]):
    """By a record's length as it is encoded, and its attributes: the size of the record, and the
    length of its value as it is encoded, where all but the value takes `rest` bytes."""

    def __init__(self, rest: int) -> None:
        super().__init__()
        self._rest = rest

    def __missing__(self, prefix: bytes) -> tuple[int, bytes]:
        length, start = read_varint(prefix, 0) if prefix[1] < 128 else (0, 0)
        value_size = length - self._rest
        known = start == 2 and value_size >= 64
        found = (2 + length, _varints[value_size]) if known else (0, b"")
        self[prefix] = found
        return found


# By a timestamp delta's size: what gets it, of three bytes with a fourth, and the bits that say how
# large it is and whether it is negative, with what they are where it has that size and is not.
_STAMPS = {
    1: ("B", 0x81, 0),
    2: ("H", 0x8081, 0x80),
    3: ("I", 0x808081, 0x8080),
    4: ("I", 0x80808081, 0x808080),
}


@lru_cache(1 << 8)
def _shape(
    stamp_size: int, delta_size: int, key_size: int
) -> tuple[Callable[..., tuple[Any, ...]], _Sizes, int, int, int, int] | None:
    """How to read records whose fields have these sizes, the key's as it is encoded.

    That is: what gets a record's length with its attributes, its timestamp delta, and the lengths
    of its key and value; the sizes that follow from the first; where its body and its value begin;
    and the bits of a timestamp delta that has this size and is not negative, by a mask.
    """
    if not is_key_size(key_size):
        return None
    key = key_size >> 1
    stamp, sign, positive = _STAMPS[stamp_size]
    read = delta_size + stamp_size - struct.calcsize(f"<{stamp}")
    peek = struct.Struct(f"<3s{stamp}{read}xB{key}x2s").unpack_from
    to_tail = 3 + stamp_size + delta_size
    to_value = to_tail + 1 + key + 2
    return peek, _Sizes(to_value - 1), to_tail, to_value, sign, positive


def _decode_sparse(
    records: bytes, count: int, base_offset: int, base_timestamp: int
) -> tuple[Columns, int]:
    run = _RecordReader(records, base_timestamp)
    run.read_each(count)
    offsets = [base_offset + delta for delta in run.deltas]
    timestamps = run.timestamps
    if not -_FAR < base_timestamp < _FAR:
        timestamps = [*map(wrapped_timestamp, timestamps)]
    return Columns(offsets, timestamps, run.values, run.bodies, run.headerless), run.position


def decode_key_values(records: bytes, count: int) -> tuple[list[bytes | None], list[bytes | None]]:
    """The keys and the values of a batch's records, where nothing else is wanted of them: in two
    thirds of the time, and where offsets are missing in half of it.

    Raises:
        ValueError: the bytes are not so many records.
    """
    return _whole(records, count, lambda: _decode_key_values(records, count))


def _decode_key_values(
    records: bytes, count: int
) -> tuple[tuple[list[bytes | None], list[bytes | None]], int]:
    keys: list[bytes | None] = []
    values: list[bytes | None] = []
    position = 0
    while len(keys) < count:
        before = len(keys)
        position = _read_key_values_uniform(records, position, count - before, keys, values)
        if len(keys) - before < _ALIKE:
            for _ in range(min(count - len(keys), _UNLIKE)):
                *_, body, value, stop, position = _read_record(records, position)
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
    shape = _shape(stamp_size, delta_size, key_size)
    if shape is None or key_size == _NULL[0]:
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


def size_at(encoded: bytes, position: int) -> int:
    """How many bytes a varint takes, which takes no more than four."""
    return next((n for n in (1, 2, 3) if encoded[position + n - 1] < 128), 4)


def is_key_size(byte: int) -> bool:
    """Whether a key's length is this one byte: that of up to 63 bytes, or of a null."""
    return 0 <= byte <= 127 and (not byte & 1 or byte == _NULL[0])


def _read_record(records: bytes, position: int) -> tuple[int, int, int, int, int, int]:
    """Any record: twice its timestamp delta, its offset delta, and where its body and its value
    start, its value stops (before its start for a null), and the record ends."""
    length, start = read_varint(records, position)
    delta, at = read_varint(records, start + 1)
    offset_delta, body = read_varint(records, at)
    key_size, at = read_varint(records, body)
    size, value = read_varint(records, at + max(key_size, 0))
    return 2 * delta, offset_delta, body, value, value + size, start + length


def read_varint(encoded: bytes, position: int) -> tuple[int, int]:
    """The number at the position, and the position behind it.

    Raises:
        IndexError: the bytes end within it.
        ValueError: it has more than 64 bits.
    """
    found = shift = 0
    while (byte := encoded[position]) > 127:
        found |= (byte & 127) << shift
        shift += 7
        position += 1
        if shift > _MAX_VARINT_BITS:
            raise ValueError("a varint of more than 64 bits")
    found |= byte << shift
    if shift == _MAX_VARINT_BITS:
        found &= _WORD - 1
    return found >> 1 ^ -(found & 1), position + 1


def read_key(body: bytes) -> bytes | None:
    """The key of a record, from its body."""
    size, at = read_varint(body, 0)
    return body[at : at + size] if size >= 0 else None


def read_keys(bodies: Sequence[bytes]) -> list[bytes | None]:
    """The keys of records, from their bodies. Most have fewer than 64 bytes."""
    return [
        body[1 : 1 + (first >> 1)] if (first := body[0]) < 128 and not first & 1 else read_key(body)
        for body in bodies
    ]


def read_headers(body: bytes) -> list[Header]:
    """The headers of a record, from its body."""
    return _read_headers(body, *read_varint(body, _headers_at(body)))


def _read_headers(encoded: bytes, count: int, at: int) -> list[Header]:
    headers: list[Header] = []
    for _ in range(count):
        size, at = read_varint(encoded, at)
        name, at = read_name(encoded[at : at + size]), at + size
        size, at = read_varint(encoded, at)
        headers.append((name, encoded[at : at + size] if size >= 0 else None))
        at += max(size, 0)
    return headers


def _headers_at(body: bytes) -> int:
    at = 0
    for _ in ("key", "value"):
        size, at = read_varint(body, at)
        at += max(size, 0)
    return at


class _RawName(str):
    """The name of a header that is not UTF-8; it encodes to the bytes that it was read from."""

    raw: bytes

    def encode(self, *_: object) -> bytes:
        return self.raw


def read_name(encoded: bytes) -> str:
    """The name of a header: text, which for a name that is not UTF-8 still encodes to its bytes."""
    try:
        return bytes.decode(encoded)
    except UnicodeDecodeError:
        name = _RawName(bytes.decode(encoded, errors="replace"))
        name.raw = bytes(encoded)
        return name


# -- to bytes


class HeaderBlock(bytes):
    """Headers to append to records, encoded once: their number, and then they."""

    __slots__ = ()

    @classmethod
    def of(cls, headers: Headers) -> "HeaderBlock":
        """Encodes headers."""
        return cls(_varints[len(headers)] + _encode_headers(headers))

    def extended(self, *headers: Header) -> "HeaderBlock":
        """These headers and, behind them, others."""
        number, start = read_varint(self, 0)
        both = self[start:] + _encode_headers(headers)
        return HeaderBlock(_varints[number + len(headers)] + both)

    def after(self, name: str, content: bytes) -> "HeaderBlock":
        """Another header and, behind it, these."""
        number, start = read_varint(self, 0)
        size = _varints[len(content)]
        parts = _varints[number + 1], _encode_name(name), size, content, self[start:]
        return HeaderBlock(b"".join(parts))

    def decoded(self) -> list[Header]:
        """The headers in it."""
        return _read_headers(self, *read_varint(self, 0))


class HeaderTemplate:
    """Headers to append of which all but one's content is the same each time: encoded once."""

    def __init__(self, before: Headers, name: str, behind: Headers) -> None:
        number = len(before) + 1 + len(behind)
        encoded = name.encode()
        its_name = _varints[len(encoded)] + encoded
        self._before = b"%b%b%b" % (_varints[number], _encode_headers(before), its_name)
        self._behind = _encode_headers(behind)

    def render(self, content: bytes) -> HeaderBlock:
        """All of them, the one with this content."""
        size = _varints[len(content)]
        return HeaderBlock(b"%b%b%b%b" % (self._before, size, content, self._behind))


def encode_body(key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
    """What of a record does not depend on its place: key, value and headers."""
    if key is not None and value is not None and not headers:  # as most are
        return b"".join((_varints[len(key)], key, _varints[len(value)], value, _NO_HEADERS))
    return b"".join(
        (
            _NULL if key is None else _varints[len(key)],
            key or b"",
            _NULL if value is None else _varints[len(value)],
            value or b"",
            _varints[len(headers)],
            _encode_headers(headers) if headers else b"",
        )
    )


def append_headers(body: bytes, block: HeaderBlock, *, headerless: bool = False) -> bytes:
    """The body with headers behind those it has; `headerless` says that it has none."""
    if headerless:
        return body[:-1] + block
    at = _headers_at(body)
    number, own = read_varint(body, at)
    further, start = read_varint(block, 0)
    return b"".join((body[:at], _varints[number + further], body[own:], block[start:]))


@lru_cache
def _encode_name(name: str) -> bytes:
    encoded = name.encode()
    return _varints[len(encoded)] + encoded


def _encode_headers(headers: Headers) -> bytes:
    parts: list[bytes] = []
    for name, content in headers:
        encoded = name.encode()
        parts += _varints[len(encoded)], encoded
        parts += (_NULL,) if content is None else (_varints[len(content)], content)
    return b"".join(parts)


def encode(
    bodies: Sequence[bytes], timestamps: Sequence[int], base_timestamp: int, first_delta: int
) -> bytes:
    """Records in a row, with offset deltas that rise by one from `first_delta`."""
    stamps = _all_stamps(timestamps, base_timestamp)
    deltas = offset_deltas(first_delta, first_delta + len(bodies))
    # Maps and slices, which a loop over the four columns would take twice as long for.
    sizes = [*map(add, map(len, bodies), map(add, map(len, stamps), map(len, deltas)))]
    parts = [b""] * (4 * len(bodies))
    parts[0::4] = map(_small.__getitem__ if max(sizes) < _KEPT else varint, sizes)
    parts[1::4] = stamps
    parts[2::4] = deltas
    parts[3::4] = bodies
    return b"".join(parts)


def offset_deltas(first: int, end: int) -> list[bytes]:
    """Offset deltas that rise by one."""
    return _small[first:end] if end <= _KEPT else [*map(varint, range(first, end))]


def _all_stamps(timestamps: Sequence[int], base: int) -> list[bytes]:
    if timestamps[-1] - base < _KEPT or max(timestamps) - base >= _FAR_STAMP:
        return [_stamps[timestamp - base] for timestamp in timestamps]
    # Many that are far apart, in half of the time.
    return [
        _continued_stamps[delta << 1 & (1 << 14) - 1] + _short[delta >> 13]
        if (delta := timestamp - base) >= _KEPT
        else _stamps[delta]
        for timestamp in timestamps
    ]
