"""A real Kafka of three nodes, or one, each behind a proxy; and topics on it."""

import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from detecting import Topics, some_topics, wait_until
from kafka import KafkaAdminClient
from kafka import TopicPartition as Partition

from broker import Cluster, Node
from broker.ports import HOST, free_ports
from faults.proxy import Proxy
from kafka_batch import create_topics

_LISTENERS = "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT"
_MOVES_S = 120.0
_DISK = "size=1g"


class World:
    """A running cluster. Detectors reach it through the proxies, everything else directly."""

    disk_of = 3

    def __init__(self, folder: Path, nodes: int, disk: Path | None = None) -> None:
        self.cluster = Cluster(folder, nodes)
        self.disk = disk  # a small one, of a single node's data
        behind, in_front = free_ports(nodes), free_ports(nodes)
        self.proxies: dict[int, Proxy] = {}
        for node, inner, outer in zip(self.cluster.nodes, behind, in_front, strict=True):
            node.properties["listener.security.protocol.map"] = _LISTENERS
            node.properties["listeners"] += f",PROXIED://{HOST}:{inner}"
            node.properties["advertised.listeners"] += f",PROXIED://{HOST}:{outer}"
            self.proxies[node.number] = Proxy(outer, inner)

    @property
    def direct(self) -> str:
        """Bootstrap servers, past the proxies."""
        return self.cluster.bootstrap_servers

    @property
    def proxied(self) -> str:
        """Bootstrap servers for the detectors."""
        return ",".join(f"{HOST}:{proxy.port}" for proxy in self.proxies.values())

    def heal(self) -> None:
        """Puts everything in order that a run may have left as it broke it."""
        for proxy in self.proxies.values():
            proxy.heal()
        for node in self.cluster.nodes:
            node.resume()
            if not node.runs:
                node.start()

    def node(self, number: int) -> Node:
        return self.cluster.nodes[number - 1]

    def new_topics(self) -> Topics:
        """A detector's four topics, replicated to all nodes."""

        def create(partitions: int, **configs: str) -> str:
            name = f"topic-{uuid.uuid4().hex[:12]}"
            self.create(name, partitions, **configs)
            return name

        return some_topics(self.direct, create)

    @property
    def replicas(self) -> int:
        return len(self.cluster.nodes)

    def create(self, name: str, partitions: int, **configs: str) -> None:
        """A topic that is replicated to all nodes."""
        create_topics(self.direct, {name: configs}, partitions, self.replicas)

    @contextmanager
    def admin(self) -> Iterator[KafkaAdminClient]:
        """For an operator's doings."""
        client = KafkaAdminClient(bootstrap_servers=self.direct)
        try:
            yield client
        finally:
            client.close()

    def leader(self, place: Partition) -> int:
        """The number of the node that leads a partition."""
        with self.admin() as admin:
            (topic,) = admin.describe_topics([place.topic])
        found = {p["partition_index"]: p["leader_id"] for p in topic["partitions"]}
        return int(found[place.partition])

    def await_replicas(self, topic: str) -> None:
        """Returns when every replica of a topic is in sync again: a further loss is survivable."""

        def in_sync() -> bool:
            with self.admin() as admin:
                (found,) = admin.describe_topics([topic])
            return all(len(p["isr_nodes"]) == len(self.cluster.nodes) for p in found["partitions"])

        wait_until(in_sync, f"all replicas of {topic} are in sync", _MOVES_S)


@contextmanager
def a_world(nodes: int) -> Iterator[World]:
    """A cluster for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="faults-kafka-") as folder, ExitStack() as ending:
        data = Path(folder) / f"node-{World.disk_of}" / "data"
        world = World(Path(folder), nodes, _a_small_disk(data, ending))
        for proxy in world.proxies.values():
            ending.callback(proxy.close)
        ending.enter_context(world.cluster)
        yield world


def _a_small_disk(folder: Path, ending: ExitStack) -> Path | None:
    """A file system of its own, in memory; none where we may not mount it."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", _DISK, "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    ending.callback(subprocess.run, ["umount", str(folder)], check=True)
    return folder
