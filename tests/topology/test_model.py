"""What stands in a file arrives in the model: each key, each default, each question asked of the whole."""

from __future__ import annotations

from datetime import UTC, date, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from rules.components import (
    AccessService,
    Autodiscover,
    AvService,
    Balancers,
    CertificateNames,
    Clients,
    DirectorPool,
    EdgeManagement,
    EdgeMember,
    EdgePool,
    EdgeVips,
    Federation,
    Firewall,
    FrontEndPool,
    LoadBalancing,
    MediationPool,
    Member,
    Neighbour,
    Office365,
    PortRange,
    Provider,
    ProxyMember,
    Publication,
    ReverseProxy,
    Sensor,
    SimpleUrls,
    SipPartner,
    Translated,
    Vpn,
    WebconfService,
    WebServices,
    XmppPartner,
    XmppProxy,
)
from rules.lint import config_findings
from rules.load import TopologyUnreadable, load
from rules.names import OPTIONAL_PATHS
from rules.rows import table
from rules.site_policy import CoveragePolicy, LocalPath, Policy, RuleSeverity, Selector, Thresholds
from rules.template import TEMPLATE
from rules.topology import Topology, ZonePrefix
from tests.topology.plans import contoso_as
from tests.topology.site import SITE, changed, site

HERE = Path(__file__).parent
CONTOSO = HERE.parents[1] / "pcaps" / "contoso.yaml"


def a(*texts: str) -> tuple[Any, ...]:
    return tuple(ip_address(text) for text in texts)


def n(*texts: str) -> tuple[Any, ...]:
    return tuple(ip_network(text) for text in texts)


