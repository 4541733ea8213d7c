"""What `python -m broker` is told on its command line."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("port", ["x", "", "0", "-1", "65534", "9" * 400])
def test_a_wrong_port_is_said_and_ends_with_status_2(port: str) -> None:
    command = [sys.executable, "-m", "broker", "run", "--port", port]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith(
        f"python -m broker: error: argument --port: {port!r} is not allowed"
    )
