"""The rules topic: rules files by version, and which of them is current."""

import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import msgspec

from detector.rules.file.loading import load
from detector.rules.language.diagnostics import Diagnostic, Location, RulesError
from detector.rules.language.tree import Rulebook
from detector.rules.tools.test_runner import validated
from detector.service.settings import DetectorSettings
from kafka_batch import (
    KAFKA,
    Cluster,
    Guarantee,
    RecoverableError,
    StreamConfig,
)
from service_kit.settings import SettingsError

CURRENT_KEY = b"current"  # no version, which is of hex digits
_MAX_BEFORE = 100
_DELIVERY_S = 10.0


class Activation(NamedTuple):
    """Who activates a version, when, and why."""

    by: str = ""
    at_ms: int | None = None
    why: str = ""


UNKNOWN = Activation()


class Current(msgspec.Struct, frozen=True):
    """The current version, and those that were current before it, the latest first; None stands
    for RULES_FILE. `by`, `at_ms` and `why` are those of its `Activation`."""

    version: str | None
    before: tuple[str | None, ...] = ()
    by: str = ""
    at_ms: int | None = None
    why: str = ""

    def followed_by(self, version: str | None, activation: Activation = UNKNOWN) -> Self:
        """Another version is activated."""
        return type(self)(version, (self.version, *self.before)[:_MAX_BEFORE], *activation)

    def rolled_back(self, activation: Activation = UNKNOWN) -> Self | None:
        """The one before is current again; None where there was none."""
        return type(self)(self.before[0], self.before[1:], *activation) if self.before else None


@dataclass
class Published:
    """What the topic holds: the files' text by version, and what is current. `max_events` payments
    are kept of an account."""

    topic: str
    max_events: int
    files: dict[str, str] = field(default_factory=dict)
    current: Current | None = None

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """A record of the topic, in its order. What can't be read is as good as absent."""
        if key == CURRENT_KEY:
            self.current = _current(value)
        elif key is not None and value is not None:
            self.files[_text(key)] = _text(value)
        elif key is not None:
            self.files.pop(_text(key), None)

    def book(self, version: str) -> Rulebook:
        """The rules of a version.

        Raises:
            RulesError: they are not there, or can't be used.
        """
        name = f"{self.topic}/{version}"
        if version not in self.files:
            raise _unusable(name, "no rules were published under this version")
        book = validated(load(self.files[version], name), name, self.max_events)
        if book.version != version:
            raise _unusable(name, f"what was published under it is version {book.version}")
        return book


def _unusable(name: str, what: str) -> RulesError:
    return RulesError(name, [Diagnostic(Location(1, 1), what)])


def _current(value: bytes | None) -> Current | None:
    try:
        return None if value is None else msgspec.json.decode(value, type=Current)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Current(_text(value or b""))  # a version as it stands


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


class RulesTopic:
    """Reads the topic, from its beginning on.

    All methods raise a StreamError where the brokers can't be reached, or the topic isn't there.
    """

    def __init__(self, settings: DetectorSettings, kafka: Cluster = KAFKA) -> None:
        topic, self.cleanup_policy = _topic(settings, kafka)
        self._kafka = kafka
        self.published = Published(topic, settings.state_max_events)
        self.activated: list[Current | None] = []  # all that were read, the latest last
        self._settings = settings
        self._reader = kafka.open_reader(_config(settings))

    def read_all(self) -> Published:
        """What the topic holds by now."""
        self._reader.begin(self.published.topic, 0)
        while not self._reader.at_end:
            self.read_more()
        return self.published

    def read_more(self, wait_ms: float = 20) -> bool:
        """Takes what comes next, if something comes soon, and says whether it did."""
        batch = self._reader.read(wait_ms)
        for key, value in zip(batch.keys, batch.values, strict=True) if batch else ():
            self.published.take(key, value)
            if key == CURRENT_KEY:
                self.activated.append(self.published.current)
        return batch is not None

    def make_current(self, current: Current) -> list[Current | None]:
        """Writes which version is current, and reads on until that is read back: returns what
        was activated since the topic was read, which is more where others do so, too."""
        known = len(self.activated)
        write_current(self._settings, current, self._kafka)
        deadline = time.monotonic() + _DELIVERY_S
        while current not in self.activated[known:] or not self._reader.at_end:
            self.read_more()
            if time.monotonic() > deadline:
                raise RecoverableError(
                    "what was written to the rules topic was not read back in time"
                )
        return self.activated[known:]

    def close(self) -> None:
        """Ends the connections."""
        self._reader.close()


def read_published(settings: DetectorSettings) -> Published:
    """What the rules topic holds.

    Raises:
        SettingsError: no rules topic is set.
        StreamError: the brokers can't be reached, or the topic isn't there.
    """
    with closing(RulesTopic(settings)) as topic:
        return topic.read_all()


def write_file(settings: DetectorSettings, version: str, text: str, kafka: Cluster = KAFKA) -> None:
    """Publishes a rules file under its version.

    Raises:
        SettingsError: no rules topic is set.
        StreamError: the brokers can't be reached, or refuse.
    """
    _write(settings, kafka, version.encode(), text.encode())


def write_current(settings: DetectorSettings, current: Current, kafka: Cluster = KAFKA) -> None:
    """Activates a version; raises as `write_file`."""
    _write(settings, kafka, CURRENT_KEY, msgspec.json.encode(current))


def _write(settings: DetectorSettings, kafka: Cluster, key: bytes, value: bytes) -> None:
    topic, _ = _topic(settings, kafka)
    record = (time.time_ns() // 1_000_000, key, value, ())
    kafka.write(_config(settings), topic, 0, record)


def _topic(settings: DetectorSettings, kafka: Cluster) -> tuple[str, str]:
    """The rules topic, which is there, and its cleanup policy."""
    topic = settings.rules_topic
    if topic is None:
        raise SettingsError("RULES_TOPIC is not set: the topic that rules are published to")
    return topic, kafka.describe(_config(settings), [topic])[topic].cleanup_policy


def reader_settings(settings: DetectorSettings) -> dict[str, Any]:
    """Of a consumer outside of the group, which reads what was committed."""
    return _config(settings).for_a_reader()


def _config(settings: DetectorSettings) -> StreamConfig:
    return StreamConfig(
        bootstrap_servers=settings.kafka_broker_url,
        group=settings.consumer_group,
        topic=settings.transactions_topic,
        guarantee=Guarantee.AT_LEAST_ONCE,  # one record is written by itself
        codec=settings.record_codec,
    )
