"""Whole batches in and out of a real Kafka, compared with the client's own interface."""

import gc
import os
import socket
import struct
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any

import pytest
from detecting import wait_until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import (
    KafkaConnectionError,
    KafkaProtocolError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
)
from kafka.net import manager as connections
from kafka.net.selector import NetworkSelector
from kafka.net.transport import KafkaTCPTransport
from kafka.protocol.parser import KafkaProtocol
from kafka.structs import OffsetAndMetadata

from kafka_batch import (
    Batch,
    BatchConsumer,
    BatchProducer,
    FatalError,
    PartitionReader,
    Record,
    RecordCodec,
    RecoverableError,
    create_topics,
    describe_topics,
    encode_body,
    partition_of,
    record_size,
    whole_batches,
)
from kafka_batch._client.kafka_python_3_0.admin import Admin
from kafka_batch._client.kafka_python_3_0.bootstrap import reachable_servers
from kafka_batch._client.kafka_python_3_0.connections import NonRaisingClient
from kafka_batch._client.kafka_python_3_0.transport import BulkTransport

pytestmark = pytest.mark.usefixtures("record_codec")

NOW_MS = time.time_ns() // 1_000_000


def whole() -> bool:
    return whole_batches(RecordCodec(os.environ["RECORD_CODEC"]))


def write(kafka: Any, partition: TopicPartition, records: Sequence[Record], **more: Any) -> None:
    producer = BatchProducer(
        bootstrap_servers=kafka.bootstrap_servers, whole_batches=whole(), **more
    )
    try:
        producer.extend(partition, records)
        assert producer.flush_within(30) == len(records)
    finally:
        assert producer.close()


def read(kafka: Any, topic: str, count: int) -> list[Batch]:
    consumer = BatchConsumer(
        topic,
        bootstrap_servers=kafka.bootstrap_servers,
        auto_offset_reset="earliest",
        whole_batches=whole(),
    )
    found: list[Batch] = []

    def enough() -> bool:
        found.extend(consumer.read(timeout_ms=500))
        return sum(map(len, found)) >= count

    try:
        wait_until(enough, f"{count} records of {topic}")
        return found
    finally:
        consumer.close()


def rows(batches: Sequence[Batch]) -> list[tuple[int, Record]]:
    return [
        (batch.partition, (timestamp, key, value, list(headers)))
        for batch in batches
        for timestamp, key, value, headers in zip(
            batch.timestamps, batch.keys, batch.values, batch.headers, strict=True
        )
    ]


ODD: list[Record] = [
    (NOW_MS, b"key", b"value", []),
    (-1, None, None, []),
    (0, b"", b"", []),
    (NOW_MS - 10**9, None, b"before the first", [("", b""), ("null", None)]),
    (NOW_MS, b"k", None, [("twice", b"1"), ("twice", b"2"), ("ünïcode", b"\xff\x00")]),
    (NOW_MS, b"\x00" * 300, b"v" * 70_000, [("large", b"h" * 5_000)]),
]


def test_records_come_through_as_they_were_written(
    kafka: Any, new_topic: Callable[..., str]
) -> None:
    topic = new_topic(1)
    write(kafka, TopicPartition(topic, 0), ODD)
    batches = read(kafka, topic, len(ODD))
    assert [record for _, record in rows(batches)] == [(*r[:3], list(r[3])) for r in ODD]
    assert [offset for batch in batches for offset in batch.offsets] == list(range(len(ODD)))
    assert batches[-1].next_offset == len(ODD)


def test_the_clients_own_consumer_reads_the_same(kafka: Any, new_topic: Callable[..., str]) -> None:
    topic = new_topic(1)
    write(kafka, TopicPartition(topic, 0), ODD)
    consumer = KafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest"
    )
    found: list[Any] = []
    wait_until(
        lambda: found.extend(*consumer.poll(500).values()) or len(found) >= len(ODD), "all read"
    )
    consumer.close()
    assert [(r.timestamp, r.key, r.value, list(r.headers)) for r in found] == [
        (*record[:3], list(record[3])) for record in ODD
    ]


