"""Rules that change while detectors run, and what the log says of it."""

import os
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from detecting import REPOSITORY, Topics, committed, some_topics
from kafka import KafkaProducer

from detector.rules.file.loading import load
from detector.service.published import Current, read_published, write_current, write_file
from detector.service.settings import DetectorSettings


@dataclass(frozen=True)
class Ruled:
    """A detector's topics, with those of its rules."""

    topics: Topics
    rules: str
    log: str

    @property
    def settings(self) -> dict[str, str]:
        """What a detector needs on top of its topics."""
        return {"RULES_TOPIC": self.rules, "RULES_LOG_TOPIC": self.log}

    @property
    def environment(self) -> dict[str, str]:
        return {**self.topics.environment, **self.settings}

    def publish(self, text: str) -> str:
        """Writes rules under their version, and returns it."""
        version = load(text).version
        write_file(self._settings, version, text)
        return version

    def activate(self, version: str) -> None:
        """Activates a version."""
        current = read_published(self._settings).current
        write_current(self._settings, current.followed_by(version) if current else Current(version))

    def write(self, key: str, value: str | None) -> None:
        """Any record at all, as another program could write it."""
        producer = KafkaProducer(bootstrap_servers=self.topics.bootstrap_servers)
        producer.send(self.rules, key=key.encode(), value=value and value.encode()).get(30)
        producer.close()

    def run(self, *arguments: str, lines: str = "") -> "subprocess.CompletedProcess[str]":
        """python -m detector, with these arguments."""
        return subprocess.run(
            [sys.executable, "-m", "detector", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, **self.environment},
            input=lines,
            capture_output=True,
            text=True,
            check=False,
        )

    def log_entries(self) -> list[tuple[int, int, str]]:
        """Partition, offset and version of each, sorted."""
        found = []
        for record in committed(self.topics, self.log):
            topic, partition, offset = record.key.decode().rsplit("/", 2)
            assert topic == self.topics.transactions
            found.append((int(partition), int(offset), record.value.decode()))
        return sorted(found)

    def version_at(self) -> Callable[[int, int], str]:
        """By partition and offset of the input: the latest entry at or below it."""
        entries = self.log_entries()
        places = [entry[:2] for entry in entries]

        def found(partition: int, offset: int) -> str:
            place = bisect_right(places, (partition, offset)) - 1
            assert place >= 0, f"the log says nothing of {partition}/{offset}"
            assert entries[place][0] == partition, f"the log says nothing of {partition}/{offset}"
            return entries[place][2]

        return found

    @property
    def _settings(self) -> DetectorSettings:
        return DetectorSettings.from_environment(self.environment)


def with_rules(bootstrap_servers: str, new_topic: Callable[..., str]) -> Ruled:
    """A detector's topics, with new ones of its rules."""
    topics = some_topics(bootstrap_servers, new_topic)
    compact = {"cleanup.policy": "compact"}
    return Ruled(topics, new_topic(1, **compact), new_topic(1, **compact))
