"""Readable protocols: SIP, HTTP, XMPP, DNS, SSH, RTP and RFC 5389 STUN, one function a message.

Each function returns the octets of one message or datagram. Names and addresses are parameters; the wording is that of
an ordinary implementation, since a recogniser must not depend on ours.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import struct
import zlib
from collections.abc import Sequence

Address = tuple[str, int]


def sip_request(
    method: str, target: str, sender: str, receiver: str, via: Address, transport: str, call: str, *, body: bytes = b""
) -> bytes:
    """RFC 3261 §7.1; `target` is a URI without scheme, `sender` and `receiver` are addresses of record."""
    host = f"[{via[0]}]" if ":" in via[0] else via[0]
    lines = [
        f"{method} sip:{target} SIP/2.0",
        f"Via: SIP/2.0/{transport.upper()} {host}:{via[1]};branch=z9hG4bK{_tag(call, 'via')}",
        "Max-Forwards: 70",
        f"From: <sip:{sender}>;tag={_tag(call, 'from')};epid={_tag(call, 'epid')}",
        f"To: <sip:{receiver}>",
        f"Call-ID: {call}",
        f"CSeq: 1 {method}",
        f"Contact: <sip:{sender};opaque=user:epid:{_tag(call, 'epid')};gruu>",
        "User-Agent: UCCAPI/15.0.4420.1017 OC/15.0.4420.1017 (Microsoft Lync)",
        f"Content-Length: {len(body)}",
    ]
    if body:
        lines.insert(-1, "Content-Type: application/sdp")
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


def sip_response(status: int, phrase: str, request: bytes) -> bytes:
    """RFC 3261 §8.2.6: the headers that a response copies from its request."""
    copied = [
        line
        for line in request.decode("ascii").split("\r\n\r\n")[0].split("\r\n")[1:]
        if line.split(":")[0] in {"Via", "From", "To", "Call-ID", "CSeq"}
    ]
    lines = [f"SIP/2.0 {status} {phrase}", *copied, "Server: RTC/5.0", "Content-Length: 0"]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"


def session_description(host: str, port: int) -> bytes:
    family = "IP6" if ":" in host else "IP4"
    lines = ["v=0", f"o=- 0 0 IN {family} {host}", "s=session", f"c=IN {family} {host}", "t=0 0"]
    lines += [f"m=audio {port} RTP/SAVP 114 0 101", "a=rtpmap:114 x-msrta/16000", "a=rtpmap:101 telephone-event/8000"]
    return "\r\n".join(lines).encode("ascii") + b"\r\n"


def _tag(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]


def http_request(method: str, path: str, host: str, agent: str = "OC/15.0.4420.1017 (Microsoft Lync)") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n\r\n".encode("ascii")


def http_response(status: int, phrase: str, kind: str, body: bytes, extra: Sequence[str] = ()) -> bytes:
    lines = [f"HTTP/1.1 {status} {phrase}", *extra, f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


STREAM = "http://etherx.jabber.org/streams"


def xmpp_header(opener: str, answerer: str, *, identity: str | None = None, dialback: bool = True) -> bytes:
    """RFC 6120 §4.7: an initial header, or with `identity` the answer to one."""
    back = " xmlns:db='jabber:server:dialback'" if dialback else ""
    known = f" id='{identity}'" if identity else ""
    return (
        f"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='{STREAM}'{back}"
        f" from='{opener}' to='{answerer}'{known} version='1.0'>"
    ).encode()


XMPP_FEATURES = (
    b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
)
XMPP_STARTTLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
XMPP_PROCEED = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
XMPP_SUCCESS = b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"


def xmpp_auth_external(domain: str) -> bytes:
    """RFC 6120 §6.4, mechanism EXTERNAL: inside TLS, but for those who break the rule."""
    identity = base64.b64encode(domain.encode()).decode()
    return f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{identity}</auth>".encode()


def xmpp_message(sender: str, receiver: str) -> bytes:
    return f"<message from='{sender}' to='{receiver}' type='chat'><body>hello</body></message>".encode()


DNS_TYPES = {"A": 1, "SRV": 33}


def _labels(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.split(".")) + b"\0"


def dns_query(identity: int, name: str, kind: str) -> bytes:
    """RFC 1035 §4.1.1, recursion desired, one question."""
    return struct.pack(">HHHHHH", identity, 0x0100, 1, 0, 0, 0) + _labels(name) + struct.pack(">HH", DNS_TYPES[kind], 1)


def dns_answer(query: bytes, kind: str, value: tuple[str, int]) -> bytes:
    """One record that answers `query`: an address for A, host and port for SRV."""
    if kind == "A":
        data = ipaddress.ip_address(value[0]).packed
    else:
        data = struct.pack(">HHH", 0, 0, value[1]) + _labels(value[0])
    header = query[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0)
    return header + query[12:] + struct.pack(">HHHIH", 0xC00C, DNS_TYPES[kind], 1, 3600, len(data)) + data


def over_tcp(datagram: bytes) -> bytes:
    """Two octets of length in front: DNS on TCP (RFC 1035 §4.2.2), STUN and RTP on TCP (RFC 4571 §2)."""
    return struct.pack(">H", len(datagram)) + datagram


SSH_CLIENT = b"SSH-2.0-PuTTY_Release_0.80\r\n"
SSH_SERVER = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"

RTAUDIO = 114  # x-msrta, 16 kHz, as the product's media profile numbers it


def srtp(stream: int, sequence: int, *, payload_type: int = RTAUDIO, size: int = 80, marker: bool = False) -> bytes:
    """RFC 3550 §5.1 header; the payload is as good as random, as encrypted media is. 20 ms at 16 kHz a packet."""
    header = struct.pack(
        ">BBHII", 0x80, payload_type | (0x80 if marker else 0), sequence & 0xFFFF, sequence * 320 & 0xFFFFFFFF, stream
    )
    noise = hashlib.shake_128(struct.pack(">II", stream, sequence)).digest(size)
    return header + noise


def rtp(stream: int, sequence: int, *, marker: bool = False) -> bytes:
    """The same in clear: 20 ms of a quiet room in PCMU, samples of -4 to 4 in its law (ITU-T G.711)."""
    header = struct.pack(">BBHII", 0x80, 0x80 if marker else 0, sequence & 0xFFFF, sequence * 160 & 0xFFFFFFFF, stream)
    noise = hashlib.shake_128(struct.pack(">II", stream, sequence)).digest(160)
    return header + bytes((0xFF, 0x7F, 0xFE, 0x7E)[octet & 3] for octet in noise)


def rtcp_sender_report(stream: int, packets: int) -> bytes:
    """RFC 3550 §6.4.1, no report blocks."""
    return struct.pack(">BBHIIIIII", 0x80, 200, 6, stream, 0xECA5B4C0, 0, packets * 320, packets, packets * 80)


STUN_COOKIE = 0x2112A442


def stun(
    kind: int, transaction: bytes, attributes: Sequence[tuple[int, bytes]], password: bytes | None = None
) -> bytes:
    """RFC 5389: attributes padded to four; with a password MESSAGE-INTEGRITY, and always FINGERPRINT last."""
    body = b""
    for number, value in attributes:
        body += struct.pack(">HH", number, len(value)) + value + bytes(-len(value) % 4)
    if password is not None:
        head = struct.pack(">HHI", kind, len(body) + 24, STUN_COOKIE) + transaction
        body += struct.pack(">HH", 0x0008, 20) + hmac.digest(password, head + body, "sha1")
    head = struct.pack(">HHI", kind, len(body) + 8, STUN_COOKIE) + transaction
    check = zlib.crc32(head + body) ^ 0x5354554E
    return head + body + struct.pack(">HHI", 0x8028, 4, check)


def ice_check(transaction: bytes, users: str, password: bytes) -> bytes:
    """[MS-ICE2] connectivity check: RFC 5389 Binding request with the implementation version attribute."""
    attributes = [
        (0x0006, users.encode("ascii")),
        (0x0024, struct.pack(">I", 0x6E7E1EFF)),
        (0x802A, transaction[:8]),
        (0x8054, b"1"),
        (0x8070, struct.pack(">I", 3)),
    ]
    return stun(0x0001, transaction, attributes, password)


def ice_answer(transaction: bytes, seen: Address, password: bytes) -> bytes:
    """Binding success response; `seen`: where the request came from."""
    ip = ipaddress.ip_address(seen[0])
    mask = struct.pack(">I", STUN_COOKIE) + transaction
    value = struct.pack(">BBH", 0, 1 if ip.version == 4 else 2, seen[1] ^ (STUN_COOKIE >> 16))
    value += bytes(a ^ b for a, b in zip(ip.packed, mask, strict=False))
    return stun(0x0101, transaction, [(0x0020, value), (0x8070, struct.pack(">I", 3))], password)
