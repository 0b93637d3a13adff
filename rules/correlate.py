"""Rules over several flows: two sensors, a pool, a rate. Asked once, when all flows of a run are known.

Strategy: each rule is a function over `rules.sights.Sights` with its papers, entered in the same registry as the
others. It gives findings with the flows that take part; verdicts of these flows stay what they are.
"""

from __future__ import annotations

from collections.abc import Iterator

from rules import names
from rules.catalogue import ORDER, catalogue, severity_of
from rules.registry import Rule
from rules.sights import TAKING_PART, Joined, Sights


def correlate(sights: Sights) -> Iterator[tuple[Rule, str, Joined]]:
    """(rule, severity here, finding) in document order, of all rules that the site has not turned off."""
    order = {rule: place for place, rule in enumerate(ORDER)}
    entries = sorted((e for e in catalogue() if e.rule is not None and e.rule.join), key=lambda e: order[e.id])
    for entry in entries:
        assert entry.rule is not None
        assert entry.rule.join is not None
        severity = severity_of(entry.rule, sights.site.topology)
        if severity == names.OFF:
            continue
        for found in entry.rule.join(sights):
            yield entry.rule, severity, Joined(found.reason, found.sights[:TAKING_PART])
