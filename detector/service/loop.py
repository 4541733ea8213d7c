"""The detector's loop: read, judge, send; the stream commits."""

import gc
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby

import structlog

from detector.rules import Rules
from detector.rules.language.tree import Rulebook
from detector.service.dead_letters import DeadLetterWarnings
from detector.service.memory import Memory
from detector.service.metrics import Metrics
from detector.service.restoring import StateConfig
from detector.service.routing import DeadLetter, Limits, Routed, route
from detector.service.settings import DetectorSettings, StateMissing
from detector.service.state import State
from kafka_batch import (
    BATCH_BYTES,
    IDLE_WAIT_MS,
    NO_TIMESTAMP,
    Batch,
    Guarantee,
    Refused,
    Stream,
    StreamConfig,
    TopicLimits,
    describe_topics,
)
from service_kit.cores import OneCore
from service_kit.health import Pulse
from service_kit.stop import Stop

_REPORT_S = 10.0
_STANDSTILL_S = 20.0  # longer than a Kafka transaction is left open, with the default settings
_LAG_S = 1.0
# By default Python looks through all accounts in memory for cycles, which they don't have, whenever
# a quarter of them is new.
GARBAGE = (10_000, 10, 1_000)
# Threads that speak to Kafka get Python's lock between two batches, and not in the middle of one,
# where by default they are given it after 5 ms: one rule judges a twentieth more.
_LOCK_S = 0.02
_RESTORING_WAIT_MS = 1.0  # for other partitions' records, while one is restored
_JOINING_WAIT_MS = 20.0  # and while the group, or an offset, is waited for, to begin with that
_END_WAIT_MS = 10  # once for each partition that is restored

log = structlog.get_logger("detector")


