"""The scenario tables: complete, well-formed, and refused with a clear word when they are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.simulate.cast import Cast
from monitor.simulate.table import FOLDER, Scenario, TableFault, documents, sheets
from monitor.simulate.talks import KINDS
from rules.load import load

ROOT = Path(__file__).parents[2]
SITE = ROOT / "pcaps" / "contoso.yaml"

# The vendor's rows that hold for contoso (Lync Server 2013, two firewalls, an address a service, Director, XMPP, push,
# mobility, an OCS 2007 partner; no public IM, no hybrid), read off the port summaries.
PATHS = {
    "ext-access-client-sip", "ext-access-federation-in", "ext-access-federation-out", "ext-access-push-out",
    "ext-access-crl-http", "ext-access-dns-tcp", "ext-access-dns-udp", "ext-xmpp-in", "ext-xmpp-out",
    "ext-webconf-psom", "ext-av-udp-in", "ext-av-udp-out", "ext-av-tcp-in", "ext-av-tcp-out", "ext-av-range-tcp-out",
    "ext-av-range-udp-out", "ext-av-range-tcp-in", "ext-av-range-udp-in", "ext-av-pool-hairpin", "ext-rp-https",
    "ext-rp-http", "ext-rp-mobile-hairpin", "ext-wifi-apns-out", "ext-foreign-meeting-out",
    "int-sip-edge-to-director", "int-sip-director-to-edge", "int-sip-fe-to-edge", "int-av-auth", "int-psom",
    "int-av-udp", "int-av-tcp", "int-cms-replication", "int-cls-50001", "int-cls-50002", "int-cls-50003",
    "int-xmpp-gateway", "int-rp-https-fe", "int-rp-https-director", "int-rp-http-fe", "int-rp-http-director",
    "int-rp-https-owas", "int-mobile-to-rp",
}  # fmt: skip
NEVER_CHOSEN = {
    "int-foreign-meeting-out": "describes the same flows as ext-foreign-meeting-out, which stands first in the document"
}

RULES = {
    "director-bypass-sip", "reverse-proxy-bypass", "reverse-proxy-nat-forward", "reverse-proxy-internal-site",
    "external-to-internal-direct", "edge-to-internal-unlisted", "edge-internal-dns", "xmpp-partner-not-configured",
    "xmpp-direct-from-internal", "sip-cleartext", "sip-udp", "mtls-client-cert-missing", "real-tls-on-av",
    "pseudo-tls-wrong-listener", "tls-expected-cleartext", "media-range-inbound", "unlisted-path",
    "internal-to-external-direct", "reverse-proxy-unexpected-egress", "push-not-via-sipfed",
    "edge-internal-from-external", "edge-internal-default-gateway", "edge-collocated-role", "edge-egress-unlisted",
    "edge-wrong-external-ip", "non-lync-endpoint-on-edge", "unexpected-protocol-on-listener",
    "sba-direct-from-external", "nat-inbound-source-changed", "av-pool-hairpin-blocked", "media-unrelayed",
    "media-range-udp-legacy", "av-media-over-vpn", "tls-ios-below-1-2", "crl-blocked", "xmpp-gateway-direction",
    "xmpp-client-port", "xmpp-cleartext-not-permitted", "xmpp-sasl-without-tls",
    "xmpp-wrong-ip", "cms-replication-wrong-source", "cms-replication-reversed", "psom-reversed",
    "av-auth-wrong-source", "cls-from-outside", "internal-port-exposed",
    "admin-url-exposed", "internal-web-fqdn-exposed", "reverse-proxy-tls-passthrough", "cert-name-mismatch",
    "cert-wildcard-edge", "cert-expired", "mtls-untrusted-peer", "turn-shared-secret", "director-bypass-web",
    "reverse-proxy-ssl-offload", "mobility-not-via-proxy", "external-web-fqdn-from-inside", "cert-no-cdp",
    "reverse-proxy-http-content", "ipsec-on-media", "media-cleartext", "edge-internal-nat",
    "owas-in-perimeter",
}  # fmt: skip

SERVICES = {
    "tls", "pseudo-tls", "turn", "stun", "xmpp", "sip", "http", "dns", "ssh", "rtp", "rtcp", "quic", "dtls",
    "ntp", "ike", "wireguard", "openvpn", "snmp", "kerberos", "rdp", "smb", "smtp", "ftp", "imap", "pop3", "ldap",
    "mssql", "socks", "vnc",
}  # fmt: skip


def every(kind: str | None = None) -> list[Scenario]:
    return [each for sheet in sheets() if kind in (None, sheet.kind) for each in sheet.scenarios]


def holding(kind: str) -> list[Scenario]:
    """Scenarios of a kind whose conditions contoso meets."""
    conditions = Cast(load(SITE)).conditions()
    return [each for each in every(kind) if all(conditions[need] for need in each.needs)]


def test_every_row_that_holds_has_an_allowed_flow() -> None:
    shown = {each.expect.path for each in holding("clean") if each.expect.verdict == "allowed"}
    assert shown == PATHS
    assert not set(NEVER_CHOSEN) & PATHS


def test_every_rule_is_broken_by_a_flow_that_is_a_violation() -> None:
    broken = {
        rule for each in holding("violations") if each.expect.verdict == "violation" for rule in each.expect.rules
    }
    assert broken == RULES


def test_clean_traffic_trips_nothing_above_info() -> None:
    for each in every("clean"):
        assert each.expect.verdict in {"allowed", "undecided", "out-of-scope"}, each.id
        assert set(each.expect.rules) <= {"undeclared-network"}, each.id


def test_verdict_path_and_rules_fit_together() -> None:
    for each in every():
        expect = each.expect
        assert (expect.verdict in {"violation", "attempt"}) == bool(set(expect.rules) & RULES), each.id
        assert expect.verdict != "allowed" or expect.path, each.id
        assert not set(expect.rules) & set(expect.silenced), each.id
        assert "unlisted-path" not in expect.rules or (len(expect.rules) == 1 and expect.path is None), each.id
        assert set(expect.services or ()) | set(expect.never) <= SERVICES, each.id
        assert expect.protocol is None or expect.services is None or expect.protocol in expect.services, each.id


def test_every_service_has_a_look_alike() -> None:
    assert {service for each in every("lookalikes") for service in each.expect.never} == SERVICES


def test_roles_ports_conditions_and_talks_exist() -> None:
    cast = Cast(load(SITE))
    for each in every():
        for words in (each.source, each.destination):
            general = " ".join("N" if piece.isdigit() else piece for piece in words.split())
            assert general in cast.roles(), f"{each.id}: {words}"
        assert isinstance(each.port, int) or each.port in cast.ports(), each.id
        assert set(each.needs) <= set(cast.conditions()), each.id
        assert each.talk["kind"] in KINDS, each.id


def test_every_document_is_cited() -> None:
    unused = set(documents()) - {each.document for each in every()}
    assert not unused


def table(tmp_path: Path, change: Callable[[str], str]) -> Path:
    """A copy of the smallest folder of tables, changed."""
    text = """capture: x.pcap
