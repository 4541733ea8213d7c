"""A detector on a cluster in memory: it runs until all of its input is judged."""

from collections.abc import Callable, Sequence

import msgspec

from detector.rules.language.tree import Rulebook
from detector.service.loop import Detector
from detector.service.metrics import Metrics
from detector.service.settings import DetectorSettings
from kafka_batch import ListCluster, Record
from service_kit.health import Heartbeat
from service_kit.shutdown import Shutdown

PARTITIONS = 2
BASE_MS = 1_700_000_000_000


class UntilJudged(Shutdown):
    """Tells the process to stop when the group has committed all of the input, or `at_most` turns
    were made."""

    def __init__(self, cluster: ListCluster, settings: DetectorSettings, at_most: int) -> None:
        super().__init__()
        self._topic = cluster.topic(settings.transactions_topic)
        self._group = settings.consumer_group
        self._turns_left = at_most

    @property
    def requested(self) -> bool:
        self._turns_left -= 1
        done = [
            self._topic.committed.get((self._group, number), 0) == len(records)
            for number, records in enumerate(self._topic.partitions)
        ]
        return all(done) or self._turns_left < 0


class ListWorld:
    """The topics of a detector, and what comes out."""

    def __init__(self, **variables: str) -> None:
        self.cluster = ListCluster()
        self.settings = DetectorSettings.from_environment(variables)
        names = [self.settings.transactions_topic, *self.settings.output_topics]
        for name in [*names, self.settings.state_topic]:
            self.cluster.create(name, PARTITIONS)
        for name in (self.settings.rules_topic, self.settings.rules_log_topic):
            if name:
                self.cluster.create(name, 1, cleanup_policy="compact")

    def produce(self, records: Sequence[Record], partition: int = 0) -> None:
        self.cluster.append(self.settings.transactions_topic, partition, records)

    def run(
        self,
        rules: Rulebook,
        updates: Callable[[], Rulebook | None] = lambda: None,
        at_most: int = 10_000,
    ) -> Metrics:
        """One life of a detector."""
        metrics = Metrics(lambda: 0.0)
        shutdown = UntilJudged(self.cluster, self.settings, at_most)
        heartbeat = Heartbeat(None)
        Detector(self.settings, rules, metrics, heartbeat, shutdown, updates, self.cluster).run()
        return metrics

    @property
    def legit(self) -> list[Record]:
        return self.cluster.records(self.settings.legit_topic)

    @property
    def fraud(self) -> list[Record]:
        return self.cluster.records(self.settings.fraud_topic)

    @property
    def dead(self) -> list[Record]:
        return self.cluster.records(self.settings.dead_letter_topic)

    @property
    def outputs(self) -> list[list[Record]]:
        return [self.legit, self.fraud, self.dead]


def payment(
    number: int, amount: float = 5.0, source: str = "payer", target: str = "shop"
) -> Record:
    """One payment a second."""
    value = {"source": source, "target": target, "amount": amount, "currency": "USD"}
    return BASE_MS + 1_000 * number, source.encode(), msgspec.json.encode(value), ()
