"""python -m detector [run | create-topics] [--help]"""

import argparse
import os
import sys

import structlog

from detector.loop import Detector
from detector.metrics import Metrics
from detector.rulebook import read_rules
from detector.rules import Rules
from detector.rules.file import RulesError
from detector.settings import DetectorSettings
from kafka_batch import Refused, create_topics
from kafka_batch.service.anew import run_until_done
from kafka_batch.service.health import Pulse
from kafka_batch.service.logs import set_up_logs
from kafka_batch.service.metrics import serve_metrics
from kafka_batch.service.settings import SettingsError
from kafka_batch.service.stop import Stop

_WRONG_SETTINGS, _REFUSED = 2, 1
# What was saved of an account counts until it is saved again; what a crash leaves to be read is
# about twice the accounts.
STATE_TOPIC_CONFIGS = {
    "cleanup.policy": "compact",
    "segment.bytes": str(64 << 20),
    "segment.ms": "600000",
    "max.compaction.lag.ms": "600000",
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": "86400000",
}
# Headers are added to a record: the output topics take this much more than the input's default.
_OUTPUT_MAX_BYTES = str(1_048_588 + (64 << 10))

log = structlog.get_logger("detector")


def main() -> int:
    """Runs what the command line asks for, and returns the exit status."""
    stop = Stop()
    stop.on_signals()
    command = _arguments().command
    try:
        settings = DetectorSettings.from_environment(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"detector: {error}\n")
        return _WRONG_SETTINGS
    set_up_logs(settings.log_level)
    try:
        if command == "create-topics":
            run_until_done(lambda: _create_topics(settings), stop)
        else:
            _run(settings, stop)
    except (RulesError, SettingsError) as error:
        sys.stderr.write(f"detector: {error}\n")
        return _WRONG_SETTINGS
    except Refused as reason:
        log.error("giving up", reason=str(reason))
        return _REFUSED
    return 0


def _run(settings: DetectorSettings, stop: Stop) -> None:
    pulse = Pulse(settings.health_file)
    metrics = Metrics(pulse.age_s)
    serve_metrics(settings.metrics_port, metrics.registry)
    rules = Rules(read_rules(settings), settings.state_max_events)
    detector = Detector(settings, rules, metrics, pulse, stop)
    run_until_done(detector.run, stop)
    log.info("stopped", **metrics.committed_total)


def _create_topics(settings: DetectorSettings) -> None:
    larger = {"max.message.bytes": _OUTPUT_MAX_BYTES}
    topics = {
        settings.transactions_topic: {},
        **dict.fromkeys(settings.output_topics, larger),
        settings.state_topic: STATE_TOPIC_CONFIGS,
    }
    made = create_topics(
        settings.kafka_broker_url,
        topics,
        settings.topic_partitions,
        settings.topic_replication_factor,
    )
    log.info("topics are there", made=made)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m detector",
        description="Judges transactions: reads them from Kafka and republishes each, exactly "
        "once, to the legit, the fraud or the dead-letter topic.",
        epilog=f"settings, from the environment:\n{DetectorSettings.variables()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", choices=["run", "create-topics"], default="run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
