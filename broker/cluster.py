"""One Kafka node or three on this machine's loopback address."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from broker.jars import BrokerUnavailable
from broker.node import Node, wait_until_up
from broker.ports import HOST, free_ports
from broker.settings import server_properties


class Cluster:
    """A Kafka of one node or three, with its data in a directory. Used with `with`, it runs inside.

    `port` is the first node's, the others' follow; 0 takes free ones. `properties` override the
    server's settings. With three nodes everything is replicated to all, and two make progress.
    """

    def __init__(
        self,
        directory: Path,
        nodes: int = 1,
        port: int = 0,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory.resolve()
        ports = [port + n for n in range(nodes)] if port else free_ports(nodes)
        controllers = [f"{HOST}:{free}" for free in free_ports(nodes)]
        voters = ",".join(f"{n}@{address}" for n, address in enumerate(controllers, 1))
        common = {**server_properties(nodes), "controller.quorum.voters": voters}
        self.nodes: list[Node] = []
        for number, (own, controller) in enumerate(zip(ports, controllers, strict=True), 1):
            folder = self.directory / f"node-{number}"
            place = {
                "node.id": str(number),
                "listeners": f"PLAINTEXT://{HOST}:{own},CONTROLLER://{controller}",
                "advertised.listeners": f"PLAINTEXT://{HOST}:{own}",
                "log.dirs": str(folder / "data"),
            }
            self.nodes.append(Node(number, own, folder, {**common, **place, **(properties or {})}))

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(node.address for node in self.nodes)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self, unless: Callable[[], bool] = lambda: False) -> bool:
        """Starts all nodes, and returns true when all answer; false when `unless` was true before.

        Raises:
            BrokerUnavailable: a node can't start, ends, or doesn't answer in time; none runs then.
        """
        self._require_own_data()
        try:
            for node in self.nodes:
                node.launch()
            return self.wait_until_up(unless)
        except BaseException:
            self.kill()
            raise

    def wait_until_up(self, unless: Callable[[], bool] = lambda: False) -> bool:
        """Returns true when all nodes answer; false when `unless` was true before.

        Raises:
            BrokerUnavailable: a node has ended, or doesn't answer in time.
        """
        return wait_until_up(self.nodes, unless)

    def require_majority(self) -> None:
        """
        Raises:
            BrokerUnavailable: so many nodes have ended by themselves that the others can't go on.
        """
        ended = [node for node in self.nodes if node.ended]
        if 2 * len(ended) >= len(self.nodes):
            ended[0].require_running()

    def stop(self) -> None:
        """Ends all nodes cleanly, and at once: the last one alone could not agree on anything."""
        for node in self.nodes:
            node.tell_to_stop()
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        """Ends all nodes without a word."""
        for node in self.nodes:
            node.kill()

    def _require_own_data(self) -> None:
        # Nodes without data could outvote one that has some, which would then discard its own.
        found = len(list(self.directory.glob("node-*/data/meta.properties")))
        if found not in (0, len(self.nodes)):
            raise BrokerUnavailable(
                f"{self.directory} holds data of {found} node(s), not of {len(self.nodes)}: "
                "choose another folder with --data, or another number with --nodes"
            )
