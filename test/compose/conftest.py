"""One stack for all tests of compose."""

from collections.abc import Iterator

import pytest
from compose.stack import Stack, checkout, engine_answers


@pytest.fixture(scope="session")
def stack(
    tmp_path_factory: pytest.TempPathFactory, free_port_of_the_session: int
) -> Iterator[Stack]:
    """Everything, with two detectors, from a folder with a name that is hard to quote; the broker
    on its own first."""
    if not engine_answers():
        pytest.skip("no Docker engine with compose answers")
    folder = tmp_path_factory.mktemp("compose") / "a fresh clöne, it's mine"
    found = Stack(checkout(folder), free_port_of_the_session)
    found.compose("down", "--volumes", "--remove-orphans")
    try:
        found.compose("-f", "docker-compose.kafka.yml", "up", "-d")
        found.compose("up", "-d", "--scale", "detector=2")
        found.wait_until_healthy("detector", "generator")
        yield found
    finally:
        found.compose("down", "--volumes", "--remove-orphans", "--rmi", "local")
