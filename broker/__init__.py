"""A real Apache Kafka without Docker: the released jars on Java 17 or later, in KRaft mode."""

from broker.cluster import Cluster, Node
from broker.jars import BrokerUnavailable

__all__ = ["BrokerUnavailable", "Cluster", "Node"]
