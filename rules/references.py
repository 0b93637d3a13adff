"""What a topology file must be as a whole: names that exist, addresses that belong to one host, pairs that match.

Strategy: walk the values that `rules.keys` could read (what it could not is reported already and simply absent here, so
one fault never causes another) and report each contradiction at the value that could be corrected. Only what cannot be
understood is a fault; what the vendor does not support but can be understood is a finding of `rules.lint`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from rules import names
from rules.components import Address, Network
from rules.document import Faults, Mark, show
from rules.rows import SERVICE_KINDS
from rules.services import services
from rules.shape import At, network
from rules.transports import PORTED, TRANSPORTS, transport_number

POOLS: Final = ("director_pools", "front_end_pools", "mediation_pools", "edge_pools")
SERVER_LISTS: Final = ("office_web_apps", "branch_appliances", "infrastructure")


def check(root: At, faults: Faults, known_rules: Collection[str] | None, known_paths: Collection[str]) -> None:
    """Reports every contradiction. `known_rules`: ids that may stand under policy.rules (None: not checked);
    `known_paths`: ids of built-in rows, which a local path may not take."""
    declared = _Names(root, faults)
    _zones(root, faults)
    _sites(root, faults)
    _dangling(root, declared, faults)
    for _owner, addresses in _translated(root):
        _pairs(addresses, root, faults)
    _addresses(root, faults)
    for pool in root.items("edge_pools"):
        _shared_address(pool, faults)
    _proxies(root, faults)
    _sensors(root, faults)
    _partners(root, faults)
    _policy(root, declared, faults, known_rules, known_paths)


# --- names -----------------------------------------------------------------------------------------------------------


class _Names:
    """Every name that other keys may refer to; reports names that two things claim."""

    def __init__(self, root: At, faults: Faults) -> None:
        self.first: dict[str, Mark] = {}
        self.next_hops = self._pools(root, ("director_pools", "front_end_pools"))
        self.published = self.next_hops | self._pools(root, ("office_web_apps", "branch_appliances"))
        self.served = self.next_hops | self._pools(root, ("mediation_pools", "branch_appliances"))
        for section in (*POOLS, "reverse_proxies"):
            collocated = section == "mediation_pools"  # on Front Ends, under their names
            for pool in root.items(section):
                members = pool.items("members")
                lone = members[0].get("fqdn") if len(members) == 1 else None
                self._claim(pool, "fqdn", faults, collocated)
                for member in members:
                    if member.get("fqdn") != pool.get("fqdn") or member.get("fqdn") != lone:
                        self._claim(member, "fqdn", faults, collocated)
        for section in SERVER_LISTS:
            for server in root.items(section):
                self._claim(server, "fqdn", faults, False)
        for neighbour in root.items("others"):
            self._claim(neighbour, "name", faults, False)
        self.peers = {
            partner.get(key)
            for section in ("sip_partners", "xmpp_partners")
            for partner in _section(root, "federation").items(section)
            for key in ("domain", "access_fqdn")
        } - {None}
        self.anything = {*self.first, *self.peers}
        self.selectors = self.anything | set(names.ZONES) | set(names.ROLES)

    @staticmethod
    def _pools(root: At, sections: tuple[str, ...]) -> set[str | None]:
        return {pool.get("fqdn") for section in sections for pool in root.items(section)}

    def _claim(self, holder: At, key: str, faults: Faults, collocated: bool) -> None:
        found = holder.value.get(key)
        if found is None:
            return
        first = self.first.setdefault(found.value, found.mark)
        if first != found.mark and not collocated:
            faults.add(found.mark, f"{show(found.value)} is declared twice", _once(first))


def _once(first: Mark) -> str:
    return f"once; it already stands in line {first.line}"


def _section(root: At, name: str) -> At:
    """A mapping under a key; an empty one where there is none."""
    return root.value.get(name) or At({}, root.mark)


def _dangling(root: At, declared: _Names, faults: Faults) -> None:
    for pool in root.items("edge_pools"):
        _refers(pool.value.get("next_hop"), declared.next_hops, "a Director or Front End pool of this file", faults)
        for served in pool.items("serves"):
            _refers(served, declared.served, "a pool of this file", faults)
    for proxy in root.items("reverse_proxies"):
        for publication in proxy.items("publishes"):
            if isinstance(publication.value, dict):
                target = publication.value.get("to")
                _refers(target, declared.published, "a pool or Office Web Apps farm of this file", faults)
    for pool in root.items("front_end_pools"):
        members = {member.get("fqdn") for member in pool.items("members")}
        _refers(pool.value.get("cms_master"), members, "a member of this pool", faults)


def _refers(reference: At | None, known: set[str | None], what: str, faults: Faults) -> None:
    """Reports a name that is not known. A None among the known is a name that could not be read: it may be meant."""
    if reference is not None and reference.value not in known and None not in known:
        candidates = {name for name in known if name is not None}
        hint = faults.near(reference.value, candidates, "the FQDN of one")
        faults.add(reference.mark, f"{show(reference.value)} is not {what}", hint)


def _sites(root: At, faults: Faults) -> None:
    known: dict[str, Mark] = {}
    for site in root.items("sites"):
        name = site.value.get("name")
        if name is None:
            continue
        first = known.setdefault(name.value, name.mark)
        if first != name.mark:
            faults.add(name.mark, f"site {show(name.value)} is declared twice", _once(first))
    holders = [item for section in (*POOLS, "reverse_proxies", "sensors") for item in root.items(section)]
    holders += _section(root, "firewalls").value.values()
    for holder in holders:
        site = holder.value.get("site")
        if site is not None and site.value not in known:
            hint = faults.near(site.value, known, "a name under `sites`")
            faults.add(site.mark, f"site {show(site.value)} is not declared", hint)


def _zones(root: At, faults: Faults) -> None:
    first: dict[Network, tuple[str, Mark]] = {}
    for zone, networks in _section(root, "zones").value.items():
        for prefix in networks.value:
            known = first.setdefault(prefix.value, (zone, prefix.mark))
            if known[1] != prefix.mark:
                hint = f"each network in one zone; line {known[1].line} has it in {known[0]}"
                faults.add(prefix.mark, f"{prefix.value} stands twice", hint)


# --- addresses -------------------------------------------------------------------------------------------------------


def _translated(root: At) -> Iterator[tuple[At, At]]:
    """(who has it, {public, private}) of every external interface."""
    for pool in root.items("edge_pools"):
        for member in pool.items("members"):
            for service in ("access", "webconf", "av"):
                if service in member.value:
                    yield member, member.value[service]
        for vip in _section(pool, "vips").value.values():
            if isinstance(vip.value, dict):
                yield pool, vip
    for proxy in root.items("reverse_proxies"):
        for holder in (proxy, *proxy.items("members")):
            if "external" in holder.value:
                yield holder, holder.value["external"]


def _pairs(addresses: At, root: At, faults: Faults) -> None:
    external = _section(root, "firewalls").value.get("external")
    untranslated = external is not None and external.get("nat") == "none"
    public, private = addresses.items("public"), addresses.items("private")
    if not public or not private:
        return
    for version in (4, 6):
        outside = [item for item in public if item.value.version == version]
        inside = [item for item in private if item.value.version == version]
        if inside and len(inside) != len(outside):
            message = f"{len(inside)} private for {len(outside)} public IPv{version} addresses"
            faults.add(
                addresses.value["private"].mark, message, "one private address for each public one of its family"
            )
        elif untranslated:
            for seen, own in zip(outside, inside, strict=False):
                if seen.value != own.value:
                    message = f"{own.value} differs from {seen.value}, yet the external firewall has `nat: none`"
                    faults.add(own.mark, message, "leave `private` out, or `nat: static`")


@dataclass(slots=True)
class _Owner:
    name: str
    group: str | None
    shared: bool
    mark: Mark


@dataclass(slots=True)
class _Registry:
    """Which component has an address. Within a group (a pool with its virtual addresses) `shared` ones may repeat."""

    faults: Faults
    owners: dict[Address, _Owner] = field(default_factory=dict)

    def add(self, items: tuple[At, ...], name: str | None, group: str | None = None, shared: bool = False) -> None:
        for item in items:
            if name is None:
                continue
            known = self.owners.setdefault(item.value, _Owner(name, group, shared, item.mark))
            together = group is not None and known.group == group and (shared or known.shared)
            if known.name != name and not together:
                hint = f"one owner for each address; line {known.mark.line} gives it to {known.name}"
                self.faults.add(item.mark, f"{item.value} already belongs to {known.name}", hint)

    def check_peer(self, items: tuple[At, ...]) -> None:
        """Partners may share addresses with one another (hosted Edges), never with us."""
        for item in items:
            if item.value in self.owners:
                self.faults.add(
                    item.mark,
                    f"{item.value} is an own address",
                    f"line {self.owners[item.value].mark.line} declares it",
                )


def _addresses(root: At, faults: Faults) -> None:
    registry = _Registry(faults)
    for pool in root.items("edge_pools"):
        name = pool.get("fqdn")
        for member in pool.items("members"):
            for key in ("access", "webconf", "av"):
                service = _section(member, key)
                registry.add(service.items("public") + service.items("private"), member.get("fqdn"), name)
            registry.add(member.items("internal"), member.get("fqdn"), name)
        for vip in _section(pool, "vips").value.values():
            registry.add(_flat(vip), name, name)
    for proxy in root.items("reverse_proxies"):
        name = proxy.get("fqdn")
        for holder in (proxy, *proxy.items("members")):
            external = _section(holder, "external")
            registry.add(external.items("private") + holder.items("internal"), holder.get("fqdn"), name)
            registry.add(external.items("public"), holder.get("fqdn"), name, shared=True)
        registry.add(proxy.items("snat"), name, name, shared=True)
    for section in ("director_pools", "front_end_pools", "mediation_pools"):
        for pool in root.items(section):
            name, members = pool.get("fqdn"), pool.items("members")
            for member in members:
                registry.add(member.items("address"), member.get("fqdn"), name)
            lone = len(members) == 1  # its web services may be reached under the server's own address
            for holder, key in ((pool, "sip_vip"), (_section(pool, "web"), "vip")):
                registry.add(holder.items(key), name, name, shared=lone)
    for section in SERVER_LISTS:
        for server in root.items(section):
            registry.add(server.items("address"), server.get("fqdn"))
    for neighbour in root.items("others"):
        registry.add(neighbour.items("addresses"), neighbour.get("name"))
    for firewall in _section(root, "firewalls").value.values():
        registry.add(firewall.items("addresses"), "the firewall")
    federation = _section(root, "federation")
    for partner in federation.items("sip_partners"):
        registry.check_peer(partner.items("access") + partner.items("av"))
    for partner in federation.items("xmpp_partners"):
        registry.check_peer(partner.items("addresses"))


def _flat(vip: At) -> tuple[At, ...]:
    if isinstance(vip.value, dict):
        return vip.items("public") + vip.items("private")
    found: tuple[At, ...] = vip.value
    return found


def _shared_address(pool: At, faults: Faults) -> None:
    """Services on one address need ports of their own; so do those of the internal interface."""
    members = pool.items("members")
    single = bool(members) and all(len({_addresses_of(m, key) for key in SERVICES}) == 1 for m in members)
    for index, one in enumerate(SERVICES):
        for other in SERVICES[index + 1 :]:
            member = next((m for m in members if _addresses_of(m, one) & _addresses_of(m, other)), None)
            clash = _ports(pool, one, single) & _ports(pool, other, single)
            if member is not None and clash:
                place = _section(pool, other).value.get("port") or _section(pool, one).value.get("port")
                mark = place.mark if place is not None else member.value[other].mark
                message = f"{one} and {other} have one address and both TCP port {min(clash)}"
                faults.add(mark, message, "a port for each service, as in 5061, 444 and 443, or an address for each")
    taken: dict[int, str] = {}
    for section, key, default in INTERNAL_PORTS:
        holder = _section(pool, section)
        found = holder.value.get(key)
        number = default if found is None else found.value
        first = taken.setdefault(number, f"{section}.{key}")
        if found is not None and first != f"{section}.{key}":
            faults.add(found.mark, f"port {number} of the internal interface is taken by {first}", "a port of its own")


SERVICES: Final = ("access", "webconf", "av")
SINGLE_PORTS: Final = {"access": 5061, "webconf": 444, "av": 443}
INTERNAL_PORTS: Final = (
    ("access", "internal_port", 5061),
    ("webconf", "internal_port", 8057),
    ("av", "internal_port", 443),
    ("av", "auth_port", 5062),
    ("management", "replica_port", 4443),
    ("xmpp", "internal_port", 23456),
)
"""(section, key, default) of the TCP ports on which an Edge server's internal interface listens."""


