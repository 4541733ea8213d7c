"""Settings from the environment, as one frozen object."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from kafka_batch import RecordCodec
from kafka_batch.config import Compression
from service_kit.cores import Affinity
from service_kit.logs import LogFormat

_SHOWN = 60  # characters of a wrong value
_LAST_PORT = 65_535

_SERVER = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?:([0-9]{1,5})")
_MAX_SERVERS = 100

# What Kubernetes gives every container beside a Service: METRICS_PORT beside one named `metrics`
# (https://kubernetes.io/docs/concepts/services-networking/service/).
_SERVICE_LINK = re.compile("(?:tcp|udp|sctp)://.*")


def _servers(url: str) -> str:
    servers = url.split(",")
    found = [_SERVER.fullmatch(server) for server in servers]
    if not all(each and 0 < int(each[1]) <= _LAST_PORT for each in found):
        raise ValueError(f"it is no host:port, or list of such, with ports from 1 to {_LAST_PORT}")
    if len(servers) > _MAX_SERVERS:
        raise ValueError(f"it names more than {_MAX_SERVERS} brokers")
    return url


def _no_dots_alone(name: str) -> str:
    if name in (".", ".."):
        raise ValueError("Kafka has no topic of dots alone")
    return name


def _level(name: str) -> str:
    return {"WARN": "WARNING"}.get(name.upper(), name.upper())


def _writable(file: str) -> str:
    try:
        with open(file, "a"):
            return file
    except OSError as error:
        raise ValueError(f"it can't be written ({error.strerror})") from error


BrokerUrl = Annotated[
    str,
    AfterValidator(_servers),
    Field(description="where the brokers are: host:port, or several with commas between"),
]
TopicName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$"), AfterValidator(_no_dots_alone)
]
Port = Annotated[int, Field(ge=1, le=_LAST_PORT)]
IN_ANY_CASE = BeforeValidator(str.lower)
"""For fields of an enumeration, whose values are in lower case."""


class SettingsError(ValueError):
    """A variable with a value that is not allowed; the text is one line, for the operator."""


class ServiceSettings(BaseModel):
    """Base of a service's settings: each field is read from the variable of its upper-case name.

    An empty variable is an unset one: Helm and compose make such where nothing is given.
    """

    model_config = ConfigDict(frozen=True, alias_generator=str.upper, hide_input_in_errors=True)

    kafka_broker_url: BrokerUrl = "broker:9092"
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        BeforeValidator(_level),
        Field(
            description="DEBUG, INFO, WARNING or ERROR; DEBUG has the Kafka client's own lines too",
        ),
    ] = "INFO"
    log_format: Annotated[
        LogFormat,
        IN_ANY_CASE,
        Field(description="json, console, or auto: console on a terminal, else json"),
    ] = LogFormat.AUTO
    compression_type: Annotated[
        Compression,
        IN_ANY_CASE,
        Field(description="none, gzip, snappy, lz4 or zstd, of what is written"),
    ] = Compression.NONE
    record_codec: Annotated[
        RecordCodec,
        IN_ANY_CASE,
        Field(description="auto, or client: one record at a time by kafka-python, slower"),
    ] = RecordCodec.AUTO
    cpu_affinity: Annotated[
        Affinity,
        IN_ANY_CASE,
        Field(
            description="auto, or none; auto: threads share one core while they are busy, it "
            "suffices, and nobody else needs it"
        ),
    ] = Affinity.AUTO
    metrics_port: Annotated[
        Port | None, Field(description="port of the metrics for Prometheus, 1 to 65535")
    ] = None
    health_file: Annotated[
        Annotated[str, AfterValidator(_writable)] | None,
        Field(description="file that shows the loop is alive"),
    ] = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Reads the variables that are set, without blanks around their values; the others keep
        their defaults.

        Raises:
            SettingsError: a value is not allowed; the first such variable, its value and why.
        """
        links = cls.service_links(environment)
        given = {
            name: text
            for name, value in environment.items()
            if (text := value.strip()) and name not in links
        }
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise SettingsError(cls._explain(error.errors()[0], environment)) from error

    @classmethod
    def service_links(cls, environment: Mapping[str, str]) -> list[str]:
        """Variables of ours that Kubernetes has set to the address of a Service by that name. They
        are not read; whoever starts the service says so."""
        ours = (str(field.alias) for field in cls.model_fields.values())
        return [
            name
            for name in ours
            if name.endswith("_PORT") and _SERVICE_LINK.fullmatch(environment.get(name, ""))
        ]

    @classmethod
    def variables(cls) -> str:
        """A table of all variables with default and meaning, for `--help`."""
        fields = {str(field.alias): field for field in cls.model_fields.values()}
        width = max(map(len, fields))
        return "\n".join(
            f"  {name:<{width}}  {field.description} (default: {_shown(field.default)})"
            for name, field in fields.items()
        )

    @classmethod
    def _explain(cls, problem: Any, environment: Mapping[str, str]) -> str:
        reason = " ".join(str(problem["msg"]).split()).removeprefix("Value error, ")
        if not problem["loc"]:  # a rule about several variables, which names them itself
            return reason
        name = str(problem["loc"][0])
        meaning = next(f.description for f in cls.model_fields.values() if f.alias == name)
        value = repr(environment[name])
        shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}..."
        return f"{name}={shown} is not allowed: {reason}. {name} is: {meaning}"


def _shown(default: object) -> str:
    return "none" if default is None else str(default)
