"""Which of the bootstrap servers answer."""

import socket
import struct
import time
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread

from kafka.errors import KafkaConnectionError

_PROBE_S = 2.0
_FURTHER_S = 0.1  # so long are the slower ones waited for
# A request for the API versions, as every client's first: size, API key, version, correlation id,
# and no client id.
_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)


def reachable_servers(bootstrap_servers: str) -> list[str]:
    """Those of the servers (host:port, with commas between) that answer a request, without waiting
    for the slow ones once there is one.

    The client bootstraps from one at random, and where that one is connected and silent, as a
    paused machine is, it waits there until its time is up and fails [21].

    Raises:
        KafkaConnectionError: none does.
    """
    servers = [server.strip() for server in bootstrap_servers.split(",")]
    probes: SimpleQueue[tuple[str, str | None]] = SimpleQueue()
    for server in servers:
        probe = partial(lambda one: probes.put((one, _probe(one))), server)
        Thread(target=probe, name=f"probe {server}", daemon=True).start()
    found: list[str] = []
    problem: str | None = f"nothing within {2 * _PROBE_S:.0f} s"
    with suppress(Empty):
        for _ in servers:
            server, silence = probes.get(timeout=_FURTHER_S if found else 2 * _PROBE_S)
            if silence is None:
                found.append(server)
            else:
                problem = silence
    if not found:
        raise KafkaConnectionError(f"no broker answers at {bootstrap_servers}: {problem}")
    return found


def _probe(server: str) -> str | None:
    """Why a server doesn't answer; None where it does."""
    host, _, port = server.rpartition(":")
    deadline = time.monotonic() + _PROBE_S
    try:
        with socket.create_connection((host, int(port)), timeout=_PROBE_S) as probe:
            probe.settimeout(max(_FURTHER_S, deadline - time.monotonic()))
            probe.sendall(_API_VERSIONS)
            _size, correlation_id = probe.recv(4, socket.MSG_WAITALL), probe.recv(4)
    except OSError as error:
        return str(error)
    if correlation_id == _API_VERSIONS[8:12]:
        return None
    return "what listens there does not speak Kafka in plain text, or closed the connection"
