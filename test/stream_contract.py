"""What every cluster's streams and readers do, whatever they are made of."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

import pytest
from detecting import wait_until
from streaming import Told

from kafka_batch import Batch, Cluster, FatalError, Guarantee, HeaderBlock, Record, StreamConfig
from kafka_batch import TransactionalStream as Stream

BASE_MS = 1_700_000_000_000


@dataclass(frozen=True)
class World:
    """A cluster with an input and an output topic of two partitions each."""

    cluster: Cluster
    config: StreamConfig
    output: str

    @property
    def plain(self) -> StreamConfig:
        """For what is written and read beside the stream."""
        return replace(self.config, guarantee=Guarantee.AT_LEAST_ONCE)

    def produce(self, partition: int, *records: Record) -> None:
        for record in records:
            self.cluster.write(self.plain, self.config.topic, partition, record)

    def committed(self, partition: int) -> list[Record]:
        """What readers of committed records see of the output, to its end."""
        with closing(self.cluster.open_reader(self.plain)) as reader:
            reader.begin(self.output, partition)
            end, records = reader.end, []
            while reader.position < end:
                if batch := reader.read(500):
                    records += rows_of(batch)
            return records

    def wait_for(self, partition: int, *expected: Record) -> None:
        """A commit is answered before its markers are written: readers see it a moment later."""
        found: list[Record] = []

        def is_there() -> bool:
            found[:] = self.committed(partition)
            return len(found) >= len(expected)

        wait_until(is_there, f"{len(expected)} records are visible")
        assert found == [*expected]

    @contextmanager
    def stream(self, told: Told | None = None, **options: object) -> Iterator[Stream]:
        """A member of the group; `saved` is a stream's own topic, written before each commit."""
        config = replace(self.config, **options)  # type: ignore[arg-type]
        opened: list[Stream] = []

        def before_commit(offsets: Mapping[int, int]) -> None:
            text = str(sorted(offsets.items())).encode()
            opened[0].send(self.output, 1, [(BASE_MS, b"saved", text, ())])

        with self.cluster.open_stream(
            config, told or Told(), lambda: float("inf"), "", before_commit
        ) as stream:
            opened.append(stream)
            yield stream


def record(number: int, *headers: tuple[str, bytes | None]) -> Record:
    return BASE_MS + number, b"key-%d" % number, b"value-%d" % number, headers


def rows_of(batch: Batch) -> list[Record]:
    headers = map(tuple, batch.headers)
    return [*zip(batch.timestamps, batch.keys, batch.values, headers, strict=True)]


def read(stream: Stream, count: int) -> list[Batch]:
    """Batches, until they hold `count` records."""
    batches: list[Batch] = []

    def is_read() -> bool:
        if batch := stream.read():
            batches.append(batch)
        return sum(map(len, batches)) >= count

    wait_until(is_read, f"{count} records are read")
    return batches


