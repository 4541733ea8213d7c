"""The way its users start it: docker compose, from up to down."""

import json
import os
import subprocess
from collections.abc import Iterator

import pytest
from detecting import REPOSITORY, wait_until
from report.verdict import EXPECTED

PROJECT = "fraud-detector-test"


def docker(*arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["docker", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=check
    )


def compose(*arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    return docker("compose", "-p", PROJECT, *arguments, check=check)


def engine_answers() -> bool:
    try:
        return not (
            docker("info", check=False).returncode
            or docker("compose", "version", check=False).returncode
        )
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(
    not engine_answers(), reason="no Docker engine with compose answers"
)


def containers(service: str) -> list[str]:
    return compose("ps", "-a", "-q", service).stdout.split()


def state(container: str) -> dict[str, object]:
    (found,) = json.loads(docker("inspect", container).stdout)
    return dict(found["State"])


def healthy(service: str) -> bool:
    states = [state(container) for container in containers(service)]
    return bool(states) and all(
        dict(found.get("Health") or {}).get("Status") == "healthy"  # type: ignore[call-overload]
        for found in states
    )


@pytest.fixture(scope="module")
def stack() -> Iterator[None]:
    """The broker on its own first, then everything, with two detectors."""
    compose("down", "--volumes", "--remove-orphans")
    try:
        compose("build")
        compose("--profile", "report", "build", "report")
        compose("-f", "docker-compose.kafka.yml", "up", "-d")
        done = compose("up", "-d", "--scale", "detector=2", check=False)
        assert done.returncode == 0, done.stderr
        wait_until(lambda: healthy("detector") and healthy("generator"), "all are healthy")
        yield
    finally:
        compose("down", "--volumes", "--remove-orphans")


def report(seconds: int) -> "subprocess.CompletedProcess[str]":
    run = ["--profile", "report", "run", "--rm", "--no-deps", "-T", "report", str(seconds)]
    return compose(*run, check=False)


@pytest.mark.usefixtures("stack")
def test_both_streams_flow_and_the_report_says_so() -> None:
    done = report(10)
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


@pytest.mark.usefixtures("stack")
def test_the_script_measures_it_from_the_host_too() -> None:
    script = str(REPOSITORY / "test" / "run.sh")
    environment = {k: v for k, v in os.environ.items() if k != "KAFKA_BROKER_URL"}
    done = subprocess.run(
        [script, "3"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    assert "# legitimate transactions = " in done.stdout


@pytest.mark.usefixtures("stack")
def test_a_fraud_is_tailed_with_its_reason_by_the_stock_tool() -> None:
    tool = "/opt/kafka/bin/kafka-console-consumer.sh"
    asked = "--bootstrap-server localhost:9092 --topic streaming.transactions.fraud"
    shown = "--isolation-level read_committed --formatter-property print.headers=true"
    command = [tool, *asked.split(), *shown.split(), "--from-beginning", "--max-messages", "1"]
    (line,) = compose("exec", "-T", "broker", *command).stdout.splitlines()
    assert line.startswith("judged:queueing.transactions/")
    assert '"currency":"USD"' in line


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("service", ["generator", "detector"])
def test_a_service_has_no_rights_it_does_not_need(service: str) -> None:
    assert compose("exec", "-T", service, "id", "-u").stdout.strip() == "10001"
    written = compose("exec", "-T", service, "touch", "/app/x", check=False)
    assert "Read-only file system" in written.stderr
    status = compose("exec", "-T", service, "cat", "/proc/1/status").stdout
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


@pytest.mark.usefixtures("stack")
def test_a_stopped_service_ends_by_itself_with_status_0() -> None:
    ended = containers("detector") + containers("generator")
    compose("stop", "detector", "generator")
    assert len(ended) == 3
    assert [state(container)["ExitCode"] for container in ended] == [0, 0, 0]
