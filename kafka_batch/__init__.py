"""Whole batches in and out of Kafka, on kafka-python, and the exactly-once stream over them."""

from kafka_batch._client.kafka_python_3_0.admin import Admin
from kafka_batch._client.kafka_python_3_0.batch_consumer import BatchConsumer
from kafka_batch._client.kafka_python_3_0.batch_producer import (
    BatchProducer,
    partition_of,
    record_size,
)
from kafka_batch._client.kafka_python_3_0.consumer import Consumer
from kafka_batch._client.kafka_python_3_0.log_filter import QuietRepeats
from kafka_batch._client.kafka_python_3_0.selftest import RecordCodec, whole_batches
from kafka_batch._client.reader import PartitionReader
from kafka_batch._client.topics import TopicLimits, create_topics, describe_topics
from kafka_batch._records.batch import Batch, KeyValues, PlainBatch
from kafka_batch._records.bodies import (
    NO_TIMESTAMP,
    Header,
    HeaderBlock,
    Headers,
    HeaderTemplate,
    Record,
    encode_body,
    read_headers,
)
from kafka_batch._records.row_mask import RowMask
from kafka_batch._records.uniform import RowsInText
from kafka_batch._stream.observer import Observer
from kafka_batch._stream.stream import IDLE_WAIT_MS, Stream
from kafka_batch.cluster import KAFKA, Cluster, KafkaCluster, Reader, TransactionalStream
from kafka_batch.config import BATCH_BYTES, Compression, Guarantee, StreamConfig
from kafka_batch.errors import (
    FatalError,
    RecoverableError,
    ShutdownTimeout,
    StreamError,
    describe_error,
)
from kafka_batch.lists import ListCluster

__all__ = [
    "BATCH_BYTES",
    "IDLE_WAIT_MS",
    "KAFKA",
    "NO_TIMESTAMP",
    "Admin",
    "Batch",
    "BatchConsumer",
    "BatchProducer",
    "Cluster",
    "Compression",
    "Consumer",
    "FatalError",
    "Guarantee",
    "Header",
    "HeaderBlock",
    "HeaderTemplate",
    "Headers",
    "KafkaCluster",
    "KeyValues",
    "ListCluster",
    "Observer",
    "PartitionReader",
    "PlainBatch",
    "QuietRepeats",
    "Reader",
    "Record",
    "RecordCodec",
    "RecoverableError",
    "RowMask",
    "RowsInText",
    "ShutdownTimeout",
    "Stream",
    "StreamConfig",
    "StreamError",
    "TopicLimits",
    "TransactionalStream",
    "create_topics",
    "describe_error",
    "describe_topics",
    "encode_body",
    "partition_of",
    "read_headers",
    "record_size",
    "whole_batches",
]
