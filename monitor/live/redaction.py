"""How much of a packet is kept as evidence: what shows who spoke which protocol to whom, and not what they said.

Strategy: decided packet by packet from the services of its flow and its first octets, and where that leaves a doubt,
less is kept. What is kept:

* `snaplen` octets of each packet, and:
* `handshakes: full`: packets that open a TLS, DTLS or QUIC session whole, certificates included; `headers`: cut behind
  the transport header;
* `media: headers`: RTP, RTCP and what a relay carries cut behind the transport header (RFC 7983 tells them by the first
  octet); STUN requests and answers stay;
* `messages: redact`: of SIP the start line and header fields at the front of a packet, of XMPP the tags; all other text
  is overwritten by spaces of the same length, and so is all that cannot be told apart, such as the second half of a
  message. Checksums are left as they were;
* of a flow whose service is not known yet nothing behind the transport header.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection
from dataclasses import replace
from typing import Final, Protocol

from monitor.evidence import Packet

MEDIA: Final = frozenset({"rtp", "rtcp", "turn", "stun", "pseudo-tls"})
MESSAGES: Final = frozenset({"sip", "xmpp"})
HANDSHAKES: Final = frozenset({"tls", "dtls", "quic"})

_VLAN: Final = (0x8100, 0x88A8, 0x9100)
_ETHERNET: Final = 1
_RAW: Final = 101
_TCP: Final = 6
_UDP: Final = 17
_IPV6_OPTIONS: Final = (0, 43, 60)  # hop-by-hop, routing, destination options: RFC 8200, 4
_IPV6_FRAGMENT: Final = 44
_FIXED: Final = {1: 8, _UDP: 8, 58: 8, 132: 12}
"""Octets of headers without options: ICMP, UDP, ICMPv6, SCTP's common one."""

_STUN_DATA: Final = (0x0016, 0x0017, 0x0004, 0x0115)
"""Message types that carry media: TURN's Send and Data indications (RFC 8656), MS-TURN's Send request and Data
Indication ([MS-TURN] 2.2.1)."""

_START_LINE: Final = re.compile(
    rb"(?:SIP/2\.0 \d{3}|[A-Z]{2,20} \S+ SIP/2\.0|HTTP/1\.[01] \d{3}|[A-Z]{2,20} \S+ HTTP/1\.[01])"
)
_NOT_BLANK: Final = re.compile(rb"[^\r\n]")


class Rules(Protocol):
    """What is needed of the settings under `evidence`."""

    @property
    def snaplen(self) -> int: ...

    @property
    def handshakes(self) -> str: ...

    @property
    def media(self) -> str: ...

    @property
    def messages(self) -> str: ...


def kept(packet: Packet, services: Collection[str], rules: Rules) -> Packet:
    """The packet as it may be stored. services: those of its flow, none if they are not known yet."""
    begin = payload_at(packet)
    payload = packet.data[begin:]
    return replace(
        packet, data=(packet.data[:begin] + _payload(payload, services, rules))[: _room(payload, services, rules)]
    )


def _room(payload: bytes, services: Collection[str], rules: Rules) -> int:
    if rules.handshakes == "full" and not HANDSHAKES.isdisjoint(services) and _opens_session(payload):
        return 262_144  # the most that a capture takes
    return rules.snaplen


def _payload(payload: bytes, services: Collection[str], rules: Rules) -> bytes:
    if not services:
        return b""
    secured = not HANDSHAKES.isdisjoint(services) and _is_record(payload)
    if secured:
        return payload if rules.handshakes == "full" or not _opens_session(payload) else b""
    if rules.media == "headers" and not MEDIA.isdisjoint(services):
        return payload if _is_stun(payload) else b""
    if rules.messages == "redact" and not MESSAGES.isdisjoint(services):
        return _without_tags(payload) if "xmpp" in services else _without_body(payload)
    return payload


def _is_record(payload: bytes) -> bool:
    """Whether it begins as TLS (RFC 8446, 5.1), DTLS (RFC 9147, 4) or QUIC (RFC 9000, 17) does."""
    if payload[:1] in (b"\x14", b"\x15", b"\x16", b"\x17") and payload[1:2] in (b"\x03", b"\xfe"):
        return True
    return bool(payload) and payload[0] & 0xC0 == 0xC0 and payload[1:5] in (b"\0\0\0\1", b"\x6b\x33\x43\xcf")


def _opens_session(payload: bytes) -> bool:
    """Handshake, alert or change of cipher; and segments that go on with one, which no record begins."""
    return bool(payload) and payload[:2] not in (b"\x17\x03", b"\x17\xfe")


def _is_stun(payload: bytes) -> bool:
    """STUN that carries no media, bare or in MS-TURN's frame for TCP ([MS-TURN] 2.1.2), or the hello of pseudo-TLS."""
    if payload[:1] == b"\x16":
        return True
    body = payload[4:] if payload[:2] == b"\x02\x00" else payload
    if len(body) < 20 or body[0] > 3:
        return False
    return struct.unpack("!H", body[:2])[0] not in _STUN_DATA


def _without_body(payload: bytes) -> bytes:
    if _START_LINE.match(payload) is None:
        return _blank(payload)
    head, empty, body = payload.partition(b"\r\n\r\n")
    return head + empty + _blank(body)


def _without_tags(payload: bytes) -> bytes:
    """Text outside of tags goes; what goes on with a tag or text begun in another packet goes, too."""
    made, position = [], 0
    while position < len(payload):
        opening = payload.find(b"<", position)
        if opening < 0:
            made.append(_blank(payload[position:]))
            break
        closing = payload.find(b">", opening)
        closing = len(payload) - 1 if closing < 0 else closing
        made += [_blank(payload[position:opening]), payload[opening : closing + 1]]
        position = closing + 1
    return b"".join(made)


def _blank(text: bytes) -> bytes:
    return _NOT_BLANK.sub(b" ", text)


def payload_at(packet: Packet) -> int:
    """Offset of what follows the outermost transport header; where there is none, behind the last one understood."""
    data, at = packet.data, 0
    kind = 0
    if packet.link_type == _ETHERNET:
        at = 12
        kind = _word(data, at)
        while kind in _VLAN:
            at += 4
            kind = _word(data, at)
        at += 2
    elif packet.link_type == _RAW and data:
        kind = 0x86DD if data[0] >> 4 == 6 else 0x0800
    if kind == 0x0800 and len(data) >= at + 20:
        protocol, fragment = data[at + 9], _word(data, at + 6) & 0x1FFF
        at += (data[at] & 0xF) * 4
        return at if fragment else _behind_transport(data, at, protocol)
    if kind == 0x86DD and len(data) >= at + 40:
        protocol, at = data[at + 6], at + 40
        while protocol in _IPV6_OPTIONS and len(data) >= at + 8:
            protocol, at = data[at], at + (data[at + 1] + 1) * 8
        if protocol == _IPV6_FRAGMENT and len(data) >= at + 8:
            later = _word(data, at + 2) & 0xFFF8
            protocol, at = data[at], at + 8
            return at if later else _behind_transport(data, at, protocol)
        return _behind_transport(data, at, protocol)
    return at


def _behind_transport(data: bytes, at: int, protocol: int) -> int:
    if protocol == _TCP and len(data) > at + 12:
        return at + (data[at + 12] >> 4) * 4
    return at + _FIXED.get(protocol, 0)


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")
