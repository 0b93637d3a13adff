"""Certificates that do not say where their revocation list is: told of listeners of ours, of nobody else's, and only
when the certificate was read to its end.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from rules.detail import Certificate, Detail
from tests.policy.flows import MTLS, TLS, Bench, contoso, xmpp

USER = "192.0.2.25:50000"
PROXY = "203.0.113.40"
ACCESS = Certificate("1", "sip.contoso.com", ("sip.contoso.com", "webcon.contoso.com"), "public ca")
EDGE = Certificate("2", "lsedge.contoso.net", ("lsedge.contoso.net",), "contoso private ca")
DIRECTOR = Certificate("3", "dirpool01.contoso.net", ("dirpool01.contoso.net",), "contoso private ca")
WEB = Certificate("4", "meet.contoso.com", ("meet.contoso.com",), "public ca")
PARTNER = Certificate("5", "sip.litware.com", ("sip.litware.com",), "public ca")

SERVED = [
    (USER, "203.0.113.10:443/tcp", TLS, ACCESS, "external"),
    (USER, "203.0.113.20:443/tcp", TLS, ACCESS, "external"),
    (USER, f"{PROXY}:443/tcp", TLS, WEB, "external"),
    ("198.51.100.69:5000", "203.0.113.10:5269/tcp", xmpp(), ACCESS, "external"),
    ("192.168.10.90:5000", "172.25.33.10:5062/tcp", MTLS, EDGE, "internal"),
    ("172.25.33.10:5000", "192.168.10.50:5061/tcp", MTLS, DIRECTOR, "internal"),
]


@pytest.fixture(scope="module")
def site() -> Bench:
    return Bench(contoso())


@pytest.mark.parametrize(("source", "destination", "wire", "shown", "position"), SERVED)
@pytest.mark.parametrize(("named", "holds"), [(False, True), (True, False), (None, False)])
def test_listeners_of_ours(
    site: Bench,
    source: str,
    destination: str,
    wire: dict[str, int],
    shown: Certificate,
    position: str,
    named: bool | None,
    holds: bool,
) -> None:
    detail = Detail(server=replace(shown, revocation_list=named))
    verdict = site.judge(source, destination, wire, position=position, detail=detail)
    assert ("cert-no-cdp" in verdict.rules) is holds, verdict
    if holds:
        [hit] = [hit for hit in verdict.hits if hit.rule == "cert-no-cdp"]
        assert (hit.severity, hit.subject_column) == ("low", "tls.server.hash.sha256")
        assert shown.subject in hit.reason


def test_certificates_that_are_not_ours_to_issue(site: Bench) -> None:
    bare = replace(PARTNER, revocation_list=False)
    flows = (
        ("203.0.113.10:5000", "198.51.100.10:5061/tcp", MTLS, Detail(server=bare)),  # a partner's listener
        ("198.51.100.10:5000", "203.0.113.10:5061/tcp", MTLS, Detail(client=bare)),  # a client's
        (USER, "203.0.113.10:3389/tcp", TLS, Detail(server=bare)),  # no listener of the product
    )
    for source, destination, wire, detail in flows:
        assert "cert-no-cdp" not in site.judge(source, destination, wire, detail=detail).rules


def test_sites_of_others_at_the_proxy_have_certificates_of_their_own() -> None:
    topology = contoso()
    proxy = replace(topology.reverse_proxies[0], other_sites=("shop.contoso.com",))
    bench = Bench(replace(topology, reverse_proxies=(proxy,)))
    shop = Certificate("6", "shop.contoso.com", ("shop.contoso.com",), "public ca", revocation_list=False)
    number = bench.site.domains.number("shop.contoso.com")
    verdict = bench.judge(USER, f"{PROXY}:443/tcp", TLS, detail=Detail(server=shop), server_name=number)
    assert verdict.verdict == "allowed"
