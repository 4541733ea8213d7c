"""The real Kafka that is started without Docker."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import running_in
from detecting import (
    REPOSITORY,
    Topics,
    committed,
    create_topic,
    send_numbered,
    some_topics,
    wait_until,
)

from broker import BrokerUnavailable, Cluster

pytestmark = pytest.mark.skipif(
    not (shutil.which("java") and shutil.which("mvn")), reason="needs Java 17 and Maven"
)


# A killed broker counts as there for a third of the time that Kafka gives it by default.
SOON_GONE = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}


def topics_at(cluster: Cluster, replicas: int = 1) -> Topics:
    numbers = iter(range(10))

    def create(partitions: int, **configs: str) -> str:
        name = f"topic-{next(numbers)}"
        create_topic(cluster.bootstrap_servers, name, partitions, replicas, **configs)
        return name

    return some_topics(cluster.bootstrap_servers, create)


def pid_of(node: int, directory: Path) -> int:
    return int((directory / f"node-{node}" / "kafka.pid").read_text())


def test_it_keeps_its_data_over_restarts_and_leaves_no_process(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, properties=SOON_GONE)
    with cluster:
        topics = topics_at(cluster)
        send_numbered(topics, 0, 10)
    with cluster:
        assert len(committed(topics, topics.transactions)) == 10
        cluster.nodes[0].kill()
        cluster.nodes[0].start()
        assert len(committed(topics, topics.transactions)) == 10
    assert running_in(tmp_path) == []
    assert not list(tmp_path.glob("node-*/kafka.pid"))


def test_data_in_use_are_left_alone_until_the_process_is_gone_and_then_taken_over(
    tmp_path: Path,
) -> None:
    with Cluster(tmp_path, properties=SOON_GONE) as first:
        topics = topics_at(first)
        send_numbered(topics, 0, 10)
        pid = pid_of(1, tmp_path)
        with pytest.raises(BrokerUnavailable, match=rf"runs already .* \(kill {pid}\)"):
            Cluster(tmp_path).start()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: first.nodes[0].ended, "the process is gone")
        with Cluster(tmp_path, port=first.nodes[0].port, properties=SOON_GONE):
            assert pid_of(1, tmp_path) != pid
            assert len(committed(topics, topics.transactions)) == 10


def test_data_of_another_number_of_nodes_are_refused(tmp_path: Path) -> None:
    formatted = tmp_path / "node-1" / "data"
    formatted.mkdir(parents=True)
    (formatted / "meta.properties").touch()
    with pytest.raises(BrokerUnavailable, match="holds data of 1 node"):
        Cluster(tmp_path, nodes=3).start()
    assert running_in(tmp_path) == []


def test_three_nodes_serve_on_when_one_is_killed(tmp_path: Path) -> None:
    with Cluster(tmp_path, nodes=3, properties=SOON_GONE) as cluster:
        topics = topics_at(cluster, replicas=3)
        cluster.nodes[0].kill()
        send_numbered(topics, 0, 100)
        assert len(committed(topics, topics.transactions)) == 100
        cluster.kill()  # quicker than a clean stop
    assert running_in(tmp_path) == []


def test_none_of_its_threads_runs_once_it_is_paused(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        (node,) = cluster.nodes
        threads = Path(f"/proc/{pid_of(node.number, tmp_path)}/task")
        for _ in range(10):
            node.pause()
            states = [state_of(thread) for thread in threads.iterdir()]
            assert len(states) > 10
            assert set(states) == {"T"}
            node.resume()
            cluster.wait_until_up()


def state_of(thread: Path) -> str:
    """As in `man proc_pid_stat`: T is stopped."""
    return (thread / "stat").read_text().rpartition(")")[2].split()[0]


def test_a_server_that_ends_at_its_start_is_quoted(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, properties={"authorizer.class.name": "no.such.Authorizer"})
    with pytest.raises(BrokerUnavailable, match=r"(?s)kafka\.log:.*no\.such\.Authorizer"):
        cluster.start()
    assert running_in(tmp_path) == []


def test_a_setting_that_kafka_refuses_is_one_clear_line(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, properties={"num.network.threads": "none"})
    with pytest.raises(BrokerUnavailable, match=r"num\.network\.threads.*INT$"):
        cluster.start()


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
    shown = ["--formatter-property", "print.key=true", "--formatter-property", "key.separator= "]
    done = subprocess.run(
        [sys.executable, *tool, *asked, *shown],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(line[:17] for line in done.stdout.splitlines()) == [
        'n0 {"source":"n0"',
        'n1 {"source":"n1"',
        'n2 {"source":"n2"',
    ]
    assert "deprecated" not in done.stderr


@contextmanager
def running_beside(command: str, directory: Path, port: int) -> Iterator["subprocess.Popen[str]"]:
    """`python -m broker run` with a shell command that says "started" when it starts."""
    run = ["-m", "broker", "run", "--port", str(port), "--data", str(directory)]
    process = subprocess.Popen(
        [sys.executable, *run, "--", "sh", "-c", command],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        yield process
    finally:
        process.terminate()
        process.wait()


def said(err: str) -> list[str]:
    return [line.removeprefix("broker: ") for line in err.splitlines()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_first_and_kafka_last(
    tmp_path: Path, free_port: int, number: signal.Signals
) -> None:
    tells = "trap 'echo told; exit 3' TERM; echo started; while :; do sleep 0.1; done"
    with running_beside(tells, tmp_path, free_port) as process:
        process.send_signal(number)
        process.send_signal(number)  # a second one doesn't hurry it
        out, err = process.communicate(timeout=120)
    assert (out, process.returncode) == ("told\n", 3)
    assert said(err)[-2:] == ["stopping Kafka", "stopped"]
    assert running_in(tmp_path) == []


def test_what_the_command_left_running_ends_with_it(tmp_path: Path, free_port: int) -> None:
    leaves = f"sh -c 'while :; do sleep 0.1; done' {tmp_path}/left & echo started; exit 4"
    with running_beside(leaves, tmp_path, free_port) as process:
        process.communicate(timeout=120)
    assert process.returncode == 4
    assert running_in(tmp_path) == []


def test_the_command_is_told_when_kafka_ends_by_itself(tmp_path: Path, free_port: int) -> None:
    tells = "trap 'echo told; exit 0' TERM; echo started; while :; do sleep 0.1; done"
    with running_beside(tells, tmp_path, free_port) as process:
        os.kill(pid_of(1, tmp_path), signal.SIGKILL)
        out, err = process.communicate(timeout=120)
    assert (out, process.returncode) == ("told\n", 2)
    assert "Kafka ended by itself" in err
    assert running_in(tmp_path) == []
