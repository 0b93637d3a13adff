"""Rules over several flows: two sensors, a pool, a rate. Asked once when all flows of a run are known, and live every
minute.

Strategy: each rule is a function over `rules.sights.Sights` with its papers, entered in the same registry as the
others. It gives findings with the flows that take part; verdicts of these flows stay what they are.
"""

from __future__ import annotations

from collections.abc import Iterator

from rules import names
from rules.catalogue import ORDER, catalogue, severity_of
from rules.registry import Rule
from rules.sights import TAKING_PART, Joined, Sights, in_order
from rules.topology import Topology


def correlate(sights: Sights) -> Iterator[tuple[Rule, str, Joined]]:
    """(rule, severity here, finding) in document order, of all rules that the site has not turned off."""
    ordered = Sights(sights.site, tuple(in_order(sights.all)))
    for rule, severity in joining(sights.site.topology):
        for found in joins(rule, ordered):
            yield rule, severity, found


def joining(topology: Topology) -> list[tuple[Rule, str]]:
    """The rules over several flows that the site has not turned off, with their severity there, in document order."""
    order = {rule: place for place, rule in enumerate(ORDER)}
    rules = sorted((e.rule for e in catalogue() if e.rule is not None and e.rule.join), key=lambda rule: order[rule.id])
    graded = ((rule, severity_of(rule, topology)) for rule in rules)
    return [(rule, severity) for rule, severity in graded if severity != names.OFF]


def joins(rule: Rule, sights: Sights) -> Iterator[Joined]:
    """What one of them finds. sights: in order."""
    assert rule.join is not None
    for found in rule.join(sights):
        yield Joined(found.reason, found.sights[:TAKING_PART])
