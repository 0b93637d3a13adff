"""A draft of the topology file from what captures showed: each entry with its reason and the flows behind it.

Strategy: the roles of `rules.sighted_roles`, written in the order of the file. What was not seen is `TODO`, never a
guess; what little supports, and every partner, is a comment with its flows, since what is declared is allowed. Where
several addresses could go into one place (which outer address belongs to which Edge Server is nothing that packets
tell), all are named in a comment. Addresses with a role are all that the zones hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from rules.components import Address
from rules.draft import TODO, Draft, one_or_list, several, word
from rules.draft_faults import doubt_what_is_refused
from rules.sighted_roles import CLS_PORTS, LEAST_FLOWS, WEB_NAMES, Pool, Roles, order
from rules.sightings import Sighting, Sightings
from rules.topology import is_private

HYBRID: Final = "sipfed.online.lync.com"
"""The vendor's own federation host: hosted services or push notification, no partner."""

Seen = dict[Address, list[Sighting]]


def draft_from(sightings: Sightings, captures: Sequence[str]) -> Draft:
    """captures: as they were named, for the first line."""
    draft = _Sighted(sightings).draft_from(captures)
    doubt_what_is_refused(draft)
    return draft


class _Sighted:
    def __init__(self, sightings: Sightings) -> None:
        self.all = sightings
        self.roles = Roles(sightings)
        self.draft = Draft("seen, and given no role")
        self.xmpp_peers: set[Address] = set()

    def draft_from(self, captures: Sequence[str]) -> Draft:
        draft, roles = self.draft, self.roles
        draft.begin(
            "Topology for Edgewarden, drafted from " + ", ".join(word(capture) for capture in captures) + ".",
            "It holds what was seen, no more. Fill in each TODO, then run `edgewarden topology check`.",
        )
        if self.all.left_out:
            draft.doubt(0, f"{self.all.left_out:,} flows came after the limit of conversations and were not looked at")
        if not (roles.internal or roles.access or roles.av):
            draft.doubt(0, "no Edge interface was recognised: capture sign-ins, meetings and federation with them")
        self._head()
        self._zones()
        draft.blank()
        self._edge()
        self._proxy()
        self._pools()
        self._people()
        self._federation()
        self._mobility()
        self._perhaps()
        self._rest()
        return draft

    # --- the whole ---------------------------------------------------------------------------------------------------

    def _domains(self) -> list[str]:
        """Own SIP domains: the Access Edge certificate has `sip.DOMAIN` for each."""
        names = (name for address in self.roles.access for name in self.all.names.get(address, ()))
        return list(dict.fromkeys(name.removeprefix("sip.") for name in names if name.startswith("sip.")))

    def _head(self) -> None:
        draft, domains = self.draft, self._domains()
        draft.put(0, "edgewarden: 1")
        if domains:
            draft.assume(0, "the organization is called by its first SIP domain")
        draft.put(0, f"organization: {word(domains[0] if domains else TODO)}")
        draft.put(0, f"product: {TODO}", "lync-2010, lync-2013, sfb-2015, sfb-2019 or sfb-se: packets do not tell")
        if domains:
            draft.put_list(0, "sip_domains", domains)

    def _zones(self) -> None:
        draft, roles = self.draft, self.roles
        outer = [*roles.access, *roles.webconf, *roles.av, *roles.proxy_outside]
        inner = [*roles.internal, *roles.proxy_inside]
        inside = [address for pool in roles.pools for address in (*pool.members, *pool.web)]
        inside = [address for address in inside if address not in roles.firewalls_perhaps]
        inside += [*roles.farms, *roles.admins]
        draft.blank()
        draft.todo(0, "the networks of each zone: these are only the addresses that got a role below")
        draft.put(0, "zones:")
        for zone, addresses in (("perimeter-ext", outer), ("perimeter-int", inner), ("internal", inside)):
            found = sorted(set(addresses), key=order)
            draft.put_list(1, zone, found or [TODO])
        draft.put(0, "# firewalls: {external: {addresses: []}, internal: {addresses: []}}", "TODO they show no address")
        if roles.virtual is not None:
            about = "TODO inside there is a virtual address; both sides are balanced alike"
            draft.put(0, "load_balancing: {external: hardware, internal: hardware}", about)
        elif len(roles.internal) > 1:
            draft.put(0, "# load_balancing: {external: dns, internal: dns}", "TODO dns or hardware")
        draft.put(0, "# sensors: [{name: outer, position: external, side: outside}]", "TODO where you capture")

    # --- Edge --------------------------------------------------------------------------------------------------------

    def _edge(self) -> None:
        draft, roles = self.draft, self.roles
        draft.put(0, "edge_pools:")
        servers: dict[str, Seen] = {}
        for address, seen in roles.internal.items():
            servers.setdefault(self.all.common_name(address) or TODO, {})[address] = seen
        if not servers:
            servers[TODO] = {}
        if len(servers) > 1 and (roles.access or roles.av):
            draft.todo(1, "which outer addresses belong to which of these pools: packets do not tell")
        for name, members in servers.items():
            about = f"the certificate of {len(members)} internal interfaces" if members and name != TODO else ""
            draft.put(1, f"- fqdn: {word(name)}", about or "no certificate of an internal interface was seen")
            self._next_hop()
            for key, found, ports in (
                ("access", roles.access, (443, 5061)),
                ("webconf", roles.webconf, (443, 444)),
                ("av", roles.av, (443,)),
            ):
                self._service(key, found, ports)
            self._xmpp()
            virtual = members.pop(roles.virtual, None) if roles.virtual is not None else None
            if virtual is not None:
                about = "TODO a balancer's? it alone answers SIP, the servers what is theirs; and the outer ones"
                draft.put(2, f"vips: {{internal: {word(roles.virtual)}}}", about)
            draft.put(2, "members:")
            if len(members) > 1 and virtual is None:
                draft.todo(2, "move an address that is a balancer's to `vips`: packets do not tell it from a server's")
            for address, seen in members.items():
                self._member(address, seen, alone=len(roles.internal) == 1)
            if not members:
                self._member(None, [], alone=True)

    def _next_hop(self) -> None:
        hops = sorted(
            (pool for pool in self.roles.pools if pool.next_hop >= LEAST_FLOWS), key=lambda pool: -pool.next_hop
        )
        lone = [pool for pool in (*self.roles.pools, *self.roles.perhaps_pools) if pool.next_hop]
        if hops:
            self.draft.todo(2, "whether this is the next hop that was meant: all SIP from outside may go there")
            flows = _flows(hops[0].next_hop)
            self.draft.put(2, f"next_hop: {word(hops[0].name)}", f"the Edge opens SIP to it on 5061, {flows}")
        elif lone:
            seen = ", ".join(f"{pool.name} ({_flows(pool.next_hop)})" for pool in lone[:_NAMED])
            self.draft.put(2, f"next_hop: {TODO}", f"the Edge opened SIP to {seen}, too little to tell")
        else:
            self.draft.put(2, f"next_hop: {TODO}", "the Edge was not seen to open SIP to the inside")

    def _service(self, key: str, found: Seen, ports: tuple[int, ...]) -> None:
        if not found:
            self.draft.put(2, f"{key}: {{fqdn: {TODO}}}", "no listener of this service was seen")
            return
        sightings = [seen for each in found.values() for seen in each]
        names = [name for address in found for name in self.all.names.get(address, ())]
        asked = [name for seen in sightings for name in seen.asked if key != "av" and (name in names or not names)]
        name = next(iter(asked), None) or (next(iter(names), None) if key == "access" else None)
        taken = [port for port in ports if any(seen.port == port and _fits(key, seen) for seen in sightings)]
        port = f", port: {taken[0]}" if taken else ""
        why = {
            "access": "SIP listeners with certificates, opened from the Internet",
            "webconf": "TLS listeners with the certificate of the Access Edge",
            "av": "relays that speak MS-TURN to the Internet; packets name no host",
        }[key]
        self.draft.put(2, f"{key}: {{fqdn: {word(name or TODO)}{port}}}", f"{why}, {_flows(_sum(sightings))}")

    def _xmpp(self) -> None:
        seen = [s for address, each in self.roles.access.items() for s in each if s.port == 5269]
        seen += [s for s in self.roles.seen if s.opener in self.roles.access and s.port == 5269]
        if seen:
            self.draft.put(2, "xmpp: {enabled: true}", f"XMPP on 5269 to or from the Access Edge, {_flows(_sum(seen))}")

    def _member(self, address: Address | None, seen: list[Sighting], *, alone: bool) -> None:
        put, roles = self.draft.put, self.roles
        put(3, f"- fqdn: {TODO}", "a server's own name is in no packet")
        if address is None:
            put(4, f"internal: {TODO}", "no internal interface was seen")
        else:
            ports = ", ".join(str(port) for port in sorted({s.port for s in seen}))
            why = "a relay with TLS on inside ports" if address in roles.relays else "the certificate of such a relay"
            put(4, f"internal: {word(address)}", f"{why}; answered on {ports}, {_flows(_sum(seen))}")
        services = {"access": [*roles.access], "webconf": [*roles.webconf], "av": [*roles.av]}
        for key, found in services.items():
            public = [a for a in found if not is_private(a)]
            # an address is translated for every service on it, whichever the captures showed behind the firewall
            alike = [other for other in services.values() if public and public == [a for a in other if a in public]]
            private = list(dict.fromkeys(a for other in (found, *alike) for a in other if is_private(a)))
            fits = alone and max(_most(public), _most(private)) <= 1
            if fits and (public or private):
                parts = [f"public: {one_or_list(public) if public else TODO}"]
                parts += [f"private: {one_or_list(private)}"] if private else []
                about = "the only ones seen" if public and private else "the only one seen"
                put(4, f"{key}: {{{', '.join(parts)}}}", about)
            else:
                some = f"one of {', '.join(map(str, found))}" if len(found) > 1 else "".join(map(str, found))
                about = some + ", the only one seen" * (len(found) == 1) if found else "none was seen"
                put(4, f"{key}: {{public: {TODO}}}", about)

    # --- proxy and inside --------------------------------------------------------------------------------------------

    def _proxy(self) -> None:
        draft, roles = self.draft, self.roles
        if not (roles.proxy_outside or roles.proxy_inside):
            return
        outside = [seen for found in roles.proxy_outside.values() for seen in found]
        inside = [seen for found in roles.proxy_inside.values() for seen in found]
        draft.blank()
        draft.put(0, "reverse_proxies:")
        draft.put(1, f"- fqdn: {TODO}", "a proxy's own name is in no packet")
        public = [address for address in roles.proxy_outside if not is_private(address)]
        private = [address for address in roles.proxy_outside if is_private(address)]
        parts = [f"public: {one_or_list(public) if public else TODO}"]
        if private and _most(private) <= 1 and _most(public) <= 1:
            parts.append(f"private: {one_or_list(private)}")
        about = f"answers for published names, {_flows(_sum(outside))}" if outside else "its outside was not seen"
        draft.put(2, f"external: {{{', '.join(parts)}}}", about)
        addresses = one_or_list(roles.proxy_inside) if roles.proxy_inside else TODO
        counts = ", ".join(f"{address}: {_flows(_sum(found))}" for address, found in roles.proxy_inside.items())
        about = f"opens external web sites; {counts}" if inside else "its inside was not seen"
        draft.put(2, f"internal: {addresses}", about)
        self._publishes()

    def _publishes(self) -> None:
        """Names the proxy was asked for, with the pool it went to for them. What belongs to the inside is asked for
        only by somebody who should not, and stays a comment."""
        draft, roles = self.draft, self.roles
        targets: dict[str, Counter[str]] = {}
        for pool in roles.pools:
            for seen in (seen for each in pool.web.values() for seen in each):
                for name in seen.asked:
                    targets.setdefault(name, Counter())[pool.name] += seen.flows
        targets = dict(sorted(targets.items(), key=lambda item: -item[1].total()))
        for seen in (seen for found in roles.proxy_inside.values() for seen in found):
            for name in seen.asked:
                targets.setdefault(name, Counter())
        shown = {name for address in roles.proxy_outside for name in self.all.names.get(address, ())}
        for seen in (seen for found in roles.proxy_outside.values() for seen in found):
            for name in seen.asked:  # anybody may ask the proxy for any name; those of its certificate are its own
                if name in shown:
                    targets.setdefault(name, Counter())
        farms: dict[str, str] = {}
        for address, opened in roles.farms.items():
            farm = self.all.common_name(address)
            farms.update((asked, farm) for seen in opened for asked in seen.asked if farm is not None)
        for asked, farm in farms.items():
            targets.setdefault(asked, Counter())[farm] += 1
        if targets:
            draft.put(2, "publishes:")
        for name, pools in targets.items():
            most, *others = pools.most_common() or [("", 0)]
            line = f"- {{host: {word(name)}, to: {word(most[0])}}}" if most[0] else f"- {word(name)}"
            about = "" if most[0] else "the pool behind it was not seen"
            if others:
                rest = ", ".join(f"{pool} ({_flows(count)})" for pool, count in others[:_NAMED])
                about = f"TODO or to {rest}: it was opened there, too; here {_flows(most[1])}"
            if self._inside_name(name):
                line, about = f"# {line}", "TODO wanted? a name of the inside, which should not be shown outside"
            draft.put(3, line, about)

    def _inside_name(self, name: str) -> bool:
        """A pool's own name, or one in the domain of servers inside that no SIP domain covers."""
        roles = self.roles
        pools = {pool.name for pool in (*roles.pools, *roles.perhaps_pools)}
        hosts = {*pools, *filter(None, map(self.all.common_name, roles.internal))}
        domains = {host.partition(".")[2] for host in hosts} - {""}
        covered = any(f".{name}".endswith(f".{domain}") for domain in self._domains())
        return name in pools or (not covered and any(f".{name}".endswith(f".{domain}") for domain in domains))

    def _pools(self) -> None:
        for section, pools in (
            ("director_pools", [pool for pool in self.roles.pools if pool.director]),
            ("front_end_pools", [pool for pool in self.roles.pools if not pool.director]),
        ):
            if pools:
                self.draft.blank()
                self.draft.put(0, f"{section}:")
            for pool in pools:
                self._pool(pool)
        if self.roles.farms:
            self.draft.blank()
            self.draft.put(0, "office_web_apps:")
            for address, found in self.roles.farms.items():
                name = self.all.common_name(address) or TODO
                self.draft.put(1, f"- fqdn: {word(name)}", f"opened by the proxy on 443, {_flows(_sum(found))}")
                self.draft.put(2, f"address: {word(address)}")

    def _pool(self, pool: Pool) -> None:
        put = self.draft.put
        found = [seen for each in pool.members.values() for seen in each]
        used = ", ".join(str(port) for port in sorted(pool.opened))
        why = f"its servers open the Edge on {used}" if used else "the Edge opens SIP to it"
        if pool.director:
            why = "next hop whose servers use no media, conferencing or XMPP port of the Edge"
        put(1, f"- fqdn: {word(pool.name)}", f"{why}, {_flows(_sum(found))}")
        if not pool.director:
            if 23456 in pool.opened:
                put(2, "xmpp_gateway: true", "opens the Edge on 23456")
            if 4443 in pool.opened:
                put(2, "cms: true", "opens the Edge's replica on 4443")
        if pool.web:
            asked = [name for each in pool.web.values() for seen in each for name in seen.asked]
            shown = {name for address in pool.web for name in self.all.names.get(address, ())}
            own = [name for name in asked if name in shown and not name.startswith(WEB_NAMES)]
            virtual = [address for address in pool.web if address not in pool.members]
            parts = [f"external: {word(own[0])}"] if own else []
            parts += [f"vip: {one_or_list(virtual)}"] if virtual else []
            if parts:
                put(2, f"web: {{{', '.join(parts)}}}", "opened by the proxy with the pool's names")
        put(2, "members:")
        others = [name for name in pool.names if name != pool.name]
        for address, seen in pool.members.items():
            about = f"its certificate has {', '.join(others[:_NAMED]) if others else 'no other name'}"
            hidden = "# " if address in self.roles.firewalls_perhaps else ""
            put(3, f"{hidden}- fqdn: {word(pool.name) if pool.lone else TODO}", "" if pool.lone else about)
            doubt = ", TODO a server? it is beside the Edge, as a firewall is that translates" if hidden else ""
            put(4, f"{hidden}address: {word(address)}", _flows(_sum(seen)) + doubt)

    # --- the rest ----------------------------------------------------------------------------------------------------

    def _people(self) -> None:
        if self.roles.admins:
            found = [seen for each in self.roles.admins.values() for seen in each]
            about = f"opens centralized logging ({min(CLS_PORTS)}-{max(CLS_PORTS)}), {_flows(_sum(found))}"
            self.draft.blank()
            self.draft.put(0, f"clients: {{admin: {several(self.roles.admins)}}}", about)

    def _mobility(self) -> None:
        """What mobile clients alone do (path document 2.2, 2.6): the proxy carries their first question in clear, and
        on the Wi-Fi inside they reach it like anybody outside."""
        inside = [s for found in self.roles.proxy_inside.values() for s in found if s.port == 8080]
        hairpin = [s for found in self.roles.proxy_outside.values() for s in found if is_private(s.opener)]
        told = [f"the proxy opens 8080 inside, {_flows(_sum(inside))}"] if inside else []
        told += [f"private addresses open the proxy's outer side, {_flows(_sum(hairpin))}"] if hairpin else []
        if told:
            self.draft.blank()
            self.draft.put(0, "# mobility: true", f"TODO mobile clients? {'; '.join(told)}")

    def _federation(self) -> None:
        draft, roles = self.draft, self.roles
        hosted = {a: seen for a, seen in roles.partners.items() if self.all.common_name(a) == HYBRID}
        partners = {a: seen for a, seen in roles.partners.items() if a not in hosted}
        domains: dict[str, dict[Address, int]] = {}
        own = {"", *self._domains(), *(name for a in roles.access for name in self.all.names.get(a, ()))}
        for seen in self.roles.seen:
            for pair in seen.xmpp:
                for address, domain in zip((seen.opener, seen.listener), pair, strict=True):
                    if domain not in own and address not in roles.access and address not in roles.internal:
                        counts = domains.setdefault(domain, {})
                        counts[address] = counts.get(address, 0) + seen.flows
                        self.xmpp_peers.add(address)
        if not (partners or domains or hosted):
            return
        draft.blank()
        draft.put(0, "federation:")
        draft.put(1, "enabled: true", "TODO whether it is wanted: SIP or XMPP between servers was seen")
        draft.put(1, "discovery: false", "TODO true if partners that are not listed may federate")
        named: dict[str, Seen] = {}
        for address, found in partners.items():
            named.setdefault(self.all.common_name(address) or TODO, {})[address] = found
        if named:
            draft.assume(1, "a partner's SIP domain is the name of its Access Edge without the first label")
            draft.put(1, "sip_partners:", "whoever is listed is allowed: take in those that are wanted")
        for name, servers in named.items():
            domain = name.partition(".")[2]
            parts = f"domain: {word(domain if '.' in domain else TODO)}, access_fqdn: {word(name)}"
            flows = _flows(sum(_sum(found) for found in servers.values()))
            draft.put(2, f"# - {{{parts}, access: {several(servers)}}}", f"TODO wanted? its certificate, {flows}")
        if domains:
            draft.put(1, "xmpp_partners:", "whoever is listed is allowed: take in those that are wanted")
        for domain, counts in domains.items():
            line = f"# - {{domain: {word(domain)}, addresses: {several(counts)}}}"
            draft.put(2, line, f"TODO wanted? in its stream headers, {_flows(sum(counts.values()))}")
        if hosted:
            flows = _flows(sum(_sum(found) for found in hosted.values()))
            draft.put(1, f"# push: {{addresses: {several(hosted)}}}", f"TODO or office365: {HYBRID}, {flows}")

    def _perhaps(self) -> None:
        """What would have a role if it had been seen more often, or did more: declared, it would be allowed."""
        roles = self.roles
        lines = []
        for pool in roles.perhaps_pools:
            ports = ", ".join(str(port) for port in sorted(pool.opened))
            what = f"opens the Edge on {ports}" if ports else "the Edge opens SIP to it"
            if pool.opened == {5062}:
                what += ", as a branch appliance does (branch_appliances)"
            lines.append(f"server {pool.name} at {', '.join(map(str, pool.members))}: {what}, {_flows(pool.flows)}")
        for address, found in roles.perhaps_proxies.items():
            lines.append(f"reverse proxy {address}: opens web sites of the inside, {_flows(_sum(found))}")
        for address, found in roles.perhaps_admins.items():
            lines.append(f"administrator's host {address}: opens centralized logging, {_flows(_sum(found))}")
        if lines:
            self.draft.blank()
            self.draft.todo(0, "whether these are yours; too little was seen of them to say so")
            for line in lines[:_LISTED]:
                self.draft.say(0, f"- {line}")
            if len(lines) > _LISTED:
                self.draft.say(0, f"- and {len(lines) - _LISTED} more")

    def _rest(self) -> None:
        """Encrypted or relayed services at addresses that got no role, so that nothing of the edge is overlooked."""
        roles = self.roles
        placed = {*roles.access, *roles.webconf, *roles.av, *roles.internal, *roles.proxy_outside, *roles.proxy_inside}
        placed |= {*roles.farms, *roles.partners, *roles.admins, *self.xmpp_peers}
        placed |= {*roles.perhaps_proxies, *roles.perhaps_admins}
        placed |= {address for pool in (*roles.pools, *roles.perhaps_pools) for address in (*pool.members, *pool.web)}
        left = []
        for address, found in roles.by_listener.items():
            services = {service for seen in found for service in seen.services}
            kept = services & {"tls", "sip", "turn", "pseudo-tls", "xmpp"}
            if address not in placed and kept:
                name = self.all.common_name(address)
                about = f"{address}{f' ({name})' if name else ''}: {', '.join(sorted(kept))}, {_flows(_sum(found))}"
                left.append((_sum(found), about))
        self.draft.unused += [about for _, about in sorted(left, key=lambda item: (-item[0], item[1]))[:_LISTED]]
        if len(left) > _LISTED:
            self.draft.unused.append(f"and {len(left) - _LISTED} more")
        if self.draft.unused:
            self.draft.blank()
            self.draft.say(0, "Seen, and given no role: " + "; ".join(self.draft.unused) + ".")


_NAMED: Final = 12  # names of a certificate in a comment
_LISTED: Final = 40  # addresses without a role; the busiest first


def _fits(key: str, seen: Sighting) -> bool:
    return seen.relay or "pseudo-tls" in seen.services if key == "av" else "tls" in seen.services


def _sum(found: Iterable[Sighting]) -> int:
    return sum(seen.flows for seen in found)


def _flows(count: int) -> str:
    return f"{count:,} flow{'s' if count != 1 else ''}"


def _most(addresses: Iterable[Address]) -> int:
    """How many there are of the family that has most."""
    versions = [address.version for address in addresses]
    return max(versions.count(4), versions.count(6))
