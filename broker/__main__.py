"""python -m broker run [-- COMMAND], or one of Kafka's console tools: python -m broker TOOL"""

import argparse
import sys
import textwrap
from pathlib import Path

from broker.cluster import Cluster
from broker.jars import LIBRARY, BrokerUnavailable
from broker.running import run
from broker.terminal import say
from broker.tools import DEFAULT_SERVER, TOOLS, become

_UNAVAILABLE = 2
_LAST_PORT = 65_533  # further nodes have the next ones
_USAGE = """python -m broker run [--port N] [--nodes 1|3] [--data DIR] [-- COMMAND ...]
       python -m broker TOOL [ARGUMENTS ...]"""


def main(words: list[str]) -> int:
    """Does what the command line asks for, and returns the exit status."""
    try:
        if words and words[0] in TOOLS:
            become(words[0], words[1:])
        end = words.index("--") if "--" in words else len(words)
        asked = _parser().parse_args(words[:end])
        return run(Cluster(asked.data, asked.nodes, asked.port), words[end + 1 :])
    except BrokerUnavailable as reason:
        say(str(reason))
        return _UNAVAILABLE


def _parser() -> argparse.ArgumentParser:
    tools = textwrap.fill(", ".join(TOOLS), break_on_hyphens=False)
    parser = argparse.ArgumentParser(
        prog="python -m broker",
        usage=_USAGE,
        description="A real Apache Kafka without Docker, and its console tools.",
        epilog=f"tools, at $KAFKA_BROKER_URL or {DEFAULT_SERVER} if not told another:\n{tools}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "run", choices=["run", *TOOLS], metavar="run", help="Kafka, for COMMAND or until Ctrl-C"
    )
    parser.add_argument("--port", type=_port, default=9094, help="the first node's (9094)")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="how many (1)")
    parser.add_argument(
        "--data", type=Path, default=LIBRARY.parent / "data", help="folder (.broker/data)"
    )
    return parser


def _port(text: str) -> int:
    number = int(text) if text.isdecimal() and len(text) < len("100000") else 0
    if not 0 < number <= _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed: 1 to {_LAST_PORT}")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
