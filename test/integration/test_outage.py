"""The detector while its broker is away, and while the broker refuses it."""

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from detecting import (
    REPOSITORY,
    Topics,
    create_topic,
    numbers,
    running,
    send_numbered,
    some_topics,
    wait_until_judged,
)
from kafka.errors import RequestTimedOutError

from broker import Cluster
from kafka_batch import RecoverableError, create_topics, describe_topics
from kafka_batch._client.kafka_python_3_0.admin import Admin
from kafka_batch._client.kafka_python_3_0.connections import NonRaisingClient


def topics_of(cluster: Cluster) -> Topics:
    names = iter(("legit", "fraud", "dead", "state", "in"))

    def new_topic(partitions: int, **configs: str) -> str:
        name = next(names)
        create_topic(cluster.bootstrap_servers, name, partitions, **configs)
        return name

    return some_topics(cluster.bootstrap_servers, new_topic)


def test_it_waits_for_a_broker_and_goes_on_where_it_stood_when_one_was_away(
    tmp_path: Path,
) -> None:
    cluster = Cluster(tmp_path)
    (node,) = cluster.nodes
    with cluster:
        topics = topics_of(cluster)
    with running(topics, tmp_path / "log") as detector:
        detector.wait_until_said("no broker answers")
        with cluster:
            detector.wait_until_said("judging")
            send_numbered(topics, 0, 1_000)
            wait_until_judged(topics, 1_000)
            # At rest, both times: an only node that ends in the middle of a commit can forget its
            # markers (docs/exactly-once.md, Kafka transactions that do not end).
            node.stop()
            node.launch()
            cluster.wait_until_up()
            send_numbered(topics, 1_000, 500)
            wait_until_judged(topics, 1_500)
            node.kill()
            node.launch()
            cluster.wait_until_up()
            send_numbered(topics, 1_500, 500)
            assert numbers(wait_until_judged(topics, 2_000)) == list(range(2_000))
            assert detector.stop() == 0


def test_it_obeys_while_the_broker_does_not_answer(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        topics = topics_of(cluster)
        with running(topics, tmp_path / "log") as detector:
            detector.wait_until_said("judging")
            send_numbered(topics, 0, 100)
            wait_until_judged(topics, 100)
            cluster.nodes[0].pause()
            detector.signal(signal.SIGTERM)
            assert detector.ended() == 0
            cluster.nodes[0].resume()


def test_metadata_are_not_waited_for_as_long_as_other_answers(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        (node,) = cluster.nodes
        client = NonRaisingClient(
            bootstrap_servers=cluster.bootstrap_servers, request_timeout_ms=600_000
        )
        with closing(client):
            client._manager.bootstrap()
            client._manager.run(client.cluster.refresh_metadata, node.number)  # it is connected
            node.pause()
            with pytest.raises(RequestTimedOutError):
                client._manager.run(client.cluster.refresh_metadata, node.number)
            node.resume()


def test_a_topic_that_is_not_created_in_time_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Cluster(tmp_path) as cluster:
        (node,) = cluster.nodes
        servers = cluster.bootstrap_servers

        def create() -> list[str]:
            return create_topics(servers, {"first": {}, "second": {}}, 4, 1)

        class Pausing(Admin):
            def create_topics(self, topics: Any, **options: Any) -> Any:
                if "second" in topics:
                    node.pause()
                return super().create_topics(topics, **options)

        with monkeypatch.context() as patched:
            patched.setattr("kafka_batch._client.topics.Admin", Pausing)
            with pytest.raises(RecoverableError, match="'second' is not there yet"):
                create()
        with pytest.raises(RecoverableError, match="no broker answers"):
            create()
        node.resume()
        # Once it goes on, the broker may create it or not: it is there after the next call.
        create_topic(servers, "second", 4)
        known = describe_topics(servers, ["first", "second"])
        assert [topic.partitions for topic in known.values()] == [4, 4]
        assert create() == []


@pytest.mark.parametrize(
    ("kind", "name", "right", "said"),
    [
        ("topic", "in", "Read", "TopicAuthorizationFailedError"),
        ("topic", "fraud", "Write", "TopicAuthorizationFailedError"),
        ("group", "detector-of-in", "Read", "GroupAuthorizationFailedError"),
        ("transactional-id", "*", "Write", "TransactionalIdAuthorizationFailedError"),
    ],
)
def test_a_right_that_is_lacking_is_one_clear_line(
    guarded: Topics, tmp_path: Path, kind: str, name: str, right: str, said: str
) -> None:
    rule = ["--deny-principal", "User:ANONYMOUS", "--operation", right, f"--{kind}", name]
    send_numbered(guarded, 0, 40)
    acls(guarded, "--add", *rule)
    try:
        with running(guarded, tmp_path / "log") as detector:
            assert detector.ended() == 1
        line = json.loads(detector.said().splitlines()[-1])
        assert line["event"] == "giving up"
        assert said in line["reason"]
    finally:
        acls(guarded, "--remove", "--force", *rule)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Topics of a broker that looks at access control lists."""
    authorizer = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
        "super.users": "User:nobody",
    }
    with Cluster(tmp_path_factory.mktemp("guarded"), properties=authorizer) as cluster:
        yield topics_of(cluster)


def acls(topics: Topics, *arguments: str) -> None:
    server = ["--bootstrap-server", topics.bootstrap_servers]
    subprocess.run(
        [sys.executable, "-m", "broker", "acls", *server, *arguments],
        cwd=REPOSITORY,
        env=dict(os.environ),
        capture_output=True,
        check=True,
    )
