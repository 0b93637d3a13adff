"""Which files this process has open as records, so that nobody here opens and closes one of them beside SQLite.

POSIX locks are a process's, not a descriptor's: closing any descriptor of a file drops all locks on it, also those of a
connection in another thread (sqlite.org/howtocorrupt.html, 2.2). Another process would then take itself for the last
user and remove the log to which we go on writing.
"""

from __future__ import annotations

import os
from collections import Counter
from threading import RLock
from typing import Final

LOCK: Final = RLock()
"""Held while a record is opened or closed, and while a file that may be one is looked at."""

Identity = tuple[int, int]

_HELD: Final[Counter[Identity]] = Counter()


def identity(path: str) -> Identity | None:
    """Which file stands at a path; None when there is none that we may see: who opens it says why."""
    try:
        found = os.stat(path)
    except OSError:  # missing, a file where a folder should be, a name too long, no right to look
        return None
    return found.st_dev, found.st_ino


def holds(path: str) -> bool:
    """Whether this process has the file open as a record. To be asked under `LOCK`."""
    return identity(path) in _HELD


def take(file: Identity | None) -> None:
    if file is not None:
        _HELD[file] += 1


def give(file: Identity | None) -> None:
    if file is not None:
        _HELD[file] -= 1
        if not _HELD[file]:
            del _HELD[file]
