"""Names, paths, suites and certificates: what a site says of them itself, and what of a flow is looked at closer.

Flows that trip these rules, and near misses, stand in tests/policy/tables/rules.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rules.detail import ADMIN, AUTODISCOVER, MOBILITY, OTHER, ROOT, Certificate, Detail, is_weak, use_of
from rules.observation import Validity
from rules.topology import CertificateNames
from tests.policy.cases import CERTIFICATES, certificate
from tests.policy.flows import HTTP, MTLS, TLS, TLS13, Bench, contoso, spoken, xmpp

ACCESS, PARTNER = CERTIFICATES["access"], CERTIFICATES["partner"]
PROXY_OUT = "203.0.113.40"
USER, PC = "192.0.2.25:50000", "192.168.20.7:50000"


def server(shown: Certificate) -> Detail:
    return Detail(server=shown)


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


EDGE, LITWARE, STRANGER = "203.0.113.10", "198.51.100.10", "192.0.2.66"


@pytest.mark.parametrize(
    ("source", "destination", "wire", "detail", "said"),
    [
        (STRANGER, f"{EDGE}:5269", xmpp(1, 2), Detail(), "the Internet opened XMPP on TCP 5269 to edge01.contoso.net "),
        (
            EDGE,
            f"{STRANGER}:5269",
            xmpp(2, 1),
            Detail(),
            "edge01.contoso.net (edge-xmpp-proxy) opened XMPP on TCP 5269",
        ),
        (
            STRANGER,
            f"{EDGE}:443",
            TLS,
            server(PARTNER),
            "(edge-ext-access) showed a host on the Internet a certificate",
        ),
        (
            LITWARE,
            f"{EDGE}:5061",
            MTLS,
            Detail(client=CERTIFICATES["stranger"]),
            "sip.litware.com (partner-edge) showed edge01.contoso.net ",
        ),
    ],
)
def test_a_reason_names_both_ends_and_who_opened(
    site: Bench, source: str, destination: str, wire: dict[str, Any], detail: Detail, said: str
) -> None:
    assert said in site.judge(f"{source}:41000", f"{destination}/tcp", wire, detail=detail).reason


def test_private_authorities_are_those_that_the_site_names() -> None:
    topology = contoso()
    named = replace(topology, policy=replace(topology.policy, private_cas=("Contoso Private CA",)))
    detail = server(certificate("sip.contoso.com", "webcon.contoso.com", issuer="CONTOSO Private CA"))
    verdict = Bench(named).judge(USER, "203.0.113.10:443/tcp", TLS, detail=detail)
    assert verdict.rules == ("cert-private-ca-edge-external",)
    assert "issued by CONTOSO Private CA " in verdict.reason, "as it is written"
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
    wild = CERTIFICATES["wildcard"]
    assert wild.speaks_for("meet.contoso.com")
    assert not wild.speaks_for("a.meet.contoso.com")
    assert not wild.speaks_for("contoso.com")
    assert not wild.speaks_for("com")
