"""What a topology file declares about hosts and peers, as frozen dataclasses with defaults filled in.

Strategy: plain data. Names are lower case, addresses are `ipaddress` objects, lists are tuples in the order of the file
(order means nothing but the pairing of `public` with `private`), absent means an empty tuple or None. Port defaults
follow the vendor's port summaries and `Set-CsEdgeServer`; a pool on a single address has its own (5061, 444, 443).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

DEFAULT_SITE: Final = "default"


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports `first` to `last`, both included."""

    first: int
    last: int

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and self.first <= port <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class Translated:
    """Addresses of one external interface: as the Internet sees them, and as they are on the wire in the perimeter.

    Several of one family pair by position. An empty `private` (or one that lacks a family) means no translation there.
    `public` is empty only where nothing is published under an address of its own (a member of a proxy cluster).
    """

    public: tuple[Address, ...] = ()
    private: tuple[Address, ...] = ()

    @property
    def pairs(self) -> tuple[tuple[Address, Address], ...]:
        """(public, on the wire behind the firewall) for each public address; equal when it is not translated."""
        result: list[tuple[Address, Address]] = []
        for version in (4, 6):
            outside = [a for a in self.public if a.version == version]
            inside = [a for a in self.private if a.version == version] or outside
            result.extend(zip(outside, inside, strict=bool(outside)))
        return tuple(result)

    @property
    def on_wire(self) -> tuple[Address, ...]:
        """The addresses that the host itself has."""
        families = {a.version for a in self.private}
        return self.private + tuple(a for a in self.public if a.version not in families)

    @property
    def translated(self) -> bool:
        return any(outside != inside for outside, inside in self.pairs)

    @property
    def all(self) -> tuple[Address, ...]:
        """Public and private, each address once."""
        return tuple(dict.fromkeys(self.public + self.private))


# --- perimeter devices -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Firewall:
    side: str  # "external" | "internal"
    addresses: tuple[Address, ...] = ()
    nat: str | None = None  # "none" | "static" | None: not stated
    site: str = DEFAULT_SITE


@dataclass(frozen=True, slots=True)
class Sensor:
    name: str
    position: str  # rules.names.POSITIONS
    side: str | None = None  # rules.names.SIDES; None: not known
    interfaces: tuple[str, ...] = ()
    vlans: tuple[int, ...] = ()
    behind_lb: bool = False
    site: str = DEFAULT_SITE


@dataclass(frozen=True, slots=True)
class LoadBalancing:
    external: str = "none"  # "none" | "dns" | "hardware"
    internal: str = "none"


@dataclass(frozen=True, slots=True)
class Balancers:
    """Addresses that hardware balancers use as source; `self_addresses` send health probes."""

    external_snat: tuple[Address, ...] = ()
    internal_snat: tuple[Address, ...] = ()
    self_addresses: tuple[Address, ...] = ()


# --- Edge ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AccessService:
    fqdn: str
    port: int  # 443; 5061 on a single address
    federation_port: int = 5061
    internal_port: int = 5061


@dataclass(frozen=True, slots=True)
class WebconfService:
    fqdn: str
    port: int  # 443; 444 on a single address
    internal_port: int = 8057


@dataclass(frozen=True, slots=True)
class AvService:
    fqdn: str
    port: int = 443  # TCP
    udp_port: int = 3478
    internal_port: int = 443  # TCP
    internal_udp_port: int = 3478
    auth_port: int = 5062
    range: PortRange = PortRange(50000, 59999)


@dataclass(frozen=True, slots=True)
class XmppProxy:
    enabled: bool = False
    fqdn: str | None = None
    port: int = 5269
    internal_port: int = 23456


@dataclass(frozen=True, slots=True)
class EdgeManagement:
    replica_port: int = 4443
    cls_ports: tuple[int, ...] = (50001, 50002, 50003)


@dataclass(frozen=True, slots=True)
class EdgeVips:
    """Virtual addresses of a hardware-balanced pool; each empty when there is none."""

    access: Translated = Translated()
    webconf: Translated = Translated()
    av: Translated = Translated()
    internal: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class EdgeMember:
    fqdn: str
    internal: tuple[Address, ...]
    access: Translated
    webconf: Translated
    av: Translated

    @property
    def single_ip(self) -> bool:
        """All three services on the same addresses."""
        return set(self.access.on_wire) == set(self.webconf.on_wire) == set(self.av.on_wire)


