"""What tshark says of a capture: the other opinion that our own facts are compared with.

One run of tshark a capture, as tab-separated fields of each frame; the innermost headers count (as ours do). Nothing of
Edgewarden is imported here.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FIELDS = (
    "frame.number",
    "frame.protocols",
    "ip.src",
    "ip.dst",
    "ip.proto",
    "ip.flags.mf",
    "ip.frag_offset",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.nxt",
    "ipv6.fraghdr.nxt",
    "tcp.srcport",
    "tcp.dstport",
    "udp.srcport",
    "udp.dstport",
    "sctp.srcport",
    "sctp.dstport",
    "tls.handshake.type",
    "tls.handshake.extensions_server_name",
    "tls.handshake.version",
    "tls.handshake.extensions.supported_version",
    "dtls.handshake.type",
    "dtls.handshake.extensions_server_name",
    "dtls.handshake.version",
    "dtls.handshake.extensions.supported_version",
    "sip.Call-ID",
    "xmpp.stream",
    "xml.attribute",
)
_SEPARATOR = "\x1f"

SERVICES = {
    **{name: name for name in ("ntp", "openvpn", "snmp", "kerberos", "rdp", "smb", "smtp", "ftp", "imap", "ldap")},
    "socks": "socks",
    "vnc": "vnc",
    "isakmp": "ike",
    "wg": "wireguard",
    "tds": "mssql",
    "pop": "pop3",
    "rdpudp": "rdp",
    "cldap": "ldap",
    "smb2": "smb",
    "nbss": "smb",
}
"""tshark's name of a service beside the edge → ours. It goes by ports, too."""

Ends = tuple[str, frozenset[tuple[str, int]]]
"""Transport and the unordered pair of (address, port)."""


@dataclass
class Conversation:
    """One five-tuple as tshark sees it."""

    packets: int = 0
    server_names: list[str] = field(default_factory=list)
    server_versions: list[int] = field(default_factory=list)
    call_ids: list[str] = field(default_factory=list)
    stream_to: list[str] = field(default_factory=list)
    services: set[str] = field(default_factory=set)


@dataclass
class Frame:
    values: dict[str, list[str]]

    def last(self, name: str) -> str | None:
        values = self.values.get(name)
        return values[-1] if values else None

    @property
    def layers(self) -> list[str]:
        return (self.last("frame.protocols") or "").split(":")


def frames(capture: Path) -> Iterator[Frame]:
    """Every frame of a capture with its fields. Raises RuntimeError when tshark cannot be run at all."""
    command = ["tshark", "-n", "-r", str(capture), "-d", "tcp.port==5269,xmpp", "-T", "fields"]
    command += ["-o", "tcp.reassemble_out_of_order:TRUE"]
    command += ["-E", f"separator={_SEPARATOR}", "-E", "aggregator=|", "-E", "occurrence=a"]
    for name in FIELDS:
        command += ["-e", name]
    run = subprocess.run(command, capture_output=True, timeout=120, check=False)
    if not run.stdout and run.returncode != 0:
        raise RuntimeError(run.stderr.decode(errors="replace"))
    for line in run.stdout.decode(errors="replace").splitlines():
        cells = line.split(_SEPARATOR)
        if len(cells) == len(FIELDS):
            yield Frame({name: cell.split("|") for name, cell in zip(FIELDS, cells, strict=True) if cell})


def _ends(frame: Frame) -> Ends | None:
    """The innermost conversation of a frame. An ICMP error belongs to the one it quotes, whose headers come last."""
    layers = frame.layers
    inner = max((index for index, layer in enumerate(layers) if layer in ("ip", "ipv6")), default=-1)
    if inner < 0:
        return None
    family = layers[inner]
    source, destination = frame.last(f"{family}.src"), frame.last(f"{family}.dst")
    for transport in ("tcp", "udp", "sctp"):
        if transport in layers[inner:]:
            ports = frame.last(f"{transport}.srcport"), frame.last(f"{transport}.dstport")
            if source and destination and ports[0] and ports[1]:
                return transport, frozenset({(source, int(ports[0])), (destination, int(ports[1]))})
    return None


def _attribute(frame: Frame, name: str) -> str:
    """Value of an attribute of the first element that has it; "" where none has."""
    for text in frame.values.get("xml.attribute", []):
        key, _, value = text.partition("=")
        if key == name:
            return value.strip("'\"")
    return ""


def conversations(capture: Path) -> tuple[dict[Ends, Conversation], int]:
    """TCP, UDP and SCTP conversations, and how many frames are fragments (only the one that completes a packet counts
    in a conversation here)."""
    found: dict[Ends, Conversation] = {}
    fragments = 0
    for frame in frames(capture):
        fragments += (
            frame.last("ip.flags.mf") == "1"
            or "ipv6.fraghdr" in frame.layers
            or (frame.last("ip.frag_offset") or "0") not in ("0", "0x0000")
        )
        ends = _ends(frame)
        if ends is None:
            continue
        conversation = found.setdefault(ends, Conversation())
        conversation.packets += 1
        if "icmp" in frame.layers or "icmpv6" in frame.layers:
            continue  # what an error quotes was said before
        if "nbdgm" not in frame.layers:  # NetBIOS datagrams carry announcements in the form of SMB
            conversation.services |= {SERVICES[layer] for layer in frame.layers if layer in SERVICES}
        for layer in ("tls", "dtls"):
            conversation.server_names += frame.values.get(f"{layer}.handshake.extensions_server_name", [])
            if "2" in frame.values.get(f"{layer}.handshake.type", []):
                chosen = frame.values.get(f"{layer}.handshake.extensions.supported_version") or frame.values.get(
                    f"{layer}.handshake.version", []
                )
                conversation.server_versions += [int(value, 16) for value in chosen]
        conversation.call_ids += frame.values.get("sip.Call-ID", [])
        if frame.last("xmpp.stream"):
            conversation.stream_to.append(_attribute(frame, "to"))
    return found, fragments
