"""The shipped detector without one of its remedies: python -m faults.broken REMEDY...

The numbers in brackets are the entries of docs/exactly-once.md.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from kafka.net.compat import KafkaNetClient

from detector.__main__ import main
from detector.service.state import State
from kafka_batch import StreamError, config
from kafka_batch._client.kafka_python_3_0.connections import NonRaisingClient
from kafka_batch._client.kafka_python_3_0.log_filter import QuietRepeats
from kafka_batch._client.kafka_python_3_0.producer import Producer
from kafka_batch._stream import stream
from kafka_batch._stream.stream import Stream
from service_kit.shutdown import Shutdown


def membership() -> None:
    """The membership is taken at the time of the commit, and a rebalance commits nothing [1]."""

    async def nothing(_: Stream) -> None:
        pass

    Stream.commit_before_revoke = nothing  # type: ignore[method-assign]
    Stream._member = property(  # type: ignore[assignment, method-assign]
        lambda self: self._consumer.group_metadata(), lambda _self, _member: None
    )
    committing = State.committing

    def of_ours(self: State, stream: Stream, offsets: Mapping[int, int]) -> None:
        # Else its missing memory of what is not ours would end the process before it does harm.
        committing(self, stream, {it: offsets[it] for it in offsets if it in self.memories})

    State.committing = of_ours  # type: ignore[method-assign]


def patience() -> None:
    """A broker that can't be reached raises within the client, and no wait is bounded [2]."""
    NonRaisingClient.await_ready = KafkaNetClient.await_ready  # type: ignore[method-assign]
    Producer._wait = _wait_for_good  # type: ignore[method-assign]


def results() -> None:
    """Offsets are sent before the records are delivered, and no result is looked at, nor whether
    the Kafka transaction that ended is the one that began [4]."""

    def flush(self: Stream, offsets: Any, _: float) -> None:
        producer = self._producer
        producer._undelivered.clear()
        producer.send_offsets(offsets, self._member, 60)
        producer._finish(producer._transaction_manager.begin_commit(), 60, "commit")

    Stream._flush = flush  # type: ignore[method-assign]


def new_stream() -> None:
    """After a commit that failed, the same stream goes on from where it is [6]."""
    finish = Stream._finish_commit

    def go_on(self: Stream, timeout_s: float | None = None) -> None:
        try:
            finish(self, timeout_s)
        except StreamError:
            self._commit, self._begun = None, False
            self._producer.discard_staged()
            self._producer.unstage()
            self._producer.abort(30)

    Stream._finish_commit = go_on  # type: ignore[method-assign]


def own_id() -> None:
    """All detectors have one transactional id [7]."""

    class Same:
        hex = "same"

    config.uuid.uuid4 = Same  # type: ignore[assignment]


def committed_offsets() -> None:
    """Its consumer does not ask for committed records, so neither for stable offsets [10]."""
    config._CONSUMER["isolation_level"] = "read_uncommitted"


def limits() -> None:
    """No wait ends early for a process that is told to stop, and nothing cuts it off [11]."""
    Shutdown.deadline = lambda _: float("inf")  # type: ignore[method-assign]
    Shutdown._end = lambda *_: None  # type: ignore[method-assign]
    stream._COMMIT_TIMEOUT_S = stream._REVOKE_TIMEOUT_S = 60.0


def quiet() -> None:
    """Every message of the client is shown [12]."""
    QuietRepeats.filter = lambda *_: True  # type: ignore[method-assign]


def abort() -> None:
    """What is open is not aborted before closing [14]."""
    Producer.abort = lambda self, timeout_s: self._undelivered.clear()  # type: ignore[method-assign]  # noqa: ARG005


def order() -> None:
    """Offsets are committed before the records are sent, and these some time later."""
    record = Stream._record_position

    def commit_first(self: Stream, batch: Any) -> None:
        record(self, batch)
        if not self._fetched:
            self._consumer.commit(dict(self._uncommitted.offsets))

    Stream._record_position = commit_first  # type: ignore[method-assign]


def busy() -> None:
    """Not a remedy: there always seems to be more to read, so that commits run beside it."""
    record = Stream._record_position

    def never_caught_up(self: Stream, batch: Any) -> None:
        record(self, batch)
        self._uncommitted.is_caught_up = False

    Stream._record_position = never_caught_up  # type: ignore[method-assign]


def short() -> None:
    """Not a remedy: a Kafka transaction times out after 2 s, before its detector's session."""
    config._TRANSACTION_TIMEOUT_MS = 2_000


def patient() -> None:
    """Not a remedy: a Kafka transaction times out after 60 s, after its detector's session."""
    config._TRANSACTION_TIMEOUT_MS = 60_000


def _wait_for_good(_: Producer, done: Callable[[float], object], *_more: object) -> None:
    while not done(1.0):
        pass


if __name__ == "__main__":
    for word in sys.argv[1:]:
        globals()[word]()
    sys.argv[1:] = []
    sys.exit(main())
