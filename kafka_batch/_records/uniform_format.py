"""How uniform records look as they are encoded: sizes, tables, segments."""

from collections.abc import Iterable
from typing import NamedTuple

from kafka_batch._records.varints import varint

TWO_BYTE_LIMIT = 1 << 13  # from here on, a number takes more than two bytes
MIN_RECORDS, MAX_RECORDS = (
    16,
    TWO_BYTE_LIMIT,
)  # of a batch: deltas of two bytes can be written in place
MAX_SEGMENTS = 8
MIN_SIZE, MAX_SIZE = 64, 255  # of a record, so that sizes are bytes
MAX_STAMP = 3  # bytes of a timestamp delta: up to 17 minutes
LENGTH_SIZE = 2  # bytes of a record's length, and of its value's
STAMP = LENGTH_SIZE + 1  # where it begins: the attributes take a byte
MIN_PREFIX = STAMP + 2
END_SIZE = 2
SHORT_DELTAS = 1 << 6  # take one byte

SIZES = bytes(range(MIN_SIZE, MAX_SIZE - END_SIZE + 1))
WITH_END = bytes(range(END_SIZE, 256)) + bytes(END_SIZE)  # by a size without it
CONTINUES = bytes(128) + b"\1" * 128  # by a varint's byte, whether more follow
IS_ODD = b"\0\1" * 128  # by its first byte, whether it is negative


def two_bytes(numbers: Iterable[int]) -> tuple[bytes, bytes]:
    """The first bytes, and the second, of numbers as varints of two bytes."""
    its = [*numbers]
    return bytes(n << 1 & 127 | 128 for n in its), bytes(n >> 6 & 127 for n in its)


# The bytes of offset deltas by their place, by how many they are.
DELTAS = {1: (bytes(range(0, 128, 2)),), 2: two_bytes(range(MAX_RECORDS))}
LENGTHS = [*map(varint, range(TWO_BYTE_LIMIT))]
WORDS = [int.from_bytes(encoded, "little") for encoded in LENGTHS]
FORMS = {1: "B", 2: "H"}  # what writes a word, by how many bytes it is


class Segment(NamedTuple):
    """Rows in a row whose timestamp deltas take as many bytes, and whose offset deltas do."""

    first: int
    end: int
    stamp_size: int
    delta_size: int

    @property
    def prefix(self) -> int:
        """Bytes before the body."""
        return STAMP + self.stamp_size + self.delta_size
