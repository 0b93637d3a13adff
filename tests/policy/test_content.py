"""What the reverse proxy answers in the clear on port 80: a redirect, a refusal or the Autodiscover document is right,
content is not.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from rules.detail import ADMIN, AUTODISCOVER, CONTENT, DATA, OTHER, ROOT, SWITCH, Detail
from rules.silence import silenced_by
from tests.policy.flows import HTTP, Bench, contoso

RULE = "reverse-proxy-http-content"
USER = "192.0.2.25:50000"
PROXY = "203.0.113.40:80/tcp"


@pytest.fixture(scope="module")
def site() -> Bench:
    return Bench(contoso())


@pytest.mark.parametrize(
    ("host", "use", "answer", "holds"),
    [
        ("meet.contoso.com", OTHER, CONTENT, True),
        ("meet.contoso.com", ROOT, DATA, True),
        ("", ROOT, CONTENT, True),  # asked by address
        ("lyncdiscover.contoso.com", OTHER, DATA, True),
        ("lyncdiscover.contoso.com", ROOT, CONTENT, True),  # a page is no document
        ("mail.adatum.example", "", SWITCH, True),  # CONNECT: an open proxy
        ("meet.contoso.com", OTHER, "redirect", False),
        ("meet.contoso.com", OTHER, "refusal", False),
        ("meet.contoso.com", OTHER, "empty", False),
        ("meet.contoso.com", OTHER, "", False),  # the answer was not seen
        ("lyncdiscover.contoso.com", ROOT, "autodiscover", False),
        ("lyncdiscover.contoso.com", ROOT, DATA, False),  # its JSON form
        ("lyncdiscover.fabrikam.com", ROOT, DATA, False),
        ("webext.contoso.com", AUTODISCOVER, CONTENT, False),  # the service's frame for browsers is a page
    ],
)
def test_answers_on_port_80(site: Bench, host: str, use: str, answer: str, holds: bool) -> None:
    number = site.site.domains.number(host) if host else 0
    verdict = site.judge(USER, PROXY, HTTP, detail=Detail(use=use, answer=answer), host=number)
    assert verdict.rules == ((RULE,) if holds else ())
    assert (verdict.verdict, verdict.path) == ("violation" if holds else "allowed", "ext-rp-http")
    if holds:
        assert verdict.hits[0].severity == "medium"


def test_it_stands_beside_what_was_asked_for(site: Bench) -> None:
    verdict = site.judge(USER, PROXY, HTTP, detail=Detail(use=ADMIN, answer=CONTENT))
    assert verdict.rules == ("admin-url-exposed", RULE)
    assert silenced_by(RULE) == frozenset()


def test_what_is_not_the_proxys_port_80(site: Bench) -> None:
    page = Detail(use=OTHER, answer=CONTENT)
    for source, destination in (
        (USER, "203.0.113.40:443/tcp"),  # another rule's: TLS is expected there
        (USER, "203.0.113.10:80/tcp"),  # not the proxy
        ("203.0.113.10:49900", "198.51.100.80:80/tcp"),  # a revocation list
        ("192.168.20.7:50000", PROXY),  # no client on the Internet
    ):
        assert RULE not in site.judge(source, destination, HTTP, detail=page).rules


def test_sites_of_others_at_the_proxy_may_have_content() -> None:
    topology = contoso()
    proxy = replace(topology.reverse_proxies[0], other_sites=("shop.contoso.com",))
    bench = Bench(replace(topology, reverse_proxies=(proxy,)))
    number = bench.site.domains.number("shop.contoso.com")
    page = Detail(use=ROOT, answer=CONTENT)
    assert bench.judge(USER, PROXY, HTTP, detail=page, host=number).verdict == "allowed"


def test_answers_are_looked_at_where_the_proxy_is_an_end(site: Bench) -> None:
    judge = site.judge_of["external"]
    assert judge.looks(site.observe(USER, PROXY, HTTP)).answer
    assert not judge.looks(site.observe("203.0.113.10:49900", "198.51.100.80:80/tcp", HTTP)).answer
