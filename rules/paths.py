"""Which allowed rows apply to a site, and what each is in endpoint and port numbers.

Strategy: go through the table once. For each row ask `rules.switches` Edge pool by Edge pool and keep a sentence for
whatever holds it back; resolve what is left into legs. A leg is a closed question about one
way of one flow: these sources, these destinations, these ports? Rows that are off are resolved too, apart: their
listeners still tell who opened a flow that was joined late. Local paths come last and are rows like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from rules import names
from rules.components import DirectorPool, EdgePool, FrontEndPool, PortRange
from rules.declared import PRIVATE
from rules.endpoints import Endpoint, Endpoints
from rules.reach import WEB_WORDS, Members, Narrowness, Reach
from rules.rows import SERVICE_KINDS, LegSpec, Row, table
from rules.services import service_number
from rules.site_policy import LocalPath, Selector
from rules.switches import BEHIND_LB, held_back, missing
from rules.topology import Topology
from rules.transports import PORTED, transport_number

HAIRPIN: Final = "ext-av-pool-hairpin"
EVERY_PORT: Final = PortRange(0, 65535)


@dataclass(frozen=True, slots=True)
class Leg:
    """One way that a row allows, in numbers."""

    row: str
    order: int
    transport: int  # IP protocol number
    sources: Members
    destinations: Members
    source_ports: tuple[PortRange, ...]  # empty = any
    ports: tuple[PortRange, ...]  # empty = any
    service: str  # word of SERVICE_KINDS; of a local path the service it names
    accepted: frozenset[int]  # numbers of services that confirm it; empty = it asks for none
    source_role: str | None
    destination_role: str | None
    between: tuple[str, str] = ("", "")  # words of the ends, as a list shows them
    alone: bool = True  # by itself enough to make a flow worth judging
    local: bool = False
    until: int | None = None  # the row fits while at most this many instants have passed
    behind_balancer: bool = False  # seen between a balancer and its servers alone
    shared: bool = False  # on a port where clients and partners meet: a client certificate tells who came

    def match(self, source: Endpoint, source_port: int, destination: Endpoint, port: int, era: int) -> Fit | None:
        """How narrowly the leg names these ends, None if it does not allow them. Transport is the caller's question."""
        peer = self.sources.get(source.number)
        other = self.destinations.get(destination.number)
        if peer is None or other is None or (self.until is not None and era > self.until):
            return None
        if self.source_ports and not any(source_port in span for span in self.source_ports):
            return None
        width = 2
        if self.ports:
            holding = [span for span in self.ports if port in span]
            if not holding:
                return None
            width = 0 if any(span.first == span.last for span in holding) else int(EVERY_PORT in holding) + 1
        if self.source_role == self.destination_role == names.EDGE_EXT_AV and not _left(source, destination):
            return None
        if self.row == HAIRPIN and not _of_one_pool(source, destination):
            return None
        return Fit(max(peer, other), width, self)

    @property
    def mutual(self) -> bool:
        return self.service == "mtls"

    @property
    def clients_alone(self) -> bool:
        """Who shows a certificate is no client: partners meet them on this port."""
        return self.shared and not self.mutual


@dataclass(frozen=True, slots=True)
class Fit:
    narrowness: Narrowness
    width: int  # 0 a single port, 1 a range, 2 any port
    leg: Leg

    @property
    def rank(self) -> tuple[int, int, int]:
        """Smaller = preferred: the peer most narrowly named, a single port before a range, document order."""
        return (int(self.narrowness), self.width, self.leg.order)


@dataclass(frozen=True, slots=True)
class Path:
    """A row of the table, or a local one, as it stands on this site."""

    id: str
    position: str
    source: str
    destination: str
    transport: str
    ports: tuple[PortRange, ...]
    service: str
    initiator: str
    applies: bool
    why: str  # why it applies or does not
    legs: tuple[Leg, ...]  # empty unless it applies
    off_legs: tuple[Leg, ...] = ()  # of a row that a switch of the site holds back
    foreign_legs: tuple[Leg, ...] = ()  # of a row of other products: nothing listens there, but a question may mean it
    purpose: str = ""
    documents: tuple[str, ...] = ()


