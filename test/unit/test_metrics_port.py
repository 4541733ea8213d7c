"""A port for the metrics that is taken."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("service", ["detector", "generator"])
def test_a_metrics_port_that_is_taken_is_one_clear_line(service: str) -> None:
    with socket.create_server(("0.0.0.0", 0)) as other:  # noqa: S104  # as the service binds it
        port = other.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", service],
            cwd=REPOSITORY,
            env={**os.environ, "METRICS_PORT": str(port)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["reason"].startswith(f"METRICS_PORT={port} can't be listened on: ")
