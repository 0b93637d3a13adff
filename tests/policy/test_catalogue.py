"""The list of rules is complete, and silencing is the precedence table's."""

from __future__ import annotations

from dataclasses import replace

from rules import names
from rules.catalogue import (
    FROM_TOPOLOGY,
    NOT_OBSERVABLE,
    ORDER,
    RULE_IDS,
    catalogue,
    controls_of,
    coverage,
    policy_identity,
    sort_key,
)
from rules.registry import registered
from rules.rows import table
from rules.silence import SILENCES, silenced_by
from rules.site_policy import Policy, RuleSeverity
from tests.policy.flows import contoso

# The rule list by section, id and severity, from the path document by hand; c h m l i = critical … info.
SECTIONS = {
    "bypass": """
        external-to-internal-direct c, internal-to-external-direct h, director-bypass-sip c, director-bypass-web m,
        director-dos-past-director c, director-missing i, reverse-proxy-bypass c, reverse-proxy-nat-forward c,
        reverse-proxy-tls-passthrough h, reverse-proxy-ssl-offload h, reverse-proxy-internal-site h,
        reverse-proxy-host-rewritten m, reverse-proxy-http-content m, reverse-proxy-unexpected-egress h,
        mobility-not-via-proxy h, push-not-via-sipfed m, admin-url-exposed c, internal-web-fqdn-exposed h,
        external-web-fqdn-from-inside l, owas-in-perimeter l""",
    "edge": """
        edge-to-internal-unlisted c, edge-as-router c, edge-internal-from-external c, edge-same-subnet h,
        edge-internal-default-gateway m, edge-internal-dns l, edge-internal-nat h, edge-collocated-role h,
        edge-service-split m, edge-multiple-federation-routes m, edge-egress-unlisted h, edge-wrong-external-ip m,
        non-lync-endpoint-on-edge h, unexpected-protocol-on-listener h, sba-direct-from-external c""",
    "balancing": """
        lb-mixed-mode h, hlb-internal-vip-webconf h, hlb-internal-vip-xmpp h, hlb-internal-vip-mgmt m,
        hlb-node-direct-sip m, hlb-with-nat h, hlb-av-snat h, hlb-asymmetric-reply m, hlb-dsr m,
        nat-inbound-source-changed h, nat-outbound-dest-changed m, nat-public-ip-mismatch m, nat-port-translation m,
        av-pool-hairpin-blocked m, dns-lb-for-web m""",
    "encryption": """
        sip-cleartext c, sip-udp h, mtls-client-cert-missing h, mtls-untrusted-peer h, tls-expected-cleartext c,
        tls-weak m, tls-ios-below-1-2 l, pseudo-tls-wrong-listener h, real-tls-on-av h, media-cleartext h,
        media-range-inbound h, media-range-udp-legacy l, media-unrelayed h, turn-unauthenticated-flood m,
        turn-shared-secret m, ipsec-on-media m, cert-name-mismatch h, cert-wildcard-edge m,
        cert-private-ca-edge-external m, cert-differs-in-pool m, cert-no-cdp l, cert-expired h, crl-blocked l,
        signin-rate-abuse m""",
    "xmpp": """
        xmpp-partner-not-configured h, xmpp-cleartext-not-permitted h, xmpp-sasl-without-tls h,
        xmpp-invalid-negotiation-config l, xmpp-gateway-direction h, xmpp-direct-from-internal c, xmpp-client-port m,
        xmpp-unsupported-version m, xmpp-multiple-sites m, xmpp-wrong-ip l""",
    "federation": """
        federation-partner-not-allowed m, federation-discovered-partner-rate l, federation-disabled-5061 m,
        client-on-federation-port m, cms-replication-wrong-source h, cms-replication-reversed h, cls-from-outside h,
        av-auth-wrong-source h, psom-reversed h, internal-port-exposed c, av-media-over-vpn m,
        vpn-split-signalling-media m, sensor-blind i""",
}
LETTERS = {name[0]: name for name in names.SEVERITIES}
LISTED = [
    (entry.split()[0], LETTERS[entry.split()[1]])
    for section in SECTIONS.values()
    for entry in " ".join(section.split()).split(", ")
]