RECORDS = st.lists(
    st.tuples(
        st.integers(-1, NOW_MS),
        st.none() | st.binary(max_size=200),
        st.none() | st.binary(max_size=2_000),
        st.lists(st.tuples(st.text(max_size=9), st.none() | st.binary(max_size=9)), max_size=3),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=RECORDS)
def test_generated_records_come_through(
    kafka: Any, new_topic: Callable[..., str], records: list[Record]
) -> None:
    topic = new_topic(1)
    write(kafka, TopicPartition(topic, 0), records, batch_size=4_096)
    assert [record for _, record in rows(read(kafka, topic, len(records)))] == records


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
def test_every_compression_is_read(
    kafka: Any, new_topic: Callable[..., str], compression: str
) -> None:
    topic = new_topic(1)
    producer = KafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, compression_type=compression, linger_ms=50
    )
    for number in range(500):
        producer.send(topic, b"value %d" % (number % 7), partition=0)
    producer.flush(30)
    producer.close()
    values = [record[2] for _, record in rows(read(kafka, topic, 500))]
    assert values == [b"value %d" % (number % 7) for number in range(500)]


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
def test_what_is_written_compressed_is_read_by_the_client_too(
    kafka: Any, new_topic: Callable[..., str], compression: str
) -> None:
    topic = new_topic(1)
    records: list[Record] = [(NOW_MS, b"k", b"value %d" % (n % 7), []) for n in range(500)]
    write(kafka, TopicPartition(topic, 0), records, compression_type=compression, linger_ms=50)
    consumer = KafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest"
    )
    found: list[Any] = []
    wait_until(lambda: found.extend(*consumer.poll(500).values()) or len(found) >= 500, "all read")
    consumer.close()
    assert [record.value for record in found] == [value for _, _, value, _ in records]


def forwarded(kafka: Any, source: str, target: str, count: int) -> list[tuple[int, Record]]:
    producer = BatchProducer(bootstrap_servers=kafka.bootstrap_servers, whole_batches=whole())
    try:
        for batch in read(kafka, source, count):
            producer.forward(batch, target, range(len(batch)))
        producer.flush_within(30)
    finally:
        producer.close()
    return rows(read(kafka, target, count))


class NotUtf8(str):
    """A header's name as a hostile producer writes it: the encoder asks it for its bytes."""

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe name"


def test_a_header_name_that_is_not_utf8_is_passed_on_byte_for_byte(
    kafka: Any, new_topic: Callable[..., str]
) -> None:
    source, target = new_topic(1), new_topic(1)
    hostile: list[Record] = [
        (NOW_MS, b"k", b"v", [("fine", b"1"), (NotUtf8(), b"2")]),
        (NOW_MS, b"k", b"next", []),
    ]
    write(kafka, TopicPartition(source, 0), hostile)
    (_, first), (_, second) = forwarded(kafka, source, target, 2)
    assert [(name.encode(), value) for name, value in first[3]] == [
        (b"fine", b"1"),
        (b"\xff\xfe name", b"2"),
    ]
    assert second[2] == b"next"


def numbered(kafka: Any, topic: str, partitions: int) -> None:
    for partition in range(partitions):
        records: list[Record] = [
            (NOW_MS, b"key %d" % (n % 9), b"%d/%d" % (partition, n), ()) for n in range(50)
        ]
        write(kafka, TopicPartition(topic, partition), records)


def test_a_record_keeps_its_partition_where_the_target_has_as_many(
    kafka: Any, new_topic: Callable[..., str]
) -> None:
    source, target = new_topic(3), new_topic(4)
    numbered(kafka, source, 3)
    for partition, (_, _, value, _) in forwarded(kafka, source, target, 150):
        assert value is not None
        assert int(value.split(b"/")[0]) == partition