class Detector:
    """Judges transactions until it is told to stop."""

    def __init__(
        self,
        settings: DetectorSettings,
        rules: Rulebook,
        metrics: Metrics,
        pulse: Pulse,
        stop: Stop,
        news: Callable[[], Rulebook | None] = lambda: None,
    ) -> None:
        """`news` tells of other rules that are to take the place of those in force."""
        self._settings = settings
        self._news = news
        self._metrics = metrics
        self._put_in_force(rules)
        self._pulse = pulse
        self._stop = stop
        self._one_core = OneCore(settings.cpu_affinity)
        self._report = _Report(metrics, settings.dead_letter_topic)
        self._member_id = ""  # of the last stream, in its group

    def run(self) -> None:
        """One life of a stream, from opening it to the word to stop.

        Raises:
            kafka_batch.StartAnew: this stream is at its end; another one goes on where it stood.
            kafka_batch.Refused: an operator must mend something first.
        """
        gc.set_threshold(*GARBAGE)
        sys.setswitchinterval(_LOCK_S)
        self._pulse.beat()
        self._rules.clear_counts()  # of a batch that the last stream judged and did not send
        topics = self._topics()
        outputs = (topics[name] for name in self._settings.output_topics)
        limits = Limits.of(outputs, topics[self._settings.transactions_topic])
        config = self._stream_config(min(topic.max_bytes for topic in topics.values()))
        state = State(self._state_config(config), self._settings.state_bounds, self._rules)
        life = _Life(state, self._metrics)
        try:
            with Stream(
                config, life, self._stop.deadline, self._member_id, life.before_commit
            ) as stream:
                life.stream = stream
                self._say_what_judges()
                try:
                    while not self._stop.requested:
                        self._turn(stream, state, limits)
                    stream.commit()
                finally:
                    self._member_id = stream.member_id
        finally:
            state.close()

    def _put_in_force(self, book: Rulebook) -> None:
        may_change = self._settings.rules_topic is not None
        self._rules = Rules(book, self._settings.state_max_events, may_change=may_change)
        self._metrics.rules_in_force(book.version)

    def _say_what_judges(self) -> None:
        topic = self._settings.transactions_topic
        log.info("judging", rules_version=self._rules.version, topic=topic)

    def _take_news(self, state: State) -> None:
        """From the next batch on, other rules judge, if there are any."""
        book = self._news()
        if book is not None and book.version != self._rules.version:
            self._put_in_force(book)
            state.switch(self._rules)
            self._say_what_judges()

    def _turn(self, stream: Stream, state: State, limits: Limits) -> None:
        self._take_news(state)
        state.restore(stream)
        batch = stream.read(_wait_ms(state))
        if batch:
            now_ms = time.time_ns() // 1_000_000
            memory = state.memory(batch.partition)
            routed = route(batch, self._rules, limits, now_ms, memory)
            self._note_version(stream, batch, memory)
            self._send(stream, batch, routed)
            self._metrics.routed(routed, self._rules)
            self._metrics.rules(self._rules)
            time.sleep(0)  # who waits for Python's lock gets it
        self._pulse.beat()
        self._one_core.tend()
        self._report.maybe(stream, state)

    def _note_version(self, stream: Stream, batch: Batch, memory: Memory) -> None:
        """Tells the log, in the Kafka transaction of this batch, where it is the first that other
        rules judge."""
        version, is_logged = self._rules.version, self._settings.rules_topic is not None
        if is_logged and not (memory.is_logged and memory.rules_version == version):
            place = f"{batch.topic}/{batch.partition}/{batch.offsets[0]}"
            record = (NO_TIMESTAMP, place.encode(), version.encode(), ())
            stream.send(self._settings.rules_log_topic, 0, [record])
        memory.rules_version, memory.is_logged = version, is_logged

    def _send(self, stream: Stream, batch: Batch, routed: Routed) -> None:
        settings = self._settings
        if routed.legit:
            noted = [*map(routed.legit_headers.get, routed.legit)] if routed.legit_headers else None
            stream.forward(batch, settings.legit_topic, routed.legit, noted)
        if routed.fraud:
            stream.forward(batch, settings.fraud_topic, routed.fraud, routed.fraud_headers)
        if routed.dead:
            self._send_dead(stream, batch, routed.dead)

    def _send_dead(self, stream: Stream, batch: Batch, dead: Iterable[DeadLetter]) -> None:
        """In offset order: those that are whole many at once, the others one by one."""
        topic = self._settings.dead_letter_topic
        for whole, run in groupby(dead, key=lambda letter: letter.record is None):
            letters = list(run)
            if whole:
                rows = [letter.row for letter in letters]
                headers = [letter.headers for letter in letters]
                stream.forward(batch, topic, rows, headers, [it.timestamp_ms for it in letters])
            for record in [letter.record for letter in letters if letter.record]:
                stream.replace(batch, topic, record)

    @property
    def _keeps_state(self) -> bool:
        exactly_once = self._settings.processing_guarantee is Guarantee.EXACTLY_ONCE
        return exactly_once and self._rules.remembers

    def _topics(self) -> Mapping[str, TopicLimits]:
        settings = self._settings
        names = [settings.transactions_topic, *settings.output_topics]
        if self._keeps_state:
            names.append(settings.state_topic)
        if settings.rules_topic is not None:
            names.append(settings.rules_log_topic)
        known = describe_topics(settings.kafka_broker_url, names)
        if self._keeps_state:
            _require_as_many(known, settings.transactions_topic, settings.state_topic)
        return known

    def _stream_config(self, most_bytes: int) -> StreamConfig:
        settings = self._settings
        return StreamConfig(
            bootstrap_servers=settings.kafka_broker_url,
            group=settings.consumer_group,
            topic=settings.transactions_topic,
            guarantee=settings.processing_guarantee,
            commit_interval_ms=settings.commit_interval_ms,
            instance_id=settings.instance_id,
            batch_bytes=min(BATCH_BYTES, most_bytes),
            compression=settings.compression_type,
            codec=settings.record_codec,
            hold_assigned=self._keeps_state,
        )

    def _state_config(self, config: StreamConfig) -> StateConfig | None:
        if not self._keeps_state:
            return None
        settings = self._settings
        return StateConfig(
            topic=settings.state_topic,
            source=settings.transactions_topic,
            go_on_without=settings.state_missing is StateMissing.PARTIAL,
            reader=config.for_a_reader(wait_ms=_END_WAIT_MS),
        )


