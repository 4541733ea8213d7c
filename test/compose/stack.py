"""The stack as its users start it: docker compose in a fresh checkout."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from detecting import REPOSITORY, wait_until


def engine_answers() -> bool:
    try:
        return not any(
            subprocess.run(["docker", *words], capture_output=True, check=False).returncode
            for words in (["info"], ["compose", "version"])
        )
    except FileNotFoundError:
        return False


def checkout(folder: Path) -> Path:
    """A copy of what is checked in, for its owner only, as `umask 077` has git make it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (REPOSITORY / name).is_file():  # it may be deleted, and not yet be committed
            copy = folder / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, copy)  # with its time, which make looks at
            copy.chmod(copy.stat().st_mode & 0o700)
    for inner in (folder, *folder.rglob("*/")):
        inner.chmod(0o700)
    return folder


@dataclass(frozen=True)
class Stack:
    """A checkout with its containers, and the port of its broker on this host."""

    folder: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        own = {"KAFKA_BROKER_URL", "COMPOSE_PROJECT_NAME"}
        inherited = {name: value for name, value in os.environ.items() if name not in own}
        return {**inherited, "BROKER_PORT": str(self.port)}

    def run(
        self, *words: str, check: bool = True, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        """A command in the checkout."""
        done = subprocess.run(
            words,
            cwd=self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done

    def compose(
        self, *words: str, check: bool = True, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        return self.run("docker", "compose", *words, check=check, **variables)

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "-a", "-q", service).stdout.split()

    def state(self, container: str) -> Mapping[str, object]:
        (found,) = json.loads(self.run("docker", "inspect", container).stdout)
        return dict(found["State"])

    def wait_until_healthy(self, *services: str) -> None:
        wait_until(lambda: all(map(self._healthy, services)), f"{services} are healthy")

    def _healthy(self, service: str) -> bool:
        states = [self.state(container) for container in self.containers(service)]
        return bool(states) and all(
            dict(found.get("Health") or {}).get("Status") == "healthy"  # type: ignore[call-overload]
            for found in states
        )
