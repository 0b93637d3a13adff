"""The keys of a topology file: one description, read by the loader and turned into the JSON Schema.

Strategy: a tree of `rules.shape` objects, in the order in which a person would write the file. To add a key: one `Key`
here, one field in the model, one line in `rules.build`; a test compares the three.
"""

from __future__ import annotations

from typing import Final

from rules import names
from rules.policy_keys import POLICY
from rules.shape import (
    PORT,
    Choice,
    Either,
    Flag,
    Host,
    Key,
    Keys,
    Many,
    Number,
    OneAddress,
    OneNetwork,
    Span,
    Text,
)

ADDRESSES: Final = Many(OneAddress(), least=1, or_one=True)
ANY_ADDRESSES: Final = Many(OneAddress(), or_one=True)
NETWORKS: Final = Many(OneNetwork(), or_one=True)
HOSTS: Final = Many(Host(), or_one=True)
WORD: Final = Text(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "a word of letters, digits, dots, hyphens (it names captures, too)"
)
SITE: Final = Key("site", Text(), "one of `sites`; absent: the first")
PRODUCT: Final = Choice(names.PRODUCTS)

TRANSLATED: Final = Keys(
    (
        Key("public", ADDRESSES, "the addresses on the Internet, one or a list", required=True),
        Key("private", ANY_ADDRESSES, "their static translations, by family and position; absent: not translated"),
    )
)
PROXY_EXTERNAL: Final = Keys(
    (
        Key("public", ANY_ADDRESSES, "the addresses on the Internet, one or a list"),
        Key("private", ANY_ADDRESSES, "the host's own addresses where they differ"),
    )
)
VIP: Final = Either(TRANSLATED, ANY_ADDRESSES)


def members(*more: Key) -> Many:
    """A pool's servers, at least one."""
    return Many(Keys((Key("fqdn", Host(), "the server's own name", required=True), *more)), least=1)


MEMBERS: Final = members(Key("address", ADDRESSES, "one or a list", required=True))
HOST_LIST: Final = Many(
    Keys(
        (
            Key("fqdn", Host(), "its name", required=True),
            Key("address", ADDRESSES, "one or a list", required=True),
        )
    )
)

FIREWALL: Final = Keys(
    (
        Key("addresses", ANY_ADDRESSES, "its address in each connected network"),
        Key("nat", Choice(("none", "static")), "none: no `private` may differ from its `public`"),
        SITE,
    )
)

EDGE_MEMBER: Final = (
    Key("internal", ADDRESSES, "address of the internal interface", required=True),
    Key("access", TRANSLATED, "addresses of the Access Edge service; the XMPP proxy shares them", required=True),
    Key("webconf", TRANSLATED, "addresses of the Web Conferencing Edge service", required=True),
    Key("av", TRANSLATED, "addresses of the A/V Edge service", required=True),
)

