"""A real Apache Kafka without Docker: the released jars on Java 17 or later, in KRaft mode."""

from broker.cluster import Cluster
from broker.jars import BrokerUnavailable
from broker.node import Node

__all__ = ["BrokerUnavailable", "Cluster", "Node"]
