"""The report's settings: the services' variables, and the seconds of the command line."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from .expectation import SHIPPED_LIMIT, Expectation, share_from

_LONGEST_S = 86_400
_LAST_PORT = 65_535
_MAX_LIMIT = 10**12
_SHOWN = 60  # characters of a wrong value


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
    expectation: Expectation  # where no fraud tells which rules are current

    @classmethod
    def read(cls, arguments: Sequence[str], environment: Mapping[str, str]) -> "Settings":
        """From the command line and the environment, where an empty variable counts as unset.

        Raises:
            CannotMeasure: an argument or a variable is wrong.
        """

        def given(variable: str, default: str) -> str:
            return environment.get(variable) or default

        def name(variable: str, default: str) -> str:
            return _name(variable, given(variable, default))

        port = _number("BROKER_PORT", given("BROKER_PORT", "9094"), 1, _LAST_PORT)
        asked = given("TRANSACTIONS_PER_SECOND", "1000")
        return cls(
            broker=_servers(given("KAFKA_BROKER_URL", f"localhost:{port}")),
            transactions=name("TRANSACTIONS_TOPIC", "queueing.transactions"),
            legit=name("LEGIT_TOPIC", "streaming.transactions.legit"),
            fraud=name("FRAUD_TOPIC", "streaming.transactions.fraud"),
            dead_letter=name("DEAD_LETTER_TOPIC", "streaming.transactions.dead-letter"),
            group=name("CONSUMER_GROUP", "detector"),
            asked_per_second=_number("TRANSACTIONS_PER_SECOND", asked, 0, 10**7),
            seconds=_seconds(arguments),
            expectation=_expectation(given("RULES_FILE", ""), given("FRAUD_THRESHOLD", "")),
        )

    @property
    def outputs(self) -> tuple[str, str, str]:
        return self.legit, self.fraud, self.dead_letter


def _expectation(rules_file: str, fraud_threshold: str) -> Expectation:
    if rules_file:
        return Expectation(None, "no fraud tells which rules of RULES_FILE are current")
    if not fraud_threshold:
        return Expectation(share_from(SHIPPED_LIMIT))
    with suppress(InvalidOperation):  # no number, or not a number
        limit = Decimal(fraud_threshold)
        if 0 <= limit <= _MAX_LIMIT:
            return Expectation(share_from(limit))
    raise _not_allowed("FRAUD_THRESHOLD", fraud_threshold, "a number, 0 to 10^12")


def _seconds(arguments: Sequence[str]) -> int:
    if len(arguments) > 1:
        raise CannotMeasure(f"usage: test/run.sh [SECONDS], not {len(arguments)} arguments")
    return _number("SECONDS", arguments[0] if arguments else "25", 1, _LONGEST_S)


def _number(name: str, text: str, least: int, most: int) -> int:
    if not (re.fullmatch("[0-9]{1,9}", text) and least <= int(text) <= most):
        raise _not_allowed(name, text, f"a whole number, {least} to {most}")
    return int(text)


def _name(variable: str, text: str) -> str:
    if not re.fullmatch("[A-Za-z0-9._-]{1,249}", text):
        raise _not_allowed(variable, text, "1 to 249 letters, digits, or . _ -")
    return text


def _servers(text: str) -> str:
    found = [re.fullmatch(r"[A-Za-z0-9._-]{1,253}:([0-9]{1,5})", each) for each in text.split(",")]
    if not all(server and 0 < int(server[1]) <= _LAST_PORT for server in found):
        raise _not_allowed("KAFKA_BROKER_URL", text, "host:port, or several with commas between")
    return text


def _not_allowed(name: str, text: str, allowed: str) -> CannotMeasure:
    value = repr(text)
    shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}..."
    return CannotMeasure(f"{name}={shown} is not allowed: {allowed}")
