"""python -m generator [--help]"""

import argparse
import os
import sys

import structlog

from generator.loop import Generator
from generator.metrics import Metrics
from generator.settings import GeneratorSettings
from kafka_batch import FatalError
from service_kit.health import Heartbeat
from service_kit.memory import keep_freed_memory
from service_kit.metrics import serve_metrics
from service_kit.restart import run_until_done
from service_kit.settings import SettingsError
from service_kit.shutdown import Shutdown
from service_kit.start import begin

_WRONG_SETTINGS, _REFUSED = 2, 1
_CUT_OFF = 1  # what was made may not be stored


def main() -> int:
    """Runs the generator, and returns the exit status."""
    keep_freed_memory()
    shutdown = Shutdown(status=_CUT_OFF)
    shutdown.on_signals()
    _parser().parse_args()
    try:
        settings = begin(GeneratorSettings, os.environ)
    except SettingsError as error:
        sys.stderr.write(f"generator: {error}\n")
        return _WRONG_SETTINGS
    heartbeat = Heartbeat(settings.health_file)
    metrics = Metrics(settings.transactions_per_second, heartbeat.age_s)
    try:
        serve_metrics(settings.metrics_port, metrics.registry)
        run_until_done(Generator(settings, metrics, heartbeat, shutdown).run, shutdown)
    except FatalError as reason:
        structlog.get_logger("generator").error("giving up", reason=str(reason))
        return _REFUSED
    return 0


def _parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog="python -m generator",
        description="Writes random transactions to Kafka, at a steady rate.",
        epilog=f"settings, from the environment:\n{GeneratorSettings.variables()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


if __name__ == "__main__":
    sys.exit(main())
