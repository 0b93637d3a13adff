"""Octets of Microsoft's TURN dialect: pseudo-TLS, TCP framing, messages without padding, message integrity.

[MS-TURN] 2.1.1 (pseudo-TLS), 2.1.4 (framing), 2.2.1 and 2.2.2 (messages, attributes). Two things differ from RFC 5766
and trip generic tools: attributes are not padded to four octets, and NONCE and REALM have changed numbers. All
functions are pure; random parts are parameters, so that known vectors can be reproduced octet by octet.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import dataclass

ALLOCATE, ALLOCATE_OK, ALLOCATE_ERROR = 0x0003, 0x0103, 0x0113
SEND, DATA_INDICATION = 0x0004, 0x0115
SET_ACTIVE, SET_ACTIVE_OK = 0x0006, 0x0106

MAPPED_ADDRESS = 0x0001
USERNAME = 0x0006
MESSAGE_INTEGRITY = 0x0008
ERROR_CODE = 0x0009
LIFETIME = 0x000D
ALTERNATE_SERVER = 0x000E
MAGIC_COOKIE = 0x000F
BANDWIDTH = 0x0010
DESTINATION_ADDRESS = 0x0011
REMOTE_ADDRESS = 0x0012
DATA = 0x0013
NONCE = 0x0014
REALM = 0x0015
MS_VERSION = 0x8008
XOR_MAPPED_ADDRESS = 0x8020
SEQUENCE_NUMBER = 0x8050
SERVICE_QUALITY = 0x8055

COOKIE = bytes.fromhex("72c64bc6")
QUOTED_REALM = b'"rtcmedia"'  # the quotes are part of the value on the wire, not of the key

FRAME_CONTROL, FRAME_DATA = 0x02, 0x03

Address = tuple[str, int]
Attribute = tuple[int, bytes]


def pseudo_client_hello(moment: int, random: bytes) -> bytes:
    """The 50 octets a client sends first on TCP 443. moment: 32 bits; random: 28 octets."""
    return (
        bytes.fromhex("160301002d 01000029 0301")
        + struct.pack(">I", moment)
        + _exactly(random, 28)
        + bytes.fromhex("00 00020018 0100")
    )


def pseudo_server_hello(moment: int, random: bytes, session: bytes) -> bytes:
    """The 83 octets of the answer: ServerHello and ServerHelloDone in one record. session: 32 octets."""
    return (
        bytes.fromhex("160301004e 02000046 0301")
        + struct.pack(">I", moment)
        + _exactly(random, 28)
        + b"\x20"
        + _exactly(session, 32)
        + bytes.fromhex("001800 0e000000")
    )


def _exactly(octets: bytes, count: int) -> bytes:
    if len(octets) != count:
        raise ValueError(f"{len(octets)} octets where {count} belong")
    return octets


def frame(body: bytes, kind: int = FRAME_CONTROL) -> bytes:
    """One unit of the TCP form: type, zero, length, body."""
    return struct.pack(">BBH", kind, 0, len(body)) + body


def address(where: Address, mask: bytes = b"") -> bytes:
    """Value of an address attribute; `mask`: the transaction id, for the XOR form."""
    ip = ipaddress.ip_address(where[0])
    packed, port = ip.packed, where[1]
    if mask:
        port ^= int.from_bytes(mask[:2], "big")
        packed = bytes(a ^ b for a, b in zip(packed, mask, strict=False))
    return struct.pack(">BBH", 0, 1 if ip.version == 4 else 2, port) + packed


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials from the A/V authentication service. username: opaque token; password: octets."""

    username: bytes
    password: bytes
    realm: bytes = QUOTED_REALM

    def key(self) -> bytes:
        text = self.username + b":" + self.realm.strip(b'"') + b":" + self.password
        return hashlib.md5(text, usedforsecurity=False).digest()  # what the protocol says


def token(expires: int, identity: bytes, mac: bytes) -> bytes:
    """The 56-octet username of form 02. expires: Windows FILETIME; identity, mac: 20 octets each."""
    body = struct.pack(">II", expires & 0xFFFFFFFF, expires >> 32) + _exactly(identity, 20) + bytes(4)
    return struct.pack(">BBH", 2, 0, 4 + len(body)) + body + _exactly(mac, 20)


def message(kind: int, transaction: bytes, attributes: Sequence[Attribute], login: Login | None = None) -> bytes:
    """One message: header, magic cookie first, the attributes, and message integrity last if a login is given."""
    body = b""
    for number, value in ((MAGIC_COOKIE, COOKIE), *attributes):
        body += struct.pack(">HH", number, len(value)) + value
    _exactly(transaction, 16)
    if login is None:
        return struct.pack(">HH", kind, len(body)) + transaction + body
    # The code covers everything before the attribute, with the length that includes it, filled to 64 with zeros.
    signed = struct.pack(">HH", kind, len(body) + 24) + transaction + body
    code = hmac.digest(login.key(), signed + bytes(-len(signed) % 64), "sha1")
    return signed + struct.pack(">HH", MESSAGE_INTEGRITY, 20) + code


def number(value: int) -> bytes:
    return struct.pack(">I", value)


def sequence_number(connection: bytes, counter: int) -> bytes:
    return _exactly(connection, 20) + number(counter)


def error(code: int, text: str) -> bytes:
    return struct.pack(">HBB", 0, code // 100, code % 100) + text.encode("ascii")
