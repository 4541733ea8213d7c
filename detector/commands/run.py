"""run and create-topics: the detector as a service."""

import argparse
import os
from contextlib import ExitStack

import structlog

from detector.service.following import Following, say_that_the_file_counts
from detector.service.loop import Detector
from detector.service.metrics import Metrics
from detector.service.rulebook import read_rules
from detector.service.settings import DetectorSettings
from kafka_batch import FatalError, create_topics
from service_kit.health import Heartbeat
from service_kit.memory import keep_freed_memory
from service_kit.metrics import serve_metrics
from service_kit.restart import run_until_done
from service_kit.shutdown import Shutdown
from service_kit.start import begin

_REFUSED = 1
_COMPACT = {"cleanup.policy": "compact"}
# What was saved of an account counts until it is saved again. The brokers take what doesn't out of
# all segments but the last one, so a restart reads that much more than the accounts.
STATE_TOPIC_CONFIGS = {
    **_COMPACT,
    "segment.bytes": str(16 << 20),
    "segment.ms": "600000",
    "max.compaction.lag.ms": "600000",
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": "86400000",
}
# Headers are added to a record: the output topics take this much more than the input's default.
_OUTPUT_MAX_BYTES = str(1_048_588 + (64 << 10))

log = structlog.get_logger("detector")


def add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The commands, with their arguments."""
    commands.add_parser("run", help="judge transactions, until told to stop (the default)")
    making = commands.add_parser("create-topics", help="make the topics that are not there yet")
    making.set_defaults(command=make_topics)


def run(_: argparse.Namespace) -> int:
    """Judges until told to stop. Returns 0, or 1 where an operator must fix something first.

    Raises:
        RulesError: the rules can't be used.
        SettingsError: a variable has a wrong value.
    """
    keep_freed_memory()
    shutdown = Shutdown()
    shutdown.on_signals()
    settings = begin(DetectorSettings, os.environ)
    try:
        with ExitStack() as to_end:
            _judge(settings, shutdown, to_end)
    except FatalError as reason:
        log.error("giving up", reason=str(reason))
        return _REFUSED
    return 0


def _judge(settings: DetectorSettings, shutdown: Shutdown, to_end: ExitStack) -> None:
    heartbeat = Heartbeat(settings.health_file)
    metrics = Metrics(heartbeat.age_s)
    serve_metrics(settings.metrics_port, metrics.registry)
    of_the_file = read_rules(settings)
    if settings.rules_topic is None:
        say_that_the_file_counts(settings, of_the_file)
        detector = Detector(settings, of_the_file, metrics, heartbeat, shutdown)
    else:
        following = Following(settings, metrics, of_the_file)
        to_end.callback(following.close)
        run_until_done(following.begin, shutdown)
        first = following.take_update() or of_the_file
        detector = Detector(settings, first, metrics, heartbeat, shutdown, following.take_update)
    run_until_done(detector.run, shutdown)
    log.info("stopped", **metrics.committed_total)


def make_topics(_: argparse.Namespace) -> int:
    """Makes the topics that the settings name. Returns and raises as `run`."""
    shutdown = Shutdown()
    shutdown.on_signals()
    settings = begin(DetectorSettings, os.environ)
    try:
        run_until_done(lambda: _create_topics(settings), shutdown)
    except FatalError as reason:
        log.error("giving up", reason=str(reason))
        return _REFUSED
    return 0


def _create_topics(settings: DetectorSettings) -> None:
    larger = {"max.message.bytes": _OUTPUT_MAX_BYTES}
    topics = {
        settings.transactions_topic: {},
        **dict.fromkeys(settings.output_topics, larger),
        settings.state_topic: STATE_TOPIC_CONFIGS,
    }
    url, replicas = settings.kafka_broker_url, settings.topic_replication_factor
    made = create_topics(url, topics, settings.topic_partitions, replicas)
    if settings.rules_topic is not None:
        of_rules = dict.fromkeys((settings.rules_topic, settings.rules_log_topic), _COMPACT)
        made += create_topics(url, of_rules, 1, replicas)
    log.info("topics are there", made=made)
