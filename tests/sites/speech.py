"""What the ends of a table's flow say: a word of the table (`say:`) becomes the turns of an exchange.

Octets come from the byte makers of `monitor.simulate` (real TLS endpoints, [MS-TURN] messages), the rest is written
out here; nothing is taken from the scenario tables, so that a mistake there cannot repeat itself here.
"""

from __future__ import annotations

import datetime
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from monitor.simulate import msturn
from monitor.simulate.credentials import Name, Vault
from monitor.simulate.exchange import Turn, destination, source
from monitor.simulate.tls import Wish, connect

START = datetime.datetime(2026, 11, 20, 8, 0, tzinfo=datetime.UTC)
VAULT = Vault("Wide World Importers", START)
NOBODY = ("server.example",)  # whose certificate says nothing of the site

TRANSACTION = bytes.fromhex("2112a4420102030405060708090a0b0c")
RANDOM = bytes(range(0x10, 0x2C))
SESSION = bytes(range(0xA0, 0xB4)) + bytes(12)
PSEUDO_HELLO = msturn.pseudo_client_hello(0x52D3A2C0, RANDOM)
PSEUDO_REPLY = msturn.pseudo_server_hello(0x52D3A2C1, RANDOM, SESSION)
ALLOCATE = msturn.message(
    msturn.ALLOCATE, TRANSACTION, [(msturn.MS_VERSION, msturn.number(2)), (msturn.SERVICE_QUALITY, b"\0\1\0\1")]
)
CHALLENGE = msturn.message(
    msturn.ALLOCATE_ERROR,
    TRANSACTION,
    [
        (msturn.MS_VERSION, msturn.number(2)),
        (msturn.ERROR_CODE, msturn.error(401, "Unauthorized")),
        (msturn.NONCE, bytes(range(20))),
        (msturn.REALM, msturn.QUOTED_REALM),
    ],
)
SHARED_SECRET = msturn.message(0x0002, TRANSACTION, [(msturn.MS_VERSION, msturn.number(2))])
BINDING = bytes.fromhex("000100082112a442 000102030405060708090a0b 002400046e0001ff")
BOUND = bytes.fromhex("0101000c2112a442 000102030405060708090a0b 002000080001a147e115a643")
# No protocol begins so: the first octet belongs to none of STUN, DTLS, RTP, TLS, a text, a length of the usual ones.
GARBAGE = bytes((0xE7 * n * n + 0xC5 + 7 * n) & 0xFF for n in range(100))

GET = b"GET /issuer.crl HTTP/1.1\r\nHost: crl.example\r\nUser-Agent: test\r\n\r\n"
DISCOVER = b"GET /Autodiscover/AutodiscoverService.svc/root HTTP/1.1\r\nHost: web.example\r\n\r\n"
FOUND = b"HTTP/1.1 200 OK\r\nContent-Type: application/pkix-crl\r\nContent-Length: 4\r\n\r\n0\0\0\0"


