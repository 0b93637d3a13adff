"""Our facts beside tshark's: five-tuples, packet counts, services beside the edge, SNI, TLS versions, SIP call ids,
XMPP domains.

Runs over the shipped captures and over the corpus of real ones where that is present (`EDGEWARDEN_CAPTURES`, default
`../shared/captures` beside the checkout). A difference fails unless `explained.yaml` says why ours stands, and in how
many conversations; one that is gone, or rarer, fails as well, so that the list can only shrink.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.corpus import ABSENT, SHIPPED, corpus_captures, facts_of, get
from tests.differential import tshark

EXPLAINED: dict[str, dict[str, tuple[int, str]]] = YAML(typ="safe").load(Path(__file__).with_name("explained.yaml"))
VERSIONS = {0x0002: "2.0", 0x0300: "3.0", 0x0301: "1.0", 0x0302: "1.1", 0x0303: "1.2", 0x0304: "1.3"}
VERSIONS |= {0xFEFF: "1.0", 0xFEFD: "1.2", 0xFEFC: "1.3"}  # DTLS, RFC 9147

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="NOTE: tshark is not installed")


@dataclass
class Compared:
    """Conversations compared, and those that differ, by what was compared."""

    count: Counter[str] = field(default_factory=Counter)
    differing: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def note(self, what: str, theirs: object, ours: object, where: object, *, differs: bool) -> None:
        self.count[what] += 1
        if differs:
            self.differing[what].append(f"{where}: tshark {theirs}, ours {ours}")


def ends_of(row: dict[str, Any]) -> tshark.Ends | None:
    transport = get(row, "network.transport")
    if transport not in ("tcp", "udp", "sctp") or get(row, "source.port") is None:
        return None
    return transport, frozenset((get(row, f"{end}.ip"), get(row, f"{end}.port")) for end in ("source", "destination"))


@cache
def compare(capture: Path) -> Compared:
    made = Compared()
    facts = facts_of(capture)
    theirs, fragments = tshark.conversations(capture)
    ours: dict[tshark.Ends, list[dict[str, Any]]] = defaultdict(list)
    for row in facts.rows:
        if (ends := ends_of(row)) is not None:
            ours[ends].append(row)
    duplicates = facts.accounting["duplicate"]
    for ends in sorted(theirs.keys() | ours.keys(), key=repr):
        made.note("five-tuple", ends in theirs, ends in ours, ends, differs=(ends in theirs) != (ends in ours))
        if ends not in theirs or ends not in ours:
            continue
        packets = sum(get(row, "network.packets") for row in ours[ends])
        # Copies within a millisecond are no packets of the flow here; all fragments of a packet are.
        missing, more = max(0, theirs[ends].packets - packets), max(0, packets - theirs[ends].packets)
        wrong = missing > duplicates or more > fragments
        duplicates, fragments = max(0, duplicates - missing), max(0, fragments - more)
        made.note("packets", theirs[ends].packets, packets, ends, differs=wrong)
        for what, said, found in _facts(theirs[ends], ours[ends]):
            if said or found:
                # The first of ours is among theirs, and we have one whenever they do.
                made.note(what, sorted(said), sorted(found), ends, differs=not (found and found <= said))
    return made


def _facts(theirs: tshark.Conversation, ours: list[dict[str, Any]]) -> Iterator[tuple[str, set[str], set[str]]]:
    def said(name: str) -> set[str]:
        return {str(value) for row in ours if (value := get(row, name)) is not None}

    yield "sni", set(theirs.server_names), said("tls.client.server_name")
    yield "tls version", {VERSIONS.get(v, hex(v)) for v in theirs.server_versions}, said("tls.version")
    yield "call-id", set(theirs.call_ids), said("edgewarden.sip.call_id")
    beside = set(tshark.SERVICES.values())
    yield "service", theirs.services, {name for row in ours for name in get(row, "edgewarden.services") or ()} & beside
    yield "xmpp domain", set(filter(None, theirs.stream_to)), said("edgewarden.xmpp.to")


@pytest.mark.parametrize("capture", SHIPPED + corpus_captures(), ids=lambda path: path.name)
def test_agrees_with_tshark(capture: Path) -> None:
    explained = EXPLAINED.get(capture.name, {})
    differing = compare(capture).differing
    for what, found in differing.items():
        allowed = explained[what][0] if what in explained else 0
        assert len(found) <= allowed, "\n".join(found)
    rarer = {what: len(differing.get(what, ())) for what, (count, _) in explained.items()}
    assert rarer == {what: count for what, (count, _) in explained.items()}, "lower the count in explained.yaml"


def test_every_explanation_is_of_a_capture_and_says_why() -> None:
    known = {path.name for path in SHIPPED + corpus_captures()}
    if corpus_captures():
        assert set(EXPLAINED) <= known
    assert all(count > 0 and len(reason) > 20 for each in EXPLAINED.values() for count, reason in each.values())


@pytest.mark.skipif(not corpus_captures(), reason=ABSENT)
def test_there_was_something_to_compare() -> None:
    total: Counter[str] = Counter()
    for capture in SHIPPED + corpus_captures():
        total += compare(capture).count
    print("NOTE  compared with tshark:", dict(total))
    least_of = {"five-tuple": 1_500, "service": 60, "sni": 80, "tls version": 150, "call-id": 40, "xmpp domain": 10}
    for what, least in least_of.items():
        assert total[what] >= least, f"{what}: {total[what]}"
