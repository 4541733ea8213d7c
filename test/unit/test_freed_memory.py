"""Memory that was freed is used again, and not fetched again from the system."""

import platform
import subprocess
import sys

import pytest

PAGES = """
import resource
from service_kit.memory import keep_freed_memory
assert not {kept} or keep_freed_memory()
for _ in range(3):
    del [b"x" * (4 << 20) for _ in range(2)][:]
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    del [b"x" * (4 << 20) for _ in range(2)][:]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages_got(*, kept: bool) -> int:
    """How many pages a process gets from the system for 100 blocks of 4 MB, one after the other."""
    code = PAGES.replace("{kept}", str(kept))
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_blocks_that_were_freed_are_used_again() -> None:
    pages_of_all = 100 * (4 << 20) // 4096
    assert pages_got(kept=True) < pages_of_all // 20
