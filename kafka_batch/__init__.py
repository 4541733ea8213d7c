"""Whole batches in and out of Kafka, on kafka-python, and the exactly-once stream over them."""

from kafka_batch._client.client import Admin, Consumer, QuietRepeats
from kafka_batch._client.consumer import BatchConsumer
from kafka_batch._client.producer import BatchProducer, partition_of, record_size
from kafka_batch._client.reader import PartitionReader
from kafka_batch._client.selftest import RecordCodec, whole_batches
from kafka_batch._client.topics import TopicLimits, create_topics, describe_topics
from kafka_batch._records.alike import AllBut, RowsInText
from kafka_batch._records.batch import Batch, Pairs, PlainBatch
from kafka_batch._records.codec import (
    NO_TIMESTAMP,
    Header,
    HeaderBlock,
    HeaderFrame,
    Headers,
    Record,
    encode_tail,
    read_headers,
)
from kafka_batch._stream.stream import IDLE_WAIT_MS, Observer, Stream
from kafka_batch.config import BATCH_BYTES, Compression, Guarantee, StreamConfig
from kafka_batch.errors import Hangs, Refused, StartAnew, StreamError, one_line

__all__ = [
    "BATCH_BYTES",
    "IDLE_WAIT_MS",
    "NO_TIMESTAMP",
    "Admin",
    "AllBut",
    "Batch",
    "BatchConsumer",
    "BatchProducer",
    "Compression",
    "Consumer",
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
    "QuietRepeats",
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
    "read_headers",
    "record_size",
    "whole_batches",
]
