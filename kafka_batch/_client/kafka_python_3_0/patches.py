"""What is put into kafka-python where it has no settings."""

from kafka.net import manager as connections
from kafka.protocol import parser
from kafka.record import memory_records

from kafka_batch._client.kafka_python_3_0.lenient_records import LenientBatch
from kafka_batch._client.kafka_python_3_0.transport import BulkTransport, ResponseBuffer


def patch_kafka_python() -> None:
    """Has all clients of this process use the classes of ours that they have no settings for."""
    memory_records.DefaultRecordBatch = LenientBatch
    connections.KafkaTCPTransport = BulkTransport
    parser.KafkaBytes = ResponseBuffer