EDGE_POOL: Final = Keys(
    (
        Key("fqdn", Host(), "internal name of the pool", required=True),
        Key("next_hop", Host(), "name of the Director or Front End pool that gets inbound SIP", required=True),
        Key("product", PRODUCT, "in place of the file's product (coexistence)"),
        Key("serves", HOSTS, "names of the pools that use this Edge pool for media"),
        Key("federation", Flag(), "this pool is published for federation; absent: a lone pool is"),
        Key(
            "xmpp",
            Keys(
                (
                    Key("enabled", Flag(), "absent: true in a section that is not empty"),
                    Key("fqdn", Host(), "name in the partners' SRV lookup"),
                    Key("port", PORT, "external TCP port", default=5269),
                    Key("internal_port", PORT, "TCP port for the gateway", default=23456),
                )
            ),
            "XMPP proxy; absent: none",
        ),
        Key("skype_search", Flag(), "Skype directory search (sfb-2015 and later)", default=False),
        Key(
            "access",
            Keys(
                (
                    Key("fqdn", Host(), "external name", required=True),
                    Key("port", PORT, "TCP port for clients; absent: 443, on a single address 5061"),
                    Key("federation_port", PORT, "TCP port for partners", default=5061),
                    Key("internal_port", PORT, "SIP port of the internal interface", default=5061),
                )
            ),
            "Access Edge service: name and ports",
            required=True,
        ),
        Key(
            "webconf",
            Keys(
                (
                    Key("fqdn", Host(), "external name", required=True),
                    Key("port", PORT, "TCP port for clients; absent: 443, on a single address 444"),
                    Key("internal_port", PORT, "PSOM port of the internal interface", default=8057),
                )
            ),
            "Web Conferencing Edge service: name and ports",
            required=True,
        ),
        Key(
            "av",
            Keys(
                (
                    Key("fqdn", Host(), "external name", required=True),
                    Key("port", PORT, "external TCP port of the relay", default=443),
                    Key("udp_port", PORT, "external UDP port of the relay", default=3478),
                    Key("internal_port", PORT, "internal TCP port of the relay", default=443),
                    Key("internal_udp_port", PORT, "internal UDP port of the relay", default=3478),
                    Key("auth_port", PORT, "A/V authentication", default=5062),
                    Key("range", Span(), "ports that the relay allocates", default="50000-59999"),
                )
            ),
            "A/V Edge service: name and ports",
            required=True,
        ),
        Key(
            "management",
            Keys(
                (
                    Key("replica_port", PORT, "configuration replica", default=4443),
                    Key("cls_ports", Many(PORT, or_one=True), "centralized logging", default=[50001, 50002, 50003]),
                )
            ),
            "management ports of the internal interface",
        ),
        Key(
            "vips",
            Keys(
                (
                    Key("access", VIP, "of the Access Edge service"),
                    Key("webconf", VIP, "of the Web Conferencing Edge service"),
                    Key("av", VIP, "of the A/V Edge service"),
                    Key("internal", ANY_ADDRESSES, "of the internal interfaces"),
                )
            ),
            "virtual addresses of hardware load balancing",
        ),
        Key("members", members(*EDGE_MEMBER), "its servers", required=True),
        SITE,
    )
)

PUBLICATION: Final = Either(
    Keys(
        (
            Key("host", Host(), "the published name", required=True),
            Key("to", Host(), "name of the pool or Office Web Apps farm behind it"),
        )
    ),
    Host(),
)

REVERSE_PROXY: Final = Keys(
    (
        Key("fqdn", Host(), "its name", required=True),
        Key("external", PROXY_EXTERNAL, "external addresses; of a cluster its virtual ones"),
        Key("internal", ANY_ADDRESSES, "address of the internal interface"),
        Key(
            "members",
            Many(
                Keys(
                    (
                        Key("fqdn", Host(), "the server's own name", required=True),
                        Key("external", PROXY_EXTERNAL, "its external addresses", required=True),
                        Key("internal", ADDRESSES, "address of its internal interface", required=True),
                    )
                )
            ),
            "servers of a cluster",
        ),
        Key("snat", ANY_ADDRESSES, "further addresses from which it opens inside connections"),
        Key("publishes", Many(PUBLICATION), "published host names, each alone or as {host, to}"),
        Key("other_sites", HOSTS, "names it serves that are no part of this"),
        SITE,
    )
)

WEB: Final = Keys(
    (
        Key("external", Host(), "name of the external web services"),
        Key("internal", Host(), "name of the internal web services"),
        Key("vip", ANY_ADDRESSES, "virtual address of the web services"),
        Key("vip_translates", Flag(), "the virtual address maps 443 and 80 to the external ports", default=False),
        Key("external_https", PORT, "port of the external web site", default=4443),
        Key("external_http", PORT, "port of the external web site without TLS", default=8080),
    )
)

DIRECTOR_POOL: Final = Keys(
    (
        Key("fqdn", Host(), "name of the pool", required=True),
        Key("web", WEB, "web services"),
        Key("sip_vip", ANY_ADDRESSES, "virtual address for SIP (hardware load balancing)"),
        Key("members", MEMBERS, "its servers", required=True),
        SITE,
    )
)

