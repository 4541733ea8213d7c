"""The generator's settings, from the environment."""

from typing import Annotated

from pydantic import Field

from service_kit.settings import ServiceSettings, TopicName


class GeneratorSettings(ServiceSettings):
    """One field for each variable; `--help` lists them."""

    transactions_topic: Annotated[
        TopicName, Field(description="topic that transactions are written to")
    ] = "queueing.transactions"
    transactions_per_second: Annotated[
        int,
        Field(ge=0, le=10_000_000, description="rate, up to 10^7; 0 is as fast as it can"),
    ] = 1000
    transactions_total: Annotated[
        int | None,
        Field(ge=1, le=10**15, description="how many to make before it ends, from 1 to 10^15"),
    ] = None
    seed: Annotated[
        int | None,
        Field(
            ge=0, lt=2**63, description="0 to 2^63 - 1: the same seed makes the same transactions"
        ),
    ] = None
    accounts: Annotated[
        int, Field(ge=2, le=1_000_000, description="size of the pool of accounts, 2 to 10^6")
    ] = 10_000
