"""One way of one flow with everything a rule may ask of it.

Strategy: an observation has two ends and, where nobody knows who opened it, two ways to be read. `Facts` is one such
reading: the ends as endpoints, the row that fits it, how far the bytes bear the row out. Rules see nothing else, so
each is a few lines over named properties. What needs the site (next hop, web ports, listeners) is asked of `Site`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Final

from rules import names
from rules.components import DirectorPool, EdgePool, FrontEndPool, PortRange
from rules.detail import NO_DETAIL, Detail
from rules.domains import Domains
from rules.endpoints import FIREWALL_ROLES, Endpoint, Endpoints
from rules.observation import Answered, Evidence, Initiator, Observation, Payload, Stun, Tls
from rules.paths import Leg, Path, derive, expiries
from rules.ports import CLASS_WORDS, INTERNAL_TCP, INTERNAL_UDP, Ports, class_name
from rules.services import service_names, service_number, services
from rules.topology import Topology
from rules.transports import ICMP, ICMPV6, PORTED, TCP, TRANSPORTS, UDP

MEDIA_SERVICES: Final = frozenset({"sip", "xmpp", "stun", "turn", "pseudo-tls", "rtp", "rtcp"})
"""Services that make a flow between inside and outside worth judging."""


class State(Enum):
    """How far the bytes bear a row out."""

    SILENT = "no payload"
    CONFIRMED = "confirmed"
    OPEN = "neither confirmed nor contradicted"
    CONTRADICTED = "contradicted"


class Site:
    """Everything derived from the topology once: endpoints, paths, listeners, port classes, names."""

    def __init__(self, topology: Topology, *asked: int) -> None:
        """asked: ports that stand for themselves whether or not anything names them."""
        self.topology = topology
        self.endpoints = Endpoints(topology)
        self.domains = Domains(topology)
        self.paths: tuple[Path, ...] = derive(topology, self.endpoints)
        self.instants = expiries(topology)
        self.legs = tuple(leg for path in self.paths for leg in path.legs)
        self.by_transport: dict[int, tuple[Leg, ...]] = {}
        for leg in self.legs:
            self.by_transport[leg.transport] = (*self.by_transport.get(leg.transport, ()), leg)
        every_leg = (*self.legs, *(leg for path in self.paths for leg in path.off_legs))
        self.listeners = self._listeners(tuple(leg for leg in self.legs if not leg.behind_balancer))
        self.listeners_behind = self._listeners(self.legs)  # as a sensor between balancer and nodes sees them
        self.listeners_and_off = self._listeners(every_leg)
        pools: list[DirectorPool | FrontEndPool] = [*topology.director_pools, *topology.front_end_pools]
        spans = [span for leg in every_leg for span in (*leg.ports, *leg.source_ports) if span.first >= 0]
        spans += [pool.av.range for pool in topology.edge_pools]
        spans += [*INTERNAL_TCP, *INTERNAL_UDP, *(PortRange(port, port) for port in asked)]
        spans += [PortRange(p, p) for pool in topology.edge_pools for p in _own_ports(pool)]
        spans += [PortRange(p, p) for pool in pools for p in (pool.web.external_https, pool.web.external_http)]
        self.ports = Ports(spans)
        ranges = [span for leg in self.legs for span in leg.source_ports]
        self.source_ports = Ports([*ranges, *(pool.av.range for pool in topology.edge_pools)], named=frozenset())
        self._edge_pools = {pool.fqdn: pool for pool in topology.edge_pools}
        self._web_pools = {pool.fqdn: pool for pool in pools}

    @cached_property
    def digest(self) -> str:
        """The topology's, which takes milliseconds."""
        return self.topology.digest

    def _listeners(self, legs: tuple[Leg, ...]) -> Mapping[tuple[int, int, int], tuple[Leg, ...]]:
        """(endpoint, IP protocol, port) of own hosts that rows with single ports address → those rows."""
        found: dict[tuple[int, int, int], tuple[Leg, ...]] = {}
        for leg in legs:
            for number in leg.destinations:
                endpoint = self.endpoints[number]
                if not endpoint.own or endpoint.has(*FIREWALL_ROLES):
                    continue
                for span in leg.ports:
                    if span.first == span.last and span.first >= 0:
                        key = (number, leg.transport, span.first)
                        found[key] = (*found.get(key, ()), leg)
        return found

    def edge_pool(self, endpoint: Endpoint) -> EdgePool | None:
        """The Edge pool that an Edge address belongs to."""
        return next((self._edge_pools[fqdn] for fqdn in endpoint.pools if fqdn in self._edge_pools), None)

    def web_pool(self, endpoint: Endpoint) -> DirectorPool | FrontEndPool | None:
        """The Director or Front End pool of a server or VIP."""
        return next((self._web_pools[fqdn] for fqdn in endpoint.pools if fqdn in self._web_pools), None)

    def edge_pool_of(self, endpoint: Endpoint, *roles: str) -> EdgePool | None:
        """The Edge pool of an endpoint that has one of these roles."""
        return self.edge_pool(endpoint) if endpoint.own and endpoint.has(*roles) else None

    def right_source(self, facts: Facts) -> str | None:
        """The role whose row this flow's bytes confirm, were it opened by another outer address of the same pool;
        source ports aside, since a service that uses the wrong address may use any. None: no such row."""
        own = facts.source
        others = [e for e in self.endpoints if e.own and e.pools & own.pools and e.has(*names.OUTER_EDGE)]
        for leg in self.by_transport.get(facts.observation.transport, ()):
            if own.number in leg.sources or facts.destination.number not in leg.destinations or not leg.accepted:
                continue
            if not any(facts.port in span for span in leg.ports):
                continue
            if leg.source_role is None or any(_service(role) == _service(leg.source_role) for role in own.roles):
                continue  # the same service: a node where a virtual address belongs is another matter
            if any(e.number in leg.sources for e in others) and state_of(leg, facts.observation) is State.CONFIRMED:
                return leg.source_role
        return None

    def in_relay_range(self, endpoint: Endpoint, port: int) -> bool:
        """A port of the A/V range on an external A/V address."""
        if not endpoint.has(*names.AV_EDGE):
            return False
        pool = self.edge_pool(endpoint)
        return pool is not None and port in pool.av.range

    def port_or_class(self, endpoint: Endpoint, transport: int, port: int, *, behind_lb: bool = False) -> str:
        """How a finding names a destination port: a listener's number, else its class, "" without ports."""
        if transport not in PORTED:
            return ""
        if (endpoint.number, transport, port) in (self.listeners_behind if behind_lb else self.listeners):
            return str(port)
        return class_name(port, relay=self.in_relay_range(endpoint, port))


