"""The table of allowed paths as data: `paths.yaml` read once into frozen rows.

Strategy: the table is part of the program, so a fault in it is our own: reading is strict and raises ValueError with
the row's id. Which rows apply to a site is decided in `rules.paths`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, Final

from ruamel.yaml import YAML

from rules import names

SERVICE_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "tls": ("tls",),
    "mtls": ("tls",),  # and a certificate of each end, which `mtls-client-cert-missing` judges
    "pseudo-tls": ("pseudo-tls", "turn", "stun", "rtp", "rtcp"),  # [MS-TURN] 2.1.1: the hello is the client's option
    "turn": ("turn", "stun", "rtp", "rtcp"),
    "media": ("rtp", "rtcp", "stun", "turn", "pseudo-tls"),
    "xmpp": ("xmpp",),
    "http": ("http",),
    "dns": ("dns",),
    "foreign-edge": ("tls", "pseudo-tls", "turn", "stun", "rtp", "rtcp"),
    "any": (),
}
"""Word of a row → services whose bytes confirm it; empty = it asks for none."""

_ROW_KEYS: Final = frozenset(
    {"id", "position", "source", "destination", "source_ports", "ports", "transport", "service", "legs", "products"}
    | {"needs", "optional", "alone", "plan", "replaces", "documents", "initiator", "purpose"}
)


@dataclass(frozen=True, slots=True)
class LegSpec:
    """One (ends, transport, ports, service) of a row, in the table's own words."""

    source: str
    destination: str
    transport: str
    source_ports: tuple[str | int, ...]  # empty = any
    ports: tuple[str | int, ...]
    service: str
    needs: tuple[str, ...] = ()  # switches beyond the row's own


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    order: int  # breaks ties: place in the table, of a row that takes others' place the first of theirs
    position: str  # "external" | "internal": the firewall it crosses
    initiator: str
    legs: tuple[LegSpec, ...]
    products: tuple[str, ...]  # rules.names.PRODUCTS
    needs: tuple[str, ...] = ()
    optional: bool = False
    alone: bool = True
    plan: str | None = None  # "single-ip" | "hardware"
    replaces: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    purpose: str = ""
    parts: tuple[Row, ...] = ()  # rows whose legs it takes over, each under its own switches; empty = it has its own


@dataclass(frozen=True, slots=True)
class Table:
    version: str
    digest: str  # "sha256:…" over the table as shipped
    rows: tuple[Row, ...]
    documents: Mapping[str, str]

    def row(self, row_id: str) -> Row | None:
        return next((row for row in self.rows if row.id == row_id), None)

    def replacements(self, row_id: str) -> tuple[Row, ...]:
        """Rows of plans that take the place of this one."""
        return tuple(row for row in self.rows if row_id in row.replaces)


@cache
def table() -> Table:
    """The shipped table. ValueError names the row that is faulty."""
    text = (files("rules") / "paths.yaml").read_bytes()
    data = YAML(typ="safe", pure=True).load(text)
    products = {str(code): str(product) for code, product in data["products"].items()}
    documents = {str(code): str(title) for code, title in data["documents"].items()}
    rows: dict[str, Row] = {}
    places = _places(data["rows"])
    for entry in data["rows"]:
        row = _row(places, entry, products, documents, rows)
        if row.id in rows:
            raise ValueError("paths.yaml: a row id occurs twice")
        rows[row.id] = row
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    return Table(str(data["version"]), f"sha256:{digest}", tuple(rows.values()), documents)


def _places(entries: list[dict[str, Any]]) -> dict[str, int]:
    """Row id → its place among all, a row of a plan beside the first of those it replaces: a federated flow is named by
    the federation row on every plan, whatever else fits it."""
    written = {str(entry["id"]): place for place, entry in enumerate(entries)}

    def key(name: str) -> tuple[int, int]:
        replaced = next((e["replaces"] for e in entries if e["id"] == name and "replaces" in e), ())
        return min((written[other] for other in replaced), default=written[name]), written[name]

    return {name: place for place, name in enumerate(sorted(written, key=key))}


