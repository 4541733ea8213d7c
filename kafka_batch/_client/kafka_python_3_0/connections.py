"""How kafka-python connects to brokers, and which one it asks."""

import random
from typing import Any

from kafka.errors import KafkaConnectionError
from kafka.net.compat import KafkaNetClient
from kafka.protocol.metadata import MetadataRequest

_CONNECT_MS = 1_000
_CONNECT_PAUSE_MS = 50
# For a connection and the first answer over it: so long, and not 10 s, does a silent broker cost.
_SETUP_MS = 2_000
_METADATA_MS = 4_000


class NonRaisingClient(KafkaNetClient):
    """Says "not ready yet" of a broker that can't be reached, where the original raises [2].

    The raise makes the sender drop a transactional request that nobody completes afterwards. And
    pauses between attempts to connect, also where something in front of a broker that is gone
    takes the connection and closes it, where the original tries on without a pause [23]. And asks
    a broker that it has bootstrapped from, which answers, where the original takes any; and for
    metadata another one where that takes longer than metadata do [31].
    """

    def __init__(self, *args: Any, **configs: Any) -> None:
        super().__init__(*args, socket_connection_setup_timeout_ms=_SETUP_MS, **configs)
        self._reset_backoff = self._manager.reset_backoff
        self._manager.reset_backoff = self._connected
        self._least_loaded = self._manager.least_loaded_node
        self._manager.least_loaded_node = self._one_to_ask
        self._send_request = self._manager.send
        self._manager.send = self._send

    def _connected(self, node_id: Any) -> None:
        """Is called when an attempt is over, whatever came of it; and before metadata is asked
        for, whose pauses are counted as if it were a node."""
        connection = self._manager._conns.get(node_id)
        is_node = node_id != "metadata"
        if is_node and (connection is None or not connection.init_future.succeeded()):
            self._manager.update_backoff(node_id)
        else:
            self._reset_backoff(node_id)

    def _one_to_ask(self) -> Any:
        """The original's choice, where there is a connection to it; else one that has answered."""
        found = self._least_loaded()
        if found is None or self.connected(found):
            return found
        answered = {(broker.host, broker.port) for broker in self.cluster.bootstrap_brokers()}
        known = (it.node_id for it in self.cluster.brokers() if (it.host, it.port) in answered)
        free = [*filter(self._may_be_asked, known)]
        return random.choice(free) if free else found  # noqa: S311  # no secret

    def _may_be_asked(self, node_id: int) -> bool:
        connection = self._manager._conns.get(node_id)
        is_full = connection is not None and connection.paused
        return not is_full and not self.connection_delay(node_id)

    def _send(
        self, request: Any, node_id: Any = None, request_timeout_ms: float | None = None
    ) -> Any:
        """Metadata are asked of one broker at a time, and everyone waits for them."""
        if request_timeout_ms is None and isinstance(request, MetadataRequest):
            request_timeout_ms = _METADATA_MS
        return self._send_request(request, node_id, request_timeout_ms)

    def await_ready(self, node_id: int, timeout_ms: int = 30_000) -> bool:
        try:
            return bool(super().await_ready(node_id, timeout_ms=min(timeout_ms, _CONNECT_MS)))
        except KafkaConnectionError:
            # Drives the connection attempt; without it the sender would ask again at once.
            self.poll(timeout_ms=_CONNECT_PAUSE_MS)
            return False
