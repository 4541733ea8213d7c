"""A TCP proxy in front of a Kafka node: cuts, holds and slows connections, strikes at requests.

What it knows of Kafka's protocol is the frame of a request: four bytes of length, two of API key.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any

from broker.ports import HOST

_CHUNK = 1 << 16
_CALL_S = 30.0
_Owner = Callable[[int], bool]  # of a client's port


class Api(IntEnum):
    """API keys of requests that a Kafka transaction consists of."""

    PRODUCE = 0
    COMMIT_OFFSETS = 8
    END_TRANSACTION = 26
    SEND_OFFSETS = 28


class Mode(Enum):
    PASS = "pass"  # noqa: S105
    CUT = "cut"  # connections are reset, and new ones too
    HOLD = "hold"  # they stay open, and nothing passes: a half-open connection


@dataclass
class Trap:
    """Springs once, at the next request of a kind: before or after the node has received it.

    `strike` is called then with the client's port, from a thread of its own, and the client's
    connection is reset. With `hold`, called in the same way, the request is passed on as that
    returns, and no connection is reset.
    """

    api: Api
    after: bool
    strike: Callable[[int], None] = lambda _: None
    hold: Callable[[int], None] | None = None
    sprung: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False)
class _Connection:
    port: int  # the client's
    tasks: list["asyncio.Task[None]"]
    writers: list[asyncio.StreamWriter]
    concerned: bool | None = None  # by the mode that is set, once that is known

    def reset(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        for task in self.tasks:
            task.cancel()


class Proxy:
    """Listens at a port of its own, and connects whoever calls to the target port.

    Runs in a thread; its methods may be called from any other.
    """

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self._target = target
        self._mode = Mode.PASS
        self._concerns: _Owner = lambda _: True
        self._delay_s = 0.0
        self._trap: Trap | None = None
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._passing = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=f"proxy-{port}", daemon=True)
        self._thread.start()
        self._server = self._call(self._listen())

    def cut(self, concerns: _Owner = lambda _: True) -> None:
        """Resets connections and refuses new ones, by the client's port, until `heal`."""
        self._call(self._set(Mode.CUT, concerns))

    def hold(self, concerns: _Owner = lambda _: True) -> None:
        """Lets nothing pass any more, in either direction, until `heal`."""
        self._call(self._set(Mode.HOLD, concerns))

    def slow(self, delay_s: float) -> None:
        """Delays whatever passes, in each direction."""
        self._delay_s = delay_s

    def arm(self, trap: Trap | None) -> None:
        """Sets the trap, in place of the one that was set."""
        self._trap = trap

    def heal(self) -> None:
        """Lets everything pass again at once."""
        self._delay_s = 0.0
        self._trap = None
        self._call(self._set(Mode.PASS, lambda _: True))

    def close(self) -> None:
        """Ends all connections, and the thread."""
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_S)

    # -- in the proxy's own thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_S)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._connect, HOST, self.port)

    async def _end(self) -> None:
        self._server.close()
        for connection in [*self._connections]:
            connection.reset()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _set(self, mode: Mode, concerns: _Owner) -> None:
        self._mode, self._concerns = mode, concerns
        for connection in self._connections:
            connection.concerned = None
        if mode is Mode.PASS:
            self._passing.set()
            self._passing = asyncio.Event()
        if mode is Mode.CUT:
            for connection in [*self._connections]:
                if concerns(connection.port):
                    connection.reset()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("peername")[1]
        if self._mode is Mode.CUT and self._concerns(port):
            writer.transport.abort()
            return
        try:
            from_node, to_node = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(port, [], [writer, to_node])
        self._connections.add(connection)
        connection.tasks += [
            asyncio.create_task(self._guard(connection, self._requests(connection, reader))),
            asyncio.create_task(self._guard(connection, self._responses(connection, from_node))),
        ]
        for task in connection.tasks:  # nobody else holds one that waits
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _guard(self, connection: _Connection, work: Coroutine[Any, Any, None]) -> None:
        """Either direction's end is the end of both."""
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await work
        self._connections.discard(connection)
        for writer in connection.writers:
            writer.close()

    async def _requests(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        to_node = connection.writers[1]
        while True:
            size = await reader.readexactly(4)
            request = await reader.readexactly(int.from_bytes(size, "big"))
            await self._pass(connection)
            trap = self._trap
            springs = trap is not None and int.from_bytes(request[:2], "big") == trap.api
            if trap is None or not springs or trap.sprung.is_set():
                to_node.write(size + request)
                await to_node.drain()
                continue
            self._trap = None
            if trap.hold:
                trap.sprung.set()
                await asyncio.to_thread(trap.hold, connection.port)
                to_node.write(size + request)
                continue
            if trap.after:
                to_node.write(size + request)
                await to_node.drain()
            await asyncio.to_thread(trap.strike, connection.port)
            connection.writers[0].transport.abort()
            if not trap.after:
                to_node.transport.abort()
            trap.sprung.set()
            return

    async def _responses(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        to_client = connection.writers[0]
        while part := await reader.read(_CHUNK):
            await self._pass(connection)
            to_client.write(part)
            await to_client.drain()

    async def _pass(self, connection: _Connection) -> None:
        """Waits as long as nothing may pass."""
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        while self._mode is Mode.HOLD and self._is_concerned(connection):
            await self._passing.wait()

    def _is_concerned(self, connection: _Connection) -> bool:
        """Asked once: to find out whose a port is takes long, and everything waits meanwhile."""
        if connection.concerned is None:
            connection.concerned = self._concerns(connection.port)
        return connection.concerned
