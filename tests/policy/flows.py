"""Observations in a few words: two addresses, a port and what was on the wire, turned into the numbers a judge sees.

The words for the wire (`tls`, `mtls`, `pseudo_tls` …) describe what the core reports of such a stream, as the
docstrings of `rules.observation` define it; nothing here is taken from a judge's output.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rules.detail import NO_DETAIL, Detail
from rules.facts import Site
from rules.judge import Judge
from rules.load import load
from rules.observation import (
    Answered,
    Evidence,
    Initiator,
    Mutual,
    Observation,
    Payload,
    StartTls,
    Stun,
    Tls,
    XmppClear,
    XmppNamespace,
)
from rules.services import service_number
from rules.topology import Topology
from rules.transports import transport_number
from rules.verdict import Verdict

CONTOSO = Path(__file__).parents[2] / "pcaps" / "contoso.yaml"

BOTH = Payload.SOURCE | Payload.DESTINATION | Payload.DESTINATION_BEYOND_ALERT | Payload.BOTH_DIRECTIONS_SEEN
HELLOS = Tls.CLIENT_HELLO | Tls.SERVER_HELLO | Tls.ESTABLISHED | Tls.SERVER_CERTIFICATE


def bits(*names: str) -> int:
    return sum(1 << number(name) for name in names)


def number(name: str) -> int:
    found = service_number(name)
    assert found is not None, name
    return found


def spoken(service: str, *others: str, **more: Any) -> dict[str, Any]:
    """A stream seen from its first byte, answered, recognised as `service` (and what followed on it)."""
    return {
        "service": number(service),
        "services": bits(service, *others),
        "evidence": Evidence.RECOGNISED,
        "payload": BOTH,
        "answered": Answered.YES,
        **more,
    }


def unknown(**more: Any) -> dict[str, Any]:
    """Both ends sent bytes nobody recognises, 64 and more from the first on."""
    return {
        "service": number("unknown"),
        "evidence": Evidence.UNRECOGNISED,
        "payload": BOTH,
        "answered": Answered.YES,
        **more,
    }


SILENT: dict[str, Any] = {"answered": Answered.YES}  # a connection without a byte
UNANSWERED: dict[str, Any] = {"answered": Answered.NO}
REFUSED: dict[str, Any] = {"answered": Answered.REFUSED}
TLS = spoken("tls", tls=HELLOS, tls_version=0x0303, mutual=Mutual.NO)
MTLS = spoken("tls", tls=HELLOS, tls_version=0x0303, mutual=Mutual.YES)
TLS13 = spoken("tls", tls=HELLOS, tls_version=0x0304, mutual=Mutual.UNKNOWN)
TLS_RECORDS = {**spoken("tls", tls=Tls.RECORDS_ONLY, mutual=Mutual.UNKNOWN), "evidence": Evidence.RECOGNISED_LATE}
PSEUDO_TLS = spoken("turn", "pseudo-tls", stun=Stun.PSEUDO_HELLO | Stun.PSEUDO_REPLY | Stun.TURN_FRAME | Stun.MS_TURN)
TURN = spoken("turn", stun=Stun.REQUEST | Stun.ANSWERED | Stun.MS_TURN)
RTP = spoken("rtp", stun=Stun.RTP_10)
CHECK = spoken("stun", stun=Stun.REQUEST | Stun.CHECK_ONLY, answered=Answered.NO, payload=Payload.SOURCE)
HTTP = spoken("http")
DNS = spoken("dns")
NTP = spoken("ntp")
SSH = spoken("ssh")
SIP = spoken("sip")


def xmpp(source: int = 0, target: int = 0, **more: Any) -> dict[str, Any]:
    """A server stream with STARTTLS; name numbers of its `from` and `to`."""
    return spoken(
        "xmpp",
        "tls",
        tls=HELLOS,
        xmpp_namespace=XmppNamespace.SERVER,
        xmpp_starttls=StartTls.PROCEEDED,
        xmpp_from=source,
        xmpp_to=target,
        **more,
    )


def clear_xmpp(clear: XmppClear, source: int = 0, target: int = 0) -> dict[str, Any]:
    """A server stream without TLS, and what went over it."""
    wire = spoken("xmpp", xmpp_namespace=XmppNamespace.SERVER, xmpp_starttls=StartTls.OFFERED)
    return {**wire, "xmpp_clear": clear, "xmpp_from": source, "xmpp_to": target}


class Bench:
    """A site and a judge of it; `judge("192.0.2.25:50112", "203.0.113.10:443/tcp", TLS)`."""

    def __init__(self, topology: Topology, position: str = "external", side: str | None = None) -> None:
        self.topology = topology
        self.site = Site(topology)
        self.judge_of = {position: Judge(topology, position, side, site=self.site)}
        self.position = position
        self.side = side

    def observe(self, source: str, destination: str, wire: dict[str, Any] | None = None, **more: Any) -> Observation:
        target, _, transport = destination.rpartition("/")
        proto = transport_number(transport)
        assert proto is not None
        source_ip, source_port = split(source)
        target_ip, port = split(target)
        values: dict[str, Any] = dict.fromkeys(Observation.__dataclass_fields__, 0)
        values.update(
            transport=proto,
            source=self.site.endpoints.at(source_ip).number,
            destination=self.site.endpoints.at(target_ip).number,
            source_port=self.site.ports.representative(source_port),
            destination_port=self.site.ports.representative(port),
            initiator=Initiator.SYN if proto == 6 else Initiator.FIRST_SURE,
        )
        values.update(wire or SILENT)
        values.update(more)
        return Observation(**values)

    def judge(
        self,
        source: str,
        destination: str,
        wire: dict[str, Any] | None = None,
        *,
        position: str = "",
        detail: Detail = NO_DETAIL,
        **more: Any,
    ) -> Verdict:
        position = position or self.position
        if position not in self.judge_of:
            self.judge_of[position] = Judge(self.topology, position, self.side, site=self.site)
        return self.judge_of[position].judge(self.observe(source, destination, wire, **more), detail)


def split(text: str) -> tuple[str, int]:
    address, _, port = text.rpartition(":")
    return address.strip("[]"), int(port)


def contoso() -> Topology:
    return load(CONTOSO)
