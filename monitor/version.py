"""The version of what is installed: one number for Python, core and wheel."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

VERSION: Final = version("edgewarden")
