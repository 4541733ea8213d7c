"""Record bodies: key, value and headers as Kafka encodes them."""

from collections.abc import Sequence
from functools import lru_cache

from kafka_batch._records.varints import NULL, VARINTS, read_varint

Header = tuple[str, bytes | None]
Headers = Sequence[Header]
Record = tuple[int, bytes | None, bytes | None, Headers]
"""A record to send: timestamp in milliseconds since the epoch, key, value, headers."""

NO_TIMESTAMP = -1  # a record without one: brokers take it whatever their clock says
_NO_HEADERS = b"\x00"


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


class HeaderBlock(bytes):
    """Headers to append to records, encoded once: their number, and then they."""

    __slots__ = ()

    @classmethod
    def of(cls, headers: Headers) -> "HeaderBlock":
        """Encodes headers."""
        return cls(VARINTS[len(headers)] + _encode_headers(headers))

    def extended(self, *headers: Header) -> "HeaderBlock":
        """These headers and, behind them, others."""
        number, start = read_varint(self, 0)
        both = self[start:] + _encode_headers(headers)
        return HeaderBlock(VARINTS[number + len(headers)] + both)

    def after(self, name: str, content: bytes) -> "HeaderBlock":
        """Another header and, behind it, these."""
        number, start = read_varint(self, 0)
        size = VARINTS[len(content)]
        parts = VARINTS[number + 1], _encode_name(name), size, content, self[start:]
        return HeaderBlock(b"".join(parts))

    def decoded(self) -> list[Header]:
        """The headers in it."""
        return _read_headers(self, *read_varint(self, 0))


class HeaderTemplate:
    """Headers to append of which all but one's content is the same each time: encoded once."""

    def __init__(self, before: Headers, name: str, behind: Headers) -> None:
        number = len(before) + 1 + len(behind)
        encoded = name.encode()
        its_name = VARINTS[len(encoded)] + encoded
        self._before = b"%b%b%b" % (VARINTS[number], _encode_headers(before), its_name)
        self._behind = _encode_headers(behind)

    def render(self, content: bytes) -> HeaderBlock:
        """All of them, the one with this content."""
        size = VARINTS[len(content)]
        return HeaderBlock(b"%b%b%b%b" % (self._before, size, content, self._behind))


def encode_body(key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
    """A record's body: key, value and headers."""
    if key is not None and value is not None and not headers:  # as most are
        return b"".join((VARINTS[len(key)], key, VARINTS[len(value)], value, _NO_HEADERS))
    return b"".join(
        (
            NULL if key is None else VARINTS[len(key)],
            key or b"",
            NULL if value is None else VARINTS[len(value)],
            value or b"",
            VARINTS[len(headers)],
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
    return b"".join((body[:at], VARINTS[number + further], body[own:], block[start:]))


@lru_cache
def _encode_name(name: str) -> bytes:
    encoded = name.encode()
    return VARINTS[len(encoded)] + encoded


def _encode_headers(headers: Headers) -> bytes:
    parts: list[bytes] = []
    for name, content in headers:
        encoded = name.encode()
        parts += VARINTS[len(encoded)], encoded
        parts += (NULL,) if content is None else (VARINTS[len(content)], content)
    return b"".join(parts)