@dataclass(frozen=True, slots=True)
class EdgePool:
    fqdn: str
    next_hop: str  # FQDN of a Director or Front End pool
    product: str  # its own, else the file's
    access: AccessService
    webconf: WebconfService
    av: AvService
    members: tuple[EdgeMember, ...]
    serves: tuple[str, ...] = ()  # FQDNs of pools
    federation: bool = False  # the pool that is published for federation
    xmpp: XmppProxy = XmppProxy()
    skype_search: bool = False
    management: EdgeManagement = EdgeManagement()
    vips: EdgeVips = EdgeVips()
    site: str = DEFAULT_SITE

    @property
    def single_ip(self) -> bool:
        return all(member.single_ip for member in self.members)

    @property
    def balanced_outside(self) -> bool:
        """A hardware balancer answers for it towards the Internet: it has virtual addresses there."""
        vips = self.vips
        return any(vip != Translated() for vip in (vips.access, vips.webconf, vips.av))

    @property
    def balanced_inside(self) -> bool:
        return bool(self.vips.internal)


# --- reverse proxy and inside servers --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Publication:
    """A published host name; `to`: FQDN of the pool or farm behind it, None when not stated."""

    host: str
    to: str | None = None


@dataclass(frozen=True, slots=True)
class ProxyMember:
    fqdn: str
    external: Translated
    internal: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class ReverseProxy:
    fqdn: str
    external: Translated = Translated()
    internal: tuple[Address, ...] = ()
    members: tuple[ProxyMember, ...] = ()
    snat: tuple[Address, ...] = ()  # further sources of its inside connections
    publishes: tuple[Publication, ...] = ()
    other_sites: tuple[str, ...] = ()
    site: str = DEFAULT_SITE


@dataclass(frozen=True, slots=True)
class WebServices:
    external: str | None = None  # host name of the external web site
    internal: str | None = None
    vip: tuple[Address, ...] = ()
    vip_translates: bool = False  # the VIP maps 443 → external_https and 80 → external_http
    external_https: int = 4443
    external_http: int = 8080


@dataclass(frozen=True, slots=True)
class Member:
    fqdn: str
    address: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class DirectorPool:
    fqdn: str
    members: tuple[Member, ...]
    web: WebServices = WebServices()
    sip_vip: tuple[Address, ...] = ()
    site: str = DEFAULT_SITE


@dataclass(frozen=True, slots=True)
class FrontEndPool:
    fqdn: str
    members: tuple[Member, ...]
    edition: str = "enterprise"  # "enterprise" | "standard"
    web: WebServices = WebServices()
    sip_vip: tuple[Address, ...] = ()
    xmpp_gateway: bool = False
    cms: bool = False  # any member may replicate the configuration
    cms_master: str | None = None  # FQDN of the member that does
    site: str = DEFAULT_SITE


@dataclass(frozen=True, slots=True)
class MediationPool:
    fqdn: str
    members: tuple[Member, ...]
    site: str = DEFAULT_SITE


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A host of the perimeter that is no part of the edge."""

    name: str
    addresses: tuple[Address, ...]


# --- names, clients, partners ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SimpleUrls:
    meet: tuple[str, ...] = ()
    dialin: tuple[str, ...] = ()
    admin: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Autodiscover:
    external: tuple[str, ...] = ()
    internal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateNames:
    """Names that a listener's certificate must carry, in place of the derived ones."""

    listener: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clients:
    """Client networks; a single address is a network of one."""

    lan: tuple[Network, ...] = ()
    wifi: tuple[Network, ...] = ()
    egress: tuple[Network, ...] = ()  # what the LAN looks like on the Internet: zone external, role int-client
    admin: tuple[Network, ...] = ()  # hosts that run centralized logging commands


@dataclass(frozen=True, slots=True)
class Vpn:
    gateways: tuple[Address, ...] = ()
    split_tunnel: str | None = None  # "allowed" | "required" | "forbidden" | None: not stated


@dataclass(frozen=True, slots=True)
class SipPartner:
    domain: str
    access_fqdn: str | None = None
    access: tuple[Address, ...] = ()
    av: tuple[Address, ...] = ()
    product: str | None = None  # rules.names.PARTNER_PRODUCTS; None: not stated

    @property
    def component(self) -> str:
        return self.access_fqdn or self.domain


@dataclass(frozen=True, slots=True)
class XmppPartner:
    domain: str
    addresses: tuple[Address, ...] = ()
    tls: str = "optional"  # "required" | "optional" | "unsupported"
    sasl: str = "optional"
    dialback: bool = True

    @property
    def component(self) -> str:
        return self.domain


@dataclass(frozen=True, slots=True)
class Office365:
    """Enabled without networks = any address."""

    enabled: bool = False
    sip: tuple[Network, ...] = ()
    media: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Provider:
    """Push notification or public IM. Enabled without networks = any address."""

    enabled: bool = False
    addresses: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Federation:
    enabled: bool = False
    discovery: bool = False  # partners not listed may federate
    sip_partners: tuple[SipPartner, ...] = ()
    xmpp_partners: tuple[XmppPartner, ...] = ()
    office365: Office365 = Office365()
    push: Provider = Provider()
    public_im: Provider = Provider()
