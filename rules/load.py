"""Topology file → `Topology`, or every fault of the file at once.

Strategy: bytes → nodes with places (`rules.document`) → values by the description of keys (`rules.keys`) → checks over
the whole (`rules.references`) → model (`rules.build`). Each step goes on as far as what it has allows, so that one run
reports all there is; the model is built only when nothing was reported.
"""

from __future__ import annotations

import os
from collections.abc import Collection

from rules.build import build
from rules.document import Faults, FileFaults, FileUnreadable, content, parse
from rules.keys import TOPOLOGY
from rules.references import check
from rules.rows import table
from rules.topology import Topology


class TopologyFaults(FileFaults):
    """A topology file has faults."""


class TopologyUnreadable(FileUnreadable):
    """There is no topology file to be read at that place."""


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
        data = content(name, "topology file")
    except FileUnreadable as error:
        raise TopologyUnreadable(str(error)) from None
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
