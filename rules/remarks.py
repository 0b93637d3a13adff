"""What a topology file says in vain or against itself: paths of the site that are never reached, switches that fight.

Strategy: none of this is a finding, since nothing is wrong with the site: it is the file that does not do what its
author meant. Each function yields sentences that name the key and say what would help. Local paths are compared with
the rows as they apply, by the numbers of their ends: one that adds nothing, or that another fits before it, is told.
"""

from __future__ import annotations

from collections.abc import Iterator

from rules import names
from rules.catalogue import UNDECLARED_NETWORK
from rules.endpoints import Endpoints
from rules.paths import Leg, Path, derive
from rules.reach import Members
from rules.site_policy import Thresholds
from rules.switches import DOCUMENTED_OPEN, OTHER_FE
from rules.topology import DirectorPool, EdgeMember, FrontEndPool, Topology, at_least


def remarks(topology: Topology, now: int) -> list[str]:
    """Sentences in the order of the file's sections. `now`: ns since 1970, against which paths expire."""
    endpoints = Endpoints(topology)
    paths = derive(topology, endpoints)
    return [
        *_features(topology),
        *_addresses_and_names(topology),
        *_published(topology),
        *_directors(topology),
        *_gateways(paths, endpoints),
        *_policy(topology, paths),
        *_local_paths(topology, paths, endpoints, now),
    ]


# --- switches --------------------------------------------------------------------------------------------------------


def _features(topology: Topology) -> Iterator[str]:
    federation, pools = topology.federation, topology.edge_pools
    if not federation.enabled and (federation.sip_partners or federation.discovery):
        yield "federation is off, yet partners or discovery are stated: `federation.enabled: true` makes them count"
    if federation.enabled and not any(pool.federation for pool in pools):
        yield "federation is on, yet no Edge pool is published for it: `federation: true` at one of `edge_pools`"
    proxies = [pool for pool in pools if pool.xmpp.enabled]
    if federation.xmpp_partners and not proxies:
        yield "XMPP partners are listed, yet no Edge pool has XMPP on: `xmpp: {enabled: true}` at one of `edge_pools`"
    if proxies and not federation.xmpp_partners:
        yield "XMPP is on, yet no partner is listed: every stream will be one of a partner that is not configured"
    if proxies and not any(pool.xmpp_gateway for pool in topology.front_end_pools):
        yield "XMPP is on, yet no Front End pool is its gateway: `xmpp_gateway: true` at one of `front_end_pools`"
    for pool in proxies:
        if at_least(pool.product, names.SFB_2019):
            yield f"XMPP is on at {pool.fqdn}, which {pool.product} does not have: keep an older pool and Edge for it"
    if any(pool.product == names.LYNC_2010 for pool in proxies):
        yield "XMPP is on at a lync-2010 Edge, which has no proxy of its own: declare the gateway server under `others`"
    if any(pool.skype_search and not at_least(pool.product, names.SFB_2015) for pool in pools):
        yield "skype_search is on at an Edge older than sfb-2015, which cannot search: no row follows from it"
    newest = [pool.product for pool in pools]
    if federation.push.enabled and all(product == names.SFB_SE for product in newest):
        yield "push is on, yet sfb-se has no push through the cloud: its row does not apply"
    if federation.public_im.enabled and all(at_least(product, names.SFB_2019) for product in newest):
        yield "public_im is on, yet no public provider is left for sfb-2019 and later: its rows do not apply"
    if federation.office365.enabled and all(product == names.LYNC_2010 for product in newest):
        yield "office365 is on, yet lync-2010 has no hybrid: its rows do not apply"
    if topology.mobility and not topology.reverse_proxies:
        yield "mobility is on, yet no reverse proxy is declared: mobile clients have no way in"
    if topology.office_web_apps and topology.product == names.LYNC_2010:
        yield "office_web_apps is stated, yet lync-2010 does not publish it: its row does not apply"
    for pool in pools:
        if not pool.single_ip and pool.access.port == pool.access.federation_port:
            yield (
                f"{pool.fqdn} serves clients and partners on one port, {pool.access.port}, as only a pool with one "
                "address for its services does: `access.port` is 443 by default"
            )
        services = [service for member in pool.members for service in (member.access, member.webconf, member.av)]
        six = any(address.version == 6 for service in services for address in service.all)
        if pool.product == names.LYNC_2010 and six:
            yield f"{pool.fqdn} has IPv6 addresses, which a lync-2010 Edge does not support"


