"""The first step of a service: its settings, its logs, and what was not read."""

from collections.abc import Mapping
from typing import TypeVar

import structlog

from service_kit.logs import set_up_logs
from service_kit.settings import ServiceSettings

_Settings = TypeVar("_Settings", bound=ServiceSettings)


def begin(kind: type[_Settings], environment: Mapping[str, str]) -> _Settings:
    """Reads the settings, sets up the logs, and warns of each variable that is ignored.

    Raises:
        SettingsError: a value is not allowed.
    """
    settings = kind.from_environment(environment)
    set_up_logs(settings.log_level, settings.log_format)
    for name in kind.service_links(environment):
        structlog.get_logger("service").warning(
            "ignored: Kubernetes set this variable, for a Service of that name; "
            "set it in the container's own environment to give it a value",
            variable=name,
            value=environment[name],
        )
    return settings
