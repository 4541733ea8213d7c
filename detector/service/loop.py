"""The detector's loop: read, judge, send; the stream commits."""

import gc
import sys
import time
from collections.abc import Callable, Iterable
from itertools import groupby

import structlog

from detector.rules import Rules
from detector.rules.language.tree import Rulebook
from detector.service.configuration import describe_all_topics, state_config, stream_config
from detector.service.memory import Memory
from detector.service.metrics import Metrics
from detector.service.observer import StreamObserver
from detector.service.progress import ProgressReport
from detector.service.routing import DeadLetter, Limits, Routed, route
from detector.service.settings import DetectorSettings
from detector.service.state import State
from kafka_batch import (
    IDLE_WAIT_MS,
    KAFKA,
    NO_TIMESTAMP,
    Batch,
    Cluster,
    Guarantee,
    TransactionalStream,
)
from service_kit.cores import CpuAffinity
from service_kit.health import Heartbeat
from service_kit.shutdown import Shutdown

# By default Python looks through all accounts in memory for cycles, which they don't have, whenever
# a quarter of them is new.
GARBAGE = (10_000, 10, 1_000)
# Threads that speak to Kafka get Python's lock between two batches, and not in the middle of one,
# where by default they are given it after 5 ms: one rule judges a twentieth more.
_LOCK_S = 0.02
_RESTORING_WAIT_MS = 1.0  # for other partitions' records, while one is restored
_JOINING_WAIT_MS = 20.0  # and while the group, or an offset, is waited for, to begin with that

log = structlog.get_logger("detector")


class Detector:
    """Judges transactions until it is told to stop."""

    def __init__(
        self,
        settings: DetectorSettings,
        rules: Rulebook,
        metrics: Metrics,
        heartbeat: Heartbeat,
        shutdown: Shutdown,
        take_update: Callable[[], Rulebook | None] = lambda: None,
        kafka: Cluster = KAFKA,
    ) -> None:
        """`take_update` returns another rule set that is to become the current one, or None."""
        self._settings = settings
        self._kafka = kafka
        self._take_next_rules = take_update
        self._metrics = metrics
        self._use(rules)
        self._heartbeat = heartbeat
        self._shutdown = shutdown
        self._cpu_affinity = CpuAffinity(settings.cpu_affinity)
        self._report = ProgressReport(metrics, settings.dead_letter_topic)
        self._member_id = ""  # of the last stream, in its group

    def run(self) -> None:
        """One life of a stream, from opening it to the stop signal.

        Raises:
            kafka_batch.RecoverableError: this stream has ended; another one continues from its
                committed offsets.
            kafka_batch.FatalError: an operator must fix something first.
        """
        gc.set_threshold(*GARBAGE)
        sys.setswitchinterval(_LOCK_S)
        self._heartbeat.beat()
        self._rules.clear_counts()  # of a batch that the last stream judged and did not send
        settings, keeps_state = self._settings, self._keeps_state
        topics = describe_all_topics(settings, self._kafka, keeps_state=keeps_state)
        outputs = (topics[name] for name in settings.output_topics)
        limits = Limits.of(outputs, topics[settings.transactions_topic])
        max_bytes = min(topic.max_bytes for topic in topics.values())
        config = stream_config(settings, max_bytes, keeps_state=keeps_state)
        saved = state_config(settings, config, self._kafka) if keeps_state else None
        state = State(saved, settings.state_bounds, self._rules)
        observer = StreamObserver(state, self._metrics)
        try:
            with self._kafka.open_stream(
                config, observer, self._shutdown.deadline, self._member_id, observer.before_commit
            ) as stream:
                observer.stream = stream
                self._say_what_judges()
                try:
                    while not self._shutdown.requested:
                        self._turn(stream, state, limits)
                    stream.commit()
                finally:
                    self._member_id = stream.member_id
        finally:
            state.close()

    def _use(self, book: Rulebook) -> None:
        may_change = self._settings.rules_topic is not None
        self._rules = Rules(book, self._settings.state_max_events, may_change=may_change)
        self._metrics.current_rules(book.version)

    def _say_what_judges(self) -> None:
        topic = self._settings.transactions_topic
        log.info("judging", rules_version=self._rules.version, topic=topic)

    def _take_update(self, state: State) -> None:
        """From the next batch on, other rules judge, if there are any."""
        book = self._take_next_rules()
        if book is not None and book.version != self._rules.version:
            self._use(book)
            state.switch(self._rules)
            self._say_what_judges()

    def _turn(self, stream: TransactionalStream, state: State, limits: Limits) -> None:
        self._take_update(state)
        state.restore(stream)
        batch = stream.read(_wait_ms(state))
        if batch:
            now_ms = time.time_ns() // 1_000_000
            memory = state.memory(batch.partition)
            routed = route(batch, self._rules, limits, now_ms, memory)
            self._log_version(stream, batch, memory)
            self._send(stream, batch, routed)
            self._metrics.routed(routed, self._rules)
            self._metrics.rules(self._rules)
            time.sleep(0)  # yield the GIL
        self._heartbeat.beat()
        self._cpu_affinity.update()
        self._report.turn(stream, state)

    def _log_version(self, stream: TransactionalStream, batch: Batch, memory: Memory) -> None:
        """Tells the log, in the Kafka transaction of this batch, where it is the first that other
        rules judge."""
        version, is_logged = self._rules.version, self._settings.rules_topic is not None
        if is_logged and not (memory.is_logged and memory.rules_version == version):
            place = f"{batch.topic}/{batch.partition}/{batch.offsets[0]}"
            record = (NO_TIMESTAMP, place.encode(), version.encode(), ())
            stream.send(self._settings.rules_log_topic, 0, [record])
        memory.rules_version, memory.is_logged = version, is_logged

    def _send(self, stream: TransactionalStream, batch: Batch, routed: Routed) -> None:
        settings = self._settings
        if routed.legit:
            headers = (
                [*map(routed.legit_headers.get, routed.legit)] if routed.legit_headers else None
            )
            stream.forward(batch, settings.legit_topic, routed.legit, headers)
        if routed.fraud:
            stream.forward(batch, settings.fraud_topic, routed.fraud, routed.fraud_headers)
        if routed.dead:
            self._send_dead(stream, batch, routed.dead)

    def _send_dead(
        self, stream: TransactionalStream, batch: Batch, dead: Iterable[DeadLetter]
    ) -> None:
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


def _wait_ms(state: State) -> float:
    """How long a read may wait for records."""
    if state.is_complete:
        return IDLE_WAIT_MS
    return _RESTORING_WAIT_MS if state.is_restoring else _JOINING_WAIT_MS