EVERY_KEY = Topology(
    organization="Every Key Ltd",
    product="sfb-2019",
    sip_domains=("one.example", "two.example"),
    ad_domains=("corp.example",),
    sites=("hq", "branch"),
    zones=(
        ZonePrefix(ip_network("2001:db8:1::/64"), "perimeter-ext"),
        ZonePrefix(ip_network("192.0.2.0/24"), "perimeter-ext"),
        ZonePrefix(ip_network("10.2.0.0/16"), "perimeter-int"),
        ZonePrefix(ip_network("10.9.0.0/16"), "vpn"),
        ZonePrefix(ip_network("10.0.0.0/8"), "internal"),
    ),
    firewalls=(
        Firewall("external", a("192.0.2.1"), "none", "hq"),
        Firewall("internal", a("10.2.0.1", "10.3.0.1"), None, "branch"),
    ),
    sensors=(
        Sensor("xf-out", "external", "outside", ("eth1", "eth2"), (10, 20), False, "branch"),
        Sensor("node", "internal", "both", (), (), True, "hq"),
    ),
    load_balancing=LoadBalancing("hardware", "hardware"),
    lb=Balancers(a("192.0.2.201"), a("10.2.0.201"), a("10.2.0.202")),
    edge_pools=(
        EdgePool(
            fqdn="edge.corp.example",
            next_hop="dir.corp.example",
            product="lync-2013",
            access=AccessService("sip.one.example", 1443, 15061, 25061),
            webconf=WebconfService("conf.one.example", 2443, 18057),
            av=AvService("av.one.example", 3443, 13478, 4443, 23478, 15062, PortRange(40000, 44999)),
            members=(
                EdgeMember(
                    "edge1.corp.example",
                    a("10.2.0.11"),
                    Translated(a("192.0.2.11", "2001:db8:1::11")),
                    Translated(a("192.0.2.21"), a("192.0.2.21")),
                    Translated(a("192.0.2.31")),
                ),
            ),
            serves=("fe.corp.example", "sba.corp.example"),
            federation=False,
            xmpp=XmppProxy(True, "xmpp.one.example", 15269, 13456),
            skype_search=True,
            management=EdgeManagement(14443, (40001,)),
            vips=EdgeVips(
                Translated(a("192.0.2.10")), Translated(a("192.0.2.20")), Translated(a("192.0.2.30")), a("10.2.0.10")
            ),
            site="branch",
        ),
    ),
    reverse_proxies=(
        ReverseProxy(
            fqdn="rp.corp.example",
            external=Translated(a("192.0.2.40")),
            internal=a("10.2.0.40"),
            members=(ProxyMember("rp1.corp.example", Translated((), a("192.0.2.41")), a("10.2.0.41")),),
            snat=a("10.2.0.42"),
            publishes=(
                Publication("web.one.example", "fe.corp.example"),
                Publication("any.one.example"),
                Publication("meet.one.example"),
            ),
            other_sites=("shop.one.example",),
            site="branch",
        ),
    ),
    director_pools=(
        DirectorPool(
            fqdn="dir.corp.example",
            members=(Member("dir1.corp.example", a("10.5.0.11")),),
            web=WebServices("webdir.one.example", "dirint.corp.example", a("10.5.0.1"), True, 14444, 18080),
            sip_vip=a("10.5.0.2"),
            site="branch",
        ),
    ),
    front_end_pools=(
        FrontEndPool(
            fqdn="fe.corp.example",
            members=(Member("fe1.corp.example", a("10.6.0.11", "2001:db8:6::11")),),
            edition="standard",
            web=WebServices("web.one.example", None, (), False, 4443, 8080),
            sip_vip=a("10.6.0.2"),
            xmpp_gateway=True,
            cms=True,
            cms_master="fe1.corp.example",
            site="branch",
        ),
    ),
    mediation_pools=(MediationPool("med.corp.example", (Member("med.corp.example", a("10.7.0.1")),), "branch"),),
    office_web_apps=(Member("owas.corp.example", a("10.7.0.2")),),
    branch_appliances=(Member("sba.corp.example", a("10.7.0.3")),),
    infrastructure=(Member("dc.corp.example", a("10.7.0.4")),),
    others=(Neighbour("mail01", a("192.0.2.50")),),
    simple_urls=SimpleUrls(("meet.one.example",), ("dialin.one.example",), ("admin.corp.example",)),
    autodiscover=Autodiscover(("lyncdiscover.one.example",), ("lyncdiscoverinternal.one.example",)),
    certificates=(
        CertificateNames("access", ("sip.one.example", "*.one.example")),
        CertificateNames("director", ("d.example",)),
        CertificateNames("director-web", ("e.example",)),
        CertificateNames("edge-int", ("b.example",)),
        CertificateNames("fe", ("f.example",)),
        CertificateNames("fe-web", ("g.example",)),
        CertificateNames("owas", ("h.example",)),
        CertificateNames("rp-ext", ("c.example",)),
        CertificateNames("sba", ("i.example",)),
        CertificateNames("webconf", ("conf.one.example",)),
        CertificateNames("xmpp", ("a.example",)),
    ),
    clients=Clients(n("10.100.0.0/16"), n("10.101.0.0/16"), n("198.18.0.1/32"), n("10.6.0.99/32")),
    vpn=Vpn(a("192.0.2.60"), "required"),
    federation=Federation(
        enabled=False,
        discovery=True,
        sip_partners=(SipPartner("p.example", "sip.p.example", a("198.51.100.1"), a("198.51.100.2"), "ocs-2007-r2"),),
        xmpp_partners=(XmppPartner("x.example", a("198.51.100.3"), "unsupported", "required", False),),
        office365=Office365(True, n("198.51.100.4/32"), n("198.51.100.64/26")),
        push=Provider(True, n("198.51.100.5/32")),
        public_im=Provider(True, n("198.51.100.6/32")),
    ),
    mobility=True,
    policy=Policy(
        director_bypass="documented-open",
        tls_minimum="1.2",
        rules=(RuleSeverity("crl-blocked", "high"), RuleSeverity("sip-udp", "off")),
        optional_paths=("int-edge-dns",),
        private_cas=("Corp CA",),
        report_attempts=True,
        coverage=CoveragePolicy(0.5, 0.25, ("internal", "lan")),
        thresholds=Thresholds(1, 2, 2.5, 4, 5, 6),
        local_paths=(
            LocalPath(
                id="ntp",
                source=(Selector("zone", "perimeter-int"), Selector("network", "10.2.0.0/16", *n("10.2.0.0/16"))),
                destination=(
                    Selector("fqdn", "dc.corp.example"),
                    Selector("role", "cms-master"),
                    Selector("fqdn", "mail01"),
                ),
                transport="udp",
                ports=(PortRange(123, 123), PortRange(200, 300)),
                service="ntp",
                reason="clocks",
                owner="ops",
                expires=date(2027, 1, 1),
            ),
        ),
    ),
)


