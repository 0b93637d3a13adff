"""What holds a row back on a site: its product, the plan of the Edge pool, the features that are off.

Strategy: one question for each word of a row's `needs`, with the sentence that says what is missing. Plans are asked
of the Edge pool, side by side: virtual addresses outside or inside make it hardware-balanced there, one address for
the three services makes it a single-address plan. A row of an active plan takes the place of the rows it names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from rules import names
from rules.components import DirectorPool, EdgePool, FrontEndPool
from rules.rows import Row, table
from rules.topology import Topology

DOCUMENTED_OPEN: Final = "documented-open"
OTHER_FE: Final = "int-sip-edge-to-other-fe"
BEHIND_LB: Final = "behind-lb"
SINGLE_IP: Final = "single-ip"
HARDWARE: Final = "hardware"


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a row does not apply to an Edge pool. `listens`: its ports are there all the same, so that they tell who
    opened a flow joined late: a switch is off, or the row of another plan has its place."""

    why: str
    listens: bool
    other_product: bool = False


def held_back(topology: Topology, row: Row, part: Row, pool: EdgePool | None) -> Hold | None:
    """None when the row applies. `part`: the row itself, or one whose legs it takes over under its own switches.

    Whether an Edge may open SIP past its next hop is the operator's own word (`director_bypass`), so that row is a
    switch on every product and not only on the one whose page lists it; strict, its listeners still tell who opened.
    """
    if row.plan is not None and not follows(row, pool):
        return Hold(f"belongs to the {_PLANS[row.plan]} plan", listens=False)
    product = pool.product if pool is not None else topology.product
    if product not in part.products and part.id != OTHER_FE:
        return Hold(f"not with {product}", listens=False, other_product=True)
    for other in table().replacements(row.id):
        if other.plan is not None and follows(other, pool):
            return Hold(f"{other.id} takes its place in the {_PLANS[other.plan]} plan", listens=True)
    for name in dict.fromkeys((*row.needs, *part.needs)):
        why = missing(name, topology, pool)
        if why is not None:
            return Hold(why, listens=True)
    if part.optional and part.id not in topology.policy.optional_paths:
        return Hold("off by default; policy.optional_paths turns it on", listens=True)
    return None


def missing(name: str, topology: Topology, pool: EdgePool | None) -> str | None:
    """None when the switch is on, else the sentence that says what is missing."""
    return _MISSING[name] if _NEEDS[name](topology, pool) else None


def off_because(name: str) -> str:
    """The sentence that says what is missing where the switch is off."""
    return _MISSING[name]


# --- plans -----------------------------------------------------------------------------------------------------------

_PLANS: Final[Mapping[str, str]] = {SINGLE_IP: "single-address", HARDWARE: "hardware-balanced"}


def plan_in_words(plan: str) -> str:
    return f"the {_PLANS[plan]} plan"


PLANS: Final = frozenset(_PLANS)
"""Every word that a row's `plan` may be."""


def follows(row: Row, pool: EdgePool | None) -> bool:
    """Whether a row of a plan holds for the pool. Behind a balancer its rows hold on a single address too, with that
    plan's ports; a service that has no virtual address there is addressed at the nodes, as without a balancer."""
    if pool is None:
        return False
    if row.plan == SINGLE_IP:
        return pool.single_ip and not pool.balanced_outside
    balanced = pool.balanced_outside if row.position == "external" else pool.balanced_inside
    words = {word for leg in row.legs for word in (leg.source, leg.destination)}
    return balanced and not words & _lacking(pool)


def _lacking(pool: EdgePool) -> set[str]:
    """Words for virtual addresses that the pool has not."""
    vips = pool.vips
    there = (
        (names.EDGE_EXT_VIP_ACCESS, vips.access.all),
        (names.EDGE_EXT_VIP_WEBCONF, vips.webconf.all),
        (names.EDGE_EXT_VIP_AV, vips.av.all),
        (names.EDGE_INT_VIP, vips.internal),
    )
    return {role for role, addresses in there if not addresses}


# --- features --------------------------------------------------------------------------------------------------------


def _each(test: Callable[[EdgePool], bool]) -> Callable[[Topology, EdgePool | None], bool]:
    """A switch of the Edge pool; for a row without a pool: of any pool."""
    return lambda t, p: not any(test(pool) for pool in ([p] if p is not None else t.edge_pools))


def _next_hop_is(kind: type, topology: Topology, pool: EdgePool | None) -> bool:
    pools = [pool] if pool is not None else list(topology.edge_pools)
    return not any(isinstance(topology.pool(p.next_hop), kind) for p in pools)


# Name → (topology, pool) → is it held back?
_NEEDS: Final[Mapping[str, Callable[[Topology, EdgePool | None], bool]]] = {
    "federation": lambda t, p: not t.federation.enabled or _each(lambda pool: pool.federation)(t, p),
    # Media goes by the Edge of each user's own pool, published for federation or not.
    "federated-media": lambda t, _: not t.federation.enabled,
    "ocs-2007-partner": lambda t, _: not any(s.product == names.OCS_2007 for s in t.federation.sip_partners),
    "public-im": lambda t, _: not t.federation.public_im.enabled,
    "hybrid": lambda t, _: not t.federation.office365.enabled,
    "push": lambda t, _: not t.federation.push.enabled,
    "xmpp": _each(lambda pool: pool.xmpp.enabled),
    "skype-search": _each(lambda pool: pool.skype_search),
    "scaled": _each(lambda pool: len(pool.members) > 1),
    "mobility": lambda t, _: not t.mobility,
    "director": lambda t, _: not t.director_pools,
    "owas": lambda t, _: not t.office_web_apps,
    "director-next-hop": partial(_next_hop_is, DirectorPool),
    "front-end-next-hop": partial(_next_hop_is, FrontEndPool),
    BEHIND_LB: lambda t, _: not any(sensor.behind_lb for sensor in t.sensors),
    "director-bypass-open": lambda t, _: t.policy.director_bypass != DOCUMENTED_OPEN,
}

_MISSING: Final[Mapping[str, str]] = {
    "federation": "federation is off, or another Edge pool is published for it",
    "federated-media": "federation is off",
    "ocs-2007-partner": "no partner with OCS 2007 is declared",
    "public-im": "public_im is off",
    "hybrid": "office365 is off",
    "push": "push is off",
    "xmpp": "XMPP is off",
    "skype-search": "skype_search is off",
    "scaled": "no Edge pool has several members",
    "mobility": "mobility is off",
    "director": "no Director is declared",
    "owas": "no Office Web Apps server is declared",
    "director-next-hop": "the next hop is no Director",
    "front-end-next-hop": "the next hop is a Director",
    BEHIND_LB: "no sensor is declared `behind_lb`",
    "director-bypass-open": "director_bypass is strict: an Edge opens SIP to its next hop alone",
}

NEEDS: Final = frozenset(_NEEDS)
"""Every word that a row's `needs` may hold."""
