"""What the generator tells of itself, for Prometheus and for its log lines."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge


class Metrics:
    """Counts transactions; plain numbers beside the metrics serve the log."""

    def __init__(self, asked_per_second: int, progress_age_s: Callable[[], float]) -> None:
        self.registry = registry = CollectorRegistry()
        self.made_total = self.delivered_total = self.skipped_total = 0
        self._made = Counter("generator_transactions_made", "Made", registry=registry)
        self._delivered = Counter(
            "generator_transactions_delivered", "Stored by the brokers", registry=registry
        )
        self._skipped = Counter(
            "generator_transactions_skipped", "Not made, after a stall", registry=registry
        )
        asked = Gauge(
            "generator_asked_transactions_per_second", "Rate asked; 0: no limit", registry=registry
        )
        asked.set(asked_per_second)
        self._reached = Gauge(
            "generator_reached_transactions_per_second", "Rate delivered", registry=registry
        )
        age = Gauge(
            "generator_progress_age_seconds", "Time since the loop's last turn", registry=registry
        )
        age.set_function(progress_age_s)

    def made(self, count: int) -> None:
        self.made_total += count
        self._made.inc(count)

    def delivered(self, count: int) -> None:
        self.delivered_total += count
        self._delivered.inc(count)

    def skipped(self, count: int) -> None:
        self.skipped_total += count
        self._skipped.inc(count)

    def reached(self, per_second: float) -> None:
        self._reached.set(per_second)
