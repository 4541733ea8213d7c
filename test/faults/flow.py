"""Whether output flows: a reader of committed records notes when each partition got which."""

import threading
import time
from dataclasses import dataclass

from confluent_kafka import Consumer, TopicPartition

_POLL_S = 0.2
# Settings of librdkafka: a broker that is gone, or silent, must not hold up what measures.
IMPATIENT = {
    "socket.timeout.ms": 3_000,  # by default a minute
    "reconnect.backoff.max.ms": 500,
    "topic.metadata.refresh.interval.ms": 1_000,
    "log_level": 0,
}


@dataclass
class _Arrival:
    produced_ms: int
    arrived: float


class Flow:
    """Follows the legitimate transactions as they become visible."""

    def __init__(self, bootstrap_servers: str, topic: str, partitions: int) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "flow",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                **IMPATIENT,
            }
        )
        self._consumer.assign([TopicPartition(topic, n, 0) for n in range(partitions)])
        self._arrivals: dict[int, list[_Arrival]] = {n: [] for n in range(partitions)}
        self.count = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flow", daemon=True)
        self._thread.start()

    def again(self, since: float) -> float | None:
        """Seconds from `since` (of time.time) until every partition had a record from after it.

        None while one has not.
        """
        firsts = []
        for arrivals in self._arrivals.values():
            fresh = (a.arrived for a in reversed(arrivals) if a.produced_ms >= since * 1000)
            arrived = min(fresh, default=None)
            if arrived is None:
                return None
            firsts.append(arrived)
        return max(firsts) - since

    def close(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            messages = self._consumer.consume(10_000, _POLL_S)
            now = time.time()
            for message in messages:
                if message.error() is None:
                    self._arrivals[message.partition()].append(
                        _Arrival(message.timestamp()[1], now)
                    )
                    self.count += 1
        self._consumer.close()
