"""What goes wrong with a record: another process writes, or SQLite fails.

Strategy: SQLite waits in short slices, so that a signal reaches us between two of them, and what it says in codes
becomes a sentence with the right exit status.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from monitor.exit_status import OperatorMistake, OutputFailure

PATIENCE: Final = 30.0
"""Seconds to wait for another process that writes: an audit's transaction takes milliseconds, a sensor's less."""

T = TypeVar("T")


def patiently(action: Callable[[], T], patience: float | None = None) -> T:
    """Do it again while another process holds the record, for so many seconds (None: `PATIENCE`)."""
    until = time.monotonic() + (PATIENCE if patience is None else patience)
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if primary(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or time.monotonic() > until:
                raise


def primary(error: sqlite3.Error) -> int:
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


_TARGET: Final = {
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_AUTH: errno.EACCES,
}
_OURS: Final = {
    sqlite3.SQLITE_FULL: (errno.ENOSPC, "the disk is full"),
    sqlite3.SQLITE_BUSY: (errno.EAGAIN, "another process keeps it locked"),
    sqlite3.SQLITE_LOCKED: (errno.EAGAIN, "another process keeps it locked"),
    sqlite3.SQLITE_IOERR: (errno.EIO, os.strerror(errno.EIO)),
}


@contextmanager
def told(path: str) -> Iterator[None]:
    """SQLite's errors as sentences with the right status. Raises OperatorMistake, OutputFailure."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = primary(error)
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise OperatorMistake(f"{path}: the record is damaged: {error}") from error
        if code in _TARGET:
            number = _TARGET[code]
            raise OutputFailure(path, OSError(number, os.strerror(number))) from error
        if code in _OURS:
            raise OutputFailure(path, OSError(*_OURS[code])) from error
        raise
