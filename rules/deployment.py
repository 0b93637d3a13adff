"""A deployed topology, published (`Get-CsTopology -AsXml`) or saved by Topology Builder (`.tbxml`) → one model of it.

Strategy: both shapes describe the same objects and differ in how they point at one another: by pairs and triples of
numbers, or by GUIDs. Each shape has a function that collects (key, element) of sites, clusters and services; all else
is shared, and references become positions in the lists of this model, so that one deployment read from either shape
gives equal models. Roles that nobody here knows are kept. Which of it means what is decided in `rules.importer`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Final

from rules.document import Faults, FileFaults, show
from rules.xml_tree import Element, parse

_WHAT: Final = "a topology from `Get-CsTopology -AsXml`, or a .tbxml file of Topology Builder"
MAX_SERVERS: Final = 100
"""Machines of one cluster; the vendor supports 12 Front Ends or 15 Edge Servers in a pool."""

MAX_PORTS: Final = 200
"""Ports of one service, interfaces of one machine; the Edge service has 13 and four."""

MAX_DOMAINS: Final = 5_000
"""SIP domains. Each has its name in five places of a draft, and more of them make one that is too large to be read."""

_SITES: Final = frozenset({"CentralSite", "RemoteSite", "BranchSite"})

Key = Hashable


class DeploymentFaults(FileFaults):
    """The file is no deployed topology that can be read."""


@dataclass(frozen=True, slots=True)
class Interface:
    side: str  # "Internal" | "External" | "Primary" | "Pstn"
    number: str
    addresses: tuple[str, ...]  # of the machine, as written; 0.0.0.0 means all it has
    configured: tuple[str, ...]  # in front of the address translation
    element: Element = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Machine:
    fqdn: str | None
    interfaces: tuple[Interface, ...]
    element: Element = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A pool; a lone server is a pool of one."""

    fqdn: str | None
    site: int | None  # position in `Deployment.sites`
    machines: tuple[Machine, ...]
    replicated: bool
    element: Element = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Port:
    owner: str  # without "urn:component:"
    usage: str
    side: str
    number: str
    port: int | None  # None: no port number stands there
    protocol: str
    count: int | None  # ports from `port` on; None: what stands there is no number of ports
    published: int | None  # the port in front of the server, where it differs
    fqdn: str | None  # the public name
    element: Element = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Service:
    role: str
    version: str | None  # ServiceVersion
    cluster: int | None  # position in `Deployment.clusters`
    depends: tuple[int, ...]  # positions in `Deployment.services`
    ports: tuple[Port, ...]
    details: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]  # (element, attributes) of the role's own elements
    element: Element = field(compare=False, repr=False)

    def detail(self, element: str, attribute: str) -> str | None:
        """An attribute of one of the elements that describe the role."""
        return next((dict(found).get(attribute) for name, found in self.details if name == element), None)


@dataclass(frozen=True, slots=True)
class SimpleUrl:
    component: str  # "Meet" | "Dialin" | "Cscp"
    url: str
    element: Element = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Deployment:
    domains: tuple[str, ...]  # SIP domains, the default one first
    sites: tuple[str, ...]
    clusters: tuple[Cluster, ...]
    services: tuple[Service, ...]
    simple_urls: tuple[SimpleUrl, ...]
    dangling: tuple[str, ...]  # a sentence for each reference that leads nowhere
    unread: tuple[str, ...] = field(compare=False)  # what the file says beyond this model, with how often
    element: Element = field(compare=False, repr=False)
    faults: Faults = field(compare=False, repr=False)  # to which a reader of this model may add


def read(data: bytes, name: str) -> Deployment:
    """`name` stands in messages. Raises DeploymentFaults and nothing else."""
    faults = Faults(name)
    root = parse(data, faults)
    found = _read(root, faults) if root is not None else None
    if found is None or faults.found:
        raise DeploymentFaults(faults.sorted())
    return found


def _read(root: Element, faults: Faults) -> Deployment | None:
    shape: _Shape
    if root.name == "Topology":
        shape, top = _Published(), root
    elif root.name == "TopologyBuilder":
        inner = root.first("NewTopology", "PartialTopology")
        if inner is None:
            faults.add(root.mark, "NewTopology/PartialTopology is missing", _WHAT)
            return None
        shape, top = _Saved(), inner
    else:
        faults.add(root.mark, f"the document is <{show(root.name)[1:-1]}>", _WHAT)
        return None
    if top.first("Services") is None:
        faults.add(top.mark, "Services is missing", _WHAT)
        return None
    return _Reader(top, shape, faults).deployment()


