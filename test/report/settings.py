"""The report's settings: the services' variables, and the seconds of the command line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_LONGEST_S = 86_400


class CannotMeasure(Exception):
    """There is nothing to measure, or no way to; the text is one line for the person who asked."""


@dataclass(frozen=True)
class Settings:
    """Which topics, at which broker, for how long."""

    broker: str
    transactions: str
    legit: str
    fraud: str
    dead_letter: str
    group: str
    asked_per_second: int
    seconds: int

    @classmethod
    def read(cls, arguments: Sequence[str], environment: Mapping[str, str]) -> "Settings":
        """From the command line and the environment.

        Raises:
            CannotMeasure: an argument or a variable is wrong.
        """
        get = environment.get
        return cls(
            broker=get("KAFKA_BROKER_URL", "localhost:9094"),
            transactions=get("TRANSACTIONS_TOPIC", "queueing.transactions"),
            legit=get("LEGIT_TOPIC", "streaming.transactions.legit"),
            fraud=get("FRAUD_TOPIC", "streaming.transactions.fraud"),
            dead_letter=get("DEAD_LETTER_TOPIC", "streaming.transactions.dead-letter"),
            group=get("CONSUMER_GROUP", "detector"),
            asked_per_second=_number(
                "TRANSACTIONS_PER_SECOND", get("TRANSACTIONS_PER_SECOND", "1000"), 0, 10**7
            ),
            seconds=_seconds(arguments),
        )

    @property
    def outputs(self) -> tuple[str, str, str]:
        return self.legit, self.fraud, self.dead_letter


def _seconds(arguments: Sequence[str]) -> int:
    if len(arguments) > 1:
        raise CannotMeasure(f"usage: test/run.sh [SECONDS], not {len(arguments)} arguments")
    return _number("SECONDS", arguments[0] if arguments else "25", 1, _LONGEST_S)


def _number(name: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise CannotMeasure(f"{name}={text!r} is not allowed: a whole number, {least} to {most}")
    return int(text)
