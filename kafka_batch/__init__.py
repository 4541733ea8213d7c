"""Whole batches in and out of Kafka, on kafka-python, and the exactly-once stream over them."""

from kafka_batch.batch import Batch, Header, Headers
from kafka_batch.consumer import BatchConsumer
from kafka_batch.errors import Refused, StartAnew, StreamError, one_line
from kafka_batch.producer import BatchProducer, partition_of
from kafka_batch.stream import Guarantee, Observer, Stream, StreamConfig

__all__ = [
    "Batch",
    "BatchConsumer",
    "BatchProducer",
    "Guarantee",
    "Header",
    "Headers",
    "Observer",
    "Refused",
    "StartAnew",
    "Stream",
    "StreamConfig",
    "StreamError",
    "one_line",
    "partition_of",
]
