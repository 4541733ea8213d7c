"""What the detector tells of itself: metrics for Prometheus, and the numbers of its log lines.

Records count once they are committed, so that the numbers agree with what a reader of committed
records sees.
"""

from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
)

from detector.routing import Routed

_COMMIT_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """Counts a stream's records by verdict; observes its commits (`kafka_batch.Observer`)."""

    def __init__(self, progress_age_s: Callable[[], float]) -> None:
        self.registry = registry = CollectorRegistry()
        self.committed_total: Tally[str] = Tally()  # by verdict, since the start
        self._open: Tally[str] = Tally()
        self._open_errors: Tally[str] = Tally()
        self._committing: Tally[str] = Tally()
        self._committing_errors: Tally[str] = Tally()
        self._read = Counter("detector_records_read", "Records read", registry=registry)
        self._written = Counter(
            "detector_records_written", "Records written", ["verdict"], registry=registry
        )
        self._dead = Counter(
            "detector_dead_letters", "Dead letters by error", ["error"], registry=registry
        )
        self._commits = Histogram(
            "detector_commit_duration_seconds",
            "Duration of commits",
            buckets=_COMMIT_BUCKETS_S,
            registry=registry,
        )
        self._aborts = Counter("detector_aborts", "Aborted Kafka transactions", registry=registry)
        self._rebalances = Counter(
            "detector_rebalances", "Assignments of partitions", registry=registry
        )
        self._lag = Gauge(
            "detector_lag_records", "Records yet to be read", ["partition"], registry=registry
        )
        self._lag_known: set[int] = set()
        age = Gauge(
            "detector_progress_age_seconds", "Time since the loop's last turn", registry=registry
        )
        age.set_function(progress_age_s)
        for verdict in ("legit", "fraud", "dead_letter"):
            self._written.labels(verdict)

    def routed(self, routed: Routed) -> None:
        """A batch was judged and sent; it counts when it is committed."""
        self._open["legit"] += len(routed.legit)
        self._open["fraud"] += len(routed.fraud)
        self._open["dead_letter"] += len(routed.dead)
        self._open_errors.update(letter.code for letter in routed.dead)

    def lag(self, records: Mapping[int, int]) -> None:
        """Records yet to be read, by partition."""
        for gone in self._lag_known - records.keys():
            self._lag.remove(str(gone))
        for partition, count in records.items():
            self._lag.labels(str(partition)).set(count)
        self._lag_known = set(records)

    def committing(self) -> None:
        self._committing.update(self._open)
        self._committing_errors.update(self._open_errors)
        self._open.clear()
        self._open_errors.clear()

    def committed(self, seconds: float) -> None:
        for verdict, count in self._committing.items():
            self._written.labels(verdict).inc(count)
        for error, count in self._committing_errors.items():
            self._dead.labels(error).inc(count)
        self._read.inc(self._committing.total())
        self.committed_total.update(self._committing)
        self._commits.observe(seconds)
        self._committing.clear()
        self._committing_errors.clear()

    def aborted(self) -> None:
        self._aborts.inc()
        for counts in (
            self._open,
            self._open_errors,
            self._committing,
            self._committing_errors,
        ):
            counts.clear()

    def rebalanced(self, partitions: Sequence[int]) -> None:  # noqa: ARG002  # Observer's
        self._rebalances.inc()