kind: clean
sensor: external
starts: 2026-11-22T08:00:00Z
about: one scenario
scenarios:
  - id: one
    story: A remote user signs in.
    from: remote user
    to: edge 1 access
    port: client sip
    talk: {kind: silence}
    expect: {verdict: allowed, path: ext-access-client-sip}
    because: It is so.
    document: P-SNAT
"""
    (tmp_path / "documents.yaml").write_text('P-SNAT: "Port summary"\n')
    (tmp_path / "one.yaml").write_text(change(text))
    return tmp_path


def test_the_smallest_table_is_read(tmp_path: Path) -> None:
    (sheet,) = sheets(table(tmp_path, lambda text: text))
    assert [each.id for each in sheet.scenarios] == ["one"]
    assert sheet.starts.isoformat() == "2026-11-22T08:00:00+00:00"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("    story: A remote user signs in.\n", "", "missing \\['story'\\]"),
        ("    story:", "    tale: x\n    story:", "unknown \\['tale'\\]"),
        ("verdict: allowed", "verdict: fine", "no verdict of allowed"),
        ("path: ext", "pathway: ext", "unknown \\['pathway'\\]"),
        ("document: P-SNAT", "document: HEARSAY", "no such document: HEARSAY"),
        ("    port: client sip\n", "    port: client sip\n    transport: sctp\n", "transport: one of tcp, udp, icmp"),
        ("    port: client sip\n", "    port: client sip\n    answer: maybe\n", "answer: one of yes"),
        ("about: one scenario\n", "", "missing or unknown: about"),
        ("starts: 2026-11-22T08:00:00Z", "starts: soon", "starts: a time belongs here"),
    ],
)
def test_a_faulty_table_is_refused(tmp_path: Path, before: str, after: str, message: str) -> None:
    with pytest.raises(TableFault, match=message):
        sheets(table(tmp_path, lambda text: text.replace(before, after)))


def test_an_id_used_twice_is_refused(tmp_path: Path) -> None:
    folder = table(tmp_path, lambda text: text)
    (folder / "two.yaml").write_text((folder / "one.yaml").read_text())
    with pytest.raises(TableFault, match="used twice: one"):
        sheets(folder)


def test_the_tables_in_pcaps_are_those_that_are_shipped() -> None:
    assert (ROOT / "pcaps" / "scenarios").resolve() == FOLDER.resolve()
