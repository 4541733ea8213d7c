"""How kafka-python 3.0.12 reaches brokers and reads what they send, patched.

Each class says what it patches; the numbers in brackets are the entries of docs/exactly-once.md.
"""

import random
import socket
import struct
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from kafka.errors import KafkaConnectionError, KafkaProtocolError
from kafka.net import manager as connections
from kafka.net.compat import KafkaNetClient
from kafka.net.transport import KafkaTCPTransport
from kafka.protocol import parser
from kafka.protocol.frame import KafkaBytes
from kafka.protocol.metadata import MetadataRequest
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch

from kafka_batch._records.bodies import read_name

_PROBE_S = 2.0
_FURTHER_S = 0.1  # so long are the slower ones waited for
_CONNECT_MS = 1_000
_CONNECT_PAUSE_MS = 50
# For a connection and the first answer over it: so long, and not 10 s, does a silent broker cost.
_SETUP_MS = 2_000
_METADATA_MS = 4_000
_RECEIVE_BYTES = 1 << 16
_LARGE_BYTES = 1 << 18
_CALL_TIME = struct.pack("ll", 0, 8_000)  # a timeval: 8 ms
# A request for the API versions, as every client's first: size, API key, version, correlation id,
# and no client id.
_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)


def reachable_servers(bootstrap_servers: str) -> list[str]:
    """Those of the servers (host:port, with commas between) that answer a request, without waiting
    for the slow ones once there is one.

    The client bootstraps from one at random, and where that one is connected and silent, as a
    paused machine is, it waits there until its time is up and fails [21].

    Raises:
        KafkaConnectionError: none does.
    """
    servers = [server.strip() for server in bootstrap_servers.split(",")]
    probes: SimpleQueue[tuple[str, str | None]] = SimpleQueue()
    for server in servers:
        probe = partial(lambda one: probes.put((one, _probe(one))), server)
        Thread(target=probe, name=f"probe {server}", daemon=True).start()
    found: list[str] = []
    problem: str | None = f"nothing within {2 * _PROBE_S:.0f} s"
    with suppress(Empty):
        for _ in servers:
            server, silence = probes.get(timeout=_FURTHER_S if found else 2 * _PROBE_S)
            if silence is None:
                found.append(server)
            else:
                problem = silence
    if not found:
        raise KafkaConnectionError(f"no broker answers at {bootstrap_servers}: {problem}")
    return found


def _probe(server: str) -> str | None:
    """Why a server doesn't answer; None where it does."""
    host, _, port = server.rpartition(":")
    deadline = time.monotonic() + _PROBE_S
    try:
        with socket.create_connection((host, int(port)), timeout=_PROBE_S) as probe:
            probe.settimeout(max(_FURTHER_S, deadline - time.monotonic()))
            probe.sendall(_API_VERSIONS)
            _size, correlation_id = probe.recv(4, socket.MSG_WAITALL), probe.recv(4)
    except OSError as error:
        return str(error)
    if correlation_id == _API_VERSIONS[8:12]:
        return None
    return "what listens there does not speak Kafka in plain text, or closed the connection"


class NonRaisingClient(KafkaNetClient):
    """Says "not ready yet" of a broker that can't be reached, where the original raises [2].

    The raise makes the sender drop a transactional request that nobody completes afterwards. And
    pauses between attempts to connect, also where something in front of a broker that is gone
    takes the connection and closes it, where the original tries on without a pause [23]. And asks
    a broker that it has bootstrapped from, which answers, where the original takes any; and for
    metadata another one where that takes longer than metadata do [31].
    """

    def __init__(self, *args: Any, **configs: Any) -> None:
        super().__init__(*args, socket_connection_setup_timeout_ms=_SETUP_MS, **configs)
        self._reset_backoff = self._manager.reset_backoff
        self._manager.reset_backoff = self._connected
        self._least_loaded = self._manager.least_loaded_node
        self._manager.least_loaded_node = self._one_to_ask
        self._send_request = self._manager.send
        self._manager.send = self._send

    def _connected(self, node_id: Any) -> None:
        """Is called when an attempt is over, whatever came of it; and before metadata is asked
        for, whose pauses are counted as if it were a node."""
        connection = self._manager._conns.get(node_id)
        is_node = node_id != "metadata"
        if is_node and (connection is None or not connection.init_future.succeeded()):
            self._manager.update_backoff(node_id)
        else:
            self._reset_backoff(node_id)

    def _one_to_ask(self) -> Any:
        """The original's choice, where there is a connection to it; else one that has answered."""
        found = self._least_loaded()
        if found is None or self.connected(found):
            return found
        answered = {(broker.host, broker.port) for broker in self.cluster.bootstrap_brokers()}
        known = (it.node_id for it in self.cluster.brokers() if (it.host, it.port) in answered)
        free = [*filter(self._may_be_asked, known)]
        return random.choice(free) if free else found  # noqa: S311  # no secret

    def _may_be_asked(self, node_id: int) -> bool:
        connection = self._manager._conns.get(node_id)
        is_full = connection is not None and connection.paused
        return not is_full and not self.connection_delay(node_id)

    def _send(
        self, request: Any, node_id: Any = None, request_timeout_ms: float | None = None
    ) -> Any:
        """Metadata are asked of one broker at a time, and everyone waits for them."""
        if request_timeout_ms is None and isinstance(request, MetadataRequest):
            request_timeout_ms = _METADATA_MS
        return self._send_request(request, node_id, request_timeout_ms)

    def await_ready(self, node_id: int, timeout_ms: int = 30_000) -> bool:
        try:
            return bool(super().await_ready(node_id, timeout_ms=min(timeout_ms, _CONNECT_MS)))
        except KafkaConnectionError:
            # Drives the connection attempt; without it the sender would ask again at once.
            self.poll(timeout_ms=_CONNECT_PAUSE_MS)
            return False


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


def patch_kafka_python() -> None:
    """Has all clients of this process use the classes of ours that they have no settings for."""
    memory_records.DefaultRecordBatch = LenientBatch
    connections.KafkaTCPTransport = BulkTransport
    parser.KafkaBytes = ResponseBuffer
