"""An installation that a user without rights could not reach, held open for it.

Python and its packages may live where only root may go: pipx and pyenv of root install below /root, which nobody else
may enter, though all below it may be read. Strategy: while there are rights, such folders of `sys.path` are opened;
once the rights are gone, imports go through /proc/self/fd, which needs no right on the way to a folder that is open.
"""

from __future__ import annotations

import os
import sys

from monitor.exit_status import OperatorMistake
from monitor.live.privileges import User, first_refusal, way_to
from reports.visible import visible


class Reachable:
    """Make it before rights are given up, `use` it afterwards; whoever keeps the rights closes it."""

    def __init__(self, user: User | None) -> None:
        self._held: dict[str, int] = {}
        if user is None:
            return
        for folder in sys.path:
            if os.path.isdir(folder) and first_refusal(user, way_to(os.path.realpath(folder), os.R_OK)):
                self._held[folder] = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    def use(self) -> None:
        """What is imported from now on comes through the open folders, also modules of packages that are there.

        Raises OperatorMistake where what lies in them may not be read either.
        """
        if not self._held:
            return
        for folder in self._held:
            if not os.access(self._through(folder), os.R_OK | os.X_OK):
                raise OperatorMistake(
                    f"the user that workers become may not read {visible(folder)}, where Python or edgewarden is "
                    "installed: install it where that user may read, such as /opt"
                )
        sys.path[:] = [self._through(folder) for folder in sys.path]
        for module in list(sys.modules.values()):
            ways = getattr(module, "__path__", None)
            if isinstance(ways, list):
                ways[:] = [self._through(way) for way in ways]
        sys.path_importer_cache.clear()

    def close(self) -> None:
        for held in self._held.values():
            os.close(held)

    def _through(self, way: str) -> str:
        for folder, held in self._held.items():
            if way == folder or way.startswith(f"{folder}/"):
                return f"/proc/self/fd/{held}{way[len(folder) :]}"
        return way
