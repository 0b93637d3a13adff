"""How much a live session has read, in a place that survives its death.

Strategy: what a session read and had not yet recorded when it was killed is lost, and a loss needs a number. So it
counts what it reads in a small file beside the record, through shared memory, which costs nothing and is kept by the
kernel whatever kills the process (a power cut is the exception: then the gap alone is known). The file is locked while
its session lives; whoever comes next finds those without a lock, enters what they lost, and removes them.
"""

from __future__ import annotations

import fcntl
import glob
import mmap
import os
import struct
from collections.abc import Iterator
from typing import Final

from monitor.exit_status import OutputFailure
from monitor.store.writing import Record

_LAYOUT: Final = struct.Struct("<qq")  # when the session began, packets it has read


class Watermark:
    """Of a session that lives."""

    def __init__(self, record: str, run: int, began: int) -> None:
        """Raises OutputFailure."""
        self._path = _path(record, run)
        self._began = began
        self._fed = 0
        try:
            self._descriptor = _locked(self._path)
            os.truncate(self._descriptor, _LAYOUT.size)
            self._memory = mmap.mmap(self._descriptor, _LAYOUT.size)
        except OSError as error:
            raise OutputFailure(self._path, error) from error
        self.add(0)

    @property
    def fed(self) -> int:
        return self._fed

    def add(self, packets: int) -> None:
        self._fed += packets
        _LAYOUT.pack_into(self._memory, 0, self._began, self._fed)

    def close(self) -> None:
        """All that was read is recorded."""
        self._memory.close()
        os.unlink(self._path)
        os.close(self._descriptor)


def _locked(path: str) -> int:
    """A file of that name, made and locked; until then somebody may settle it as one that was left behind."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)


def lives(record: str, run: int) -> bool:
    """Whether the session of that number runs on this machine. record: path of its file."""
    try:
        descriptor = os.open(_path(record, run), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def living(record: str) -> set[int]:
    """The sessions that run on this machine and write that record."""
    return {run for run in _left(record) if lives(record, run)}


def has_twin(record: Record, run: int) -> bool:
    """Whether another session that lives on this machine counts under the same name: what both see counts twice."""
    others = record.connection.execute(
        "SELECT other.id FROM runs AS own JOIN runs AS other USING (kind, sensor, position) "
        "WHERE own.id = ? AND other.id <> own.id",
        (run,),
    )
    return any(lives(record.path, other) for (other,) in others)


def _path(record: str, run: int | str) -> str:
    return f"{record}-live-{run}"


def _left(record: str) -> Iterator[int]:
    """The sessions of which there is a file."""
    for path in glob.glob(_path(glob.escape(record), "*")):
        number = path.rpartition("-")[2]
        if number.isdecimal():
            yield int(number)


def settle(record: Record) -> None:
    """Enter what sessions that were killed had read and not recorded. Raises OutputFailure, OperatorMistake."""
    for run in _left(record.path):
        path = _path(record.path, run)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue  # of another user, or settled just now
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            data = os.read(descriptor, _LAYOUT.size)
            if len(data) == _LAYOUT.size:
                began, fed = _LAYOUT.unpack(data)
                record.interrupt(run, began, fed)
            os.unlink(path)
        except (BlockingIOError, FileNotFoundError):
            continue  # it lives; or was settled just now
        finally:
            os.close(descriptor)
