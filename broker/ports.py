"""TCP ports on this machine's loopback address."""

import random
import socket
from contextlib import ExitStack

from broker.jars import BrokerUnavailable

HOST = "127.0.0.1"
# Below the ports that the system hands out to clients (from 32768 on Linux): a client that calls a
# node while it is down could otherwise be given the node's own port to call from, and keep it.
_CANDIDATES = range(20_000, 32_000)
_TRIES = 100


def require_free(port: int) -> None:
    """
    Raises:
        BrokerUnavailable: something listens at the port.
    """
    with socket.socket() as probe:
        if not _bound(probe, port):
            raise BrokerUnavailable(
                f"port {port} is taken: stop what listens there (docker compose? another broker?), "
                "or choose another: BROKER_PORT for make up, or --port"
            )


def free_ports(count: int) -> list[int]:
    """So many different ports at which nothing listens now."""
    with ExitStack() as probes:  # held together, so that they differ
        tries = random.sample(_CANDIDATES, _TRIES)
        found = (port for port in tries if _bound(probes.enter_context(socket.socket()), port))
        return [next(found) for _ in range(count)]


def _bound(probe: socket.socket, port: int) -> bool:
    # As Kafka does: connections that linger after their end don't make a port taken.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((HOST, port))
    except OSError:
        return False
    return True
