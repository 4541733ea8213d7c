"""Restarting: the one answer to a broker that is away and to a stream that broke."""

import time
from collections.abc import Callable

import structlog

from kafka_batch.errors import RecoverableError, ShutdownTimeout
from service_kit.shutdown import Shutdown

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0
_TOLD_AGAIN_S = 60.0  # where the reason is the same


def run_until_done(
    run: Callable[[], None], shutdown: Shutdown, clock: Callable[[], float] = time.monotonic
) -> None:
    """Calls `run` until it returns; says why, and pauses, when it must restart: ever longer,
    where it did not last longer than the longest pause. The same reason is told once a minute.
    Told to stop, it returns also where a thread hangs that only ending the process stops.

    Raises:
        Whatever `run` raises that is not RecoverableError.
    """
    log = structlog.get_logger("service")
    pause, told, told_at = _FIRST_PAUSE_S, "", 0.0
    while not shutdown.requested:
        started = clock()
        try:
            return run()
        except RecoverableError as reason:
            if shutdown.requested:
                log.warning("stopping instead of restarting", reason=str(reason))
                return None
            lasted = clock() - started > _LONGEST_PAUSE_S
            pause = _FIRST_PAUSE_S if lasted else min(2 * pause, _LONGEST_PAUSE_S)
            if str(reason) != told or clock() > told_at + _TOLD_AGAIN_S:
                told, told_at = str(reason), clock()
                log.warning("restarting", reason=told, pause_s=pause)
            shutdown.sleep(pause)
        except ShutdownTimeout as reason:
            if not shutdown.requested:
                raise
            log.warning("stopping instead of giving up", reason=str(reason))
            return None  # the process ends, and with it the thread
    return None
