"""What the person at the terminal is told."""

import sys
from contextlib import suppress


def say(words: str) -> None:
    """One line on standard error."""
    with suppress(OSError):  # the terminal may be gone, and what runs must be stopped all the same
        sys.stderr.write(f"broker: {words}\n")
