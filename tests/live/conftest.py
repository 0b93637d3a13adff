"""The wire of the live tests, and a folder for users without rights."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import wire as wires


@pytest.fixture
def wire() -> Iterator[str]:
    """A network namespace with the interfaces `near` and `far`, entered by this thread; its name."""
    with wires.namespace() as name:
        yield name


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of root to which everybody may go, and in it `theirs`, which belongs to nobody."""
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    (tmp_path / "theirs").mkdir()
    shutil.chown(tmp_path / "theirs", "nobody")
    return tmp_path
