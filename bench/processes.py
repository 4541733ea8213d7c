"""A system while it runs: its processes, their CPU time and their memory."""

import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.systems import System
from bench.topics import ROOT

_STOP_S = 15.0
_MEGABYTE = 1e6


class Failed(Exception):
    """A system ended by itself, or did not do its work; the text says which, and its last words."""


class Running:
    """The processes of a system, with their children."""

    def __init__(self, system: System, started: list[psutil.Popen], log: Path) -> None:
        self._system = system
        self._started = started
        self._log = log

    def require_running(self) -> None:
        """
        Raises:
            Failed: a process has ended.
        """
        for process in self._started:
            if process.poll() is not None:
                how = f"{self._system.name} ended with status {process.returncode}"
                raise Failed(f"{how}: {self.last_words()}")

    def last_words(self) -> str:
        """The end of what it has said."""
        return self.said()[-2_000:]

    def said(self) -> str:
        """All that it has said."""
        return self._log.read_text(errors="replace")

    @property
    def ended(self) -> bool:
        """Whether all its processes have ended."""
        return all(process.poll() is not None for process in self._started)

    def cpu_s(self) -> float:
        """CPU time until now, of user and system, in all threads."""
        times = [process.cpu_times() for process in self._tree()]
        return float(sum(time.user + time.system for time in times))

    def memory_mb(self) -> float:
        """Memory that is resident now."""
        return float(sum(process.memory_info().rss for process in self._tree()) / _MEGABYTE)

    def stop(self) -> None:
        """SIGTERM to all, and SIGKILL to what does not end."""
        tree = self._tree()
        for process in self._started:
            if process.poll() is None:
                process.terminate()
        for survivor in psutil.wait_procs(tree, timeout=_STOP_S)[1]:
            survivor.kill()

    def kill(self) -> None:
        """SIGKILL to all."""
        for process in self._tree():
            process.kill()
            process.wait()

    def _tree(self) -> list[psutil.Process]:
        living = [process for process in self._started if process.poll() is None]
        return [
            *living,
            *(child for process in living for child in process.children(recursive=True)),
        ]


@contextmanager
def running(system: System, variables: Mapping[str, str]) -> Iterator[Running]:
    """Starts a system, in a consumer group of its own, and ends it at last."""
    command = system.prepare()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log = Path(folder) / "log"
        own = {"CONSUMER_GROUP": f"bench-{uuid.uuid4().hex[:8]}", "STATE_DIR": folder}
        environment = {**variables, **own, **system.variables}
        with log.open("wb") as said:
            started = [
                psutil.Popen(
                    command,
                    env=environment,
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                )
                for _ in range(system.processes)
            ]
        its = Running(system, started, log)
        try:
            yield its
        finally:
            its.stop()