FROM_THE_FILE = {
    "director-missing",
    "edge-same-subnet",
    "hlb-with-nat",
    "xmpp-invalid-negotiation-config",
}
NEVER = {"vpn-split-signalling-media", "sensor-blind"}
BUILT = {rule for rule, _ in LISTED} - FROM_THE_FILE - NEVER | {"unlisted-path", "undeclared-network"}


def test_all_rules_of_the_list_stand_in_the_catalogue() -> None:
    assert len(LISTED) == 97
    expected = [*LISTED, ("unlisted-path", "high"), ("undeclared-network", "info")]
    assert [(entry.id, entry.severity) for entry in catalogue()] == expected


def test_each_rule_stands_for_itself_once() -> None:
    homes = [set(registered()), set(FROM_TOPOLOGY), set(NOT_OBSERVABLE)]
    assert sum(len(home) for home in homes) == len(ORDER) == len(RULE_IDS)
    assert set.union(*homes) == RULE_IDS
    assert {entry.id for entry in catalogue() if entry.built} == BUILT


def test_no_result_pretends() -> None:
    for entry in catalogue():
        assert entry.built or entry.why
        assert set(entry.positions) <= {*names.POSITIONS, "config"}
        assert controls_of(entry.id)


def test_papers_of_built_rules() -> None:
    documents = table().documents
    assert documents
    for rule in registered().values():
        assert rule.text.endswith(".")
        assert rule.id in ("unlisted-path", "undeclared-network") or rule.sources
        # NIST's own, and ISO's for each; PCI DSS and CIS do not have all of them.
        named = set(dict(rule.controls))
        assert {"nist-800-53", "iso-27001-2022"} <= named <= {"nist-800-53", "pci-dss-4", "iso-27001-2022", "cis-8.1"}
        assert all(ids for _, ids in rule.controls)


def test_coverage_names_what_the_sensors_prove_and_why_not_the_rest() -> None:
    topology = contoso()
    observable, missing = coverage(topology, ["external"])
    assert "media-range-inbound" in observable
    assert "director-bypass-sip" not in observable
    reasons = {entry["rule"]: entry["why"] for entry in missing}
    assert reasons["director-bypass-sip"] == "no sensor at the internal firewall"
    assert reasons["edge-as-router"] == "no sensor at the internal firewall", "it needs both"
    assert reasons["sensor-blind"].startswith("no flow can show it")
    assert set(observable) | set(reasons) == RULE_IDS
    assert set(observable).isdisjoint(reasons)
    both, _ = coverage(topology, ["external", "internal"])
    assert set(both) == BUILT
    beside, _ = coverage(topology, ["external"], ["internal"])
    assert set(beside) - set(observable) == {"edge-as-router", "lb-mixed-mode"}, (
        "what takes both; the rest is the other sensor's to say"
    )
    off = replace(topology, policy=Policy(rules=(RuleSeverity("sip-udp", "off"),)))
    assert {"rule": "sip-udp", "why": "turned off by policy.rules"} in coverage(off, ["external"])[1]


def test_order_is_by_severity_then_document() -> None:
    pairs = [
        ("edge-internal-dns", "low"),
        ("sip-udp", "high"),
        ("sip-cleartext", "critical"),
        ("real-tls-on-av", "high"),
    ]
    ordered = sorted(pairs, key=lambda pair: sort_key(*pair))
    assert [rule for rule, _ in ordered] == ["sip-cleartext", "sip-udp", "real-tls-on-av", "edge-internal-dns"]


def test_identity_of_the_policy() -> None:
    identity = policy_identity()
    assert identity["version"] == table().version
    assert identity["digest"].startswith("sha256:")
    assert len(identity["digest"]) == 71


# --- silencing -------------------------------------------------------------------------------------------------------

