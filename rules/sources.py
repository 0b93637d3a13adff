"""Titles of the documents that rules cite beyond those of the table of paths (`documents` in rules/paths.yaml).

Strategy: codes are short where a rule names them; here stands what a reader looks for. Lync Server 2013 pages unless
said otherwise. RFCs need no title: a rule cites them by number and section.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rules.rows import table

CITED: Final[Mapping[str, str]] = {
    "AUTH": "User and client authentication",
    "BLOG-SUBNET": "An Edge Server with one subnet (field practice)",
    "C-EXT": "Certificate requirements for external user access",
    "C-HLB": "Certificate summary: scaled consolidated edge with hardware load balancers",
    "C-INFRA": "Certificate infrastructure requirements",
    "C-INT": "Certificate requirements for internal servers",
    "C-PLAN": "Plan for Edge Server certificates",
    "C-RP": "Certificate summary: reverse proxy",
    "C-WILD": "Wildcard certificate support",
    "CHG": "Changes in Lync Server that affect Edge Server planning",
    "COLLO": "Supported server collocation for edge components",
    "COMP": "Components required for external user access",
    "CONF": "Components and topologies for conferencing",
    "CSSVC": "Get-CsService for address book management",
    "CAC": "Overview of call admission control",
    "DIROV": "Overview of the Director",
    "FEDDOM": "Configure support for allowed external domains",
    "IPS": "IP and networking protocol support",
    "IPSEC": "IPsec exceptions",
    "KSF": "Key security features",
    "L10-AV": "Determining external A/V firewall and port requirements (Lync Server 2010)",
    "L10-HLB": "Port summary for scaled consolidated edge, hardware load balanced (Lync Server 2010)",
    "LBREQ": "Load balancing requirements",
    "MOBTOP": "Topologies and components for mobility",
    "MSTURN-2.1.1": "[MS-TURN] 2.1.1: pseudo-TLS over TCP",
    "MSTURN-2.2.1": "[MS-TURN] 2.2.1: message header",
    "MSTURN-3": "[MS-TURN] 3: protocol details",
    "NH-VPN": "Enabling Lync media to bypass a VPN tunnel (NextHop)",
    "NIC": "Set up network interfaces for Edge Servers",
    "RPREQ": "Configuration requirements for reverse proxy",
    "RPRULE": "Configure web publishing rules for a single internal pool",
    "S19-DEP": "Deprecated features (Skype for Business Server 2019)",
    "SUPT": "Supported topologies",
    "SURL": "DNS requirements for simple URLs",
    "TLS": "TLS and MTLS",
    "XCFG": "Create or edit XMPP partner configuration",
    "XNEG": "Negotiation settings for XMPP federated partners",
}


def titles() -> dict[str, str]:
    """Code → title of every document, of paths and of rules, by code."""
    return dict(sorted({**CITED, **table().documents}.items()))
