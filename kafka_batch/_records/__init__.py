"""Kafka's record format: bytes only."""
