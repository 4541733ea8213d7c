"""A stream on a real Kafka: what it does with records that are forwarded while a commit runs."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from conftest import Kafka
from detecting import PATIENCE_S, Topics, committed, numbers, send_numbered, some_topics, wait_until
from kafka import KafkaAdminClient
from streaming import Told, forward_until

from kafka_batch import (
    FatalError,
    RecoverableError,
    ShutdownTimeout,
    Stream,
    StreamConfig,
    create_topics,
)
from kafka_batch._stream.stream import COMMITTING_WAIT_MS

LONG_MS = 5_000  # of a commit interval: commits come when all has been read


class Gate:
    """Holds a stream's commits back until it is opened, or makes them fail."""

    def __init__(self, stream: Stream) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()
        self.failure: RecoverableError | None = None
        self._commit = stream._producer.commit
        stream._producer.commit = self._held  # type: ignore[method-assign]

    def _held(self, timeout_s: float) -> None:
        self.reached.set()
        self.open.wait()
        if self.failure is not None:
            raise self.failure
        self._commit(timeout_s)


@pytest.fixture
def topics(kafka: Kafka, new_topic: Callable[..., str]) -> Topics:
    return some_topics(kafka.bootstrap_servers, new_topic)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def stream(topics: Topics, told: Told, record_codec: object) -> Iterator[Stream]:  # noqa: ARG001
    with a_stream(topics, told) as opened:
        yield opened


def a_stream(topics: Topics, told: Told) -> Stream:
    config = StreamConfig(
        topics.bootstrap_servers, topics.group, topics.transactions, commit_interval_ms=LONG_MS
    )
    return Stream(config, told)


def the_interval_is_over(stream: Stream) -> None:
    """While there is more to read: the commit runs beside what follows."""
    stream._uncommitted.is_caught_up, stream._uncommitted._due_at = False, 0.0


def with_a_commit_held_back(topics: Topics, stream: Stream) -> Gate:
    """Ten records are in it, and one was forwarded since."""
    gate = Gate(stream)
    send_numbered(topics, 0, 10)
    forward_until(stream, topics.legit, 10)
    the_interval_is_over(stream)
    send_numbered(topics, 10, 1)
    forward_until(stream, topics.legit, 1)  # the commit of the ten began with its first read
    assert gate.reached.wait(PATIENCE_S)
    return gate


def test_where_all_is_read_a_commit_ends_before_the_next_read(
    topics: Topics, stream: Stream, told: Told
) -> None:
    send_numbered(topics, 0, 10)
    forward_until(stream, topics.legit, 10)
    assert stream.read() is None
    assert told.words[-2:] == ["committing", "committed"]


def test_what_is_forwarded_while_a_commit_runs_is_kept_for_the_next(
    topics: Topics, stream: Stream, told: Told
) -> None:
    gate = with_a_commit_held_back(topics, stream)
    assert told.words[-1] == "committing"
    seen = committed(topics, topics.legit, isolation="read_uncommitted")
    assert numbers(seen) == list(range(10))
    gate.open.set()
    stream.commit()
    assert numbers(committed(topics, topics.legit)) == list(range(11))
    assert told.words[-4:] == ["committing", "committed"] * 2


def test_where_a_commit_takes_longer_than_the_interval_reads_wait_for_records(
    topics: Topics, stream: Stream
) -> None:
    gate = with_a_commit_held_back(topics, stream)
    the_interval_is_over(stream)
    began = time.monotonic()
    batches = [stream.read() for _ in range(20)]
    took_s = time.monotonic() - began
    gate.open.set()
    stream.commit()
    assert batches == [None] * 20
    # Without a pause they would keep a core busy, and on a small machine the broker from its work.
    assert took_s > 20 * COMMITTING_WAIT_MS / 1000 / 2
    assert numbers(committed(topics, topics.legit)) == list(range(11))


def test_what_was_kept_is_dropped_where_the_commit_fails_and_read_again(
    topics: Topics, stream: Stream, told: Told
) -> None:
    gate = with_a_commit_held_back(topics, stream)
    gate.failure = RecoverableError("no answer")
    gate.open.set()
    with pytest.raises(RecoverableError, match="no answer"):
        stream.commit()
    stream.close()
    assert told.words[-2:] == ["committing", "aborted"]
    assert committed(topics, topics.legit) == []
    with a_stream(topics, told) as another:
        forward_until(another, topics.legit, 11)
        another.commit()
    assert numbers(committed(topics, topics.legit)) == list(range(11))


