"""tail: the fraud topic as it grows, one line a verdict."""

import argparse
import os
import select
import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice

from kafka.structs import TopicPartition

from detector.domain.printable import clean
from detector.service.published import reader_settings
from detector.service.settings import DetectorSettings
from detector.wire.verdicts import Judged, judged, utc
from kafka_batch import Batch, BatchConsumer, describe_topics
from kafka_batch.errors import map_kafka_errors
from service_kit.shutdown import Shutdown

_WAIT_MS = 300
_DIM, _BOLD, _RED, _PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[31m", "\x1b[0m"


def add_tail(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command, with its arguments."""
    parser = commands.add_parser(
        "tail",
        help="show the fraud topic live, one line a verdict",
        description="Shows FRAUD_TOPIC live, one line a verdict, until Ctrl-C: coloured on a "
        "terminal (unless NO_COLOR is set), plain when piped.",
    )
    parser.add_argument(
        "--from-beginning", action="store_true", help="begin with the oldest record, not the next"
    )
    parser.add_argument("--limit", type=_number, metavar="N", help="end after N verdicts")
    parser.set_defaults(command=tail)


def _number(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def tail(asked: argparse.Namespace) -> int:
    """Shows verdicts until told to stop, or until nobody reads them any more.

    Raises:
        SettingsError: a variable is wrong.
        StreamError: the brokers can't be reached, or the topic isn't there.
    """
    shutdown = Shutdown()
    shutdown.on_signals()
    settings = DetectorSettings.from_environment(os.environ)
    write = coloured if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else plain
    with closing(_verdicts(settings, shutdown, from_beginning=asked.from_beginning)) as verdicts:
        for verdict in islice(verdicts, asked.limit):
            sys.stdout.write(f"{write(verdict)}\n")
    return 0


def plain(verdict: Judged) -> str:
    """A line without colours."""
    parts = [_time(verdict), verdict.payment, *_why(verdict), f"[{verdict.record_id}]"]
    return "  ".join(parts)


def coloured(verdict: Judged) -> str:
    """The same, with the colours of a terminal."""
    time, record_id = f"{_DIM}{_time(verdict)}{_PLAIN}", f"{_DIM}[{verdict.record_id}]{_PLAIN}"
    why = [f"{_RED}{text}{_PLAIN}" for text in _why(verdict)]
    return "  ".join([time, f"{_BOLD}{verdict.payment}{_PLAIN}", *why, record_id])


def _time(verdict: Judged) -> str:
    return utc(verdict.time_ms or 0)


def _why(verdict: Judged) -> Iterator[str]:
    for reason in verdict.reasons:
        yield f"{clean(reason.rule)}: {clean(reason.text)}"
    if verdict.shadow_rules:
        yield f"(in shadow: {', '.join(verdict.shadow_rules)})"


def _verdicts(
    settings: DetectorSettings, shutdown: Shutdown, *, from_beginning: bool
) -> Generator[Judged]:
    topic = settings.fraud_topic
    number = describe_topics(settings.kafka_broker_url, [topic])[topic].partitions
    places = [TopicPartition(topic, n) for n in range(number)]
    with map_kafka_errors(None), closing(BatchConsumer(**reader_settings(settings))) as consumer:
        consumer.assign(places)
        starts = consumer.beginning_offsets if from_beginning else consumer.end_offsets
        for record_id, offset in starts(places).items():
            consumer.seek(record_id, offset)
        while not shutdown.requested and _is_read():
            for batch in consumer.read(_WAIT_MS):
                yield from _of(batch)
            sys.stdout.flush()


def _of(batch: Batch) -> Iterator[Judged]:
    columns = batch.offsets, batch.timestamps, batch.values, batch.headers
    for offset, time_ms, value, headers in zip(*columns, strict=True):
        found = judged(f"{batch.topic}/{batch.partition}/{offset}", time_ms, value, headers)
        if found is not None:
            yield found


def _is_read() -> bool:
    """Whether who reads what we write, if that is another program, is still there."""
    look = select.poll()
    look.register(sys.stdout.fileno(), 0)
    return not any(event & (select.POLLERR | select.POLLHUP) for _, event in look.poll(0))
