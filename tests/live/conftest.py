"""The wire of the live tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live import wire as wires


@pytest.fixture
def wire() -> Iterator[str]:
    """A network namespace with the interfaces `near` and `far`, entered by this thread; its name."""
    with wires.namespace() as name:
        yield name
