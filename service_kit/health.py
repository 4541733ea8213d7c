"""Health: the loop leaves the time of its last turn in a file, and a health check reads it.

    python service_kit/health.py FILE [SECONDS]

exits with 0 where the last turn is at most that long ago (30 by default), else with 1. Run as a
file it imports nothing but the standard library, so that a check costs some 30 ms.
"""

import sys
import time
from pathlib import Path


class Heartbeat:
    """Shows that a loop is alive; `beat` may be called at every turn.

    The time is the machine's monotonic clock, which a change of the wall clock doesn't move.
    """

    def __init__(self, file: str | None, period_s: float = 1.0) -> None:
        self._file = None if file is None else Path(file)
        self._period_s = period_s
        self._written = float("-inf")
        self.last = time.monotonic()

    def beat(self) -> None:
        """The loop has made a turn."""
        self.last = time.monotonic()
        if self._file is not None and self.last - self._written >= self._period_s:
            self._file.write_text(f"{self.last}\n")
            self._written = self.last

    def age_s(self) -> float:
        """Seconds since the last turn."""
        return time.monotonic() - self.last


def check(file: str, limit_s: float) -> str | None:
    """What is wrong, in one line; None where the loop is alive."""
    try:
        age_s = time.monotonic() - float(Path(file).read_text())
    except (OSError, ValueError) as error:
        return f"no turn of the loop is known: {error}"
    return None if age_s <= limit_s else f"the loop has stalled for {age_s:.0f} s"


if __name__ == "__main__":
    problem = check(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 30.0)  # noqa: PLR2004
    if problem:
        sys.exit(problem)
