"""Rules that compare flows of a pool, or of all pools: what each alone may do, and together they must not.

Strategy: gather what was seen of each member, and say something only when two things were seen that cannot both be
right. What was not seen proves nothing. What a flow shows of a member is one function for each rule, which also says of
what kind the flow is for the memory of a live sensor.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from rules import names
from rules.facts import Site
from rules.registry import joined
from rules.sights import TAKING_PART, Joined, Keeping, Sight, Sights


def _federating(site: Site, sight: Sight) -> str | None:
    """The pool of a completed TLS between the Internet and the federation port of an Access Edge, either way; push
    aside."""
    if sight.position != "external" or not sight.established or sight.path == "ext-access-push-out":
        return None
    for own, far, port in (
        (sight.destination, sight.source, None),
        (sight.source, sight.destination, 5061),
    ):
        pool = site.edge_pool_of(own, *names.ACCESS_EDGE)
        if pool is None or pool.single_ip or far.zone != names.EXTERNAL:
            continue
        if sight.port == (port or pool.access.federation_port):
            return pool.fqdn
    return None


@joined(
    "edge-multiple-federation-routes",
    severity="medium",
    positions=("external",),
    text="Federation runs over more than one Edge pool. Only one may be published for it in an organisation.",
    sources=("TOPO",),
    controls=("CM-6", "AC-4"),
    keeps=Keeping(_federating, most=TAKING_PART),
)
def edge_multiple_federation_routes(sights: Sights) -> Iterator[Joined]:
    pools, flows = _side_by_side(sights, _federating)
    if len(pools) > 1:
        yield Joined(f"Federation runs over {' and '.join(pools)}: publish one pool for it.", flows, len(pools))


def _side_by_side(sights: Sights, place: Callable[[Site, Sight], str | None]) -> tuple[list[str], tuple[Sight, ...]]:
    """The places that flows have, and those flows, the first of each place before the others."""
    seen: dict[str, list[Sight]] = defaultdict(list)
    for sight in sights.all:
        where = place(sights.site, sight)
        if where is not None:
            seen[where].append(sight)
    first = (flows[0] for flows in seen.values())
    rest = (sight for flows in seen.values() for sight in flows[1:])
    return sorted(seen), (*first, *rest)


def _speaking_xmpp(site: Site, sight: Sight) -> str | None:
    """The site of an Edge pool that speaks XMPP with the Internet."""
    if sight.position != "external" or "xmpp" not in sight.services:
        return None
    for own in (sight.destination, sight.source):
        pool = site.edge_pool_of(own, *names.OUTER_EDGE)
        if pool is not None and sight.port in (pool.xmpp.port, 5269):
            return pool.site
    return None


@joined(
    "xmpp-multiple-sites",
    severity="medium",
    positions=("external",),
    text="XMPP federation runs over Edge pools of more than one site. It is hosted in one.",
    sources=("CHG",),
    controls=("CM-6",),
    keeps=Keeping(_speaking_xmpp, most=TAKING_PART),
)
def xmpp_multiple_sites(sights: Sights) -> Iterator[Joined]:
    sites, flows = _side_by_side(sights, _speaking_xmpp)
    if len(sites) > 1:
        yield Joined(f"XMPP runs over the sites {' and '.join(sites)}: host it in one.", flows, len(sites))


def _showing(site: Site, sight: Sight) -> tuple[str, int, bool, str, str] | None:
    """Pool, port, whether it is the Access Edge's, member and certificate of an outer listener of an Edge. Each service
    may have a certificate of its own: on one address the port tells them apart, else the address."""
    pool = site.edge_pool_of(sight.destination, names.EDGE_EXT_ACCESS, names.EDGE_EXT_WEBCONF)
    member = sight.destination.component
    if sight.position != "external" or pool is None or member is None or not sight.certificate:
        return None
    return pool.fqdn, sight.port, sight.destination.has(names.EDGE_EXT_ACCESS), member, sight.certificate


@joined(
    "cert-differs-in-pool",
    severity="medium",
    positions=("external",),
    text="Members of an Edge pool show different certificates for the same service. All members have the same one, "
    "with the same key. Compared is the one that each began to show last: a renewal is told from this when it has "
    "reached every member.",
    sources=("C-HLB", "C-PLAN", "C-EXT"),
    controls=("SC-17", "CM-6"),
    keeps=Keeping(_showing),
)
def cert_differs_in_pool(sights: Sights) -> Iterator[Joined]:
    shown: dict[tuple[str, int, bool], dict[str, dict[str, Sight]]] = defaultdict(lambda: defaultdict(dict))
    for sight in sights.all:
        found = _showing(sights.site, sight)
        if found is not None:
            pool, on_port, access, member, certificate = found
            shown[pool, on_port, access][member].setdefault(certificate, sight)
    for (pool_name, port, _), members in sorted(shown.items()):
        newest = {member: next(reversed(found)) for member, found in sorted(members.items())}
        one = next(iter(newest))
        other = next((member for member in newest if newest[member] != newest[one]), None)
        if other is not None:
            yield Joined(
                f"{one} and {other} of {pool_name} show different certificates on TCP {port}: "
                "install the same one on every member.",
                (*members[one].values(), *members[other].values()),
            )


def _asked_by_proxy(site: Site, sight: Sight) -> tuple[str, str] | None:
    """Pool without a balancer, and member, of a web request that was answered."""
    pool = site.web_pool(sight.destination) if sight.source.has(names.RP_INT) else None
    member = sight.destination.component
    if sight.position != "internal" or pool is None or pool.web.vip or not sight.answered or member is None:
        return None
    return (pool.fqdn, member) if sight.port in (pool.web.external_https, pool.web.external_http) else None


@joined(
    "dns-lb-for-web",
    severity="medium",
    positions=("internal",),
    text="The proxy spreads requests over several servers of a pool without a balancer. Web services need a hardware "
    "load balancer.",
    sources=("LBREQ",),
    controls=("CM-6",),
    keeps=Keeping(_asked_by_proxy),
)
def dns_lb_for_web(sights: Sights) -> Iterator[Joined]:
    seen: dict[str, dict[str, Sight]] = defaultdict(dict)
    for sight in sights.all:
        found = _asked_by_proxy(sights.site, sight)
        if found is not None:
            seen[found[0]].setdefault(found[1], sight)
    for pool_name, members in sorted(seen.items()):
        if len(members) > 1:
            yield Joined(
                f"The proxy spreads requests over {' and '.join(sorted(members))} of {pool_name}: "
                "put a hardware load balancer before the web services.",
                tuple(members.values()),
            )


_SERVICES = {
    names.EDGE_EXT_ACCESS: "access",
    names.EDGE_EXT_WEBCONF: "webconf",
    names.EDGE_EXT_AV: "av",
}


def _serving(site: Site, sight: Sight) -> tuple[str, str, str, bool] | None:
    """Pool, member and service of a flow that fits a row, to a port where the service listens, therefore; and whether
    it was answered or refused."""
    if sight.position != "external" or sight.transport != 6 or sight.path is None:
        return None
    pool = site.edge_pool_of(sight.destination, *_SERVICES)
    member = sight.destination.component
    if pool is None or pool.single_ip or member is None or not (sight.answered or sight.refused):
        return None
    service = next(word for role, word in _SERVICES.items() if sight.destination.has(role))
    return pool.fqdn, member, service, sight.answered


@joined(
    "edge-service-split",
    severity="medium",
    positions=("external",),
    text="Members of an Edge pool answer for different services: one refuses what another serves, and the other way "
    "round. The Edge services run together on every member.",
    sources=("SUPT",),
    controls=("CM-6",),
    keeps=Keeping(_serving),
)
def edge_service_split(sights: Sights) -> Iterator[Joined]:
    served: dict[str, dict[tuple[str, str], Sight]] = defaultdict(dict)
    refused: dict[str, dict[tuple[str, str], Sight]] = defaultdict(dict)
    for sight in sights.all:
        found = _serving(sights.site, sight)
        if found is not None:
            pool, member, service, answered = found
            (served if answered else refused)[pool].setdefault((member, service), sight)
    for pool_name, answers in sorted(served.items()):
        never = {key: s for key, s in refused[pool_name].items() if key not in answers}
        for (one, lacks), first in sorted(never.items(), key=lambda item: item[0]):
            for (other, missing), second in sorted(never.items(), key=lambda item: item[0]):
                if one < other and lacks != missing and (one, missing) in answers and (other, lacks) in answers:
                    yield Joined(
                        f"{one} refuses {lacks} and {other} refuses {missing} in {pool_name}: "
                        "run all Edge services on every member.",
                        (first, second, answers[one, missing], answers[other, lacks]),
                    )
                    return


def _balanced(site: Site, sight: Sight) -> tuple[str, str, bool] | None:
    """Pool, side and whether at its virtual address, of an answered connection to SIP of an Edge pool or to the
    authentication of its relay; what a balancer opens to its nodes aside."""
    if sight.transport != 6 or not sight.answered or sight.behind_lb or sight.source.virtual or sight.source.perimeter:
        return None
    if sight.position == "external":
        pool = site.edge_pool_of(sight.destination, *names.ACCESS_EDGE)
        ports = () if pool is None else (pool.access.port, pool.access.federation_port)
    else:
        pool = site.edge_pool_of(sight.destination, names.EDGE_INT, names.EDGE_INT_VIP)
        ports = () if pool is None else (pool.access.internal_port, pool.av.auth_port)
    if pool is None or len(pool.members) < 2 or sight.port not in ports:
        return None
    return pool.fqdn, sight.position, sight.destination.virtual


@joined(
    "lb-mixed-mode",
    severity="high",
    positions=("external", "internal"),
    text="The virtual address of an Edge pool answers on one side while peers address its nodes on the other. Both "
    "sides must be balanced in the same way. What the topology file says of it is told by `topology check`, too.",
    sources=("COMP", "LBREQ"),
    controls=("CM-6",),
    all_positions=True,
    keeps=Keeping(_balanced),
)
def lb_mixed_mode(sights: Sights) -> Iterator[Joined]:
    """Nothing is said of a side on which both were addressed: a peer that goes astray there is another rule's."""
    seen: dict[str, dict[tuple[str, bool], list[Sight]]] = defaultdict(lambda: defaultdict(list))
    for sight in sights.all:
        found = _balanced(sights.site, sight)
        if found is not None:
            pool, side, virtual = found
            seen[pool][side, virtual].append(sight)
    for pool, flows in sorted(seen.items()):
        for one, other in (("external", "internal"), ("internal", "external")):
            at_vip, at_nodes = flows.get((one, True)), flows.get((other, False))
            if at_vip and at_nodes and (one, False) not in flows and (other, True) not in flows:
                yield Joined(
                    f"{pool} is reached at its virtual address at the {one} firewall and at its nodes at the {other} "
                    "one: balance both sides in the same way.",
                    (at_nodes[0], at_vip[0], *at_nodes[1:], *at_vip[1:]),
                    2,
                )
