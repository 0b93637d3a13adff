"""The Edge pools of a deployed topology: which service of which server has which addresses, names and ports.

Strategy: a service is the ports of its owner. Ports and interfaces meet in (side, number), never in an assumed order of
interfaces. An address of a machine that is private and has no configured address before it cannot be what the Internet
sees: that public address is TODO.
"""

from __future__ import annotations

from typing import Final

from rules.components import Address
from rules.deployment import Machine, Port, Service
from rules.draft import TODO, Draft, one_or_list, several, word
from rules.imported import DIRECTOR, EDGE, FRONT_END, MEDIATION, Imported, moved
from rules.references import SINGLE_PORTS
from rules.topology import is_private

ACCESS: Final = "AccessEdge"
WEBCONF: Final = "DataEdge"
AV: Final = "MediaRelayEdge"
AV_AUTH: Final = "MediaRelayAuthenticationEdge"
XMPP: Final = "XmppFederationProxy"
SKYPE_SEARCH: Final = "SkypeSearchProxy"

SERVICES: Final = {"access": ACCESS, "webconf": WEBCONF, "av": AV}

_PORTS: Final[dict[str, tuple[tuple[str, str, str, str, tuple[str, ...], int], ...]]] = {
    "access": (
        ("port", ACCESS, "SipClient", "External", (), 443),
        ("federation_port", ACCESS, "SipServer", "External", (), 5061),
        ("internal_port", ACCESS, "SipServer", "Internal", (), 5061),
    ),
    "webconf": (
        ("port", WEBCONF, "PsomClient", "External", (), 443),
        ("internal_port", WEBCONF, "PsomServer", "Internal", (), 8057),
    ),
    "av": (
        ("port", AV, "TURNServer", "External", ("Tcp",), 443),
        ("udp_port", AV, "TURNServer", "External", ("Udp",), 3478),
        ("internal_port", AV, "TURNServer", "Internal", ("Tcp",), 443),
        ("internal_udp_port", AV, "TURNServer", "Internal", ("Udp",), 3478),
        ("auth_port", AV_AUTH, "SipServer", "Internal", (), 5062),
    ),
}
"""(key, owner, usage, side, protocols, default) of every port of the three services."""

DEFAULT_RANGE: Final = "50000-59999"

_SHARED_NETWORK: Final = 24
"""Both sides of a server inside one /24 (IPv6: /64) are told: the document has no masks."""


