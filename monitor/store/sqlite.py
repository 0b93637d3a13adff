"""The record as an SQLite file: looked at before it is opened.

Strategy: WAL with full synchronisation, so readers see the last whole audit while the next is written, and what was
acknowledged survives a power cut. A file is told by its first 100 octets before SQLite opens it, because opening may
already leave files beside it: what is no record, or one of a newer version, stays as it was to the octet. Every wait
for another process ends after `trouble.PATIENCE`. What is written to it is `writing`'s.

File header: sqlite.org/fileformat2.html, 1.3; octets 18 and 19 the write and read version (2 = WAL), 60 the user
version, 68 the application id.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import quote

from monitor.exit_status import OperatorMistake, OutputFailure
from monitor.store import held
from monitor.store.migrations import APPLICATION, LATEST, migrate, version
from monitor.store.trouble import patiently, told
from monitor.store.writing import Record

_SLICE: Final = 0.2
"""Seconds SQLite itself waits at a time: while it does, no signal reaches us."""

_MAGIC: Final = b"SQLite format 3\0"
_HEADER: Final = 100
_SMALLEST: Final = 4096
"""Octets of a file that was opened for WAL and got no further: one page with nothing in it."""


class NoRecord(OperatorMistake):
    """There is no record, or nothing in it yet."""


def check_writable(path: str) -> None:
    """Find out before the work is done that a record can be written there; makes nothing.

    Raises OperatorMistake, OutputFailure.
    """
    folder = os.path.dirname(path)
    try:
        _look(path)
    except NoRecord:
        if not os.path.isdir(folder):
            raise OperatorMistake(f"{path}: no record can be made there: {folder} is no folder") from None
    for place in (folder, path):
        if os.path.exists(place) and not os.access(place, os.W_OK):
            raise OutputFailure(place, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    if os.path.exists(path) and os.path.getsize(path):
        open_record(path, writing=True).close()  # what only SQLite can tell: damage, a newer version in the log


def held_version(path: str) -> int | None:
    """By the header of the file, which may lag behind its log; None where no record is yet. Raises OperatorMistake."""
    try:
        _look(path)
    except NoRecord:
        return None
    with held.LOCK:
        if held.holds(path):
            return LATEST
        with open(path, "rb") as file:
            file.seek(60)
            return int.from_bytes(file.read(4), "big")


def open_record(path: str, *, writing: bool = False) -> Record:
    """Open a record; one of an older version is brought to today's. writing: made when missing.

    Raises OperatorMistake (missing, no record, newer, damaged), OutputFailure (locked, disk full).
    """
    try:
        _look(path)
    except NoRecord:
        if not writing:
            raise
    with told(path):
        return patiently(lambda: _opened(path, writing))


@contextmanager
def reading(path: str) -> Iterator[sqlite3.Connection]:
    """A record as it stands at one moment. Raises as `open_record`."""
    record = open_record(path)
    try:
        with told(path):
            patiently(lambda: record.connection.execute("BEGIN"))
            yield record.connection
    finally:
        record.close()


def _opened(path: str, writing: bool) -> Record:
    with held.LOCK:
        return _opened_alone(path, writing)


def _opened_alone(path: str, writing: bool) -> Record:
    writable = writing or (os.access(path, os.W_OK) and os.access(os.path.dirname(path), os.W_OK))
    connection = _connect(path, "rwc" if writing else "rw" if writable else "ro")
    try:
        if not writable and not os.access(os.path.dirname(path), os.W_OK) and not os.path.exists(f"{path}-wal"):
            # Nobody else has it open, and without a folder to put its index in SQLite cannot share it.
            connection.close()
            connection = _connect(path, "ro&immutable=1")
        number = version(connection)
        _judge(path, connection, number)
        if number < LATEST:
            if not writable:
                raise OperatorMistake(f"{path}: a record of version {number}, which must be written once to be read")
            if number == 0 and not writing:
                raise NoRecord(f"{path}: holds no record yet")
            connection.execute("PRAGMA journal_mode = WAL")
            migrate(connection)
        if writing:
            connection.execute("PRAGMA synchronous = FULL")
        else:
            connection.execute("PRAGMA query_only = ON")
        return Record(path, connection)
    except BaseException:
        connection.close()
        raise


def _connect(path: str, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{quote(path)}?mode={mode}", uri=True, timeout=_SLICE, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _look(path: str) -> None:
    """What the first octets say. Raises NoRecord where one could be made, OperatorMistake where not."""
    with held.LOCK:
        if not held.holds(path):
            _read_header(path)


def _read_header(path: str) -> None:
    logged = os.path.exists(f"{path}-wal")  # asked before and after: whoever closes it last moves the log into the file
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OperatorMistake(f"{path}: is no record: not a regular file")
        with open(path, "rb") as file:
            head = file.read(_HEADER)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise NoRecord(f"{path}: there is no record (edgewarden audit --store makes one)") from None
    except OSError as error:
        raise OperatorMistake(f"{path}: the record cannot be read: {error.strerror}") from None
    if not head:
        raise NoRecord(f"{path}: holds no record yet")
    number, application = (int.from_bytes(head[place : place + 4], "big") for place in (60, 68))
    logged = logged or os.path.exists(f"{path}-wal")
    if len(head) < _HEADER or not head.startswith(_MAGIC) or application not in (0, APPLICATION):
        raise OperatorMistake(f"{path}: is no record of edgewarden")
    if application == 0 and not (head[18:20] == b"\2\2" and (logged or size <= _SMALLEST)):
        raise OperatorMistake(f"{path}: is no record of edgewarden")
    if application == APPLICATION and number > LATEST:
        raise _newer(path, number)
    if application == 0 and not logged:
        raise NoRecord(f"{path}: holds no record yet")


def _judge(path: str, connection: sqlite3.Connection, number: int) -> None:
    """What SQLite says, which also knows what stands in the log only."""
    # Tables first: they come in one transaction with the id, which another process may end between the two questions.
    [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    [application] = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION and (application or tables):
        raise OperatorMistake(f"{path}: is no record of edgewarden")
    if number > LATEST:
        raise _newer(path, number)


def _newer(path: str, number: int) -> OperatorMistake:
    return OperatorMistake(
        f"{path}: a record of version {number}, made by a newer edgewarden; this one knows up to {LATEST}"
    )
