"""Services and facts of real captures against their labels, made by tshark, nDPI and a look at the packets, not by us.

A label names what a conversation is; an empty one was not settled and counts for nothing. Precision and recall are per
service. A conversation is found when one of its flows says the label, or one of the further services that the labels
name beside it while the label is among its `edgewarden.services`.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from tests.corpus import ABSENT, FOLDER, corpus_captures, facts_of, get

LABELS = FOLDER / "labels.csv"
pytestmark = pytest.mark.skipif(not LABELS.is_file() or not corpus_captures(), reason=ABSENT)

SERVICES = ("sip", "tls", "http", "stun", "turn", "xmpp", "rtp", "rtcp", "dtls", "quic", "dns", "ssh")
JUDGED_ON = ("tls", "sip", "xmpp", "stun", "turn", "http", "dns", "ssh")
PRECISION, RECALL = 0.97, 0.95
NEVER_FALSE = {"sip", "xmpp", "stun", "turn"}
"""Rules hang on these: a false one would be a false finding. STUN taken for TURN or the reverse is a miss, no more."""

NUMBERS = {"icmp": "1", "tcp": "6", "udp": "17", "ipv6-icmp": "58", "sctp": "132"}

FACTS = {
    "sni": "tls.client.server_name",
    "sip_method_first": "edgewarden.sip.method",
    "sip_call_id_first": "edgewarden.sip.call_id",
    "stun_txid_first": "edgewarden.stun.transaction_id",
    "xmpp_to": "edgewarden.xmpp.to",
    "xmpp_ns": "edgewarden.xmpp.namespace",
    "alpn_selected": "tls.next_protocol",
    "tls_version": "tls.version",
    "server_cert_cn": "tls.server.x509.subject.common_name",
    "client_cert_cn": "tls.client.x509.subject.common_name",
}

READ_INSIDE = {"tls", "sip", "xmpp", "stun", "turn", "dtls"}
"""Labels whose insides are compared: QUIC is known by its first bytes alone, and TLS inside mail, FTP or SOCKS, which
has no label of its own, is compared with tshark's (tests/differential)."""

OTHERWISE = {
    ("ja4__chrome-cloudflare-quic-with-secrets.pcapng", "alpn_selected"): "TLS 1.3 hides it; the label had the keys",
    (
        "ndpi__fuzz-2006-06-26-2594.pcap",
        "sip_call_id_first",
    ): "no UTF-8: the label has U+FFFD, we \\xNN",
    ("ndpi__lru_ipv6_caches.pcapng", "stun_txid_first"): "first is a method 0x401, which no registry knows",
    (
        "zeek__tls-13draft19-early-data.pcap",
        "tls_version",
    ): "a draft of 1.3 is 1.3 to us",
    ("arkime__arkime_synthetic.pcap", "tls_version"): "the label has the number 0x002c of a broken hello",
}
"""Facts that differ from a label, and why ours stand. An entry whose difference is gone fails."""

Key = tuple[str, frozenset[tuple[str, str]]]


def key(protocol: str, *ends: tuple[Any, Any]) -> Key:
    return protocol, frozenset((str(address).lower(), str(port or 0)) for address, port in ends)


@cache
def conversations() -> dict[str, dict[Key, dict[str, str]]]:
    """The label of each conversation of each capture; of two IP levels the settled one."""
    found: dict[str, dict[Key, dict[str, str]]] = defaultdict(dict)
    with LABELS.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            ends = key(line["ip_proto"], (line["a_ip"], line["a_port"]), (line["b_ip"], line["b_port"]))
            before = found[line["file"]].get(ends)
            if before is None or before["label"] in ("", "unknown"):
                found[line["file"]][ends] = line
    return found


def labelled() -> Iterator[tuple[str, dict[str, str], list[dict[str, Any]]]]:
    """Capture, label line and our flows of that conversation."""
    for name, lines in sorted(conversations().items()):
        rows: dict[Key, list[dict[str, Any]]] = defaultdict(list)
        for row in facts_of(FOLDER / name).rows:
            transport = get(row, "network.transport") or ""
            ends = ((get(row, f"{end}.ip"), get(row, f"{end}.port")) for end in ("source", "destination"))
            rows[key(NUMBERS.get(transport, transport), *ends)].append(row)
        for conversation, line in lines.items():
            yield name, line, rows.get(conversation, [])


@dataclass
class Score:
    right: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)
    grave: list[tuple[str, str, str]] = field(default_factory=list)

    def labelled(self, service: str) -> int:
        return self.right[service] + self.missed[service]

    def precision(self, service: str) -> float:
        said = self.right[service] + self.false[service]
        return self.right[service] / said if said else 1.0

    def recall(self, service: str) -> float:
        return self.right[service] / self.labelled(service) if self.labelled(service) else 1.0


@cache
def score() -> Score:
    made = Score()
    for name, line, rows in labelled():
        label, also = line["label"], set(line["also"].replace(";", " ").split())
        said = {str(get(row, "network.protocol") or "") for row in rows}
        services = {service for row in rows for service in get(row, "edgewarden.services") or ()}
        if label in SERVICES:
            found = label in said or (said & also and label in services)
            (made.right if found else made.missed)[label] += 1
        if not label:
            continue
        for service in (said & set(SERVICES)) - {label} - also:
            made.false[service] += 1
            if service in NEVER_FALSE and not {service, label} <= {"stun", "turn"}:
                made.grave.append((name, service, label))
    return made


@pytest.mark.parametrize("service", JUDGED_ON)
def test_precision_and_recall(service: str) -> None:
    made = score()
    assert made.labelled(service) >= 5
    assert made.precision(service) >= PRECISION
    assert made.recall(service) >= RECALL


def test_nothing_is_taken_for_sip_xmpp_stun_or_turn() -> None:
    assert score().grave == []


def test_the_table_of_scores(capsys: pytest.CaptureFixture[str]) -> None:
    """Printed for who wants to see it (`pytest -s`): the figures of all services, those without a bar included."""
    made = score()
    with capsys.disabled():
        print("\nNOTE  service  labelled  precision  recall")
        for service in SERVICES:
            figures = f"{made.precision(service):>9.3f}  {made.recall(service):>6.3f}"
            print(f"NOTE  {service:7}  {made.labelled(service):>8}  {figures}")
    assert sum(made.right.values()) + sum(made.missed.values()) == sum(
        line["label"] in SERVICES for lines in conversations().values() for line in lines.values()
    )


def test_every_labelled_conversation_is_seen() -> None:
    unseen = [
        (name, line["label"], line["a_ip"]) for name, line, rows in labelled() if line["label"] in SERVICES and not rows
    ]
    assert unseen == []


@pytest.mark.parametrize("fact", FACTS)
def test_facts_are_those_of_the_labels(fact: str) -> None:
    """Names, versions and identifiers, of every labelled conversation that has one."""
    differing: dict[str, list[tuple[str, set[str]]]] = defaultdict(list)
    compared = 0
    for name, line, rows in labelled():
        wanted = (
            line[fact].removeprefix("D").removeprefix("TLS").removeprefix("SSL")
            if fact == "tls_version"
            else line[fact]
        )
        if not wanted or line["label"] not in READ_INSIDE:
            continue
        compared += 1
        ours = {str(get(row, FACTS[fact])) for row in rows}
        if wanted.lower() not in {text.lower() for text in ours}:
            differing[name].append((wanted, ours))
    assert compared >= 5
    explained = {name for name, what in OTHERWISE if what == fact}
    assert {name: found for name, found in differing.items() if name not in explained} == {}
    assert explained <= set(differing), "a difference is gone: take it from OTHERWISE"
