"""Opens the clients that a stream needs."""

from collections.abc import Callable

from kafka_batch._client.kafka_python_3_0.batch_consumer import BatchConsumer
from kafka_batch._client.kafka_python_3_0.batch_producer import BatchProducer
from kafka_batch._stream.rebalances import Member, RebalanceListener
from kafka_batch.config import Guarantee, StreamConfig
from kafka_batch.errors import StreamError, map_kafka_errors

_METADATA_TIMEOUT_S = 4.0


def open_clients(
    config: StreamConfig,
    member: Member,
    previous_member_id: str,
    deadline_at: Callable[[], float],
    timeout_s: float,
) -> tuple[BatchProducer, BatchConsumer, str]:
    """A producer with its transactional id, a consumer in its group, and the topic's id tag.

    Raises:
        StreamError: the brokers can't be reached, or refuse.
    """
    with map_kafka_errors(config.instance_id):
        producer = BatchProducer(deadline_at=deadline_at, **config.for_the_producer())
    try:
        with map_kafka_errors(config.instance_id):
            if config.guarantee is Guarantee.EXACTLY_ONCE:
                producer.init_transactional_id(timeout_s)
            return producer, *_subscribed(config, member, previous_member_id)
    except StreamError:
        producer.close(timeout=1)
        raise


def _subscribed(
    config: StreamConfig, member: Member, previous_member_id: str
) -> tuple[BatchConsumer, str]:
    consumer = BatchConsumer(**config.for_the_consumer())
    consumer.subscribe([config.topic], listener=RebalanceListener(member))
    if config.instance_id is None:
        consumer.rejoin_as(previous_member_id)
    consumer.refresh_metadata(_METADATA_TIMEOUT_S)
    return consumer, consumer.pin_topic(config.topic)
