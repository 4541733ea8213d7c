"""One broker or three, each a process of its own, on this machine's loopback address."""

import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from broker.jars import BrokerUnavailable, java

_HOST = "127.0.0.1"
_CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"
_START_S = 60.0
_STOP_S = 30.0
_SLICE_S = 0.05


def _properties(replicas: int) -> dict[str, str]:
    return {
        "process.roles": "broker,controller",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        # A misspelt topic fails loudly instead of coming into being.
        "auto.create.topics.enable": "false",
        "num.partitions": "4",
        "default.replication.factor": str(replicas),
        "min.insync.replicas": str(max(1, replicas - 1)),
        "offsets.topic.replication.factor": str(replicas),
        "transaction.state.log.replication.factor": str(replicas),
        "transaction.state.log.min.isr": str(max(1, replicas - 1)),
        "share.coordinator.state.topic.replication.factor": str(replicas),
        "share.coordinator.state.topic.min.isr": str(max(1, replicas - 1)),
        # Few groups and producers here: fewer partitions make the first commit quicker.
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        "group.initial.rebalance.delay.ms": "0",
        # A killed detector's open Kafka transaction holds its partitions until the broker next
        # looks for timed-out ones: every second instead of every ten.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    }


class Node:
    """One broker, which is a controller as well."""

    def __init__(self, number: int, port: int, directory: Path, properties: Mapping[str, str]):
        self.port = port
        self._directory = directory / f"node-{number}"
        self._properties = dict(properties)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    def launch(self) -> None:
        """Starts the process, over the data that it left; `Cluster.start` waits for its answers.

        Raises:
            BrokerUnavailable: the port is taken, or Java or the jars are missing.
        """
        _require_free(self.port)
        self._directory.mkdir(parents=True, exist_ok=True)
        config = self._directory / "server.properties"
        config.write_text("".join(f"{key}={value}\n" for key, value in self._properties.items()))
        if not (self._directory / "data" / "meta.properties").exists():
            self._format(config)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                java("kafka.Kafka", str(config), heap="1g", log="server"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a terminal's Ctrl-C is not for it
            )

    def answers(self) -> bool:
        """Whether it accepts connections.

        Raises:
            BrokerUnavailable: it has ended; with the last line of its log.
        """
        if self._process is not None and self._process.poll() is not None:
            raise BrokerUnavailable(f"Kafka ended: {self._last_words()} (see {self._log})")
        with suppress(OSError), socket.create_connection((_HOST, self.port), timeout=1):
            return True
        return False

    def stop(self, patience_s: float = _STOP_S) -> None:
        """Ends it cleanly; kills it when it doesn't end in time."""
        self.tell_to_stop()
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience_s)
            self.kill()

    def tell_to_stop(self) -> None:
        """Asks it to end, and doesn't wait."""
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: the broker dies without a word."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """SIGSTOP: connections stay open, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT: goes on where it was paused."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    @property
    def _log(self) -> Path:
        return self._directory / "kafka.log"

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return next((line for line in reversed(lines) if "ERROR" in line or "FATAL" in line), "")

    def _format(self, config: Path) -> None:
        storage = ("format", "--cluster-id", _CLUSTER_ID, "--config", str(config))
        done = subprocess.run(
            java("kafka.tools.StorageTool", *storage, heap="256m", log="tools"),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BrokerUnavailable(f"the storage was not formatted: {done.stderr.strip()}")


class Cluster:
    """A Kafka of one node or three, with its data in a directory.

    `port` is the first node's, the others' follow; 0 takes free ones. `properties` override the
    server's settings. As a context manager it starts and stops.
    """

    def __init__(
        self,
        directory: Path,
        nodes: int = 1,
        port: int = 0,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        ports = [port + n for n in range(nodes)] if port else _free_ports(nodes)
        controllers = _free_ports(nodes)
        voters = ",".join(f"{n + 1}@{_HOST}:{controllers[n]}" for n in range(nodes))
        self.nodes = [
            Node(
                n + 1,
                ports[n],
                directory,
                {
                    **_properties(replicas=nodes),
                    "node.id": str(n + 1),
                    "controller.quorum.voters": voters,
                    "listeners": f"PLAINTEXT://{_HOST}:{ports[n]},CONTROLLER://{_HOST}:{controllers[n]}",
                    "advertised.listeners": f"PLAINTEXT://localhost:{ports[n]}",
                    "log.dirs": str(directory / f"node-{n + 1}" / "data"),
                    **(properties or {}),
                },
            )
            for n in range(nodes)
        ]

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(node.address for node in self.nodes)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts all nodes, and returns when each accepts connections.

        Raises:
            BrokerUnavailable: a node can't start, or doesn't answer; none is left running.
        """
        with ExitStack() as undo:
            undo.callback(self.kill)
            for node in self.nodes:
                node.launch()
            self.wait_until_up()
            undo.pop_all()

    def wait_until_up(self) -> None:
        """Returns when every node accepts connections.

        Raises:
            BrokerUnavailable: a node has ended, or doesn't answer in time.
        """
        deadline = time.monotonic() + _START_S
        while not all(node.answers() for node in self.nodes):
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"Kafka did not answer within {_START_S:.0f} s")
            time.sleep(_SLICE_S)

    def stop(self) -> None:
        """Ends all nodes cleanly, and at once: the last ones alone could not agree on anything."""
        for node in self.nodes:
            node.tell_to_stop()
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        """Ends all nodes at once."""
        for node in self.nodes:
            node.kill()


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise BrokerUnavailable(
                f"port {port} is taken: stop what listens there (is `docker compose up` running?)"
            ) from error


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server((_HOST, 0)) for _ in range(count)]
    try:
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
