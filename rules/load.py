"""Topology file → `Topology`, or every fault of the file at once.

Strategy: bytes → nodes with places (`rules.document`) → values by the description of keys (`rules.keys`) → checks over
the whole (`rules.references`) → model (`rules.build`). Each step goes on as far as what it has allows, so that one run
reports all there is; the model is built only when nothing was reported.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from rules.build import build
from rules.document import MAX_BYTES, Fault, Faults, parse
from rules.keys import TOPOLOGY
from rules.references import check
from rules.rows import table
from rules.topology import Topology


class TopologyFaults(Exception):
    """A topology file has faults; `faults` holds them, sorted by place. As text: one a line, as compilers do it."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class TopologyUnreadable(Exception):
    """There is no topology file to be read at that place; as text, a sentence that says why."""


def load(
    path: str | os.PathLike[str],
    *,
    known_rules: Collection[str] | None = None,
    known_paths: Collection[str] | None = None,
) -> Topology:
    """Reads a topology file (a pipe will do, too).

    known_rules: ids that may stand under `policy.rules`; None leaves them unchecked. known_paths: ids of built-in
    rows, which local paths may not take; None: those of the shipped table. Raises TopologyUnreadable when the file
    cannot be opened or read, and TopologyFaults when what it says cannot be understood.
    """
    name = os.fspath(path)
    try:
        with Path(name).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise TopologyUnreadable(f"{name}: there is no such topology file") from None
    except IsADirectoryError:
        raise TopologyUnreadable(f"{name}: this is a folder, not a topology file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise TopologyUnreadable(f"{name}: the topology file cannot be read: {_why(error)}") from None
    return read(data, name, known_rules=known_rules, known_paths=known_paths)


def read(
    data: bytes,
    name: str,
    *,
    known_rules: Collection[str] | None = None,
    known_paths: Collection[str] | None = None,
) -> Topology:
    """As `load`, of bytes at hand; `name` stands in messages. Raises TopologyFaults and nothing else."""
    faults = Faults(name)
    root = parse(data, faults)
    values = None if root is None else TOPOLOGY.read(root, faults)
    if values is not None:
        rows = (row.id for row in table().rows) if known_paths is None else known_paths
        check(values, faults, known_rules, frozenset(rows))
    if values is None or faults.found:
        raise TopologyFaults(faults.sorted())
    return build(values, name)


def _why(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
