"""Topics before a stream opens: make them, and know what they take."""

import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import (
    KafkaError,
    NoError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from kafka_batch._client.kafka_python_3_0.admin import Admin
from kafka_batch.errors import (
    FatalError,
    RecoverableError,
    describe_error,
    map_kafka_errors,
    translate,
)

_CLEANUP = "cleanup.policy"
_MAX_BYTES = "max.message.bytes"
_MAX_AHEAD = "message.timestamp.after.max.ms"
_MAX_BEHIND = "message.timestamp.before.max.ms"
_EVER_MS = 2**63 - 1
_REQUEST_MS = 4_000
_KNOWN_S = 10.0
_LOOK_S = 0.1


@dataclass(frozen=True)
class TopicLimits:
    """What a topic takes.

    `max_bytes` bounds a batch of records, headers and all; `max_ahead_ms` how far a timestamp may
    be ahead of the broker's clock, `max_behind_ms` how far behind it; `cleanup_policy` says what
    becomes of it later. The defaults are Kafka's.
    """

    partitions: int
    max_bytes: int = 1_048_588
    max_ahead_ms: int = 3_600_000
    max_behind_ms: int = _EVER_MS
    cleanup_policy: str = "delete"


def describe_topics(bootstrap_servers: str, names: Iterable[str]) -> dict[str, TopicLimits]:
    """The limits of each topic.

    Raises:
        RecoverableError: no broker answers, or it can't tell yet.
        FatalError: a topic does not exist, or may not be seen.
    """
    wanted = list(names)
    with closing(_admin(bootstrap_servers)) as admin:
        try:
            found = {topic["name"]: topic for topic in admin.describe_topics(wanted)}
            configs = _configs(admin, wanted)
        except KafkaError as error:
            raise translate(error) from error
    return {name: _limits(name, found[name], configs.get(name, {})) for name in wanted}


def create_topics(
    bootstrap_servers: str,
    topics: Mapping[str, Mapping[str, str]],
    partitions: int,
    replication_factor: int,
) -> list[str]:
    """Creates the topics, each with its configs, waits until a broker knows all of them, and
    returns those that were not there before.

    Raises:
        RecoverableError: no broker answers in time. A topic may have been created all the same;
            the next call then finds it.
        FatalError: the broker does not create one of them.
    """
    shape = {"num_partitions": partitions, "replication_factor": replication_factor}
    with closing(_admin(bootstrap_servers)) as admin:
        made = [
            name
            for name, configs in topics.items()
            if _create(admin, name, {**shape, "configs": dict(configs)})
        ]
        _wait_until_known(admin, list(topics))
    return made


def _create(admin: Admin, name: str, topic: Mapping[str, Any]) -> bool:
    try:
        admin.create_topics({name: topic})
    except TopicAlreadyExistsError:
        return False
    except KafkaError as error:
        problem = translate(error)
        what = "was not created" if isinstance(problem, FatalError) else "is not there yet"
        raise type(problem)(f"topic {name!r} {what}: {problem}") from error
    return True


def _wait_until_known(admin: Admin, names: list[str]) -> None:
    """The broker that is asked may learn of a topic later than the one that created it."""
    deadline = time.monotonic() + _KNOWN_S
    with map_kafka_errors(None):
        while unknown := _unknown(admin, names):
            if time.monotonic() > deadline:
                raise RecoverableError(
                    f"the broker does not know these topics yet: {', '.join(unknown)}"
                )
            time.sleep(_LOOK_S)


def _unknown(admin: Admin, names: list[str]) -> list[str]:
    """
    Raises:
        KafkaError: one of the topics will not become known.
    """
    problems = {
        topic["name"]: for_code(topic["error_code"]) for topic in admin.describe_topics(names)
    }
    for problem in problems.values():
        if problem is not NoError and not problem.retriable:
            raise problem
    return [name for name, problem in problems.items() if problem is not NoError]


def _admin(bootstrap_servers: str) -> Admin:
    try:
        # By default a request waits for half a minute where a broker is silent.
        return Admin(bootstrap_servers, bootstrap_timeout_ms=4_000, request_timeout_ms=_REQUEST_MS)
    except KafkaError as error:
        raise RecoverableError(describe_error(error)) from error


def _configs(admin: Admin, names: list[str]) -> dict[str, Mapping[str, Any]]:
    wanted = [_CLEANUP, _MAX_BYTES, _MAX_AHEAD, _MAX_BEHIND]
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, wanted) for name in names]
    described: dict[str, Mapping[str, Any]] = admin.describe_configs(
        resources, config_filter="all"
    ).get("topic", {})
    return described


def _limits(name: str, topic: Mapping[str, Any], configs: Mapping[str, Any]) -> TopicLimits:
    problem = for_code(topic["error_code"])
    if problem is UnknownTopicOrPartitionError:
        raise FatalError(f"topic {name!r} does not exist: create it, or correct the name")
    if problem is not NoError:
        reason = translate(problem())
        raise type(reason)(f"topic {name!r}: {reason}")
    limits = {
        "max_bytes": configs.get(_MAX_BYTES),
        "max_ahead_ms": configs.get(_MAX_AHEAD),
        "max_behind_ms": configs.get(_MAX_BEHIND),
    }
    known = {key: int(config["value"]) for key, config in limits.items() if config is not None}
    policy = configs[_CLEANUP]["value"] if _CLEANUP in configs else TopicLimits.cleanup_policy
    return TopicLimits(len(topic["partitions"]), **known, cleanup_policy=policy)