def _service(role: str) -> str:
    """Which service of an Edge a role's address serves, node or virtual: `access`, `webconf`, `av`."""
    return names.ACCESS_EDGE[0] if role == names.EDGE_XMPP_PROXY else role.replace("-vip-", "-")


def _own_ports(pool: EdgePool) -> tuple[int, ...]:
    """Single ports of an Edge pool that rules ask for, whether or not a row with them applies."""
    outer = (pool.access.port, pool.access.federation_port, pool.webconf.port, pool.av.port, pool.xmpp.port)
    inner = (pool.access.internal_port, pool.webconf.internal_port, pool.av.internal_port, pool.xmpp.internal_port)
    management = (pool.av.auth_port, pool.management.replica_port, *pool.management.cls_ports)
    return (*outer, pool.av.udp_port, *inner, pool.av.internal_udp_port, *management)


@dataclass(frozen=True, slots=True)
class Facts:
    """One reading of an observation. `flipped`: its ends are the observation's the other way round."""

    site: Site
    observation: Observation
    source: Endpoint
    destination: Endpoint
    source_port: int
    port: int  # the destination's
    flipped: bool
    leg: Leg | None  # the row that fits by ends, transport and port
    state: State  # of that row's service; OPEN without a row
    detail: Detail = NO_DETAIL
    behind_lb: bool = False  # the sensor stands between a hardware balancer and its servers

    # --- the way -----------------------------------------------------------------------------------------------------

    @property
    def tcp(self) -> bool:
        return self.observation.transport == TCP

    @property
    def udp(self) -> bool:
        return self.observation.transport == UDP

    @property
    def icmp(self) -> bool:
        return self.observation.transport in (ICMP, ICMPV6)

    @property
    def crosses_external(self) -> bool:
        return crossing(self.source, self.destination)[0]

    @property
    def crosses_internal(self) -> bool:
        return crossing(self.source, self.destination)[1]

    @property
    def crosses(self) -> bool:
        return self.crosses_external or self.crosses_internal

    @property
    def bypasses_perimeter(self) -> bool:
        """Straight between inside and Internet, either way."""
        one, other = self.source, self.destination
        return (one.inside and other.zone == names.EXTERNAL) or (other.inside and one.zone == names.EXTERNAL)

    @property
    def undeclared(self) -> bool:
        return names.UNDECLARED in (self.source.zone, self.destination.zone)

    @property
    def permitted(self) -> bool:
        """A row allows it and the bytes do not say otherwise: rules that merely miss a row have nothing to say."""
        return self.leg is not None and self.state is not State.CONTRADICTED

    # --- the bytes ---------------------------------------------------------------------------------------------------

    @property
    def services(self) -> frozenset[str]:
        return service_names(self.observation.services)

    @property
    def service(self) -> str:
        """`network.protocol`: "" without payload, "unknown" where nothing was recognised."""
        return services()[self.observation.service]

    @property
    def answered(self) -> bool:
        return self.observation.answered == Answered.YES

    @property
    def reached(self) -> str:
        """What the source did to the destination, as a sentence says it: what nobody answered may not have come
        there."""
        return "reached" if self.answered else "addressed"

    @property
    def listener_spoke(self) -> bool:
        """The destination sent something other than a TLS alert."""
        if self.flipped:
            return bool(self.observation.payload & Payload.SOURCE)
        return bool(self.observation.payload & Payload.DESTINATION_BEYOND_ALERT)

    @property
    def opener_spoke(self) -> bool:
        """The source sent payload."""
        return bool(self.observation.payload & (Payload.DESTINATION if self.flipped else Payload.SOURCE))

    @property
    def server_broke_off(self) -> bool:
        return bool(self.observation.tls & Tls.SERVER_BROKE_OFF)

    @property
    def unanswered_check(self) -> bool:
        """Nothing but STUN Binding requests, none answered: ICE tries every pair of candidates (RFC 8445 6.1)."""
        stun = self.observation.stun
        return bool(stun & Stun.CHECK_ONLY) and not stun & Stun.ANSWERED

    @property
    def hearsay(self) -> str | None:
        """Why nobody can say that the source opened anything: anybody can send what was seen, or it says too little."""
        payload = self.observation.payload
        ours, other = self.source, self.destination
        if self.flipped:
            ours, other = other, ours
        if payload & Payload.RESETS_ONLY:
            return "nothing but resets of one end were seen, which do not tell who opened what they end"
        if payload & Payload.SOURCE_UNSEEN and ours.zone != names.EXTERNAL and other.zone == names.EXTERNAL:
            return "only an answer from outside was seen, which anybody can send"
        return None

    @property
    def first_of_one_way(self) -> bool:
        """Its first sender opened it for all that is known, and one direction was captured: on a tap that shows one
        direction only this proves no opener."""
        one_way = not self.observation.payload & Payload.BOTH_DIRECTIONS_SEEN
        guessed = self.observation.initiator in (Initiator.FIRST, Initiator.FIRST_SURE)
        return one_way and guessed and (self.udp or self.icmp)

    @property
    def spoke_media(self) -> bool:
        """Media beyond doubt: an answered STUN or MS-TURN request, or ten RTP packets in one direction."""
        stun = self.observation.stun
        return bool(stun & (Stun.RTP_10 | Stun.ANSWERED))

    @property
    def asked_uses(self) -> frozenset[str]:
        """What the site knows of the names that the opener asked for, in TLS (SNI) or HTTP (Host)."""
        domains = self.site.domains
        return domains.uses(self.observation.server_name) | domains.uses(self.observation.host)

    # --- listeners ---------------------------------------------------------------------------------------------------

    @property
    def listener(self) -> tuple[Leg, ...]:
        """Applying rows that make the destination a listener on this port, whoever may address it."""
        found = self.site.listeners_behind if self.behind_lb else self.site.listeners
        return found.get((self.destination.number, self.observation.transport, self.port), ())

    @property
    def listener_or_off(self) -> tuple[Leg, ...]:
        """The same, rows that are switched off included."""
        return self.site.listeners_and_off.get((self.destination.number, self.observation.transport, self.port), ())

    @property
    def edge_mutual_listener(self) -> bool:
        """The destination is a port of an Edge where mutual TLS alone belongs, whoever comes: what is said of the
        handshake there holds for a peer that no row names, and on the federation port also while federation is off."""
        outer = self.destination.has(*names.ACCESS_EDGE) and self.source.zone == names.EXTERNAL
        legs = self.listener_or_off
        return (outer or self.destination.has(*names.INNER_EDGE)) and bool(legs) and all(leg.mutual for leg in legs)

    @property
    def contradicts_listener(self) -> bool:
        """The bytes are none of what any row allows at this port of the destination, whoever may address it."""
        return bool(self.listener) and all(
            state_of(leg, self.observation) is State.CONTRADICTED for leg in self.listener
        )

    # --- words -------------------------------------------------------------------------------------------------------

    @property
    def spoken(self) -> str:
        """The service as a sentence names it."""
        return "unrecognised bytes" if self.service == "unknown" else self.service

    @property
    def at_port(self) -> str:
        """ "TCP 5061", "a system port (below 1024) of UDP", "ESP". A port that nobody names is told by its class, which
        is how findings tell them apart; the numbers that were seen stand beside."""
        transport = TRANSPORTS[self.observation.transport].upper()
        if self.observation.transport not in PORTED:
            return transport
        span = self.site.ports.span(self.port)
        if span.first == span.last:
            return f"{transport} {span}"
        relay = self.site.in_relay_range(self.destination, self.port)
        return f"{CLASS_WORDS[class_name(self.port, relay=relay)]} of {transport}"


