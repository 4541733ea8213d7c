"""The cluster in memory keeps the contract of streams and readers."""

import pytest
from stream_contract import StreamContract, World

from kafka_batch import ListCluster, StreamConfig


@pytest.fixture
def world() -> World:
    cluster = ListCluster()
    cluster.create("in", 2)
    cluster.create("out", 2)
    return World(cluster, StreamConfig("nowhere:1", "group", "in"), "out")


class TestListStream(StreamContract):
    """No broker, no threads, no waiting."""
