"""Kafka's released jars, fetched once with Maven, and the Java that runs them."""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from broker.terminal import say

VERSION = "4.3.1"
HERE = Path(__file__).parent
LIBRARY = HERE.parent / ".broker" / "libs"
_MIN_JAVA = 17


class BrokerUnavailable(Exception):
    """Kafka can't be started or reached here; the text says what is wrong and what to do."""


def environment() -> dict[str, str]:
    """What Java and Maven run with: in a locale without UTF-8 (LC_ALL=C) they can't open a path
    that has letters beyond ASCII."""
    return {**os.environ, "LC_ALL": "C.UTF-8"}


def server(config: Path) -> list[str]:
    """The command line of a Kafka server.

    Raises:
        BrokerUnavailable: Java or Maven is missing or too old, or the jars can't be had.
    """
    return _java("kafka.Kafka", [str(config)], "log4j2.yaml", "-Xmx1g", "-XX:+UseG1GC")


def tool(main_class: str, arguments: Sequence[str], *options: str) -> list[str]:
    """The command line of one of Kafka's tools; `options` are Java's.

    Raises:
        BrokerUnavailable: Java or Maven is missing or too old, or the jars can't be had.
    """
    return _java(main_class, arguments, "tools-log4j2.yaml", "-Xmx256m", *options)


def _java(main_class: str, arguments: Sequence[str], log: str, *options: str) -> list[str]:
    program = java_program()
    settings = ["-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={(HERE / log).as_uri()}"]
    return [program, *options, *settings, "-cp", f"{library()}/*", main_class, *arguments]


def library() -> Path:
    """The folder of Kafka's jars, fetched if it isn't there: 54 MB, once.

    Raises:
        BrokerUnavailable: Maven is missing, or fails.
    """
    return fetched(HERE / "pom.xml", LIBRARY, f"kafka_2.13-{VERSION}.jar", "54 MB")


def fetched(pom: Path, folder: Path, proof: str, size: str) -> Path:
    """The folder of the jars that a Maven project needs, fetched unless `proof`, one of them, is
    there; in the project `${kafka.version}` is ours. `size` is what the person who waits is told.

    Raises:
        BrokerUnavailable: Maven is missing, or fails.
    """
    if not (folder / proof).is_file():
        folder.parent.mkdir(exist_ok=True)
        with _locked(folder.parent):  # two processes may want them at once
            if not (folder / proof).is_file():
                _fetch(pom, folder, f"{proof} and what it needs: {size}, once")
    return folder


def _fetch(pom: Path, folder: Path, what: str) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerUnavailable("Maven is missing: install it (apt or brew install maven)")
    say(f"fetching {what}, with Maven")
    fresh = folder.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    how = [
        "--quiet",
        "--batch-mode",
        "-Dstyle.color=never",
        "--strict-checksums",
        "-f",
        str(pom),
    ]
    copy = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={fresh}"]
    done = _run([maven, *how, f"-Dkafka.version={VERSION}", *copy])
    if done.returncode:
        raise BrokerUnavailable(f"Maven could not fetch {what}: {first_error(done.stdout)}")
    shutil.rmtree(folder, ignore_errors=True)  # another version's
    fresh.rename(folder)


def java_program() -> str:
    """The Java to run: JAVA_HOME's, or the first on the PATH.

    Raises:
        BrokerUnavailable: it is missing or too old.
    """
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=f"{home}/bin" if home else None)
    advice = f"install version {_MIN_JAVA} or later, and let JAVA_HOME or PATH lead to it"
    if program is None:
        raise BrokerUnavailable(f"Java is missing: {advice}")
    said = _run([program, "-version"]).stdout
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < _MIN_JAVA:
        raise BrokerUnavailable(f"{program} won't do ({first_error(said)}): {advice}")
    return program


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    opened = os.open(folder, os.O_RDONLY)  # the folder itself: no lock file can be left
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def first_error(output: str) -> str:
    """The line of a program's output that most likely says what is wrong."""
    every = map(str.strip, output.splitlines())
    # Java tells first which options it "Picked up" from the environment.
    lines = [line for line in every if line and not line.startswith("Picked up ")]
    return next((line for line in lines if "ERROR" in line), (lines or ["it said nothing"])[0])
