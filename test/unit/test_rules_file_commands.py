"""The commands for a rules file, with output as it is."""

import argparse
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rules_oracle
from rules_builders import a_file, a_rule_text

from detector.commands import rules_file

SHIPPED = Path(__file__).parents[2] / "detector" / "rules.yaml"
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command in an empty folder, with files that have these texts."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str, **files: str) -> tuple[int, str]:
        for name, text in files.items():
            Path(f"{name}.yaml").write_text(text)
        parser = argparse.ArgumentParser()
        rules_file.add_commands(parser.add_subparsers(dest="command"))
        arguments, out = parser.parse_args(words), io.StringIO()
        if arguments.command == "diff":
            return rules_file.diff(arguments, out), out.getvalue()
        command = getattr(rules_file, arguments.command)
        return command(arguments, out, rules_oracle.engine, rules_oracle.MAX_EVENTS), out.getvalue()

    return run


def with_a_test(fires: bool) -> dict[str, Any]:  # noqa: FBT001
    payments = [{"at": "0s", "amount": 900, "fires": fires}]
    return a_rule_text(tests=[{"name": "at the limit", "payments": payments}])


def test_check_says_what_a_file_holds(run: Run) -> None:
    assert run("check", str(SHIPPED)) == (0, "10 rules, version ceb52f371119, 33 tests passed\n")


def test_check_says_what_is_wrong(run: Run) -> None:
    status, said = run("check", "a.yaml", a=a_file(a_rule_text(mode="x", observed="amont")))
    assert status == 2
    assert said.splitlines() == [
        'a.yaml:6:12: unknown mode "x"; it is one of active, shadow, off',
        'a.yaml:7:17: unknown name "amont"; did you mean "amount"?',
    ]


def test_check_says_when_there_is_no_file(run: Run) -> None:
    assert run("check", "a.yaml") == (2, "a.yaml:1:1: can't be read: No such file or directory\n")


@pytest.mark.parametrize("command", ["check", "test"])
def test_a_test_that_fails_is_a_failure(run: Run, command: str) -> None:
    status, said = run(command, "a.yaml", a=a_file(with_a_test(fires=False)))
    assert status == 1
    first, last = said.splitlines()
    assert first.startswith('a.yaml:14: a_rule, test "at the limit", payment 1 (at 0s, 900 USD)')
    assert last == "1 test of 1 failed"


def test_test_with_mutants(run: Run) -> None:
    status, said = run("test", "--mutate", str(SHIPPED))
    assert (status, said.splitlines()[1]) == (0, "63 mutants, none alive")


def test_a_mutant_that_lives_is_a_failure(run: Run) -> None:
    text = a_file(
        {**with_a_test(fires=True), "params": {"limit": {"*": 900}}, "threshold": "limit"}
    )
    status, said = run("test", "--mutate", "a.yaml", a=text)
    assert status == 1
    assert said.splitlines()[1:] == [
        "a.yaml:4: a_rule, no test notices limit: * 900 to 899.99",
        "3 mutants, 1 alive",
    ]


def test_mutants_wait_until_the_tests_pass(run: Run) -> None:
    status, said = run("test", "--mutate", "a.yaml", a=a_file(with_a_test(fires=False)))
    assert (status, "mutant" in said) == (1, False)


def test_diff_of_rules_that_judge_alike(run: Run) -> None:
    old, new = a_file(a_rule_text()), a_file(a_rule_text(source="else", threshold="900.00"))
    status, said = run("diff", "old.yaml", "new.yaml", old=old, new=new)
    assert status == 0
    assert said.startswith("no difference in what the rules do, version ")


def test_diff_says_in_words_what_changed(run: Run) -> None:
    params = {"limit": {"USD": 900, "JPY": 1}, "window": "24h", "n": 3, "gone": 1}
    before = a_rule_text(
        params=params, threshold="limit", when="count(window) > n", reason="{gone}"
    )
    params = {"limit": {"USD": "900.50", "EUR": 2}, "window": "90d", "n": 4, "k": 2.5}
    after = a_rule_text(
        mode="shadow",
        params=params,
        observed="sum(window)",
        threshold="limit * 2",
        when="count(window)>=n",
        reason="{k}{{}}",
    )
    same, old, new = (a_rule_text(name=name) for name in ("same", "old", "new"))
    status, said = run(
        "diff", "old.yaml", "new.yaml", old=a_file(old, before, same), new=a_file(same, after, new)
    )
    assert status == 1
    lines = said.splitlines()
    assert lines[0].startswith("changed: a_rule, ")
    assert lines[1:-1] == [
        "  mode: active to shadow",
        "  limit USD: 900 to 900.5",
        "  limit JPY: 1 to none",
        "  limit EUR: none to 2",
        "  window: 24h to 90d",
        "  n: 3 to 4",
        "  gone: 1 to none",
        "  k: none to 2.5",
        '  observed: "amount" to "sum(window)"',
        '  threshold: "limit" to "limit * 2"',
        '  when: "count(window) > n" to "count(window) >= n"',
        '  reason: "{gone}" to "{k}{{}}"',
        "added: new (active)",
        "removed: old (active)",
        "reordered: same, a_rule",
    ]
    assert lines[-1].startswith("version ")


def test_diff_says_what_is_wrong_in_either_file(run: Run) -> None:
    status, said = run("diff", "old.yaml", "new.yaml", old="", new="5")
    assert status == 2
    assert [line.partition(":")[0] for line in said.splitlines()] == ["old.yaml", "new.yaml"]