FRONT_END_POOL: Final = Keys(
    (
        Key("fqdn", Host(), "name of the pool", required=True),
        Key("edition", Choice(("enterprise", "standard")), "edition", default="enterprise"),
        Key("web", WEB, "web services"),
        Key("xmpp_gateway", Flag(), "its servers run the XMPP gateway", default=False),
        Key("cms_master", Host(), "the member that replicates the configuration"),
        Key("cms", Flag(), "any member may replicate the configuration", default=False),
        Key("sip_vip", ANY_ADDRESSES, "virtual address for SIP (hardware load balancing)"),
        Key("members", MEMBERS, "its servers", required=True),
        SITE,
    )
)

MEDIATION_POOL: Final = Keys(
    (
        Key("fqdn", Host(), "name of the pool", required=True),
        Key("members", MEMBERS, "its servers", required=True),
        SITE,
    )
)

SENSOR: Final = Keys(
    (
        Key("name", WORD, "what captures and reports call it", required=True),
        Key("position", Choice(names.POSITIONS), "where it sees traffic", required=True),
        Key("side", Choice(names.SIDES), "which side of that firewall; absent: not known"),
        Key("interfaces", Many(Text(), or_one=True), "network interfaces of the machine it runs on"),
        Key("vlans", Many(Number(1, 4094, whole=True), or_one=True), "VLANs it sees"),
        Key("behind_lb", Flag(), "between a hardware balancer and its servers", default=False),
        SITE,
    )
)

SIP_PARTNER: Final = Keys(
    (
        Key("domain", Host(), "its SIP domain", required=True),
        Key("access_fqdn", Host(), "name of its Access Edge"),
        Key("access", ANY_ADDRESSES, "addresses of its Access Edge"),
        Key("av", ANY_ADDRESSES, "addresses of its A/V Edge"),
        Key("product", Choice(names.PARTNER_PRODUCTS), "what it runs"),
    )
)

NEGOTIATION: Final = Choice(("required", "optional", "unsupported"))

XMPP_PARTNER: Final = Keys(
    (
        Key("domain", Host(), "its XMPP domain", required=True),
        Key("addresses", ANY_ADDRESSES, "its servers; absent: any address with that domain"),
        Key("tls", NEGOTIATION, "TLS negotiation", default="optional"),
        Key("sasl", NEGOTIATION, "SASL negotiation", default="optional"),
        Key("dialback", Flag(), "server dialback", default=True),
    )
)

PROVIDER: Final = Keys(
    (
        Key("enabled", Flag(), "absent: true in a section that is not empty"),
        Key("addresses", NETWORKS, "addresses or networks; none: any"),
    )
)

FEDERATION: Final = Keys(
    (
        Key("enabled", Flag(), "SIP federation; absent: true in a section that is not empty"),
        Key("discovery", Flag(), "partners that are not listed may federate", default=False),
        Key("sip_partners", Many(SIP_PARTNER), "listed SIP partners"),
        Key("xmpp_partners", Many(XMPP_PARTNER), "configured XMPP partners"),
        Key(
            "office365",
            Keys(
                (
                    Key("enabled", Flag(), "absent: true in a section that is not empty"),
                    Key("sip", NETWORKS, "SIP addresses or networks; none: any"),
                    Key("media", NETWORKS, "media addresses or networks; none: any"),
                )
            ),
            "hybrid deployment or hosted services",
        ),
        Key("push", PROVIDER, "push notification through the cloud"),
        Key("public_im", PROVIDER, "public IM providers"),
    )
)

