"""Who judges in a run: one judge for each sensor, over one reading of the topology."""

from __future__ import annotations

from rules.facts import Site
from rules.judge import Judge
from rules.topology import Topology


class Judges:
    """The judges of a run, one for each sensor; what they derive from the topology is shared."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.site = Site(topology)

    def at(self, position: str, side: str | None, *, behind_lb: bool = False) -> Judge:
        return Judge(self.topology, position, side, behind_lb=behind_lb, site=self.site)

    def applying(self) -> list[str]:
        """Ids of the rows that apply, in document order."""
        return [path.id for path in self.site.paths if path.applies]
