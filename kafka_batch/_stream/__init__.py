"""The exactly-once stream."""
