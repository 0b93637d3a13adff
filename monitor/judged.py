"""How a verdict is shown in rows and samples once the whole run is known."""

from __future__ import annotations

from typing import Any, Final

from rules import names
from rules.verdict import UNDECIDED, End, Verdict

ONE_WAY: Final = "this tap shows one direction only, so nobody can say "


def final_verdict(verdict: Verdict, one_way: bool) -> str:
    """The verdict once the whole run is known: from a one-way tap nothing is concluded from silence, nor from who seems
    to have opened because one direction is all that there is."""
    return UNDECIDED if one_way and verdict.needs_both_ways else verdict.verdict


def judged_values(verdict: Verdict, one_way: bool) -> dict[str, Any]:
    """Values by the names of `monitor.fields.JUDGED`."""
    final = final_verdict(verdict, one_way)
    reason = verdict.reason
    if final != verdict.verdict:
        reason = ONE_WAY + ("that it was not answered" if verdict.of_silence else "who opened it")
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
        "edgewarden.reason": reason or None,
    }


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