def test_a_partition_goes_to_one_partition_in_order_where_the_target_has_fewer(
    kafka: Any, new_topic: Callable[..., str]
) -> None:
    source, target = new_topic(3), new_topic(2)
    numbered(kafka, source, 3)
    order: dict[int, list[int]] = {}
    for partition, (_, _, value, _) in forwarded(kafka, source, target, 150):
        assert value is not None
        origin, number = map(int, value.split(b"/"))
        assert partition == origin % 2
        order.setdefault(origin, []).append(number)
    assert order == {origin: [*range(50)] for origin in range(3)}


def test_keys_are_placed_as_javas_client_does() -> None:
    # Hashes from Apache Kafka's UtilsTest.testMurmur2, made positive as its partitioner does.
    java = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    assert {key: partition_of(key, 1 << 31) for key in java} == {
        key: hashed & 0x7FFFFFFF for key, hashed in java.items()
    }


def test_a_record_as_large_as_its_size_says_fits_and_one_byte_more_does_not(
    kafka: Any, new_topic: Callable[..., str]
) -> None:
    limit = 100_000
    topic = new_topic(1, **{"max.message.bytes": str(limit)})
    room = limit - record_size(len(encode_body(b"k", b"", [("h", None)])))
    # The estimate leaves a few bytes for the longest varints: so much must fit.
    write(kafka, TopicPartition(topic, 0), [(NOW_MS, b"k", b"v" * (room - 2), [("h", None)])])
    assert len(rows(read(kafka, topic, 1))) == 1


def test_a_batch_larger_than_its_topic_takes_fails(
    kafka: Any, new_topic: Callable[..., str]
) -> None:
    topic = new_topic(1, **{"max.message.bytes": "10000"})
    records: list[Record] = [(NOW_MS, b"k", b"v" * 100, ())] * 1_000
    with pytest.raises(MessageSizeTooLargeError):
        write(kafka, TopicPartition(topic, 0), records, batch_size=100_000)
    write(kafka, TopicPartition(topic, 0), records, batch_size=10_000)
    assert len(rows(read(kafka, topic, 1_000))) == 1_000


