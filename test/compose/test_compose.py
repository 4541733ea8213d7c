"""The way its users start it: docker compose, from up to down."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from compose.stack import Stack, checkout, engine_answers
from pages import section, type_all
from report.verdict import EXPECTED

from kafka_batch import describe_topics


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, free_port_of_the_session: int
) -> Iterator[Stack]:
    """Everything, with two detectors, from a folder with a name that is hard to quote; the broker
    on its own first."""
    if not engine_answers():
        pytest.skip("no Docker engine with compose answers")
    folder = tmp_path_factory.mktemp("compose") / "a fresh clöne, it's mine"
    found = Stack(checkout(folder), free_port_of_the_session)
    found.compose("down", "--volumes", "--remove-orphans")
    try:
        found.compose("-f", "docker-compose.kafka.yml", "up", "-d")
        found.compose("up", "-d", "--scale", "detector=2")
        found.wait_until_healthy("detector", "generator")
        yield found
    finally:
        found.compose("down", "--volumes", "--remove-orphans", "--rmi", "local")


def test_both_streams_flow_and_the_report_says_so(stack: Stack) -> None:
    done = stack.run("test/run.sh", "10", check=False)
    lines = done.stdout.splitlines()
    values = {line.split(" = ")[0]: line.split(" = ")[1] for line in lines if " = " in line}
    fraud, legit = (int(values[f"# {kind} transactions"]) for kind in ("fraudulent", "legitimate"))
    assert fraud > 0
    assert legit > 0
    assert values["# dead letters"] == "0"
    low, high = (
        float(part.split(" %")[0]) for part in values["99 % confidence interval"].split(" to ")
    )
    # One honest window in a hundred lies outside its interval, and must say so.
    expected = low <= round(100 * EXPECTED, 2) <= high
    assert done.returncode == (0 if expected else 1), done.stderr


def test_a_fraud_is_tailed_with_its_reason_by_the_stock_tool(stack: Stack) -> None:
    tool = "/opt/kafka/bin/kafka-console-consumer.sh"
    asked = "--bootstrap-server localhost:9092 --topic streaming.transactions.fraud"
    shown = "--isolation-level read_committed --formatter-property print.headers=true"
    command = [tool, *asked.split(), *shown.split(), "--from-beginning", "--max-messages", "1"]
    (line,) = stack.compose("exec", "-T", "broker", *command).stdout.splitlines()
    assert line.startswith("judged:queueing.transactions/")
    assert '"currency":"USD"' in line


def test_a_client_on_the_host_reaches_the_broker_at_its_port(stack: Stack) -> None:
    topic = "queueing.transactions"
    assert describe_topics(f"localhost:{stack.port}", [topic])[topic].partitions == 4


def test_a_broker_whose_logs_are_quiet_still_says_what_is_wrong(stack: Stack) -> None:
    config = "/opt/kafka/config/log4j2.yaml"  # made by the image, of ours and of its variables
    made = stack.compose("exec", "-T", "broker", "cat", config).stdout
    assert 'level: "WARN"' in made
    assert 'ref: "Console"' in made


@pytest.fixture
def another(tmp_path: Path, free_port: int) -> Iterator[Stack]:
    """A second checkout, of which nothing runs yet."""
    found = Stack(checkout(tmp_path / "second"), free_port)
    try:
        yield found
    finally:
        found.compose("down", "--volumes", "--remove-orphans")


def test_a_second_checkout_has_a_broker_of_its_own_which_other_hosts_reach(
    stack: Stack, another: Stack
) -> None:
    first = stack.containers("broker")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: it tells which of our addresses would
        address = probe.getsockname()[0]
    up = ["-f", "docker-compose.kafka.yml", "up", "-d", "--wait"]
    another.compose(*up, BROKER_HOST=address)
    assert describe_topics(f"{address}:{another.port}", []) == {}
    assert another.compose("ps", "-q", "broker").stdout.split() not in ([], first)
    assert stack.containers("broker") == first


def test_a_taken_port_is_named(stack: Stack, another: Stack) -> None:
    taken = replace(another, port=stack.port)
    done = taken.compose("-f", "docker-compose.kafka.yml", "up", "-d", check=False)
    assert done.returncode != 0
    assert str(stack.port) in done.stderr


@pytest.mark.parametrize("name", ["my-rules.yaml", "./my-rules.yaml"])
def test_rules_of_the_host_take_the_place_of_those_that_ship(stack: Stack, name: str) -> None:
    shipped = (stack.folder / "detector" / "rules.yaml").read_text()
    own = stack.folder / "my-rules.yaml"
    own.write_text(shipped.replace('{limit: {"*": 900}}', '{limit: {"*": 950}}'))
    own.chmod(0o644)
    command = ["run", "--rm", "--no-deps", "-T", "detector", "rules", "diff"]
    done = stack.compose(
        *command, "detector/rules.yaml", "/mnt/rules.yaml", check=False, RULES_FILE=name
    )
    assert "changed: large_amount" in done.stdout, done.stderr


def test_a_rules_file_that_is_not_there_is_one_line_and_nothing_is_made(stack: Stack) -> None:
    command = ["run", "--rm", "--no-deps", "-T", "detector", "--help"]
    done = stack.compose(*command, check=False, RULES_FILE="nowhere.yaml")
    assert done.returncode != 0
    (line,) = (line for line in done.stderr.splitlines() if "nowhere.yaml" in line)
    assert "does not exist" in line
    assert not (stack.folder / "nowhere.yaml").exists()


def test_a_rules_file_that_only_its_owner_may_read_is_one_line_with_what_to_do(
    stack: Stack,
) -> None:
    own = stack.folder / "private.yaml"
    own.write_text("format: 1\n")
    own.chmod(0o600)
    command = ["run", "--rm", "--no-deps", "-T", "detector"]
    done = stack.compose(*command, check=False, RULES_FILE=own.name)
    assert done.returncode == 2
    assert "/mnt/rules.yaml' is not allowed: user 10001 may not read it: chmod a+r" in done.stderr


def test_the_rules_page_is_true_in_containers(stack: Stack) -> None:
    page = section(stack.folder / "docs" / "rules.md", "Ten minutes")
    assert type_all(page, stack.folder, stack.environment) == page.count("\n    $ ") == 17


@pytest.mark.parametrize("service", ["generator", "detector"])
def test_a_service_has_no_rights_it_does_not_need(stack: Stack, service: str) -> None:
    assert stack.compose("exec", "-T", service, "id", "-u").stdout.strip() == "10001"
    written = stack.compose("exec", "-T", service, "touch", "/app/x", check=False)
    assert "Read-only file system" in written.stderr
    status = stack.compose("exec", "-T", service, "cat", "/proc/1/status").stdout
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


def test_a_stopped_service_ends_by_itself_with_status_0(stack: Stack) -> None:
    ended = stack.containers("detector") + stack.containers("generator")
    stack.compose("stop", "detector", "generator")
    assert len(ended) == 3
    assert [stack.state(container)["ExitCode"] for container in ended] == [0, 0, 0]
