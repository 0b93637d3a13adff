"""Rules about names, paths, suites and certificates: what trips each, and the nearest flow that does not.

Names and certificates are those of the path document's section 5 and of the worked example, written down by hand.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rules.detail import ADMIN, AUTODISCOVER, MOBILITY, NO_DETAIL, OTHER, ROOT, Certificate, Detail, is_weak, use_of
from rules.observation import Validity
from rules.topology import CertificateNames
from tests.policy.flows import HTTP, MTLS, TLS, TLS13, TURN, Bench, contoso, spoken, xmpp


def certificate(subject: str, *names: str, issuer: str = "public ca") -> Certificate:
    return Certificate(f"hash of {subject}", subject, (subject, *names), issuer)


ACCESS = certificate("sip.contoso.com", "webcon.contoso.com", "sip.fabrikam.com", "contoso.com")
EDGE = certificate("lsedge.contoso.net", issuer="contoso private ca")
PROXY = certificate(
    "webext.contoso.com", "webdirext.contoso.com", "dialin.contoso.com", "meet.contoso.com", "lyncdiscover.contoso.com"
)
FRONT_END = certificate("pool01.contoso.net", "fe01.contoso.net", "sip.contoso.com")
DIRECTOR = certificate("dirpool01.contoso.net", "dir01.contoso.net")
PARTNER = certificate("sip.litware.com")
STRANGER = certificate("mail.adatum.example")
WILD = certificate("*.contoso.com")
SELF_SIGNED = certificate("sip.contoso.com", "webcon.contoso.com", issuer="sip.contoso.com")

PROXY_OUT, PROXY_IN, FE_WEB, DIR_WEB = "203.0.113.40", "172.25.33.40:40011", "192.168.10.95", "192.168.10.55"


def server(shown: Certificate) -> Detail:
    return Detail(server=shown)


def use(what: str) -> Detail:
    return Detail(use=what)


USER, PC = "192.0.2.25:50000", "192.168.20.7:50000"
CASES: list[tuple[str, bool, str, str, dict[str, Any], Detail, str]] = [
    # rule, holds, source, destination, wire, detail, name asked for
    ("admin-url-exposed", True, USER, f"{PROXY_OUT}:443/tcp", TLS, NO_DETAIL, "admin.contoso.com"),
    ("admin-url-exposed", True, USER, f"{PROXY_OUT}:443/tcp", TLS, NO_DETAIL, "admin.fabrikam.com"),  # not declared
    ("admin-url-exposed", True, USER, f"{PROXY_OUT}:80/tcp", HTTP, use(ADMIN), "meet.contoso.com"),
    ("admin-url-exposed", False, USER, f"{PROXY_OUT}:443/tcp", TLS, NO_DETAIL, "meet.contoso.com"),
    ("admin-url-exposed", False, USER, "203.0.113.10:443/tcp", TLS, NO_DETAIL, "admin.contoso.com"),
    ("internal-web-fqdn-exposed", True, USER, f"{PROXY_OUT}:443/tcp", TLS, NO_DETAIL, "pool01.contoso.net"),
    (
        "internal-web-fqdn-exposed",
        True,
        USER,
        f"{PROXY_OUT}:443/tcp",
        TLS,
        NO_DETAIL,
        "lyncdiscoverinternal.contoso.com",
    ),
    ("internal-web-fqdn-exposed", False, USER, f"{PROXY_OUT}:443/tcp", TLS, NO_DETAIL, "webext.contoso.com"),
    ("internal-web-fqdn-exposed", False, PC, "192.168.10.95:443/tcp", TLS, NO_DETAIL, "pool01.contoso.net"),
    ("external-web-fqdn-from-inside", True, PC, f"{PROXY_OUT}:80/tcp", HTTP, use(OTHER), "webext.contoso.com"),
    ("external-web-fqdn-from-inside", False, PC, f"{PROXY_OUT}:80/tcp", HTTP, use(MOBILITY), "webext.contoso.com"),
    ("external-web-fqdn-from-inside", False, PC, f"{PROXY_OUT}:80/tcp", HTTP, use(AUTODISCOVER), "webext.contoso.com"),
    ("external-web-fqdn-from-inside", False, PC, f"{PROXY_OUT}:443/tcp", TLS, NO_DETAIL, "webext.contoso.com"),
    ("external-web-fqdn-from-inside", False, USER, f"{PROXY_OUT}:80/tcp", HTTP, use(OTHER), "webext.contoso.com"),
    ("external-web-fqdn-from-inside", False, PC, f"{PROXY_OUT}:80/tcp", HTTP, use(OTHER), "meet.contoso.com"),
    ("mobility-not-via-proxy", True, PC, "192.168.10.91:80/tcp", HTTP, use(MOBILITY), ""),
    ("mobility-not-via-proxy", True, "10.99.0.8:5000", f"{FE_WEB}:8080/tcp", HTTP, use(MOBILITY), ""),
    ("mobility-not-via-proxy", False, PC, "192.168.10.91:80/tcp", HTTP, use(OTHER), ""),
    ("mobility-not-via-proxy", False, "192.168.10.50:5000", "192.168.10.91:80/tcp", HTTP, use(MOBILITY), ""),
    ("mobility-not-via-proxy", False, PROXY_IN, f"{FE_WEB}:8080/tcp", HTTP, use(MOBILITY), ""),
    ("director-bypass-web", True, PROXY_IN, f"{FE_WEB}:4443/tcp", TLS, NO_DETAIL, "meet.contoso.com"),
    ("director-bypass-web", True, PROXY_IN, f"{FE_WEB}:8080/tcp", HTTP, use(ROOT), "lyncdiscover.contoso.com"),
    ("director-bypass-web", False, PROXY_IN, f"{DIR_WEB}:4443/tcp", TLS, NO_DETAIL, "meet.contoso.com"),
    ("director-bypass-web", False, PROXY_IN, f"{FE_WEB}:4443/tcp", TLS, NO_DETAIL, "webext.contoso.com"),
    ("director-bypass-web", False, PROXY_IN, f"{FE_WEB}:4443/tcp", TLS, NO_DETAIL, ""),  # many send no name
    ("reverse-proxy-ssl-offload", True, PROXY_IN, f"{FE_WEB}:8080/tcp", HTTP, use(OTHER), "webext.contoso.com"),
    ("reverse-proxy-ssl-offload", True, PROXY_IN, f"{FE_WEB}:8080/tcp", HTTP, use(ROOT), "webext.contoso.com"),
    ("reverse-proxy-ssl-offload", True, PROXY_IN, f"{FE_WEB}:4443/tcp", HTTP, use(AUTODISCOVER), ""),
    ("reverse-proxy-ssl-offload", False, PROXY_IN, f"{FE_WEB}:8080/tcp", HTTP, use(AUTODISCOVER), "webext.contoso.com"),
    ("reverse-proxy-ssl-offload", False, PROXY_IN, f"{DIR_WEB}:8080/tcp", HTTP, use(ROOT), "lyncdiscover.contoso.com"),
    ("reverse-proxy-ssl-offload", False, PROXY_IN, f"{FE_WEB}:8080/tcp", HTTP, NO_DETAIL, ""),  # the path not seen
    ("reverse-proxy-ssl-offload", False, PROXY_IN, f"{DIR_WEB}:8080/tcp", HTTP, use(ROOT), ""),  # Host was cut off
    ("reverse-proxy-ssl-offload", False, PC, f"{FE_WEB}:8080/tcp", HTTP, use(OTHER), ""),
    ("reverse-proxy-host-rewritten", True, PROXY_IN, f"{FE_WEB}:8080/tcp", HTTP, use(OTHER), "pool01.contoso.net"),
    ("reverse-proxy-host-rewritten", True, PROXY_IN, f"{DIR_WEB}:8080/tcp", HTTP, use(ROOT), "dir01.contoso.net"),
    ("reverse-proxy-host-rewritten", False, PROXY_IN, f"{FE_WEB}:8080/tcp", HTTP, use(OTHER), "webext.contoso.com"),
    ("reverse-proxy-host-rewritten", False, PROXY_IN, f"{FE_WEB}:8080/tcp", HTTP, use(OTHER), "far.example"),
    ("reverse-proxy-host-rewritten", False, PC, f"{FE_WEB}:8080/tcp", HTTP, use(OTHER), "pool01.contoso.net"),
    ("reverse-proxy-tls-passthrough", True, USER, f"{PROXY_OUT}:443/tcp", TLS, server(FRONT_END), ""),
    ("reverse-proxy-tls-passthrough", False, USER, f"{PROXY_OUT}:443/tcp", TLS, server(PROXY), ""),
    ("reverse-proxy-tls-passthrough", False, PROXY_IN, f"{FE_WEB}:4443/tcp", TLS, server(FRONT_END), ""),
    ("cert-name-mismatch", True, USER, "203.0.113.10:443/tcp", TLS, server(STRANGER), ""),
    ("cert-name-mismatch", True, USER, "203.0.113.20:443/tcp", TLS, server(PARTNER), ""),
    ("cert-name-mismatch", True, PROXY_IN, f"{FE_WEB}:4443/tcp", TLS, server(STRANGER), ""),
    ("cert-name-mismatch", True, "192.168.10.90:5000", "172.25.33.10:5062/tcp", MTLS, server(ACCESS), ""),
    ("cert-name-mismatch", True, USER, f"{PROXY_OUT}:443/tcp", TLS, server(certificate("webext.contoso.com")),
     "meet.contoso.com"),
    ("cert-name-mismatch", False, USER, f"{PROXY_OUT}:443/tcp", TLS, server(certificate("webext.contoso.com")), ""),
    ("cert-name-mismatch", False, USER, f"{PROXY_OUT}:443/tcp", TLS, server(WILD), "meet.contoso.com"),
    ("cert-name-mismatch", False, USER, "203.0.113.10:443/tcp", TLS, server(ACCESS), ""),
    ("cert-name-mismatch", False, USER, "203.0.113.20:443/tcp", TLS, server(ACCESS), ""),
    ("cert-name-mismatch", False, "172.25.33.10:5000", "192.168.10.50:5061/tcp", MTLS, server(DIRECTOR), ""),
    ("cert-name-mismatch", False, PROXY_IN, f"{FE_WEB}:4443/tcp", TLS, server(FRONT_END), ""),
    ("cert-name-mismatch", False, "203.0.113.10:5000", "198.51.100.10:5061/tcp", MTLS, server(STRANGER), ""),
    ("cert-name-mismatch", False, USER, "203.0.113.30:443/tcp", TLS, server(STRANGER), ""),  # media shows none
    ("cert-name-mismatch", False, USER, "203.0.113.10:443/tcp", TLS13, NO_DETAIL, ""),
    ("cert-wildcard-edge", True, USER, "203.0.113.10:443/tcp", TLS,
     server(certificate("sip.contoso.com", "*.contoso.com")), ""),
    ("cert-wildcard-edge", True, USER, f"{PROXY_OUT}:443/tcp", TLS, server(WILD), ""),
    ("cert-wildcard-edge", False, "198.51.100.69:5000", "203.0.113.10:5269/tcp", xmpp(),
     server(certificate("sip.contoso.com", "*.contoso.com")), ""),  # one of the vendor's tables shows it there
    ("cert-wildcard-edge", False, "192.168.10.90:5000", "172.25.33.10:5062/tcp", MTLS,
     server(certificate("lsedge.contoso.net", "*.contoso.net")), ""),
    ("cert-wildcard-edge", False, USER, f"{PROXY_OUT}:443/tcp", TLS,
     server(certificate("webext.contoso.com", "*.contoso.com")), ""),
    ("cert-private-ca-edge-external", True, USER, "203.0.113.10:443/tcp", TLS, server(SELF_SIGNED), ""),
    ("cert-private-ca-edge-external", False, USER, "203.0.113.10:443/tcp", TLS, server(ACCESS), ""),
    ("cert-private-ca-edge-external", False, "192.168.10.90:5000", "172.25.33.10:5062/tcp", MTLS,
     server(SELF_SIGNED), ""),
    ("mtls-untrusted-peer", True, "198.51.100.10:5000", "203.0.113.10:5061/tcp", MTLS, Detail(client=STRANGER), ""),
    ("mtls-untrusted-peer", True, "203.0.113.10:5000", "198.51.100.10:5061/tcp", MTLS, server(STRANGER), ""),
    ("mtls-untrusted-peer", True, "192.168.10.90:5000", "172.25.33.10:5062/tcp", MTLS,
     Detail(server=EDGE, client=DIRECTOR), ""),
    ("mtls-untrusted-peer", False, "198.51.100.10:5000", "203.0.113.10:5061/tcp", MTLS, Detail(client=PARTNER), ""),
    ("mtls-untrusted-peer", False, "198.51.100.40:5000", "203.0.113.10:5061/tcp", MTLS, Detail(client=STRANGER), ""),
    ("mtls-untrusted-peer", False, "192.168.10.90:5000", "172.25.33.10:5062/tcp", MTLS,
     Detail(server=EDGE, client=FRONT_END), ""),
    ("mtls-untrusted-peer", False, "192.168.10.200:5000", "172.25.33.10:50001/tcp", MTLS, Detail(client=STRANGER), ""),
    ("mtls-untrusted-peer", False, "203.0.113.10:5000", "198.51.100.10:5061/tcp", MTLS,
     Detail(server=PARTNER, client=ACCESS), ""),
    ("turn-shared-secret", True, USER, "203.0.113.30:3478/udp", TURN, Detail(shared_secret=True), ""),
    ("turn-shared-secret", False, USER, "203.0.113.30:3478/udp", TURN, NO_DETAIL, ""),
    ("turn-shared-secret", False, PC, "192.0.2.9:3478/udp", TURN, Detail(shared_secret=True), ""),
    ("tls-weak", True, USER, "203.0.113.10:443/tcp", TLS, Detail(weak_suite=True), ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "holds", "source", "destination", "wire", "detail", "name"),
    CASES,
    ids=[f"{case[0]}-{'trips' if case[1] else 'misses'}" for case in CASES],
)
def test_rule(
    site: Bench, rule: str, holds: bool, source: str, destination: str, wire: dict[str, Any], detail: Detail, name: str
) -> None:
    asked = site.site.domains.number(name) if name else 0
    column = "host" if "http" in str(wire.get("service")) or wire is HTTP else "server_name"
    verdict = site.judge(source, destination, wire, position="internal", detail=detail, **{column: asked})
    assert (rule in (*verdict.rules, *verdict.rules_silenced)) is holds, verdict


@pytest.mark.parametrize(
    ("source", "destination", "wire", "holds"),
    [
        (USER, "203.0.113.10:443/tcp", {**TLS, "server_validity": Validity.EXPIRED}, True),
        (USER, "203.0.113.10:443/tcp", {**TLS, "server_validity": Validity.NOT_YET}, True),
        ("198.51.100.10:5000", "203.0.113.10:5061/tcp", {**MTLS, "client_validity": Validity.EXPIRED}, True),
        ("203.0.113.10:5000", "198.51.100.10:5061/tcp", {**MTLS, "server_validity": Validity.EXPIRED}, True),
        (USER, "203.0.113.10:443/tcp", {**TLS, "server_validity": Validity.VALID}, False),
        ("203.0.113.10:5000", "198.51.100.10:5061/tcp", {**MTLS, "client_validity": Validity.EXPIRED}, False),
        ("192.168.10.90:5000", "172.25.33.10:5062/tcp", {**MTLS, "client_validity": Validity.EXPIRED}, False),
        (PC, "192.0.2.9:443/tcp", {**TLS, "server_validity": Validity.EXPIRED}, False),
    ],
)
def test_certificates_outside_their_days(
    site: Bench, source: str, destination: str, wire: dict[str, Any], holds: bool
) -> None:
    verdict = site.judge(source, destination, wire)
    assert ("cert-expired" in verdict.rules) is holds
    named = site.judge(source, destination, wire, detail=Detail(server=ACCESS, client=PARTNER))
    columns = [hit.subject_column for hit in named.hits if hit.rule == "cert-expired"]
    expired_client = "client_validity" in wire and wire["client_validity"] == Validity.EXPIRED
    wanted = "tls.client.hash.sha256" if expired_client else "tls.server.hash.sha256"
    assert columns == ([wanted] if holds else [])


def test_names_that_a_site_states_itself() -> None:
    topology = contoso()
    own = replace(topology, certificates=(CertificateNames("access", ("edge.contoso.com", "sip.contoso.com")),))
    verdict = Bench(own).judge(USER, "203.0.113.10:443/tcp", TLS, detail=server(ACCESS))
    assert verdict.rules == ("cert-name-mismatch",)
    assert "edge.contoso.com" in verdict.reason


def test_private_authorities_are_those_that_the_site_names() -> None:
    topology = contoso()
    named = replace(topology, policy=replace(topology.policy, private_cas=("Contoso Private CA",)))
    detail = server(certificate("sip.contoso.com", "webcon.contoso.com", issuer="contoso private ca"))
    assert Bench(named).judge(USER, "203.0.113.10:443/tcp", TLS, detail=detail).rules == (
        "cert-private-ca-edge-external",
    )
    assert Bench(topology).judge(USER, "203.0.113.10:443/tcp", TLS, detail=detail).verdict == "allowed"


def test_sites_of_others_at_the_same_proxy_are_left_alone() -> None:
    topology = contoso()
    proxy = replace(topology.reverse_proxies[0], other_sites=("admin.contoso.com", "shop.contoso.com"))
    bench = Bench(replace(topology, reverse_proxies=(proxy,)))
    for name in proxy.other_sites:
        number = bench.site.domains.number(name)
        shop = server(certificate("shop.contoso.com"))
        verdict = bench.judge(USER, f"{PROXY_OUT}:443/tcp", TLS, detail=shop, server_name=number)
        assert verdict.verdict == "allowed"


def test_without_mobility_sealed_requests_count_as_well() -> None:
    bench = Bench(replace(contoso(), mobility=False))
    name = bench.site.domains.number("webext.contoso.com")
    verdict = bench.judge(PC, f"{PROXY_OUT}:443/tcp", TLS, server_name=name)
    assert verdict.rules == ("external-web-fqdn-from-inside",)


def test_what_is_looked_at_closer(site: Bench) -> None:
    """Only what some rule reads, and only of flows that are judged, so that other traffic costs nothing."""
    judge = site.judge_of["external"]
    assert judge.looks(site.observe(USER, "203.0.113.10:443/tcp", TLS)).server
    assert judge.looks(site.observe("198.51.100.10:5000", "203.0.113.10:5061/tcp", MTLS)).client
    assert not judge.looks(site.observe(USER, "203.0.113.10:443/tcp", TLS13)).client
    assert judge.looks(site.observe(USER, f"{PROXY_OUT}:80/tcp", HTTP)).use
    assert judge.looks(site.observe(PC, "192.168.10.91:80/tcp", HTTP)).use  # out of scope but for its path
    for flow in ((PC, "192.0.2.9:443/tcp", TLS), ("192.0.2.9:4000", "198.51.100.10:80/tcp", HTTP)):
        assert not judge.looks(site.observe(*flow)).any
    assert not judge.looks(site.observe(USER, "203.0.113.10:22/tcp", spoken("ssh"))).any


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/Autodiscover/AutodiscoverService.svc/root", AUTODISCOVER),
        ("/autodiscover", AUTODISCOVER),
        ("/autodiscovered", OTHER),
        ("/Mcx/McxService.svc", MOBILITY),
        ("/ucwa/v1/applications", MOBILITY),
        ("/Cscp/", ADMIN),
        ("/", ROOT),
        ("", ROOT),
        ("/abs/handler", OTHER),
    ],
)
def test_use_of_a_path(path: str, expected: str) -> None:
    assert use_of(path) == expected


def test_weak_suites_by_their_names() -> None:
    weak = ("TLS_RSA_WITH_NULL_SHA", "TLS_DH_anon_WITH_RC4_128_MD5", "TLS_RSA_EXPORT_WITH_RC4_40_MD5")
    assert all(is_weak(suite) for suite in weak)
    fine = ("TLS_RSA_WITH_RC4_128_MD5", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256")
    assert not any(is_weak(suite) for suite in fine)


def test_a_wildcard_stands_for_one_label() -> None:
    assert WILD.speaks_for("meet.contoso.com")
    assert not WILD.speaks_for("a.meet.contoso.com")
    assert not WILD.speaks_for("contoso.com")
    assert not WILD.speaks_for("com")
