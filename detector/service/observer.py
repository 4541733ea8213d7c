"""What the stream tells of itself, passed on to state and metrics."""

import time
from collections.abc import Mapping, Sequence

from detector.service.metrics import Metrics
from detector.service.state import State
from kafka_batch import TransactionalStream


class StreamObserver:
    """Tells state and metrics of rebalances and commits (`kafka_batch.Observer`)."""

    def __init__(self, state: State, metrics: Metrics) -> None:
        self.stream: TransactionalStream | None = None
        self._state = state
        self._metrics = metrics
        self.committing = metrics.committing
        self.committed = metrics.committed
        self.aborted = metrics.aborted

    def rebalanced(self, partitions: Sequence[int]) -> None:
        self._state.assigned(partitions)
        self._metrics.rebalanced(partitions)

    def before_commit(self, offsets: Mapping[int, int]) -> None:
        """Saves accounts in the Kafka transaction that is about to be committed."""
        if self.stream is not None:  # it is open before there is anything to commit
            began = time.monotonic()
            self._state.committing(self.stream, offsets)
            self._metrics.saved(time.monotonic() - began)
