"""Follows the rules topic while transactions are judged."""

from collections import deque
from threading import Event, Thread

import structlog

from detector.metrics import Metrics
from detector.published import Current, Published, RulesTopic
from detector.rules.file import RulesError
from detector.rules.tree import Rulebook
from detector.settings import DetectorSettings
from kafka_batch import StreamError

_WAIT_MS = 500.0
_PAUSE_S = 1.0  # before the topic is opened anew
_END_S = 2.0

log = structlog.get_logger("detector")


class Following:
    """Rules that were activated, one after the other, for the loop to take up.

    In a thread of its own: judging waits neither for the brokers nor for a file's tests. Rules
    that can't be used are refused, and those in force stay.
    """

    def __init__(self, settings: DetectorSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._news: deque[Rulebook] = deque(maxlen=1)
        self._seen: tuple[Current | None, str | None] = None, None
        self._ended = Event()
        self._thread = Thread(target=self._follow, name="rules", daemon=True)

    def begin(self) -> None:
        """Reads the topic as it stands and follows it from there on. The first news are the rules
        in force; where they can't be used, those before them; there are none where none are.

        Raises:
            StreamError: the brokers can't be reached, or the topic isn't there.
        """
        topic = RulesTopic(self._settings)
        published = topic.read_all()
        topic.close()
        self._seen = _in_force(published)
        current = published.current
        versions = (current.version, *current.before) if current else ()
        books = (self._usable(published, version) for version in versions)
        self._news.extend([book for book in books if book][:1])
        self._thread.start()

    def news(self) -> Rulebook | None:
        """Rules that were activated since the last call."""
        try:
            return self._news.pop()
        except IndexError:
            return None

    def close(self) -> None:
        """Ends the thread."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(_END_S)

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                self._follow_once()
            except StreamError as error:
                log.warning("the rules topic can't be read for now", reason=str(error))
                self._ended.wait(_PAUSE_S)

    def _follow_once(self) -> None:
        topic = RulesTopic(self._settings)
        try:
            self._look(topic.read_all())
            while not self._ended.is_set():
                if topic.read_more(_WAIT_MS):
                    self._look(topic.published)
        finally:
            topic.close()

    def _look(self, published: Published) -> None:
        seen, self._seen = self._seen, _in_force(published)
        if published.current is None or self._seen == seen:
            return
        book = self._usable(published, published.current.version)
        if book is not None:
            self._news.append(book)

    def _usable(self, published: Published, version: str) -> Rulebook | None:
        try:
            return published.book(version)
        except RulesError as error:
            reason = _first_line(error)
        except Exception as error:  # noqa: BLE001  # whatever a file holds, those in force go on
            reason = f"{type(error).__name__}: {error}"
        self._metrics.refused_rules()
        log.error("rules refused", rules_version=version, reason=reason)
        return None


def _in_force(published: Published) -> tuple[Current | None, str | None]:
    """The version in force, and its file: it may be mended."""
    current = published.current
    return current, published.files.get(current.version) if current else None


def _first_line(error: RulesError) -> str:
    first, *others = str(error).splitlines()
    return f"{first} (and {len(others)} more)" if others else first
