"""The page on rules, typed beside a stack without Docker."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from compose.stack import Stack, checkout
from conftest import jars_can_be_had
from detecting import REPOSITORY, wait_until
from pages import section, type_all


@pytest.fixture
def without_docker(tmp_path: Path, free_port: int) -> Iterator[Stack]:
    """A checkout where `make up-local` runs, with what the tests run with already installed."""
    if not jars_can_be_had():
        pytest.skip("Java 17 and Maven are not there")
    folder = checkout(tmp_path / "a fresh clöne, it's mine")
    (folder / ".venv").symlink_to(REPOSITORY / ".venv")
    (folder / ".broker").mkdir()
    (folder / ".broker" / "libs").symlink_to(REPOSITORY / ".broker" / "libs")
    found = Stack(folder, free_port)
    log = tmp_path / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["make", "up-local"],
            cwd=folder,
            env={**found.environment, "LC_ALL": "C", "TZ": "Asia/Kolkata"},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until(says(log, '"judged"'), "transactions are judged")
        yield found
    finally:
        for _ in range(2):  # as with Ctrl-C, and again from impatience
            os.killpg(process.pid, signal.SIGINT)
        process.wait()
        assert log.read_text().endswith("broker: stopped\n"), log.read_text()


def says(log: Path, words: str) -> Callable[[], bool]:
    return lambda: words in log.read_text()


def test_the_rules_page_is_true_without_docker(without_docker: Stack) -> None:
    page = section(without_docker.folder / "docs" / "rules.md", "Ten minutes")
    # What runs under compose in this folder, if anything does, is none of its business.
    nothing = {**without_docker.environment, "DOCKER_HOST": "unix:///no-such-socket"}
    assert type_all(page, without_docker.folder, nothing) == page.count("\n    $ ") == 17
