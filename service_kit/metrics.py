"""Metrics for Prometheus, over HTTP."""

from prometheus_client import CollectorRegistry, start_http_server

from kafka_batch.errors import FatalError


def serve_metrics(port: int | None, registry: CollectorRegistry) -> None:
    """Serves the registry at the port, on all addresses, from a thread; without a port, nothing.

    Raises:
        FatalError: the port can't be listened on.
    """
    if port is None:
        return
    try:
        start_http_server(port, registry=registry)
    except OSError as error:
        reason = error.strerror or error
        raise FatalError(f"METRICS_PORT={port} can't be listened on: {reason}") from error
