"""What the words at the ends of rows mean, in sentences: roles, groups of hosts and zones as `policy list` names them.

Strategy: the same words that `rules.reach` resolves to addresses, told to a reader; a test holds the two lists
together. A word stands for addresses that the topology declares, or for what is left when it declares none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MEANT: Final[Mapping[str, str]] = {
    "external": "anybody on the Internet: every address that no declared or private network holds",
    "on-premises": "whoever stands in a declared zone; the vendor's page names no host",
    "inside": "whoever stands in `internal` or `vpn`",
    "int-any": "whoever stands in `internal` or `vpn`: clients, servers, branch appliances, the VPN pool",
    "int-client": "client networks (`clients.lan`, `clients.wifi`, the VPN pool); without any, inside hosts that are "
    "not declared",
    "egress-client": "inside clients as the Internet sees them: `clients.egress`",
    "inside-server": "declared servers inside",
    "partner-edge": "Access Edges of other organisations: anybody on the Internet, listed partners by their addresses",
    "partner-edge-in": "Access Edges of other organisations: anybody, or listed partners alone where discovery is off",
    "ocs-2007-partner": "addresses of partners whose `product` is `ocs-2007`",
    "relay-peer": "peers of relayed media: anybody on the Internet, before Skype for Business 2015 partners with OCS "
    "2007 alone",
    "pic-provider": "public instant messaging: `public_im.addresses`, anybody where that is empty",
    "o365-sipfed": "signalling of Office 365: `office365.sip`, anybody where that is empty",
    "o365-media": "media of Office 365: `office365.media`, anybody where that is empty",
    "office365": "Office 365: `office365.sip` and `office365.media`, anybody where both are empty",
    "push-service": "sipfed.online.lync.com: `push.addresses`, anybody where that is empty",
    "xmpp-partner": "XMPP servers on the Internet, listed partners by their addresses",
    "balancer": "what a hardware balancer speaks to the nodes from: virtual addresses, `lb.external_snat`, `lb.self`",
    "edge-ext-access": "the Access Edge's address of each node",
    "edge-ext-access-or-vip": "the Access Edge's virtual address, without one that of each node",
    "edge-ext-access-and-vip": "the Access Edge's address of each node, and its virtual address",
    "edge-ext-webconf": "the Web Conferencing Edge's address of each node",
    "edge-ext-av": "the A/V Edge's address of each node",
    "edge-ext-av-of-other-member": "the A/V address of another member of the same Edge pool, one end by its public one",
    "edge-ext-av-of-other-pool": "the A/V address of another Edge pool of ours, one end by its public one",
    "edge-xmpp-proxy": "the XMPP proxy, which shares the Access Edge's address",
    "edge-ext-vip-access": "the Access Edge's virtual address",
    "edge-ext-vip-webconf": "the Web Conferencing Edge's virtual address",
    "edge-ext-vip-av": "the A/V Edge's virtual address",
    "edge-int": "the inner address of each Edge",
    "edge-int-vip": "the inner virtual address of an Edge pool",
    "edge-inward": "the inner address of each Edge, behind a balancer also the virtual one and `lb.internal_snat`",
    "rp-ext": "the outer address of a reverse proxy",
    "rp-int": "the inner address of a reverse proxy, `snat` included",
    "next-hop": "the pool that the Edge pool's `next_hop` names: its members and, where declared, `sip_vip`",
    "next-hop-director": "the Director pool that the Edge pool's `next_hop` names",
    "next-hop-fe": "the Front End pool that the Edge pool's `next_hop` names",
    "director": "Directors",
    "director-web": "the external web site of a Director pool: its web VIP, without one its members",
    "director-or-fe": "Directors and Front Ends with their virtual addresses",
    "fe": "Front Ends and Standard Edition servers",
    "fe-web": "the external web site of a Front End pool: its web VIP, without one its members",
    "fe-or-sba": "Front Ends, Standard Edition servers and branch appliances",
    "xmpp-gateway": "Front Ends of a pool with `xmpp_gateway`",
    "cms-master": "the configuration master: `cms_master`, else members of pools with `cms`, else any Front End",
    "owas": "Office Web Apps servers",
    "cls-controller": "hosts under `clients.admin` and declared servers inside; without the former any inner address",
}
