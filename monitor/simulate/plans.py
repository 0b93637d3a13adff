"""A scenario as it goes on the Edge pool's own plan: one address for the three services, or a hardware balancer.

Strategy: the tables are written for an address per Edge service. Where the policy has a row of the site's plan in the
place of the one that a scenario names, the scenario is the same with that row, and at the virtual address where that
row has one. What a plan changes otherwise is not guessed: such a scenario is left out with the reason.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from monitor.simulate.cast import Cast, NotCast
from monitor.simulate.table import Scenario
from rules import names
from rules.components import EdgePool
from rules.rows import Row, table
from rules.switches import follows

_OUTSIDE: Final = re.compile(r"edge \d+ (access|webconf|av)")
_INSIDE: Final = re.compile(r"edge \d+ internal")
_VIRTUAL: Final = {
    names.EDGE_EXT_VIP_ACCESS: "edge virtual access",
    names.EDGE_EXT_VIP_WEBCONF: "edge virtual webconf",
    names.EDGE_EXT_VIP_AV: "edge virtual av",
    names.EDGE_INT_VIP: "edge virtual internal",
}
"""Word of a row's end → part of the cast."""

_ACCESS: Final = "edge-ext-access-or-vip"
_FEDERATION_IN: Final = "ext-access-federation-in"
_LISTED: Final = ("partner access", "old partner access")


def on_plan(scenario: Scenario, cast: Cast) -> Scenario:
    """Raises NotCast where the plan changes more than the tables can say."""
    pool = cast.edge_pool
    ends = (scenario.source, scenario.destination)
    outside = any(_OUTSIDE.fullmatch(words) for words in ends) and (pool.single_ip or pool.balanced_outside)
    inside = any(_INSIDE.fullmatch(words) for words in ends) and pool.balanced_inside
    if not outside and not inside:
        return scenario
    row = table().row(scenario.expect.path) if scenario.expect.path is not None else None
    if row is None:
        if not outside and _INSIDE.fullmatch(scenario.source):
            return scenario  # what a node opens inward is no different behind a balancer
        raise NotCast("its flow is another on a single address or behind a balancer")
    if pool.single_ip and row.id == _FEDERATION_IN and not _told_apart(scenario):
        raise NotCast("clients share the port with partners there")
    there = next((other for other in table().replacements(row.id) if _holds(other, pool)), row)
    return replace(
        scenario,
        source=_part(scenario.source, {leg.source for leg in there.legs}, pool),
        destination=_part(scenario.destination, {leg.destination for leg in there.legs}, pool),
        expect=replace(scenario.expect, path=there.id),
    )


def _told_apart(scenario: Scenario) -> bool:
    """A listed partner is one by its address; of others the client certificate tells, and its absence is no fault."""
    return scenario.expect.verdict != "violation" and scenario.source in _LISTED


def _holds(row: Row, pool: EdgePool) -> bool:
    return row.plan is not None and follows(row, pool)


def _part(words: str, ends: set[str], pool: EdgePool) -> str:
    """The virtual address in place of a node, where the row has it."""
    if not (_OUTSIDE.fullmatch(words) or _INSIDE.fullmatch(words)):
        return words
    if _ACCESS in ends and pool.balanced_outside:
        return _VIRTUAL[names.EDGE_EXT_VIP_ACCESS]
    return next((part for end, part in _VIRTUAL.items() if end in ends), words)