def _addresses_and_names(topology: Topology) -> Iterator[str]:
    for pool in topology.edge_pools:
        for member in pool.members:
            yield from _half_translated(member)
            for version in (4, 6):
                several = [address for address in member.internal if address.version == version]
                if len(several) > 1:
                    yield (
                        f"{member.fqdn} has {len(several)} internal IPv{version} addresses; an Edge Server has one, "
                        "and the rows hold for each of them"
                    )
    served = [name for pool in topology.edge_pools for name in pool.serves]
    for name in dict.fromkeys(name for name in served if served.count(name) > 1):
        yield f"{name} is served by several Edge pools; each pool uses the A/V service of one"
    inside: list[DirectorPool | FrontEndPool] = [*topology.director_pools, *topology.front_end_pools]
    hosts = [inner.web.external for inner in inside if inner.web.external is not None]
    for host in dict.fromkeys(host for host in hosts if hosts.count(host) > 1):
        yield f"{host} is the external web name of several pools; each needs its own, or requests cannot be told apart"
    masters = [pool.cms_master for pool in topology.front_end_pools if pool.cms_master is not None]
    for front_end in topology.front_end_pools:
        if front_end.cms and masters:
            yield f"{front_end.fqdn} has `cms: true`, which counts for nothing: `cms_master` names {', '.join(masters)}"
    for inner in inside:
        if len(inner.members) > 1 and not inner.web.vip:
            yield f"{inner.fqdn} has several members and no `web.vip`: web services of a pool need a hardware balancer"
        if inner.web.external is not None and inner.web.external == inner.web.internal:
            yield f"{inner.fqdn} has one web name inside and outside: the external site needs a name of its own"


def _half_translated(member: EdgeMember) -> Iterator[str]:
    """One public address that is translated for some of the services on it: an address without `private` is on the wire
    as it stands (contract 2.1), so the pool no longer counts as one with a single address."""
    services = {"access": member.access, "webconf": member.webconf, "av": member.av}
    pairs = {name: dict(service.pairs) for name, service in services.items()}
    for public in dict.fromkeys(address for found in pairs.values() for address in found):
        inside = {name: found[public] for name, found in pairs.items() if public in found}
        translated = [name for name, address in inside.items() if address != public]
        bare = [name for name, address in inside.items() if address == public]
        if translated and bare:
            private = inside[translated[0]]
            yield (
                f"{member.fqdn}: {public} is translated to {private} for {' and '.join(translated)}, not for "
                f"{' and '.join(bare)}: without `private: {private}` there these count as another, untranslated address"
            )


def _published(topology: Topology) -> Iterator[str]:
    """Names that are for inside alone (path document 2.7) and are published all the same."""
    domains = topology.sip_domains
    inner: list[DirectorPool | FrontEndPool] = [*topology.director_pools, *topology.front_end_pools]
    told: dict[str | None, str] = {
        pool.web.internal: "an internal web name" for pool in inner if pool.web.internal != pool.web.external
    }
    told |= dict.fromkeys((*topology.simple_urls.admin, *(f"admin.{d}" for d in domains)), "the administrators' name")
    internal = (*topology.autodiscover.internal, *(f"lyncdiscoverinternal.{d}" for d in domains))
    told |= dict.fromkeys(internal, "the name of Autodiscover inside")
    hidden = [name for name in topology.ad_domains if not any(f".{d}".endswith(f".{name}") for d in domains)]
    for proxy in topology.reverse_proxies:
        for host in dict.fromkeys(entry.host for entry in proxy.publishes):
            what = told.get(host)
            if what is None and any(f".{host}".endswith(f".{name}") for name in hidden):
                what = "a name of `ad_domains`"
            if what is not None:
                yield f"{proxy.fqdn} publishes {host}, {what}: what is for inside alone is a finding outside"


def _directors(topology: Topology) -> Iterator[str]:
    for pool in topology.edge_pools:
        if topology.director_pools and not isinstance(topology.next_hop(pool), DirectorPool):
            yield f"a Director is declared, yet {pool.fqdn} hands inbound SIP to {pool.next_hop}: is it the next hop?"


def _gateways(paths: tuple[Path, ...], endpoints: Endpoints) -> Iterator[str]:
    """No documented row has a VPN gateway at its end, so one in the perimeter is a finding for each of its users."""
    reached = {number for path in paths for leg in path.legs if leg.local for number in leg.destinations}
    for end in endpoints:
        if end.perimeter and end.has(names.VPN_GW) and end.number not in reached:
            yield (
                f"{end} stands in {end.zone}, and no row allows what its users open: say so under policy.local_paths, "
                f"`from: external, to: {names.VPN_GW}` (udp 500 and 4500, esp, tcp 443), or each is an unlisted path"
            )


