"""What tshark says of a few packets: dissectors that we did not write, through pyshark, in a process of their own.

Strategy: the captures are written into a folder made for the purpose, beside an empty home; the process that reads
them there (`process.py`) is bounded in time, memory, output and rights, and whatever it does ends with it. Dissectors
have had defects that a packet can use: what comes back is taken apart with the same distrust as what is on the wire.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from monitor.dissect.process import MAX_LINE, NOBODY
from reports.visible import visible

TOOL: Final = "tshark"

NOT_INSTALLED: Final = "tshark is not installed (on Debian: apt install tshark)"

_STRUCTURE: Final = frozenset({"data", "tcp.segments", "x509sat", "x509ce", "x509af", "pkcs-1", "pkix1explicit"})


class NoDissection(Exception):
    """tshark could not be asked; the text says why, and what would help."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one call. A slice of evidence holds 8 flows of 16 packets, at most 1,500 octets each as a rule; tshark needs
    400 MiB of address space and a third of a second before it has read the first packet."""

    packets: int = 128
    characters: int = 60_000
    cpu_seconds: int = 30
    memory: int = 2 * 1024**3
    output: int = 16 * 1024**2
    seconds: float = 30.0
    seconds_each: float = 3.0


LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Layer:
    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DissectedPacket:
    """One packet in tshark's words. Ends and transport are those of the innermost headers."""

    number: int
    time: str  # seconds since 1970, nine decimals
    length: int
    protocols: tuple[str, ...]
    source: str | None
    destination: str | None
    transport: str | None
    source_port: int | None
    destination_port: int | None
    flags: int | None  # of TCP
    layers: tuple[Layer, ...]

    @property
    def spoken(self) -> tuple[str, ...]:
        """What is carried by the innermost transport, each protocol once."""
        below = [place for place, name in enumerate(self.protocols) if name in ("ip", "ipv6", "tcp", "udp", "sctp")]
        inner = self.protocols[below[-1] + 1 :] if below else ()
        if below and self.transport is None:
            inner = inner[1:]  # the transport itself, such as ICMP
        return tuple(dict.fromkeys(name for name in inner if name not in _STRUCTURE))


@dataclass(frozen=True, slots=True)
class DissectedSlice:
    packets: tuple[DissectedPacket, ...] = ()
    cut: bool = False  # there was more than the limits let through
    fault: str | None = None  # what kept the rest from being read


@dataclass(frozen=True, slots=True)
class Dissection:
    version: str
    slices: tuple[DissectedSlice, ...]


def installed() -> bool:
    return shutil.which(TOOL) is not None


def dissect(slices: Sequence[bytes], limits: Limits = LIMITS) -> Dissection:
    """What tshark says of each capture (pcap or pcapng, whole). Raises NoDissection."""
    if not installed():
        raise NoDissection(NOT_INSTALLED)
    # Where root's process becomes nobody it must still get there, whatever TMPDIR says.
    folder = tempfile.mkdtemp(prefix="edgewarden-dissect-", dir="/tmp" if os.geteuid() == 0 else None)  # noqa: S108
    try:
        names = [_place(Path(folder), number, data) for number, data in enumerate(slices)]
        said, reason = _run(folder, names, limits)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not said or not isinstance(said[0].get("version"), str):
        raise NoDissection(f"tshark could not be asked: {reason}")
    found = [_slice(entry) for entry in said[1 : len(slices) + 1]]
    missing = DissectedSlice(fault=reason)
    return Dissection(_text(said[0]["version"]), (*found, *[missing] * (len(slices) - len(found))))


def _place(folder: Path, number: int, data: bytes) -> str:
    """Write a capture where the process may read it: root's process becomes nobody."""
    path = folder / f"{number}.pcapng"
    path.write_bytes(data)
    if number == 0:
        (folder / "home").mkdir()
    if os.geteuid() == 0:
        for shared, mode in ((folder, 0o750), (folder / "home", 0o750), (path, 0o640)):
            os.chown(shared, 0, NOBODY)
            shared.chmod(mode)
    return path.name


def _run(folder: str, names: Sequence[str], limits: Limits) -> tuple[list[Mapping[str, Any]], str]:
    """What the process said, line by line, and why it ended early if it did."""
    numbers = (limits.packets, limits.characters, limits.cpu_seconds, limits.memory, limits.output)
    script = Path(__file__).with_name("process.py")
    home, answers, complaints = (os.path.join(folder, name) for name in ("home", "answers", "complaints"))
    # An empty data folder holds no Lua script to be started, an empty plug-in folder no dissector from elsewhere.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "HOME": home,
        "XDG_CONFIG_HOME": home,
        "WIRESHARK_DATA_DIR": home,
        "WIRESHARK_PLUGIN_DIR": home,
    }
    ended = "it ended without a word"
    with open(answers, "wb") as out, open(complaints, "wb") as err:
        process = subprocess.Popen(  # noqa: S603 — our own interpreter and script, no shell
            [sys.executable, "-I", str(script), *map(str, numbers), *names],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        try:
            process.wait(limits.seconds + limits.seconds_each * len(names))
        except subprocess.TimeoutExpired:
            ended = "its time was up"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # tshark is in the same session
                process.wait()
    words = Path(complaints).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return _answers(Path(answers).read_bytes()), _text(words[-1]) if words else ended


def _answers(data: bytes) -> list[Mapping[str, Any]]:
    """Whole lines; the last may have been cut by a limit."""
    found: list[Mapping[str, Any]] = []
    for line in data.split(b"\n"):
        try:
            entry = json.loads(line)
        except ValueError:
            break
        if not isinstance(entry, dict):
            break
        found.append(entry)
    return found


# --- what comes back -------------------------------------------------------------------------------------------------


def _slice(entry: Mapping[str, Any]) -> DissectedSlice:
    fault = entry.get("fault")
    try:
        packets = tuple(_packet(packet) for packet in entry["packets"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return DissectedSlice(fault="its answer could not be understood")
    return DissectedSlice(packets, bool(entry.get("cut")), None if fault is None else _text(fault))


def _packet(entry: Mapping[str, Any]) -> DissectedPacket:
    return DissectedPacket(
        number=int(entry["number"]),
        time=_text(entry["time"]),
        length=int(entry["length"]),
        protocols=tuple(_text(name) for name in str(entry["protocols"]).split(":")),
        source=_optional(entry["source"]),
        destination=_optional(entry["destination"]),
        transport=_optional(entry["transport"]),
        source_port=_number(entry["source_port"]),
        destination_port=_number(entry["destination_port"]),
        flags=_number(entry["flags"]),
        layers=tuple(
            Layer(_text(layer["name"]), tuple(_text(line) for line in layer["lines"])) for layer in entry["layers"]
        ),
    )


def _text(value: object) -> str:
    return visible(str(value)[:MAX_LINE])


def _optional(value: object) -> str | None:
    return None if value is None else _text(value)


def _number(value: object) -> int | None:
    return None if value is None else int(str(value))
