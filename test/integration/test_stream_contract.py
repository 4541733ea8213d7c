"""Streams and readers on a real broker keep the contract."""

import uuid
from collections.abc import Callable

import pytest
from stream_contract import StreamContract, World

from kafka_batch import KafkaCluster, StreamConfig


@pytest.fixture
def world(kafka: "object", new_topic: Callable[..., str]) -> World:
    servers: str = kafka.bootstrap_servers  # type: ignore[attr-defined]
    config = StreamConfig(servers, f"group-{uuid.uuid4().hex[:8]}", new_topic(2))
    return World(KafkaCluster(), config, new_topic(2))


class TestKafkaStream(StreamContract):
    """The stream that the detector runs on."""
