"""The generator's loop: what is due is made, sent, and its result looked at."""

import time
from collections import defaultdict

import structlog
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from generator.metrics import Metrics
from generator.pace import Pace, Unthrottled
from generator.settings import GeneratorSettings
from generator.transactions import Chunk, Transactions
from kafka_batch import (
    BATCH_BYTES,
    BatchProducer,
    FatalError,
    Record,
    describe_error,
    describe_topics,
    partition_of,
    whole_batches,
)
from kafka_batch.errors import translate
from service_kit.cores import CpuAffinity
from service_kit.health import Heartbeat
from service_kit.shutdown import Shutdown

_REPORT_S = 10.0
_RATE_S = 2.0
_STALLED_S = 5.0
_PAUSE_S = 0.002
_MIN_UNDELIVERED, _MAX_UNDELIVERED = 1_000, 50_000
_DELIVERY_S = 3.0  # of what was made, once it is told to stop; within the grace of `Shutdown`
_NEVER_MS = 10 * 365 * 86_400_000  # an outage of any length delays what was made, no more

log = structlog.get_logger("generator")


class Generator:
    """Makes transactions until it is told to stop, or has made as many as it shall."""

    def __init__(
        self,
        settings: GeneratorSettings,
        metrics: Metrics,
        heartbeat: Heartbeat,
        shutdown: Shutdown,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._heartbeat = heartbeat
        self._shutdown = shutdown
        self._cpu_affinity = CpuAffinity(settings.cpu_affinity)
        self._transactions = Transactions(settings.accounts, settings.seed)
        rate = settings.transactions_per_second or _MAX_UNDELIVERED
        self._bound = min(max(rate, _MIN_UNDELIVERED), _MAX_UNDELIVERED)

    def run(self) -> None:
        """Generates, and delivers all that was made.

        Raises:
            kafka_batch.RecoverableError: no broker answers; nothing was made yet.
            kafka_batch.FatalError: the broker refuses what is sent, or it can't be delivered in
                time once the process was told to stop.
        """
        self._heartbeat.beat()
        topic = self._settings.transactions_topic
        known = describe_topics(self._settings.kafka_broker_url, [topic])
        places = _Places(topic, known[topic].partitions)
        producer = self._open(min(BATCH_BYTES, known[topic].max_bytes))
        try:
            self._generate(producer, places)
            self._deliver(producer)
        except KafkaError as error:
            raise FatalError(_not_stored(producer.undelivered, error)) from error
        finally:
            producer.close(timeout=1)

    def _open(self, batch_bytes: int) -> BatchProducer:
        try:
            producer = BatchProducer(
                deadline_at=self._shutdown.deadline,
                whole_batches=whole_batches(self._settings.record_codec),
                compression_type=self._settings.compression_type.for_the_client,
                bootstrap_servers=self._settings.kafka_broker_url,
                acks="all",
                linger_ms=10,
                batch_size=batch_bytes,
                max_block_ms=3_000,  # its topic may vanish, and a signal is to be obeyed in time
                request_timeout_ms=10_000,
                delivery_timeout_ms=_NEVER_MS,
                reconnect_backoff_max_ms=1_000,
                bootstrap_timeout_ms=4_000,
                allow_auto_create_topics=False,
            )
        except KafkaError as error:
            raise translate(error) from error
        try:
            # Waits until it knows where to send, while nothing is made yet that could be lost.
            producer.partition_count(self._settings.transactions_topic)
        except KafkaError as error:
            producer.close(timeout=0)
            raise translate(error) from error
        return producer

    def _generate(self, producer: BatchProducer, places: "_Places") -> None:
        rate = self._settings.transactions_per_second
        left = self._settings.transactions_total or float("inf")
        pace = Pace(rate, time.monotonic()) if rate else Unthrottled()
        watch = _Watch(self._metrics, rate)
        log.info("generating", topic=self._settings.transactions_topic, per_second=rate)
        while left and not self._shutdown.requested:
            self._metrics.delivered(producer.collect_acks())
            room = self._bound - producer.undelivered
            # While there is no room nothing is asked of the pace: a stall is one debt at its end.
            count = int(min(pace.due(time.monotonic()), room, left)) if room > 0 else 0
            if count:
                self._send(producer, places, self._transactions.take(count))
                pace.made(count)
                left -= count
            self._heartbeat.beat()
            self._cpu_affinity.update()
            watch.turn(pace.skipped, waiting=producer.undelivered > 0)
            self._shutdown.sleep(_PAUSE_S if room <= 0 else pace.pause_s(time.monotonic()))

    def _send(self, producer: BatchProducer, places: "_Places", chunk: Chunk) -> None:
        now_ms = time.time_ns() // 1_000_000
        records: defaultdict[TopicPartition, list[Record]] = defaultdict(list)
        for source, value in zip(chunk.sources, chunk.values, strict=True):
            records[places[source]].append((now_ms, source.encode(), value, ()))
        for place, its_records in records.items():
            producer.extend(place, its_records)
        self._metrics.made(len(chunk.values))

    def _deliver(self, producer: BatchProducer) -> None:
        try:
            # Without a stop signal, it may take any time.
            patience_s = _DELIVERY_S if self._shutdown.requested else float("inf")
            self._metrics.delivered(producer.flush_within(patience_s))
        finally:
            metrics = self._metrics
            log.info(
                "stopped",
                made=metrics.made_total,
                delivered=metrics.made_total - producer.undelivered,
                skipped=metrics.skipped_total,
            )


def _not_stored(count: int, error: KafkaError) -> str:
    return (
        f"{count} transactions that were made are not known to be stored: {describe_error(error)}"
    )


class _Places(dict[str, TopicPartition]):
    """Where each source account's records go: worked out when it first pays, since the hash of a
    key takes some 2.6 µs in Python."""

    def __init__(self, topic: str, partitions: int) -> None:
        self._partitions = [TopicPartition(topic, number) for number in range(partitions)]

    def __missing__(self, account: str) -> TopicPartition:
        number = partition_of(account.encode(), len(self._partitions))
        place = self[account] = self._partitions[number]
        return place


class _Watch:
    """Says when the loop stalls and goes on, what it skips, and every ten seconds what it did."""

    def __init__(self, metrics: Metrics, asked: int) -> None:
        self._metrics = metrics
        self._asked = asked
        now = time.monotonic()
        self._moved_at = self._rate_at = self._report_at = now
        self._delivered = self._rated = self._reported = metrics.delivered_total
        self._stalled = False

    def turn(self, skipped: int, *, waiting: bool) -> None:
        now, delivered = time.monotonic(), self._metrics.delivered_total
        if delivered != self._delivered or not waiting:
            self._delivered, self._moved_at = delivered, now
        self._note_stall(now)
        if skipped > self._metrics.skipped_total:
            missed = skipped - self._metrics.skipped_total
            log.warning("skipped what came due during a stall", transactions=missed)
            self._metrics.skipped(missed)
        if now >= self._rate_at + _RATE_S:
            self._metrics.reached((delivered - self._rated) / (now - self._rate_at))
            self._rate_at, self._rated = now, delivered
        if now >= self._report_at + _REPORT_S:
            self._report(now, delivered)

    def _note_stall(self, now: float) -> None:
        if now - self._moved_at > _STALLED_S and not self._stalled:
            log.warning("stalled: no broker acknowledges", since_s=round(now - self._moved_at))
            self._stalled = True
        elif self._stalled and now == self._moved_at:
            log.info("going on")
            self._stalled = False

    def _report(self, now: float, delivered: int) -> None:
        reached = (delivered - self._reported) / (now - self._report_at)
        log.info(
            "generated",
            made=self._metrics.made_total,
            delivered=delivered,
            per_second=round(reached, 1),
            asked=self._asked,
        )
        self._report_at, self._reported = now, delivered
