"""Closed vocabularies of a topology: zones, roles, products, positions.

Strategy: each word is written once, here, as a constant; loader, schema, policy and rules compare with these. The role
ids keep the order in which an address with several roles is to be named when neither a path nor a listener decides.
"""

from __future__ import annotations

from typing import Final

# --- zones -----------------------------------------------------------------------------------------------------------

EXTERNAL: Final = "external"
PERIMETER_EXT: Final = "perimeter-ext"
PERIMETER_INT: Final = "perimeter-int"
INTERNAL: Final = "internal"
VPN: Final = "vpn"
UNDECLARED: Final = "undeclared"

DECLARED_ZONES: Final = (PERIMETER_EXT, PERIMETER_INT, INTERNAL, VPN)
"""Zones that have prefixes in the file; `external` and `undeclared` are what is left."""

ZONES: Final = (EXTERNAL, *DECLARED_ZONES, UNDECLARED)

# --- roles -----------------------------------------------------------------------------------------------------------

EDGE_EXT_ACCESS: Final = "edge-ext-access"
EDGE_EXT_WEBCONF: Final = "edge-ext-webconf"
EDGE_EXT_AV: Final = "edge-ext-av"
EDGE_XMPP_PROXY: Final = "edge-xmpp-proxy"
EDGE_INT: Final = "edge-int"
EDGE_EXT_VIP_ACCESS: Final = "edge-ext-vip-access"
EDGE_EXT_VIP_WEBCONF: Final = "edge-ext-vip-webconf"
EDGE_EXT_VIP_AV: Final = "edge-ext-vip-av"
EDGE_INT_VIP: Final = "edge-int-vip"
RP_EXT: Final = "rp-ext"
RP_INT: Final = "rp-int"
DIRECTOR: Final = "director"
FE: Final = "fe"
XMPP_GATEWAY: Final = "xmpp-gateway"
CMS_MASTER: Final = "cms-master"
OWAS: Final = "owas"
SBA: Final = "sba"
CLS_CONTROLLER: Final = "cls-controller"
INT_CLIENT: Final = "int-client"
PARTNER_EDGE: Final = "partner-edge"
PIC_PROVIDER: Final = "pic-provider"
XMPP_PARTNER: Final = "xmpp-partner"
O365_SIPFED: Final = "o365-sipfed"
O365_MEDIA: Final = "o365-media"
FW_EXT: Final = "fw-ext"
FW_INT: Final = "fw-int"
WEB_VIP: Final = "web-vip"
VPN_GW: Final = "vpn-gw"
CRL_HOST: Final = "crl-host"
DNS_RESOLVER: Final = "dns-resolver"
EXT_CLIENT: Final = "ext-client"
VPN_CLIENT: Final = "vpn-client"
MEDIATION: Final = "mediation"  # no row names it alone; it is one of the servers that `int-any` means

ROLES: Final = (
    EDGE_EXT_ACCESS,
    EDGE_EXT_WEBCONF,
    EDGE_EXT_AV,
    EDGE_XMPP_PROXY,
    EDGE_INT,
    EDGE_EXT_VIP_ACCESS,
    EDGE_EXT_VIP_WEBCONF,
    EDGE_EXT_VIP_AV,
    EDGE_INT_VIP,
    RP_EXT,
    RP_INT,
    DIRECTOR,
    FE,
    XMPP_GATEWAY,
    CMS_MASTER,
    OWAS,
    SBA,
    CLS_CONTROLLER,
    INT_CLIENT,
    PARTNER_EDGE,
    PIC_PROVIDER,
    XMPP_PARTNER,
    O365_SIPFED,
    O365_MEDIA,
    FW_EXT,
    FW_INT,
    WEB_VIP,
    VPN_GW,
    CRL_HOST,
    DNS_RESOLVER,
    EXT_CLIENT,
    VPN_CLIENT,
    MEDIATION,
)

ACCESS_EDGE: Final = (EDGE_EXT_ACCESS, EDGE_EXT_VIP_ACCESS)
"""Where the Access Edge (and the XMPP proxy) answers outside: nodes, or the virtual address of a balancer."""

INNER_EDGE: Final = (EDGE_INT, EDGE_INT_VIP)
"""An Edge towards the inside: nodes, or the virtual address of a balancer."""

OUTER_EDGE: Final = (
    EDGE_EXT_ACCESS,
    EDGE_EXT_WEBCONF,
    EDGE_EXT_AV,
    EDGE_XMPP_PROXY,
    EDGE_EXT_VIP_ACCESS,
    EDGE_EXT_VIP_WEBCONF,
    EDGE_EXT_VIP_AV,
)
"""Roles of an Edge's outer side, virtual addresses included."""

WEBCONF_EDGE: Final = (EDGE_EXT_WEBCONF, EDGE_EXT_VIP_WEBCONF)

AV_EDGE: Final = (EDGE_EXT_AV, EDGE_EXT_VIP_AV)

WEB_SERVERS: Final = (FE, DIRECTOR, WEB_VIP)
"""Who serves the web sites that a reverse proxy publishes, Office Web Apps aside."""

NON_SERVER_ROLES: Final = frozenset({EXT_CLIENT, INT_CLIENT, VPN_CLIENT, CRL_HOST, DNS_RESOLVER, FW_EXT, FW_INT})
"""Roles that are no *server role*: flows between these and neighbours of the perimeter are nobody's business here."""

# --- products --------------------------------------------------------------------------------------------------------

LYNC_2010: Final = "lync-2010"
LYNC_2013: Final = "lync-2013"
SFB_2015: Final = "sfb-2015"
SFB_2019: Final = "sfb-2019"
SFB_SE: Final = "sfb-se"
OCS_2007: Final = "ocs-2007"
OCS_2007_R2: Final = "ocs-2007-r2"

PRODUCTS: Final = (LYNC_2010, LYNC_2013, SFB_2015, SFB_2019, SFB_SE)
"""What we may run, oldest first."""

PARTNER_PRODUCTS: Final = (OCS_2007, OCS_2007_R2, *PRODUCTS)
"""What a partner may run, oldest first."""

# --- sensors and firewalls -------------------------------------------------------------------------------------------

POSITIONS: Final = ("external", "internal", "lan", "vpn")
SIDES: Final = ("outside", "inside", "both")

# --- severities ------------------------------------------------------------------------------------------------------

SEVERITIES: Final = ("critical", "high", "medium", "low", "info")
"""Gravest first."""

OFF: Final = "off"

# --- rows and listeners ----------------------------------------------------------------------------------------------

OPTIONAL_PATHS: Final = (
    "int-sip-edge-to-other-fe",
    "int-edge-dns",
    "int-cac-bandwidth-policy",
    "int-hlb-av-tcp-out",
)
"""Rows of the vendor's tables that are disputed or unconfirmed, and therefore off unless a site turns them on."""

CERTIFICATE_LISTENERS: Final = (
    ("access", "the Access Edge service"),
    ("webconf", "the Web Conferencing Edge service"),
    ("xmpp", "the XMPP proxy after STARTTLS"),
    ("edge-int", "the internal interface of the Edge"),
    ("rp-ext", "the reverse proxy"),
    ("director", "the Director"),
    ("director-web", "the Director's external web site"),
    ("fe", "the Front End"),
    ("fe-web", "the Front End's external web site"),
    ("owas", "Office Web Apps"),
    ("sba", "branch appliances"),
)
"""(key, whose certificate) of the listeners whose expected names a site may state itself."""
