"""The real Kafka that is started without Docker."""

import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import running_in
from detecting import REPOSITORY, Topics, committed, send_numbered, some_topics, wait_until

from broker import BrokerUnavailable, Cluster
from kafka_batch import create_topics

pytestmark = pytest.mark.skipif(
    not (shutil.which("java") and shutil.which("mvn")), reason="needs Java 17 and Maven"
)


def topics_at(cluster: Cluster, replicas: int = 1) -> Topics:
    numbers = iter(range(10))

    def create(partitions: int, **configs: str) -> str:
        name = f"topic-{next(numbers)}"
        create_topics(cluster.bootstrap_servers, {name: configs}, partitions, replicas)
        return name

    return some_topics(cluster.bootstrap_servers, create)


def test_it_keeps_its_data_over_a_restart_and_leaves_no_process(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    with cluster:
        topics = topics_at(cluster)
        send_numbered(topics, 0, 10)
    with cluster:
        assert len(committed(topics, topics.transactions)) == 10
    assert running_in(tmp_path) == []


def test_three_nodes_serve_on_when_one_is_killed(tmp_path: Path) -> None:
    with Cluster(tmp_path, nodes=3) as cluster:
        topics = topics_at(cluster, replicas=3)
        cluster.nodes[0].kill()
        send_numbered(topics, 0, 100)
        assert len(committed(topics, topics.transactions)) == 100


def test_a_taken_port_is_one_clear_line(tmp_path: Path, free_port: int) -> None:
    with (
        socket.create_server(("127.0.0.1", free_port)),
        pytest.raises(BrokerUnavailable, match=f"port {free_port} is taken"),
    ):
        Cluster(tmp_path, port=free_port).start()


def test_a_console_tool_reads_what_was_written(kafka: Any, new_topic: Any) -> None:
    topics = some_topics(kafka.bootstrap_servers, new_topic)
    send_numbered(topics, 0, 3)
    tool = ["-m", "broker", "console-consumer", "--bootstrap-server", kafka.bootstrap_servers]
    asked = ["--topic", topics.transactions, "--from-beginning", "--max-messages", "3"]
    done = subprocess.run(
        [sys.executable, *tool, *asked], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert sorted(line[:14] for line in done.stdout.splitlines()) == [
        '{"source":"n0"',
        '{"source":"n1"',
        '{"source":"n2"',
    ]


@pytest.fixture
def started(tmp_path: Path, free_port: int) -> Iterator[subprocess.Popen[str]]:
    """`python -m broker run` with a command that says when it starts and when it is told to end."""
    child = "trap 'echo told; exit 0' TERM; echo started; while :; do sleep 0.1; done"
    run = ["-m", "broker", "run", "--port", str(free_port), "--data", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, *run, "--", "sh", "-c", child],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield process
    process.kill()
    process.wait()


def test_a_signal_ends_the_command_first_and_kafka_last(
    started: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert started.stdout is not None
    assert started.stdout.readline() == "started\n"
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=120)
    assert out == "told\n"
    assert started.returncode == 0
    said = [line.removeprefix("broker: ") for line in err.splitlines()]
    assert said[-3:] == ["Kafka is up", "stopping Kafka", "stopped"]
    wait_until(lambda: not running_in(tmp_path), "no process is left")