def test_every_key_arrives() -> None:
    assert load(HERE / "every_key.yaml") == EVERY_KEY


def test_contoso_is_the_site_of_the_worked_example() -> None:
    contoso = load(CONTOSO)
    edge01, edge02 = contoso.edge_pools[0].members
    assert [service.pairs[0] for service in (edge01.access, edge01.webconf, edge01.av)] == [
        a("203.0.113.10", "10.45.16.10"),
        a("203.0.113.20", "10.45.16.20"),
        a("203.0.113.30", "10.45.16.30"),
    ]
    assert edge02.internal == a("172.25.33.11")
    assert [m.address[0] for m in contoso.next_hop(contoso.edge_pools[0]).members] == list(
        a("192.168.10.50", "192.168.10.51")
    )
    assert [m.fqdn for m in contoso.cms_masters()] == ["fe01.contoso.net"]
    assert contoso.zone_of(ip_address("203.0.113.10")) == "perimeter-ext"
    assert contoso.zone_of(ip_address("203.0.113.200")) == "external"  # the egress address
    assert contoso.zone_of(ip_address("192.168.30.10")) == "internal"
    assert contoso.zone_of(ip_address("10.99.0.8")) == "vpn"
    assert contoso.zone_of(ip_address("10.0.0.1")) == "undeclared"
    assert contoso.zone_of(ip_address("100.64.0.1")) == "undeclared"
    assert contoso.zone_of(ip_address("fd00::1")) == "undeclared"
    assert contoso.zone_of(ip_address("2001:db8::1")) == "external"
    assert contoso.variant().names == ("two-firewalls", "separate-ip", "dns-lb", "nat", "director")


@pytest.mark.parametrize(
    ("plan", "names"),
    [
        ("single-ip", ("two-firewalls", "single-ip", "dns-lb", "nat", "director")),
        ("hlb", ("two-firewalls", "separate-ip", "hlb", "public", "director")),
        ("one-firewall", ("one-firewall", "separate-ip", "dns-lb", "nat", "director")),
    ],
)
def test_other_plans_of_the_worked_example(plan: str, names: tuple[str, ...]) -> None:
    assert contoso_as(plan).variant().names == names
    assert config_findings(contoso_as(plan)) == []


def test_defaults_of_the_vendor() -> None:
    pool = site().edge_pools[0]
    assert (pool.access.port, pool.access.federation_port, pool.access.internal_port) == (443, 5061, 5061)
    assert (pool.webconf.port, pool.webconf.internal_port) == (443, 8057)
    assert (pool.av.port, pool.av.udp_port, pool.av.internal_port, pool.av.internal_udp_port) == (443, 3478, 443, 3478)
    assert (pool.av.auth_port, str(pool.av.range)) == (5062, "50000-59999")
    assert (pool.xmpp.enabled, pool.xmpp.port, pool.xmpp.internal_port) == (False, 5269, 23456)
    assert (pool.management.replica_port, pool.management.cls_ports) == (4443, (50001, 50002, 50003))
    web = site().front_end_pools[0].web
    assert (web.external_https, web.external_http, web.vip_translates) == (4443, 8080, False)
    assert site().policy.director_bypass == "strict"
    assert site().policy.coverage == CoveragePolicy(0.01, 0.95, ())


