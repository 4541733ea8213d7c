"""The fault suite: detectors on a real Kafka, while things break, and a check of all they wrote."""
