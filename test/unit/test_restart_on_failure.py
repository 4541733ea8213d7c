"""broker/restart-on-failure, with plain shell commands in the place of a service."""

import signal
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "broker" / "restart-on-failure"


def restarting(command: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [SCRIPT, "sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_command_that_fails_is_run_again_until_it_succeeds(tmp_path: Path) -> None:
    tried = tmp_path / "tried"
    with restarting(f"test -e {tried} && echo done || {{ touch {tried}; exit 3; }}") as script:
        out, err = script.communicate(timeout=60)
    assert (out, script.returncode) == ("done\n", 0)
    assert "ended with status 3; again in 1 s" in err


def test_a_signal_is_passed_on_and_ends_it_even_where_the_command_fails() -> None:
    command = "trap 'echo told; exit 1' TERM; echo started; while :; do sleep 0.1; done"
    with restarting(command) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == "started\n"
        script.send_signal(signal.SIGTERM)
        out, err = script.communicate(timeout=60)
    assert (out, err, script.returncode) == ("told\n", "", 0)