ONE_ADDRESS = "{public: 192.0.2.11, private: 10.1.1.11}"
SINGLE_IP = (
    SITE.replace("{public: 192.0.2.12, private: 10.1.1.12}", ONE_ADDRESS)
    .replace('{public: [192.0.2.13, "2001:db8:1::13"], private: 10.1.1.13}', ONE_ADDRESS)
    .replace("webconf.example.com, port: 443", "webconf.example.com")
)


def test_defaults_of_a_single_address() -> None:
    pool = site(SINGLE_IP).edge_pools[0]
    assert (pool.access.port, pool.webconf.port, pool.av.port) == (5061, 444, 443)
    assert site(SINGLE_IP).variant().single_ip


def test_a_lone_edge_pool_federates_unless_it_says_otherwise() -> None:
    assert site().edge_pools[0].federation
    assert not site(changed("    serves:", "    federation: false\n    serves:")).edge_pools[0].federation


def test_a_section_is_on_when_it_says_something() -> None:
    assert not site().federation.push.enabled
    assert not site(changed("federation:\n", "federation:\n  push: {}\n")).federation.push.enabled
    assert site(changed("federation:\n", "federation:\n  push: {addresses: 198.51.100.9}\n")).federation.push.enabled
    assert not site(changed("  enabled: true\n", "  enabled: false\n")).federation.enabled


def test_zones_may_nest_and_the_longest_prefix_wins() -> None:
    nested = site(changed("perimeter-int: [10.1.2.0/24]", "perimeter-int: [10.1.2.0/24, 10.10.5.0/24]"))
    assert nested.zone_of(ip_address("10.10.5.1")) == "perimeter-int"
    assert nested.zone_of(ip_address("10.10.6.1")) == "internal"


def test_addresses_pair_by_family_and_place() -> None:
    both = Translated(a("192.0.2.1", "2001:db8::1", "192.0.2.2"), a("10.0.0.1", "10.0.0.2"))
    assert both.pairs == (
        a("192.0.2.1", "10.0.0.1"),
        a("192.0.2.2", "10.0.0.2"),
        a("2001:db8::1", "2001:db8::1"),
    )
    assert both.on_wire == a("10.0.0.1", "10.0.0.2", "2001:db8::1")
    assert both.translated
    assert not Translated(a("192.0.2.1"), a("192.0.2.1")).translated
    assert Translated((), a("10.0.0.1")).pairs == ()


@pytest.mark.parametrize(
    ("change", "variant"),
    [
        (("  internal: {addresses: [10.1.2.1, 10.10.0.1]}\n", ""), "one-firewall"),
        (("[10.1.2.1, 10.10.0.1]", "[192.0.2.1, 10.1.1.1]"), "three-legged"),
        (("load_balancing: {external: none, internal: none}", "load_balancing: {external: hardware}"), "hlb"),
        (("load_balancing: {external: none, internal: none}", "load_balancing: {internal: dns}"), "dns-lb"),
        (("director_pools:\n", "director_pools:\n"), "director"),
    ],
)
def test_variants(change: tuple[str, str], variant: str) -> None:
    assert variant in site(changed(*change)).variant().names


def test_a_three_legged_firewall_may_repeat_its_addresses_but_nobody_elses() -> None:
    assert site(changed("[10.1.2.1, 10.10.0.1]", "[192.0.2.1, 10.1.1.1]")).one_firewall is False


def test_off_is_a_word_quoted_or_not() -> None:
    for text in ("off", '"off"', "'off'"):
        policy = site(changed("{unlisted-path: medium}", f"{{unlisted-path: {text}}}")).policy
        assert policy.severity_of("unlisted-path") == "off"
    assert site().policy.severity_of("sip-udp") is None


def seconds(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("text", "ends_ns"),
    [
        ("2027-01-01", seconds(2027, 1, 2) * 10**9),  # the day itself still counts
        ("2027-01-01T12:00:00Z", seconds(2027, 1, 1, 12) * 10**9 + 1),
        ("2027-01-01 12:00:00", seconds(2027, 1, 1, 12) * 10**9 + 1),  # without a zone it is UTC
        ("2027-01-01T12:00:00.25+02:00", seconds(2027, 1, 1, 10) * 10**9 + 250_000_001),
        ("9999-12-31", None),
    ],
)
def test_when_a_local_path_ends(text: str, ends_ns: int | None) -> None:
    path = site(changed("expires: 2027-01-01", f'expires: "{text}"')).policy.local_paths[0]
    assert path.ends_ns == ends_ns


