"""The command line: rules that are checked without Kafka or settings, help, and exit statuses."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rulebooks import SHIPPED, large_amount

from detector.commands.bench import costs
from detector.commands.line import main
from detector.rules.file.loading import RulesError, load
from detector.service.rulebook import read_rules
from detector.service.settings import DetectorSettings

REPOSITORY = Path(__file__).parents[2]
# No setting is right: what needs one would say so.
BROKEN = {"LOG_LEVEL": "loud", "KAFKA_BROKER_URL": "nowhere"}
TESTED = """    tests:
      - {name: at the limit, payments: [{at: 0s, amount: 900, fires: true}, {at: 1s, amount: X}]}
"""
FREQUENT = (
    large_amount(900)
    .replace("observed: amount", "observed: count(1h)")
    .replace('{"*": 900}', "150")
)

Outcome = tuple[int, str, str]
"""Exit status, standard output and standard error."""

Run = Callable[..., Outcome]


@pytest.fixture
def detector(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """python -m detector, in this process."""

    def run(*arguments: str, **environment: str) -> Outcome:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        try:
            status = main(arguments)
        except SystemExit as end:
            status = int(end.code or 0)
        return status, *capsys.readouterr()

    return run


def started(**environment: str) -> Outcome:
    """python -m detector, as a process."""
    done = subprocess.run(
        [sys.executable, "-m", "detector"],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(large_amount(900) + TESTED.replace("X", "899.99"))
    return path


@pytest.fixture
def failing(tmp_path: Path) -> Path:
    """With a test that fails."""
    path = tmp_path / "failing.yaml"
    path.write_text(large_amount(900) + TESTED.replace("X", "900.01"))
    return path


def test_check_tells_what_a_file_holds(detector: Run, rules: Path) -> None:
    version = load(rules.read_text()).version
    expected = (0, f"1 rule, version {version}, 1 test passed\n", "")
    assert detector("rules", "check", str(rules), **BROKEN) == expected


def test_check_runs_the_tests_in_the_compiled_rules(detector: Run, failing: Path) -> None:
    status, out, _ = detector("rules", "check", str(failing), **BROKEN)
    assert (status, out.splitlines()) == (
        1,
        [
            f'{failing}:11: large_amount, test "at the limit", payment 2 (at 1s, 900.01 USD): '
            "fires, expected not to; observed 900.01 USD, threshold 900.00 USD",
            "1 test of 1 failed",
        ],
    )


def test_check_says_where_a_mistake_is(detector: Run, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(large_amount(900).replace("observed: amount", "observed: amout"))
    status, out, _ = detector("rules", "check", str(wrong), **BROKEN)
    assert status == 2
    assert out == f'{wrong}:7:15: unknown name "amout"; did you mean "amount"?\n'


def test_check_says_that_a_bound_is_out_of_reach_with_the_setting_of_the_detector(
    detector: Run, tmp_path: Path
) -> None:
    frequent = tmp_path / "frequent.yaml"
    frequent.write_text(FREQUENT)
    assert detector("rules", "check", str(frequent), **BROKEN)[0] == 0
    status, out, _ = detector("rules", "check", str(frequent), STATE_MAX_EVENTS="100")
    assert status == 2
    assert out.startswith(f"{frequent}:4:1: large_amount needs count to reach 150, and STATE_MAX_")
    status, _, error = detector("rules", "check", str(frequent), STATE_MAX_EVENTS="0")
    assert (status, "STATE_MAX_EVENTS='0'" in error) == (2, True)


def test_the_rules_that_ship_leave_no_mutant_alive(detector: Run) -> None:
    status, out, _ = detector("rules", "test", str(SHIPPED), "--mutate", **BROKEN)
    assert status == 0
    assert re.search("[0-9]{2} mutants, none alive$", out.strip())


def test_a_mutant_that_no_test_notices_is_named(detector: Run, tmp_path: Path) -> None:
    untested = tmp_path / "untested.yaml"
    untested.write_text(large_amount(900))
    status, out, _ = detector("rules", "test", str(untested), "--mutate", **BROKEN)
    assert status == 1
    assert f"{untested}:4: large_amount, no test notices limit: * 900 to 900.01" in out


def test_diff_says_what_another_file_changes(detector: Run, rules: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(rules.read_text().replace("900}", "950}"))
    status, out, _ = detector("rules", "diff", str(rules), str(other), **BROKEN)
    assert status == 1
    assert "limit *: 900 to 950" in out
    assert detector("rules", "diff", str(rules), str(rules), **BROKEN)[0] == 0


def test_a_detector_does_not_start_with_a_bound_that_is_out_of_reach(rules: Path) -> None:
    rules.write_text(FREQUENT)
    environment = {"RULES_FILE": str(rules), "STATE_MAX_EVENTS": "100"}
    with pytest.raises(RulesError, match="STATE_MAX_EVENTS=100"):
        read_rules(DetectorSettings.from_environment(environment))


def test_a_detector_whose_rules_fail_a_test_does_not_start(failing: Path) -> None:
    status, out, error = started(RULES_FILE=str(failing))
    assert (status, out) == (2, "")
    (line,) = error.splitlines()
    assert line.startswith(f"detector: {failing}:11: large_amount, test ")


def test_the_tests_of_the_file_count_also_where_the_settings_give_another_limit(
    rules: Path,
) -> None:
    settings = {"RULES_FILE": str(rules), "FRAUD_THRESHOLD": "1"}
    (rule,) = read_rules(DetectorSettings.from_environment(settings)).rules
    assert rule.params["limit"].value == {"*": 1}


@pytest.mark.parametrize("command", ["publish", "activate", "rollback", "list"])
def test_what_needs_the_rules_topic_says_so(detector: Run, command: str, rules: Path) -> None:
    arguments = {"publish": [str(rules)], "activate": ["0123456789ab"]}.get(command, [])
    status, out, error = detector("rules", command, *arguments)
    assert (status, out) == (2, "")
    assert error == "detector: RULES_TOPIC is not set: the topic that rules are published to\n"


COMMANDS = [
    [],
    ["run"],
    ["create-topics"],
    ["rules"],
    *[["rules", name] for name in ("check", "test", "diff", "publish", "activate", "rollback")],
    ["rules", "list"],
    ["rules", "bench"],
    ["explain"],
    ["tail"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(detector: Run, command: Sequence[str]) -> None:
    status, out, error = detector(*command, "--help", **BROKEN)
    assert (status, error) == (0, "")
    usage = " ".join(["usage: python -m detector", *command])
    assert out.startswith(usage)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rule"], "invalid choice: 'rule'"),
        (["rules"], "required: COMMAND"),
        (["rules", "check"], "required: file"),
        (["rules", "diff", "one"], "required: new"),
        (["tail", "--limit", "0"], "'0' is not a whole number from 1"),
        (["rules", "bench", "--accounts", "many"], "'many' is not a whole number from 100"),
    ],
)
def test_what_can_not_be_asked_for_is_said_with_status_2(
    detector: Run, arguments: Sequence[str], words: str
) -> None:
    status, out, error = detector(*arguments)
    assert (status, out) == (2, "")
    assert words in error.splitlines()[-1]


def test_bench_measures_each_rule_and_all_together() -> None:
    head, *measured = costs(load(large_amount(900, 500)), 400)
    assert "400 accounts" in head
    names = [line.split("  ", 1)[0] for line in measured]
    assert names == [
        "all 2 rules together",
        "five further conditions",
        "reasons",
        "remembering alone",
        "large_amount",
        "large_amount_0",
    ]
    together, *_, last = measured
    assert float(together.rsplit(" ", 1)[1]) > 0
    assert float(last.split()[1]) > 0
