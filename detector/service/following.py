"""Follows the rules topic while transactions are judged."""

from collections import deque
from threading import Event, Thread

import structlog

from detector.rules.file.loading import RulesError
from detector.rules.language.tree import Rulebook
from detector.service.metrics import Metrics
from detector.service.published import Current, Published, RulesTopic
from detector.service.settings import DetectorSettings
from detector.wire.verdicts import utc
from kafka_batch import KAFKA, Cluster, StreamError

_WAIT_MS = 500.0
_PAUSE_S = 1.0  # before the topic is opened again
_END_S = 2.0

log = structlog.get_logger("detector")


class Following:
    """Rules that were activated, one after the other, for the loop to take up.

    In a thread of its own: judging waits neither for the brokers nor for a file's tests. Rules
    that can't be used are refused, and the current ones stay.
    """

    def __init__(
        self,
        settings: DetectorSettings,
        metrics: Metrics,
        of_the_file: Rulebook,
        kafka: Cluster = KAFKA,
    ) -> None:
        """`of_the_file` are the rules where no version is activated."""
        self._settings = settings
        self._of_the_file = of_the_file
        self._kafka = kafka
        self._metrics = metrics
        self._updates: deque[Rulebook] = deque(maxlen=1)
        self._seen: tuple[Current | None, str | None] = None, None
        self._ended = Event()
        self._thread = Thread(target=self._follow, name="rules", daemon=True)

    def begin(self) -> None:
        """Reads the topic as it stands and follows it from there on. The first update is the
        current version; where it can't be used, the one before it, or else that of the file.

        Raises:
            StreamError: the brokers can't be reached, or the topic isn't there.
        """
        topic = RulesTopic(self._settings, self._kafka)
        published = topic.read_all()
        topic.close()
        if topic.cleanup_policy != "compact":
            log.warning(
                "RULES_TOPIC must have cleanup.policy=compact: else Kafka deletes rules in time",
                topic=published.topic,
                cleanup_policy=topic.cleanup_policy,
            )
        self._seen = _current(published)
        current = published.current
        versions = (current.version, *current.before) if current else ()
        books = (self._usable(published, version) for version in versions)
        book = next(filter(None, books), self._of_the_file)
        self._say_what_counts(book, published)
        self._updates.append(book)
        self._thread.start()

    def take_update(self) -> Rulebook | None:
        """Rules that were activated since the last call."""
        try:
            return self._updates.pop()
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
        topic = RulesTopic(self._settings, self._kafka)
        try:
            self._look(topic.read_all())
            while not self._ended.is_set():
                if topic.read_more(_WAIT_MS):
                    self._look(topic.published)
        finally:
            topic.close()

    def _look(self, published: Published) -> None:
        seen, self._seen = self._seen, _current(published)
        if self._seen == seen:
            return
        book = self._usable(published, published.current.version if published.current else None)
        if book is not None:
            self._updates.append(book)

    def _usable(self, published: Published, version: str | None) -> Rulebook | None:
        if version is None:
            return self._of_the_file
        try:
            return published.book(version)
        except RulesError as error:
            reason = _first_line(error)
        except Exception as error:  # noqa: BLE001  # whatever a file holds, the current ones go on
            reason = f"{type(error).__name__}: {error}"
        self._metrics.refused_rules()
        log.error("rules refused", rules_version=version, reason=reason)
        return None

    def _say_what_counts(self, book: Rulebook, published: Published) -> None:
        if book is self._of_the_file:
            say_that_the_file_counts(self._settings, book)
            return
        current = published.current
        who = _who(current) if current and current.version == book.version else {}
        log.info("rules of RULES_TOPIC count", rules_version=book.version, **who)
        threshold, of_the_file = self._settings.fraud_threshold, self._of_the_file.version
        is_known = threshold is None and of_the_file in published.files
        if of_the_file != book.version and not is_known:
            set_ = "RULES_FILE" if threshold is None else "RULES_FILE and FRAUD_THRESHOLD"
            log.warning(
                f"{set_} do not count, since a version is activated; to go back to them: "
                "python -m detector rules activate --file",
                activated=book.version,
                rules_file_version=of_the_file,
                **who,
            )


def say_that_the_file_counts(settings: DetectorSettings, book: Rulebook) -> None:
    """Tells the log, where no version is activated."""
    threshold = settings.fraud_threshold
    given = {} if threshold is None else {"fraud_threshold": str(threshold)}
    path = str(settings.rules_file)
    log.info("rules of RULES_FILE count", rules_version=book.version, rules_file=path, **given)


def _who(current: Current) -> dict[str, str]:
    when = {} if current.at_ms is None else {"activated_at": utc(current.at_ms)}
    return {"activated_by": current.by or "unknown", **when, "why": current.why}


def _current(published: Published) -> tuple[Current | None, str | None]:
    """The current version, and its file, which may be corrected."""
    current = published.current
    text = published.files.get(current.version) if current and current.version else None
    return current, text


def _first_line(error: RulesError) -> str:
    first, *others = str(error).splitlines()
    return f"{first} (and {len(others)} more)" if others else first
