"""Being told to stop: a signal that only sets a flag, and waits that see it."""

import signal
import time

_SLICE_S = 0.1


class Stop:
    """Whether the process was told to stop, and until when (monotonic seconds) it may take.

    A plain attribute instead of a threading.Event, whose lock a signal handler could find held.
    """

    def __init__(self, grace_s: float = 3.0) -> None:
        self._grace_s = grace_s
        self._deadline = float("inf")

    def on_signals(self) -> None:
        """Takes SIGTERM and SIGINT as the word to stop."""
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