def _addresses_of(member: At, service: str) -> frozenset[Address]:
    """The addresses on which the service listens in the perimeter."""
    section = _section(member, service)
    private = {item.value for item in section.items("private")}
    families = {address.version for address in private}
    return frozenset(private | {a.value for a in section.items("public") if a.value.version not in families})


def _ports(pool: At, service: str, single: bool) -> set[int]:
    section = _section(pool, service)
    ports = {section.get("port") or (SINGLE_PORTS[service] if single else 443)}
    if service == "access":
        ports.add(section.get("federation_port") or 5061)
    return ports


# --- the rest --------------------------------------------------------------------------------------------------------


def _proxies(root: At, faults: Faults) -> None:
    for proxy in root.items("reverse_proxies"):
        members = proxy.items("members")
        for holder in members or (proxy,):
            external = holder.value.get("external")
            if external is not None and _empty(external):
                faults.add(external.mark, "no address", "public, private or both")
        if not members:
            for key in ("external", "internal"):
                if key not in proxy.written:
                    faults.add(proxy.mark, f"{key} is missing", "the proxy's addresses, or `members`")
            if "internal" in proxy.value and not proxy.items("internal"):
                faults.add(proxy.value["internal"].mark, "no address", "the proxy's addresses, or `members`")
        seen: dict[str, Mark] = {}
        for entry in (*proxy.items("publishes"), *proxy.items("other_sites")):
            host = entry.value.get("host") if isinstance(entry.value, dict) else entry
            if host is None:
                continue
            first = seen.setdefault(host.value, host.mark)
            if first != host.mark:
                faults.add(host.mark, f"{show(host.value)} is published twice", _once(first))


