"""Names of IP protocols as flows, findings and local paths write them: IANA's keywords in lower case, else the number.

Strategy: one fixed table, not the machine's /etc/protocols: the same capture must give the same text anywhere. The
registry is "Assigned Internet Protocol Numbers"; numbers without a keyword there ("-" below) stay numbers.
"""

from __future__ import annotations

from typing import Final

ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17
ESP: Final = 50
AH: Final = 51
SCTP: Final = 132
ICMPV6: Final = 58
PORTED: Final = frozenset({TCP, UDP, SCTP})
"""Protocols whose flows have ports here."""

_KEYWORDS: Final = """
hopopt icmp igmp ggp ipv4 st tcp cbt egp igp bbn-rcc-mon nvp-ii pup argus emcon xnet chaos udp mux dcn-meas hmp prm
xns-idp trunk-1 trunk-2 leaf-1 leaf-2 rdp irtp iso-tp4 netblt mfe-nsp merit-inp dccp 3pc idpr xtp ddp idpr-cmtp tp++ il
ipv6 sdrp ipv6-route ipv6-frag idrp rsvp gre dsr bna esp ah i-nlsp swipe narp mobile tlsp skip ipv6-icmp ipv6-nonxt
ipv6-opts - cftp - sat-expak kryptolan rvd ippc - sat-mon visa ipcv cpnx cphb wsn pvp br-sat-mon sun-nd wb-mon wb-expak
iso-ip vmtp secure-vmtp vines iptm nsfnet-igp dgp tcf eigrp ospfigp sprite-rpc larp mtp ax.25 ipip micp scc-sp etherip
encap - gmtp ifmp pnni pim aris scps qnx a/n ipcomp snp compaq-peer ipx-in-ip vrrp pgm - l2tp ddx iatp stp srp uti smp
sm ptp isis fire crtp crudp sscopmce iplt sps pipe sctp fc rsvp-e2e-ignore mobility udplite mpls-in-ip manet shim6 wesp
rohc ethernet
""".split()  # noqa: SIM905  (as the registry lists them)

TRANSPORTS: Final[tuple[str, ...]] = tuple(
    str(number) if number >= len(_KEYWORDS) or _KEYWORDS[number] == "-" else _KEYWORDS[number] for number in range(256)
)
"""TRANSPORTS[n] is the name of IP protocol n."""

_NUMBERS: Final = {name: number for number, name in enumerate(TRANSPORTS)} | {"icmpv6": ICMPV6}


def transport_number(name: str) -> int | None:
    """Protocol number of an IANA keyword (any case) or of a number as text; None if it is neither."""
    return _NUMBERS.get(name.lower())