# --- how each shape points -------------------------------------------------------------------------------------------


class _Published:
    """Clusters by (site, number), services by (site, role, instance), in child elements."""

    def sites(self, top: Element) -> Iterator[tuple[Key, Element]]:
        for group in top.all("Sites"):
            yield from ((found.get("SiteId"), found) for found in group.walk() if found.name in _SITES)

    def clusters(self, top: Element) -> Iterator[tuple[Key, Key, Element]]:
        for element in _children(top, "Clusters", "Cluster"):
            key = self._cluster(element)
            yield key, key and key[0], element

    def machines(self, cluster: Element) -> list[Element]:
        return cluster.all("Machine")

    def instances(self, top: Element) -> Iterator[tuple[Key, Key]]:
        return iter(())  # an SQL instance names its cluster wherever it is named

    def service(self, element: Element) -> Key:
        found = element.first("ServiceId")
        return self._service(found) if found is not None else None

    def role(self, element: Element) -> str | None:
        found = element.first("ServiceId")
        return found.get("RoleName") if found is not None else None

    def installed_on(self, element: Element) -> Key:
        place = element.first("InstalledOn")
        if place is None:
            return None
        return self._cluster(place.first("SqlInstanceId") or place)

    def depends(self, element: Element) -> list[Key]:
        found = (dependency.first("ServiceId") for dependency in _children(element, "DependsOn", "Dependency"))
        return [self._service(service) if service is not None else None for service in found]

    @staticmethod
    def _cluster(element: Element) -> tuple[str | None, str | None] | None:
        found = element.first("ClusterId")
        return (found.get("SiteId"), found.get("Number")) if found is not None else None

    @staticmethod
    def _service(element: Element) -> Key:
        return element.get("SiteId"), element.get("RoleName"), element.get("Instance")


class _Saved:
    """Everything by GUID, in attributes; clusters inside their site, SQL instances inside their cluster."""

    def sites(self, top: Element) -> Iterator[tuple[Key, Element]]:
        for element in top.walk():
            if element.name in _SITES:
                yield element.get("SiteId"), element

    def clusters(self, top: Element) -> Iterator[tuple[Key, Key, Element]]:
        for site, element in self.sites(top):
            for cluster in _children(element, "Clusters", "Cluster"):
                yield _guid(cluster.get("UniqueId")), site, cluster

    def machines(self, cluster: Element) -> list[Element]:
        return list(_children(cluster, "Machines", "Machine"))

    def instances(self, top: Element) -> Iterator[tuple[Key, Key]]:
        for key, _, cluster in self.clusters(top):
            for instance in _children(cluster, "SqlInstances", "SqlInstance"):
                yield _guid(instance.get("UniqueId")), key

    def service(self, element: Element) -> Key:
        return _guid(element.get("UniqueId"))

    def role(self, element: Element) -> str | None:
        return element.get("RoleName")

    def installed_on(self, element: Element) -> Key:
        return _guid(element.get("InstalledOn"))

    def depends(self, element: Element) -> list[Key]:
        return [_guid(found.get("ServiceUniqueId")) for found in _children(element, "DependsOn", "Dependency")]


_Shape = _Published | _Saved


def _guid(text: str | None) -> str | None:
    return text.strip("{}").lower() if text else None


def _children(element: Element, group: str, name: str) -> Iterator[Element]:
    """Those of a name inside all groups of a name."""
    for found in element.all(group):
        yield from found.all(name)


# --- what both say ---------------------------------------------------------------------------------------------------


