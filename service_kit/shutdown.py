"""Being told to stop: a signal that only sets a flag, and waits that see it."""

import os
import signal
import socket
import threading
import time

import structlog

_SLICE_S = 0.1


class Shutdown:
    """Whether the process was told to stop, and until when (monotonic seconds) it may take.

    Waits end `grace_s` after the signal. No wait of a library is beyond doubt, though: `limit_s`
    after the signal the process ends wherever it stands, with `status`. For a stream that loses
    nothing: what is not committed was never visible, and is read again.

    A plain attribute instead of a threading.Event, whose lock a signal handler could find held.
    """

    def __init__(self, grace_s: float = 3.0, limit_s: float = 4.5, status: int = 0) -> None:
        self._grace_s = grace_s
        self._limit_s = limit_s
        self._status = status
        self._deadline = float("inf")

    def on_signals(self) -> None:
        """Takes SIGTERM and SIGINT as the stop signal."""
        # The system's own handler writes to this socket, also while Python's waits for its turn.
        told, tell = socket.socketpair()
        tell.setblocking(False)  # noqa: FBT003  # the only way
        signal.set_wakeup_fd(tell.fileno())
        threading.Thread(target=self._end, args=(told, tell), name="limit", daemon=True).start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.request())

    def request(self) -> None:
        """Tells the process to stop; the first time counts."""
        self._deadline = min(self._deadline, time.monotonic() + self._grace_s)

    @property
    def requested(self) -> bool:
        return self._deadline != float("inf")

    def deadline(self) -> float:
        """When waits must end (monotonic seconds); infinity until told to stop."""
        return self._deadline

    def sleep(self, seconds: float) -> None:
        """Sleeps, or wakes early when told to stop."""
        until = time.monotonic() + seconds
        while not self.requested and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_S))

    def _end(self, told: socket.socket, _keep_open: socket.socket) -> None:
        told.recv(1)
        time.sleep(self._limit_s)
        log = structlog.get_logger("service")
        log.error("cut off: it did not stop in time", status=self._status)
        os._exit(self._status)
