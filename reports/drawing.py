"""A declared site as a picture: what stands in which zone, between which firewalls.

Strategy: one description (`scene`) of stripes from the Internet down to the inside, each with boxes that hold a small
table; `reports.drawing_text` and `reports.drawing_svg` only place them. Everything is laid out in character cells of
one width, so that both say the same and twenty Edge Servers are twenty lines. Text of the file passes `visible`.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from reports.visible import visible
from rules import names
from rules.components import Address, DirectorPool, EdgePool, FrontEndPool, Member, Network, ReverseProxy, Translated
from rules.topology import Topology

Cell = tuple[str, ...]
"""Lines of a table cell: an interface may have several addresses."""


@dataclass(frozen=True, slots=True)
class Box:
    """One pool, server or group. `key`: its name, to which arrows point; `members`: more of these, of a group."""

    key: str
    kind: str
    facts: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    members: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.key}: {self.kind}" if self.key else self.kind

    def lines(self) -> list[str]:
        """Facts and table, in cells of one width; without the title."""
        return [*self.facts, *_aligned(self.columns, self.rows)]


@dataclass(frozen=True, slots=True)
class Stripe:
    title: str
    boxes: tuple[Box, ...]
    wall: bool = False  # a firewall: one line, no boxes
    dashed: bool = False  # where a firewall could be and none is


@dataclass(frozen=True, slots=True)
class Arrow:
    source: str  # key of a box
    destination: str
    label: str


@dataclass(frozen=True, slots=True)
class Scene:
    title: str
    about: str
    stripes: tuple[Stripe, ...]
    arrows: tuple[Arrow, ...]


# --- what there is ---------------------------------------------------------------------------------------------------


def scene(topology: Topology) -> Scene:
    edges = tuple(_edge_pool(pool, topology) for pool in topology.edge_pools)
    proxies = tuple(_proxy(proxy) for proxy in topology.reverse_proxies)
    lb = topology.lb
    sources = (("outside", lb.external_snat), ("inside", lb.internal_snat), ("health probes", lb.self_addresses))
    others = [
        _hosts("", "balancers speak from", ((name, addresses) for name, addresses in sources if addresses)),
        _hosts("", "others in the perimeter", ((o.name, o.addresses) for o in topology.others)),
    ]
    outer, inner = _networks(topology, names.PERIMETER_EXT), _networks(topology, names.PERIMETER_INT)
    return Scene(
        title=visible(topology.organization),
        about=f"{topology.product}: {', '.join(topology.variant().names)}",
        stripes=(
            Stripe("the Internet", _drawn(_peers(topology))),
            _wall(topology, "external"),
            Stripe(f"perimeter: outer {outer}; inner {inner}", _drawn([*edges, *proxies, *others])),
            _wall(topology, "internal"),
            Stripe(f"inside: {_networks(topology, names.INTERNAL)}", _drawn(_inside(topology))),
        ),
        arrows=tuple(_arrows(topology)),
    )


def _drawn(boxes: Iterable[Box]) -> tuple[Box, ...]:
    return tuple(box for box in boxes if box.facts or box.rows)


def _wall(topology: Topology, side: str) -> Stripe:
    sensors = [s.name for s in topology.sensors if s.position == side]
    watched = f"; sensors: {', '.join(map(visible, sensors))}" if sensors else ""
    firewall = next((f for f in topology.firewalls if f.side == side), None)
    if firewall is None:
        return Stripe(f"no {side} firewall is declared{watched}", (), wall=True, dashed=True)
    nat = {"static": ", translates one to one", "none": ", translates nothing"}.get(firewall.nat or "", "")
    where = f" {_addresses(firewall.addresses)}" if firewall.addresses else ""
    return Stripe(f"{side} firewall{where}{nat}{watched}", (), wall=True)


def _peers(topology: Topology) -> Iterator[Box]:
    federation = topology.federation
    yield Box("", "anybody", ("remote users and guests",))
    if federation.enabled:
        partners = tuple(
            ((visible(p.domain),), _cell(p.access), _cell(p.av), (p.product or "",)) for p in federation.sip_partners
        )
        facts = ("and whoever is found by DNS",) if federation.discovery else ("nobody else",)
        yield Box("", "SIP partners", facts, ("DOMAIN", "ACCESS", "A/V", "PRODUCT") if partners else (), partners)
    yield _hosts("", "XMPP partners", ((p.domain, p.addresses) for p in federation.xmpp_partners))
    clouds: list[tuple[str, tuple[Network, ...]]] = []
    if federation.office365.enabled:
        clouds += [
            ("Office 365 signalling", federation.office365.sip),
            ("Office 365 media", federation.office365.media),
        ]
    clouds += [("push service", federation.push.addresses)] if federation.push.enabled else []
    clouds += [("public IM", federation.public_im.addresses)] if federation.public_im.enabled else []
    rows = tuple(((name,), _ranges(networks) or ("any address",)) for name, networks in clouds)
    yield Box("", "providers", (), ("WHO", "ADDRESSES") if rows else (), rows)


def _edge_pool(pool: EdgePool, topology: Topology) -> Box:
    features = [
        name
        for name, on in (
            ("published for federation", pool.federation and topology.federation.enabled),
            ("XMPP", pool.xmpp.enabled),
            ("Skype search", pool.skype_search),
        )
        if on
    ]
    facts = [f"next hop {pool.next_hop}; {', '.join((pool.product, *features))}"]
    ports = [pool.access.port]
    ports += [pool.access.federation_port] if pool.federation and topology.federation.enabled else []
    ports += [pool.xmpp.port] if pool.xmpp.enabled else []
    columns = (
        "SERVER",
        f"ACCESS {' '.join(f':{port}' for port in dict.fromkeys(ports))}",
        f"MEETINGS :{pool.webconf.port}",
        f"A/V :{pool.av.port} :{pool.av.udp_port}/udp",
        "INSIDE",
    )
    rows: list[tuple[Cell, ...]] = []
    vips = pool.vips
    if pool.balanced_outside or pool.balanced_inside:
        outside = tuple(_pairs(vip) for vip in (vips.access, vips.webconf, vips.av))
        rows.append((("(virtual)",), *outside, _cell(vips.internal)))
    for member in pool.members:
        services = tuple(_pairs(service) for service in (member.access, member.webconf, member.av))
        rows.append(((_short(member.fqdn, pool.fqdn),), *services, _cell(member.internal)))
    return Box(visible(pool.fqdn), "Edge pool", tuple(facts), columns, tuple(rows))


def _proxy(proxy: ReverseProxy) -> Box:
    rows = [((_short(proxy.fqdn, proxy.fqdn),), _pairs(proxy.external), _cell(proxy.internal))]
    rows += [((_short(m.fqdn, proxy.fqdn),), _pairs(m.external), _cell(m.internal)) for m in proxy.members]
    rows += [(("(source)",), (), _cell(proxy.snat))]
    rows = [row for row in rows if row[1] or row[2]]
    published = f"publishes {len(proxy.publishes)} names" if proxy.publishes else ""
    return Box(
        visible(proxy.fqdn),
        "reverse proxy",
        (published,) if published else (),
        ("SERVER", "OUTSIDE :443 :80", "INSIDE"),
        tuple(rows),
    )


def _inside(topology: Topology) -> Iterator[Box]:
    hops = {pool.next_hop for pool in topology.edge_pools}
    pools: list[tuple[str, DirectorPool | FrontEndPool]] = [
        *(("Director pool", pool) for pool in topology.director_pools),
        *((f"Front End pool, {pool.edition}", pool) for pool in topology.front_end_pools),
    ]
    for kind, pool in pools:
        facts = ["next hop of the Edge"] if pool.fqdn in hops else []
        if isinstance(pool, FrontEndPool):
            facts += ["XMPP gateway"] if pool.xmpp_gateway else []
            facts += [f"CMS master {_short(pool.cms_master, pool.fqdn)}"] if pool.cms_master else []
            facts += ["holds the CMS"] if pool.cms else []
        virtual = (
            ("(SIP)", pool.sip_vip),
            (f"(web :{pool.web.external_https} :{pool.web.external_http})", pool.web.vip),
        )
        servers = [((name,), _cell(addresses)) for name, addresses in virtual if addresses]
        servers += [((_short(m.fqdn, pool.fqdn),), _cell(m.address)) for m in pool.members]
        told = (", ".join(facts),) if facts else ()
        yield Box(visible(pool.fqdn), kind, told, ("SERVER", "ADDRESS"), tuple(servers))
    for mediation in topology.mediation_pools:
        yield _hosts(mediation.fqdn, "Mediation pool", _named(mediation.members))
    farms = tuple(visible(farm.fqdn) for farm in topology.office_web_apps)
    yield replace(_hosts("", "Office Web Apps", _named(topology.office_web_apps)), members=farms)
    yield _hosts("", "branch appliances", _named(topology.branch_appliances))
    yield _hosts("", "infrastructure", _named(topology.infrastructure))
    clients = topology.clients
    ranges = (
        ("LAN", clients.lan),
        ("Wi-Fi", clients.wifi),
        ("administrators", clients.admin),
        ("VPN", tuple(prefix.network for prefix in topology.zones if prefix.zone == names.VPN)),
        ("seen outside as", clients.egress),
    )
    rows = tuple(((name,), _ranges(networks)) for name, networks in ranges if networks)
    rows += ((("VPN gateways",), _cell(topology.vpn.gateways)),) if topology.vpn.gateways else ()
    yield Box("", "clients", (), ("WHERE", "NETWORKS"), rows)


def _arrows(topology: Topology) -> Iterator[Arrow]:
    """What each firewall is there for: SIP from the Edge to its next hop, published web services from the proxy."""
    for edge in topology.edge_pools:
        yield Arrow(visible(edge.fqdn), visible(edge.next_hop), f"SIP {edge.access.internal_port}")
    inside: list[DirectorPool | FrontEndPool] = [*topology.director_pools, *topology.front_end_pools]
    web = {pool.fqdn: f"HTTPS {pool.web.external_https}, HTTP {pool.web.external_http}" for pool in inside}
    web |= {farm.fqdn: "HTTPS 443" for farm in topology.office_web_apps}
    for proxy in topology.reverse_proxies:
        for target in dict.fromkeys(entry.to for entry in proxy.publishes if entry.to in web):
            assert target is not None
            yield Arrow(visible(proxy.fqdn), visible(target), web[target])


def _hosts(key: str, kind: str, hosts: Iterable[tuple[str, Sequence[Address]]]) -> Box:
    rows = tuple(((visible(name),), _cell(addresses) or ("any address",)) for name, addresses in hosts)
    return Box(visible(key), kind, (), ("NAME", "ADDRESS") if rows else (), rows)


def _named(members: Iterable[Member]) -> Iterator[tuple[str, tuple[Address, ...]]]:
    return ((member.fqdn, member.address) for member in members)


def _networks(topology: Topology, zone: str) -> str:
    return ", ".join(str(prefix.network) for prefix in topology.zones if prefix.zone == zone) or "no network"


def _addresses(addresses: Iterable[Address]) -> str:
    return ", ".join(map(str, addresses))


def _cell(addresses: Iterable[Address]) -> Cell:
    return tuple(map(str, addresses))


def _ranges(networks: Iterable[Network]) -> Cell:
    """Networks; one address as an address."""
    return tuple(str(n.network_address) if n.num_addresses == 1 else str(n) for n in networks)


def _pairs(addresses: Translated) -> Cell:
    """Public address, and its translation behind an arrow where there is one."""
    pairs = [str(one) if one == other else f"{one} > {other}" for one, other in addresses.pairs]
    return tuple(pairs) or _cell(addresses.private)


def _short(fqdn: str, pool: str) -> str:
    """The name without what it shares with its pool's."""
    domain = pool.partition(".")[2]
    return visible(fqdn.removesuffix("." + domain) if domain and fqdn.endswith("." + domain) else fqdn)


def cells(text: str) -> int:
    """How many cells of a terminal a text takes: two for a wide character (UAX #11), none for one that combines."""
    return sum(
        2 if unicodedata.east_asian_width(char) in "WF" else 0 if unicodedata.category(char) in ("Mn", "Me") else 1
        for char in text
    )


def padded(text: str, width: int) -> str:
    return text + " " * (width - cells(text))


def folded(text: str, room: int, indent: str = "") -> list[str]:
    """The text in lines of at most `room` cells, continued ones behind `indent`."""
    if cells(text) <= room:
        return [text]
    wide = cells(text) > len(text)  # then each character may take two
    return textwrap.wrap(text, room // 2 if wide else room, subsequent_indent=indent, break_on_hyphens=False)


def _aligned(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Iterator[str]:
    if not rows:
        return
    widths = [max(cells(columns[n]), *(cells(line) for row in rows for line in row[n]), 0) for n in range(len(columns))]
    yield _row(columns, widths)
    for row in rows:
        for place in range(max(1, *(len(cell) for cell in row))):
            yield _row([cell[place] if place < len(cell) else "" for cell in row], widths)


def _row(texts: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(padded(text, width) for text, width in zip(texts, widths, strict=True)).rstrip()
