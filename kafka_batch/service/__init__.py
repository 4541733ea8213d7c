"""What a Kafka service needs around its loop: settings, logs, signals, health, starting anew."""
