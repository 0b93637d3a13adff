"""Shapes that only a settings file has: sizes, durations, places, URLs, hosts with ports, times of the calendar.

Strategy: as in `rules.shape`, each reads nodes, reports faults and describes itself as JSON Schema. A value that could
hold a secret is never repeated in a fault: what is printed ends up in logs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time, timedelta
from ipaddress import IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

from monitor.calendar.cron import MAX_LINE, parse_cron
from monitor.calendar.periods import zone_named
from rules.document import Faults, Node, Scalar
from rules.shape import MAX_NAME, At, Schema, wrong

MAX_PLACE: Final = 4096
"""Longest name of a file, as PATH_MAX of Linux."""

MAX_URL: Final = 2000
"""Longest URL; what browsers and proxies agree on."""

_SIZES: Final = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_DURATIONS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_CLOCK: Final = "([01][0-9]|2[0-3]):([0-5][0-9])"
_NAME: Final = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"


def _text(node: Node) -> str | None:
    return node.value if isinstance(node, Scalar) and isinstance(node.value, str) else None


@dataclass(frozen=True, slots=True)
class Size:
    """A number of octets with a binary unit, such as 256MiB. Read as an int."""

    least: str
    most: str

    def read(self, node: Node, faults: Faults) -> At | None:
        octets = _octets(_text(node) or "")
        least, most = _octets(self.least), _octets(self.most)
        assert least is not None
        assert most is not None
        if octets is not None and least <= octets <= most:
            return At(octets, node.mark)
        return wrong(node, faults, f"a size with its unit (KiB, MiB, GiB, TiB), {self.least} to {self.most}")

    def schema(self) -> Schema:
        return {"type": "string", "pattern": f"^[1-9][0-9]{{0,8}}({'|'.join(_SIZES)})$"}


def _octets(text: str) -> int | None:
    found = re.fullmatch(f"([1-9][0-9]{{0,8}})({'|'.join(_SIZES)})", text, re.ASCII)
    return int(found[1]) * _SIZES[found[2]] if found else None


@dataclass(frozen=True, slots=True)
class Duration:
    """A whole number of s, m, h, d or w, such as 400d. Read as a timedelta."""

    least: str
    most: str

    def read(self, node: Node, faults: Faults) -> At | None:
        length = _length(_text(node) or "")
        least, most = _length(self.least), _length(self.most)
        assert least is not None
        assert most is not None
        if length is not None and least <= length <= most:
            return At(length, node.mark)
        return wrong(node, faults, f"a duration with its unit (s, m, h, d, w), {self.least} to {self.most}")

    def schema(self) -> Schema:
        return {"type": "string", "pattern": f"^[1-9][0-9]{{0,6}}[{''.join(_DURATIONS)}]$"}


def _length(text: str) -> timedelta | None:
    found = re.fullmatch(f"([1-9][0-9]{{0,6}})([{''.join(_DURATIONS)}])", text, re.ASCII)
    return timedelta(seconds=int(found[1]) * _DURATIONS[found[2]]) if found else None


@dataclass(frozen=True, slots=True)
class Place:
    """Name of a file or folder; a relative one starts at the folder of the settings file."""

    def read(self, node: Node, faults: Faults) -> At | None:
        text = _text(node)
        if text and text.isprintable() and len(text) <= MAX_PLACE:
            return At(text, node.mark)
        return wrong(node, faults, "the name of a file or folder; quote numbers")

    def schema(self) -> Schema:
        return {"type": "string", "minLength": 1, "maxLength": MAX_PLACE}


@dataclass(frozen=True, slots=True)
class Url:
    """http:// or https:// with a host; a name and a password in it are refused."""

    secure: bool = False

    def read(self, node: Node, faults: Faults) -> At | None:
        text = _text(node)
        hint = "a URL such as https://es01.contoso.net:9200" if not self.secure else "a URL that begins with https://"
        if text is None or len(text) > MAX_URL or not text.isascii() or not text.isprintable() or " " in text:
            return _unnamed(node, faults, "this is no URL", hint)
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            return _unnamed(node, faults, "this is no URL", hint)
        if parts.username is not None or parts.password is not None or "@" in parts.netloc:
            return _unnamed(node, faults, "a name or password in a URL", "secrets stand in a file or the environment")
        if parts.scheme not in (("https",) if self.secure else ("http", "https")) or not parts.hostname or port == 0:
            return _unnamed(node, faults, "this is no URL that fits here", hint)
        return At(text, node.mark)

    def schema(self) -> Schema:
        return {"type": "string", "maxLength": MAX_URL, "pattern": f"^[Hh][Tt][Tt][Pp]{'' if self.secure else '[Ss]?'}"}


