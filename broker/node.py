"""One Kafka node, broker and controller in one: a Java process and its folder.

The folder holds `server.properties`, `kafka.log`, `data`, and while it runs `kafka.pid`. Whether it
runs is not read from the pid file, which outlives a crash: the process holds a lock on its own log,
inherited with its standard output, and the system lets go of it when the process is gone.
"""

import fcntl
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import IO

from broker import jars
from broker.jars import BrokerUnavailable
from broker.ports import HOST, require_free

_CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"
_START_S = 180.0  # on a busy machine; a node that has ended is told at once
_STOP_S = 30.0
_SLICE_S = 0.05
_LAST_LINES = 3
_GRAVE = re.compile("ERROR|FATAL|Error|Exception")


class Node:
    """One node of a cluster, known by its number there.

    A change of its `properties` counts from its next start.
    """

    def __init__(self, number: int, port: int, folder: Path, properties: Mapping[str, str]) -> None:
        self.number = number
        self.port = port
        self.log = folder / "kafka.log"
        self._log_start = 0  # of this run's lines
        self._folder = folder
        self._pid_file = folder / "kafka.pid"
        self.properties = dict(properties)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def ended(self) -> bool:
        """Whether its process is gone, although nobody here stopped or killed it."""
        return self._process is not None and self._process.poll() is not None

    @property
    def runs(self) -> bool:
        """Whether its process is there, paused or not."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts it over the data that it left, and returns when it answers.

        Raises:
            BrokerUnavailable: it can't start, ends, or doesn't answer in time; it doesn't run then.
        """
        self.launch()
        try:
            wait_until_up([self])
        except BaseException:
            self.kill()
            raise

    def launch(self) -> None:
        """Starts the process, and doesn't wait for it.

        Raises:
            BrokerUnavailable: its data or port are in use, or Java or the jars are missing.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._lock(log)
            require_free(self.port)
            config = self._write_config()
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                jars.server(config),
                env=jars.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a terminal's Ctrl-C is not for it
            )
        self._pid_file.write_text(f"{self._process.pid}\n")

    def answers(self) -> bool:
        """Whether it takes requests, and has its part in the cluster.

        Raises:
            BrokerUnavailable: it has ended by itself; with the last lines of its log.
        """
        self.require_running()
        return _listens(self.port) and self.number in _brokers_known_at(self.address)

    def require_running(self) -> None:
        """
        Raises:
            BrokerUnavailable: it has ended by itself; with the last lines of its log.
        """
        if self.ended:
            raise BrokerUnavailable(f"Kafka ended by itself, see {self.log}:{self._last_words()}")

    def stop(self, patience_s: float = _STOP_S) -> None:
        """Ends it cleanly, also when it is paused; kills it when it doesn't end in time."""
        self.tell_to_stop()
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience_s)
            self.kill()

    def tell_to_stop(self) -> None:
        """SIGTERM; doesn't wait."""
        self._signal(signal.SIGTERM)
        self.resume()

    def kill(self) -> None:
        """SIGKILL: the broker dies without a word."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._pid_file.unlink(missing_ok=True)

    def pause(self) -> None:
        """SIGSTOP: its connections stay open, and nobody answers. Returns when all its threads
        stand still: one that runs goes on for a moment, and may answer."""
        self._signal(signal.SIGSTOP)
        if self._process is not None and self._process.poll() is None:
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """SIGCONT: goes on where it was paused."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _lock(self, log: IO[bytes]) -> None:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = self._pid_file.read_text().strip() if self._pid_file.exists() else "PID"
            raise BrokerUnavailable(
                f"Kafka runs already over {self._folder}, as process {pid}: "
                f"stop it (kill {pid}), or choose another folder with --data"
            ) from error

    def _write_config(self) -> Path:
        config = self._folder / "server.properties"
        config.write_text("".join(f"{key}={value}\n" for key, value in self.properties.items()))
        if not (self._folder / "data" / "meta.properties").exists():
            _format(config)
        return config

    def _last_words(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        told = [line for line in lines if not line.startswith("\tat ")]
        grave = [line for line in told if _GRAVE.search(line)]
        return "".join(f"\n  {line.rstrip()}" for line in (grave or told)[-_LAST_LINES:])


def wait_until_up(nodes: Sequence[Node], unless: Callable[[], bool] = lambda: False) -> bool:
    """Returns true when all answer; false when `unless` was true before.

    Raises:
        BrokerUnavailable: one has ended, or doesn't answer in time.
    """
    deadline = time.monotonic() + _START_S
    while not all(node.answers() for node in nodes):
        if unless():
            return False
        if time.monotonic() > deadline:
            raise BrokerUnavailable(f"no answer within {_START_S:.0f} s, see {nodes[0].log}")
        time.sleep(_SLICE_S)
    return True


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def _brokers_known_at(address: str) -> list[int]:
    """The brokers that take part in the cluster, as one of them says; none until it answers."""
    # Here, since it takes a third of a second, which the console tools need not spend.
    from kafka import KafkaAdminClient  # noqa: PLC0415
    from kafka.errors import KafkaError  # noqa: PLC0415

    settings = {"bootstrap_servers": address, "bootstrap_timeout_ms": 2_000}
    try:
        with closing(KafkaAdminClient(**settings)) as admin:
            return [broker["broker_id"] for broker in admin.describe_cluster()["brokers"]]
    except KafkaError:
        return []


def _format(config: Path) -> None:
    # It runs for a second: the optimizing compiler and parallel collector would only cost time.
    short = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    arguments = ["format", "--cluster-id", _CLUSTER_ID, "--config", str(config)]
    command = jars.tool("kafka.tools.StorageTool", arguments, *short)
    done = subprocess.run(
        command,
        env=jars.environment(),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise BrokerUnavailable(f"no storage was formatted: {jars.first_error(done.stderr)}")
