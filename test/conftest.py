"""One real Kafka for the whole session, and topics of its own for each test."""

import os
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from detecting import create_topic, wait_until
from hypothesis import HealthCheck, settings

from broker import BrokerUnavailable, Cluster
from broker.jars import server
from broker.settings import server_properties
from kafka_batch import RecordCodec, RecoverableError, describe_topics

# No example fails for the time that a busy machine takes for it.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

PROPERTIES = {
    # Some tests write timestamps of 1970, which the broker would delete with its next look.
    "log.retention.ms": "-1",
    # It is never killed, so it may look for the Kafka transactions of killed clients often.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
}
BROKER = Path(__file__).parents[1] / "broker"


@dataclass(frozen=True)
class Kafka:
    bootstrap_servers: str


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """From the released jars where Java 17 and Maven are there, else from the Docker image."""
    if os.environ.get("TEST_BROKER") != "docker" and jars_can_be_had():
        with Cluster(tmp_path_factory.mktemp("kafka"), properties=PROPERTIES) as cluster:
            yield Kafka(cluster.bootstrap_servers)
    else:
        with kafka_in_a_container() as found:
            yield found


@pytest.fixture
def new_topic(kafka: Kafka) -> Callable[..., str]:
    def create(partitions: int = 4, **configs: str) -> str:
        name = f"topic-{uuid.uuid4().hex[:12]}"
        create_topic(kafka.bootstrap_servers, name, partitions, **configs)
        return name

    return create


@pytest.fixture(params=[RecordCodec.AUTO, RecordCodec.CLIENT])
def record_codec(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> RecordCodec:
    """Whole batches, and what they fall back to, for this process and those that it starts."""
    monkeypatch.setenv("RECORD_CODEC", request.param)
    return RecordCodec(request.param)


@pytest.fixture
def free_port() -> int:
    return _free_port()


@pytest.fixture(scope="session")
def free_port_of_the_session() -> int:
    return _free_port()


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


def jars_can_be_had() -> bool:
    try:
        server(Path("server.properties"))
    except BrokerUnavailable:
        return False
    return True


@contextmanager
def kafka_in_a_container() -> Iterator[Kafka]:
    port = _free_port()
    settings = {
        **server_properties(brokers=1),
        **PROPERTIES,
        "node.id": "1",
        "listeners": f"PLAINTEXT://:{port},CONTROLLER://:9093",
        "advertised.listeners": f"PLAINTEXT://localhost:{port}",
        "controller.quorum.voters": "1@localhost:9093",
    }
    variables = {f"KAFKA_{key.upper().replace('.', '_')}": settings[key] for key in settings}
    flags = [word for key, value in variables.items() for word in ("-e", f"{key}={value}")]
    flags += ["-p", f"127.0.0.1:{port}:{port}"]
    for name in ("log4j2.yaml", "tools-log4j2.yaml"):  # as in docker-compose.kafka.yml
        flags += ["-v", f"{BROKER / name}:/mnt/shared/config/{name}:ro"]
    command = ["docker", "run", "-d", "--rm", *flags, "apache/kafka:4.3.1"]
    container = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    try:
        found = Kafka(f"localhost:{port}")
        wait_until_it_answers(found)
        yield found
    finally:
        subprocess.run(["docker", "kill", container], capture_output=True, check=True)


def wait_until_it_answers(kafka: Kafka) -> None:
    def answers() -> bool:
        try:
            describe_topics(kafka.bootstrap_servers, [])
        except RecoverableError:
            return False
        return True

    wait_until(answers, "Kafka answers")


def running_in(directory: Path) -> list[str]:
    """Command lines of the processes that mention a directory."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if str(directory) in line]
