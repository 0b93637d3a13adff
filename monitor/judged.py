"""Verdicts of a run: who gives them, and how rows and samples show them.

The judge and the table of rows are read only where a topology is given: a listing of flows without one starts in half
the time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from rules import names
from rules.observation import Observation
from rules.verdict import ATTEMPT, UNDECIDED, End, Verdict

if TYPE_CHECKING:
    from rules.judge import Judge
    from rules.topology import Topology

ONE_WAY_REASON: Final = "this tap shows one direction only, so nobody can say that the attempt was not answered"


def final_verdict(verdict: Verdict, one_way: bool) -> str:
    """The verdict once the whole run is known: from a one-way tap no attempt is concluded."""
    return UNDECIDED if one_way and verdict.verdict == ATTEMPT else verdict.verdict


def judged_values(verdict: Verdict, one_way: bool) -> dict[str, Any]:
    """Values by the names of `monitor.fields.JUDGED`."""
    final = final_verdict(verdict, one_way)
    return {
        "edgewarden.source.zone": verdict.source.zone,
        "edgewarden.source.role": verdict.source.role,
        "edgewarden.source.component": verdict.source.component,
        "edgewarden.destination.zone": verdict.destination.zone,
        "edgewarden.destination.role": verdict.destination.role,
        "edgewarden.destination.component": verdict.destination.component,
        "edgewarden.verdict": final,
        "edgewarden.path": verdict.path,
        "edgewarden.rules": list(verdict.rules),
        "edgewarden.rules_silenced": list(verdict.rules_silenced),
        "edgewarden.unproved": list(verdict.unproved),
        "edgewarden.reason": (ONE_WAY_REASON if final != verdict.verdict else verdict.reason) or None,
    }


class Judges:
    """The judges of a run, one for each sensor position and side; what they derive from the topology is shared.

    Of a site whose variant is not judged yet they tell zones and components, and leave every flow undecided: rows that
    were not made for a site must neither allow nor accuse anything there.
    """

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        from rules.facts import Site
        from rules.judge import variant_not_judged

        self.not_judged = variant_not_judged(topology)
        self._site = Site(topology)

    def at(self, position: str, side: str | None) -> Judge | Undecided:
        from rules.judge import Judge

        judge = Judge(self.topology, position, side, site=self._site)
        return judge if self.not_judged is None else Undecided(judge, self.not_judged)

    def applying(self) -> list[str]:
        """Ids of the rows that apply, in document order; none where the variant is not judged."""
        return [] if self.not_judged is not None else [path.id for path in self._site.paths if path.applies]


_NOBODY = End(names.EXTERNAL, None, None)
TOO_MANY: Final = Verdict(
    verdict=UNDECIDED,
    path=None,
    rules=(),
    rules_silenced=(),
    unproved=(),
    reason="more kinds of flows than the engine tells apart: this one came too late to be judged",
    source=_NOBODY,
    destination=_NOBODY,
    hits=(),
    trace=(),
)
"""Of flows whose observation the bounded table has no room for."""


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
