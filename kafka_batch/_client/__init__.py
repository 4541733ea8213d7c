"""What a stream needs of kafka-python, and what is changed in it."""
