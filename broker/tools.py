"""Kafka's console tools by their names, as `python -m broker NAME ARGUMENTS`."""

import os
from collections.abc import Sequence
from typing import NoReturn

from broker import jars

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
    "features": "org.apache.kafka.tools.FeatureCommand",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "groups": "org.apache.kafka.tools.GroupsCommand",
    "leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "storage": "kafka.tools.StorageTool",
    "topics": "org.apache.kafka.tools.TopicCommand",
    "transactions": "org.apache.kafka.tools.TransactionsCommand",
}
_OFFLINE = {"dump-log", "storage"}
_NAMES_A_SERVER = ("--bootstrap-", "bootstrap.servers=")  # the perf tools take it as a property too


def command(tool: str, arguments: Sequence[str]) -> list[str]:
    """The command line of a tool; it asks $KAFKA_BROKER_URL or our own broker if not told another.

    Raises:
        BrokerUnavailable: Java or the jars can't be had.
    """
    server: list[str] = []
    if tool not in _OFFLINE and not any(word.startswith(_NAMES_A_SERVER) for word in arguments):
        server = ["--bootstrap-server", os.environ.get("KAFKA_BROKER_URL", DEFAULT_SERVER)]
    return jars.tool(TOOLS[tool], [*server, *arguments])


def become(tool: str, arguments: Sequence[str]) -> NoReturn:
    """Replaces this process by the tool, so that signals and exit status are the tool's own.

    Raises:
        BrokerUnavailable: Java or the jars can't be had.
    """
    line = command(tool, arguments)
    os.execve(line[0], line, jars.environment())  # noqa: S606
