"""The detector's loop: read, judge, send; the stream commits."""

import sys
import time

import structlog

from detector.metrics import Metrics
from detector.routing import Limits, Routed, route
from detector.rules import Rules
from detector.settings import DetectorSettings
from kafka_batch import BATCH_BYTES, Batch, Stream, StreamConfig, describe_topics
from kafka_batch.service.health import Pulse
from kafka_batch.service.stop import Stop

_REPORT_S = 10.0
_LAG_S = 1.0
# The threads that speak to Kafka need Python's global lock for a moment, again and again, and wait
# this long for it each time while the loop judges. By default it is 5 ms, and they fall behind.
_SWITCH_S = 0.002

log = structlog.get_logger("detector")


class Detector:
    """Judges transactions until it is told to stop."""

    def __init__(
        self, settings: DetectorSettings, rules: Rules, metrics: Metrics, pulse: Pulse, stop: Stop
    ) -> None:
        self._settings = settings
        self._rules = rules
        self._metrics = metrics
        self._pulse = pulse
        self._stop = stop
        self._report = _Report(metrics)
        self._member_id = ""  # of the last stream, in its group

    def run(self) -> None:
        """One life of a stream, from opening it to the word to stop.

        Raises:
            kafka_batch.StartAnew: this stream is at its end; another one goes on where it stood.
            kafka_batch.Refused: an operator must mend something first.
        """
        sys.setswitchinterval(_SWITCH_S)
        self._pulse.beat()
        settings = self._settings
        topics = (settings.transactions_topic, *settings.output_topics)
        known = describe_topics(settings.kafka_broker_url, topics)
        limits = Limits.of(known[topic] for topic in settings.output_topics)
        config = self._stream_config(limits)
        with Stream(config, self._metrics, self._stop.deadline, self._member_id) as stream:
            log.info("judging", rules_version=self._rules.version, topic=topics[0])
            try:
                while not self._stop.requested:
                    self._turn(stream, limits)
                stream.commit()
            finally:
                self._member_id = stream.member_id

    def _turn(self, stream: Stream, limits: Limits) -> None:
        batch = stream.read()
        if batch:
            routed = route(batch, self._rules, limits, time.time_ns() // 1_000_000)
            self._send(stream, batch, routed)
            self._metrics.routed(routed)
        self._pulse.beat()
        self._report.maybe(stream)

    def _send(self, stream: Stream, batch: Batch, routed: Routed) -> None:
        settings = self._settings
        if routed.legit:
            stream.forward(batch, settings.legit_topic, routed.legit)
        if routed.fraud:
            stream.forward(batch, settings.fraud_topic, routed.fraud, routed.fraud_headers)
        for letter in routed.dead:
            stream.replace(batch, settings.dead_letter_topic, letter.record)

    def _stream_config(self, limits: Limits) -> StreamConfig:
        settings = self._settings
        return StreamConfig(
            bootstrap_servers=settings.kafka_broker_url,
            group=settings.consumer_group,
            topic=settings.transactions_topic,
            guarantee=settings.processing_guarantee,
            commit_interval_ms=settings.commit_interval_ms,
            instance_id=settings.instance_id,
            batch_bytes=min(BATCH_BYTES, limits.max_bytes),
            compression=settings.compression_type,
            codec=settings.record_codec,
        )


class _Report:
    """Keeps the lag metric fresh, and says every ten seconds what was done."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lag_at = self._report_at = self._since = time.monotonic()
        self._before = metrics.committed_total.copy()

    def maybe(self, stream: Stream) -> None:
        now = time.monotonic()
        if now >= self._lag_at:
            self._metrics.lag(stream.lag())
            self._lag_at = now + _LAG_S
        if now >= self._report_at + _REPORT_S:
            self._say(now, sum(stream.lag().values()))

    def _say(self, now: float, lag: int) -> None:
        done = self._metrics.committed_total - self._before
        rate = done.total() / (now - self._since)
        counts = {verdict: done[verdict] for verdict in ("legit", "fraud", "dead_letter")}
        log.info("judged", **counts, per_second=round(rate), lag=lag)
        self._before = self._metrics.committed_total.copy()
        self._since = self._report_at = now
