"""Which rows apply where: by product, plan and feature, as the path document lists them.

Strategy: the expected ids are written out by hand from the document's tables and its list of variants; a change of a
switch is expressed as what it adds and what it takes away.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rules import names
from rules.components import Office365, Provider
from rules.endpoints import Endpoints
from rules.paths import Path, derive
from rules.reach import WEB_WORDS, WORDS
from rules.rows import table
from rules.site_policy import Policy
from rules.switches import NEEDS, PLANS
from rules.topology import Topology
from tests.policy.flows import TURN, Bench, contoso
from tests.policy.variants import site

LYNC_2013 = set(
    """
    ext-access-client-sip ext-access-federation-in ext-access-federation-out ext-access-push-out ext-access-crl-http
    ext-access-dns-tcp ext-access-dns-udp ext-xmpp-in ext-xmpp-out ext-webconf-psom ext-av-udp-in ext-av-udp-out
    ext-av-tcp-in ext-av-tcp-out ext-av-range-tcp-out ext-av-range-udp-out ext-av-range-tcp-in ext-av-range-udp-in
    ext-av-pool-hairpin ext-rp-https ext-rp-http ext-rp-mobile-hairpin ext-wifi-apns-out ext-foreign-meeting-out
    int-sip-edge-to-director int-sip-director-to-edge int-sip-fe-to-edge int-av-auth int-psom int-av-udp int-av-tcp
    int-cms-replication int-cls-50001 int-cls-50002 int-cls-50003 int-xmpp-gateway
    int-rp-https-fe int-rp-https-director int-rp-http-fe int-rp-http-director int-rp-https-owas int-mobile-to-rp
    int-foreign-meeting-out
    """.split()  # noqa: SIM905
)
XMPP = {"ext-xmpp-in", "ext-xmpp-out", "int-xmpp-gateway"}
LOGGING = {"int-cls-50001", "int-cls-50002", "int-cls-50003"}
OLD_PARTNERS = {"ext-av-range-tcp-in", "ext-av-range-udp-in"}
MITIGATION = {"ext-ems-https-out", "int-hybrid-or-ems-egress"}

BY_PRODUCT = {
    names.LYNC_2010: LYNC_2013 - XMPP - LOGGING - {"int-rp-https-owas"},
    names.LYNC_2013: LYNC_2013,
    names.SFB_2015: LYNC_2013 - OLD_PARTNERS,
    names.SFB_2019: LYNC_2013 - OLD_PARTNERS - XMPP | MITIGATION,
    names.SFB_SE: LYNC_2013 - OLD_PARTNERS - XMPP - {"ext-access-push-out"} | MITIGATION,
}


def paths(topology: Topology) -> tuple[Path, ...]:
    return derive(topology, Endpoints(topology))


def applying(topology: Topology) -> set[str]:
    return {path.id for path in paths(topology) if path.applies}


def with_product(product: str, **pool_changes: Any) -> Topology:
    topology = contoso()
    pools = tuple(replace(pool, product=product, **pool_changes) for pool in topology.edge_pools)
    return replace(topology, product=product, edge_pools=pools)


def with_federation(topology: Topology, **changes: Any) -> Topology:
    return replace(topology, federation=replace(topology.federation, **changes))


def with_policy(topology: Topology, **changes: Any) -> Topology:
    return replace(topology, policy=replace(Policy(), **changes))


@pytest.mark.parametrize("product", names.PRODUCTS)
def test_rows_of_two_firewalls_and_separate_addresses(product: str) -> None:
    assert applying(with_product(product)) == BY_PRODUCT[product]


@pytest.mark.parametrize(
    ("change", "added", "taken"),
    [
        (
            {"enabled": False},
            set(),
            {"ext-access-federation-in", "ext-access-federation-out", "ext-av-range-tcp-out", "ext-av-range-udp-out"}
            | OLD_PARTNERS,
        ),
        ({"push": Provider()}, set(), {"ext-access-push-out", "ext-wifi-apns-out"}),
        (
            {"public_im": Provider(enabled=True)},
            {"ext-access-pic-in", "ext-access-pic-out", "ext-av-pic-range-tcp-out", "ext-av-pic-udp-out"}
            | {"ext-av-pic-udp-in"},
            set(),
        ),
        (
            {"office365": Office365(enabled=True)},
            {"ext-access-hybrid-sip-in", "ext-access-hybrid-sip-out", "ext-hybrid-psom-out", "ext-av-hybrid-udp"},
            set(),
        ),
        ({"sip_partners": ()}, set(), OLD_PARTNERS | {"ext-av-range-udp-out"}),
    ],
    ids=["federation-off", "push-off", "public-im", "hybrid", "no-partner"],
)
def test_a_switch_adds_and_takes(change: dict[str, Any], added: set[str], taken: set[str]) -> None:
    assert applying(with_federation(contoso(), **change)) == LYNC_2013 - taken | added


def test_hybrid_media_over_tcp_belongs_to_the_newest_products() -> None:
    topology = with_federation(with_product(names.SFB_2019), office365=Office365(enabled=True))
    assert {"ext-av-hybrid-tcp-out", "ext-av-hybrid-tcp-in", "ext-av-hybrid-udp"} <= applying(topology)
    assert "ext-hybrid-psom-out" not in applying(topology)


def test_features_of_the_site() -> None:
    topology = contoso()
    assert LYNC_2013 - applying(replace(topology, mobility=False)) == {
        "ext-rp-mobile-hairpin",
        "int-rp-http-fe",
        "int-rp-http-director",
        "int-mobile-to-rp",
    }
    lone = replace(topology.edge_pools[0], members=topology.edge_pools[0].members[:1])
    assert LYNC_2013 - applying(replace(topology, edge_pools=(lone,))) == {"ext-av-pool-hairpin"}
    assert LYNC_2013 - applying(replace(topology, office_web_apps=())) == {"int-rp-https-owas"}
    searching = applying(with_product(names.SFB_2015, skype_search=True))
    assert searching - BY_PRODUCT[names.SFB_2015] == {"ext-skype-search-out", "int-skype-search"}


def test_without_a_director_the_front_end_is_next_hop() -> None:
    topology = contoso()
    pool = replace(topology.edge_pools[0], next_hop=topology.front_end_pools[0].fqdn)
    rows = applying(replace(topology, edge_pools=(pool,), director_pools=()))
    gone = {"int-sip-edge-to-director", "int-sip-director-to-edge", "int-rp-https-director", "int-rp-http-director"}
    assert rows == LYNC_2013 - gone | {"int-sip-edge-to-nexthop-fe"}


def test_rows_that_are_off_by_default() -> None:
    optional = with_policy(contoso(), optional_paths=("int-cac-bandwidth-policy", "int-edge-dns", "int-hlb-av-tcp-out"))
    assert applying(optional) == LYNC_2013 | {"int-cac-bandwidth-policy", "int-edge-dns"}
    strict = with_policy(contoso(), optional_paths=("int-sip-edge-to-other-fe",))
    assert applying(strict) == LYNC_2013
    opened = with_policy(contoso(), director_bypass="documented-open")
    assert applying(opened) == LYNC_2013 | {"int-sip-edge-to-other-fe"}


@pytest.mark.parametrize("product", [names.LYNC_2010, names.LYNC_2013, names.SFB_2015, names.SFB_2019])
def test_the_way_past_the_next_hop_is_a_switch_on_every_product(product: str) -> None:
    """Strict, the Front Ends' port still tells who opened a connection joined late."""
    path = next(p for p in paths(with_product(product)) if p.id == "int-sip-edge-to-other-fe")
    assert not path.applies
    assert path.why.startswith("director_bypass is strict")
    assert path.off_legs