def derive(topology: Topology, endpoints: Endpoints) -> tuple[Path, ...]:
    """Every row of the table, in its order, then the local paths."""
    reach = Reach(topology, endpoints)
    rows = table().rows
    built_in = [_row_path(reach, row) for row in rows]
    instants = expiries(topology)
    local = [_local_path(reach, entry, len(rows) + n, instants) for n, entry in enumerate(topology.policy.local_paths)]
    return (*built_in, *local)


def expiries(topology: Topology) -> tuple[int, ...]:
    """Instants (ns since 1970 UTC, ascending) at which local paths end: the core says how many a flow's start has
    passed."""
    ends = {path.ends_ns for path in topology.policy.local_paths}
    return tuple(sorted(end for end in ends if end is not None))


# --- rows of the table -----------------------------------------------------------------------------------------------


_EDGE_PREFIX: Final = "edge-"


def _pools(topology: Topology, row: Row) -> tuple[EdgePool | None, ...]:
    """Rows with an Edge end are resolved pool by pool; the others once."""
    edge = any(word.startswith(_EDGE_PREFIX) for leg in row.legs for word in (leg.source, leg.destination))
    return topology.edge_pools if edge else (None,)


def _row_path(reach: Reach, row: Row) -> Path:
    topology = reach.topology
    legs: list[Leg] = []
    off: list[Leg] = []
    foreign: list[Leg] = []
    reasons: list[str] = []
    for pool in _pools(topology, row):
        whole = held_back(topology, row, row, pool)  # what holds the row back is no matter of its parts
        for part in row.parts or (row,):
            hold = held_back(topology, row, part, pool)
            if hold is not None:
                reasons.append((whole or hold).why)
                if hold.listens:
                    off.extend(_resolve(reach, row, part, pool))
                elif hold.other_product:
                    foreign.extend(_resolve(reach, row, part, pool))
                continue
            found = list(_resolve(reach, row, part, pool))
            if not found:
                reasons.append("no address on this site plays that part")
            legs.extend(found)
    ports = _display_ports(topology, row)
    return Path(
        id=row.id,
        position=row.position,
        source=_either(leg.source for leg in row.legs),
        destination=_either(leg.destination for leg in row.legs),
        transport="/".join(dict.fromkeys(leg.transport for leg in row.legs)),
        ports=ports,
        service="/".join(dict.fromkeys(leg.service for leg in row.legs)),
        initiator=row.initiator,
        applies=bool(legs),
        why=(row.purpose or "listed") if legs else "; ".join(dict.fromkeys(reasons)) or "no Edge pool is declared",
        legs=tuple(legs),
        off_legs=tuple(off),
        foreign_legs=tuple(foreign),
        purpose=row.purpose,
        documents=row.documents,
    )


def _either(words: Iterable[str]) -> str:
    """The ends of a row of several shapes, each once."""
    return " or ".join(dict.fromkeys(map(_shown, words)))


def _shown(word: str) -> str:
    return SHOWN.get(word, word)


def _resolve(reach: Reach, row: Row, part: Row, pool: EdgePool | None) -> Iterator[Leg]:
    """Legs of `part`, which is the row itself or one whose legs it takes over."""
    for spec in part.legs:
        if any(missing(name, reach.topology, pool) for name in spec.needs):
            continue
        for sources, destinations, ports in _ends(reach, spec, pool):
            transport = transport_number(spec.transport)
            if transport is not None and sources and destinations:
                yield Leg(
                    row=row.id,
                    order=row.order,
                    transport=transport,
                    sources=sources,
                    destinations=destinations,
                    source_ports=_spans(reach.topology, pool, spec.source_ports),
                    ports=ports,
                    service=spec.service,
                    accepted=_accepted(SERVICE_KINDS[spec.service]),
                    source_role=_ROLE_OF_WORD.get(spec.source, spec.source),
                    destination_role=_ROLE_OF_WORD.get(spec.destination, spec.destination),
                    between=(_shown(spec.source), _shown(spec.destination)),
                    alone=row.alone,
                    behind_balancer=BEHIND_LB in row.needs,
                    shared=pool is not None and _shared(spec, pool, ports, reach.topology),
                )


