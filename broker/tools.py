"""Kafka's console tools by their names, as `python -m broker NAME ARGUMENTS`."""

import os
from collections.abc import Sequence

from broker.jars import java

DEFAULT_SERVER = "localhost:9094"

TOOLS = {
    "acls": "org.apache.kafka.tools.AclCommand",
    "broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "configs": "kafka.admin.ConfigCommand",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "dump-log": "org.apache.kafka.tools.DumpLogSegments",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "topics": "org.apache.kafka.tools.TopicCommand",
    "transactions": "org.apache.kafka.tools.TransactionsCommand",
}
_WITHOUT_SERVER = {"dump-log", "producer-perf-test"}


def command(tool: str, arguments: Sequence[str]) -> list[str]:
    """The command line of a tool; it asks our own broker where it isn't told another.

    Raises:
        BrokerUnavailable: Java or the jars can't be had.
    """
    server: list[str] = []
    if tool not in _WITHOUT_SERVER and "--bootstrap-server" not in arguments:
        server = ["--bootstrap-server", os.environ.get("KAFKA_BROKER_URL", DEFAULT_SERVER)]
    return java(TOOLS[tool], *server, *arguments, heap="256m", log="tools")


def become(tool: str, arguments: Sequence[str]) -> None:
    """Replaces this process by the tool, so that signals and exit status are the tool's own."""
    line = command(tool, arguments)
    os.execvp(line[0], line)  # noqa: S606