def test_every_row_says_why() -> None:
    for path in paths(contoso()):
        assert path.why
        assert path.applies == bool(path.legs)
    reasons = {path.id: path.why for path in paths(contoso())}
    assert reasons["ext-ems-https-out"] == "not with lync-2013"
    assert reasons["ext-hlb-access-client"] == "belongs to the hardware-balanced plan"
    assert reasons["ext-access-pic-in"] == "public_im is off"


def test_ports_follow_the_topology() -> None:
    topology = contoso()
    pool = topology.edge_pools[0]
    moved = replace(
        pool,
        access=replace(pool.access, port=4443, federation_port=5062, internal_port=5099),
        xmpp=replace(pool.xmpp, port=5270, internal_port=5098),
        management=replace(pool.management, replica_port=4444, cls_ports=(60001,)),
    )
    front_end = replace(
        topology.front_end_pools[0], web=replace(topology.front_end_pools[0].web, vip_translates=True, external_http=81)
    )
    found = {
        path.id: {span.first for span in path.ports}
        for path in paths(replace(topology, edge_pools=(moved,), front_end_pools=(front_end,)))
    }
    assert found["ext-access-client-sip"] == {4443}
    assert found["ext-access-federation-in"] == {5062}
    assert found["ext-access-federation-out"] == {5061}  # the partner's port, not ours
    assert found["int-sip-fe-to-edge"] == {5099}
    assert (found["ext-xmpp-in"], found["ext-xmpp-out"], found["int-xmpp-gateway"]) == ({5270}, {5269}, {5098})
    assert found["int-cms-replication"] == {4444}
    assert (found["int-cls-50001"], found["int-cls-50002"]) == ({60001}, set())
    assert found["int-rp-https-fe"] == {4443, 443}
    assert found["int-rp-http-fe"] == {81, 80}


def test_the_table_is_sound() -> None:
    rows = table().rows
    assert len(rows) == 90
    ids = {row.id for row in rows}
    for row in rows:
        assert row.position in ("external", "internal")
        assert set(row.needs) <= NEEDS
        assert row.plan is None or row.plan in PLANS
        assert set(row.replaces) <= ids
        assert row.documents
        for leg in row.legs:
            assert set(leg.needs) <= NEEDS
            assert {leg.source, leg.destination} <= WORDS | WEB_WORDS
    assert {row.id for row in rows if row.optional} == {
        "int-cac-bandwidth-policy",
        "int-edge-dns",
        "int-hlb-av-tcp-out",
    }
    assert table().row("no-such-row") is None


def test_a_single_port_comes_before_a_range_where_both_rows_name_anybody() -> None:
    """From Skype for Business 2015 on the relay range may go to anybody, listed partner or not, as the port tables
    have it: to 3478 the row of that port is the path."""
    bench = Bench(site("sfb-2019"))
    for peer in ("198.51.100.30", "192.0.2.77"):
        assert bench.judge("203.0.113.30:50111", f"{peer}:3478/udp", TURN).path == "ext-av-udp-out"
        assert bench.judge("203.0.113.30:50111", f"{peer}:40000/udp", TURN).path == "ext-av-range-udp-out"
