"""Where results go: standard output, or the file that was named.

Strategy: a regular file (or one that does not exist yet) is written beside itself and renamed when it is whole, so that
no half result is ever found; anything else, a FIFO or a device, is written in place and never replaced. A link is
followed first. Whatever fails raises `OutputFailure`, which knows whose fault it was; a reader that has gone away is
`BrokenPipeError`, which the command line turns into a quiet end.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from types import TracebackType
from typing import Any, BinaryIO, Final

from monitor.exit_status import OutputFailure

STANDARD_OUTPUT: Final = "standard output"


class Output:
    """`with Output(path) as out: out.write(bytes)`; path None = standard output. keeps: what the file held before is
    kept beside it, in `NAME~`."""

    def __init__(self, path: str | None, *, keeps: bool = False) -> None:
        self.name = path if path is not None else STANDARD_OUTPUT
        self._path = path
        self._keeps = keeps
        self._target = ""
        self._temporary: str | None = None
        self._file: BinaryIO | None = None

    @property
    def is_terminal(self) -> bool:
        return self._path is None and os.isatty(1)

    def __enter__(self) -> Output:
        """Opens the target, so that a wrong one is found before the work is done. Raises OutputFailure."""
        if self._path is None:
            # A buffered file of our own: with PYTHONUNBUFFERED Python's is a raw one, whose writes may fall short.
            try:
                self._file = open(1, "wb", closefd=False)
            except OSError as error:
                raise OutputFailure(self.name, error) from error
            return self
        try:
            try:
                mode: int | None = os.stat(self._path).st_mode
            except FileNotFoundError:
                mode = None
            self._target = os.path.realpath(self._path)
            if mode is None or stat.S_ISREG(mode):
                if mode is not None and not os.access(self._target, os.W_OK):
                    raise PermissionError(13, "Permission denied", self._path)
                folder, name = os.path.split(self._target)
                descriptor, self._temporary = tempfile.mkstemp(prefix=f".{name[:100]}.", suffix=".part", dir=folder)
                os.fchmod(descriptor, stat.S_IMODE(mode) if mode is not None else 0o666 & ~_umask())
                self._file = os.fdopen(descriptor, "wb")
            else:
                self._file = open(self._path, "wb")  # by the name given: /dev/stdout on a pipe has no other
        except OSError as error:
            raise OutputFailure(self.name, error) from error
        return self

    def write(self, data: Any) -> int:
        """Write octets. Raises OutputFailure, BrokenPipeError."""
        assert self._file is not None
        try:
            return self._file.write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputFailure(self.name, error) from error

    def write_text(self, text: str) -> None:
        self.write(text.encode("utf-8", "backslashreplace"))

    @property
    def closed(self) -> bool:
        """Arrow asks before it writes."""
        return self._file is None

    def flush(self) -> None:
        assert self._file is not None
        try:
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputFailure(self.name, error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        if self._path is None:
            if kind is None:
                self.flush()
            return  # else what is still buffered goes the way of the rest
        try:
            self._file.close()
            if self._temporary is not None and kind is None:
                if self._keeps and os.path.isfile(self._target) and os.path.getsize(self._target):
                    shutil.copy2(self._target, f"{self._target}~")
                os.replace(self._temporary, self._target)
                self._temporary = None
        except BrokenPipeError:
            raise
        except OSError as failure:
            if kind is None:
                raise OutputFailure(self.name, failure) from failure
        finally:
            self._file = None
            if self._temporary is not None:
                try:
                    os.unlink(self._temporary)
                except FileNotFoundError:
                    pass


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
