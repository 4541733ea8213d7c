"""Zigzag varints, as Kafka writes numbers: each small one is looked up in a table."""

CACHE_SIZE = 1 << 14  # numbers below this are kept as they are encoded
NULL = b"\x01"  # the length -1
_MAX_VARINT_BITS = 63
_WORD, _SIGN = 1 << 64, 1 << 63

# Varints without zigzag: of 14 bits, and two bytes of 14 bits that further ones follow.
SHORT = [bytes((n,) if n < 1 << 7 else (n & 127 | 128, n >> 7)) for n in range(1 << 14)]
CONTINUED = [bytes((n & 127 | 128, n >> 7 | 128)) for n in range(1 << 14)]


def _varint_of(rest: int) -> bytes:
    if rest < 1 << 14:
        return SHORT[rest]
    return CONTINUED[rest & (1 << 14) - 1] + _varint_of(rest >> 14)


class _Varints(dict[int, bytes]):
    """The zigzag varint of a number; each small one is looked up."""

    def __missing__(self, number: int) -> bytes:
        encoded = _varint_of(number << 1 ^ number >> 63)
        if -CACHE_SIZE < number < CACHE_SIZE:
            self[number] = encoded
        return encoded


def wrapped_timestamp(number: int) -> int:
    """A timestamp, or the delta between two, as it is in 64 bits, which it may not fit into:
    timestamps can be further apart, and adding the wrapped delta brings them back."""
    return (number + _SIGN) % _WORD - _SIGN


VARINTS = _Varints()
varint = VARINTS.__getitem__
SMALL = [
    *map(varint, range(CACHE_SIZE))
]  # those that are not negative: a list is faster than a dict


def size_at(encoded: bytes, position: int) -> int:
    """How many bytes a varint takes, which takes no more than four."""
    return next((n for n in (1, 2, 3) if encoded[position + n - 1] < 128), 4)


def is_key_size(byte: int) -> bool:
    """Whether a key's length is this one byte: that of up to 63 bytes, or of a null."""
    return 0 <= byte <= 127 and (not byte & 1 or byte == NULL[0])


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
