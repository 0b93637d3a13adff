"""A deployed topology (`rules.deployment`) → a draft of the topology file, with what was assumed and what is not used.

Strategy: one function per section of the file, in its order. What the document says is written out, ports that are the
defaults too; what it cannot know (networks, inside addresses, firewalls, balancers, partners) is `TODO`: as a value
where the file cannot be read without it, else as a comment. Nothing is concluded from how a name looks. Contradictions
inside the document are told as doubts; only what cannot be written down at all is a fault.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Final
from urllib.parse import urlsplit

from rules.components import Address
from rules.deployment import Deployment, DeploymentFaults, Service, read, true
from rules.document import show
from rules.draft import TODO, Draft, one_or_list, several, word
from rules.draft_faults import doubt_what_is_refused
from rules.imported import BRANCH, DIRECTOR, EDGE, FRONT_END, MEDIATION, OFFICE, Imported, moved
from rules.imported_edge import ACCESS, AV, AV_AUTH, SKYPE_SEARCH, WEBCONF, XMPP, EdgePools
from rules.xml_tree import Element

PRODUCTS: Final = {"5": "lync-2010", "6": "lync-2013", "7": "sfb-2015", "8": "sfb-2019"}
"""By ServiceVersion: 7 and 8 stand in real documents, 5 in the vendor's listings, 6 is what lies between."""

_USED: Final = frozenset(
    {"EdgeServer", "ManagementServices", "Registrar", "UserServices", "WebServices", "ConfServices"}
    | {"MediationServer", "WacService", "CentralMgmt"}
)
_OWNERS: Final = frozenset(
    {ACCESS, WEBCONF, AV, AV_AUTH, XMPP, SKYPE_SEARCH, "ReplicationService", "OCSWebSite", "XmppFederation"}
)
_SIMPLE: Final = {"meet": "Meet", "dialin": "Dialin", "admin": "Cscp"}


def import_topology(data: bytes, name: str) -> Draft:
    """A draft from the octets of a deployed topology; `name` stands in messages. Raises DeploymentFaults only."""
    deployment = read(data, name)
    draft = _Import(deployment).draft_from(name)
    if deployment.faults.found:
        raise DeploymentFaults(deployment.faults.sorted())
    doubt_what_is_refused(draft)
    return draft


