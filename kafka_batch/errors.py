"""What can go wrong between a stream and its brokers, sorted by who can fix it."""

from collections.abc import Iterator
from contextlib import contextmanager

from kafka import errors as kafka_errors


class StreamError(Exception):
    """A stream that can't go on. Nothing is lost: what was not committed is read again."""


class RecoverableError(StreamError):
    """Fixes itself: close everything and open it again, from the committed offsets."""


class FatalError(StreamError):
    """An operator must fix it: a topic that isn't there, a lacking right, an id used twice."""


class ShutdownTimeout(FatalError):
    """A thread of the client hangs, as in the lookup of a name where there is no network, and could
    still send: only ending the process stops it."""


_FENCED = (
    kafka_errors.FencedInstanceIdError,
    kafka_errors.InvalidProducerEpochError,
    kafka_errors.ProducerFencedError,
)

_REFUSALS = (
    kafka_errors.AuthorizationError,
    kafka_errors.InvalidConfigurationError,
    kafka_errors.InvalidGroupIdError,
    kafka_errors.InvalidPartitionsError,
    kafka_errors.InvalidReplicationFactorError,
    kafka_errors.InvalidSessionTimeoutError,
    kafka_errors.InvalidTopicError,
    kafka_errors.InvalidTransactionTimeoutError,
    kafka_errors.PolicyViolationError,
    kafka_errors.SaslAuthenticationFailedError,
    kafka_errors.UnsupportedSaslMechanismError,
    kafka_errors.UnsupportedVersionError,
)


def describe_error(error: BaseException) -> str:
    """The error's name and text on a single line, e.g. for a log."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return text if text.startswith(name) else f"{name}: {text}" if text else name


def _reason(error: kafka_errors.KafkaError) -> kafka_errors.KafkaError:
    """What went wrong: a call after a fatal error raises a plain error, with that one in it."""
    return next((it for it in error.args if isinstance(it, kafka_errors.KafkaError)), error)


def translate(error: kafka_errors.KafkaError, instance_id: str | None = None) -> StreamError:
    """Sorts a client error into `RecoverableError` or `FatalError`.

    A producer with a random transactional id that is fenced was fenced by its own time-out, so
    the stream restarts. One with a stable id may have a rightful successor, which a restart would
    fence (docs/exactly-once.md, entry 7).
    """
    error = _reason(error)
    if isinstance(error, _REFUSALS):
        return FatalError(f"refused by the broker: {describe_error(error)}")
    if isinstance(error, _FENCED) and instance_id is not None:
        return FatalError(
            f"fenced: another process may run with INSTANCE_ID {instance_id!r}: "
            f"{describe_error(error)}"
        )
    return RecoverableError(describe_error(error))


@contextmanager
def map_kafka_errors(instance_id: str | None) -> Iterator[None]:
    """Raises a client error from within as the `StreamError` it is."""
    try:
        yield
    except kafka_errors.KafkaError as error:
        raise translate(error, instance_id) from error
