"""Which record is meant: URLs of the store, and where to look when none is named.

`sqlite:///FILE` is relative to the working folder, `sqlite:////FILE` absolute, `sqlite:///` alone the file in the
platform's state folder. Everything behind the third slash is the name as it stands: no percent-encoding, no options.
"""

from __future__ import annotations

import os
from typing import Final

from monitor.exit_status import OperatorMistake, OutputFailure

VARIABLE: Final = "EDGEWARDEN_STORE"

_SQLITE: Final = "sqlite:///"
_FORMS: Final = (
    "sqlite:///FILE for a file here, sqlite:////FILE from the root, sqlite:/// for the one in the state folder"
)


def default_path() -> str:
    """The record nobody named: `record.db` in the state folder."""
    return os.path.join(state_folder(), "record.db")


def state_folder() -> str:
    """`edgewarden` in $XDG_STATE_HOME (an absolute path, else ~/.local/state)."""
    folder = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(folder):  # the XDG base directory specification: a relative path is to be ignored
        folder = os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(folder, "edgewarden")


def named_path(option: str | None) -> str | None:
    """The absolute path of the record that `--store` or $EDGEWARDEN_STORE names, None where neither does.

    Raises OperatorMistake for a URL that names no file.
    """
    url = option if option is not None else os.environ.get(VARIABLE) or None
    return None if url is None else path_of(url)


def path_of(url: str) -> str:
    """The absolute path that a URL names. Raises OperatorMistake."""
    if url.startswith(("https://", "http://")):
        raise OperatorMistake(f"--store {url}: what is asked for here needs a file (say {_FORMS})")
    if not url.startswith(_SQLITE) or "\0" in url:
        raise OperatorMistake(f"'{url}' names no record (say {_FORMS})")
    name = url[len(_SQLITE) :]
    return os.path.abspath(name) if name else default_path()


def prepare_default(path: str) -> None:
    """Make the state folder, for its owner alone, when the record is to be made there. Raises OutputFailure."""
    folder = os.path.dirname(path)
    if folder == state_folder():
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        except OSError as error:
            raise OutputFailure(folder, error) from error