def test_a_rebalance_commits_what_was_kept_before_it_hands_over(
    topics: Topics, stream: Stream, told: Told
) -> None:
    gate = with_a_commit_held_back(topics, stream)
    other = Told()
    joining = threading.Thread(target=lambda: join_and_leave(topics, other))
    joining.start()
    try:
        opening = threading.Timer(1.0, gate.open.set)  # the hand-over waits for it meanwhile
        opening.start()
        stream._uncommitted.is_caught_up = (
            False  # the next read doesn't wait for the commit, but for records
        )
        deadline = time.monotonic() + PATIENCE_S
        while not any(word.startswith("rebalanced") for word in other.words):
            assert time.monotonic() < deadline
            batch = stream.read()
            assert batch is None, "the kept record was read again"
    finally:
        gate.open.set()
        joining.join()
    assert numbers(committed(topics, topics.legit)) == list(range(11))
    assert told.words.count("aborted") == 0


def join_and_leave(topics: Topics, told: Told) -> None:
    with a_stream(topics, told) as stream:
        deadline = time.monotonic() + PATIENCE_S
        while not told.words and time.monotonic() < deadline:
            assert stream.read() is None


def test_a_stream_that_is_closed_while_it_joins_leaves_the_group_at_once(
    topics: Topics, stream: Stream
) -> None:
    """Else the group would wait for its session to end, and its partitions are stalled."""
    wait_until(lambda: stream.read() is None and stream.member_id, "the first has joined")
    with a_stream(topics, Told()) as joining:
        wait_until(lambda: joining.read() is None and members(topics) == 2, "a second one joins")
        assert joining._consumer._coordinator.rebalance_in_progress()  # the first has yet to rejoin
    assert members(topics) == 1


def members(topics: Topics) -> int:
    with closing(KafkaAdminClient(bootstrap_servers=topics.bootstrap_servers)) as admin:
        return len(admin.describe_groups([topics.group])[topics.group]["members"])


def test_an_input_that_is_recreated_is_read_from_its_beginning(
    topics: Topics, stream: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where it is longer by then than the old one was, and offsets of that were kept."""
    send_numbered(topics, 0, 40)
    forward_until(stream, topics.legit, 40)
    stream.commit()
    last = time.monotonic()
    with closing(KafkaAdminClient(bootstrap_servers=topics.bootstrap_servers)) as admin:
        kept = wait_until(lambda: admin.list_group_offsets(topics.group)[topics.group], "stable")
        admin.delete_topics([topics.transactions])
        wait_until(lambda: topics.transactions not in admin.list_topics(), "it is deleted")
        wait_until(lambda: made(topics), "it is recreated")
        send_numbered(topics, 40, 80)
        wait_until(lambda: time.monotonic() > last + 2, "the stream has paused")
        with pytest.raises(RecoverableError, match="was deleted, and recreated"):
            forward_until(stream, topics.legit, 80)
        stream.close()
        assert not any(
            error.errno for error in admin.alter_group_offsets(topics.group, kept).values()
        )
    with a_stream(topics, Told()) as another:
        forward_until(another, topics.legit, 80)
        another.commit()
    assert numbers(committed(topics, topics.legit)) == list(range(120))
    assert "was recreated: partition 0 is read from its beginning" in caplog.text


def made(topics: Topics) -> bool:
    """Creates the input, which the broker refuses until the old one is gone for good."""
    try:
        return bool(create_topics(topics.bootstrap_servers, {topics.transactions: {}}, 4, 1))
    except (FatalError, RecoverableError):
        return False


@pytest.mark.parametrize("told_to_stop", [False, True])
def test_a_client_s_thread_that_hangs_is_waited_for_unless_told_to_stop(
    topics: Topics, told: Told, *, told_to_stop: bool
) -> None:
    stream = a_stream(topics, told)
    reached, goes_on = threading.Event(), threading.Event()

    def hang(**_: object) -> None:
        reached.set()
        goes_on.wait()

    stream._producer._sender._client.poll = hang
    stream._producer._sender.wakeup()
    assert reached.wait(PATIENCE_S)
    if told_to_stop:
        stream._deadline_at = lambda: 0.0
        with pytest.raises(ShutdownTimeout):
            stream.close(timeout_s=0.1)
        goes_on.set()
    else:
        after = threading.Timer(2, goes_on.set)
        after.start()
        stream.close(timeout_s=0.1)
        after.join()
    stream._producer._sender.join(PATIENCE_S)
    assert not stream._producer._sender.is_alive()