def sip(transport: str) -> tuple[bytes, bytes]:
    headers = (
        f"Via: SIP/2.0/{transport} 192.0.2.25;branch=z9hG4bK776asdhds\r\nMax-Forwards: 70\r\n"
        "From: <sip:alice@a.example>;tag=1928\r\nTo: <sip:bob@b.example>\r\nCall-ID: a84b4c76e66710\r\n"
        "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    return f"OPTIONS sip:bob@b.example SIP/2.0\r\n{headers}".encode(), f"SIP/2.0 403 Forbidden\r\n{headers}".encode()


def dns(response: bool) -> bytes:
    question = b"\3www\7example\0" + b"\0\1\0\1"
    if response:
        return b"\x12\x34\x81\x80\0\1\0\1\0\0\0\0" + question + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"
    return b"\x12\x34\x01\0\0\1\0\0\0\0\0\0" + question


def ntp(mode: int) -> bytes:
    return bytes([0x20 | mode, 2, 6, 0xEC]) + bytes(8) + b"\x7f\0\0\1" + bytes(24) + b"\xee\xcb\x1a\0" + bytes(4)


# RFC 3416 3: sysDescr.0 is asked for and told
SNMP_GET = bytes.fromhex("302702010104067075626c6963 a01a02021267020100020100 300e300c06082b060102010101000500")
SNMP_TOLD = (
    bytes.fromhex("302d02010104067075626c6963 a22002021267020100020100 3014301206082b06010201010100 0406") + b"edge01"
)


def rtp(count: int, start: int = 12000) -> list[bytes]:
    return [
        struct.pack(">BBHII", 0x80, 114, start + n, 320 * n, 0xABCD)
        + bytes((n * 37 + k * 91) & 0xFF for k in range(60))
        for n in range(count)
    ]


def xmpp(words: str) -> list[Turn]:
    """`FROM>TO`: stream header of the opener, then the other side's with its features."""
    peer, own = words.split(">")
    head = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
    opens = f"{head}from='{peer}' to='{own}' version='1.0'>"
    answers = (
        f"{head}from='{own}' to='{peer}' id='s1' version='1.0'>"
        "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"
    )
    return [source(opens.encode()), destination(answers.encode())]


def web(target: str, status: str, kind: str = "text/html") -> list[Turn]:
    """`HOST/PATH` asked for over HTTP; redirected to HTTPS, or answered with a page or what else `kind` says."""
    host, _, path = target.partition("/")
    more = f"Location: https://{target}\r\n" if status.startswith("3") else f"Content-Type: {kind}\r\n"
    return [
        source(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n".encode()),
        destination(f"HTTP/1.1 {status}\r\n{more}Content-Length: 6\r\n\r\n<html>".encode()),
    ]


PROCEED = [
    source(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
    destination(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
]
CHAT = [source(b"<message from='a@a.example' to='b@b.example'><body>hello</body></message>")]
AUTH = [source(b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>YS5leGFtcGxl</auth>")]


@dataclass(frozen=True, slots=True)
class Ends:
    """The names that the certificates of both ends carry, the subject first."""

    source: tuple[str, ...] = NOBODY
    destination: tuple[str, ...] = NOBODY


def tls(
    ends: Ends,
    *,
    client: bool = False,
    asks: str = "no",
    version: str = "1.2",
    resumed: bool = False,
    name: str = "server.example",
    expired: bool = False,
    public: bool = True,
) -> list[Turn]:
    talk = ((source(b"").speaker, b"hello " * 20), (destination(b"").speaker, b"world " * 20))
    shown = VAULT.credential(Name(ends.destination[0], ends.destination, public, expired))
    own = VAULT.credential(Name(ends.source[0], ends.source, True))
    wish = Wish(shown, own if client else None, asks=asks, version=version, name=name, resumed=resumed)
    return connect(VAULT, wish, talk).turns


def _alert(turns: Sequence[Turn]) -> list[Turn]:
    return [turns[0], destination(b"\x15\x03\x03\x00\x02\x02\x28")]


def _frames4571(octets: bytes) -> bytes:
    return struct.pack(">H", len(octets)) + octets


def _records() -> list[Turn]:
    """Application data records of a session whose beginning nobody saw."""
    body = bytes((n * 73 + 41) & 0xFF for n in range(120))
    return [source(b"\x17\x03\x03\x00\x78" + body), destination(b"\x17\x03\x03\x00\x78" + body[::-1])]


TLS: dict[str, Callable[[Ends], list[Turn]]] = {
    "tls": tls,
    "tls10": lambda ends: tls(ends, version="1.0"),
    "tls13": lambda ends: tls(ends, version="1.3"),
    "mtls": lambda ends: tls(ends, client=True, asks="required"),
    "mtls13": lambda ends: tls(ends, client=True, asks="required", version="1.3"),
    "mtls resumed": lambda ends: tls(ends, client=True, asks="required", resumed=True),
    "empty certificate": lambda ends: tls(ends, asks="optional"),
    "certificate refused": lambda ends: tls(ends, asks="required"),
    "hello": lambda ends: tls(ends)[:1],
    "hello, alert": lambda ends: _alert(tls(ends)),
    # the right listener with somebody else's certificate, the right client with somebody else's
    "tls, wrong name": lambda ends: tls(Ends(ends.source)),
    "mtls, wrong client": lambda ends: tls(Ends(NOBODY, ends.destination), client=True, asks="required"),
}

SAY: dict[str, Callable[[], list[Turn]]] = {
    "nothing": list,
    "records": _records,
    # MS-TURN, STUN, media
    "pseudo": lambda: [
        source(PSEUDO_HELLO),
        destination(PSEUDO_REPLY),
        source(msturn.frame(ALLOCATE)),
        destination(msturn.frame(CHALLENGE)),
    ],
    "pseudo hello": lambda: [source(PSEUDO_HELLO)],
    "pseudo hello, reply": lambda: [source(PSEUDO_HELLO), destination(PSEUDO_REPLY)],
    "pseudo hello, alert": lambda: _alert([source(PSEUDO_HELLO)]),
    "framed turn": lambda: [source(msturn.frame(ALLOCATE)), destination(msturn.frame(CHALLENGE))],
    "turn": lambda: [source(ALLOCATE), destination(CHALLENGE)],
    "turn unanswered": lambda: [source(ALLOCATE)],
    "check": lambda: [source(BINDING), source(BINDING, 0.5)],
    "check answered": lambda: [source(BINDING), destination(BOUND)],
    "tcp check answered": lambda: [source(_frames4571(BINDING)), destination(_frames4571(BOUND))],
    "rtp 5": lambda: [source(packet, 0.02) for packet in rtp(5)],
    "rtp": lambda: [source(packet, 0.02) for packet in rtp(12)],
    "rtp both": lambda: [
        turn for a, b in zip(rtp(12), rtp(12, 400), strict=True) for turn in (source(a, 0.02), destination(b, 0.003))
    ],
    # others
    "http": lambda: [source(GET), destination(FOUND)],
    "autodiscover": lambda: [source(DISCOVER), destination(FOUND)],
    "http unanswered": lambda: [source(GET)],
    "sip": lambda: [source(sip("TCP")[0]), destination(sip("TCP")[1])],
    "sip unanswered": lambda: [source(sip("UDP")[0])],
    "dns": lambda: [source(dns(False)), destination(dns(True))],
    "dns unanswered": lambda: [source(dns(False))],
    "shared secret": lambda: [source(SHARED_SECRET), destination(CHALLENGE)],
    "ssh": lambda: [destination(b"SSH-2.0-OpenSSH_9.2\r\n"), source(b"SSH-2.0-OpenSSH_8.4\r\n")],
    "smtp": lambda: [destination(b"220 mail.example ESMTP\r\n"), source(b"EHLO a.example\r\n")],
    "tcp dns": lambda: [source(_frames4571(dns(False))), destination(_frames4571(dns(True)))],
    "ntp": lambda: [source(ntp(3)), destination(ntp(4))],
    "snmp": lambda: [source(SNMP_GET), destination(SNMP_TOLD)],
    "garbage": lambda: [source(GARBAGE)],
    "garbage both": lambda: [source(GARBAGE), destination(GARBAGE[::-1])],
    "40 octets": lambda: [source(GARBAGE[:40])],
}


WORDS: dict[str, Callable[[str, Ends], list[Turn]]] = {
    "xmpp": lambda words, ends: xmpp(words),
    "xmpp chat": lambda words, ends: [*xmpp(words), *CHAT],
    "xmpp auth": lambda words, ends: [*xmpp(words), *AUTH],
    "xmpp tls": lambda words, ends: [*xmpp(words), *PROCEED, *tls(ends)],
    "xmpp client": lambda words, ends: [
        Turn(turn.speaker, turn.octets.replace(b"jabber:server'", b"jabber:client'"), turn.pause)
        for turn in xmpp(words)
    ],
    "asks for": lambda name, ends: tls(ends, name=name),
    "shows": lambda name, ends: tls(Ends(ends.source, (name,))),
    "shows private": lambda name, ends: tls(Ends(ends.source, (name,)), public=False),
    "shows expired": lambda name, ends: tls(Ends(ends.source, (name,)), expired=True),
    "mtls of": lambda name, ends: tls(Ends((name,), ends.destination), client=True, asks="required"),
    "get": lambda target, ends: web(target, "200 OK"),
    "discovered": lambda target, ends: web(target, "200 OK", "application/vnd.microsoft.rtc.autodiscover+xml;v=1"),
    "redirected": lambda target, ends: web(target, "302 Found"),
}
"""Words with a word after the colon: names of a stream `FROM>TO`, of a certificate, of who is asked for."""


def turns(word: str, ends: Ends) -> list[Turn]:
    """Raises KeyError for a word that is none."""
    kind, _, rest = word.partition(": ")
    if rest:
        return WORDS[kind](rest, ends)
    if word.startswith("xmpp "):
        return xmpp(word.removeprefix("xmpp "))
    return TLS[word](ends) if word in TLS else SAY[word]()