def _empty(addresses: At) -> bool:
    """Whether nothing is written but empty lists."""
    return all(key in addresses.value and not addresses.value[key].value for key in addresses.written)


def _sensors(root: At, faults: Faults) -> None:
    seen: dict[str, Mark] = {}
    for sensor in root.items("sensors"):
        name = sensor.value.get("name")
        if name is None:
            continue
        first = seen.setdefault(name.value, name.mark)
        if first != name.mark:
            faults.add(name.mark, f"sensor {show(name.value)} is declared twice", _once(first))
        position = sensor.get("position")
        if name.value in names.POSITIONS and position is not None and name.value != position:
            faults.add(name.mark, f"sensor {show(name.value)} is at position {position}", "a name that misleads nobody")


def _partners(root: At, faults: Faults) -> None:
    for section in ("sip_partners", "xmpp_partners"):
        seen: dict[str, Mark] = {}
        for partner in _section(root, "federation").items(section):
            domain = partner.value.get("domain")
            if domain is None:
                continue
            first = seen.setdefault(domain.value, domain.mark)
            if first != domain.mark:
                faults.add(domain.mark, f"partner {show(domain.value)} is listed twice", _once(first))


def _policy(
    root: At,
    declared: _Names,
    faults: Faults,
    known_rules: Collection[str] | None,
    known_paths: Collection[str],
) -> None:
    policy = _section(root, "policy")
    rules: dict[str, Any] = policy.get("rules") or {}
    if known_rules is not None:
        for name, _severity in rules.values():
            _known_rule(name, known_rules, faults)
    seen: dict[str, Mark] = {}
    for path in policy.items("local_paths"):
        identity = path.value.get("id")
        if identity is not None:
            first = seen.setdefault(identity.value, identity.mark)
            if first != identity.mark:
                message = f"local path {show(identity.value)} is declared twice"
                faults.add(identity.mark, message, _once(first))
            elif identity.value in known_paths:
                faults.add(identity.mark, f"{show(identity.value)} is a built-in path", "an id of its own")
        for end in ("from", "to"):
            for selector in path.items(end):
                _selector(selector, declared, faults)
        if "transport" in path.value:
            _transport(path, path.value["transport"], faults)
        if "service" in path.value:
            _service(path.value["service"], faults)


