"""The list of addresses with their roles, against the address table of the worked example (contoso)."""

from __future__ import annotations

from collections import defaultdict

from rules import names
from rules.declared import client_networks, own_addresses, peer_networks
from rules.load import load
from tests.topology.site import changed, site
from tests.topology.test_model import CONTOSO, HERE, SINGLE_IP

CONTOSO_ADDRESSES = {
    "203.0.113.10": ({"edge-ext-access", "edge-xmpp-proxy"}, "edge01.contoso.net", "public"),
    "10.45.16.10": ({"edge-ext-access", "edge-xmpp-proxy"}, "edge01.contoso.net", "private"),
    "203.0.113.20": ({"edge-ext-webconf"}, "edge01.contoso.net", "public"),
    "10.45.16.20": ({"edge-ext-webconf"}, "edge01.contoso.net", "private"),
    "203.0.113.30": ({"edge-ext-av"}, "edge01.contoso.net", "public"),
    "10.45.16.30": ({"edge-ext-av"}, "edge01.contoso.net", "private"),
    "172.25.33.10": ({"edge-int"}, "edge01.contoso.net", "inner"),
    "203.0.113.11": ({"edge-ext-access", "edge-xmpp-proxy"}, "edge02.contoso.net", "public"),
    "10.45.16.11": ({"edge-ext-access", "edge-xmpp-proxy"}, "edge02.contoso.net", "private"),
    "203.0.113.21": ({"edge-ext-webconf"}, "edge02.contoso.net", "public"),
    "10.45.16.21": ({"edge-ext-webconf"}, "edge02.contoso.net", "private"),
    "203.0.113.31": ({"edge-ext-av"}, "edge02.contoso.net", "public"),
    "10.45.16.31": ({"edge-ext-av"}, "edge02.contoso.net", "private"),
    "172.25.33.11": ({"edge-int"}, "edge02.contoso.net", "inner"),
    "203.0.113.40": ({"rp-ext"}, "rp01.contoso.net", "public"),
    "10.45.16.40": ({"rp-ext"}, "rp01.contoso.net", "private"),
    "172.25.33.40": ({"rp-int"}, "rp01.contoso.net", "inner"),
    "203.0.113.1": ({"fw-ext"}, None, "inner"),
    "10.45.16.1": ({"fw-ext"}, None, "inner"),
    "172.25.33.1": ({"fw-int"}, None, "inner"),
    "192.168.10.1": ({"fw-int"}, None, "inner"),
    "192.168.10.50": ({"director"}, "dir01.contoso.net", "inner"),
    "192.168.10.51": ({"director"}, "dir02.contoso.net", "inner"),
    "192.168.10.55": ({"web-vip"}, "dirpool01.contoso.net", "inner"),
    "192.168.10.90": ({"fe", "xmpp-gateway", "cms-master"}, "fe01.contoso.net", "inner"),
    "192.168.10.91": ({"fe", "xmpp-gateway"}, "fe02.contoso.net", "inner"),
    "192.168.10.92": ({"fe", "xmpp-gateway"}, "fe03.contoso.net", "inner"),
    "192.168.10.95": ({"web-vip"}, "pool01.contoso.net", "inner"),
    "192.168.10.60": ({"owas"}, "officewebapps01.contoso.net", "inner"),
    "192.168.30.10": ({"sba"}, "sba01.contoso.net", "inner"),
    "192.168.10.5": ({None}, "dc01.contoso.net", "inner"),
}


def test_own_addresses_of_contoso() -> None:
    roles: dict[str, set[str | None]] = defaultdict(set)
    owners: dict[str, set[tuple[str | None, str]]] = defaultdict(set)
    for entry in own_addresses(load(CONTOSO)):
        roles[str(entry.address)].add(entry.role)
        owners[str(entry.address)].add((entry.component, entry.face))
    found = {address: (roles[address], *next(iter(owners[address]))) for address in roles}
    assert all(len(known) == 1 for known in owners.values())
    assert found == CONTOSO_ADDRESSES


def test_clients_and_peers_of_contoso() -> None:
    contoso = load(CONTOSO)
    assert [(str(e.network), e.role) for e in client_networks(contoso)] == [
        ("192.168.20.0/24", "int-client"),
        ("192.168.21.0/24", "int-client"),
        ("203.0.113.200/32", "int-client"),
        ("192.168.10.200/32", "cls-controller"),
        ("10.99.0.0/24", "vpn-client"),
    ]
    assert [(str(e.network), e.role, e.component) for e in peer_networks(contoso)] == [
        ("198.51.100.10/32", "partner-edge", "sip.litware.com"),
        ("198.51.100.30/32", "partner-edge", "sip.litware.com"),
        ("198.51.100.40/32", "partner-edge", "tailspin.example"),
        ("198.51.100.41/32", "partner-edge", "tailspin.example"),
        ("198.51.100.69/32", "xmpp-partner", "woodgrove.example"),
        ("198.51.100.200/32", "o365-sipfed", None),
    ]


def test_every_role_that_a_file_can_declare_is_yielded() -> None:
    topology = load(HERE / "every_key.yaml")
    found = {e.role for e in own_addresses(topology)}
    found |= {e.role for e in client_networks(topology)} | {e.role for e in peer_networks(topology)}
    undeclarable = {names.CRL_HOST, names.DNS_RESOLVER, names.EXT_CLIENT}  # known by what they do, not by address
    assert found - {None} == set(names.ROLES) - undeclarable
    assert {e.section for e in own_addresses(topology) if e.role is None} == {"lb", "infrastructure", "others"}


def test_virtual_addresses_belong_to_the_pool() -> None:
    virtual = [e for e in own_addresses(load(HERE / "every_key.yaml")) if e.virtual and e.section != "lb"]
    assert [(str(e.address), e.role, e.component) for e in virtual] == [
        ("192.0.2.10", "edge-ext-vip-access", "edge.corp.example"),
        ("192.0.2.20", "edge-ext-vip-webconf", "edge.corp.example"),
        ("192.0.2.30", "edge-ext-vip-av", "edge.corp.example"),
        ("10.2.0.10", "edge-int-vip", "edge.corp.example"),
        ("10.5.0.2", "director", "dir.corp.example"),
        ("10.5.0.1", "web-vip", "dir.corp.example"),
        ("10.6.0.2", "fe", "fe.corp.example"),
    ]


def test_a_single_address_has_all_three_services() -> None:
    roles = [e.role for e in own_addresses(site(SINGLE_IP)) if str(e.address) == "192.0.2.11"]
    assert roles == ["edge-ext-access", "edge-ext-webconf", "edge-ext-av"]


def test_addresses_without_translation_have_one_face() -> None:
    text = changed("access: {public: 192.0.2.11, private: 10.1.1.11}", "access: {public: 192.0.2.11}")
    assert {e.face for e in own_addresses(site(text)) if str(e.address) == "192.0.2.11"} == {"same"}
