"""The file .env, as ./fraud and `make up` read it."""

import subprocess
from pathlib import Path

import pytest
from detecting import REPOSITORY


def read(file: Path, name: str, **environment: str) -> str:
    script = f'. broker/environment.sh; read_variables "{file}"; printf "%s" "${{{name}-unset}}"'
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("SEED=1", "1"),
        ("export SEED=1", "1"),
        ('SEED="a b"', "a b"),
        ("SEED='a b'", "a b"),
        ("SEED=a b", "a b"),
        ("SEED=1 # the same each time", "1"),
        ("SEED=1\r", "1"),
        ("SEED=$(touch /tmp/x)", "$(touch /tmp/x)"),
        ("SEED=", ""),
        ("# SEED=1", "unset"),
        ("OTHER_SEED=1", "unset"),
        ("no variable at all", "unset"),
    ],
)
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_line_sets_a_variable_as_compose_reads_it(
    tmp_path: Path, line: str, value: str, end: str
) -> None:
    file = tmp_path / "of the stack.env"
    file.write_bytes(f"FIRST=2\n{line}{end}".encode())
    assert read(file, "SEED") == value


def test_what_the_environment_has_already_stays(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("SEED=1\n")
    assert read(file, "SEED", SEED="2") == "2"
    assert read(file, "SEED", SEED="") == ""


def test_a_file_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "none", "SEED") == "unset"
