"""A server that the tests of the realtime API share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import Server


@pytest.fixture(scope="package")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose agent knows the weather only from its client's tool."""
    pipeline = Path(__file__).parent / "host.toml"
    with Server(tmp_path_factory.mktemp("host"), "--pipeline", str(pipeline)) as running:
        yield running
