"""explain: why a record was found suspicious."""

import argparse
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress

from detector.commands.explaining import RulesText, explanation, remembering
from detector.domain.printable import clean
from detector.rules.file.loading import RulesError, load, read_text
from detector.service.published import Published, read_published, reader_settings
from detector.service.rulebook import read_rules
from detector.service.settings import DetectorSettings
from detector.wire.verdicts import AmbiguousLine, Judged, from_the_console, judged
from kafka_batch import FatalError, PartitionReader, describe_topics

_FINE, _NOT_DONE, _WRONG = 0, 1, 2
_PLACE = re.compile(r"([A-Za-z0-9._-]{1,249})/([0-9]{1,9})/([0-9]{1,18})")
_NAME_IT = "name the record, topic/partition/offset"
_SHOWN = 60
_MAX_LINE = 4 << 20  # bytes; a record of 1 MB with its headers is less


def add_explain(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command, with its arguments."""
    parser = commands.add_parser(
        "explain",
        help="say why a record was found suspicious",
        description="Says for each rule that fired on a record why it did, with the rule's text "
        "as it was then. Without RECORD, reads lines from standard input: what "
        "kafka-console-consumer prints with print.headers=true, or a RECORD each.",
    )
    parser.add_argument("record", nargs="*", metavar="RECORD", help="topic/partition/offset")
    parser.set_defaults(command=explain)


def explain(asked: argparse.Namespace) -> int:
    """Explains records. Returns 0, 1 where one holds no verdict or isn't there, or 2 where what was
    given is no record.

    Raises:
        RulesError, SettingsError: RULES_FILE or a variable is wrong.
        StreamError: the brokers can't be reached.
    """
    if not asked.record and sys.stdin.isatty():
        sys.stderr.write("detector: name a record, topic/partition/offset, or pipe some in\n")
        return _WRONG
    settings = DetectorSettings.from_environment(os.environ)
    rules_of = remembering(_Sources(settings).files)
    status = _FINE
    for number, given in enumerate(asked.record or _lines()):
        try:
            found = _record(given, settings)
        except (_NoRecord, FatalError) as problem:
            sys.stdout.flush()
            sys.stderr.write(f"detector: {problem}\n")
            status = max(status, _WRONG if isinstance(problem, _NoRecord) else _NOT_DONE)
            continue
        text = "\n".join(explanation(found, rules_of))
        separator = "\n" if number else ""
        sys.stdout.write(f"{separator}{text}\n")
        sys.stdout.flush()
    return status


class _NoRecord(ValueError):
    """What was given names no record and is none."""


def _lines() -> Iterator[str]:
    """The lines of standard input that are not empty; of one that is too long, its beginning."""
    read = sys.stdin.buffer.readline
    while line := read(_MAX_LINE + 1):
        rest = line
        while len(rest) > _MAX_LINE and not rest.endswith(b"\n"):
            rest = read(_MAX_LINE + 1)
        if line.strip():
            yield line.decode(errors="replace")


def _record(given: str, settings: DetectorSettings) -> Judged:
    if len(given.encode(errors="replace")) > _MAX_LINE:
        raise _NoRecord(f"a line is longer than {_MAX_LINE} bytes: {_NAME_IT}")
    record_id = _PLACE.fullmatch(given.strip())
    if record_id is not None:
        return _at(settings, record_id[1], int(record_id[2]), int(record_id[3]))
    try:
        found = from_the_console(given)
    except AmbiguousLine as problem:
        raise _NoRecord(f"{problem}: {_NAME_IT}") from problem
    if found is None:
        shown = clean(given.strip())
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
        raise _NoRecord(f"neither topic/partition/offset nor a record with a verdict: {shown}")
    return found


def _at(settings: DetectorSettings, topic: str, partition: int, offset: int) -> Judged:
    name = f"{topic}/{partition}/{offset}"
    if topic not in settings.output_topics:
        outputs = ", ".join(settings.output_topics)
        raise FatalError(f"{name}: verdicts are on what the detector writes, which is {outputs}")
    partitions = describe_topics(settings.kafka_broker_url, [topic])[topic].partitions
    if partition >= partitions:
        raise FatalError(f"{name}: {topic!r} has {partitions} partitions")
    for time_ms, value, headers in _read(settings, topic, partition, offset):
        found = judged(name, time_ms, value, headers)
        if found is None:
            raise FatalError(f"{name} carries no verdict that can be read")
        return found
    raise FatalError(f"{name}: no committed record is there, or not any more")


def _read(
    settings: DetectorSettings, topic: str, partition: int, offset: int
) -> Iterator[tuple[int, bytes | None, Iterable[tuple[str, bytes | None]]]]:
    """The record at the offset, if there is one."""
    with closing(PartitionReader(**reader_settings(settings))) as reader:
        first = reader.begin(topic, partition)
        if not first <= offset < reader.end:
            return
        reader.seek(offset)
        while reader.position <= offset:
            batch = reader.read()
            if batch and batch.offsets[0] == offset:
                yield batch.timestamps[0], batch.values[0], batch.headers[0]
            if batch:
                return


class _Sources:
    """Where a version's rules are looked for: among those published, then in RULES_FILE."""

    def __init__(self, settings: DetectorSettings) -> None:
        self._settings = settings
        self._published: Published | None = None

    def files(self, version: str) -> list[RulesText]:
        return [*self._of_the_topic(version), *self._of_the_file()]

    def _of_the_topic(self, version: str) -> Iterator[RulesText]:
        topic = self._settings.rules_topic
        if topic is None:
            return
        if self._published is None:
            self._published = read_published(self._settings)
        if version in self._published.files:
            text = self._published.files[version]
            with suppress(RulesError):
                yield RulesText(topic, text, load(text, topic))

    def _of_the_file(self) -> Iterator[RulesText]:
        path = self._settings.rules_file
        name = f"{path}"
        if self._settings.fraud_threshold is not None:
            name += f", with FRAUD_THRESHOLD={self._settings.fraud_threshold}"
        yield RulesText(name, read_text(path), read_rules(self._settings))
