"""broker/restart-on-failure, with plain shell commands in the place of a service."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "broker" / "restart-on-failure"


def restarting(command: str, path: str = os.environ["PATH"]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [SCRIPT, "sh", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PATH": path},
        # A shell can't catch what is ignored when it starts, as SIGINT is for a background job.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # no threads
    )


def a_program(name: str, script: str, folder: Path) -> str:
    """A PATH with a program of this name in front of the system's own."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_a_command_that_fails_is_run_again_until_it_succeeds(tmp_path: Path) -> None:
    tried = tmp_path / "tried"
    with restarting(f"test -e {tried} && echo done || {{ touch {tried}; exit 3; }}") as script:
        out, err = script.communicate(timeout=60)
    assert (out, script.returncode) == ("done\n", 0)
    assert "ended with status 3; again in 0 s" in err


def test_the_pause_doubles_up_to_thirty_seconds(tmp_path: Path) -> None:
    path = a_program("sleep", "exit 0", tmp_path)
    runs = tmp_path / "runs"
    with restarting(f'echo >>{runs}; test "$(wc -l <{runs})" -eq 9', path) as script:
        _, err = script.communicate(timeout=60)
    assert script.returncode == 0
    assert [int(line.split()[-2]) for line in err.splitlines()] == [0, 1, 2, 4, 8, 16, 30, 30]


def test_after_a_run_of_over_half_a_minute_the_next_one_comes_at_once_again(tmp_path: Path) -> None:
    """Six runs, by a clock on which the fifth takes 31 s, and the others none."""
    a_program("sleep", "exit 0", tmp_path)
    asked, runs = tmp_path / "asked", tmp_path / "runs"
    clock = f'echo >>{asked}; n=$(wc -l <{asked}); [ "$n" -lt 10 ] && echo 0 || echo 31'
    path = a_program("date", clock, tmp_path)
    with restarting(f'echo >>{runs}; test "$(wc -l <{runs})" -eq 6', path) as script:
        _, err = script.communicate(timeout=60)
    assert [int(line.split()[-2]) for line in err.splitlines()] == [0, 1, 2, 4, 0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_and_ends_it_even_where_the_command_fails(
    number: signal.Signals,
) -> None:
    command = "trap 'echo told; exit 1' TERM; echo started; while :; do sleep 0.1; done"
    with restarting(command) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == "started\n"
        script.send_signal(number)
        out, err = script.communicate(timeout=60)
    assert (out, err, script.returncode) == ("told\n", "", 0)


def test_a_signal_during_a_pause_ends_it_without_another_run() -> None:
    with restarting("echo run; exit 1") as script:
        assert script.stderr is not None
        assert "again in 0 s" in script.stderr.readline()
        assert "again in 1 s" in script.stderr.readline()
        script.send_signal(signal.SIGTERM)
        out, _ = script.communicate(timeout=60)
    assert (out, script.returncode) == ("run\nrun\n", 0)


def test_a_signal_that_comes_before_the_command_keeps_it_from_running(tmp_path: Path) -> None:
    path = a_program("date", "kill -TERM $PPID; echo 0", tmp_path)  # asked just before
    with restarting("echo run; exit 1", path) as script:
        out, _ = script.communicate(timeout=60)
    assert (out, script.returncode) == ("", 0)
