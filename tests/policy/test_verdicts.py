"""The verdict table: what is judged, who opened it, what counts as an attempt, what the site's own policy changes.

Strategy: one small table per question; expected verdicts come from the definitions, never from a run.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date
from ipaddress import ip_network
from typing import Any

import pytest

from rules.components import PortRange
from rules.observation import Answered, Evidence, Initiator, Payload, Stun, Tls
from rules.site_policy import LocalPath, Policy, RuleSeverity, Selector
from rules.topology import Neighbour
from rules.verdict import ALLOWED, ATTEMPT, OUT_OF_SCOPE, UNDECIDED, VIOLATION, End, finding_id
from tests.policy.flows import (
    CHECK,
    DNS,
    HTTP,
    MTLS,
    NTP,
    PSEUDO_TLS,
    REFUSED,
    RTP,
    SILENT,
    SIP,
    SSH,
    TLS,
    TLS13,
    TLS_RECORDS,
    TURN,
    UNANSWERED,
    Bench,
    contoso,
    spoken,
    unknown,
    xmpp,
)

LATE = {"initiator": Initiator.FIRST}


def with_policy(**changes: Any) -> Bench:
    return Bench(replace(contoso(), policy=replace(Policy(), **changes)), "internal")


def with_rules(**severities: str) -> Bench:
    entries = [RuleSeverity(rule.replace("_", "-"), severity) for rule, severity in severities.items()]
    return with_policy(rules=tuple(entries))


# --- what is judged --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "destination", "wire", "expected"),
    [
        ("192.168.20.7:50000", "192.0.2.9:443/tcp", TLS, OUT_OF_SCOPE),
        ("192.168.20.7:50000", "192.0.2.9:53/udp", DNS, OUT_OF_SCOPE),
        ("192.168.10.90:50000", "192.0.2.9:443/tcp", TLS, OUT_OF_SCOPE),
        ("192.168.20.7:50000", "192.0.2.9:5061/tcp", TLS, VIOLATION),  # signalling between inside and outside
        ("192.168.20.7:50000", "192.0.2.9:8443/tcp", SIP, VIOLATION),
        ("192.168.20.7:50000", "192.0.2.9:60000/udp", RTP, VIOLATION),
        ("192.168.20.7:50000", "192.168.10.90:5061/tcp", TLS, OUT_OF_SCOPE),  # crosses nothing
        ("10.99.0.8:50000", "192.168.10.90:5061/tcp", TLS, OUT_OF_SCOPE),
        ("192.0.2.9:4000", "198.51.100.10:5061/tcp", TLS, OUT_OF_SCOPE),  # both on the Internet
        ("192.168.20.7:50000", "198.51.100.30:55000/tcp", unknown(), VIOLATION),  # a declared peer is an end
        ("192.0.2.9:0", "203.0.113.10:0/icmp", SILENT, OUT_OF_SCOPE),
        ("172.25.33.10:0", "192.168.10.50:0/icmp", SILENT, OUT_OF_SCOPE),
        ("192.0.2.9:0", "192.168.10.50:0/icmp", SILENT, VIOLATION),
        ("192.168.20.7:5353", "224.0.0.251:5353/udp", DNS, OUT_OF_SCOPE),
        ("203.0.113.10:138", "255.255.255.255:138/udp", unknown(), OUT_OF_SCOPE),
        ("[fe80::1]:5353", "[ff02::fb]:5353/udp", DNS, OUT_OF_SCOPE),
        ("203.0.113.77:4000", "203.0.113.10:22/tcp", SSH, OUT_OF_SCOPE),  # a nameless neighbour on the same segment
        ("203.0.113.77:4000", "203.0.113.10:443/tcp", TLS, VIOLATION),  # at a listener it is somebody translated
        ("203.0.113.77:4000", "172.25.33.10:443/tcp", PSEUDO_TLS, VIOLATION),  # no way from one side to the other
        ("192.168.10.1:4000", "172.25.33.10:22/tcp", SSH, OUT_OF_SCOPE),  # a firewall's own probe
        ("192.168.10.1:4000", "172.25.33.10:443/tcp", PSEUDO_TLS, VIOLATION),  # but no probe speaks to a relay
        ("172.25.33.10:4000", "192.168.10.1:22/tcp", SSH, VIOLATION),  # an Edge that opens one is no probe
        ("10.45.16.30:3478", "10.45.16.31:3478/udp", TURN, OUT_OF_SCOPE),  # pool members by their inner addresses
        ("203.0.113.10:4000", "172.25.33.11:4443/tcp", TLS, VIOLATION),
        ("172.25.33.77:4000", "172.25.33.11:443/tcp", PSEUDO_TLS, OUT_OF_SCOPE),
        ("172.25.33.77:4000", "172.25.33.11:4443/tcp", TLS, VIOLATION),  # the rule that names the pair
        ("192.168.21.9:4000", "192.0.2.9:5223/tcp", TLS, ALLOWED),
        ("192.168.10.90:4000", "192.0.2.9:5223/tcp", SILENT, OUT_OF_SCOPE),
        ("192.168.10.90:4000", "192.0.2.9:5223/tcp", TLS, VIOLATION),  # a server is no phone
        ("10.99.0.8:4000", "192.168.20.7:50020/udp", RTP, VIOLATION),  # media through the tunnel
        ("192.168.20.7:4000", "192.0.2.9:443/tcp", PSEUDO_TLS, ALLOWED),
        ("192.168.20.7:4000", "192.0.2.9:3480/udp", TURN, ALLOWED),
        ("192.168.20.7:4000", "192.0.2.9:3482/udp", TURN, VIOLATION),
        ("192.168.20.7:4000", "198.51.100.30:443/tcp", PSEUDO_TLS, ALLOWED),
        ("192.168.20.7:4000", "203.0.113.40:443/tcp", TLS, ALLOWED),
        ("192.168.20.7:4000", "203.0.113.10:443/tcp", TLS, VIOLATION),
    ],
)
def test_scope(site: Bench, source: str, destination: str, wire: dict[str, Any], expected: str) -> None:
    assert site.judge(source, destination, wire, position="internal").verdict == expected


def test_neighbours_of_the_perimeter_count_only_towards_servers() -> None:
    topology = contoso()
    mail = Neighbour("mail01", (ip_network("203.0.113.50/32").network_address,))
    bench = Bench(replace(topology, others=(mail,)))
    assert bench.judge("192.0.2.9:4000", "203.0.113.50:25/tcp", unknown()).verdict == OUT_OF_SCOPE
    assert bench.judge("203.0.113.50:4000", "192.168.20.7:445/tcp", unknown()).verdict == OUT_OF_SCOPE
    verdict = bench.judge("203.0.113.50:4000", "192.168.10.90:445/tcp", unknown())
    assert (verdict.verdict, verdict.source.component) == (VIOLATION, "mail01")
    assert bench.judge("203.0.113.50:4000", "192.168.10.95:4443/tcp", TLS).rules == ("reverse-proxy-bypass",)


def test_an_undeclared_end_is_undecided_and_trips_nothing_above_info(site: Bench) -> None:
    for flow in (
        ("172.16.5.5:4000", "172.25.33.10:5061/tcp", SIP),
        ("172.25.33.10:4000", "172.16.5.5:445/tcp", unknown()),
        ("172.16.5.5:4000", "203.0.113.10:5269/tcp", xmpp(1)),
        ("100.64.0.9:4000", "172.25.33.10:3478/udp", TURN),
    ):
        verdict = site.judge(*flow)
        assert (verdict.verdict, verdict.rules) == (UNDECIDED, ("undeclared-network",))


# --- opener ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "destination", "wire", "expected", "path"),
    [
        # The first sender's way fits, or only the other one does: allowed on it.
        ("192.0.2.25:4000", "203.0.113.10:443/tcp", TLS, ALLOWED, "ext-access-client-sip"),
        ("198.51.100.10:5061", "203.0.113.11:49888/tcp", MTLS, ALLOWED, "ext-access-federation-out"),
        ("198.51.100.10:5061", "203.0.113.11:49888/tcp", TLS_RECORDS, UNDECIDED, "ext-access-federation-out"),
        ("198.51.100.30:3478", "203.0.113.30:50100/udp", TURN, ALLOWED, "ext-av-udp-out"),
        # Only one of the two ways is judged at all: nothing can be said.
        ("192.0.2.9:443", "192.168.20.7:50000/tcp", TLS_RECORDS, UNDECIDED, None),
        ("192.168.20.7:50000", "192.0.2.9:443/tcp", TLS_RECORDS, UNDECIDED, None),
        ("192.0.2.9:443", "192.168.20.7:50000/udp", unknown(), UNDECIDED, None),
        # Neither is: out of scope.
        ("192.168.10.90:443", "192.168.20.7:50000/tcp", TLS_RECORDS, OUT_OF_SCOPE, None),
    ],
)
def test_opener_in_doubt(
    site: Bench, source: str, destination: str, wire: dict[str, Any], expected: str, path: str | None
) -> None:
    verdict = site.judge(source, destination, wire, position="internal", **LATE)
    assert (verdict.verdict, verdict.path, verdict.rules) == (expected, path, ())


def test_no_rule_about_the_opener_fires_on_a_tcp_connection_joined_late(site: Bench) -> None:
    late = unknown(evidence=Evidence.UNDETERMINED, **LATE)
    verdict = site.judge("172.25.33.10:49001", "192.168.10.5:445/tcp", late, position="internal")
    assert (verdict.verdict, verdict.rules, verdict.rules_silenced) == (VIOLATION, ("unlisted-path",), ())
    over_udp = site.judge("172.25.33.10:49001", "192.168.10.5:445/udp", late, position="internal")
    assert over_udp.rules == ("edge-to-internal-unlisted",)
    sure = unknown(evidence=Evidence.UNDETERMINED, initiator=Initiator.FIRST_SURE)
    assert site.judge("192.0.2.9:443", "192.168.20.7:50000/udp", sure, position="internal").rules == (
        "external-to-internal-direct",
    )


def test_rules_about_bytes_fire_whoever_opened(site: Bench) -> None:
    verdict = site.judge("172.25.33.10:49001", "192.168.10.5:9000/tcp", {**SIP, **LATE}, position="internal")
    assert verdict.rules == ("sip-cleartext",)


def test_ends_stay_where_the_flow_has_them_when_it_is_read_the_other_way(site: Bench) -> None:
    verdict = site.judge("198.51.100.10:5061", "203.0.113.11:49888/tcp", {**TLS, **LATE})
    assert (verdict.source.component, verdict.source.role) == ("sip.litware.com", "partner-edge")
    assert (verdict.destination.component, verdict.destination.role) == ("edge02.contoso.net", "edge-ext-access")


# --- confirmed, contradicted, silent ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (TLS, ALLOWED),
        (spoken("tls", tls=Tls.SERVER_HELLO, evidence=Evidence.RECOGNISED_LATE), ALLOWED),
        (spoken("tls", tls=Tls.BEGUN_HELLO), ALLOWED),
        (TLS_RECORDS, UNDECIDED),
        (SILENT, ALLOWED),
        (UNANSWERED, ALLOWED),
        (unknown(evidence=Evidence.UNDETERMINED), UNDECIDED),
        ({**SILENT, "payload": Payload.SOURCE}, UNDECIDED),  # acknowledged bytes that nobody captured
        (unknown(), VIOLATION),
        ({**HTTP, "evidence": Evidence.RECOGNISED_LATE}, UNDECIDED),
    ],
)
def test_how_far_bytes_bear_a_row_out(site: Bench, wire: dict[str, Any], expected: str) -> None:
    verdict = site.judge("192.0.2.25:50112", "203.0.113.10:443/tcp", wire)
    assert (verdict.verdict, verdict.path) == (expected, "ext-access-client-sip")


def test_mutual_tls_that_cannot_be_seen_is_said_and_no_more(site: Bench) -> None:
    verdict = site.judge("198.51.100.10:41000", "203.0.113.10:5061/tcp", TLS13)
    assert (verdict.verdict, verdict.unproved) == (ALLOWED, ("mutual",))
    assert site.judge("192.0.2.25:50112", "203.0.113.10:443/tcp", TLS13).unproved == ()


def test_an_unanswered_check_trips_nothing_unless_it_goes_straight_inside(site: Bench) -> None:
    for flow in (
        ("198.51.100.30:51000", "203.0.113.30:50380/udp", CHECK),
        ("203.0.113.30:50380", "192.168.20.7:50020/udp", CHECK),
        ("192.168.20.7:50020", "192.0.2.9:61000/udp", CHECK),
    ):
        verdict = site.judge(*flow)
        assert (verdict.verdict, verdict.rules, verdict.path) == (UNDECIDED, (), None)
    assert site.judge("192.0.2.25:5000", "203.0.113.30:3478/udp", CHECK).verdict == ALLOWED  # its row fits
    inside = site.judge("192.0.2.9:50380", "192.168.20.7:50020/udp", CHECK, position="internal")
    assert (inside.verdict, inside.rules) == (VIOLATION, ("external-to-internal-direct",))
    answered = {**CHECK, "stun": Stun.REQUEST | Stun.CHECK_ONLY | Stun.ANSWERED, "answered": Answered.YES}
    verdict = site.judge("198.51.100.30:51000", "203.0.113.30:50380/udp", answered)
    assert verdict.rules == ("media-range-inbound",)


# --- attempts --------------------------------------------------------------------------------------------------------

CLIENT_ONLY = {"payload": Payload.SOURCE | Payload.BOTH_DIRECTIONS_SEEN}
ALERT_ONLY = {"payload": Payload.SOURCE | Payload.DESTINATION | Payload.BOTH_DIRECTIONS_SEEN}
BROKEN_OFF = Tls.CLIENT_HELLO | Tls.SERVER_HELLO | Tls.SERVER_BROKE_OFF


@pytest.mark.parametrize(
    ("source", "destination", "wire", "expected"),
    [
        ("192.0.2.66:4000", "203.0.113.10:22/tcp", UNANSWERED, ATTEMPT),
        ("192.0.2.66:4000", "203.0.113.10:22/tcp", REFUSED, ATTEMPT),
        ("192.0.2.66:4000", "203.0.113.10:22/tcp", SILENT, VIOLATION),  # the port is open
        ("198.51.100.10:4000", "203.0.113.10:22/tcp", UNANSWERED, ATTEMPT),  # a partner that nobody answers
        ("192.168.20.7:4000", "172.25.33.10:22/tcp", REFUSED, ATTEMPT),
        ("10.99.0.8:4000", "172.25.33.10:22/tcp", REFUSED, ATTEMPT),
        ("172.25.33.10:4000", "192.168.10.5:445/tcp", UNANSWERED, VIOLATION),  # our own servers that try
        ("203.0.113.10:4000", "192.0.2.9:25/tcp", UNANSWERED, VIOLATION),
        ("192.168.10.90:4000", "172.25.33.10:22/tcp", REFUSED, VIOLATION),
        ("192.0.2.66:4000", "203.0.113.10:443/tcp", {**HTTP, **CLIENT_ONLY}, ATTEMPT),
        ("192.0.2.66:4000", "203.0.113.10:443/tcp", {**HTTP, **ALERT_ONLY}, ATTEMPT),
        ("192.0.2.66:4000", "203.0.113.10:443/tcp", HTTP, VIOLATION),
        ("192.168.10.90:4000", "172.25.33.10:5062/tcp", {**HTTP, **CLIENT_ONLY}, VIOLATION),
        ("198.51.100.99:4000", "203.0.113.10:5269/tcp", xmpp(1, payload=Payload.SOURCE), ATTEMPT),
        ("203.0.113.10:4000", "198.51.100.99:5269/tcp", xmpp(0, 1, payload=Payload.SOURCE), VIOLATION),
        ("192.0.2.66:4000", "203.0.113.10:5061/tcp", {**TLS, "tls": BROKEN_OFF}, ATTEMPT),
        ("192.0.2.66:4000", "203.0.113.10:5061/tcp", TLS, VIOLATION),
        ("192.168.10.90:4000", "172.25.33.10:5061/tcp", {**TLS, "tls": BROKEN_OFF}, VIOLATION),
        ("192.0.2.66:5060", "203.0.113.10:5060/udp", {**SIP, **CLIENT_ONLY, "answered": Answered.NO}, ATTEMPT),
    ],
)
def test_attempt(site: Bench, source: str, destination: str, wire: dict[str, Any], expected: str) -> None:
    place = "internal" if "172.25" in source + destination else "external"
    verdict = site.judge(source, destination, wire, position=place)
    assert verdict.verdict == expected
    assert verdict.rules


@pytest.mark.parametrize(
    ("position", "side", "expected"),
    [
        ("external", None, ATTEMPT),
        ("external", "outside", ATTEMPT),
        ("external", "both", ATTEMPT),
        ("external", "inside", VIOLATION),  # seen behind the firewall: it has passed
        ("internal", None, VIOLATION),
        ("lan", None, VIOLATION),
    ],
)
def test_a_sensor_beyond_the_firewall_proves_that_a_stranger_passed(position: str, side: str, expected: str) -> None:
    bench = Bench(contoso(), position, side)
    assert bench.judge("192.0.2.66:4000", "192.168.10.5:22/tcp", UNANSWERED).verdict == expected


# --- the site's own policy -------------------------------------------------------------------------------------------

BYPASS = ("172.25.33.10:49000", "192.168.10.90:5061/tcp", MTLS)


def test_a_rule_that_is_off_is_absent_and_silences_nothing() -> None:
    verdict = with_rules(director_bypass_sip="off").judge(*BYPASS)
    assert (verdict.rules, verdict.rules_silenced) == (("edge-to-internal-unlisted",), ())
    both = with_rules(director_bypass_sip="off", edge_to_internal_unlisted="off").judge(*BYPASS)
    assert (both.verdict, both.rules) == (VIOLATION, ("unlisted-path",))
    three = with_rules(director_bypass_sip="off", edge_to_internal_unlisted="off", unlisted_path="off").judge(*BYPASS)
    assert (three.verdict, three.rules, three.path) == (UNDECIDED, (), None)


def test_a_rule_lowered_to_info_silences_as_before() -> None:
    verdict = with_rules(director_bypass_sip="info").judge(*BYPASS)
    assert (verdict.verdict, verdict.path) == (ALLOWED, None)
    assert (verdict.rules, verdict.rules_silenced) == (("director-bypass-sip",), ("edge-to-internal-unlisted",))
    assert verdict.hits[0].severity == "info"
    unlisted = with_rules(unlisted_path="info").judge("192.168.20.7:4000", "172.25.33.10:22/tcp", SSH)
    assert (unlisted.verdict, unlisted.rules) == (ALLOWED, ("unlisted-path",))


def test_a_raised_severity_counts_and_orders() -> None:
    verdict = with_rules(sip_udp="critical", sip_cleartext="low").judge(
        "192.168.10.90:4000", "172.25.33.10:5060/udp", SIP
    )
    assert [(hit.rule, hit.severity) for hit in verdict.hits] == [("sip-udp", "critical"), ("sip-cleartext", "low")]


def test_a_rule_whose_default_is_info_never_makes_a_violation() -> None:
    verdict = with_rules(undeclared_network="critical").judge("172.16.5.5:4000", "172.25.33.10:3478/udp", TURN)
    assert (verdict.verdict, verdict.rules) == (UNDECIDED, ("undeclared-network",))


def test_documented_open_allows_and_notes_the_other_front_end() -> None:
    bench = with_policy(director_bypass="documented-open")
    verdict = bench.judge(*BYPASS)
    assert (verdict.verdict, verdict.path) == (ALLOWED, "int-sip-edge-to-other-fe")
    assert [(hit.rule, hit.severity) for hit in verdict.hits] == [("director-bypass-sip", "info")]
    # To a host that is no Front End no row leads, and a rule whose default is info silences nothing.
    elsewhere = bench.judge("172.25.33.10:49000", "192.168.10.5:5061/tcp", MTLS)
    assert elsewhere.rules == ("edge-to-internal-unlisted", "director-bypass-sip")


def local(source: str, kind: str, **more: Any) -> LocalPath:
    network = ip_network("192.168.10.5/32")
    return LocalPath(
        id="local-one",
        source=(Selector(kind, source, ip_network(source) if kind == "network" else None),),
        destination=(Selector("network", str(network), network),),
        transport=more.pop("transport", "udp"),
        ports=more.pop("ports", (PortRange(123, 123),)),
        **more,
    )


@pytest.mark.parametrize(
    ("path", "flow", "expected"),
    [
        (local("edge-int", "role"), ("172.25.33.10:123", "192.168.10.5:123/udp", unknown()), ALLOWED),
        (local("perimeter-int", "zone"), ("172.25.33.77:123", "192.168.10.5:123/udp", unknown()), ALLOWED),
        (local("lsedge.contoso.net", "fqdn"), ("172.25.33.11:123", "192.168.10.5:123/udp", unknown()), ALLOWED),
        (local("edge01.contoso.net", "fqdn"), ("172.25.33.11:123", "192.168.10.5:123/udp", unknown()), VIOLATION),
        (local("172.25.33.10/32", "network"), ("172.25.33.10:123", "192.168.10.5:123/udp", unknown()), ALLOWED),
        (local("172.25.33.0/28", "network"), ("172.25.33.15:123", "192.168.10.5:123/udp", unknown()), ALLOWED),
        (local("172.25.33.0/28", "network"), ("172.25.33.16:123", "192.168.10.5:123/udp", unknown()), VIOLATION),
        (local("edge-int", "role"), ("172.25.33.10:123", "192.168.10.5:124/udp", unknown()), VIOLATION),
        (local("edge-int", "role"), ("172.25.33.10:123", "192.168.10.5:123/tcp", unknown()), VIOLATION),
        (local("edge-int", "role", service="ntp"), ("172.25.33.10:123", "192.168.10.5:123/udp", NTP), ALLOWED),
        (
            local("edge-int", "role", service="ntp"),
            ("172.25.33.10:123", "192.168.10.5:123/udp", unknown(evidence=Evidence.UNDETERMINED)),
            UNDECIDED,
        ),
        (local("edge-int", "role", service="ntp"), ("172.25.33.10:123", "192.168.10.5:123/udp", unknown()), VIOLATION),
        (local("edge-int", "role", service="ntp"), ("172.25.33.10:123", "192.168.10.5:123/udp", DNS), VIOLATION),
        (local("edge-int", "role", service="dns"), ("172.25.33.10:123", "192.168.10.5:123/udp", DNS), ALLOWED),
        (local("edge-int", "role", service="dns"), ("172.25.33.10:123", "192.168.10.5:123/udp", unknown()), VIOLATION),
        (
            local("edge-int", "role", transport="esp", ports=()),
            ("172.25.33.10:0", "192.168.10.5:0/esp", SILENT),
            ALLOWED,
        ),
        (
            local("edge-int", "role", transport="tcp", ports=(PortRange(8000, 8100),)),
            ("172.25.33.10:5000", "192.168.10.5:8050/tcp", SSH),
            ALLOWED,
        ),
    ],
)
def test_local_path(path: LocalPath, flow: tuple[str, str, dict[str, Any]], expected: str) -> None:
    verdict = with_policy(local_paths=(path,)).judge(*flow)
    assert verdict.verdict == expected
    fits = expected == ALLOWED or path.service is not None  # those with a service differ in their bytes alone
    assert (verdict.path == "local-one") is fits


def test_a_local_path_ends_with_its_last_day() -> None:
    bench = with_policy(local_paths=(local("edge-int", "role", expires=date(2027, 1, 1)),))
    tables = bench.judge_of["internal"].tables
    assert tables["instants"] == [1798848000 * 10**9]  # 2027-01-02T00:00:00Z
    flow = ("172.25.33.10:123", "192.168.10.5:123/udp", unknown())
    assert bench.judge(*flow, era=0).verdict == ALLOWED
    assert bench.judge(*flow, era=1).verdict == VIOLATION


def test_rules_about_bytes_hold_on_a_local_path_too() -> None:
    path = local("edge-int", "role", transport="tcp", ports=(PortRange(5060, 5060),), service="sip")
    verdict = with_policy(local_paths=(path,)).judge("172.25.33.10:5000", "192.168.10.5:5060/tcp", SIP)
    assert (verdict.verdict, verdict.rules, verdict.path) == (VIOLATION, ("sip-cleartext",), "local-one")


# --- path choice -----------------------------------------------------------------------------------------------------


def test_the_row_that_names_the_peer_most_narrowly_is_the_path() -> None:
    topology = contoso()
    enabled = replace(topology.federation.push, enabled=True, addresses=())
    anybody = Bench(replace(topology, federation=replace(topology.federation, push=enabled)))
    flow = ("203.0.113.10:49500", "198.51.100.200:5061/tcp", MTLS)
    assert Bench(topology).judge(*flow).path == "ext-access-push-out"  # its address is declared
    assert anybody.judge(*flow).path == "ext-access-federation-out"  # both mean anybody: document order


def test_discovery_that_is_off_admits_listed_partners_alone() -> None:
    topology = contoso()
    listed = Bench(replace(topology, federation=replace(topology.federation, discovery=False)))
    assert listed.judge("198.51.100.10:41000", "203.0.113.10:5061/tcp", MTLS).verdict == ALLOWED
    assert listed.judge("192.0.2.9:41000", "203.0.113.10:5061/tcp", MTLS).path is None
    out = listed.judge("203.0.113.10:41000", "192.0.2.9:5061/tcp", MTLS)
    assert (out.path, out.rules) == ("ext-access-federation-out", ("federation-partner-not-allowed",))
    nameless = replace(topology.federation.sip_partners[0], access=())
    federation = replace(topology.federation, discovery=False, sip_partners=(nameless,))
    anybody = Bench(replace(topology, federation=federation))
    assert anybody.judge("192.0.2.9:41000", "203.0.113.10:5061/tcp", MTLS).verdict == ALLOWED


# --- findings and variants -------------------------------------------------------------------------------------------


def test_finding_id_is_the_hash_of_its_fields() -> None:
    source, destination = End("external", None, None), End("internal", "fe", "fe01.contoso.net")
    text = "\x1f".join(
        ["external-to-internal-direct", "internal", "external", "fe01.contoso.net", "tcp", "5061", "tls", ""]
    )
    found = finding_id("external-to-internal-direct", "internal", source, destination, "tcp", "5061", "tls")
    assert found == hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("destination", "wire", "name"),
    [
        ("203.0.113.10:22/tcp", SSH, "system"),
        ("203.0.113.10:1024/tcp", SSH, "registered"),
        ("203.0.113.10:49151/tcp", SSH, "registered"),
        ("203.0.113.10:49152/tcp", SSH, "dynamic"),
        ("203.0.113.10:50380/tcp", SSH, "dynamic"),
        ("203.0.113.30:50380/tcp", SSH, "relay-range"),
        ("203.0.113.30:60000/tcp", SSH, "dynamic"),
        ("203.0.113.10:443/tcp", SSH, "443"),
        ("192.168.10.50:5061/tcp", SSH, "5061"),
        ("192.168.10.5:0/esp", SILENT, ""),
    ],
)
def test_port_or_class(site: Bench, destination: str, wire: dict[str, Any], name: str) -> None:
    verdict = site.judge("192.0.2.66:4000", destination, wire, position="internal")
    assert verdict.hits[0].port_or_class == name


def test_a_trace_leads_to_the_verdict(site: Bench) -> None:
    verdict = site.judge(*BYPASS, position="internal")
    assert verdict.trace[-1] == "verdict: violation"
    assert any("director-bypass-sip" in step for step in verdict.trace)
    assert any("edge-to-internal-unlisted" in step and "silenced" in step for step in verdict.trace)


def test_what_is_concluded_from_silence_alone(site: Bench) -> None:
    """A tap that shows one direction knows nothing of answers, so such verdicts say what they are."""
    silence = site.judge("203.0.113.10:49900", "198.51.100.80:80/tcp", UNANSWERED)
    assert (silence.verdict, silence.rules, silence.of_silence) == (VIOLATION, ("crl-blocked",), True)
    assert site.judge("192.0.2.66:4000", "203.0.113.10:22/tcp", UNANSWERED).of_silence
    assert not site.judge("203.0.113.10:4000", "192.0.2.9:25/tcp", UNANSWERED).of_silence
    assert not site.judge("203.0.113.10:49900", "198.51.100.80:80/tcp", HTTP).of_silence


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wire", "word"), [(SSH, "reached"), (SILENT, "reached"), (UNANSWERED, "addressed")])
def test_nobody_is_said_to_be_reached_who_did_not_answer(wire: dict[str, Any], word: str) -> None:
    for address, rule in (("192.168.10.90", "external-to-internal-direct"), ("172.25.33.10", "edge-internal-from-")):
        verdict = Bench(contoso(), "internal").judge("192.0.2.66:50001", f"{address}:445/tcp", wire)
        assert verdict.rules[0].startswith(rule)
        assert f"a host on the Internet {word} " in verdict.reason