def _unnamed(node: Node, faults: Faults, message: str, hint: str) -> At | None:
    """A fault that does not repeat the value."""
    if isinstance(node, Scalar) and isinstance(node.value, str):
        faults.add(node.mark, message, hint)
        return None
    return wrong(node, faults, hint)


@dataclass(frozen=True, slots=True)
class Server:
    """A host name (also a short one) or an address; with `port` as HOST:PORT, IPv6 in brackets. Read as text, or as
    (host, port)."""

    port: bool = False

    def read(self, node: Node, faults: Faults) -> At | None:
        example = "127.0.0.1:9750 or [::1]:9750" if self.port else "mail.contoso.net"
        text = _text(node) or ""
        if not self.port:
            return At(text.lower(), node.mark) if _host(text) else wrong(node, faults, f"a host such as {example}")
        found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+)):([1-9][0-9]{0,4})", text, re.ASCII)
        if found and int(found[3]) <= 65535:
            bracketed, plain = found[1], found[2]
            if _is_ipv6(bracketed) if bracketed else _host(plain):
                return At(((bracketed or plain).lower(), int(found[3])), node.mark)
        return wrong(node, faults, f"host and port such as {example}")

    def schema(self) -> Schema:
        return {"type": "string", "maxLength": MAX_NAME + 8, **({"pattern": ":[1-9][0-9]{0,4}$"} if self.port else {})}


def _host(text: str) -> bool:
    try:
        ip_address(text)
        return "%" not in text
    except ValueError:
        named = len(text) <= MAX_NAME and re.fullmatch(_NAME, text) is not None
        return named and re.fullmatch(r"[0-9.]+", text) is None  # 127.0.0.300 is no name


def _is_ipv6(text: str) -> bool:
    try:
        return isinstance(ip_address(text), IPv6Address)
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Zone:
    """An IANA time zone. Read as a tzinfo."""

    def read(self, node: Node, faults: Faults) -> At | None:
        try:
            return At(zone_named(_text(node) or ""), node.mark)
        except ValueError:
            return wrong(node, faults, "a time zone of the IANA database such as Europe/Berlin, or UTC")

    def schema(self) -> Schema:
        return {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_+/-]*$"}


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day, HH:MM. Read as a time."""

    def read(self, node: Node, faults: Faults) -> At | None:
        found = re.fullmatch(_CLOCK, _text(node) or "")
        if found:
            return At(time(int(found[1]), int(found[2])), node.mark)
        return wrong(node, faults, 'a time of day such as "06:00", 00:00 to 23:59')

    def schema(self) -> Schema:
        return {"type": "string", "pattern": f"^{_CLOCK}$"}


@dataclass(frozen=True, slots=True)
class Crontab:
    """Five fields of a crontab line. Read as a Cron."""

    def read(self, node: Node, faults: Faults) -> At | None:
        text = _text(node)
        if text is None or not text.isprintable():
            return wrong(node, faults, 'a crontab line such as "0 6 * * 1"')
        try:
            return At(parse_cron(text), node.mark)
        except ValueError as error:
            return wrong(node, faults, str(error))

    def schema(self) -> Schema:
        return {"type": "string", "minLength": 9, "maxLength": MAX_LINE}
