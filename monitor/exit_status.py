"""How a command ends, and the two ways in which it ends early.

Precedence, highest first: FAILURE, MISTAKE, VIOLATIONS, INCONCLUSIVE, DONE; a signal is 128 + its number.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import Final

from reports.visible import visible

DONE: Final = 0
VIOLATIONS: Final = 1
MISTAKE: Final = 2
INCONCLUSIVE: Final = 3
FAILURE: Final = 4

_PRECEDENCE: Final = (FAILURE, MISTAKE, VIOLATIONS, INCONCLUSIVE, DONE)

_TARGET_FAULTS: Final = frozenset(
    {
        errno.ENOENT,
        errno.EACCES,
        errno.EPERM,
        errno.EEXIST,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.EROFS,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.EINVAL,
        errno.ENXIO,
    }
)
"""The named target is wrong; a full disk or a broken one is not the operator's mistake."""


class OperatorMistake(Exception):
    """What was asked for cannot be done as it was asked; the text says what would be right. Exit status 2."""


class OutOfReach(Exception):
    """Another machine that is needed does not answer, or cannot now. Exit status 4."""


class Ended(Exception):
    """A signal ended the run."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


class OutputFailure(Exception):
    """A result could not be written."""

    def __init__(self, target: str, error: OSError) -> None:
        super().__init__(f"{visible(target)}: cannot be written: {error.strerror or error}")
        self.status = MISTAKE if target != "standard output" and error.errno in _TARGET_FAULTS else FAILURE


def gravest(statuses: Iterable[int]) -> int:
    """The status that wins."""
    present = set(statuses)
    return next((status for status in _PRECEDENCE if status in present), DONE)
