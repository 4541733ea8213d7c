"""What the settings ask of Kafka: which topics must be there, and how streams are set up."""

from collections.abc import Mapping

from detector.service.restoring import StateConfig
from detector.service.settings import DetectorSettings, StateMissing
from kafka_batch import BATCH_BYTES, Cluster, FatalError, StreamConfig, TopicLimits

_END_WAIT_MS = 10  # once for each partition that is restored


def describe_all_topics(
    settings: DetectorSettings, kafka: Cluster, *, keeps_state: bool
) -> Mapping[str, TopicLimits]:
    """The limits of each topic that is read or written.

    Raises:
        RecoverableError: no broker answers.
        FatalError: a topic is not there, or the state topic has another number of partitions.
    """
    names = [settings.transactions_topic, *settings.output_topics]
    if keeps_state:
        names.append(settings.state_topic)
    if settings.rules_topic is not None:
        names.append(settings.rules_log_topic)
    known = kafka.describe(stream_config(settings, BATCH_BYTES, keeps_state=keeps_state), names)
    if keeps_state:
        _require_as_many_partitions(known, settings.transactions_topic, settings.state_topic)
    return known


def stream_config(settings: DetectorSettings, max_bytes: int, *, keeps_state: bool) -> StreamConfig:
    """Of the stream of transactions; no topic takes batches of more than `max_bytes`."""
    return StreamConfig(
        bootstrap_servers=settings.kafka_broker_url,
        group=settings.consumer_group,
        topic=settings.transactions_topic,
        guarantee=settings.processing_guarantee,
        commit_interval_ms=settings.commit_interval_ms,
        instance_id=settings.instance_id,
        batch_bytes=min(BATCH_BYTES, max_bytes),
        compression=settings.compression_type,
        codec=settings.record_codec,
        pause_on_assignment=keeps_state,
    )


def state_config(settings: DetectorSettings, config: StreamConfig, kafka: Cluster) -> StateConfig:
    """Of what is saved and restored beside the stream with this configuration."""
    return StateConfig(
        topic=settings.state_topic,
        source=settings.transactions_topic,
        go_on_without=settings.state_missing is StateMissing.PARTIAL,
        open_reader=lambda: kafka.open_reader(config, wait_ms=_END_WAIT_MS),
    )


def _require_as_many_partitions(known: Mapping[str, TopicLimits], source: str, state: str) -> None:
    """An account's state is in the partition of the number that its payments are in."""
    wanted, found = known[source].partitions, known[state].partitions
    if wanted != found:
        raise FatalError(
            f"topic {state!r} has {found} partitions, and {source!r} has {wanted}: it must have as "
            "many; where the input got more, accounts moved, and those begin without a history"
        )
