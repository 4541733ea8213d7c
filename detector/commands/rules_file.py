"""The commands for a rules file: is it right, do its tests hold, what does another change."""

import argparse
from pathlib import Path
from typing import TextIO

from detector.domain.printable import clean
from detector.rules.file.loading import RulesError, load_file
from detector.rules.language.tree import Rulebook
from detector.rules.tools.difference import differences
from detector.rules.tools.mutation import all_mutants
from detector.rules.tools.reachable import require_enough_events
from detector.rules.tools.test_results import Engine, failures, number_of_tests

_FINE, _FOUND, _UNREADABLE = 0, 1, 2


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """check, test and diff, with their arguments; the command's name is for the caller."""
    check_ = commands.add_parser("check", help="find mistakes in a rules file, and run its tests")
    check_.add_argument("file", type=Path)
    test_ = commands.add_parser("test", help="run the tests in a rules file")
    test_.add_argument("file", type=Path)
    test_.add_argument(
        "--mutate",
        action="store_true",
        help="change each parameter and comparison a little: a test must notice",
    )
    diff_ = commands.add_parser("diff", help="say in words what differs between two rules files")
    diff_.add_argument("old", type=Path)
    diff_.add_argument("new", type=Path)


def check(arguments: argparse.Namespace, out: TextIO, engine: Engine, max_events: int) -> int:
    """Prints what is wrong with `arguments.file`, or what it holds. `max_events` payments are kept
    of an account.

    Returns 0, or 1 where a test failed, 2 where there are mistakes.
    """
    book = _loaded(arguments.file, out, max_events)
    return _UNREADABLE if book is None else _tested(book, arguments.file, out, engine)


def test(arguments: argparse.Namespace, out: TextIO, engine: Engine, max_events: int) -> int:
    """As `check`; with `arguments.mutate`, prints also which mutants no test notices.

    Returns 0, or 1 where a test failed or a mutant lives, 2 where there are mistakes.
    """
    book = _loaded(arguments.file, out, max_events)
    if book is None:
        return _UNREADABLE
    status = _tested(book, arguments.file, out, engine)
    if status == _FINE and arguments.mutate:
        return _mutated(book, arguments.file, out, engine)
    return status


def diff(arguments: argparse.Namespace, out: TextIO) -> int:
    """Prints in words how `arguments.new` judges otherwise than `arguments.old`.

    Returns 0 where they judge the same, 1 where they don't, 2 where there are mistakes.
    """
    old, new = _loaded(arguments.old, out), _loaded(arguments.new, out)
    if old is None or new is None:
        return _UNREADABLE
    found = list(differences(old, new))
    if not found:
        out.write(f"no difference in what the rules do, version {new.version}\n")
        return _FINE
    out.write("\n".join([*map(clean, found), f"version {old.version} to {new.version}"]) + "\n")
    return _FOUND


def _loaded(path: Path, out: TextIO, max_events: int | None = None) -> Rulebook | None:
    try:
        book = load_file(path)
        if max_events is not None:
            require_enough_events(book, max_events, str(path))
        return book
    except RulesError as error:
        out.write(f"{error}\n")
        return None


def _tested(book: Rulebook, path: Path, out: TextIO, engine: Engine) -> int:
    found = list(failures(book, engine))
    number = number_of_tests(book)
    for failure in found:
        out.write(f"{clean(failure.describe(str(path)))}\n")
    if found:
        failed = len({(failure.rule.name, failure.case.name) for failure in found})
        out.write(f"{_counted(failed, 'test')} of {number} failed\n")
        return _FOUND
    rules = _counted(len(book.rules), "rule")
    out.write(f"{rules}, version {book.version}, {_counted(number, 'test')} passed\n")
    return _FINE


def _mutated(book: Rulebook, path: Path, out: TextIO, engine: Engine) -> int:
    mutants = all_mutants(book)
    alive = [mutant for mutant in mutants if mutant.survives(engine)]
    for mutant in alive:
        rule = mutant.rule
        out.write(f"{path}:{rule.line}: {rule.name}, no test notices {mutant.change}\n")
    counted = _counted(len(mutants), "mutant")
    out.write(f"{counted}, {len(alive) or 'none'} alive\n")
    return _FOUND if alive else _FINE


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