TOPOLOGY: Final = Keys(
    (
        Key("edgewarden", Choice(("1",)), "version of this format: 1", required=True),
        Key("organization", Text(), "whose site this is", required=True),
        Key("product", PRODUCT, "what the Edge servers run", required=True),
        Key("sip_domains", HOSTS, "own SIP domains"),
        Key("ad_domains", HOSTS, "names that must never be shown outside"),
        Key("sites", Many(Keys((Key("name", Text(), "its name", required=True),))), "absent: one site"),
        Key(
            "zones",
            Keys(
                tuple(
                    Key(zone, NETWORKS, about)
                    for zone, about in zip(
                        names.DECLARED_ZONES,
                        (
                            "outer networks of the perimeter, public and private",
                            "inner networks of the perimeter",
                            "the networks inside",
                            "address pools of VPN clients",
                        ),
                        strict=True,
                    )
                ),
                some=True,
            ),
            "networks by zone; the longest prefix wins; other addresses are external, or undeclared if private",
            required=True,
        ),
        Key(
            "firewalls",
            Keys(
                (
                    Key("external", FIREWALL, "towards the Internet"),
                    Key("internal", FIREWALL, "towards the inside; leave out for a one-firewall site"),
                )
            ),
            "the same addresses under both: one device with three legs",
        ),
        Key("sensors", Many(SENSOR), "capture points"),
        Key(
            "load_balancing",
            Keys(
                tuple(
                    Key(side, Choice(("none", "dns", "hardware")), f"of the {side} interfaces", default="none")
                    for side in ("external", "internal")
                )
            ),
            "how the Edge pools are balanced",
        ),
        Key(
            "lb",
            Keys(
                (
                    Key("external_snat", ANY_ADDRESSES, "source addresses towards external interfaces"),
                    Key("internal_snat", ANY_ADDRESSES, "source addresses on the inside"),
                    Key("self", ANY_ADDRESSES, "source addresses of health probes"),
                )
            ),
            "addresses that hardware balancers use as source",
        ),
        Key("edge_pools", Many(EDGE_POOL, least=1), "Edge pools; a lone server is a pool of one", required=True),
        Key("reverse_proxies", Many(REVERSE_PROXY), "reverse proxies"),
        Key("director_pools", Many(DIRECTOR_POOL), "Director pools"),
        Key("front_end_pools", Many(FRONT_END_POOL), "Front End pools and Standard Edition servers"),
        Key("mediation_pools", Many(MEDIATION_POOL), "Mediation pools"),
        Key("office_web_apps", HOST_LIST, "Office Web Apps or Office Online servers or farms"),
        Key("branch_appliances", HOST_LIST, "survivable branch appliances and servers"),
        Key(
            "simple_urls",
            Keys(tuple(Key(name, HOSTS, f"host names of the {name} URL") for name in ("meet", "dialin", "admin"))),
            "simple URLs",
        ),
        Key(
            "autodiscover",
            Keys(
                (
                    Key("external", HOSTS, "names visible on the Internet"),
                    Key("internal", HOSTS, "names visible inside only"),
                )
            ),
            "Autodiscover names",
        ),
        Key(
            "certificates",
            Keys(
                tuple(
                    Key(listener, Many(Host(wildcard=True), or_one=True), f"of {about}")
                    for listener, about in names.CERTIFICATE_LISTENERS
                )
            ),
            "names that certificates must carry, in place of those that follow from this file",
        ),
        Key(
            "clients",
            Keys(
                (
                    Key("lan", NETWORKS, "wired clients"),
                    Key("wifi", NETWORKS, "wireless clients"),
                    Key("egress", NETWORKS, "what inside clients look like on the Internet"),
                    Key("admin", NETWORKS, "hosts that run centralized logging commands"),
                )
            ),
            "client networks or addresses",
        ),
        Key("infrastructure", HOST_LIST, "hosts that are named in findings; no path follows from them"),
        Key(
            "others",
            Many(
                Keys(
                    (
                        Key("name", Text(), "its name", required=True),
                        Key("addresses", ADDRESSES, "one or a list", required=True),
                    )
                )
            ),
            "neighbours in the perimeter that are no part of the edge",
        ),
        Key(
            "vpn",
            Keys(
                (
                    Key("gateways", ANY_ADDRESSES, "addresses of VPN gateways"),
                    Key("split_tunnel", Choice(("allowed", "required", "forbidden")), "media beside the tunnel"),
                )
            ),
            "remote access",
        ),
        Key("federation", FEDERATION, "partners and providers; absent: none"),
        Key("mobility", Flag(), "mobile clients are served", default=False),
        Key("policy", POLICY, "this site's own policy"),
    )
)
