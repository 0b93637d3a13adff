"""Who judges in a run: one judge for each sensor position and side, over one reading of the topology."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rules.facts import Site
from rules.judge import Judge, variant_not_judged
from rules.observation import Observation
from rules.topology import Topology
from rules.verdict import UNDECIDED, Verdict


class Judges:
    """The judges of a run, one for each sensor position and side; what they derive from the topology is shared.

    Of a site whose variant is not judged yet they tell zones and components, and leave every flow undecided: rows that
    were not made for a site must neither allow nor accuse anything there.
    """

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.not_judged = variant_not_judged(topology)
        self._site = Site(topology)

    def at(self, position: str, side: str | None) -> Judge | Undecided:
        judge = Judge(self.topology, position, side, site=self._site)
        return judge if self.not_judged is None else Undecided(judge, self.not_judged)

    def applying(self) -> list[str]:
        """Ids of the rows that apply, in document order; none where the variant is not judged."""
        return [] if self.not_judged is not None else [path.id for path in self._site.paths if path.applies]


class Undecided:
    """A judge that names the ends of a flow and decides nothing."""

    def __init__(self, judge: Judge, why: str) -> None:
        self._judge = judge
        self._why = why

    @property
    def tables(self) -> dict[str, Any]:
        return self._judge.tables

    def judge(self, observation: Observation) -> Verdict:
        verdict = self._judge.judge(observation)
        return replace(
            verdict,
            verdict=UNDECIDED,
            path=None,
            rules=(),
            rules_silenced=(),
            unproved=(),
            reason=self._why,
            hits=(),
            trace=(self._why,),
        )
