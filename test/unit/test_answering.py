"""Which servers answer as Kafka does, before a client bootstraps from one."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from kafka.errors import KafkaConnectionError

from kafka_batch._client.kafka_python_3_0.bootstrap import reachable_servers


@contextmanager
def a_server_that_says(words: bytes) -> Iterator[str]:
    """One that says this to whoever connects, whatever is asked, and closes."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # closed
                return
            with connection:
                connection.recv(100)
                connection.sendall(words)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "words", [b"HTTP/1.0 400 Bad request\r\n", b"\x15\x03\x01\x00\x02\x02\n", b""]
)
def test_what_does_not_speak_kafka_is_told_as_such(words: bytes) -> None:
    with (
        a_server_that_says(words) as server,
        pytest.raises(KafkaConnectionError, match=f"{server}: what listens there does not speak"),
    ):
        reachable_servers(server)


def test_a_broker_is_taken_beside_what_is_none() -> None:
    version_response = (8).to_bytes(4) + (1).to_bytes(4) + bytes(4)
    with (
        a_server_that_says(b"HTTP/1.0 400 Bad request\r\n") as other,
        a_server_that_says(version_response) as broker,
    ):
        assert reachable_servers(f"{other},{broker}") == [broker]
