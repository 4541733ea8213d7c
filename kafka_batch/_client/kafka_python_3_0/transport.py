"""How kafka-python's sockets are read and written."""

import socket
import struct
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

from kafka.errors import KafkaConnectionError, KafkaProtocolError
from kafka.net.transport import KafkaTCPTransport
from kafka.protocol.frame import KafkaBytes

_RECEIVE_BYTES = 1 << 16
_LARGE_BYTES = 1 << 18
_CALL_TIME = struct.pack("ll", 0, 8_000)  # a timeval: 8 ms


class ResponseBuffer(KafkaBytes):
    """The bytes of an answer, which the original copies four times before it takes them apart."""

    def read(self, nbytes: int | None = None) -> Any:
        if nbytes is not None:
            return super().read(nbytes)
        start = self.tell()
        self.seek(len(self))
        return memoryview(self)[start:]

    def write(self, data: bytes) -> None:
        start, end = self.tell(), self.tell() + len(data)
        with memoryview(self) as place:
            place[start:end] = data
        self.seek(end)


class BulkTransport(KafkaTCPTransport):
    """Takes all that a socket holds at once, and to where it is wanted. The original takes 4 KiB a
    call, and after each call waits for Python's global lock, which the thread that judges holds for
    5 ms on end.

    And stands it that another thread closes the connection, as it does whenever a client is closed:
    while it waits for the socket, or is about to, or reads or writes [19].
    """

    async def _read_from_sock(self) -> None:
        await self._unless_closed(super()._read_from_sock())

    async def _write_to_sock(self) -> None:
        await self._unless_closed(super()._write_to_sock())

    async def _unless_closed(self, work: Awaitable[None]) -> None:
        try:
            await work
        except (ValueError, AttributeError):  # of a socket, or what reads its answers, that is gone
            if not self._closed:
                raise

    def _sock_recv(self) -> tuple[bytes, KafkaConnectionError | None]:
        try:
            while self._sock is not None:  # which another thread takes away as it closes
                self._fill_response(self._sock)
                received = self._sock.recv(_RECEIVE_BYTES)
                if len(received) < _RECEIVE_BYTES:
                    gone = None if received else KafkaConnectionError("socket disconnected")
                    return received, gone
                self._protocol.data_received(received)
        except (BlockingIOError, InterruptedError):
            return b"", None
        except (OSError, KafkaProtocolError) as error:
            return b"", KafkaConnectionError(str(error))
        return b"", KafkaConnectionError("closed")

    def _fill_response(self, sock: socket.socket) -> None:
        """Receives an answer that has begun to come into where the parser expects it: all but the
        last byte, which the parser waits for.

        Raises:
            BlockingIOError: some of it has yet to come.
        """
        protocol = self._protocol.parser
        if not protocol._receiving:
            return
        answer = protocol._rbuffer
        missing = len(answer) - 1 - answer.tell()
        if missing < 1:
            return
        with memoryview(answer) as place, _briefly_blocking(sock, socket.SO_RCVTIMEO, missing):
            received = sock.recv_into(place[answer.tell() : -1], 0, socket.MSG_WAITALL)
        if not received:
            raise OSError("socket disconnected")
        answer.seek(answer.tell() + received)
        if received < missing:
            raise BlockingIOError

    def _sock_send(self) -> tuple[int, KafkaConnectionError | None]:
        sock, waiting, total = self._sock, self._write_buffer, 0
        if sock is None:
            return 0, KafkaConnectionError("closed")
        try:
            while waiting:
                chunk = memoryview(waiting[0])
                with _briefly_blocking(sock, socket.SO_SNDTIMEO, len(chunk)):
                    sent = sock.send(chunk)
                total += sent
                if sent < len(chunk):
                    waiting[0] = chunk[sent:]
                    break
                waiting.popleft()
        except (BlockingIOError, InterruptedError):
            return total, None
        except (OSError, IndexError) as error:  # closing empties what is waiting
            return total, KafkaConnectionError(str(error))
        return total, None


@contextmanager
def _briefly_blocking(sock: socket.socket, its_timeout: int, size: int) -> Iterator[None]:
    """Where a lot is to go through a socket that doesn't block, has it block in a call, for up to
    8 ms: to turn to the client's loop for each part that goes through at once, and then to get
    Python's lock, takes longer than the part."""
    if size <= _LARGE_BYTES:
        yield
        return
    sock.setsockopt(socket.SOL_SOCKET, its_timeout, _CALL_TIME)
    sock.settimeout(None)
    try:
        yield
    finally:
        sock.settimeout(0)