class EdgePools:
    def __init__(self, imported: Imported, draft: Draft, product: str, sites: dict[int, str]) -> None:
        """product: the file's; sites: names by position, empty where the file has one site."""
        self.imported, self.draft, self.product, self.sites = imported, draft, product, sites
        self.users: dict[int, set[int]] = {}  # Edge pool -> clusters whose services depend on it for media
        services = imported.deployment.services
        for user in services:
            for edge in (services[number] for number in user.depends):
                relayed = user.role in ("Registrar", "ConfServices", "MediationServer") and edge.role == "EdgeServer"
                if relayed and edge.cluster is not None and user.cluster is not None:
                    self.users.setdefault(edge.cluster, set()).add(user.cluster)

    def write(self, products: dict[int, str]) -> None:
        """products: by cluster."""
        interfaces = [
            interface
            for number in self.imported.clusters(EDGE)
            for machine in self.imported.cluster(number).machines
            for interface in machine.interfaces
            if interface.side == "External"
        ]
        if any(interface.configured for interface in interfaces) and not all(i.configured for i in interfaces):
            self.draft.assume(
                0,
                "external addresses without a configured one are not translated; Topology Builder asks for it at the "
                "A/V Edge service only",
            )
        self.draft.put(0, "edge_pools:")
        numbers = self.imported.clusters(EDGE)
        published = [number for number in numbers if self._federates(number)]
        if len(published) > 1:
            names = ", ".join(self.imported.name(number) for number in published)
            self.draft.doubt(
                1, f"only one Edge pool may be published for federation, the document has several: {names}"
            )
        for number in numbers:
            self._pool(number, products[number])

    def _service(self, number: int) -> Service:
        return self.imported.on(number, "EdgeServer")[0]  # what makes a cluster an Edge pool

    def _federates(self, number: int) -> bool:
        return _port(self._service(number), ACCESS, "SipServer", "External") is not None

    def _pool(self, number: int, product: str) -> None:
        put, service, name = self.draft.put, self._service(number), self.imported.name(number)
        put(1, f"- fqdn: {word(name)}")
        put(2, f"next_hop: {word(self._next_hop(service, name))}", "where it hands SIP from the Internet")
        if product != self.product:
            put(2, f"product: {product}")
        site = self.imported.cluster(number).site
        if site in self.sites:
            put(2, f"site: {word(self.sites[site])}")
        serves = self._serves(number)
        if serves:
            put(2, f"serves: {several(serves)}", "pools whose services depend on it")
        federates = self._federates(number)
        about = "it has a SIP listener for partners" if federates else "no SIP listener for partners in the document"
        put(2, f"federation: {word(federates)}", about)
        self._xmpp(service, name)
        if _port(service, SKYPE_SEARCH, "WebServer", "Internal"):
            put(2, "skype_search: true")
        for key in SERVICES:
            self._section(service, key, name)
        replica = next(
            (
                port
                for management in self.imported.on(number, "ManagementServices")
                if (port := _port(management, "ReplicationService", "Replication", "Internal"))
            ),
            None,
        )
        if replica is not None:
            listener = self._number(replica)
            put(2, f"management: {{replica_port: {listener}}}", moved((listener, 4443, "replica_port")))
        put(2, "members:")
        for machine in self.imported.cluster(number).machines:
            self._member(service, machine)
        if not self.imported.cluster(number).machines:
            put(3, f"- {TODO}", "the document has no server in this pool")

    def _next_hop(self, service: Service, pool: str) -> str:
        services = [self.imported.deployment.services[number] for number in service.depends]
        found = {
            registrar.cluster: None
            for registrar in services
            if registrar.role == "Registrar"
            and registrar.cluster is not None
            and self.imported.section[registrar.cluster] in (DIRECTOR, FRONT_END)
        }
        hops = [self.imported.name(cluster) for cluster in found]
        if len(hops) > 1:
            self.draft.doubt(2, f"it depends on several registrars, {', '.join(hops)}; the first stands here", pool)
        if hops:
            return hops[0]
        self.draft.doubt(2, "it depends on no registrar of a Director or Front End pool: it has no next hop", pool)
        return TODO

    def _serves(self, number: int) -> list[str]:
        users = sorted(self.users.get(number, ()))
        return [self.imported.name(n) for n in users if self.imported.section[n] in (DIRECTOR, FRONT_END, MEDIATION)]

    def _xmpp(self, service: Service, pool: str) -> None:
        outside = _port(service, XMPP, "XmppServer", "External")
        inside = _port(service, XMPP, "XptServer", "Internal")
        if outside is None:
            return
        parts = ["enabled: true"]
        if outside.fqdn is not None:
            parts.append(f"fqdn: {word(self.imported.host(outside.fqdn, outside.element, 'ConfiguredFqdn'))}")
        parts.append(f"port: {self._number(outside)}")
        if inside is not None:
            parts.append(f"internal_port: {self._number(inside)}")
        about = moved((outside.port, 5269, "port"), (inside and inside.port, 23456, "internal_port"))
        self.draft.put(2, f"xmpp: {{{', '.join(parts)}}}", about)
        if outside.number not in {
            port.number for port in service.ports if port.owner == ACCESS and port.side == "External"
        }:
            self.draft.doubt(
                2, "the XMPP proxy has an interface of its own; in this file it shares those of `access`", pool
            )
        if outside.fqdn is None:
            self.draft.todo(2, "xmpp.fqdn: the name in your partners' SRV lookup; the document has none")

    def _section(self, service: Service, key: str, pool: str) -> None:
        owner = SERVICES[key]
        found = [
            (name, _port(service, who, usage, side, protocols), default)
            for name, who, usage, side, protocols, default in _PORTS[key]
        ]
        if len({frozenset(_outside(service, each)) for each in SERVICES.values()}) == 1:  # one address for all three
            found[0] = (*found[0][:2], SINGLE_PORTS[key])
        named = next((p for p in service.ports if p.owner == owner and p.side == "External" and p.fqdn), None)
        fqdn = self.imported.host(named.fqdn, named.element, "ConfiguredFqdn") if named is not None else TODO
        if named is None:
            self.draft.doubt(2, f"the document gives {owner} no public name", pool)
        parts = [f"fqdn: {word(fqdn)}"]
        parts += [f"{name}: {self._number(port)}" for name, port, _ in found if port is not None]
        written: list[tuple[object, object, str]] = [
            (port and port.port, default, name) for name, port, default in found
        ]
        if key == "av":
            relay = _port(service, AV, "MediaCommunication", "External")
            if relay is not None:
                span = self._range(relay)
                parts.append(f'range: "{span}"')
                written.append((span, DEFAULT_RANGE, "range"))
                if relay.element.get("Range") is None:
                    self.draft.doubt(2, "the document does not say how many ports the relay has; one stands here", pool)
        names = {port.fqdn for port in service.ports if port.owner == owner and port.side == "External"} - {None}
        if len(names) > 1:
            self.draft.doubt(2, f"{owner} has several public names in the document; the first one stands here", pool)
        self.draft.put(2, f"{key}: {{{', '.join(parts)}}}", moved(*written))

    def _number(self, port: Port) -> object:
        if port.port is not None:
            return port.port
        self.imported.faults.add(port.element.at("Port"), "no port number", "1 to 65535")
        return TODO

    def _range(self, relay: Port) -> str:
        """`Range` is the number of ports, from `Port` on."""
        first, count = self._number(relay), relay.count
        if isinstance(first, int) and count is not None and first + count - 1 <= 65535:
            return f"{first}-{first + count - 1}"
        mark = relay.element.at("Range")
        if count is None:
            self.imported.faults.add(mark, "no number of ports", "1 to 65535")
        elif isinstance(first, int):
            self.imported.faults.add(mark, "a range beyond port 65535", "a range within 1 to 65535")
        return TODO

    # --- servers -----------------------------------------------------------------------------------------------------

    def _member(self, service: Service, machine: Machine) -> None:
        name = self.imported.host(machine.fqdn, machine.element, "Fqdn")
        self.draft.put(3, f"- fqdn: {word(name)}")
        numbers = {port.number for port in service.ports if port.side == "Internal"}
        inside = self._own(machine, "Internal", numbers)
        if not inside:
            self.draft.doubt(4, "no internal address in the document", name)
        self.draft.put(4, f"internal: {one_or_list(inside) if inside else TODO}")
        listeners: dict[tuple[Address, int], str] = {}
        for key, owner in SERVICES.items():
            self._translated(service, machine, key, owner, name)
            for port in service.ports:
                if port.owner == owner and port.side == "External" and port.protocol != "Udp" and port.port:
                    for address in self._own(machine, "External", {port.number}):
                        first = listeners.setdefault((address, port.port), key)
                        if first != key:
                            self.draft.doubt(4, f"{first} and {key} have one address and both port {port.port}", name)
        outside = self._own(machine, "External", None)
        for one in inside:
            near = [other for other in outside if _near(one, other)]
            if near:
                self.draft.doubt(
                    4, f"internal {one} and external {near[0]} look like one network; they must be two", name
                )
                break
        for interface in machine.interfaces:
            used = {port.number for port in service.ports if port.side == interface.side}
            found = self.imported.addresses(interface.addresses, interface.element, "IPAddress")
            if interface.side in ("Internal", "External") and interface.number not in used and found:
                which = f"{interface.side.lower()} interface {interface.number} ({', '.join(map(str, found))})"
                self.draft.doubt(
                    4, f"{which} has no port of its services: of this file it is under `zones` alone", name
                )

    def _translated(self, service: Service, machine: Machine, key: str, owner: str, server: str) -> None:
        numbers = _outside(service, owner)
        public: list[object] = []
        private: list[object] = []
        for interface in machine.interfaces:
            if interface.side != "External" or interface.number not in numbers:
                continue
            own = self.imported.addresses(interface.addresses, interface.element, "IPAddress")
            seen = self.imported.addresses(interface.configured, interface.element, "ConfiguredIPAddress")
            for version in (4, 6):
                behind = [address for address in own if address.version == version]
                before = [address for address in seen if address.version == version]
                if not before and any(is_private(address) for address in behind):
                    public.append(TODO)
                    private += behind
                    self.draft.doubt(4, f"{key} has a private address and no public one in the document", server)
                elif before and before != behind:
                    for address in filter(is_private, before):
                        self.draft.doubt(4, f"{key}: the configured public address {address} is a private one", server)
                    public += before
                    private += behind
                else:
                    public += behind
        lost = numbers - {interface.number for interface in machine.interfaces if interface.side == "External"}
        if lost:
            self.draft.doubt(4, f"{key}: its ports name an external interface that this server has not", server)
        if not public:
            self.draft.doubt(4, f"{key}: no external address in the document", server)
            public.append(TODO)
        parts = [f"public: {one_or_list(dict.fromkeys(public))}"]
        if private:
            parts.append(f"private: {one_or_list(dict.fromkeys(private))}")
        self.draft.put(4, f"{key}: {{{', '.join(parts)}}}")

    def _own(self, machine: Machine, side: str, numbers: set[str] | None) -> list[Address]:
        found: list[Address] = []
        for interface in machine.interfaces:
            if interface.side == side and (numbers is None or interface.number in numbers):
                found += self.imported.addresses(interface.addresses, interface.element, "IPAddress")
        return list(dict.fromkeys(found))


def _outside(service: Service, owner: str) -> set[str]:
    """Numbers of the external interfaces on which an owner has ports."""
    return {port.number for port in service.ports if port.owner == owner and port.side == "External"}


def _port(service: Service, owner: str, usage: str, side: str, protocols: tuple[str, ...] = ()) -> Port | None:
    for port in service.ports:
        if (port.owner, port.usage, port.side) == (owner, usage, side) and port.protocol in (
            protocols or (port.protocol,)
        ):
            return port
    return None


def _near(one: Address, other: Address) -> bool:
    if one.version != other.version:
        return False
    host_bits = 32 - _SHARED_NETWORK if one.version == 4 else 64
    return int(one) >> host_bits == int(other) >> host_bits
