"""Kafka's released jars, fetched once with Maven, and the Java that runs them."""

import fcntl
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
LIBRARY = HERE.parent / ".broker" / "libs"
_LEAST_JAVA = 17


class BrokerUnavailable(Exception):
    """Kafka can't be started or reached here; the text is one line that says what to do."""


def java(main_class: str, *arguments: str, heap: str, log: str) -> list[str]:
    """The command line that runs a class of Kafka's; `log` is `server` or `tools`.

    Raises:
        BrokerUnavailable: Java or Maven is missing, or the jars can't be had.
    """
    logging = HERE / ("log4j2.yaml" if log == "server" else "tools-log4j2.yaml")
    return [
        "java",
        f"-Xmx{heap}",
        "-XX:+UseG1GC",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={logging}",
        "-cp",
        f"{library()}/*",
        main_class,
        *arguments,
    ]


def library() -> Path:
    """The folder of jars, fetched if it isn't there: 54 MB, once.

    Raises:
        BrokerUnavailable: Java or Maven is missing, or Maven fails.
    """
    if shutil.which("java") is None:
        raise BrokerUnavailable(f"Java is missing: install version {_LEAST_JAVA} or later")
    if LIBRARY.is_dir():
        return LIBRARY
    _require_version()
    if shutil.which("mvn") is None:
        raise BrokerUnavailable("Maven is missing: install it (e.g. apt install maven)")
    LIBRARY.parent.mkdir(exist_ok=True)
    file = LIBRARY.parent / "libs.lock"
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two processes may want them at once
        if not LIBRARY.is_dir():
            _fetch()
        file.unlink(missing_ok=True)
    return LIBRARY


def _fetch() -> None:
    fresh = LIBRARY.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    _run(
        "mvn",
        "-q",
        "-B",
        "-f",
        str(HERE / "pom.xml"),
        "dependency:copy-dependencies",
        f"-DoutputDirectory={fresh}",
        "-DincludeScope=runtime",
    )
    fresh.rename(LIBRARY)


def _require_version() -> None:
    said = _run("java", "-version")
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < _LEAST_JAVA:
        raise BrokerUnavailable(
            f"Java {_LEAST_JAVA} or later is needed; found: {_last_line(said.splitlines()[:1])}"
        )


def _run(*command: str) -> str:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise BrokerUnavailable(f"{command[0]} failed: {_last_line(done.stdout.splitlines())}")
    return done.stdout


def _last_line(lines: Sequence[str]) -> str:
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
