"""kafka-python's admin client, which raises only errors of Kafka's."""

from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import (
    KafkaTimeoutError,
    NotControllerError,
)

from kafka_batch._client.kafka_python_3_0.bootstrap import reachable_servers
from kafka_batch._client.kafka_python_3_0.connections import NonRaisingClient
from kafka_batch._client.kafka_python_3_0.patches import patch_kafka_python


class Admin(KafkaAdminClient):
    """An admin client that leaves no thread behind when it can't be opened [16], and raises a
    KafkaError where no broker is the controller for now, in place of a RuntimeError."""

    def __init__(self, bootstrap_servers: str, **configs: Any) -> None:
        patch_kafka_python()
        found = reachable_servers(bootstrap_servers)
        try:
            super().__init__(bootstrap_servers=found, kafka_client=NonRaisingClient, **configs)
        except KafkaTimeoutError:
            self._client.close()
            raise

    async def _send_request_to_controller(self, *args: Any, **options: Any) -> Any:
        try:
            return await super()._send_request_to_controller(*args, **options)
        except RuntimeError as error:
            raise NotControllerError(str(error)) from error
