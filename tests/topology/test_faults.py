# ruff: noqa: E501  (the table of faults has one case a line)
"""Every fault at its place: line and column as a person would point, all at once, with what would be right.

In the tables below ▸ stands where the fault must be reported: at the value; at the key when the key is unknown or
stands twice; at the start of the mapping that lacks a key. It is taken out before the text is read.
"""

from __future__ import annotations

import pytest

from rules.load import TopologyFaults, read
from tests.topology.site import FILE, SITE, changed, faults

# (place in the site, what stands there instead, what the message must say)
CASES = [
    # keys
    ("organization: Example", "organization: Example\n▸organisation: Example", 'unknown key "organisation" (did you mean "organization"?)'),
    ("  vpn: [10.20.0.0/24]", "  ▸dmz: [10.30.0.0/24]", 'unknown key "dmz" (known here: perimeter-ext'),
    ("  lan: [10.10.100.0/24]", "  lan: [10.10.100.0/24]\n  ▸site: north", 'unknown key "site"'),
    ("{name: mail1, addresses", "{name: mail1, ▸adresses: [192.0.2.51], addresses", 'did you mean "addresses"?'),
    ("product: sfb-2015", "product: sfb-2015\n▸product: sfb-2019", 'duplicate key "product" (once; it already stands in line 3)'),
    ("access: {fqdn: sip.example.com}", "access: {fqdn: sip.example.com, ▸fqdn: sip.example.com}", 'duplicate key "fqdn"'),
    ("    next_hop: dir.example.net\n", "", "next_hop is missing"),
    ("        internal: 10.1.2.11\n", "", "internal is missing"),
    ("webconf: {public: 192.0.2.12, private: 10.1.1.12}", "webconf: ▸{private: 10.1.1.12}", "public is missing"),
    ("product: sfb-2015", "▸product:", "product is empty"),
    # kinds
    ("organization: Example", "organization: ▸2026", '"2026" (a number) does not fit here (text'),
    ("organization: Example", "organization: ▸[Example]", "a list does not fit here"),
    ("mobility: true", "mobility: ▸maybe", "(true or false)"),
    (
        "\nfederation:\n",
        "\nfederation:\n  office365: {enabled: ▸{sip: [198.51.100.4]}}\n",
        "a mapping does not fit here (true or false, and what stands in it beside it: enabled: true, sip: …)",
    ),
    ("clients:\n  lan: [10.10.100.0/24]", "clients: ▸[10.10.100.0/24]", "a list does not fit here (a mapping with the keys lan"),
    ("sensors:\n  - {", "sensors:\n  ▸name: {", "a mapping does not fit here (a list)"),
    ("address: 10.10.1.5}", "address: ▸{v4: 10.10.1.5}}", "a mapping does not fit here (the IPv4 or IPv6 address"),
    ("    next_hop: dir.example.net", "    next_hop: ▸10.10.1.11", "a full DNS name"),
    ("    next_hop: dir.example.net", "    next_hop: ▸dir_1", "a full DNS name"),
    ("edgewarden: 1", "edgewarden: ▸2", "(one of 1)"),
    # words
    ("product: sfb-2015", "product: ▸sfb2015", 'did you mean "sfb-2015"?'),
    ("position: external", "position: ▸dmz", "one of external, internal, lan, vpn"),
    ("side: outside", "side: ▸left", "one of outside, inside, both"),
    ("nat: static", "nat: ▸dynamic", "(one of none, static)"),
    ("tls: required", "tls: ▸yes", "(one of required, optional, unsupported)"),
    ('tls_minimum: "1.2"', "tls_minimum: ▸1.4", "one of 1.0, 1.1, 1.2, 1.3"),
    ("{unlisted-path: medium}", "{unlisted-path: ▸of}", 'did you mean "off"?'),
    ("{unlisted-path: medium}", "{unlisted-path: ▸false}", "one of critical, high, medium, low, info, off"),
    # addresses, networks, ports, numbers, dates
    ("internal: 10.1.2.11", "internal: ▸10.1.2.300", '"10.1.2.300" does not fit here (the IPv4 or IPv6 address of a host'),
    ("internal: 10.1.2.11", "internal: ▸10.1.2.0/24", "the IPv4 or IPv6 address of a host"),
    ("internal: 10.1.2.11", "internal: ▸224.0.0.1", "the IPv4 or IPv6 address of a host"),
    ("internal: 10.1.2.11", "internal: ▸::ffff:10.1.2.11", "the IPv4 or IPv6 address of a host"),
    ("internal: 10.1.2.11", "internal: ▸[]", "an empty list"),
    ("perimeter-int: [10.1.2.0/24]", "perimeter-int: [10.1.2.0/24, ▸10.1.3.1/24]", "(10.1.3.0/24)"),
    ("perimeter-int: [10.1.2.0/24]", "perimeter-int: ▸10.1.2.0/33", "a network such as"),
    ("perimeter-int: [10.1.2.0/24]", "perimeter-int: [10.1.2.0/24, ▸0.0.0.0/0]", "a network smaller than all addresses"),
    ("port: 443}", "port: ▸0}", "a whole number, 1 to 65535"),
    ("port: 443}", "port: ▸65536}", "a whole number, 1 to 65535"),
    ("port: 443}", 'port: ▸"443"}', "a whole number, 1 to 65535"),
    ('range: "50000-59999"', 'range: ▸"59999-50000"', "a port range, low to high"),
    ('range: "50000-59999"', "range: ▸50000-70000", "a port range, low to high"),
    ("vlans: [10]", "vlans: [10, ▸4095]", "a whole number, 1 to 4094"),
    ("max_loss: 0.01", "max_loss: ▸1.5", "a number, 0 to 1"),
    ("director_flood_factor: 5", "director_flood_factor: ▸0", "a number, above 0"),
    ("expires: 2027-01-01", "expires: ▸2027-02-30", "a date such as"),
    ("expires: 2027-01-01", "expires: ▸soon", "a date such as"),
    # names that must exist
    ("    next_hop: dir.example.net", "    next_hop: ▸dirr.example.net", 'did you mean "dir.example.net"?'),
    ("    next_hop: dir.example.net", "    next_hop: ▸edge.example.net", "is not a Director or Front End pool of this file"),
    ("serves: [fe.example.net]", "serves: [fe.example.net, ▸old.example.org]", '"old.example.org" is not a pool of this file'),
    ("to: fe.example.net}", "to: ▸fe9.example.net}", 'did you mean "fe.example.net"?'),
    ("cms_master: fe1.example.net", "cms_master: ▸dc1.example.net", "is not a member of this pool"),
    ("site: south", "site: ▸sooth", 'did you mean "south"?'),
    ("{unlisted-path: medium}", "{▸unlisted-paths: medium}", 'unknown rule "unlisted-paths" (did you mean "unlisted-path"?)'),
    ("from: edge-int", "from: ▸edge-inn", 'did you mean "edge-int"?'),
    ("to: [10.10.1.5, dc1.example.net]", "to: [10.10.1.5, ▸dc2.sample.org]", '"dc2.sample.org" is nothing that is declared'),
    ("policy:\n", "policy:\n  optional_paths: [▸int-edge-dnss]\n", 'did you mean "int-edge-dns"?'),
    # one thing, one place
    ("  internal: [10.10.0.0/16]", "  internal: [10.10.0.0/16, ▸10.1.2.0/24]", "10.1.2.0/24 stands twice (each network in one zone; line 7 has it in perimeter-int)"),
    ("address: 10.10.1.22", "address: ▸10.10.1.21", "10.10.1.21 already belongs to fe1.example.net"),
    ("address: 10.10.1.5}", "address: ▸10.1.2.11}", "already belongs to edge1.example.net"),
    ("access: [198.51.100.11]", "access: [▸192.0.2.11]", "192.0.2.11 is an own address"),
    ("{fqdn: fe2.example.net,", "{fqdn: ▸fe1.example.net,", '"fe1.example.net" is declared twice (once; it already stands in line 46)'),
    ("to: fe.example.net}, meet.example.com]", "to: fe.example.net}, ▸web.example.com]", '"web.example.com" is published twice'),
    ("other_sites: [shop.example.com]", "other_sites: [▸meet.example.com]", '"meet.example.com" is published twice'),
    ("{name: south}", "{name: south}, {name: ▸north}", 'site "north" is declared twice'),
    ("vlans: [10]}", "vlans: [10]}\n  - {name: ▸outer, position: internal}", 'sensor "outer" is declared twice'),
    ("{name: outer,", "{name: ▸internal,", 'sensor "internal" is at position external'),
    ("product: ocs-2007}", "product: ocs-2007}\n    - {domain: ▸partner.example}", 'partner "partner.example" is listed twice'),
    # pairs
    ("private: 10.1.1.13}", 'private: ▸[10.1.1.13, "2001:db8:1::14", "2001:db8:1::15"]}', "2 private for 1 public IPv6 addresses"),
    ("private: 10.1.1.12}", "private: ▸\"2001:db8:1::12\"}", "1 private for 0 public IPv6 addresses"),
    ("external: {public: 192.0.2.21, private: 10.1.1.21}", "external: ▸{}", "no address"),
    ("    internal: 10.1.2.21\n", "    internal: ▸[]\n", "no address"),
    ("    internal: 10.1.2.21\n", "    internal: ▸10.1.2\n", "the IPv4 or IPv6 address of a host"),
    ("port: 123", "port: ▸0", "a whole number, 1 to 65535"),
    ("    internal: 10.1.2.21\n", "", "internal is missing"),
    # local paths
    ("transport: udp, port: 123", "transport: esp, port: ▸123", "esp has no ports"),
    ("transport: udp, port: 123", "transport: udp", "port is missing"),
    ("service: ntp", "service: ▸nntp", 'did you mean "ntp"?'),
    ("service: ntp", "service: ▸tcp-any", '"tcp-any" is no service that is recognised'),
    ("transport: udp", "transport: ▸upd", 'did you mean "udp"?'),
    ("transport: udp", "transport: ▸256", '"256" (a number) does not fit here'),
    ("id: local-ntp", "id: ▸ext-access-dns-udp", "is a built-in path"),
    ("port: 123", "port: [123, ▸\"9-1\"]", "a port range, low to high"),
    ("id: local-ntp", "id: ▸int-edge-dns", "is a built-in path"),
    ("id: local-ntp", "id: ▸Local NTP", "a name in lower case with hyphens"),
    # what YAML can do and a settings file must not
    ("organization: Example", "organization: ▸&who Example", "anchor &who"),
    ("organization: Example", "organization: ▸*who", "alias *who"),
    ("organization: Example", "organization: ▸!!str Example", "tag tag:yaml.org,2002:str"),
    ("clients:\n", "clients:\n  ▸<<: {wifi: [10.10.101.0/24]}\n", "merge key <<"),
    ("clients:\n", "clients:\n  ? ▸[a]\n  : b\n", "a key that is a list or a mapping"),
    ("organization: Example", 'organization: ▸"a\\0b"', "character U+0000"),
]  # fmt: skip