class _Reader:
    def __init__(self, top: Element, shape: _Shape, faults: Faults) -> None:
        self.top, self.shape, self.faults = top, shape, faults
        self.dangling: list[str] = []
        sites = list(shape.sites(top))
        clusters = list(shape.clusters(top))
        services = [(shape.service(element), element) for element in _children(top, "Services", "Service")]
        self.sites = self._numbered([(key, element) for key, element in sites], "site")
        self.clusters = self._numbered([(key, element) for key, _, element in clusters], "cluster")
        self.services = self._numbered(services, "service")
        self.instances = {key: self.clusters.get(cluster) for key, cluster in shape.instances(top)}
        self.found_sites = [element for _, element in sites]
        self.found_clusters = [(site, element) for _, site, element in clusters]
        self.found_services = [element for _, element in services]

    def _numbered(self, found: list[tuple[Key, Element]], what: str) -> dict[Key, int]:
        numbers: dict[Key, int] = {}
        for number, (key, element) in enumerate(found):
            if key is None or (isinstance(key, tuple) and None in key):
                self.faults.add(element.mark, f"a {what} without its key", "the document as it was exported")
            elif numbers.setdefault(key, number) != number:
                self.faults.add(element.mark, f"a second {what} of the same key", "the document as it was exported")
        return numbers

    def deployment(self) -> Deployment:
        services = tuple(self._service(element) for element in self.found_services)
        return Deployment(
            domains=self._domains(),
            sites=tuple(self._site(number, element) for number, element in enumerate(self.found_sites)),
            clusters=tuple(self._cluster(site, element) for site, element in self.found_clusters),
            services=services,
            simple_urls=tuple(
                SimpleUrl(element.get("Component") or "", element.get("ActiveUrl") or "", element)
                for element in self.top.walk()
                if element.name == "SimpleUrl"
            ),
            dangling=tuple(dict.fromkeys(self.dangling)),
            unread=_unread(self.top),
            element=self.top,
            faults=self.faults,
        )

    def _domains(self) -> tuple[str, ...]:
        found = []
        for group in self.top.all("InternalDomains"):
            default = (group.get("DefaultDomain") or "").lower()
            domains = self._few(group.all("InternalDomain"), MAX_DOMAINS, "SIP domains")
            names = [name.lower() for domain in domains if (name := domain.get("Name"))]
            found += sorted(names, key=lambda name: name != default)  # stable: the default one moves to the front
        return tuple(dict.fromkeys(found))

    @staticmethod
    def _site(number: int, element: Element) -> str:
        name = element.first("Name")
        return " ".join(name.text.split()) if name is not None and name.text.strip() else f"site {number + 1}"

    def _cluster(self, site: Key, element: Element) -> Cluster:
        fqdn = _lower(element.get("Fqdn"))
        if site is not None and site not in self.sites:
            place = f"line {element.mark.line}: {show(fqdn or 'a cluster')}"
            self.dangling.append(f"{place} stands at a site that is not there; this file has no site for it")
        found = self._few(self.shape.machines(element), MAX_SERVERS, "machines of one cluster")
        return Cluster(
            fqdn=fqdn,
            site=self.sites.get(site),
            # a lone machine may leave its name out: it is the cluster's
            machines=tuple(
                Machine(
                    fqdn=_lower(machine.get("Fqdn")) or (fqdn if len(found) == 1 else None),
                    interfaces=tuple(
                        self._interface(item)
                        for item in self._few(machine.all("NetInterface"), MAX_PORTS, "interfaces of one machine")
                    ),
                    element=machine,
                )
                for machine in found
            ),
            replicated=true(element.get("RequiresReplication")),
            element=element,
        )

    def _few(self, found: list[Element], most: int, what: str) -> list[Element]:
        """All of them, or a fault: what is on one server is compared with everything else there, and a draft must stay
        one that can be read."""
        if len(found) > most:
            self.faults.add(found[most].mark, f"too many {what}", f"at most {most:,}")
        return found[:most]

    @staticmethod
    def _interface(element: Element) -> Interface:
        def of(*names: str) -> tuple[str, ...]:
            return tuple(text for name in names if (text := element.get(name)))

        return Interface(
            side=element.get("InterfaceSide") or "",
            number=element.get("InterfaceNumber") or "1",
            addresses=of("IPAddress", "IPv4Address", "IPv6Address"),
            configured=of("ConfiguredIPAddress", "ConfiguredIPv4Address", "ConfiguredIPv6Address"),
            element=element,
        )

    def _service(self, element: Element) -> Service:
        role = self.shape.role(element) or ""
        place = self.shape.installed_on(element)
        cluster = self.clusters.get(place, self.instances.get(place)) if place is not None else None
        if cluster is None:
            self.dangling.append(f"line {element.mark.line}: {show(role)} is installed on no cluster of the file")
        depends = []
        for key in self.shape.depends(element):
            number = self.services.get(key)
            if number is None:
                self.dangling.append(f"line {element.mark.line}: {show(role)} depends on a service that is not there")
            else:
                depends.append(number)
        return Service(
            role=role,
            version=element.get("ServiceVersion"),
            cluster=cluster,
            depends=tuple(depends),
            ports=tuple(
                self._port(port)
                for port in self._few(list(_children(element, "Ports", "Port")), MAX_PORTS, "ports of one service")
            ),
            details=tuple(
                (found.name, tuple(found.attributes.items())) for found in element.walk() if found.name in _DETAILS
            ),
            element=element,
        )

    @staticmethod
    def _port(element: Element) -> Port:
        return Port(
            owner=(element.get("Owner") or "").removeprefix("urn:component:"),
            usage=element.get("Usage") or "",
            side=element.get("InterfaceSide") or "",
            number=element.get("InterfaceNumber") or "1",
            port=_number(element.get("Port")),
            protocol=element.get("Protocol") or "",
            count=_number(element.get("Range") or "1"),
            published=_number(element.get("ConfiguredPort")),
            fqdn=_lower(element.get("ConfiguredFqdn")),
            element=element,
        )


