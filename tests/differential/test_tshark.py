"""Our facts beside tshark's: five-tuples, packet counts, SNI, TLS versions, SIP call ids, XMPP domains.

Runs over the shipped captures and over the corpus of real ones where that is present (`EDGEWARDEN_CAPTURES`, default
`../shared/captures` beside the checkout). Differences are failures unless `explained.yaml` says why.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.corpus import corpus_captures, facts_of
from tests.differential import tshark

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(path for path in (ROOT / "pcaps").glob("*.pcap*"))
EXPLAINED: dict[str, dict[str, str]] = YAML(typ="safe").load(Path(__file__).with_name("explained.yaml")) or {}
VERSIONS = {0x0300: "3.0", 0x0301: "1.0", 0x0302: "1.1", 0x0303: "1.2", 0x0304: "1.3"}


def get(row: dict[str, Any], name: str) -> Any:
    """The value under a dotted name, None where a part is missing."""
    value: Any = row
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return value


def ends_of(row: dict[str, Any]) -> tshark.Ends | None:
    transport = get(row, "network.transport")
    if transport not in ("tcp", "udp", "sctp") or get(row, "source.port") is None:
        return None
    return transport, frozenset((get(row, f"{end}.ip"), get(row, f"{end}.port")) for end in ("source", "destination"))


def differences(capture: Path) -> Iterator[tuple[str, str]]:
    """(what, details) of each kind of difference."""
    facts = facts_of(capture)
    theirs, fragments = tshark.conversations(capture)
    ours: dict[tshark.Ends, list[dict[str, Any]]] = {}
    for row in facts.rows:
        if (ends := ends_of(row)) is not None:
            ours.setdefault(ends, []).append(row)
    missing = [ends for ends in theirs if ends not in ours]
    extra = [ends for ends in ours if ends not in theirs]
    if missing:
        yield "missing", f"tshark has {missing[:3]}"
    if extra:
        yield "extra", f"only we have {extra[:3]}"
    lost = sum(
        count
        for name, count in facts.accounting.items()
        if name in ("duplicate", "fragment_incomplete", "undecodable", "table_full")
    )
    counts = []
    for ends in theirs.keys() & ours.keys():
        packets = sum(get(row, "network.packets") for row in ours[ends])
        gap = theirs[ends].packets - packets
        if gap and not (fragments or 0 < gap <= lost):
            counts.append((ends, theirs[ends].packets, packets))
    if counts:
        yield "packets", f"{counts[:3]}"
    for ends in theirs.keys() & ours.keys():
        yield from _protocol_differences(theirs[ends], ours[ends])


def _protocol_differences(theirs: tshark.Conversation, ours: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    def said(name: str) -> set[str]:
        return {str(get(row, name)) for row in ours if get(row, name) is not None}

    names = said("tls.client.server_name")
    if theirs.server_names and not names & set(theirs.server_names):
        yield "sni", f"{theirs.server_names[:2]} against {sorted(names)}"
    versions = {VERSIONS.get(value, hex(value)) for value in theirs.server_versions}
    if versions and not said("tls.version") & versions:
        yield "tls version", f"{versions} against {said('tls.version')}"
    if theirs.call_ids and not said("edgewarden.sip.call_id") & set(theirs.call_ids):
        yield "call-id", f"{theirs.call_ids[:2]} against {said('edgewarden.sip.call_id')}"
    if theirs.stream_to and any(theirs.stream_to) and not said("edgewarden.xmpp.to") & set(theirs.stream_to):
        yield "xmpp to", f"{theirs.stream_to[:2]} against {said('edgewarden.xmpp.to')}"


@pytest.mark.parametrize("capture", SHIPPED + corpus_captures(), ids=lambda path: path.name)
def test_agrees_with_tshark(capture: Path) -> None:
    explained = EXPLAINED.get(capture.name, {})
    found: dict[str, str] = {}
    for what, details in differences(capture):
        found.setdefault(what, details)
    unexplained = {what: details for what, details in found.items() if what not in explained}
    assert not unexplained, json.dumps(unexplained, indent=1)
    gone = sorted(set(explained) - set(found))
    assert not gone, f"{capture.name} no longer differs in {gone}: remove it from explained.yaml"