_ACCESS_WORDS: Final = frozenset({"edge-ext-access", "edge-ext-access-or-vip", "edge-ext-vip-access"})


def _shared(spec: LegSpec, pool: EdgePool, ports: tuple[PortRange, ...], topology: Topology) -> bool:
    """Whether clients and partners meet on this port of the Access Edge, as they do on a single address. Without
    federation clients are alone there."""
    port = pool.access.port
    if port != pool.access.federation_port or PortRange(port, port) not in ports:
        return False
    if spec.destination not in _ACCESS_WORDS or spec.service not in ("tls", "mtls"):
        return False
    return spec.service == "mtls" or missing("federation", topology, pool) is None


def _ends(
    reach: Reach, spec: LegSpec, pool: EdgePool | None
) -> Iterator[tuple[Members, Members, tuple[PortRange, ...]]]:
    if spec.destination not in WEB_WORDS:
        ports = _spans(reach.topology, pool, spec.ports)
        yield reach.resolve(spec.source, pool), reach.resolve(spec.destination, pool), ports
        return
    # The proxy's target is the web VIP where the pool has one, its members otherwise; ports are the pool's own.
    sources = reach.resolve(spec.source, pool)
    for web_pool in _web_pools(reach.topology, spec.destination):
        role = names.DIRECTOR if spec.destination == "director-web" else names.FE
        addresses = set(web_pool.web.vip) or {a for member in web_pool.members for a in member.address}
        wanted = role if not web_pool.web.vip else names.WEB_VIP
        targets = reach.where(
            lambda e, addresses=addresses, wanted=wanted: (  # type: ignore[misc]
                e.own and e.has(wanted) and e.network is not None and e.network.network_address in addresses
            ),
            Narrowness.ADDRESS,
        )
        yield sources, targets, web_ports(web_pool, str(spec.ports[0]))


def _web_pools(topology: Topology, word: str) -> tuple[DirectorPool | FrontEndPool, ...]:
    return topology.director_pools if word == "director-web" else topology.front_end_pools


def web_ports(pool: DirectorPool | FrontEndPool, key: str) -> tuple[PortRange, ...]:
    """Ports of a pool's external web site; a VIP that translates answers on the public numbers as well."""
    secure = key.endswith("https")
    port = pool.web.external_https if secure else pool.web.external_http
    translated = (443 if secure else 80,) if pool.web.vip and pool.web.vip_translates else ()
    return tuple(PortRange(p, p) for p in dict.fromkeys((port, *translated)))


SHOWN: Final[Mapping[str, str]] = {
    "edge-ext-access-or-vip": names.EDGE_EXT_ACCESS,
    "edge-ext-access-and-vip": names.EDGE_EXT_ACCESS,
    "edge-inward": names.EDGE_INT,
}
"""Words that add a balancer's addresses to a role, as a list names them."""

_ROLE_OF_WORD: Final[Mapping[str, str]] = {
    **SHOWN,
    "external": names.EXT_CLIENT,
    "partner-edge-in": names.PARTNER_EDGE,
    "ocs-2007-partner": names.PARTNER_EDGE,
    "relay-peer": names.PARTNER_EDGE,
    "push-service": names.O365_SIPFED,
    "office365": names.O365_SIPFED,
    "edge-ext-av-of-other-member": names.EDGE_EXT_AV,
    "edge-ext-av-of-other-pool": names.EDGE_EXT_AV,
    "next-hop-director": names.DIRECTOR,
    "next-hop-fe": names.FE,
    "fe-or-sba": names.FE,
    "fe-web": names.FE,
    "director-web": names.DIRECTOR,
    "int-any": names.INT_CLIENT,
    "egress-client": names.INT_CLIENT,
}
"""Role that a row names at an end, where its word is not itself a role id."""


def _accepted(services: tuple[str, ...]) -> frozenset[int]:
    return frozenset(n for n in (service_number(name) for name in services) if n is not None)


