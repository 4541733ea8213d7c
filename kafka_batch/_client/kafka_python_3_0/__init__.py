"""kafka-python 3.0: its clients, patched where exactly-once needs it.

No other module reaches into it. Numbers in brackets are entries of docs/exactly-once.md.
"""
