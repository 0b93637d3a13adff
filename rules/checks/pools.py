"""Rules that compare flows of a pool, or of all pools: what each alone may do, and together they must not.

Strategy: gather what was seen of each member, and say something only when two things were seen that cannot both be
right. What was not seen proves nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from rules import names
from rules.components import EdgePool
from rules.registry import joined
from rules.sights import Joined, Sight, Sights


def _federating(sights: Sights) -> Iterator[tuple[EdgePool, Sight]]:
    """Completed TLS between the Internet and the federation port of an Access Edge, either way; push aside."""
    for sight in sights.at("external"):
        for own, far, port in (
            (sight.destination, sight.source, None),
            (sight.source, sight.destination, 5061),
        ):
            pool = sights.site.edge_pool_of(own, *names.ACCESS_EDGE)
            if pool is None or pool.single_ip or far.zone != names.EXTERNAL or not sight.established:
                continue
            if sight.port == (port or pool.access.federation_port) and sight.path != "ext-access-push-out":
                yield pool, sight


@joined(
    "edge-multiple-federation-routes",
    severity="medium",
    positions=("external",),
    text="Federation runs over more than one Edge pool. Only one may be published for it in an organisation.",
    sources=("TOPO",),
    controls=("CM-6", "AC-4"),
)
def edge_multiple_federation_routes(sights: Sights) -> Iterator[Joined]:
    seen: dict[str, list[Sight]] = defaultdict(list)
    for pool, sight in _federating(sights):
        seen[pool.fqdn].append(sight)
    if len(seen) > 1:
        first = tuple(flows[0] for flows in seen.values())
        rest = tuple(sight for flows in seen.values() for sight in flows[1:])
        yield Joined(f"Federation runs over {' and '.join(sorted(seen))}: publish one pool for it.", (*first, *rest))


@joined(
    "xmpp-multiple-sites",
    severity="medium",
    positions=("external",),
    text="XMPP federation runs over Edge pools of more than one site. It is hosted in one.",
    sources=("CHG",),
    controls=("CM-6",),
)
def xmpp_multiple_sites(sights: Sights) -> Iterator[Joined]:
    seen: dict[str, list[Sight]] = defaultdict(list)
    for sight in sights.at("external"):
        for own in (sight.destination, sight.source):
            pool = sights.site.edge_pool_of(own, *names.OUTER_EDGE)
            if pool is not None and "xmpp" in sight.services and sight.port in (pool.xmpp.port, 5269):
                seen[pool.site].append(sight)
    if len(seen) > 1:
        first = tuple(flows[0] for flows in seen.values())
        rest = tuple(sight for flows in seen.values() for sight in flows[1:])
        yield Joined(f"XMPP runs over the sites {' and '.join(sorted(seen))}: host it in one.", (*first, *rest))


@joined(
    "cert-differs-in-pool",
    severity="medium",
    positions=("external",),
    text="Members of an Edge pool show different certificates for the same service. All members have the same one, "
    "with the same key.",
    sources=("C-HLB", "C-PLAN", "C-EXT"),
    controls=("SC-17", "CM-6"),
)
def cert_differs_in_pool(sights: Sights) -> Iterator[Joined]:
    shown: dict[tuple[str, int], dict[str, dict[str, Sight]]] = defaultdict(lambda: defaultdict(dict))
    for sight in sights.at("external"):
        pool = sights.site.edge_pool_of(sight.destination, names.EDGE_EXT_ACCESS, names.EDGE_EXT_WEBCONF)
        member = sight.destination.component
        if pool is not None and member is not None and sight.certificate:
            shown[pool.fqdn, sight.port][member].setdefault(sight.certificate, sight)
    for (pool_name, port), members in sorted(shown.items()):
        ordered = sorted(members)
        for number, one in enumerate(ordered):
            # One that was renewed shows two; that its old one is gone elsewhere proves no difference.
            other = next((o for o in ordered[number + 1 :] if members[one].keys().isdisjoint(members[o])), None)
            if other is not None:
                flows = (*members[one].values(), *members[other].values())
                yield Joined(
                    f"{one} and {other} of {pool_name} show different certificates on TCP {port}: "
                    "install the same one on every member.",
                    flows,
                )
                break


@joined(
    "dns-lb-for-web",
    severity="medium",
    positions=("internal",),
    text="The proxy spreads requests over several servers of a pool without a balancer. Web services need a hardware "
    "load balancer.",
    sources=("LBREQ",),
    controls=("CM-6",),
)
def dns_lb_for_web(sights: Sights) -> Iterator[Joined]:
    seen: dict[str, dict[str, Sight]] = defaultdict(dict)
    for sight in sights.at("internal"):
        pool = sights.site.web_pool(sight.destination) if sight.source.has(names.RP_INT) else None
        if pool is None or pool.web.vip or not sight.answered or sight.destination.component is None:
            continue
        if sight.port in (pool.web.external_https, pool.web.external_http):
            seen[pool.fqdn].setdefault(sight.destination.component, sight)
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


@joined(
    "edge-service-split",
    severity="medium",
    positions=("external",),
    text="Members of an Edge pool answer for different services: one refuses what another serves, and the other way "
    "round. The Edge services run together on every member.",
    sources=("SUPT",),
    controls=("CM-6",),
)
def edge_service_split(sights: Sights) -> Iterator[Joined]:
    served: dict[str, dict[tuple[str, str], Sight]] = defaultdict(dict)
    refused: dict[str, dict[tuple[str, str], Sight]] = defaultdict(dict)
    for sight in sights.at("external"):
        pool = sights.site.edge_pool_of(sight.destination, *_SERVICES)
        member, path = sight.destination.component, sight.path
        if pool is None or pool.single_ip or member is None or path is None or sight.transport != 6:
            continue  # of flows that fit a row: those to ports where the service listens
        service = next(word for role, word in _SERVICES.items() if sight.destination.has(role))
        if sight.answered:
            served[pool.fqdn].setdefault((member, service), sight)
        elif sight.refused:
            refused[pool.fqdn].setdefault((member, service), sight)
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
