"""What the core is given: prefixes, names, port classes, listeners; and what each number means.

Strategy: the tables are checked against a plain reading of the topology (every declared address looked up one by one,
every port asked for its class), not against the code that made them.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import names
from rules.components import Clients, PortRange
from rules.declared import own_addresses
from rules.domains import NO_NAME, OTHER_NAME
from rules.endpoints import Endpoints
from rules.judge import Judge
from rules.ports import NAMED_PORTS, Ports
from rules.topology import ZonePrefix
from tests.policy.flows import TLS, Bench, contoso

CONTOSO = contoso()
ENDPOINTS = Endpoints(CONTOSO)


@pytest.mark.parametrize(
    ("address", "zone", "roles", "component"),
    [
        ("203.0.113.10", "perimeter-ext", ("edge-ext-access", "edge-xmpp-proxy"), "edge01.contoso.net"),
        ("10.45.16.31", "perimeter-ext", ("edge-ext-av",), "edge02.contoso.net"),
        ("172.25.33.11", "perimeter-int", ("edge-int",), "edge02.contoso.net"),
        ("203.0.113.40", "perimeter-ext", ("rp-ext",), "rp01.contoso.net"),
        ("172.25.33.40", "perimeter-int", ("rp-int",), "rp01.contoso.net"),
        ("192.168.10.50", "internal", ("director",), "dir01.contoso.net"),
        ("192.168.10.55", "internal", ("web-vip",), "dirpool01.contoso.net"),
        ("192.168.10.90", "internal", ("fe", "xmpp-gateway", "cms-master"), "fe01.contoso.net"),
        ("192.168.10.92", "internal", ("fe", "xmpp-gateway"), "fe03.contoso.net"),
        ("192.168.10.60", "internal", ("owas",), "officewebapps01.contoso.net"),
        ("192.168.30.10", "internal", ("sba",), "sba01.contoso.net"),
        ("192.168.10.200", "internal", ("cls-controller",), None),
        ("192.168.10.5", "internal", (), "dc01.contoso.net"),
        ("192.168.20.7", "internal", ("int-client",), None),
        ("192.168.77.7", "internal", (), None),
        ("10.99.0.8", "vpn", ("vpn-client",), None),
        ("203.0.113.200", "external", ("int-client",), None),
        ("203.0.113.1", "perimeter-ext", ("fw-ext",), None),
        ("198.51.100.10", "external", ("partner-edge",), "sip.litware.com"),
        ("198.51.100.41", "external", ("partner-edge",), "tailspin.example"),
        ("198.51.100.69", "external", ("xmpp-partner",), "woodgrove.example"),
        ("198.51.100.200", "external", ("o365-sipfed",), None),
        ("192.0.2.25", "external", (), None),
        ("2001:db8::1", "external", (), None),
        ("172.16.5.5", "undeclared", (), None),
        ("10.1.2.3", "undeclared", (), None),
        ("100.64.0.1", "undeclared", (), None),
        ("fd00::1", "undeclared", (), None),
    ],
)
def test_endpoint(address: str, zone: str, roles: tuple[str, ...], component: str | None) -> None:
    endpoint = ENDPOINTS.at(address)
    assert (endpoint.zone, endpoint.roles, endpoint.component) == (zone, roles, component)
    assert ENDPOINTS[endpoint.number] is endpoint


def test_every_declared_address_has_a_number_of_its_own() -> None:
    numbers: dict[int, set[str]] = {}
    for entry in own_addresses(CONTOSO):
        numbers.setdefault(ENDPOINTS.at(str(entry.address)).number, set()).add(str(entry.address))
    assert all(len(addresses) == 1 for addresses in numbers.values())
    assert len(numbers) == len({entry.address for entry in own_addresses(CONTOSO)})


@given(st.integers(0, 2**32 - 1))
def test_zones_are_those_of_the_longest_prefix(number: int) -> None:
    address = ip_address(number)
    endpoint = ENDPOINTS.at(str(address))
    if endpoint.special or "clients.egress" in endpoint.sections:
        return
    assert endpoint.zone == CONTOSO.zone_of(address)


def test_nested_zones_and_addresses_in_no_zone() -> None:
    nested = replace(
        CONTOSO,
        zones=(
            ZonePrefix(ip_network("172.25.33.0/24"), names.PERIMETER_INT),
            ZonePrefix(ip_network("10.45.16.0/24"), names.PERIMETER_EXT),
            ZonePrefix(ip_network("172.16.0.0/12"), names.INTERNAL),
            ZonePrefix(ip_network("192.168.0.0/16"), names.INTERNAL),
        ),
    )
    endpoints = Endpoints(nested)
    assert endpoints.at("172.25.33.77").zone == "perimeter-int"
    assert endpoints.at("172.16.5.5").zone == "internal"
    # The public addresses of the Edge stand in no declared network: their part says where they are.
    assert endpoints.at("203.0.113.10").zone == "perimeter-ext"
    assert endpoints.at("203.0.113.77").zone == "external"


def test_a_server_inside_a_client_range_stays_a_server() -> None:
    wide = replace(CONTOSO, clients=Clients(lan=(ip_network("192.168.0.0/16"),)))
    endpoints = Endpoints(wide)
    assert endpoints.at("192.168.10.92").roles == ("fe", "xmpp-gateway")
    assert endpoints.at("192.168.10.92").server
    assert not endpoints.at("192.168.10.92").client
    assert endpoints.at("192.168.10.77").client


def test_a_firewall_that_hides_the_lan_behind_its_own_address() -> None:
    hiding = replace(CONTOSO, clients=replace(CONTOSO.clients, egress=(ip_network("203.0.113.1/32"),)))
    endpoint = Endpoints(hiding).at("203.0.113.1")
    assert (endpoint.zone, endpoint.roles) == ("external", ("int-client", "fw-ext"))
    verdict = Bench(hiding).judge("203.0.113.1:4000", "203.0.113.40:443/tcp", TLS)
    assert (verdict.verdict, verdict.path) == ("allowed", "ext-rp-mobile-hairpin")
    assert Bench(hiding).judge("203.0.113.1:4000", "192.0.2.9:443/tcp", TLS).verdict == "out-of-scope"


def test_ports_named_by_the_policy_stand_for_themselves(site: Bench) -> None:
    ports = site.site.ports
    classes = ports.classes
    assert len(classes) == 65536
    used = {443, 5061, 3478, 5269, 8057, 5062, 4443, 8080, 23456, 50001, 50002, 50003, 80, 53} | NAMED_PORTS
    for port in used:
        assert classes[port] == port
        assert ports.span(port) == PortRange(port, port)
    for port in (0, 1, 22, 1023, 1024, 5000, 49151, 49152, 49999, 50000, 50004, 59999, 60000, 65535):
        assert classes[port] == ports.representative(port)
        assert port in ports.span(classes[port])
    assert classes[0] == 0
    assert len(set(classes)) < 200


@given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 65535)), max_size=8))
def test_a_class_lies_in_a_range_wholly_or_not_at_all(bounds: list[tuple[int, int]]) -> None:
    ranges = [PortRange(min(pair), max(pair)) for pair in bounds]
    ports = Ports(ranges)
    classes = ports.classes
    for start in set(classes):
        span = ports.span(start)
        assert span.first == start
        for wanted in (*ranges, PortRange(0, 1023), PortRange(49152, 65535)):
            assert (span.first in wanted) == (span.last in wanted)


def test_listeners_are_own_hosts_with_a_single_port(site: Bench) -> None:
    def at(address: str, port: int, transport: int = 6) -> tuple[int, int, int]:
        return (site.site.endpoints.at(address).number, transport, port)

    applying, all_rows = site.site.listeners, site.site.listeners_and_off
    for address, port in (("203.0.113.10", 443), ("10.45.16.10", 5061), ("203.0.113.30", 443), ("172.25.33.10", 5062)):
        assert at(address, port) in applying
    assert at("203.0.113.30", 3478, 17) in applying
    assert at("192.168.10.95", 4443) in applying
    assert at("192.168.10.90", 4443) not in applying  # the pool's VIP is addressed, not its members
    assert at("198.51.100.10", 5061) not in all_rows  # a partner is no own host
    assert at("203.0.113.30", 50380, 17) not in applying  # a range
    assert at("192.168.10.90", 5061) not in applying  # that row is off, but it still tells who opened
    assert at("192.168.10.90", 5061) in all_rows
    assert set(applying) <= set(all_rows)


def test_tables_are_the_same_for_every_position() -> None:
    tables = [Judge(CONTOSO, position).tables for position in names.POSITIONS]
    assert all(table == tables[0] for table in tables)
    assert set(tables[0]) == {"prefixes", "names", "ports", "listeners", "instants", "media_packets"}
    prefixes = dict(tables[0]["prefixes"])
    assert len(prefixes) == len(tables[0]["prefixes"])
    assert sorted(prefixes.values()) == list(range(1, len(prefixes) + 1))
    assert all(str(ip_network(text)) == text for text in prefixes)


def test_names(site: Bench) -> None:
    domains = site.site.domains
    numbers = [number for _, _, number in domains.table]
    assert numbers == list(range(2, len(numbers) + 2))
    assert domains.number("Woodgrove.Example.") == domains.number("woodgrove.example") >= 2
    assert domains.number("evil.example") == OTHER_NAME
    assert (domains.text(NO_NAME), domains.text(OTHER_NAME)) == (None, None)
    assert domains.text(domains.number("meet.contoso.com")) == "meet.contoso.com"