def test_optional_paths_are_the_rows_that_the_table_calls_optional() -> None:
    # The row to another Front End also applies when `director_bypass` is documented-open: the table has a switch.
    switched = {"int-sip-edge-to-other-fe"}
    assert {row.id for row in table().rows if row.optional} | switched == set(OPTIONAL_PATHS)
    assert switched <= {row.id for row in table().rows}


def test_a_transport_has_one_spelling() -> None:
    for word in ("ICMPv6", "ipv6-icmp"):
        text = changed("transport: udp, port: 123", f"transport: {word}")
        assert site(text).policy.local_paths[0].transport == "ipv6-icmp"


def test_the_configuration_comes_from_the_master_or_marked_pools_or_any_front_end() -> None:
    assert [m.fqdn for m in site().cms_masters()] == ["fe1.example.net"]
    assert len(site(changed("    cms_master: fe1.example.net\n", "    cms: true\n")).cms_masters()) == 2
    assert len(site(changed("    cms_master: fe1.example.net\n", "")).cms_masters()) == 2


def test_the_template_is_a_valid_two_firewall_site() -> None:
    new = site(TEMPLATE.replace("# rules: {edge-internal-dns: high}", "# rules: {}"))
    assert new.variant().names[:2] == ("two-firewalls", "separate-ip")
    assert new.director_pools
    assert [sensor.position for sensor in new.sensors] == ["external", "internal"]


def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    for path, why in (
        (tmp_path / "none.yaml", "there is no such topology file"),
        (tmp_path, "this is a folder"),
        (Path(f"{tmp_path}/a\0b"), "cannot be read"),
    ):
        with pytest.raises(TopologyUnreadable, match=why):
            load(path)


# --- digest ----------------------------------------------------------------------------------------------------------


def test_what_does_not_change_the_model_does_not_change_the_digest() -> None:
    digest = site().digest
    assert digest.startswith("sha256:")
    assert len(digest) == 71
    blocks: list[list[str]] = []
    for line in SITE.splitlines():
        if line.startswith(" "):
            blocks[-1].append(line)
        else:
            blocks.append([line])
    reordered = "\n".join("\n".join(block) + "  # a comment" for block in reversed(blocks))
    assert site(reordered).digest == digest
    assert site(changed("fqdn: sip.example.com}", "fqdn: SIP.example.com., port: 443}")).digest == digest
    assert (
        site(changed("perimeter-ext: [192.0.2.0/25, 10.1.1.0/24,", "perimeter-ext: [10.1.1.0/24, 192.0.2.0/25,")).digest
        == digest
    )
    assert site(changed('"2001:db8:1::13"', '"2001:0DB8:1:0::13"')).digest == digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("organization: Example", "organization: example"),
        ("product: sfb-2015", "product: sfb-2019"),
        ("  vpn: [10.20.0.0/24]", "  vpn: [10.20.0.0/25]"),
        ("vlans: [10]", "vlans: [11]"),
        ("av.example.com, range", "av.example.org, range"),
        ("59999", "59998"),
        ("private: 10.1.1.12", "private: 10.1.1.112"),
        ("tls: required", "tls: optional"),
        ("max_loss: 0.01", "max_loss: 0.02"),
        ("director_flood_factor: 5", "director_flood_factor: 5.5"),
        ("port: 123", "port: 124"),
        ("2027-01-01", "2027-01-02"),
        ("{unlisted-path: medium}", "{}"),
        ("shop.example.com", "shop2.example.com"),
    ],
)
def test_any_value_changes_the_digest(old: str, new: str) -> None:
    assert site(changed(old, new)).digest != site().digest
