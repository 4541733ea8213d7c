"""rules: check and try rules in a file, and activate them."""

import argparse
import getpass
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from detector.commands import bench, rules_file
from detector.domain.printable import clean
from detector.rules.file.loading import load, read_text
from detector.rules.language.diagnostics import suggestion
from detector.rules.tools.test_results import number_of_tests
from detector.rules.tools.test_runner import compiled, validated
from detector.service.published import Activation, Current, RulesTopic, read_published, write_file
from detector.service.settings import RULES_FILE, DetectorSettings
from detector.wire.verdicts import utc

_FINE, _NOT_DONE, _WRONG = 0, 1, 2
_MAX_TEXT, _SHOWN = 500, 60
_MIN_RECORDS = 100  # accounts of a measurement


def add_rules(parent: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The commands, with their arguments."""
    rules = parent.add_parser("rules", help="check, test, compare and publish rules")
    added = rules.add_subparsers(title="commands", metavar="COMMAND", required=True)
    rules_file.add_commands(added)
    for name, run in (("check", rules_file.check), ("test", rules_file.test)):
        added.choices[name].set_defaults(command=lambda its, run=run: _try_out(its, run))
    added.choices["diff"].set_defaults(command=lambda its: rules_file.diff(its, sys.stdout))
    _add(added, "publish", "check a rules file and write it to RULES_TOPIC, under its version")
    added.choices["publish"].add_argument("file", type=Path)
    _add(added, "activate", "make a published version the current one")
    added.choices["activate"].add_argument("version", nargs="?", metavar="VERSION")
    added.choices["activate"].add_argument(
        "--file", action="store_true", help="let RULES_FILE count again, in place of a version"
    )
    _add(added, "rollback", "go back to the version before")
    for name in ("activate", "rollback"):
        _add_activation(added.choices[name])
    _add(added, "list", "list the published versions, the current one marked with *")
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
    book = validated(load(text, name), name, settings.state_max_events)
    write_file(settings, book.version, text)
    held = f"{len(book.rules)} rules, {number_of_tests(book)} tests passed"
    _print(f"published {book.version} to {settings.rules_topic}: {held}")
    _print(f"activate it with: rules activate {book.version}")
    return _FINE


def activate(asked: argparse.Namespace) -> int:
    """Activates a published version, or RULES_FILE. Returns 1 where there is no such version,
    where another is current than was expected, or where somebody else did the same meanwhile.

    Raises:
        RulesError: it can't be used.
        SettingsError, StreamError: as `published.write_current`.
    """
    version = asked.version
    if (version is None) is not asked.file:
        return _not_done("name a version or --file, which is RULES_FILE", _WRONG)
    settings = DetectorSettings.from_environment(os.environ)
    with closing(RulesTopic(settings)) as topic:
        published = topic.read_all()
        if version is not None:
            if version not in published.files:
                known = suggestion(version, published.files) or "; rules list shows those there are"
                return _not_done(f'no rules were published as "{version}"{known}')
            published.book(version)
        activation = Activation(asked.by, time.time_ns() // 1_000_000, asked.why)
        current = published.current
        if (current and current.version) == version:
            return _unless_unexpected(asked, current) or _said(
                f"{_name(version)} is current already"
            )
        following = (
            current.followed_by(version, activation)
            if current
            else Current(version, (), *activation)
        )
        return _use(asked, topic, following)


def roll_back(asked: argparse.Namespace) -> int:
    """Activates the version before. Returns 1 where there is none; else as `activate`."""
    settings = DetectorSettings.from_environment(os.environ)
    with closing(RulesTopic(settings)) as topic:
        published = topic.read_all()
        activation = Activation(asked.by, time.time_ns() // 1_000_000, asked.why)
        before = published.current.rolled_back(activation) if published.current else None
        if before is None:
            return _not_done("no version was current before the one that is")
        if before.version is not None:
            published.book(before.version)
        return _use(asked, topic, before)


def _use(asked: argparse.Namespace, topic: RulesTopic, current: Current) -> int:
    old = topic.published.current
    if unexpected := _unless_unexpected(asked, old):
        return unexpected
    written = topic.make_current(current)
    others = [each for each in written if each != current]
    if not others:
        place = f", in place of {_name(old.version)}" if old else ""
        return _said(f"{_name(current.version)} is current{place}")
    other = others[-1]
    theirs = _described(other) if other else "RULES_FILE"
    if written[-1] == current:
        what = f"{_name(current.version)} is current, in place of what it was not meant to follow"
    else:
        what = f"{_name(current.version)} is not current: another activation came right after"
    return _not_done(f"{what}: {theirs}; rules list shows what counts")


def _unless_unexpected(asked: argparse.Namespace, current: Current | None) -> int:
    """A status other than 0 where another version is current than the one that was expected."""
    found = _name(current.version if current else None)
    if asked.expect in {None, found}:
        return _FINE
    return _not_done(f"{found} is current, and not {asked.expect}: nothing was changed")


def list_versions(_: argparse.Namespace) -> int:
    """Lists what was published, with who activated the current version, when and why; raises as
    `published.read_published`."""
    published = read_published(DetectorSettings.from_environment(os.environ))
    current = published.current
    if current and current.version is None:
        _print(f"* {_described(current)}")
    for version in published.files:
        if current and current.version == version:
            _print(f"* {_described(current)}")
            continue
        before = current.before.index(version) + 1 if current and version in current.before else 0
        _print(f"  {version}{f'  current {before} before' if before else ''}")
    return _FINE


def _name(version: str | None) -> str:
    return "RULES_FILE" if version is None else version


def _described(current: Current) -> str:
    """A version with who activated it, when and why, as far as that is known."""
    when = "" if current.at_ms is None else f"  activated {utc(current.at_ms)}"
    by = f" by {current.by}" if current.by else ""
    why = f": {current.why}" if current.why else ""
    return f"{_name(current.version)}{when}{by}{why}"


def measure(asked: argparse.Namespace) -> int:
    """Prints what each rule costs; raises RulesError."""
    for line in bench.costs(load(read_text(asked.file), str(asked.file)), asked.accounts):
        _print(line)
        sys.stdout.flush()
    return _FINE


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < _MIN_RECORDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {_MIN_RECORDS}")
    return int(text)


def _add_activation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--expect",
        metavar="VERSION",
        help="change nothing unless this one is current (RULES_FILE where none is)",
    )
    parser.add_argument("--why", type=_text, default="", metavar="TEXT", help="kept with it")
    parser.add_argument(
        "--by",
        type=_text,
        default=_user(),
        metavar="NAME",
        help="kept with it (default: %(default)s)",
    )


def _text(text: str) -> str:
    if not text.isprintable() or len(text) > _MAX_TEXT:
        raise argparse.ArgumentTypeError(
            f"{clean(text)[:_SHOWN]!r} is not a line of up to {_MAX_TEXT} characters"
        )
    return text


def _user() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # in a container there may be no name for the user
        user = f"{os.getuid()}"
    return f"{user}@{socket.gethostname()}".replace("%", "")


def _said(line: str) -> int:
    _print(line)
    return _FINE


def _print(line: str) -> None:
    sys.stdout.write(f"{clean(line)}\n")


def _not_done(why: str, status: int = _NOT_DONE) -> int:
    sys.stderr.write(f"detector: {clean(why)}\n")
    return status
