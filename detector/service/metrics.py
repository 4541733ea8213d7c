"""What the detector tells of itself: metrics for Prometheus, and the numbers of its log lines.

Records count once they are committed, so that the numbers agree with what a reader of committed
records sees.
"""

from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
)

from detector.rules import Rules
from detector.service.memory import Memory
from detector.service.routing import Routed
from kafka_batch import HeaderBlock

_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10)


@dataclass
class _Counts:
    """Of records: by verdict, by what is wrong with them, by rule and mode that matched, and by
    rule that failed or had no amount; with the headers of a dead letter for each error."""

    verdicts: Tally[str] = field(default_factory=Tally)
    errors: Tally[str] = field(default_factory=Tally)
    samples: dict[str, HeaderBlock] = field(default_factory=dict)
    matches: Tally[tuple[str, str]] = field(default_factory=Tally)
    failures: Tally[str] = field(default_factory=Tally)
    inapplicable: Tally[str] = field(default_factory=Tally)

    def add(self, other: "_Counts") -> None:
        self.verdicts.update(other.verdicts)
        self.errors.update(other.errors)
        self.samples.update(other.samples)
        self.matches.update(other.matches)
        self.failures.update(other.failures)
        self.inapplicable.update(other.inapplicable)


class Metrics:
    """Counts a stream's records by verdict; observes its commits (`kafka_batch.Observer`)."""

    def __init__(self, progress_age_s: Callable[[], float]) -> None:
        self.registry = registry = CollectorRegistry()
        self.committed_total: Tally[str] = Tally()  # by verdict, since the start
        self.dead_total: Tally[str] = Tally()  # by error, since the start
        self.dead_samples: dict[str, HeaderBlock] = {}  # the headers of the last one, by error
        self._open = _Counts()
        self._committing = _Counts()
        self._read = Counter("detector_records_read", "Records read", registry=registry)
        self._written = self._counter("records_written", "Records written", "verdict")
        self._dead = self._counter("dead_letters", "Dead letters by error", "error")
        self._matches = self._counter(
            "rule_matches", "Records that a rule fired on", "rule", "mode"
        )
        self._failures = self._counter(
            "rule_failures", "Records on which a rule could not be worked out", "rule"
        )
        self._inapplicable = self._counter(
            "rule_inapplicable", "Records in whose currency a rule has no amount", "rule"
        )
        self._refused_rules = Counter(
            "detector_rules_refused", "Published rules that could not be used", registry=registry
        )
        self._current = self._gauge("current_rules", "1 for the current rule set", "version")
        self._commits = self._durations("commit", "Duration of commits")
        self._savings = self._durations("state_save", "Time spent saving state before a commit")
        self._aborts = Counter("detector_aborts", "Aborted Kafka transactions", registry=registry)
        self._rebalances = Counter(
            "detector_rebalances", "Assignments of partitions", registry=registry
        )
        self._lag = self._gauge("lag_records", "Records yet to be read", "partition")
        self._waiting = self._gauge("partitions_waiting", "Partitions assigned and not read yet")
        self._accounts = self._gauge("accounts", "Accounts in memory", "partition")
        self._unsaved = self._gauge("accounts_unsaved", "Of them, not saved yet", "partition")
        self._evicted = self._counter("accounts_evicted", "Accounts evicted", "partition")
        age = self._gauge("progress_age_seconds", "Time since the loop's last turn")
        age.set_function(progress_age_s)
        for verdict in ("legit", "fraud", "dead_letter"):
            self._written.labels(verdict)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"detector_{name}", meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"detector_{name}", meaning, labels, registry=self.registry)

    def _durations(self, name: str, meaning: str) -> Histogram:
        name = f"detector_{name}_duration_seconds"
        return Histogram(name, meaning, buckets=_BUCKETS_S, registry=self.registry)

    def routed(self, routed: Routed, rules: Rules) -> None:
        """A batch was judged and sent; it counts when it is committed."""
        counts = self._open
        counts.verdicts["legit"] += len(routed.legit)
        counts.verdicts["fraud"] += len(routed.fraud)
        counts.verdicts["dead_letter"] += len(routed.dead)
        counts.errors.update(letter.code for letter in routed.dead)
        counts.samples.update((letter.code, letter.headers) for letter in routed.dead)
        for indexes, count in routed.matches.items():
            for index in indexes:
                rule = rules.program.rules[index]
                counts.matches[rule.name, rule.mode.value] += count

    def current_rules(self, version: str) -> None:
        """From now on, until others are."""
        self._current.clear()
        self._current.labels(version).set(1)

    def refused_rules(self) -> None:
        """Rules were activated that can't be used; any thread may tell."""
        self._refused_rules.inc()

    def lag(self, records: Mapping[int, int], waiting: Sequence[int]) -> None:
        """Records yet to be read, by partition, and the partitions that can't be read yet."""
        self._waiting.set(len(waiting))
        self._lag.clear()
        for partition, count in records.items():
            self._lag.labels(str(partition)).set(count)

    def memories(self, memories: Mapping[int, Memory]) -> None:
        """What is remembered, by partition."""
        for gauge in (self._accounts, self._unsaved):
            gauge.clear()
        for partition, memory in memories.items():
            name = str(partition)
            self._accounts.labels(name).set(len(memory))
            self._unsaved.labels(name).set(len(memory.dirty))
            self._evicted.labels(name).inc(memory.take_evicted())

    def rules(self, rules: Rules) -> None:
        """Takes over what the rules have counted since the last time; it counts when the batch that
        they judged is committed."""
        for found, counts in (
            (rules.failures, self._open.failures),
            (rules.inapplicable, self._open.inapplicable),
        ):
            for index, count in found.items():
                counts[rules.program.rules[index].name] += count
        rules.clear_counts()

    def committing(self) -> None:
        self._committing.add(self._open)
        self._open = _Counts()

    def committed(self, seconds: float) -> None:
        done, self._committing = self._committing, _Counts()
        for verdict, count in done.verdicts.items():
            self._written.labels(verdict).inc(count)
        for error, count in done.errors.items():
            self._dead.labels(error).inc(count)
        for (rule, mode), count in done.matches.items():
            self._matches.labels(rule, mode).inc(count)
        for rule, count in done.failures.items():
            self._failures.labels(rule).inc(count)
        for rule, count in done.inapplicable.items():
            self._inapplicable.labels(rule).inc(count)
        self._read.inc(done.verdicts.total())
        self.committed_total.update(done.verdicts)
        self.dead_total.update(done.errors)
        self.dead_samples.update(done.samples)
        self._commits.observe(seconds)

    def saved(self, seconds: float) -> None:
        """Accounts were saved, in a commit that is about to begin."""
        self._savings.observe(seconds)

    def aborted(self) -> None:
        self._aborts.inc()
        self._open, self._committing = _Counts(), _Counts()

    def rebalanced(self, partitions: Sequence[int]) -> None:  # noqa: ARG002  # Observer's
        self._rebalances.inc()
