"""Counts both streams over the same window: python -m report [SECONDS]"""

import logging
import os
import sys

from .counting import count, input_ends, reader
from .settings import CannotMeasure, Settings
from .verdict import lines, what_is_off
from .window import watch

_OFF, _CANNOT_MEASURE, _INTERRUPTED = 1, 2, 130


def main() -> int:
    """Prints the report on standard output, all else on standard error."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        return _report(Settings.read(sys.argv[1:], os.environ))
    except CannotMeasure as reason:
        _remark(reason)
        return _CANNOT_MEASURE
    except KeyboardInterrupt:
        _remark("interrupted")
        return _INTERRUPTED


def _report(settings: Settings) -> int:
    with reader(settings) as consumer:
        _say(f"collecting transactions for {settings.seconds} seconds...", end=" ")
        window = watch(consumer, input_ends(consumer, settings), settings.seconds)
        counts, evidence = count(consumer, settings, window)
    _say("done!")
    expectation = evidence.expectation(settings.expectation)
    for line in lines(counts, expectation, settings.seconds, settings.asked_per_second):
        _say(line)
    problem = what_is_off(counts, expectation)
    for remark in filter(None, (window.remark, problem)):
        _remark(remark)
    return 0 if problem is None else _OFF


def _say(words: str, end: str = "\n") -> None:
    sys.stdout.write(words + end)
    sys.stdout.flush()


def _remark(words: object) -> None:
    sys.stderr.write(f"report: {words}\n")


if __name__ == "__main__":
    sys.exit(main())