def test_a_commit_that_finds_its_kafka_transaction_ended_raises_nothing_in_the_clients_thread(
    kafka: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """As where a new epoch has begun meanwhile."""
    producer = BatchProducer(kafka.bootstrap_servers, transactional_id="ended")
    try:
        producer.init_transactional_id(30)
        commit = producer._transaction_manager._begin_completing_transaction(committed=True)
        producer._sender.wakeup()
        assert commit.wait(30_000)
    finally:
        assert producer.close()
    assert [line.getMessage() for line in caplog.records if line.levelname == "ERROR"] == []


def test_topics_are_made_once_and_their_limits_known(
    kafka: Any, new_topic: Callable[..., str]
) -> None:
    topic = new_topic(2, **{"max.message.bytes": "5000", "message.timestamp.after.max.ms": "60000"})
    (limits,) = describe_topics(kafka.bootstrap_servers, [topic]).values()
    assert (limits.partitions, limits.max_bytes, limits.max_ahead_ms) == (2, 5_000, 60_000)
    assert create_topics(kafka.bootstrap_servers, {topic: {}}, 2, 1) == []


def test_a_topic_that_is_not_there_is_for_an_operator(kafka: Any) -> None:
    with pytest.raises(FatalError, match="topic 'nowhere' does not exist"):
        describe_topics(kafka.bootstrap_servers, ["nowhere"])


@pytest.mark.parametrize(
    ("name", "configs", "partitions", "replicas", "said"),
    [
        ("three", {}, 1, 3, "InvalidReplicationFactorError"),
        ("none", {}, 0, 1, "InvalidPartitionsError"),
        ("odd", {"cleanup.policy": "sometimes"}, 1, 1, "InvalidConfigurationError"),
        ("a/b", {}, 1, 1, "InvalidTopicError"),
    ],
)
def test_a_topic_that_cannot_be_made_is_for_an_operator(
    kafka: Any, name: str, configs: dict[str, str], partitions: int, replicas: int, said: str
) -> None:
    with pytest.raises(FatalError, match=f"topic '{name}' was not created: .*{said}"):
        create_topics(kafka.bootstrap_servers, {name: configs}, partitions, replicas)


def test_no_broker_at_all_mends_itself(free_port: int) -> None:
    with pytest.raises(RecoverableError, match="no broker answers"):
        describe_topics(f"localhost:{free_port}", [])


def test_a_silent_server_is_left_out_of_those_to_bootstrap_from(kafka: Any) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        servers = f"127.0.0.1:{silent.getsockname()[1]},{kafka.bootstrap_servers}"
        assert reachable_servers(servers) == [kafka.bootstrap_servers]


def test_a_connection_that_ends_is_an_error_without_a_traceback_for_any_first_client(
    kafka: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "KafkaTCPTransport", KafkaTCPTransport)  # as if none was open
    with closing(Admin(bootstrap_servers=kafka.bootstrap_servers)) as admin:
        admin.describe_cluster()
        (used,) = {type(opened.transport) for opened in admin._manager._conns.values()}
    assert used is BulkTransport
    closed = BulkTransport.__new__(BulkTransport)
    closed._sock = None
    assert isinstance(closed._sock_recv()[1], KafkaConnectionError)


@pytest.mark.parametrize("is_reading", [True, False])
def test_a_connection_that_another_thread_closes_as_it_is_about_to_wait_ends_without_a_traceback(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, *, is_reading: bool
) -> None:
    net = NetworkSelector()
    near, far = socket.socketpair()
    near.settimeout(0)
    transport = BulkTransport(net, near)
    wait = net._wait_io

    def closed_before(*waiting: Any) -> None:
        transport.close() if is_reading else transport.abort()
        wait(*waiting)

    monkeypatch.setattr(net, "_wait_io", closed_before)
    transport.resume_reading() if is_reading else transport.write(b"a request")
    for _ in range(3):
        net.poll(timeout_ms=1)
    far.close()
    assert transport.is_closing()
    assert [record for record in caplog.records if record.exc_info] == []


class Parser(KafkaProtocol):
    """The client's own, that leaves answers as they are."""

    def _process_response(self, read_buffer: Any) -> bytes:
        assert read_buffer.read(1)
        return bytes(read_buffer.read())


class Connection:
    """One whose answers are looked at."""

    _sensors = None

    def __init__(self) -> None:
        self.parser = Parser()
        self.answers: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self.answers += self.parser.receive_bytes(data)


class ClosedMeanwhile:
    """A socket whose connection is closed by another thread after each of its calls."""

    def __init__(self, transport: BulkTransport) -> None:
        self._transport, self._socket = transport, transport._sock

    def recv(self, size: int) -> bytes:
        received: bytes = self._socket.recv(size)
        self._close()
        return received

    def send(self, chunk: memoryview) -> int:
        sent: int = self._socket.send(chunk[:3])
        self._close()
        return sent

    def fileno(self) -> int:
        return self._socket.fileno()

    def _close(self) -> None:
        self._transport._closed = True
        self._transport._sock = None
        self._transport._write_buffer.clear()


@pytest.mark.parametrize("is_reading", [True, False])
def test_a_connection_that_another_thread_closes_while_it_reads_or_writes_ends_without_a_traceback(
    caplog: pytest.LogCaptureFixture, *, is_reading: bool
) -> None:
    net = NetworkSelector()
    near, far = socket.socketpair()
    near.settimeout(0)
    with near, far:
        transport = BulkTransport(net, near)
        transport.set_protocol(Connection())
        transport._sock = ClosedMeanwhile(transport)
        far.sendall(b"an answer")
        transport.resume_reading() if is_reading else transport.write(b"a request")
        for _ in range(3):
            net.poll(timeout_ms=1)
    assert transport._sock is None
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize("at_once", [1, 7, 1_000, 1 << 16, (1 << 16) + 3, 1 << 20])
def test_answers_that_arrive_in_parts_are_read_whole(at_once: int) -> None:
    near, far = socket.socketpair()
    near.settimeout(0)
    sizes = (1, 2, 3, 500, 1, 2, 4_000) if at_once < 1_000 else (70_000, 1, 300_000, 65_532, 9)
    if at_once > 1_000:
        sizes += (3 << 20, 2)
    answers = [bytes([number]) * size for number, size in enumerate(sizes, 1)]
    sent = b"".join(struct.pack(">i", len(answer)) + answer for answer in answers)
    with near, far:
        transport, connection = BulkTransport(NetworkSelector(), near), Connection()
        transport.set_protocol(connection)
        transport._read = True
        far.settimeout(0)
        while len(connection.answers) < len(answers):
            with suppress(BlockingIOError):
                sent = sent[far.send(sent[:at_once]) :]
            data, error = transport._sock_recv()
            assert error is None
            connection.data_received(data)
        assert connection.answers == [answer[1:] for answer in answers]
        far.close()
        assert isinstance(transport._sock_recv()[1], KafkaConnectionError)


def test_an_answer_that_is_cut_off_and_one_that_is_none_are_errors() -> None:
    for sent in (struct.pack(">i", 9) + b"short", struct.pack(">i", -9) + bytes(1 << 17)):
        near, far = socket.socketpair()
        near.settimeout(0)
        with near:
            transport, connection = BulkTransport(NetworkSelector(), near), Connection()
            transport.set_protocol(connection)
            with far:
                far.sendall(sent)
            found = [transport._sock_recv()]
            with suppress(KafkaProtocolError):
                connection.data_received(found[0][0])
            found.append(transport._sock_recv())
            assert any(isinstance(error, KafkaConnectionError) for _, error in found)


def test_a_request_that_the_socket_takes_in_parts_arrives_whole() -> None:
    near, far = socket.socketpair()
    near.settimeout(0)
    request = bytes(range(256)) * 40_000  # more than a socket holds
    with near, far:
        transport = BulkTransport(NetworkSelector(), near)
        transport.write(request[:10])
        transport.write(request[10:])
        arrived, sent = b"", 0
        while len(arrived) < len(request):
            some, error = transport._sock_send()
            assert error is None
            sent += some
            arrived += far.recv(1 << 20)
        assert arrived == request
        assert sent == len(request)
        assert not transport._write_buffer


def connected() -> tuple[socket.socket, socket.socket]:
    """Two ends, of which the first doesn't block."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        near.settimeout(0)
        return near, server.accept()[0]


def test_the_loop_gets_its_turn_while_a_large_answer_comes_in_slowly() -> None:
    near, far = connected()
    answer = bytes(range(256)) * 4_000  # of more than what a socket blocks for

    def send() -> None:
        far.sendall(struct.pack(">i", len(answer)))
        for at in range(0, len(answer), 5_000):
            far.sendall(answer[at : at + 5_000])
            time.sleep(0.001)

    with near, far, ThreadPoolExecutor() as pool:
        transport, connection = BulkTransport(NetworkSelector(), near), Connection()
        transport.set_protocol(connection)
        transport._read = True
        sending = pool.submit(send)
        while not connection.parser._receiving:
            connection.data_received(transport._sock_recv()[0])
        calls = 0
        while not connection.answers:
            connection.data_received(transport._sock_recv()[0])
            calls += 1
        sending.result()
        assert connection.answers == [answer[1:]]
        assert calls > 5


def test_and_while_a_large_request_goes_out_slowly() -> None:
    near, far = connected()
    request = bytes(range(256)) * 100_000  # of more than what the system keeps for it

    def receive() -> bytes:
        received = bytearray()
        while len(received) < len(request):
            received += far.recv(100_000)
            time.sleep(0.001)
        return bytes(received)

    with near, far, ThreadPoolExecutor() as pool:
        transport = BulkTransport(NetworkSelector(), near)
        transport.write(request)
        receiving = pool.submit(receive)
        sent = calls = 0
        while sent < len(request):
            sent += transport._sock_send()[0]
            calls += 1
        assert receiving.result() == request
        assert calls > 5


def test_a_broker_that_takes_connections_and_closes_them_is_tried_ever_later() -> None:
    """As a proxy in front of a broker that is gone does."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0)
        client = NonRaisingClient(bootstrap_servers=f"127.0.0.1:{proxy.getsockname()[1]}")
        tries, until = 0, time.monotonic() + 1
        while time.monotonic() < until:
            client.maybe_connect("bootstrap-0")
            client.poll(timeout_ms=10)
            with suppress(BlockingIOError):
                proxy.accept()[0].close()
                tries += 1
        client.close()
    assert 1 <= tries <= 8  # pauses of 50 ms, and twice as long each time


def test_a_broker_that_answered_is_asked_before_one_that_may_be_silent(kafka: Any) -> None:
    with closing(
        NonRaisingClient(bootstrap_servers=reachable_servers(kafka.bootstrap_servers))
    ) as client:
        client.get_broker_version(10_000)
        (known,) = client.cluster.brokers()
        other = type(known)(node_id=99, host="127.0.0.1", port=1, rack=None)
        client.cluster._brokers[99] = other
        assert {client.least_loaded_node() for _ in range(50)} == {known.node_id}
        client.maybe_connect(known.node_id)
        full = client._manager._conns[known.node_id]
        full.pause("max_in_flight")
        assert client.least_loaded_node() == 99
        full.unpause("max_in_flight")
        client._manager.update_backoff(known.node_id)
        assert client.least_loaded_node() == 99


def test_metadata_are_asked_for_again_without_a_pause(
    kafka: Any, new_topic: Callable[..., str]
) -> None:
    """Else each topic that a reader turns to costs it up to a second."""
    topics = [new_topic(1), new_topic(1)]
    with PartitionReader(**reading_from_the_start(kafka)) as reader:
        for topic in topics * 3:
            reader.begin(topic, 0)
        assert reader._consumer._manager.connection_delay("metadata") == 0
        assert reader._consumer._cluster.topics() == {*topics}


def test_a_partition_that_was_paused_goes_on_while_another_one_flows(
    kafka: Any, new_topic: Callable[..., str]
) -> None:
    slow, other = TopicPartition(new_topic(1), 0), TopicPartition(new_topic(1), 0)
    read: list[Batch] = []
    with (
        closing(BatchProducer(bootstrap_servers=kafka.bootstrap_servers)) as producer,
        closing(BatchConsumer(**reading_from_the_start(kafka))) as consumer,
    ):

        def send(place: TopicPartition) -> None:
            producer.extend(place, [(1, b"k", b"v", ())])
            producer.flush_within(30)

        def reads(place: TopicPartition) -> bool:
            found = consumer.read(100)
            read.extend(batch for batch in found if batch.topic == slow.topic)
            return any(batch.topic == place.topic for batch in found)

        for _ in range(100):  # batches, more than one read returns
            send(slow)
        consumer.assign([slow, other])
        wait_until(lambda: reads(slow), "the first of them")
        consumer.pause(slow)
        send(other)
        wait_until(lambda: reads(other), "the other partition")
        consumer.resume(slow)

        def all_read() -> bool:
            send(other)
            reads(other)
            return sum(len(batch) for batch in read) == 100

        wait_until(all_read, "all of the slow one")


def test_a_wait_for_records_that_do_not_come_leaves_nothing_behind(
    kafka: Any, new_topic: Callable[..., str]
) -> None:
    """Else it holds the answer that was read before, until cycles are looked for."""
    place = TopicPartition(new_topic(1), 0)
    write(kafka, place, [(1, b"k", b"v", ())])
    with closing(BatchConsumer(**reading_from_the_start(kafka))) as consumer:
        consumer.assign([place])
        wait_until(lambda: bool(consumer.read(100)), "the record")
        gc.collect()
        gc.disable()
        try:
            for _ in range(9):
                assert not consumer.read(20)
            left = [it for it in gc.get_objects() if isinstance(it, KafkaTimeoutError)]
        finally:
            gc.enable()
    assert not left


def test_a_join_that_takes_longer_than_a_poll_is_taken_up(
    kafka: Any, new_topic: Callable[..., str]
) -> None:
    """Where its leader joins again since a partition was added, and the answer comes late."""
    topic = new_topic(1)
    group = {"group_id": f"late-{topic}", **reading_from_the_start(kafka)}
    with (
        closing(BatchConsumer(topic, **group)) as consumer,
        closing(Admin(kafka.bootstrap_servers)) as admin,
    ):

        def assigned() -> int:
            consumer.poll(timeout_ms=50)
            return len(consumer.assignment())

        wait_until(lambda: assigned() == 1, "the only partition")
        join = consumer._coordinator._do_join_and_sync_async
        joins: list[bytes] = []

        async def join_slowly() -> bytes:
            joins.append(await join())
            await consumer._net.sleep(0.2)  # while polls of 50 ms come and go
            return joins[-1]

        consumer._coordinator._do_join_and_sync_async = join_slowly
        admin.create_partitions({topic: 2})

        def joins_again() -> bool:
            consumer.refresh_metadata(10)
            return bool(assigned() and joins)

        wait_until(joins_again, "a second join")
        wait_until(lambda: assigned() == 2, "both partitions")


def test_a_committed_offset_that_was_asked_for_before_a_rebalance_is_not_taken_after_it(
    kafka: Any, new_topic: Callable[..., str]
) -> None:
    topic = new_topic(1)
    place = TopicPartition(topic, 0)
    write(kafka, place, [(1, b"k", b"v", ())] * 9)
    group = {"group_id": f"stale-{topic}", **reading_from_the_start(kafka)}
    with closing(BatchConsumer(topic, **group)) as consumer:
        coordinator = consumer._coordinator
        ask = coordinator._send_offset_fetch_request
        answers: list[Any] = []

        async def ask_slowly(partitions: Any) -> Any:
            found = await ask(partitions)
            await consumer._net.sleep(0.5)  # longer than the poll that asks
            answers.append(found)
            return found

        def is_assigned() -> bool:
            consumer.poll(timeout_ms=50)
            return bool(consumer.assignment())

        coordinator._send_offset_fetch_request = ask_slowly
        wait_until(is_assigned, "the partition")
        consumer.commit({place: OffsetAndMetadata(7, "", -1)})  # as another member would have
        wait_until(lambda: bool(answers), "an answer that nobody waits for")
        coordinator.request_rejoin()
        offsets: list[int] = []

        def reads() -> bool:
            offsets.extend(at for batch in consumer.read(2_000) for at in batch.offsets)
            return bool(offsets)

        wait_until(reads, "records")
        assert offsets == [7, 8]


def test_the_ends_of_a_partition_whose_leader_has_moved_are_asked_of_its_leader(
    kafka: Any, new_topic: Callable[..., str]
) -> None:
    place = TopicPartition(new_topic(1), 0)
    with closing(BatchConsumer(**reading_from_the_start(kafka))) as consumer:
        assert consumer.end_offsets([place]) == {place: 0}
        fetcher, cluster = consumer._fetcher, consumer._cluster
        read_answer = fetcher._handle_list_offsets_response
        known_at = cluster._last_successful_refresh_ms
        asked: list[bool] = []

        def answer_of_one_that_leads(response: Any) -> Any:
            asked.append(cluster._last_successful_refresh_ms > known_at)
            return read_answer(response) if asked[-1] else ({}, {place})

        fetcher._handle_list_offsets_response = answer_of_one_that_leads
        assert consumer.end_offsets([place], 5_000) == {place: 0}
        assert asked == [False, True]


def reading_from_the_start(kafka: Any) -> dict[str, Any]:
    return {
        "bootstrap_servers": kafka.bootstrap_servers,
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
    }
