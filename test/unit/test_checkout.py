"""What git makes of the project on a machine that is set up otherwise than ours."""

import subprocess
from pathlib import Path

from detecting import REPOSITORY


def test_a_checkout_on_windows_has_no_carriage_returns_that_a_shell_would_trip_over(
    tmp_path: Path,
) -> None:
    git = ["git", "-c", "core.autocrlf=true", "-c", "core.eol=crlf"]
    scripts = ["fraud", "test/run.sh", "broker/up-local", "broker/restart-on-failure"]
    subprocess.run(
        [*git, "checkout-index", f"--prefix={tmp_path}/scripts/", *scripts, ".gitattributes"],
        cwd=REPOSITORY,
        check=True,
    )
    for name in scripts:
        assert b"\r" not in (tmp_path / "scripts" / name).read_bytes(), name