class _Import:
    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.imported = Imported(deployment)
        self.draft = Draft("not used of the document")
        self.edge = self.imported.clusters(EDGE)
        used = {deployment.clusters[number].site for number, found in self.imported.section.items() if found}
        several_sites = len(used) > 1
        self.sites = {n: name for n, name in enumerate(deployment.sites) if n in used and several_sites}

    def draft_from(self, name: str) -> Draft:
        draft, deployment = self.draft, self.deployment
        if not self.edge:
            hint = "a topology with a service EdgeServer: without Edge Servers there is nothing to audit"
            deployment.faults.add(deployment.element.mark, "no Edge Server in this topology", hint)
            return draft
        draft.begin(
            f"Topology for Edgewarden, imported from {show(name)}.",
            "Fill in each TODO and read each `assumed`, then run `edgewarden topology check`.",
        )
        for sentence in deployment.dangling:
            draft.doubt(0, sentence)
        products = self._head()
        self._networks()
        draft.blank()
        EdgePools(self.imported, draft, products[self.edge[0]], self.sites).write(products)
        self._proxy()
        self._pools()
        self._names()
        self._policies()
        self._unused()
        return draft

    # --- the whole ---------------------------------------------------------------------------------------------------

    def _head(self) -> dict[int, str]:
        """Returns the product of each Edge pool, by cluster."""
        draft, domains = self.draft, self._domains
        draft.put(0, "edgewarden: 1")
        if domains:
            draft.assume(0, "the organization is called by its default SIP domain; the document has no name of it")
        draft.put(0, f"organization: {word(domains[0] if domains else TODO)}")
        products = {}
        for number in self.edge:
            version = next((s.version for s in self.imported.on(number, "EdgeServer") if s.version), None)
            products[number] = PRODUCTS.get(version or "", TODO)
            name = self.imported.name(number)
            if products[number] == TODO:
                draft.todo(0, f"the product of {name}: the document says ServiceVersion {show(version or 'nothing')}")
            elif version in ("5", "6"):
                draft.assume(0, f"{name} is {products[number]}, from ServiceVersion {version}")
        draft.put(0, f"product: {products[self.edge[0]]}", "of the Edge Servers, by their ServiceVersion")
        if domains:
            draft.put_list(0, "sip_domains", domains)
        inside = self._inside_domains(domains)
        if inside:
            draft.assume(0, f"the domains of the inside servers ({', '.join(inside)}) must never be shown outside")
            draft.put(0, f"ad_domains: {several(inside)}")
        if self.sites:
            draft.put(0, "sites: [" + ", ".join(f"{{name: {word(name)}}}" for name in self.sites.values()) + "]")
        return products

    @cached_property
    def _domains(self) -> list[str]:
        element = self.deployment.element.first("InternalDomains") or self.deployment.element
        return [self.imported.host(name, element, "Name") for name in self.deployment.domains]

    def _inside_domains(self, own: list[str]) -> list[str]:
        """Where inside servers are named, except domains that public names lie in as well."""
        public = [port.fqdn for service in self.deployment.services for port in service.ports if port.fqdn]
        public += [host for _, host in self._published()]
        shown: set[str] = set()  # those names and every domain that they lie in
        for name in (*own, *public):
            while name and name not in shown:
                shown.add(name)
                name = name.partition(".")[2]
        found = []
        for section in (DIRECTOR, FRONT_END, MEDIATION, OFFICE):
            for number in self.imported.clusters(section):
                domain = self.imported.name(number).partition(".")[2]
                if "." in domain and domain not in shown:
                    found.append(domain)
        return list(dict.fromkeys(found))

    def _networks(self) -> None:
        """Zones, firewalls, balancing: nothing of them is in the document but the Edge Servers' own addresses."""
        draft = self.draft
        machines = [machine for number in self.edge for machine in self.deployment.clusters[number].machines]
        outer: list[Address] = []
        inner: list[Address] = []
        for machine in machines:
            for interface in machine.interfaces:
                own = self.imported.addresses(interface.addresses, interface.element, "IPAddress")
                if interface.side == "Internal":
                    inner += own
                elif interface.side == "External":
                    outer += own
                    outer += self.imported.addresses(interface.configured, interface.element, "ConfiguredIPAddress")
        draft.blank()
        draft.todo(0, "the networks of each zone: the document has none, so the perimeter has only the Edge Servers")
        draft.put(0, "zones:")
        draft.put_list(1, "perimeter-ext", dict.fromkeys(outer) or [TODO])
        draft.put_list(1, "perimeter-int", dict.fromkeys(inner) or [TODO])
        draft.put(1, f"internal: {several([TODO])}", "the networks inside")
        draft.put(1, "# vpn: []", "TODO address pools of VPN clients")
        draft.blank()
        draft.assume(
            0,
            "there are two firewalls, of which the document says nothing; a site with one leaves `internal` out",
        )
        translated = any(interface.configured for machine in machines for interface in machine.interfaces)
        nat = ", nat: static" if translated else ""
        about = "TODO addresses" + ("; the document has addresses in front of a translation" if translated else "")
        draft.put(0, "firewalls:")
        draft.put(1, f"external: {{addresses: []{nat}}}", about)
        draft.put(1, "internal: {addresses: []}", "TODO addresses")
        draft.put(0, "# sensors: [{name: outer, position: external, side: outside}]", "TODO where you capture")
        if any(len(self.deployment.clusters[number].machines) > 1 for number in self.edge):
            draft.assume(
                0, "Edge pools are balanced by DNS; with a hardware balancer write `hardware` and each pool's `vips`"
            )
            draft.put(0, "load_balancing: {external: dns, internal: dns}")

    # --- web ---------------------------------------------------------------------------------------------------------

    def _published(self) -> list[tuple[int | None, str]]:
        """(cluster behind it, host) of what the document says is published through a reverse proxy."""
        found: list[tuple[int | None, str]] = []
        for number, section in self.imported.section.items():
            for service in self.imported.on(number, "WebServices"):
                host = service.detail("ExternalSettings", "Host")
                if host and section in (DIRECTOR, FRONT_END):
                    found.append((number, self.imported.host(host, self._element(service, "ExternalSettings"), "Host")))
            if section == OFFICE:
                for service in self._external_farms(number):
                    host = _host(service.detail("WacService", "DiscoveryUrl"))
                    if host:
                        element = self._element(service, "WacService")
                        found.append((number, self.imported.host(host, element, "DiscoveryUrl")))
        for url in self.deployment.simple_urls:
            host = _host(url.url)
            if host and url.component in ("Meet", "Dialin"):
                found.append((None, self.imported.host(host, url.element, "ActiveUrl")))
        found += [(None, f"lyncdiscover.{domain}") for domain in self._domains if domain != TODO]
        hosts: dict[str, int | None] = {}
        for cluster, host in found:
            hosts.setdefault(host, cluster)
        return [(cluster, host) for host, cluster in hosts.items()]

    def _external_farms(self, number: int) -> list[Service]:
        """Office Web Apps of a cluster that are published."""
        farms = self.imported.on(number, "WacService")
        return [service for service in farms if true(service.detail("WacService", "IsExternal"))]

    @staticmethod
    def _element(service: Service, name: str) -> Element:
        return next((element for element in service.element.walk() if element.name == name), service.element)

    def _proxy(self) -> None:
        published = self._published()
        if not any(cluster is not None for cluster, _ in published):
            return
        draft = self.draft
        draft.blank()
        draft.assume(0, "one reverse proxy publishes all web names, lyncdiscover with each SIP domain among them")
        draft.put(0, "reverse_proxies:")
        draft.put(1, f"- fqdn: {TODO}", "the document has no reverse proxy")
        draft.put(2, f"external: {{public: {TODO}}}", "and `private`, its translation")
        draft.put(2, f"internal: {TODO}")
        draft.put(2, "publishes:")
        for cluster, host in published:
            to = "" if cluster is None else f", to: {word(self.imported.name(cluster))}"
            draft.put(3, f"- {{host: {word(host)}{to}}}" if to else f"- {word(host)}")

    # --- inside ------------------------------------------------------------------------------------------------------

    def _pools(self) -> None:
        for section in (DIRECTOR, FRONT_END, MEDIATION):
            numbers = self.imported.clusters(section)
            if numbers:
                self.draft.blank()
                self.draft.put(0, f"{section}:")
            for number in numbers:
                self._pool(section, number)
        for section in (OFFICE, BRANCH):
            numbers = self.imported.clusters(section)
            if numbers:
                self.draft.blank()
                if section == BRANCH:
                    self.draft.assume(0, "a registrar without users of its own is a survivable branch appliance")
                self.draft.put(0, f"{section}:")
            for number in numbers:
                name = self.imported.name(number)
                self.draft.put(1, f"- fqdn: {word(name)}")
                urls = [service.detail("WacService", "DiscoveryUrl") for service in self._external_farms(number)]
                if section == OFFICE and not all(map(_host, urls)):
                    told = "it is published, yet its DiscoveryUrl names no host: add that to `publishes`"
                    self.draft.doubt(2, told, name)
                self.draft.put(2, f"address: {self._address(number, None)}")

    def _pool(self, section: str, number: int) -> None:
        put, cluster = self.draft.put, self.deployment.clusters[number]
        put(1, f"- fqdn: {word(self.imported.name(number))}")
        if cluster.site in self.sites:
            put(2, f"site: {word(self.sites[cluster.site])}")
        lone = [machine.fqdn for machine in cluster.machines] == [cluster.fqdn]
        if section == FRONT_END:
            if lone:
                name = self.imported.name(number)
                self.draft.assume(2, f"{name} is a Standard Edition server: the pool and its only server have one name")
                put(2, "edition: standard")
            owners = {port.owner for service in self.imported.on(number, "Registrar") for port in service.ports}
            if "XmppFederation" in owners:
                put(2, "xmpp_gateway: true", "its registrar owns the XMPP gateway's port")
            if any(true(s.detail("CentralMgmtService", "IsActive")) for s in self.imported.on(number, "CentralMgmt")):
                put(2, "cms: true", "the active Central Management is installed on this pool")
        if section != MEDIATION:
            self._web(number, lone)
        put(2, "members:")
        for index, machine in enumerate(cluster.machines):
            put(3, f"- fqdn: {word(self.imported.host(machine.fqdn, machine.element, 'Fqdn'))}")
            put(4, f"address: {self._address(number, index)}")
        if not cluster.machines:
            put(3, f"- {TODO}", "the document has no server in this pool")

    def _web(self, number: int, lone: bool) -> None:
        service = next(iter(self.imported.on(number, "WebServices")), None)
        if service is None:
            return
        parts = []
        for key, element in (("external", "ExternalSettings"), ("internal", "InternalSettings")):
            host = service.detail(element, "Host")
            if host:
                parts.append(f"{key}: {word(self.imported.host(host, self._element(service, element), 'Host'))}")
        written: list[tuple[object, object, str]] = []
        for key, protocol, default in (("external_https", "Https", 4443), ("external_http", "Http", 8080)):
            for port in service.ports:
                if (port.owner, port.side, port.protocol) == ("OCSWebSite", "External", protocol) and port.port:
                    parts.append(f"{key}: {port.port}")
                    written.append((port.port, default, key))
                    break
        if parts:
            self.draft.put(2, f"web: {{{', '.join(parts)}}}", moved(*written))
            if not lone:
                self.draft.todo(2, "web.vip: the balancer's address; without one the pool is addressed on its servers")

    def _address(self, number: int, index: int | None) -> str:
        """The addresses of one machine of a cluster, or of all."""
        machines = self.deployment.clusters[number].machines
        found = []
        for machine in machines if index is None else machines[index : index + 1]:
            for interface in machine.interfaces:
                if interface.side == "Primary":
                    found += self.imported.addresses(interface.addresses, interface.element, "IPAddress")
        return one_or_list(dict.fromkeys(found)) if found else TODO

    # --- names, partners, the rest -----------------------------------------------------------------------------------

    def _names(self) -> None:
        draft, domains = self.draft, [domain for domain in self._domains if domain != TODO]
        urls: dict[str, list[str]] = {}
        for key, component in _SIMPLE.items():
            for url in self.deployment.simple_urls:
                host = _host(url.url)
                if url.component == component and host:
                    urls.setdefault(key, []).append(self.imported.host(host, url.element, "ActiveUrl"))
        draft.blank()
        if urls:
            parts = (f"{key}: {several(dict.fromkeys(hosts))}" for key, hosts in urls.items())
            draft.put(0, "simple_urls: {" + ", ".join(parts) + "}")
        else:
            draft.put(
                0, "# simple_urls: {meet: [], dialin: []}", "TODO the document has none (Get-CsSimpleUrlConfiguration)"
            )
        if domains:
            draft.assume(0, "Autodiscover has the vendor's names in each SIP domain")
            draft.put(0, "autodiscover:")
            for key, name in (("external", "lyncdiscover"), ("internal", "lyncdiscoverinternal")):
                draft.put_list(1, key, [f"{name}.{domain}" for domain in domains])

    def _policies(self) -> None:
        draft = self.draft
        ports = [port for number in self.edge for s in self.imported.on(number, "EdgeServer") for port in s.ports]
        federated = any((p.owner, p.usage, p.side) == (ACCESS, "SipServer", "External") for p in ports)
        draft.blank()
        draft.put(
            0, "# clients: {lan: []}", "TODO networks of clients inside, and what they look like outside (egress)"
        )
        if federated:
            draft.assume(
                0,
                "only listed partners may federate; the document lists none (Get-CsAllowedDomain does)",
            )
            draft.put(0, "federation:")
            draft.put(1, "enabled: true", "there is a SIP listener for partners")
            draft.put(1, "discovery: false", "TODO true if partners that are not listed may federate")
            draft.put(1, "# sip_partners: [{domain: partner.example, access: [198.51.100.10]}]", "TODO")
            if any(port.owner == XMPP for port in ports):
                draft.put(1, "# xmpp_partners: [{domain: partner.example}]", "TODO (Get-CsXmppAllowedPartner)")
            draft.put(1, "# office365, push, public_im: {enabled: true}", "TODO where they are used")
        draft.put(0, "# mobility: true", "TODO where mobile clients are served")

    def _unused(self) -> None:
        draft = self.draft
        for service in self.deployment.services:
            if service.role in _USED:
                continue
            where = "" if service.cluster is None else self.deployment.clusters[service.cluster].fqdn or ""
            ports = sorted({port.port for port in service.ports if port.port})
            about = f" on {show(where)[1:-1]}" if where else ""
            about += f", ports {', '.join(map(str, ports))}" if ports else ""
            draft.unused.append(f"role {show(service.role)[1:-1]}{about}")
        owners = Counter(
            f"{port.owner} {port.usage}"
            for service in self.deployment.services
            for port in service.ports
            if service.role in _USED and port.owner not in _OWNERS
        )
        draft.unused += [f"ports of {show(name)[1:-1]} ({count}×)" for name, count in sorted(owners.items())]
        draft.unused += self.deployment.unread
        if draft.unused:
            draft.blank()
            draft.say(0, "Not used of the document: " + "; ".join(draft.unused) + ".")


def _host(url: str | None) -> str | None:
    try:
        return urlsplit(url).hostname if url else None
    except ValueError:  # brackets that do not match
        return None
