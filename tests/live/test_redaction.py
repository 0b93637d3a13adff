"""What of a packet may be kept as evidence, with frames and messages written by hand from the RFCs."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.evidence import Packet
from monitor.live.redaction import kept, payload_at


@dataclass(frozen=True)
class Rules:
    snaplen: int = 256
    handshakes: str = "full"
    media: str = "headers"
    messages: str = "redact"


ETHERNET = bytes(12) + b"\x08\x00"


def tcp(payload: bytes, options: bytes = b"") -> Packet:
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + len(options) + len(payload), 0, 0, 64, 6, 0, bytes(4), bytes(4))
    header = struct.pack("!HHIIBBHHH", 40000, 5061, 1, 1, (5 + len(options) // 4) << 4, 0x18, 0, 0, 0)
    data = ETHERNET + ip + header + options + payload
    return Packet(0, 1, len(data), data)


def udp6(payload: bytes) -> Packet:
    """IPv6 without a link header, a hop-by-hop header before UDP."""
    hop = struct.pack("!BB6x", 17, 0)
    header = struct.pack("!HHHH", 50000, 3478, 8 + len(payload), 0)
    data = struct.pack("!IHBB16s16s", 6 << 28, 16 + len(payload), 0, 64, bytes(16), bytes(16)) + hop + header + payload
    return Packet(0, 101, len(data), data)


@pytest.mark.parametrize(
    ("packet", "offset"),
    [
        (tcp(b"x"), 14 + 20 + 20),
        (tcp(b"x", bytes(12)), 14 + 20 + 32),
        (udp6(b"x"), 40 + 8 + 8),
        (Packet(0, 1, 0, bytes(12) + b"\x81\x00\x00\x07" + tcp(b"").data[12:]), 14 + 4 + 20 + 20),
        (Packet(0, 1, 0, bytes(12) + b"\x08\x06" + bytes(28)), 14),
        (Packet(0, 1, 0, b""), 14),
    ],
)
def test_where_the_payload_begins(packet: Packet, offset: int) -> None:
    assert payload_at(packet) == offset


def test_a_later_fragment_is_all_payload() -> None:
    data = bytearray(tcp(b"secret").data)
    data[14 + 6 : 14 + 8] = b"\x00\x05"
    packet = Packet(0, 1, len(data), bytes(data))
    assert payload_at(packet) == 14 + 20
    assert b"secret" not in kept(packet, ["sip"], Rules()).data


MESSAGE = b"MESSAGE sip:bob@contoso.com SIP/2.0\r\nCall-ID: abc\r\nContent-Length: 12\r\n\r\nHello,\r\nBob!"


def test_the_body_of_a_sip_message_becomes_blanks_of_the_same_length() -> None:
    packet = tcp(MESSAGE)
    stored = kept(packet, ["sip"], Rules()).data
    assert stored[54:] == MESSAGE.replace(b"Hello,", b"      ").replace(b"Bob!", b"    ")
    assert kept(packet, ["sip"], Rules(messages="full")).data == packet.data


def test_a_segment_that_begins_inside_a_message_becomes_blank() -> None:
    assert kept(tcp(b"lo, Bob!"), ["sip"], Rules()).data[54:] == b" " * 8
    assert kept(tcp(MESSAGE[-12:] + MESSAGE), ["sip"], Rules()).data[54:].strip() == b""


def test_of_xmpp_the_tags_stay() -> None:
    stanza = b"hi</body><message to='a@b'><body>Hello</body></message>rest"
    stored = kept(tcp(stanza), ["xmpp"], Rules()).data[54:]
    assert stored == b"  </body><message to='a@b'><body>     </body></message>    "


def test_media_is_cut_behind_the_transport_header_and_stun_stays() -> None:
    rtp = b"\x80\x60" + bytes(160)
    assert len(kept(udp6(rtp), ["stun", "rtp"], Rules()).data) == 56
    assert kept(udp6(rtp), ["stun", "rtp"], Rules(media="full")).data == udp6(rtp).data
    binding = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12)
    assert kept(udp6(binding), ["stun", "rtp"], Rules()).data == udp6(binding).data
    relayed = b"\x00\x16" + binding[2:]  # Send indication
    assert len(kept(udp6(relayed), ["turn"], Rules()).data) == 56
    channel = b"\x40\x00\x00\x10" + bytes(16)
    assert len(kept(udp6(channel), ["turn"], Rules()).data) == 56


def test_handshakes_stay_whole_and_what_follows_is_cut() -> None:
    certificate = b"\x16\x03\x03\x0b\xb8" + b"c" * 3000
    assert kept(tcp(certificate), ["tls"], Rules()).data == tcp(certificate).data
    assert len(kept(tcp(certificate), ["tls"], Rules(handshakes="headers")).data) == 54
    assert len(kept(tcp(b"\x17\x03\x03\x0b\xb8" + b"d" * 3000), ["tls"], Rules()).data) == 256
    both = kept(tcp(b"\x16\x03\x01\x00\x02ab"), ["xmpp", "tls"], Rules())
    assert both.data[54:] == b"\x16\x03\x01\x00\x02ab"


def test_before_the_service_is_known_no_payload_stays() -> None:
    assert len(kept(tcp(b"USER admin"), [], Rules()).data) == 54
    assert kept(tcp(b"USER admin"), ["unknown"], Rules()).data[54:] == b"USER admin"


def test_the_length_on_the_wire_stays() -> None:
    packet = tcp(b"x" * 1000)
    stored = kept(packet, ["http"], Rules())
    assert (len(stored.data), stored.length) == (256, packet.length)


@given(data=st.binary(max_size=200), link_type=st.sampled_from([1, 101, 113]), service=st.sampled_from(["sip", "xmpp"]))
def test_any_octets(data: bytes, link_type: int, service: str) -> None:
    stored = kept(Packet(0, link_type, len(data), data), [service], Rules()).data
    assert len(stored) <= len(data)