class StreamContract:
    """A subclass has a fixture `world`."""

    def test_records_come_in_the_order_of_their_partition(self, world: World) -> None:
        world.produce(0, record(0), record(1), record(2))
        world.produce(1, record(3))
        with world.stream() as stream:
            batches = read(stream, 4)
        found = {number: [] for number in (0, 1)}
        for batch in batches:
            assert batch.topic == world.config.topic
            assert batch.next_offset == batch.offsets[-1] + 1
            found[batch.partition] += rows_of(batch)
        assert found == {0: [record(0), record(1), record(2)], 1: [record(3)]}

    def test_what_is_forwarded_stays_as_it_was_and_gets_further_headers(self, world: World) -> None:
        world.produce(0, record(0, ("own", b"1"), ("null", None)), (BASE_MS, None, None, ()))
        with world.stream() as stream:
            for batch in read(stream, 2):
                extra = [HeaderBlock.of([("added", b"%d" % it)]) for it in batch.offsets]
                stream.forward(batch, world.output, range(len(batch)), extra)
            stream.commit()
        world.wait_for(
            0,
            record(0, ("own", b"1"), ("null", None), ("added", b"0")),
            (BASE_MS, None, None, (("added", b"1"),)),
        )

    def test_chosen_rows_are_forwarded_with_other_timestamps_where_these_are_given(
        self, world: World
    ) -> None:
        world.produce(0, *map(record, range(4)))
        with world.stream() as stream:
            for batch in read(stream, 4):
                rows = [row for row, offset in enumerate(batch.offsets) if offset % 2]
                if rows:
                    stream.forward(batch, world.output, rows, None, [BASE_MS + 99] * len(rows))
            stream.commit()
        world.wait_for(0, *((BASE_MS + 99, *record(it)[1:]) for it in (1, 3)))

    def test_a_record_can_be_replaced(self, world: World) -> None:
        world.produce(0, record(0))
        with world.stream() as stream:
            (batch,) = read(stream, 1)
            stream.replace(batch, world.output, record(7, ("why", b"")))
            stream.commit()
        world.wait_for(0, record(7, ("why", b"")))

    def test_nothing_is_visible_before_the_commit_and_all_of_it_after(self, world: World) -> None:
        world.produce(0, record(0))
        with world.stream() as stream:
            (batch,) = read(stream, 1)
            stream.forward(batch, world.output, [0])
            assert world.committed(0) == world.committed(1) == []
            stream.commit()
            world.wait_for(0, record(0))
            # What is sent as a commit begins is part of it, and knows its offsets.
            world.wait_for(1, (BASE_MS, b"saved", b"[(0, 1)]", ()))

    def test_what_is_not_committed_is_discarded_and_read_again(self, world: World) -> None:
        world.produce(0, record(0), record(1))
        told = Told()
        with world.stream(told) as stream:
            batch = read(stream, 1)[0]
            stream.forward(batch, world.output, range(len(batch)))
        assert told.words[-1] == "aborted"
        with world.stream() as stream:
            for batch in read(stream, 2):
                stream.forward(batch, world.output, range(len(batch)))
            stream.commit()
        world.wait_for(0, record(0), record(1))

    def test_a_stream_begins_behind_what_was_committed(self, world: World) -> None:
        world.produce(0, record(0))
        with world.stream() as stream:
            read(stream, 1)
            stream.commit()
        world.produce(0, record(1))
        with world.stream() as stream:
            assert [rows_of(batch) for batch in read(stream, 1)] == [[record(1)]]

    def test_where_all_is_read_the_next_read_commits(self, world: World) -> None:
        world.produce(0, record(0))
        told = Told()
        with world.stream(told) as stream:
            read(stream, 1)
            assert stream.read() is None
            assert told.words == ["rebalanced [0, 1]", "committing", "committed"]
            stream.commit()  # there is nothing to commit
            assert told.words[-1] == "committed"
        assert told.words.count("committed") == 1
        assert "aborted" not in told.words

    def test_paused_partitions_are_read_once_they_are_resumed(self, world: World) -> None:
        world.produce(0, record(0))
        world.produce(1, record(1))
        with world.stream(pause_on_assignment=True) as stream:

            def is_known() -> bool:
                assert stream.read(20) is None
                return stream.paused_positions() == {0: 0, 1: 0}

            wait_until(is_known, "the positions of both are known")
            assert stream.blocked_partitions() == [0, 1]
            stream.resume(1)
            assert stream.blocked_partitions() == [0]
            assert [rows_of(batch) for batch in read(stream, 1)] == [[record(1)]]
            assert stream.paused_positions() == {0: 0}
            stream.resume(0)
            assert [rows_of(batch) for batch in read(stream, 1)] == [[record(0)]]

    def test_the_lag_is_what_is_left_to_read(self, world: World) -> None:
        world.produce(0, *map(record, range(3)))
        with world.stream() as stream:
            read(stream, 3)
            assert sum(stream.lag().values()) == 0
            assert stream.member_id
            assert stream.topic_id_tag

    def test_a_topic_that_is_not_there_is_a_fatal_error(self, world: World) -> None:
        with pytest.raises(FatalError, match="'nowhere' does not exist"):
            world.cluster.describe(world.config, ["nowhere"])

    def test_a_topic_has_its_limits(self, world: World) -> None:
        (limits,) = world.cluster.describe(world.config, [world.output]).values()
        assert (limits.partitions, limits.cleanup_policy) == (2, "delete")

    def test_a_reader_reads_a_partition_from_an_offset_to_its_end(self, world: World) -> None:
        world.produce(1, *map(record, range(3)))
        with closing(world.cluster.open_reader(world.config)) as reader:
            assert reader.begin(world.config.topic, 1) == 0
            assert reader.end == 3
            reader.seek(1)
            found: list[Record] = []
            while not reader.at_end:
                if batch := reader.read(500):
                    found += rows_of(batch)
            assert found == [record(1), record(2)]
            assert reader.position == 3
            assert reader.read(20) is None
            reader.seek(2)
            pairs = wait_until(lambda: reader.read_key_values(500), "the last record")
            assert ([*pairs.keys], [*pairs.values]) == ([b"key-2"], [b"value-2"])
            assert pairs.next_offset == 3
