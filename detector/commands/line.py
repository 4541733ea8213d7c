"""The command line: what may be asked for, and what its end says."""

import argparse
import os
import sys
from collections.abc import Sequence

from detector.commands.run import add_run, run
from detector.domain.printable import clean_lines
from detector.rules.file.loading import RulesError
from detector.service.settings import DetectorSettings
from kafka_batch import StreamError
from service_kit.settings import SettingsError

_FINE, _REFUSED, _WRONG, _INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what the command line asks for, and returns the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    asked = _parser().parse_args(words) if words else argparse.Namespace(command=run)
    try:
        status: int = asked.command(asked)
        sys.stdout.flush()
    except (RulesError, SettingsError) as error:
        return _say(error, _WRONG)
    except StreamError as error:
        return _say(error, _REFUSED)
    except BrokenPipeError:  # the reader closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FINE
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status


def _say(error: Exception, status: int) -> int:
    sys.stderr.write(f"detector: {clean_lines(str(error))}\n")
    return status


def _parser() -> argparse.ArgumentParser:
    # Not above: a detector that starts again after a crash is to be up soon, and needs none of it.
    from detector.commands.explain import add_explain  # noqa: PLC0415
    from detector.commands.rules import add_rules  # noqa: PLC0415
    from detector.commands.tail import add_tail  # noqa: PLC0415

    parser = argparse.ArgumentParser(
        prog="python -m detector",
        description="Judges transactions: reads them from Kafka and republishes each, exactly "
        "once, to the legit, the fraud or the dead-letter topic.",
        epilog=f"settings, from the environment:\n{DetectorSettings.variables()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=run)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    add_run(commands)
    add_rules(commands)
    add_explain(commands)
    add_tail(commands)
    return parser
