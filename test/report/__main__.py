"""Counts both streams over the same window: python -m report [SECONDS]"""

import logging
import os
import sys
import time

from tqdm import tqdm

from .counting import count, reader
from .settings import CannotMeasure, Settings
from .verdict import lines, what_is_off

_OFF, _CANNOT_MEASURE, _INTERRUPTED = 1, 2, 130


def main() -> int:
    """Prints the report on standard output, all else on standard error."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        return _report(Settings.read(sys.argv[1:], os.environ))
    except CannotMeasure as reason:
        sys.stderr.write(f"report: {reason}\n")
        return _CANNOT_MEASURE
    except KeyboardInterrupt:
        sys.stderr.write("report: interrupted\n")
        return _INTERRUPTED


def _report(settings: Settings) -> int:
    with reader(settings) as consumer:
        start_ms = time.time_ns() // 1_000_000
        end_ms = start_ms + 1000 * settings.seconds
        _say(f"collecting transactions for {settings.seconds} seconds...", end=" ")
        _wait(end_ms)
        counts = count(consumer, settings, start_ms, end_ms)
    _say("done!")
    for line in lines(counts, settings.seconds, settings.asked_per_second):
        _say(line)
    problem = what_is_off(counts)
    if problem is not None:
        sys.stderr.write(f"report: {problem}\n")
    return 0 if problem is None else _OFF


def _say(words: str, end: str = "\n") -> None:
    sys.stdout.write(words + end)
    sys.stdout.flush()


def _wait(end_ms: int) -> None:
    left_ms = end_ms - time.time_ns() // 1_000_000
    layout = "{l_bar}{bar}| {remaining} left"
    with tqdm(total=left_ms, desc="collecting", bar_format=layout, leave=False) as bar:
        while (still_ms := end_ms - time.time_ns() // 1_000_000) > 0:
            bar.update(left_ms - still_ms - bar.n)
            time.sleep(min(still_ms / 1000, 0.1))


if __name__ == "__main__":
    sys.exit(main())
