"""Whole batches in and out of Kafka, on kafka-python, and the exactly-once stream over them."""

from kafka_batch.batch import Batch, Header, Headers, Record
from kafka_batch.config import BATCH_BYTES, Guarantee, StreamConfig
from kafka_batch.consumer import BatchConsumer
from kafka_batch.errors import Refused, StartAnew, StreamError, one_line
from kafka_batch.producer import BatchProducer, partition_of, record_size
from kafka_batch.stream import Observer, Stream
from kafka_batch.topics import TopicLimits, create_topics, describe_topics

__all__ = [
    "BATCH_BYTES",
    "Batch",
    "BatchConsumer",
    "BatchProducer",
    "Guarantee",
    "Header",
    "Headers",
    "Observer",
    "Record",
    "Refused",
    "StartAnew",
    "Stream",
    "StreamConfig",
    "StreamError",
    "TopicLimits",
    "create_topics",
    "describe_topics",
    "one_line",
    "partition_of",
    "record_size",
]