def _wait_ms(state: State) -> float:
    """So long may a read wait for records."""
    if state.is_complete:
        return IDLE_WAIT_MS
    return _RESTORING_WAIT_MS if state.is_restoring else _JOINING_WAIT_MS


def _require_as_many(known: Mapping[str, TopicLimits], source: str, state: str) -> None:
    """An account's state is in the partition of the number that its payments are in."""
    wanted, found = known[source].partitions, known[state].partitions
    if wanted != found:
        raise Refused(
            f"topic {state!r} has {found} partitions, and {source!r} has {wanted}: it must have as "
            "many; where the input got more, accounts moved, and those begin without a history"
        )


class _Life:
    """What a stream tells: passed on to those whom it concerns (`kafka_batch.Observer`)."""

    def __init__(self, state: State, metrics: Metrics) -> None:
        self.stream: Stream | None = None
        self._state = state
        self._metrics = metrics
        self.committing = metrics.committing
        self.committed = metrics.committed
        self.aborted = metrics.aborted

    def rebalanced(self, partitions: Sequence[int]) -> None:
        self._state.assigned(partitions)
        self._metrics.rebalanced(partitions)

    def before_commit(self, offsets: Mapping[int, int]) -> None:
        if self.stream is not None:  # it is open before there is anything to commit
            began = time.monotonic()
            self._state.committing(self.stream, offsets)
            self._metrics.saved(time.monotonic() - began)


class _Report:
    """Keeps the lag metric fresh, says every ten seconds what was done, and when a partition stands
    still; and warns of dead letters."""

    def __init__(self, metrics: Metrics, dead_letter_topic: str) -> None:
        self._metrics = metrics
        self._dead_letter_topic = dead_letter_topic
        self._dead_letters = DeadLetterWarnings()
        self._lag_at = self._report_at = self._since = self._moved_at = time.monotonic()
        self._before = metrics.committed_total.copy()
        self._waiting: Sequence[int] = []

    def maybe(self, stream: Stream, state: State) -> None:
        now = time.monotonic()
        if now >= self._lag_at:
            before, self._waiting = self._waiting, stream.waiting()
            if not self._waiting or self._waiting != before or state.gets_on:
                self._moved_at = now
            self._metrics.lag(stream.lag(), self._waiting)
            self._metrics.memories(state.memories)
            self._lag_at = now + _LAG_S
        if now >= self._report_at + _REPORT_S:
            self._say(now, sum(stream.lag().values()))
        self._warn_of_dead_letters(now)

    def _warn_of_dead_letters(self, now: float) -> None:
        metrics, read = self._metrics, self._metrics.committed_total.total()
        warning = self._dead_letters.next(now, read, metrics.dead_total, metrics.dead_samples)
        if warning:
            log.warning(
                "records can't be judged: docs/dead-letters.md says why, and how to look at them",
                topic=self._dead_letter_topic,
                **warning,
            )

    def _say(self, now: float, lag: int) -> None:
        done = self._metrics.committed_total - self._before
        rate = done.total() / (now - self._since)
        counts = {verdict: done[verdict] for verdict in ("legit", "fraud", "dead_letter")}
        waiting = {"not_read_yet": self._waiting} if self._waiting else {}
        log.info("judged", **counts, per_second=round(rate), lag=lag, **waiting)
        if now > self._moved_at + _STANDSTILL_S:
            log.warning(
                "partitions stand still: what they must know first is in a Kafka transaction that "
                "does not end; docs/exactly-once.md says how to end it",
                partitions=self._waiting,
                seconds=round(now - self._moved_at),
            )
        self._before = self._metrics.committed_total.copy()
        self._since = self._report_at = now
