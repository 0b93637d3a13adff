"""A flow beside the row that came nearest to it: what is the same, what differs, and the entry that would allow it.

Strategy: with a topology the very legs that judged the flow are asked, end by end; without one the row of the table
stands for them, whose words for ends say nothing of addresses, so only transport, ports and service are compared.
Nothing here decides a verdict: it is for the person who reads one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rules.components import PortRange
from rules.endpoints import Endpoint, Endpoints
from rules.explain import port_list
from rules.paths import Leg, Path, derive
from rules.rows import SERVICE_KINDS, LegSpec, Row, table
from rules.services import service_number
from rules.topology import Topology
from rules.transports import TRANSPORTS, transport_number

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Seen:
    """One flow of a finding. `services`: in the order seen; empty = no payload, `unknown` = none recognised."""

    source: str
    destination: str
    transport: str
    source_port: int | None
    port: int | None
    services: tuple[str, ...]


def nearest(path: str, seen: Seen, topology: Topology | None = None) -> dict[str, Any] | None:
    """The row beside the flow, None for a row that is known no more. `differs`: a sentence for each difference."""
    if topology is not None:
        endpoints = Endpoints(topology)
        here = next((p for p in derive(topology, endpoints) if p.id == path), None)
        if here is not None:
            return _on_site(here, seen, endpoints)
    row = table().row(path)
    return None if row is None else _in_table(row, seen)


def local_path(source: str, destination: str, transport: str, ports: Sequence[PortRange], service: str) -> str:
    """The entry under `policy.local_paths` that would allow such flows, as one line of YAML."""
    parts = [f"from: {source}", f"to: {destination}", f"transport: {transport}"]
    if ports:
        shown = ", ".join(str(port) if isinstance(port, int) else f'"{port}"' for port in port_list(tuple(ports)))
        parts.append(f"port: {shown}" if len(ports) == 1 else f"port: [{shown}]")
    if service and service != UNKNOWN:
        parts.append(f"service: {service}")
    return f"- {{id: NAME, {', '.join(parts)}, reason: WHY, owner: WHO, expires: YYYY-MM-DD}}"


# --- with a topology -------------------------------------------------------------------------------------------------


def _on_site(path: Path, seen: Seen, endpoints: Endpoints) -> dict[str, Any]:
    source, destination = endpoints.at(seen.source), endpoints.at(seen.destination)
    legs = path.legs or path.off_legs
    each = [_leg_differs(path, leg, seen, source, destination) for leg in legs]
    differs = min(each, key=len, default=[])
    if not path.applies:
        differs = [f"the row does not apply here: {path.why}", *differs]
    return _entry(
        path.id,
        path.purpose,
        path.position,
        (path.source, path.destination),
        path.transport,
        port_list(path.ports),
        path.service,
        differs,
        on_site=True,
    )


def _leg_differs(path: Path, leg: Leg, seen: Seen, source: Endpoint, destination: Endpoint) -> list[str]:
    from_there, to_there = source.number in leg.sources, destination.number in leg.destinations
    differs = []
    if not from_there and not to_there and source.number in leg.destinations and destination.number in leg.sources:
        differs.append("it was opened the other way round")
    else:
        if not from_there:
            differs.append(f"it comes from {source}, the row from {path.source}")
        if not to_there:
            differs.append(f"it goes to {destination}, the row to {path.destination}")
    differs += _transport_differs(TRANSPORTS[leg.transport], seen)
    differs += _ports_differ("to port", seen.port, leg.ports)
    differs += _ports_differ("from port", seen.source_port, leg.source_ports)
    spoken = [number for name in seen.services if (number := service_number(name)) is not None]
    if leg.accepted and seen.services and not leg.accepted.intersection(spoken):
        differs.append(_service_differs(seen, leg.service))
    return differs


# --- without one -----------------------------------------------------------------------------------------------------


def _in_table(row: Row, seen: Seen) -> dict[str, Any]:
    leg = min(row.legs, key=lambda leg: len(_spec_differs(leg, seen)))
    return _entry(
        row.id,
        row.purpose,
        row.position,
        (leg.source, leg.destination),
        leg.transport,
        list(leg.ports),
        leg.service,
        _spec_differs(leg, seen),
        on_site=False,
    )


def _spec_differs(leg: LegSpec, seen: Seen) -> list[str]:
    differs = _transport_differs(leg.transport, seen)
    numbers = [port for port in leg.ports if isinstance(port, int)]
    if len(numbers) == len(leg.ports):  # words are numbers of the site's Edge pools
        differs += _ports_differ("to port", seen.port, tuple(PortRange(port, port) for port in numbers))
    accepted = SERVICE_KINDS[leg.service]
    if accepted and seen.services and not set(accepted).intersection(seen.services):
        differs.append(_service_differs(seen, leg.service))
    return differs


# --- both ------------------------------------------------------------------------------------------------------------


def _entry(
    name: str,
    purpose: str,
    position: str,
    ends: tuple[str, str],
    transport: str,
    ports: list[Any],
    service: str,
    differs: list[str],
    *,
    on_site: bool,
) -> dict[str, Any]:
    return {
        "id": name,
        "purpose": purpose,
        "position": position,
        "source": ends[0],
        "destination": ends[1],
        "transport": transport,
        "ports": ports,
        "service": service,
        "ends_compared": on_site,
        "differs": differs,
    }


def _transport_differs(transport: str, seen: Seen) -> list[str]:
    if transport_number(seen.transport) == transport_number(transport):
        return []
    return [f"it is {seen.transport}, the row {transport}"]


def _ports_differ(which: str, port: int | None, allowed: tuple[PortRange, ...]) -> list[str]:
    if port is None or not allowed or any(port in span for span in allowed):
        return []
    return [f"it goes {which} {port}, the row {which} {' or '.join(str(span) for span in allowed)}"]


def _service_differs(seen: Seen, service: str) -> str:
    spoken = "what is spoken was not recognised" if seen.services == (UNKNOWN,) else f"it is {', '.join(seen.services)}"
    return f"{spoken}, the row {service}"