def _lower(text: str | None) -> str | None:
    """Host names differ in case between elements."""
    return text.lower() if text else None


def true(text: str | None) -> bool:
    return (text or "").lower() in ("true", "1")


def _number(text: str | None) -> int | None:
    """A port, or how many of them."""
    number = int(text) if text and text.isascii() and text.isdigit() and len(text) <= 5 else 0
    return number if 1 <= number <= 65535 else None


# --- what is not read ------------------------------------------------------------------------------------------------

_DETAILS: Final = {
    "RegistrarService": frozenset({"IsDirector"}),
    "CentralMgmtService": frozenset({"IsActive"}),
    "WacService": frozenset({"DiscoveryUrl", "IsExternal"}),
    "WebService": frozenset[str](),
    "ExternalSettings": frozenset({"Host"}),
    "InternalSettings": frozenset({"Host"}),
}
"""Elements that describe a role."""

_READ: Final[dict[str, frozenset[str]]] = {
    "Topology": frozenset(),
    "PartialTopology": frozenset(),
    "InternalDomains": frozenset({"DefaultDomain"}),
    "InternalDomain": frozenset({"Name"}),
    **{name: frozenset({"SiteId"}) for name in _SITES},
    "Name": frozenset(),
    "Cluster": frozenset({"Fqdn", "UniqueId", "RequiresReplication"}),
    "ClusterId": frozenset({"SiteId", "Number"}),
    "Machine": frozenset({"Fqdn"}),
    "NetInterface": frozenset(
        {"InterfaceSide", "InterfaceNumber", "IPAddress", "IPv4Address", "IPv6Address"}
        | {"ConfiguredIPAddress", "ConfiguredIPv4Address", "ConfiguredIPv6Address"}
    ),
    "SqlInstance": frozenset({"UniqueId"}),
    "SqlInstanceId": frozenset(),
    "Service": frozenset({"UniqueId", "RoleName", "InstalledOn", "ServiceVersion"}),
    "ServiceId": frozenset({"SiteId", "RoleName", "Instance"}),
    "Dependency": frozenset({"ServiceUniqueId"}),
    "Port": frozenset(
        {"Owner", "Usage", "InterfaceSide", "InterfaceNumber", "Port", "Protocol", "Range"}
        | {"ConfiguredPort", "ConfiguredFqdn"}
    ),
    "SimpleUrl": frozenset({"Component", "ActiveUrl"}),
    **_DETAILS,
}
"""Elements and their attributes that are read; everything else is listed as not used."""

_LISTED: Final = 100
"""Kinds of element and attribute that are listed; a real file has some thirty."""


def _unread(top: Element) -> tuple[str, ...]:
    counts: Counter[str] = Counter()
    for element in top.walk():
        known = _READ.get(element.name)
        if known is None and (element.text.strip() or not (element.attributes or element.children)):
            counts[f"<{element.name}>"] += bool(element.text.strip())
        counts.update(f"{element.name}/@{key}" for key in element.attributes if known is None or key not in known)
    found = [f"{show(name)[1:-1]} ({count}×)" for name, count in sorted(counts.items()) if count]
    more = len(found) - _LISTED
    return tuple(found[:_LISTED] + ([f"and {more} kinds more"] if more > 0 else []))