# The precedence table, transitively, by hand.
TO_UNLISTED = {"edge-to-internal-unlisted", "internal-port-exposed"}
TO_DIRECT = {"external-to-internal-direct", "internal-port-exposed"}
TO_EGRESS = {"reverse-proxy-unexpected-egress", "internal-port-exposed"}
TO_LISTENER = {"non-lync-endpoint-on-edge", "unexpected-protocol-on-listener"}
SIP = {"tls-expected-cleartext", "edge-egress-unlisted"} | TO_LISTENER
CERTIFICATE = {"cert-name-mismatch", "cert-private-ca-edge-external"}
PRECEDENCE = {
    "director-bypass-sip": TO_UNLISTED,
    "edge-internal-dns": TO_UNLISTED,
    "xmpp-gateway-direction": TO_UNLISTED,
    "cms-replication-reversed": TO_UNLISTED,
    "psom-reversed": TO_UNLISTED,
    "edge-to-internal-unlisted": {"internal-port-exposed"},
    "reverse-proxy-bypass": TO_DIRECT,
    "sba-direct-from-external": TO_DIRECT,
    "xmpp-direct-from-internal": TO_DIRECT | {"internal-to-external-direct"},
    "external-to-internal-direct": {"internal-port-exposed"},
    "push-not-via-sipfed": {"internal-to-external-direct"},
    "media-unrelayed": {"internal-to-external-direct"},
    "reverse-proxy-internal-site": TO_EGRESS,
    "director-bypass-web": TO_EGRESS,
    "dns-lb-for-web": TO_EGRESS,
    "reverse-proxy-ssl-offload": TO_EGRESS,
    "reverse-proxy-unexpected-egress": {"internal-port-exposed"},
    "edge-internal-from-external": {
        "cms-replication-wrong-source",
        "av-auth-wrong-source",
        "cls-from-outside",
        "media-range-inbound",  # through cls-from-outside
        "hlb-internal-vip-webconf",
        "hlb-internal-vip-xmpp",
        "hlb-internal-vip-mgmt",
    },
    "sip-cleartext": SIP,
    "sip-udp": SIP,
    "tls-expected-cleartext": TO_LISTENER,
    "pseudo-tls-wrong-listener": TO_LISTENER | {"tls-expected-cleartext"},
    "real-tls-on-av": TO_LISTENER,
    "xmpp-client-port": TO_LISTENER,
    "xmpp-wrong-ip": TO_LISTENER,
    "edge-wrong-external-ip": TO_LISTENER,
    "non-lync-endpoint-on-edge": {"unexpected-protocol-on-listener"},
    "mtls-client-cert-missing": {"client-on-federation-port"},
    "federation-disabled-5061": {
        "mtls-client-cert-missing",
        "mtls-untrusted-peer",
        "client-on-federation-port",
        "federation-partner-not-allowed",
    },
    "reverse-proxy-tls-passthrough": CERTIFICATE,
    "admin-url-exposed": CERTIFICATE,
    "internal-web-fqdn-exposed": CERTIFICATE,
    "cls-from-outside": {"media-range-inbound"},
    "media-range-udp-legacy": {"edge-egress-unlisted"},
    "xmpp-unsupported-version": {
        "xmpp-partner-not-configured",
        "xmpp-cleartext-not-permitted",
        "xmpp-sasl-without-tls",
        "xmpp-invalid-negotiation-config",
        "xmpp-gateway-direction",
        "xmpp-client-port",
        "xmpp-multiple-sites",
        "xmpp-wrong-ip",
        # and through xmpp-gateway-direction, xmpp-client-port and xmpp-wrong-ip:
        *TO_UNLISTED,
        *TO_LISTENER,
    },
}


def test_silencing_is_the_precedence_table() -> None:
    assert {rule: set(silenced) for rule, silenced in SILENCES.items()} == PRECEDENCE


def test_every_rule_of_the_precedence_table_exists_and_none_silences_itself() -> None:
    for rule, silenced in SILENCES.items():
        assert {rule, *silenced} <= RULE_IDS
        assert rule not in silenced
    assert silenced_by("reverse-proxy-nat-forward") == frozenset()
    assert not [rule for rule in SILENCES if rule.startswith("nat-") or rule in ("hlb-av-snat", "hlb-asymmetric-reply")]