LACKING = {  # where the mapping begins that lacks a key: (what was taken out, what it begins with)
    "    next_hop: dir.example.net\n": "fqdn: edge.example.net",
    "        internal: 10.1.2.11\n": "fqdn: edge1.example.net",
    "    internal: 10.1.2.21\n": "fqdn: proxy.example.net",
    "transport: udp, port: 123": "{id: local-ntp",
}


def marked(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The text without ▸, and the places (from 1) where it stood."""
    places, lines = [], []
    for number, line in enumerate(text.split("\n"), 1):
        while "▸" in line:
            places.append((number, line.index("▸") + 1))
            line = line.replace("▸", "", 1)
        lines.append(line)
    return "\n".join(lines), places


def test_the_site_has_no_fault() -> None:
    assert faults(SITE) == []


@pytest.mark.parametrize(("old", "new", "message"), CASES, ids=[f"{c[2][:40]}|{c[1][:30]}" for c in CASES])
def test_one_fault_at_its_place(old: str, new: str, message: str) -> None:
    text = SITE + "mobility: true\n" if old == "mobility: true" else SITE
    assert text.count(old) == 1
    if "▸" not in new:  # a key was taken out
        text = text.replace(LACKING[old], "▸" + LACKING[old])
    text, places = marked(text.replace(old, new))
    found = faults(text)
    assert [(line, column) for line, column, _ in found] == places, found
    assert message in found[0][2], found


def test_a_fault_is_printed_as_compilers_do() -> None:
    with pytest.raises(TopologyFaults) as caught:
        read(b"edgewarden: 1\n", FILE)
    assert str(caught.value).splitlines()[0] == (
        "site.yaml:1:1: edge_pools is missing (Edge pools; a lone server is a pool of one)"
    )
    assert len(str(caught.value).splitlines()) == 4  # organization, product, zones, edge_pools


def test_all_faults_of_a_file_at_once_in_order() -> None:
    text, places = marked(
        SITE.replace("organization: Example", "organization: ▸7")
        .replace("product: sfb-2015", "product: ▸sfb-2016")
        .replace("  vpn: [10.20.0.0/24]", "  ▸dmz: [10.20.0.0/24]")
        .replace("internal: [10.10.0.0/16]", "internal: [▸10.10.0.1/16]")
        .replace("side: outside", "side: ▸out")
        .replace("next_hop: dir.example.net", "next_hop: ▸dir9.example.net")
        .replace("port: 443}", "port: ▸99999}")
        .replace("internal: 10.1.2.11", "internal: ▸10.1.2")
        .replace("cms_master: fe1.example.net", "cms_master: ▸fe7.example.net")
        .replace("address: 10.10.1.22", "address: ▸10.10.1.21")
        .replace("unlisted-path: medium", "▸no-such-rule: high")
    )
    found = faults(text)
    assert len(places) == 11
    assert [(line, column) for line, column, _ in found] == sorted(places)


def test_a_name_that_could_not_be_read_does_not_make_others_dangle() -> None:
    found = faults(changed("  - fqdn: dir.example.net", "  - fqdn: dir example net"))
    assert [(line, column) for line, column, _ in found] == [(36, 11)]


def test_nat_none_refuses_each_private_address_that_differs() -> None:
    text, places = marked(changed("nat: static", "nat: none").replace("private: 10.", "private: ▸10."))
    found = faults(text)
    assert len(places) == 4
    assert [(line, column) for line, column, _ in found] == places
    assert "10.1.1.11 differs from 192.0.2.11" in found[0][2]


def test_an_unknown_site_is_a_fault_even_without_a_list_of_sites() -> None:
    found = faults(changed("sites: [{name: north}, {name: south}]\n", ""))
    assert [(line, column) for line, column, _ in found] == [(36, 11)]


UNDERSTOOD = {
    "an empty list is none": ("private: 10.1.1.12}", "private: []}"),
    "an empty key is none": ("    serves: [fe.example.net]", "    serves:\n    vips:"),
    "a lone server's virtual address is its own": (
        "      - {fqdn: dir.example.net, address: 10.10.1.11}",
        "      - {fqdn: dir1.example.net, address: 10.10.1.11}\n    web: {vip: 10.10.1.11}",
    ),
    "Mediation runs on the Front Ends": (
        "infrastructure:\n",
        "mediation_pools:\n  - fqdn: fe.example.net\n    members: [{fqdn: fe1.example.net, address: 10.10.1.21}]\n"
        "infrastructure:\n",
    ),
    "hosted partners share an Edge": (
        "product: ocs-2007}",
        "product: ocs-2007}\n    - {domain: other.example, access: [198.51.100.11]}",
    ),
    "a domain may be partner for SIP and XMPP": ("domain: jabber.example", "domain: partner.example"),
    "a proxy opens connections from the address it has": (
        "    other_sites: [shop.example.com]",
        "    other_sites: [shop.example.com]\n    snat: [10.1.2.21, 10.1.2.22]",
    ),
    "administrators sit on servers": ("clients:\n", "clients:\n  admin: [10.10.1.21]\n"),
    "a gateway is a firewall": ("clients:\n", "vpn: {gateways: [192.0.2.1]}\nclients:\n"),
    "a balancer's source is a virtual address": ("clients:\n", "lb: {internal_snat: [10.10.1.20]}\nclients:\n"),
    "a cluster of proxies behind one address": (
        "    internal: 10.1.2.21\n",
        "    members:\n"
        "      - {fqdn: p1.example.net, external: {public: 192.0.2.21, private: 10.1.1.22}, internal: 10.1.2.22}\n"
        "      - {fqdn: p2.example.net, external: {private: 10.1.1.23}, internal: 10.1.2.23}\n",
    ),
    "a word in other letters": ("next_hop: dir.example.net", "next_hop: DIR.Example.NET."),
}  # what looks like a contradiction and is none


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_what_is_understood_is_no_fault(name: str) -> None:
    assert faults(changed(*UNDERSTOOD[name])) == []


def test_a_file_name_cannot_forge_a_line() -> None:
    with pytest.raises(TopologyFaults) as caught:
        read(b"- a\n", "a\nb.yaml:1:1: all is well")
    assert len(str(caught.value).splitlines()) == 1


def test_services_on_one_address_need_ports_of_their_own() -> None:
    one = "{public: 192.0.2.11, private: 10.1.1.11}"
    text = SITE.replace("{public: 192.0.2.12, private: 10.1.1.12}", one)
    text = text.replace('{public: [192.0.2.13, "2001:db8:1::13"], private: 10.1.1.13}', one)
    found = faults(text)  # webconf says 443, which is the relay's on a single address
    assert [(line, column) for line, column, _ in found] == [(21, 48)]
    assert "webconf and av have one address and both TCP port 443" in found[0][2]
    assert faults(text.replace("webconf.example.com, port: 443", "webconf.example.com")) == []


def test_an_internal_port_taken_twice() -> None:
    text, places = marked(changed('range: "50000-59999"', "auth_port: ▸5061"))
    found = faults(text)
    assert [(line, column) for line, column, _ in found] == places
    assert "port 5061 of the internal interface is taken by access.internal_port" in found[0][2]


@pytest.mark.parametrize(
    ("data", "place", "message"),
    [
        (b"", (1, 1), "the file is empty"),
        (b"# only a comment\n", (1, 1), "the file is empty"),
        (b"- a\n", (1, 1), "a list does not fit here"),
        (b"edgewarden: 1\n---\nedgewarden: 1\n", (2, 1), "a second document"),
        (b"%YAML 1.1\n---\nedgewarden: 1\n", (1, 1), "a %YAML directive of another version"),
        (b"edgewarden: 1\norganization: [a\n", (3, 1), "not YAML"),
        (b"edgewarden: 1\n\torganization: a\n", (2, 1), "not YAML"),
        (b"edgewarden: 1\nproduct: \xff\n", (2, 10), "octet 0xff is not UTF-8"),
        (b"edgewarden: 1\nproduct: \0\n", (2, 10), "character U+0000 is not allowed"),
        ("edgewarden: 1\n".encode("utf-16"), (1, 1), "the file is in UTF-16"),
        (b"[" * 100_000, (1, 33), "nested too deeply (at most 32 levels)"),
        (b'a: "\\U00110000"\n', (1, 2), "not YAML"),
        (b"#" * (1 << 20) + b"#", (1, 1), "the file is too large (at most 1,048,576 octets)"),
    ],
)
def test_text_that_is_no_topology_at_all(data: bytes, place: tuple[int, int], message: str) -> None:
    with pytest.raises(TopologyFaults) as caught:
        read(data, FILE)
    found = [f for f in caught.value.faults if (f.line, f.column) == place and message in str(f)]
    assert len(found) == 1, str(caught.value)


def test_an_alias_bomb_is_refused_before_it_expands() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    with pytest.raises(TopologyFaults) as caught:
        read("\n".join(lines).encode(), FILE)
    assert sum("alias" in fault.message for fault in caught.value.faults) == 290


def test_a_byte_order_mark_is_allowed() -> None:
    assert faults("\ufeff" + SITE) == []


def test_windows_line_ends_do_not_move_places() -> None:
    text = changed("internal: 10.1.2.11", "internal: 10.1.2.300").replace("\n", "\r\n")
    assert [(line, column) for line, column, _ in faults(text)] == [(25, 19)]


def test_values_in_messages_are_cut_and_harmless() -> None:
    found = faults(changed("organization: Example", 'organization: Example\n"\\e[31m' + "x" * 500 + '": 1'))
    assert "\x1b" not in found[0][2]
    found = faults(changed("product: sfb-2015", "product: " + "x" * 500))
    assert len(found[0][2]) < 200


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a\u202eb", "the same without character U+202E, which nobody sees"),
        ("a\u200bb", "the same without character U+200B, which nobody sees"),
        ('""', "text with something in it"),
        ("2013", "text with something in it; quote numbers"),
    ],
)
def test_a_text_that_cannot_stand_says_what_would_be_right(text: str, hint: str) -> None:
    with pytest.raises(TopologyFaults) as told:
        read(SITE.replace("organization: Example\n", f"organization: {text}\n").encode(), "site.yaml")
    (fault,) = told.value.faults
    assert fault.hint == hint
