"""The detector's settings, from the environment."""

from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, model_validator

from kafka_batch import Guarantee
from kafka_batch.service.settings import ServiceSettings, TopicName


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
        Guarantee, Field(description="exactly_once or at_least_once")
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
    fraud_threshold: Annotated[
        Decimal,
        Field(
            ge=0,
            le=10**12,
            allow_inf_nan=False,
            description="an amount of at least this is suspicious, 0 to 10^12, in any currency",
        ),
    ] = Decimal(900)
    topic_partitions: Annotated[
        int, Field(ge=1, le=10_000, description="partitions of topics made by create-topics")
    ] = 4
    topic_replication_factor: Annotated[
        int, Field(ge=1, le=100, description="replicas of topics made by create-topics")
    ] = 1

    @property
    def output_topics(self) -> tuple[str, str, str]:
        return self.legit_topic, self.fraud_topic, self.dead_letter_topic

    @model_validator(mode="after")
    def _topics_differ(self) -> Self:
        topics = (self.transactions_topic, *self.output_topics)
        if len(set(topics)) < len(topics):
            names = "TRANSACTIONS_TOPIC, LEGIT_TOPIC, FRAUD_TOPIC and DEAD_LETTER_TOPIC"
            raise ValueError(f"{names} must be four different topics; they are {', '.join(topics)}")
        return self
