"""Fetched batches whose headers have names that are not UTF-8."""

from typing import Any

from kafka.record.default_records import DefaultRecordBatch

from kafka_batch._records.bodies import read_name


class _NameBytes(bytes):
    def decode(self, *_: object) -> str:
        return read_name(self)


class _LenientBuffer(bytearray):
    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return _NameBytes(found) if isinstance(index, slice) else found


class LenientBatch(DefaultRecordBatch):
    """Reads a record whose header has a name that is not UTF-8 [17]. The original takes the batch
    for corrupt, and its partition would stall.

    And copies the batch only where it is read record by record.
    """

    _buffer: Any

    def __init__(self, buffer: memoryview) -> None:
        super().__init__(buffer[: self.HEADER_STRUCT.size])
        self._buffer = buffer

    def __iter__(self) -> "LenientBatch":
        self._maybe_uncompress()
        self._buffer = bytearray(self._buffer)
        return self

    def _read_msg(self) -> Any:
        try:
            return super()._read_msg()
        except UnicodeDecodeError:
            self._buffer = _LenientBuffer(self._buffer)
            return super()._read_msg()
