"""The detector's settings, from the environment."""

import os
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from detector.service.memory import Bounds
from kafka_batch import Guarantee
from service_kit.settings import IN_ANY_CASE, ServiceSettings, TopicName

RULES_FILE = Path(__file__).parents[1] / "rules.yaml"
_BOUNDS = Bounds()


class StateMissing(StrEnum):
    """What to do where the state of a partition is not all there."""

    REFUSE = "refuse"
    PARTIAL = "partial"


def _a_file(path: Path) -> Path:
    if not os.path.isfile(path):  # which is False for a name that no file can have
        raise ValueError("there is no such file")
    if not os.access(path, os.R_OK):
        raise ValueError(f"user {os.getuid()} may not read it: chmod a+r it")
    return path


RulesFile = Annotated[Path, AfterValidator(_a_file)]


def _topic(meaning: str) -> object:
    return Field(description=f"topic {meaning}")


class DetectorSettings(ServiceSettings):
    """One field for each variable; `--help` lists them."""

    transactions_topic: Annotated[TopicName, _topic("that transactions are read from")] = (
        "queueing.transactions"
    )
    legit_topic: Annotated[TopicName, _topic("of legitimate transactions")] = (
        "streaming.transactions.legit"
    )
    fraud_topic: Annotated[TopicName, _topic("of suspicious transactions")] = (
        "streaming.transactions.fraud"
    )
    dead_letter_topic: Annotated[TopicName, _topic("of records that can't be judged")] = (
        "streaming.transactions.dead-letter"
    )
    consumer_group: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9._-]{1,200}$",
            description="consumer group; its members share the partitions",
        ),
    ] = "detector"
    processing_guarantee: Annotated[
        Guarantee, IN_ANY_CASE, Field(description="exactly_once or at_least_once")
    ] = Guarantee.EXACTLY_ONCE
    commit_interval_ms: Annotated[
        int,
        Field(ge=1, le=5000, description="longest time between two commits, 1 to 5000 ms"),
    ] = 100
    instance_id: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9._-]{1,200}$",
            description="stable name of this process, unique among the running detectors: "
            "a restarted one goes on sooner",
        ),
    ] = None
    rules_file: Annotated[
        RulesFile, Field(description="the rules; python -m detector rules check FILE checks one")
    ] = RULES_FILE
    fraud_threshold: Annotated[
        Decimal | None,
        Field(
            ge=0,
            le=10**12,
            allow_inf_nan=False,
            decimal_places=10,
            description="the limit of the rule large_amount, 0 to 10^12, in any currency, in place "
            "of that in RULES_FILE",
        ),
    ] = None
    rules_topic: Annotated[
        TopicName | None,
        _topic(
            "of published rules, followed while running; until a version of it is activated, and "
            "without it, RULES_FILE counts"
        ),
    ] = None
    rules_log_topic: Annotated[
        TopicName,
        _topic("that says which version judged each offset, where RULES_TOPIC is set"),
    ] = "detector.rules-log"
    state_topic: Annotated[TopicName, _topic("of what is remembered of accounts")] = (
        "detector.state"
    )
    state_replay_max: Annotated[
        int,
        Field(
            ge=0,
            le=10**9,
            description="records of a partition whose effect on accounts may be unsaved, and is "
            "replayed after a crash; 0 saves at every commit",
        ),
    ] = _BOUNDS.replay_records
    state_interval_ms: Annotated[
        int, Field(ge=1, le=86_400_000, description="longest time until an account is saved, in ms")
    ] = _BOUNDS.interval_ms
    state_max_events: Annotated[
        int, Field(ge=1, le=100_000, description="max payments kept per account")
    ] = 1_000
    state_max_accounts: Annotated[
        int, Field(ge=1, le=10**9, description="max accounts kept per partition")
    ] = _BOUNDS.accounts
    state_missing: Annotated[
        StateMissing,
        IN_ANY_CASE,
        Field(
            description="refuse, or partial: to go on where what was saved of accounts is not all "
            "there, and mark verdicts with history: partial"
        ),
    ] = StateMissing.REFUSE
    topic_partitions: Annotated[
        int, Field(ge=1, le=10_000, description="partitions of topics made by create-topics")
    ] = 4
    topic_replication_factor: Annotated[
        int, Field(ge=1, le=100, description="replicas of topics made by create-topics")
    ] = 1

    @property
    def output_topics(self) -> tuple[str, str, str]:
        return self.legit_topic, self.fraud_topic, self.dead_letter_topic

    @property
    def state_bounds(self) -> Bounds:
        return Bounds(
            replay_records=self.state_replay_max,
            interval_ms=self.state_interval_ms,
            accounts=self.state_max_accounts,
        )

    @model_validator(mode="after")
    def _topics_differ(self) -> Self:
        topics = {
            name.upper(): value
            for name, value in self
            if name.endswith("_topic") and value is not None
        }
        if len({*topics.values()}) < len(topics):
            given = ", ".join(f"{name}={value}" for name, value in topics.items())
            raise ValueError(f"topics must be different ones: {given}")
        return self
