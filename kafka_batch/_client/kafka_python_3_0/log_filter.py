"""kafka-python's log, without its floods."""

import logging
import time
from collections.abc import Callable


class QuietRepeats(logging.Filter):
    """Lets each message of the client through once per `period_s`, whatever its arguments [12].

    A message is known by the line of code that logs it.
    """

    def __init__(self, period_s: float = 60, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._period_s = period_s
        self._clock = clock
        self._next: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("kafka."):
            return True
        seen, now = (record.pathname, record.lineno), self._clock()
        if now < self._next.get(seen, float("-inf")):
            return False
        self._next[seen] = now + self._period_s
        return True
