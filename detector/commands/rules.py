"""rules: check and try rules in a file, and put them in force."""

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from detector.commands import bench
from detector.published import Current, Published, read_published, write_current, write_file
from detector.rules import commands
from detector.rules.file import load, read_text
from detector.rules.mistakes import suggestion
from detector.rules.proof import number_of_tests
from detector.rules.trial import compiled, proven
from detector.settings import RULES_FILE, DetectorSettings

_FINE, _NOT_DONE = 0, 1
_FEWEST = 100  # accounts of a measurement


def add_rules(parent: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The commands, with their arguments."""
    rules = parent.add_parser("rules", help="check, test, compare and publish rules")
    added = rules.add_subparsers(title="commands", metavar="COMMAND", required=True)
    commands.add_commands(added)
    for name, run in (("check", commands.check), ("test", commands.test)):
        added.choices[name].set_defaults(command=lambda its, run=run: _try_out(its, run))
    added.choices["diff"].set_defaults(command=lambda its: commands.diff(its, sys.stdout))
    _add(added, "publish", "check a rules file and write it to RULES_TOPIC, under its version")
    added.choices["publish"].add_argument("file", type=Path)
    _add(added, "activate", "put a published version in force")
    added.choices["activate"].add_argument("version")
    _add(added, "rollback", "put the version in force again that was so before")
    _add(added, "list", "list the published versions, that in force marked with *")
    bench_ = added.add_parser("bench", help="measure what each rule costs a transaction")
    bench_.add_argument("file", type=Path, nargs="?", default=RULES_FILE)
    bench_.add_argument(
        "--accounts", type=_number, default=bench.ACCOUNTS, help="that pay (default: %(default)s)"
    )
    bench_.set_defaults(command=measure)


def _add(
    added: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, meaning: str
) -> None:
    run = {"publish": publish, "activate": activate, "rollback": roll_back, "list": list_versions}
    added.add_parser(name, help=meaning, description=f"{meaning}.").set_defaults(command=run[name])


def _try_out(asked: argparse.Namespace, run: Callable[..., int]) -> int:
    """Checks or tests a file, where as many payments are kept of an account as the one setting says
    that this needs.

    Raises:
        SettingsError: that has a wrong value.
    """
    given = {name: value for name, value in os.environ.items() if name == "STATE_MAX_EVENTS"}
    max_events = DetectorSettings.from_environment(given).state_max_events
    return run(asked, sys.stdout, partial(compiled, max_events=max_events), max_events)


def publish(asked: argparse.Namespace) -> int:
    """Writes a file that is right, and whose tests hold, under its version.

    Raises:
        RulesError: there are mistakes in it, or a test fails.
        SettingsError, StreamError: as `published.write_file`.
    """
    settings = DetectorSettings.from_environment(os.environ)
    text, name = read_text(asked.file), str(asked.file)
    book = proven(load(text, name), name, settings.state_max_events)
    write_file(settings, book.version, text)
    held = f"{len(book.rules)} rules, {number_of_tests(book)} tests passed"
    _print(f"published {book.version} to {settings.rules_topic}: {held}")
    _print(f"put it in force with: rules activate {book.version}")
    return _FINE


def activate(asked: argparse.Namespace) -> int:
    """Puts a published version in force. Returns 1 where there is no such version.

    Raises:
        RulesError: it can't be used.
        SettingsError, StreamError: as `published.write_current`.
    """
    settings = DetectorSettings.from_environment(os.environ)
    published = read_published(settings)
    version = asked.version
    if version not in published.files:
        known = suggestion(version, published.files) or "; rules list shows those there are"
        return _not_done(f'no rules were published as "{version}"{known}')
    published.book(version)
    current = published.current
    if current is not None and current.version == version:
        _print(f"{version} is in force already")
        return _FINE
    following = current.followed_by(version) if current else Current(version)
    return _put_in_force(settings, published, following)


def roll_back(_: argparse.Namespace) -> int:
    """Puts the version before in force. Returns 1 where there is none; raises as `activate`."""
    settings = DetectorSettings.from_environment(os.environ)
    published = read_published(settings)
    before = published.current.rolled_back() if published.current else None
    if before is None:
        return _not_done("no version was in force before the one that is")
    published.book(before.version)
    return _put_in_force(settings, published, before)


def _put_in_force(settings: DetectorSettings, published: Published, current: Current) -> int:
    write_current(settings, current)
    old = published.current
    _print(f"{current.version} is in force{f', in place of {old.version}' if old else ''}")
    return _FINE


def list_versions(_: argparse.Namespace) -> int:
    """Lists what was published; raises as `published.read_published`."""
    published = read_published(DetectorSettings.from_environment(os.environ))
    current = published.current
    for version in published.files:
        mark = "*" if current and current.version == version else " "
        before = current.before.index(version) + 1 if current and version in current.before else 0
        _print(f"{mark} {version}{f'  in force {before} before' if before else ''}".rstrip())
    return _FINE


def measure(asked: argparse.Namespace) -> int:
    """Prints what each rule costs; raises RulesError."""
    for line in bench.costs(load(read_text(asked.file), str(asked.file)), asked.accounts):
        _print(line)
        sys.stdout.flush()
    return _FINE


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < _FEWEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {_FEWEST}")
    return int(text)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _not_done(why: str) -> int:
    sys.stderr.write(f"detector: {why}\n")
    return _NOT_DONE
