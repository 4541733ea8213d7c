"""python -m broker run [-- COMMAND], or one of Kafka's console tools: python -m broker TOOL"""

import argparse
import sys
from pathlib import Path

from broker.jars import LIBRARY, BrokerUnavailable
from broker.running import run, say
from broker.tools import DEFAULT_SERVER, TOOLS, become

_UNAVAILABLE = 2


def main() -> int:
    """Runs what the command line asks for, and returns the exit status."""
    try:
        if len(sys.argv) > 1 and sys.argv[1] in TOOLS:
            become(sys.argv[1], sys.argv[2:])
        asked = _arguments()
        command = asked.command[1:] if asked.command[:1] == ["--"] else asked.command
        return run(asked.data, asked.nodes, asked.port, command)
    except BrokerUnavailable as reason:
        say(str(reason))
        return _UNAVAILABLE


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m broker",
        description="A real Apache Kafka without Docker, and its console tools.",
        epilog=f"tools, at {DEFAULT_SERVER} or $KAFKA_BROKER_URL: {', '.join(TOOLS)}",
    )
    running = parser.add_subparsers(required=True).add_parser(
        "run", help="run Kafka, while COMMAND runs or until Ctrl-C"
    )
    running.add_argument("--port", type=int, default=9094, help="of the first node (9094)")
    running.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="brokers (1)")
    running.add_argument(
        "--data", type=Path, default=LIBRARY.parent / "data", help="folder of the data"
    )
    running.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
