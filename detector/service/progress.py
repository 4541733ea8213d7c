"""What a detector says while it runs: its lag, what it has done, dead letters, and stalls."""

import time
from collections.abc import Sequence

import structlog

from detector.service.dead_letters import DeadLetterWarnings
from detector.service.metrics import Metrics
from detector.service.state import State
from kafka_batch import TransactionalStream

_REPORT_S = 10.0
_STALLED_S = 20.0  # longer than a Kafka transaction is left open, with the default settings
_LAG_S = 1.0

log = structlog.get_logger("detector")


class StallDetector:
    """For how long partitions have been waiting without any progress."""

    def __init__(self, now_s: float) -> None:
        self.waiting: Sequence[int] = []
        self._progress_at = now_s

    def look(self, now_s: float, waiting: Sequence[int], *, progresses: bool) -> None:
        """These partitions wait now; `progresses` is whether one of them is being restored."""
        if not waiting or waiting != self.waiting or progresses:
            self._progress_at = now_s
        self.waiting = waiting

    def stalled_s(self, now_s: float) -> float:
        """Seconds without progress; 0 while that is no reason to worry."""
        seconds = now_s - self._progress_at
        return seconds if seconds > _STALLED_S else 0.0


class ProgressReport:
    """Keeps the lag metric fresh, and says every ten seconds what was done."""

    def __init__(self, metrics: Metrics, dead_letter_topic: str) -> None:
        self._metrics = metrics
        self._dead_letter_topic = dead_letter_topic
        self._dead_letters = DeadLetterWarnings()
        self._lag_at = self._report_at = self._since = time.monotonic()
        self._stall = StallDetector(self._since)
        self._before = metrics.committed_total.copy()

    def turn(self, stream: TransactionalStream, state: State) -> None:
        """To be called at each turn of the loop."""
        now = time.monotonic()
        if now >= self._lag_at:
            self._stall.look(now, stream.blocked_partitions(), progresses=state.is_progressing)
            self._metrics.lag(stream.lag(), self._stall.waiting)
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
        waiting = {"not_read_yet": self._stall.waiting} if self._stall.waiting else {}
        log.info("judged", **counts, per_second=round(rate), lag=lag, **waiting)
        if stalled_s := self._stall.stalled_s(now):
            log.warning(
                "partitions are stalled: what they must know first is in a Kafka transaction that "
                "does not end; docs/exactly-once.md says how to end it",
                partitions=self._stall.waiting,
                seconds=round(stalled_s),
            )
        self._before = self._metrics.committed_total.copy()
        self._since = self._report_at = now
