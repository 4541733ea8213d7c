"""Structured logs: one JSON object a line, or lines for a person."""

import logging
import sys
from enum import StrEnum

import structlog
from kafka.errors import ConcurrentTransactionsError

from kafka_batch import QuietRepeats


class LogFormat(StrEnum):
    """How a log line is written. `AUTO` is for a person where standard error is a terminal."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


def set_up_logs(level: str, log_format: LogFormat = LogFormat.AUTO) -> None:
    """Sends all logs to standard error, those of the libraries included.

    The Kafka client's own are shown from WARNING up (DEBUG shows all), and each of its messages
    at most once a minute: it repeats some thousands of times a second while a broker is away.
    """
    for_a_person = log_format is LogFormat.CONSOLE or (
        log_format is LogFormat.AUTO and sys.stderr.isatty()
    )
    before: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="%H:%M:%SZ" if for_a_person else "iso", utc=True),
    ]
    renderers: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)]
        if for_a_person
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    handler.addFilter(QuietRepeats())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("kafka").setLevel("DEBUG" if level == "DEBUG" else "WARNING")
    # Warns of any task that took over 100 ms, as on a busy machine, or while one is paused.
    logging.getLogger("kafka.net.selector").setLevel("DEBUG" if level == "DEBUG" else "ERROR")
    # Tells of a connection that is lost, and the connection does, too.
    logging.getLogger("kafka.net.transport").setLevel("DEBUG" if level == "DEBUG" else "CRITICAL")
    # Warns where a batch is sent again since the Kafka transaction before has not quite ended.
    logging.getLogger("kafka.producer.sender").addFilter(_is_no_mere_wait)


def _is_no_mere_wait(record: logging.LogRecord) -> bool:
    return ConcurrentTransactionsError.__name__ not in (record.args or ())
