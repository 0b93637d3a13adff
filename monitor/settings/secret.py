"""A secret of the settings: where it lies, read when it is needed and never before.

Strategy: settings hold the place alone, so that nothing that prints them (a message, a traceback, a dump of the
object) can print the secret; what `read` gives is for the one who sends it. One trailing line end belongs to the
editor that wrote the file, all else is the secret.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Final

from monitor.exit_status import OperatorMistake
from reports.visible import visible

MAX_SECRET: Final = 65_536
"""Octets of the longest secret: an API key has 60, a key file with its armour some thousand; more is another file."""


@dataclass(frozen=True, slots=True)
class Secret:
    """One of the two is set. `file`: absolute place; `env`: name of a variable of the environment."""

    file: str | None = None
    env: str | None = None

    @property
    def place(self) -> str:
        """For messages."""
        return visible(self.file) if self.file is not None else f"${self.env}"

    def read(self) -> str:
        """The secret. Raises OperatorMistake, with the remedy, when there is none to be read there."""
        data = self._from_file(self.file) if self.file is not None else os.environb.get(os.fsencode(self.env or ""))
        if data is None:
            raise OperatorMistake(f"{self.place} is not set: it must hold the secret that the settings name")
        text = data.removesuffix(b"\n").removesuffix(b"\r")
        if not text.strip():
            raise OperatorMistake(f"{self.place} is empty: it must hold the secret and nothing else")
        try:
            secret = text.decode()
        except UnicodeDecodeError:
            raise OperatorMistake(
                f"{self.place} is no text: it must hold the secret in UTF-8 and nothing else"
            ) from None
        if not secret.isprintable():
            raise OperatorMistake(
                f"{self.place} holds more than one line, or controls: only the secret may stand there"
            )
        return secret

    def warning(self) -> str | None:
        """What is careless about the place; None when nothing is."""
        if self.file is None:
            return None
        try:
            mode = os.stat(self.file).st_mode
        except OSError:
            return None
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            return f"{self.place} can be read or written by everybody on this machine: chmod o-rw {self.place}"
        return None

    def _from_file(self, path: str) -> bytes:
        try:
            with open(path, "rb", opener=_not_waiting) as file:
                data = file.read(MAX_SECRET + 1)
        except OSError as error:
            reason = error.strerror or str(error)
            raise OperatorMistake(f"{self.place}: the secret cannot be read: {reason}") from None
        if len(data) > MAX_SECRET:
            raise OperatorMistake(f"{self.place} holds more than {MAX_SECRET} octets: this is no secret")
        return data


def _not_waiting(path: str, flags: int) -> int:
    """A FIFO that nobody writes must not hold us."""
    return os.open(path, flags | os.O_NONBLOCK)