def crossing(one: Endpoint, other: Endpoint) -> tuple[bool, bool]:
    """(the external firewall is crossed, the internal one is): the latter lies between the perimeter and whatever is
    behind it; from the Internet straight inside crosses both."""
    behind = (names.INTERNAL, names.VPN, names.UNDECLARED)
    inner = (
        (one.perimeter and other.zone in behind)
        or (other.perimeter and one.zone in behind)
        or (one.zone == names.EXTERNAL and other.inside)
        or (other.zone == names.EXTERNAL and one.inside)
    )
    return (one.zone == names.EXTERNAL) != (other.zone == names.EXTERNAL), inner


def state_of(leg: Leg | None, observation: Observation) -> State:
    """How far the bytes of a flow bear out the row that fits it."""
    if leg is None:
        return State.OPEN
    evidence = observation.evidence
    if evidence == Evidence.NO_PAYLOAD:
        # Bytes that the other end acknowledged but nobody captured are payload all the same.
        sent = observation.payload & (Payload.SOURCE | Payload.DESTINATION)
        return State.OPEN if sent else State.SILENT
    if not leg.accepted:
        return State.CONFIRMED  # it asks for no service
    if observation.service in leg.accepted:
        if observation.service != service_number("tls"):
            return State.CONFIRMED
        # Records of a session joined late look like TLS but prove no handshake with this listener.
        hello = observation.tls & (Tls.CLIENT_HELLO | Tls.SERVER_HELLO | Tls.BEGUN_HELLO)
        return State.CONFIRMED if hello else State.OPEN
    # A TLS alert refuses whatever was said before; where that was not captured, it tells nothing of it.
    answered = observation.payload & (Payload.DESTINATION | Payload.DESTINATION_BEYOND_ALERT) == Payload.DESTINATION
    if answered and observation.tls & Tls.RECORDS_ONLY and observation.service == service_number("tls"):
        return State.OPEN
    if evidence in (Evidence.RECOGNISED, Evidence.UNRECOGNISED):
        return State.CONTRADICTED
    return State.OPEN
