"""Bytes and values: JSON to columns, the strict reader, headers of verdicts and dead letters."""
