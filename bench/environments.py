"""An environment of its own for each peer, under `.bench/`: built once, and after a change."""

import subprocess
import sys
import venv
from pathlib import Path

from broker import jars

PEERS = Path(__file__).parent / "peers"
WORK = Path(__file__).parents[1] / ".bench"


def python(peer: str) -> str:
    """The Python of a peer, with what its requirements.txt pins.

    Raises:
        subprocess.CalledProcessError: pip fails.
    """
    wanted = PEERS / peer / "requirements.txt"
    folder = WORK / "environments" / peer
    installed, program = folder / "installed.txt", folder / "bin" / "python"
    if not installed.is_file() or installed.read_text() != wanted.read_text():
        sys.stderr.write(f"bench: installing {', '.join(wanted.read_text().split())}\n")
        venv.create(folder, clear=True, with_pip=True)
        quiet = ["--quiet", "--disable-pip-version-check"]
        subprocess.run([program, "-m", "pip", "install", *quiet, "-r", wanted], check=True)
        installed.write_text(wanted.read_text())
    return str(program)


def java(peer: str) -> list[str]:
    """A command line of Java, with the class path of Kafka Streams and of the broker.

    Raises:
        broker.BrokerUnavailable: Java or Maven is missing, or Maven fails.
    """
    own = jars.fetched(
        PEERS / peer / "pom.xml",
        WORK / "environments" / peer,
        f"kafka-streams-{jars.VERSION}.jar",
        "75 MB",
    )
    log = f"-Dlog4j2.configurationFile={(jars.HERE / 'tools-log4j2.yaml').as_uri()}"
    return [jars.java_program(), log, "-cp", f"{own}/*:{jars.library()}/*"]


def pinned(peer: str) -> str:
    """The version that a peer's requirements.txt pins first."""
    return (PEERS / peer / "requirements.txt").read_text().split()[0].partition("==")[2]