def _policy(topology: Topology, paths: tuple[Path, ...]) -> Iterator[str]:
    policy = topology.policy
    if policy.director_bypass == DOCUMENTED_OPEN and not topology.director_pools:
        yield "policy.director_bypass is documented-open, yet no Director is declared: it changes nothing"
    if OTHER_FE in policy.optional_paths and policy.director_bypass != DOCUMENTED_OPEN:
        yield f"policy.optional_paths names {OTHER_FE}, which `director_bypass: documented-open` alone turns on"
    severity = policy.severity_of(UNDECLARED_NETWORK)
    if severity not in (None, names.OFF, "info"):
        yield f"policy.rules sets {UNDECLARED_NETWORK} to {severity}, yet it stays info: no zone, no conclusion"
    if policy.report_attempts:
        yield "policy.report_attempts changes nothing: attempts are always told, apart from findings"
    if policy.thresholds.attempts_per_source_per_minute != Thresholds().attempts_per_source_per_minute:
        yield "policy.thresholds.attempts_per_source_per_minute changes nothing: no rule counts attempts"
    known = {path.id: path for path in paths}
    for name in policy.optional_paths:
        if name != OTHER_FE and not known[name].applies:
            yield f"policy.optional_paths names {name}, which does not apply here: {known[name].why}"


# --- local paths -----------------------------------------------------------------------------------------------------


def _local_paths(topology: Topology, paths: tuple[Path, ...], endpoints: Endpoints, now: int) -> Iterator[str]:
    before = [leg for path in paths for leg in path.legs if not leg.local]
    declared = {entry.id: entry for entry in topology.policy.local_paths}
    for path in paths:
        if path.id not in declared:
            continue
        end = declared[path.id].ends_ns
        if end is not None and end <= now:
            yield f"local path {path.id} has expired ({declared[path.id].expires}): flows after that fit it no longer"
        if not path.legs:
            yield f"local path {path.id} fits nothing: {path.why}"
        yield from _in_vain(path, endpoints)
        for leg in path.legs:
            yield from _shadow(leg, before)
            yield from _opening(leg, endpoints)
            before.append(leg)


def _in_vain(path: Path, endpoints: Endpoints) -> Iterator[str]:
    """A path between ends that no firewall lies between, or with an end of which nothing is concluded."""
    sources = {endpoints[number] for leg in path.legs for number in leg.sources}
    destinations = {endpoints[number] for leg in path.legs for number in leg.destinations}
    for key, ends in (("from", sources), ("to", destinations)):
        if ends and all(end.zone == names.UNDECLARED for end in ends):
            yield (
                f"local path {path.id} allows nothing: the addresses of its `{key}` are in no zone, so that its flows "
                "stay undecided; declare the network under `zones`"
            )
            return
    every = sources | destinations
    if not every:
        return
    zones = {end.zone for end in every}
    nobody = len(zones) == 1 and not any(end.roles for end in every)
    if zones <= {names.INTERNAL, names.VPN} or zones == {names.EXTERNAL} or nobody:
        where = " and ".join(sorted(zones))
        yield f"local path {path.id} stays in {where}, where no firewall is crossed: nothing is a finding there anyway"


def _shadow(leg: Leg, before: list[Leg]) -> Iterator[str]:
    """The first leg before this one that fits all it fits: it allows the same, or takes it and asks for another."""
    for other in before:
        if not _covers(other, leg):
            continue
        same = not other.accepted or (bool(leg.accepted) and leg.accepted <= other.accepted)
        if same:
            yield f"local path {leg.row} allows nothing that {other.row} does not"
            return
        if _first(other, leg):
            what = f"{other.row} fits the same flows first, and allows {other.service}"
            yield f"local path {leg.row} is never reached: {what}"
            return


def _covers(other: Leg, leg: Leg) -> bool:
    return (
        other.transport == leg.transport
        and not other.source_ports
        and not other.behind_balancer
        and (other.until is None or (leg.until is not None and leg.until <= other.until))
        and leg.sources.keys() <= other.sources.keys()
        and leg.destinations.keys() <= other.destinations.keys()
        and (not other.ports or all(any(s.first in o and s.last in o for o in other.ports) for s in leg.ports))
        and (bool(leg.ports) or not other.ports)
    )


def _first(other: Leg, leg: Leg) -> bool:
    """Whether `other` ranks before `leg` for every flow of it: as narrow at each end, on a single port or a range."""

    def narrower(one: Members, two: Members) -> bool:
        return all(one[number] <= two[number] for number in two)

    single = all(span.first == span.last for span in other.ports) and bool(other.ports)
    ranges = all(span.first != span.last for span in leg.ports)
    ends = narrower(other.sources, leg.sources) and narrower(other.destinations, leg.destinations)
    return ends and (single or ranges)


def _opening(leg: Leg, endpoints: Endpoints) -> Iterator[str]:
    """A path of the site silences the rules that only miss a row: from the Internet straight inside that is much."""
    outside = any(endpoints[number].zone == names.EXTERNAL and not endpoints[number].own for number in leg.sources)
    if outside and any(endpoints[number].inside for number in leg.destinations):
        yield (
            f"local path {leg.row} lets the Internet straight inside: external-to-internal-direct and "
            "reverse-proxy-bypass will not speak on it"
        )
