"""Detectors under test, as their users start them: processes, started again when they fail."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from detecting import REPOSITORY, wait_until

_RUNNER = str(REPOSITORY / "broker" / "restart-on-failure")
SHIPPED = ("-m", "detector")
_STARTS_S = 60.0


class Detector:
    """A detector and its runner, in a session of their own, with their log."""

    def __init__(
        self,
        name: str,
        log: Path,
        environment: Mapping[str, str],
        program: Sequence[str] = SHIPPED,
    ) -> None:
        self.name = name
        self.log = log
        self._told_at = 0.0
        self._ending = threading.Thread()
        self.took_to_end_s = 0.0  # since it was told to stop
        with log.open("ab") as output:
            self._runner = subprocess.Popen(
                [_RUNNER, sys.executable, *program],
                cwd=REPOSITORY,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of the detector, once there is one.

        Raises:
            AssertionError: the runner has none for a long time.
        """
        return int(wait_until(self._child, f"{self.name} is started again", _STARTS_S))

    def signal(self, number: signal.Signals) -> None:
        """To the detector itself, not to its runner."""
        os.kill(self.pid, number)

    def told_to_stop(self) -> float:
        """SIGTERM, as an operator stops it; the time of it. The first time counts."""
        if not self._told_at:
            self._runner.send_signal(signal.SIGTERM)
            self._told_at = time.time()
            self._ending = threading.Thread(target=self._await_end, daemon=True)
            self._ending.start()
        return self._told_at

    def ended(self, patience_s: float) -> int | None:
        """The runner's exit status; None when it still runs after that."""
        self._ending.join(patience_s)
        return self._runner.poll()

    def _await_end(self) -> None:
        self._runner.wait()
        self.took_to_end_s = time.time() - self._told_at

    def leftovers(self) -> list[int]:
        """Processes of its session that are there still."""
        found = []
        for process in psutil.process_iter():
            with suppress(ProcessLookupError, psutil.Error):
                if os.getsid(process.pid) == self._runner.pid and process.status() != "zombie":
                    found.append(process.pid)
        return found

    def destroy(self) -> None:
        """SIGKILL to whatever is left of it."""
        with suppress(ProcessLookupError):
            os.killpg(self._runner.pid, signal.SIGKILL)
        self._runner.wait()

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def owns(self, port: int) -> bool:
        """Whether a connection's local port is the detector's."""
        with suppress(psutil.Error):
            connections = psutil.Process(self.pid).net_connections("tcp")
            return any(c.laddr and c.laddr.port == port for c in connections)
        return False

    def _child(self) -> int | None:
        with suppress(psutil.Error):
            for process in psutil.Process(self._runner.pid).children():
                if "python" in process.name():
                    return int(process.pid)
        return None