def _spans(topology: Topology, pool: EdgePool | None, words: tuple[str | int, ...]) -> tuple[PortRange, ...]:
    """Numbers of a row's port words. ValueError for a word that is none."""
    spans: list[PortRange] = []
    for word in words:
        if word == "any":
            return ()
        if isinstance(word, int):
            spans.append(PortRange(word, word))
        elif word[0].isdigit():
            first, last = word.split("-")
            spans.append(PortRange(int(first), int(last)))
        else:
            spans.extend(_pool_ports(pool or topology.edge_pools[0], word))
    return tuple(spans)


def _pool_ports(pool: EdgePool, word: str) -> tuple[PortRange, ...]:
    service, key, *index = word.split(".")
    value = getattr(getattr(pool, service), key)
    if isinstance(value, PortRange):
        return (value,)
    numbers = value if isinstance(value, tuple) else (value,)
    if index:  # a list may be shorter or longer than the three rows that share it: the last row takes the rest
        place = int(index[0])
        numbers = numbers[place : place + 1] if place < 2 else numbers[place:]
        if not numbers:
            return (PortRange(-1, -1),)  # no such listener: fits nothing, where an empty tuple would fit all
    return tuple(PortRange(port, port) for port in numbers)


def _display_ports(topology: Topology, row: Row) -> tuple[PortRange, ...]:
    spans: list[PortRange] = []
    for spec in row.legs:
        if spec.destination in WEB_WORDS:
            for pool in _web_pools(topology, spec.destination):
                spans.extend(web_ports(pool, str(spec.ports[0])))
            if not spans:
                spans.append(PortRange(4443, 4443) if str(spec.ports[0]).endswith("https") else PortRange(8080, 8080))
            continue
        for edge in _pools(topology, row):
            spans.extend(_spans(topology, edge, spec.ports))
    return tuple(dict.fromkeys(span for span in spans if span.first >= 0))


def _left(source: Endpoint, destination: Endpoint) -> bool:
    """Whether packets between two relays of ours pass the firewall: between private addresses they never left."""
    return not (source.faces == destination.faces == {PRIVATE})


def _of_one_pool(source: Endpoint, destination: Endpoint) -> bool:
    return bool(source.pools & destination.pools) and source.component != destination.component


# --- local paths -----------------------------------------------------------------------------------------------------


def _local_path(reach: Reach, entry: LocalPath, order: int, instants: tuple[int, ...]) -> Path:
    number = transport_number(entry.transport)
    sources, destinations = reach.select(entry.source), reach.select(entry.destination)
    between = _named(entry.source), _named(entry.destination)
    legs: tuple[Leg, ...] = ()
    why = entry.reason or "a path of this site"
    if number is None:
        why = f"{entry.transport} is no IP protocol"
    elif not sources or not destinations:
        why = "no address of this site is meant by its `from` or `to`"
    else:
        end = entry.ends_ns
        legs = (
            Leg(
                row=entry.id,
                order=order,
                transport=number,
                sources=sources,
                destinations=destinations,
                source_ports=(),
                ports=entry.ports if number in PORTED else (),
                service=entry.service or "any",
                accepted=_local_accepted(entry.service),
                source_role=_role_selected(entry.source),
                destination_role=_role_selected(entry.destination),
                between=between,
                local=True,
                until=None if end is None else instants.index(end),
            ),
        )
    return Path(
        id=entry.id,
        position="local",
        source=between[0],
        destination=between[1],
        transport=entry.transport,
        ports=entry.ports,
        service=entry.service or "any",
        initiator="source",
        applies=bool(legs),
        why=why,
        legs=legs,
        purpose=entry.reason or "",
    )


def _local_accepted(service: str | None) -> frozenset[int]:
    """Without a service whatever is spoken is right."""
    if service is None:
        return frozenset()
    return _accepted(SERVICE_KINDS.get(service, (service,)))


def _named(selectors: tuple[Selector, ...]) -> str:
    return ", ".join(selector.name for selector in selectors)


def _role_selected(selectors: tuple[Selector, ...]) -> str | None:
    return next((selector.name for selector in selectors if selector.kind == "role"), None)