def _row(
    places: Mapping[str, int],
    entry: dict[str, Any],
    products: dict[str, str],
    documents: dict[str, str],
    before: Mapping[str, Row],
) -> Row:
    row_id = str(entry["id"])
    unknown = set(entry) - _ROW_KEYS
    if unknown:
        raise ValueError(f"paths.yaml: {row_id}: unknown {sorted(unknown)}")
    for code in entry["documents"]:
        if code not in documents:
            raise ValueError(f"paths.yaml: {row_id}: document {code} is not resolved")
    common = {
        key: entry[key]
        for key in ("source", "destination", "transport", "source_ports", "ports", "service")
        if key in entry
    }
    written = entry.get("legs", ({},))
    parts: tuple[Row, ...] = ()
    if written == "replaced":
        parts = tuple(before[name] for name in entry["replaces"])
    elif written == "balanced":
        parts = tuple(_at_nodes(row) for row in before.values() if _virtual(row))
    return Row(
        id=row_id,
        order=places[row_id],
        position=str(entry["position"]),
        initiator=str(entry["initiator"]),
        legs=_legs_of(parts, balanced=written == "balanced") or tuple(_leg(row_id, common | leg) for leg in written),
        parts=parts,
        products=tuple(products[code] for code in entry["products"]) if "products" in entry else names.PRODUCTS,
        needs=tuple(entry.get("needs", ())),
        optional=bool(entry.get("optional", False)),
        alone=bool(entry.get("alone", True)),
        plan=entry.get("plan"),
        replaces=tuple(entry.get("replaces", ())),
        documents=tuple(entry["documents"]),
        purpose=str(entry.get("purpose", "")),
    )


def _legs_of(parts: tuple[Row, ...], *, balanced: bool) -> tuple[LegSpec, ...]:
    """What a row over others is described by. Behind a balancer that is the balancer's own way to the nodes; who else
    comes there came through it with an address of his own."""
    legs = (leg for part in parts for leg in part.legs)
    return tuple(dict.fromkeys(leg for leg in legs if not balanced or leg.source == "balancer"))


_NODE_OF: Final[Mapping[str, str]] = {
    "edge-ext-vip-access": "edge-ext-access",
    "edge-ext-vip-webconf": "edge-ext-webconf",
    "edge-ext-vip-av": "edge-ext-av",
    "edge-ext-access-or-vip": "edge-ext-access",
    "edge-int-vip": "edge-int",
}
"""Word for a virtual address → word for the nodes behind it."""


def _virtual(row: Row) -> bool:
    return any(word in _NODE_OF for leg in row.legs for word in (leg.source, leg.destination))


def _at_nodes(row: Row) -> Row:
    """The row as it looks behind the balancer."""
    legs: list[LegSpec] = []
    for leg in row.legs:
        moved = replace(
            leg,
            source=_NODE_OF.get(leg.source, leg.source),
            destination=_NODE_OF.get(leg.destination, leg.destination),
        )
        legs.append(moved)
        if leg.destination in _NODE_OF and row.position == "external":
            legs.append(replace(moved, source="balancer"))
    return replace(row, legs=tuple(legs))


def _leg(row_id: str, entry: dict[str, Any]) -> LegSpec:
    if entry["service"] not in SERVICE_KINDS:
        raise ValueError(f"paths.yaml: {row_id}: unknown service {entry['service']}")
    return LegSpec(
        source=str(entry["source"]),
        destination=str(entry["destination"]),
        transport=str(entry["transport"]),
        source_ports=tuple(entry.get("source_ports", ())),
        ports=tuple(entry["ports"]),
        service=str(entry["service"]),
        needs=tuple(entry.get("needs", ())),
    )
