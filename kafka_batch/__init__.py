"""Whole batches in and out of Kafka, on kafka-python, and the exactly-once stream over them."""

from kafka_batch.alike import AllBut, RowsInText
from kafka_batch.batch import Batch, Pairs, PlainBatch
from kafka_batch.codec import (
    NO_TIMESTAMP,
    Header,
    HeaderBlock,
    HeaderFrame,
    Headers,
    Record,
    encode_tail,
)
from kafka_batch.config import BATCH_BYTES, Compression, Guarantee, StreamConfig
from kafka_batch.consumer import BatchConsumer
from kafka_batch.errors import Hangs, Refused, StartAnew, StreamError, one_line
from kafka_batch.producer import BatchProducer, partition_of, record_size
from kafka_batch.reader import PartitionReader
from kafka_batch.selftest import RecordCodec, whole_batches
from kafka_batch.stream import IDLE_WAIT_MS, Observer, Stream
from kafka_batch.topics import TopicLimits, create_topics, describe_topics

__all__ = [
    "BATCH_BYTES",
    "IDLE_WAIT_MS",
    "NO_TIMESTAMP",
    "AllBut",
    "Batch",
    "BatchConsumer",
    "BatchProducer",
    "Compression",
    "Guarantee",
    "Hangs",
    "Header",
    "HeaderBlock",
    "HeaderFrame",
    "Headers",
    "Observer",
    "Pairs",
    "PartitionReader",
    "PlainBatch",
    "Record",
    "RecordCodec",
    "Refused",
    "RowsInText",
    "StartAnew",
    "Stream",
    "StreamConfig",
    "StreamError",
    "TopicLimits",
    "create_topics",
    "describe_topics",
    "encode_tail",
    "one_line",
    "partition_of",
    "record_size",
    "whole_batches",
]
