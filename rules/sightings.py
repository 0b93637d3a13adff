"""Who was seen to answer whom in captures, gathered so that roles can be concluded from it.

Strategy: one entry for each (opener, listener, transport, port), with how many flows it had and what was recognised in
them; names that an address gave itself in certificates, as server or as client, stand beside it. Only what was answered
counts, so a scan makes no servers. Everything is bounded: what comes beyond is counted and told.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from rules.components import Address
from rules.document import Faults, Mark, Scalar
from rules.shape import Host, host_address

MAX_PAIRS: Final = 100_000
"""Conversations kept apart. A site of twenty servers has some thousand listeners and as many clients as a day brings;
each takes half a kilobyte."""

MAX_NAMES: Final = 64
"""Names kept of one address or listener; a certificate of a large proxy has thirty."""


@dataclass(slots=True)
class Sighting:
    """All flows from one address to one listener."""

    opener: Address
    listener: Address
    transport: str
    port: int
    flows: int = 0
    services: set[str] = field(default_factory=set)
    relay: bool = False  # MS-TURN was spoken
    asked: dict[str, None] = field(default_factory=dict)  # names in SNI or Host, in the order seen
    xmpp: dict[tuple[str, str], None] = field(default_factory=dict)  # (from, to)


@dataclass(slots=True)
class Flow:
    """What one or more equal flows told; `count` says how many."""

    opener: str
    listener: str
    transport: str
    port: int
    count: int
    services: Iterable[str]
    relay: bool = False
    asked: str | None = None
    server_names: tuple[str, ...] = ()  # of its certificate, the common name first
    client_names: tuple[str, ...] = ()
    xmpp: tuple[str, str] | None = None


class Sightings:
    def __init__(self) -> None:
        self.pairs: dict[tuple[Address, Address, str, int], Sighting] = {}
        self.names: dict[Address, dict[str, None]] = {}  # what an address called itself, common name first
        self.left_out = 0  # flows beyond MAX_PAIRS

    def add(self, flow: Flow) -> None:
        opener, listener = host_address(flow.opener), host_address(flow.listener)
        if opener is None or listener is None:
            return
        key = (opener, listener, flow.transport, flow.port)
        seen = self.pairs.get(key)
        if seen is None:
            if len(self.pairs) >= MAX_PAIRS:
                self.left_out += flow.count
                return
            seen = self.pairs[key] = Sighting(opener, listener, flow.transport, flow.port)
        seen.flows += flow.count
        seen.services.update(flow.services)
        seen.relay |= flow.relay
        if (asked := host_name(flow.asked)) and len(seen.asked) < MAX_NAMES:
            seen.asked[asked] = None
        if flow.xmpp and len(seen.xmpp) < MAX_NAMES:
            domains = tuple(host_name(domain) for domain in flow.xmpp)
            if domains[0] and domains[1]:
                seen.xmpp[(domains[0], domains[1])] = None
        for address, names in ((listener, flow.server_names), (opener, flow.client_names)):
            known = self.names.setdefault(address, {}) if names else {}
            for name in filter(None, map(host_name, names)):
                if len(known) < MAX_NAMES:
                    known[name] = None

    def common_name(self, address: Address) -> str | None:
        return next(iter(self.names.get(address, ())), None)


def host_name(text: str | None) -> str | None:
    """A full DNS name as a topology may hold it, None for anything else (a wildcard, an address, rubbish)."""
    if not text:
        return None
    read = Host().read(Scalar(Mark(1, 1), text, text, False), Faults(""))
    return str(read.value) if read is not None else None
