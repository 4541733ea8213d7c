"""Settings from the environment: defaults, and one line for what is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from detector.service.settings import DetectorSettings
from generator.settings import GeneratorSettings
from service_kit.settings import ServiceSettings, SettingsError

REPOSITORY = Path(__file__).parents[2]

WRONG = {
    (service, name, value)
    for service, names in {
        DetectorSettings: {
            "COMMIT_INTERVAL_MS": ("x", "0", "-1", "5001", "1e9", "1.5"),
            "FRAUD_THRESHOLD": ("x", "-0.01", "1e13", "nan", "inf", "1e-999999999"),
            "PROCESSING_GUARANTEE": ("x",),
            "INSTANCE_ID": ("a b", "x" * 201),
            "CONSUMER_GROUP": ("a b", "x" * 201),
            "LEGIT_TOPIC": ("a b", "x" * 250),
            "FRAUD_TOPIC": ("a/b",),
            "DEAD_LETTER_TOPIC": ("ä",),
            "RULES_FILE": ("no-such-file", "/", "x" * 5_000),
            "RULES_TOPIC": ("a b", "x" * 250),
            "RULES_LOG_TOPIC": ("a b",),
            "STATE_TOPIC": ("a b",),
            "STATE_REPLAY_MAX": ("x", "-1", "1" + "0" * 10),
            "STATE_INTERVAL_MS": ("x", "0", "-1", "86400001"),
            "STATE_MAX_EVENTS": ("x", "0", "-1", "100001"),
            "STATE_MAX_ACCOUNTS": ("x", "0", "-1", "1" + "0" * 10),
            "STATE_MISSING": ("x",),
            "TOPIC_PARTITIONS": ("0", "x", "-1", "10001"),
            "TOPIC_REPLICATION_FACTOR": ("0", "x", "-1", "101"),
        },
        GeneratorSettings: {
            "TRANSACTIONS_PER_SECOND": ("x", "-1", "10000001", "1.5"),
            "TRANSACTIONS_TOTAL": ("x", "0", "-1", "1" + "0" * 16),
            "SEED": ("x", "-1", str(2**63)),
            "ACCOUNTS": ("x", "1", "-1", "1000001"),
        },
    }.items()
    for name, values in {
        **names,
        "KAFKA_BROKER_URL": (
            *("broker", "broker:", ":9092", "a:1,", "a b:1", "broker:port", "a:0", "a:65536"),
            *("a..b:1", f"{'a' * 64}:1", "ä:1", "a:\u0661", ",".join(["a:1"] * 101)),
        ),
        "TRANSACTIONS_TOPIC": ("a b", "x" * 250, ".", ".."),
        "LOG_LEVEL": ("TRACE", "2"),
        "LOG_FORMAT": ("xml",),
        "COMPRESSION_TYPE": ("brotli",),
        "RECORD_CODEC": ("fast",),
        "CPU_AFFINITY": ("0",),
        "METRICS_PORT": ("x", "0", "-1", "65536"),
        "HEALTH_FILE": ("/", "/no-such-folder/file", "x" * 5_000),
    }.items()
    for value in values
}


@pytest.mark.parametrize(("service", "name", "value"), sorted(WRONG, key=str))
def test_a_wrong_value_is_one_line_that_names_the_variable_and_what_is_allowed(
    service: type[ServiceSettings], name: str, value: str
) -> None:
    with pytest.raises(SettingsError) as failure:
        service.from_environment({name: value})
    (line,) = str(failure.value).splitlines()
    assert line.startswith(f"{name}={value!r}"[:60])
    assert f"{name} is: " in line
    assert len(line) < 400


EVERY = {
    (service, str(field.alias))
    for service in (DetectorSettings, GeneratorSettings)
    for field in service.model_fields.values()
}
OF_NO_VARIABLE = {
    "wrong": "/no/such folder\n",
    "huge": "9" * 400,
    "huge, of letters": "x" * 100_000,
    "negative": "-1",
}
MAY_BE_A_NAME = {  # that reads like a negative number
    *("TRANSACTIONS_TOPIC", "LEGIT_TOPIC", "FRAUD_TOPIC", "DEAD_LETTER_TOPIC", "STATE_TOPIC"),
    *("RULES_TOPIC", "RULES_LOG_TOPIC"),
    *("CONSUMER_GROUP", "INSTANCE_ID", "HEALTH_FILE"),
}


@pytest.mark.parametrize("kind", OF_NO_VARIABLE)
@pytest.mark.parametrize(("service", "name"), sorted(EVERY, key=str))
def test_no_variable_takes_what_is_wrong_huge_or_negative(
    service: type[ServiceSettings], name: str, kind: str
) -> None:
    if kind == "negative" and name in MAY_BE_A_NAME:
        return
    value = OF_NO_VARIABLE[kind]
    with pytest.raises(SettingsError) as failure:
        service.from_environment({name: value})
    (line,) = str(failure.value).splitlines()
    assert line.startswith(f"{name}={value!r}"[:60])
    assert len(line) < 400


def test_every_variable_that_can_be_wrong_is_tried() -> None:
    assert {(service, name) for service, name, _ in WRONG} == EVERY


@pytest.mark.parametrize("blank", ["", " ", "\n"])
@pytest.mark.parametrize("service", [DetectorSettings, GeneratorSettings])
def test_an_empty_variable_is_an_unset_one(service: type[ServiceSettings], blank: str) -> None:
    every = {str(field.alias): blank for field in service.model_fields.values()}
    assert service.from_environment(every) == service.from_environment({})


def test_blanks_around_a_value_do_not_count() -> None:
    given = {"KAFKA_BROKER_URL": "one:9092\n", "COMMIT_INTERVAL_MS": " 50 ", "FRAUD_TOPIC": "f\r"}
    found = DetectorSettings.from_environment(given)
    assert (found.kafka_broker_url, found.commit_interval_ms) == ("one:9092", 50)
    assert found.fraud_topic == "f"


@pytest.mark.parametrize(
    ("given", "level"),
    [("info", "INFO"), ("Debug", "DEBUG"), ("warn", "WARNING"), ("WARN", "WARNING")],
)
def test_a_log_level_may_be_written_as_other_programs_do(given: str, level: str) -> None:
    assert GeneratorSettings.from_environment({"LOG_LEVEL": given}).log_level == level


def test_a_word_of_a_list_may_be_in_any_case() -> None:
    given = {
        "LOG_FORMAT": "JSON",
        "COMPRESSION_TYPE": "LZ4",
        "RECORD_CODEC": "Client",
        "CPU_AFFINITY": "None",
        "PROCESSING_GUARANTEE": "AT_LEAST_ONCE",
        "STATE_MISSING": "Partial",
    }
    found = DetectorSettings.from_environment(given)
    assert {name: getattr(found, name.lower()) for name in given} == {
        name: value.lower() for name, value in given.items()
    }


@pytest.mark.parametrize("service", ["detector", "generator"])
def test_a_variable_that_kubernetes_made_of_a_service_is_ignored_with_a_warning(
    service: str, free_port: int
) -> None:
    link = {"METRICS_PORT": "tcp://10.43.17.4:9400"}
    nobody = {"KAFKA_BROKER_URL": f"localhost:{free_port}"}
    process = subprocess.Popen(
        [sys.executable, "-m", service],
        cwd=REPOSITORY,
        env={**os.environ, **link, **nobody},
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        told = json.loads(process.stderr.readline())
        process.terminate()
    assert told["event"].startswith("ignored: Kubernetes set this variable")
    assert (told["level"], told["variable"]) == ("warning", "METRICS_PORT")


def test_a_rules_file_that_may_not_be_read_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rules.yaml"
    file.touch()
    # The tests may run as root, who may read all.
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != (file, os.R_OK))
    with pytest.raises(SettingsError, match=f"user {os.getuid()} may not read it: chmod a\\+r it"):
        DetectorSettings.from_environment({"RULES_FILE": str(file)})


def test_without_variables_the_defaults_are_the_projects() -> None:
    detector = DetectorSettings.from_environment({})
    assert detector.kafka_broker_url == "broker:9092"
    assert detector.transactions_topic == "queueing.transactions"
    assert detector.output_topics == (
        "streaming.transactions.legit",
        "streaming.transactions.fraud",
        "streaming.transactions.dead-letter",
    )
    assert detector.processing_guarantee == "exactly_once"
    assert (detector.commit_interval_ms, detector.fraud_threshold) == (100, None)
    generator = GeneratorSettings.from_environment({})
    assert (generator.transactions_per_second, generator.accounts) == (1_000, 10_000)
    assert (generator.transactions_total, generator.seed) == (None, None)


def test_several_brokers_may_be_named() -> None:
    url = "one:9092,two:9092,10.0.0.3:9092"
    assert GeneratorSettings.from_environment({"KAFKA_BROKER_URL": url}).kafka_broker_url == url


def test_the_topics_must_differ() -> None:
    message = "topics must be different ones: .*LEGIT_TOPIC=x, FRAUD_TOPIC=x"
    with pytest.raises(SettingsError, match=message):
        DetectorSettings.from_environment({"LEGIT_TOPIC": "x", "FRAUD_TOPIC": "x"})
    with pytest.raises(SettingsError, match="topics must be different ones"):
        DetectorSettings.from_environment({"RULES_TOPIC": "detector.state"})


@pytest.mark.parametrize("service", [DetectorSettings, GeneratorSettings])
def test_help_lists_every_variable_with_its_default(service: type[ServiceSettings]) -> None:
    listed = service.variables().splitlines()
    assert len(listed) == len(service.model_fields)
    assert all("(default: " in line for line in listed)


@pytest.mark.parametrize("service", ["detector", "generator"])
@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("LOG_LEVEL", "loud\nINFO forged", r"'loud\nINFO forged'"),
        ("METRICS_PORT", "x", "'x'"),
        ("KAFKA_BROKER_URL", "x" * 100_000, "'xxx"),
        ("HEALTH_FILE", "/no-such-folder/file", "'/no-such-folder/file'"),
    ],
)
def test_a_service_with_a_wrong_setting_says_so_and_ends_with_status_2(
    service: str, name: str, value: str, shown: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", service],
        cwd=REPOSITORY,
        env={**os.environ, name: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{service}: {name}={shown}")
    assert " is not allowed: " in line