def _transport(path: At, transport: At, faults: Faults) -> None:
    number = transport_number(transport.value)
    if number is None:
        hint = faults.near(transport.value, TRANSPORTS, "an IANA protocol keyword such as tcp, udp, icmp, esp")
        faults.add(transport.mark, f"{show(transport.value)} is no transport", hint)
    elif number in PORTED and "port" not in path.written:
        faults.add(path.mark, "port is missing", f"the {transport.value} ports that the path may use")
    elif number not in PORTED and "port" in path.value:
        faults.add(path.value["port"].mark, f"{transport.value} has no ports", "`port` with tcp, udp or sctp only")


def _service(service: At, faults: Faults) -> None:
    """A service that nobody recognises would be neither confirmed nor contradicted, whatever is spoken."""
    known = {*SERVICE_KINDS, *services()} - {"", "unknown"}
    if service.value not in known:
        hint = faults.near(service.value, known, f"no service at all, or one of {', '.join(sorted(known))}")
        faults.add(service.mark, f"{show(service.value)} is no service that is recognised", hint)


def _known_rule(name: At, known: Collection[str], faults: Faults) -> None:
    if name.value not in known:
        faults.add(
            name.mark, f"unknown rule {show(name.value)}", faults.near(name.value, known, "an id of `policy list`")
        )


def selector_kind(text: str, declared: Collection[str]) -> str | None:
    """zone | role | network | fqdn, as which a local path's end is read; None when it is nothing declared."""
    if text in names.ZONES:
        return "zone"
    if text in names.ROLES:
        return "role"
    if network(text) is not None:
        return "network"
    return "fqdn" if text.lower().removesuffix(".") in declared or text in declared else None


def _selector(selector: At, declared: _Names, faults: Faults) -> None:
    if selector_kind(selector.value, declared.anything) is None:
        hint = faults.near(selector.value, declared.selectors, "a zone, role id, declared name, address or network")
        faults.add(selector.mark, f"{show(selector.value)} is nothing that is declared", hint)
