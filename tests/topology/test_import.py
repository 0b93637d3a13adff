"""A deployed topology becomes the topology file that its owner would have written: every expected value below is read
from the two sample documents by hand, by the rules of the vendor's format (ports are joined to interfaces by side and
number, `Range` counts ports, a configured address stands in front of the translation)."""

from __future__ import annotations

import io
import re
import sys
from ipaddress import ip_address
from itertools import count
from pathlib import Path

import pytest

from monitor.cli import main
from rules.components import Address, PortRange, Translated
from rules.deployment import MAX_DOMAINS, DeploymentFaults
from rules.deployment import read as read_deployment
from rules.draft import Draft
from rules.importer import import_topology
from rules.load import TopologyFaults, read
from rules.topology import Topology

FOLDER = Path(__file__).parent / "deployed"
PUBLISHED = (FOLDER / "contoso-topology.xml").read_bytes()
SAVED = (FOLDER / "contoso-topology.tbxml").read_bytes()
SHAPES = pytest.mark.parametrize("document", [PUBLISHED, SAVED], ids=["published", "tbxml"])


def drafted(document: bytes, *changes: tuple[str, str]) -> Draft:
    """The draft of a document after textual changes, each of which must find its place."""
    text = document.decode("utf-8-sig")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return import_topology(text.encode(), "deployed.xml")


def filled(draft: Draft) -> Topology:
    """What the draft says once a person has put something in the place of each TODO."""
    text = "\n".join(line.partition("#")[0] for line in draft.text.splitlines())
    text = text.replace("[TODO]", "[10.0.0.0/8]").replace("- fqdn: TODO", "- fqdn: proxy.contoso.net")
    numbers = count(1)
    return read(re.sub("TODO", lambda _: f"10.9.0.{next(numbers)}", text).encode(), "draft.yaml")


def one(text: str) -> tuple[Address, ...]:
    return (ip_address(text),)


@SHAPES
def test_the_model_is_that_of_the_documents(document: bytes) -> None:
    deployment = read_deployment(document, "x")
    assert len(deployment.services) == 21
    assert len([service for service in deployment.services if service.role == "EdgeServer"]) == 2
    assert deployment.sites == ("Contoso-HQ", "Contoso-Branch")
    assert deployment.dangling == ()


def test_both_shapes_give_one_model() -> None:
    published, saved = read_deployment(PUBLISHED, "x"), read_deployment(SAVED, "x")
    assert published.clusters == saved.clusters
    assert published.services == saved.services
    assert (published.domains, published.sites) == (saved.domains, saved.sites)
    # the published document has no simple URLs (they are kept elsewhere); all other sections are the same
    first, second = filled(drafted(PUBLISHED)), filled(drafted(SAVED))
    for section in ("edge_pools", "director_pools", "front_end_pools", "office_web_apps", "zones", "autodiscover"):
        assert getattr(first, section) == getattr(second, section), section


@SHAPES
def test_the_pool_with_three_addresses(document: bytes) -> None:
    pool = filled(drafted(document)).edge_pools[0]
    assert (pool.fqdn, pool.next_hop) == ("edgepool01.perimeter.contoso.com", "dirpool01.corp.contoso.com")
    assert (pool.product, pool.site, pool.federation) == ("sfb-2015", "Contoso-HQ", True)
    assert pool.serves == ("fepool01.corp.contoso.com", "dirpool01.corp.contoso.com")
    assert (pool.access.fqdn, pool.access.port, pool.access.federation_port) == ("sip.contoso.com", 443, 5061)
    assert (pool.webconf.fqdn, pool.webconf.port, pool.webconf.internal_port) == ("webconf.contoso.com", 443, 8057)
    assert (pool.av.fqdn, pool.av.port, pool.av.udp_port, pool.av.auth_port) == ("av.contoso.com", 443, 3478, 5062)
    assert pool.av.range == PortRange(50000, 59999)  # 50000 and 10000 ports
    assert (pool.xmpp.enabled, pool.xmpp.port, pool.xmpp.internal_port) == (True, 5269, 23456)
    assert pool.management.replica_port == 4443
    first, second = pool.members
    assert (first.fqdn, first.internal) == ("edge01.perimeter.contoso.com", one("192.0.2.11"))
    assert first.access == Translated(one("198.51.100.11"))
    assert first.webconf == Translated(one("198.51.100.12"))
    assert first.av == Translated(one("203.0.113.13"), one("198.51.100.13"))
    assert second.av == Translated(one("203.0.113.23"), one("198.51.100.23"))


@SHAPES
def test_the_lone_server_on_one_address(document: bytes) -> None:
    pool = filled(drafted(document)).edge_pools[1]
    assert (pool.fqdn, pool.next_hop) == ("edge11.perimeter.contoso.com", "se11.branch.contoso.com")
    assert (pool.site, pool.federation, pool.xmpp.enabled) == ("Contoso-Branch", False, False)
    assert (pool.access.port, pool.webconf.port, pool.av.port) == (5061, 444, 443)
    assert pool.single_ip
    assert pool.members[0].access == Translated(one("203.0.113.71"), one("198.51.100.71"))


@SHAPES
def test_the_inside(document: bytes) -> None:
    topology = filled(drafted(document))
    [director] = topology.director_pools
    assert (director.fqdn, director.web.external) == ("dirpool01.corp.contoso.com", "dirext.contoso.com")
    assert [member.fqdn for member in director.members] == ["dir01.corp.contoso.com", "dir02.corp.contoso.com"]
    pool, branch = topology.front_end_pools
    assert (pool.fqdn, pool.edition, pool.cms, pool.xmpp_gateway) == (
        "fepool01.corp.contoso.com",
        "enterprise",
        True,
        True,
    )
    assert len(pool.members) == 3
    assert (branch.fqdn, branch.edition, branch.cms) == ("se11.branch.contoso.com", "standard", False)
    assert branch.members[0].fqdn == "se11.branch.contoso.com"  # <Machine /> has the cluster's name
    assert [server.fqdn for server in topology.office_web_apps] == ["wac01.corp.contoso.com"]
    assert topology.sip_domains == ("contoso.com", "fabrikam-sub.contoso.com")
    [proxy] = topology.reverse_proxies
    hosts = {publication.host: publication.to for publication in proxy.publishes}
    assert hosts["webext.contoso.com"] == "fepool01.corp.contoso.com"
    assert hosts["lyncdiscover.contoso.com"] is None
    assert "wac01.corp.contoso.com" not in hosts  # IsExternal="false"


def test_simple_urls() -> None:
    topology = filled(drafted(SAVED))
    assert (topology.simple_urls.meet, topology.simple_urls.dialin) == (("meet.contoso.com",), ("dialin.contoso.com",))
    assert "simple_urls: {meet" not in drafted(PUBLISHED).text.replace("# simple_urls", "")


def test_a_todo_is_a_fault_at_its_place() -> None:
    text = drafted(PUBLISHED).text
    with pytest.raises(TopologyFaults) as raised:
        read(text.encode(), "draft.yaml")
    lines = text.splitlines()
    assert {fault.line for fault in raised.value.faults} == {
        number for number, line in enumerate(lines, 1) if "TODO" in line.split("#")[0]
    }
    for fault in raised.value.faults:
        assert lines[fault.line - 1][fault.column - 1 :].startswith("TODO")


def test_what_is_told() -> None:
    draft = drafted(PUBLISHED)
    assert draft.doubts == []
    joined = " ".join(draft.assumptions)
    for word in ("organization", "firewalls", "DNS", "reverse proxy", "Standard Edition", "Autodiscover", "partners"):
        assert word in joined, word
    flat = re.sub(r"\n *# *", " ", draft.text)
    for sentence in draft.assumptions:
        assert f"assumed: {sentence}" in flat
    assert "role UserStore on sql01.corp.contoso.com" in draft.unused
    assert "Location/@City (1×)" in draft.unused
    assert not any(item.startswith("role EdgeServer") for item in draft.unused)


# --- what differs from site to site ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "product"), [("5", "lync-2010"), ("6", "lync-2013"), ("7", "sfb-2015"), ("8", "sfb-2019")]
)
def test_products(version: str, product: str) -> None:
    assert filled(drafted(PUBLISHED, ('ServiceVersion="7"', f'ServiceVersion="{version}"'))).product == product


def test_a_product_not_known_is_for_a_person() -> None:
    draft = drafted(PUBLISHED, ('ServiceVersion="7"', 'ServiceVersion="11"'))
    assert "\nproduct: TODO" in draft.text


def test_interfaces_are_joined_by_number_not_by_order() -> None:
    draft = drafted(
        PUBLISHED,
        ('InterfaceNumber="1" IPAddress="198.51.100.11"', 'InterfaceNumber="X" IPAddress="198.51.100.11"'),
        ('InterfaceNumber="2" IPAddress="198.51.100.12"', 'InterfaceNumber="1" IPAddress="198.51.100.12"'),
        ('InterfaceNumber="X"', 'InterfaceNumber="2"'),
    )
    first = filled(draft).edge_pools[0].members[0]
    assert first.access.public == one("198.51.100.12")
    assert first.webconf.public == one("198.51.100.11")


def test_six_beside_four() -> None:
    six = 'IPAddress="198.51.100.21" IPv6Address="2001:db8::21"'
    member = filled(drafted(PUBLISHED, ('IPAddress="198.51.100.21"', six))).edge_pools[0].members[1]
    assert member.access.public == (ip_address("198.51.100.21"), ip_address("2001:db8::21"))


def test_a_private_address_without_a_public_one() -> None:
    draft = drafted(PUBLISHED, ("198.51.100.21", "10.45.16.21"))
    assert "access: {public: TODO, private: 10.45.16.21}" in draft.text
    assert any("edge02" in sentence and "no public one" in sentence for sentence in draft.doubts)


def test_a_public_address_that_is_private() -> None:
    draft = drafted(PUBLISHED, ("203.0.113.23", "10.45.16.24"))
    assert "av: {public: 10.45.16.24, private: 198.51.100.23}" in draft.text
    assert any("10.45.16.24 is a private one" in sentence for sentence in draft.doubts)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('Port="50000" Protocol="TcpOrUdp"', 'Port="40000" Protocol="TcpOrUdp"', "by default range 50000-59999"),
        ('Port="4443" Protocol="Https" UrlPath="/" AuthorizesRequests="false" />',
         'Port="4444" Protocol="Https" UrlPath="/" AuthorizesRequests="false" />', "by default replica_port 4443"),
        ('Port="4443" Protocol="Https" UrlPath="/" AuthorizesRequests="false" ConfiguredPort="443"',
         'Port="5443" Protocol="Https" UrlPath="/" AuthorizesRequests="false" ConfiguredPort="443"',
         "by default external_https 4443"),
        ('Port="23456"', 'Port="23457"', "by default internal_port 23456"),
    ],
)  # fmt: skip
def test_both_values_of_what_was_moved_are_kept(old: str, new: str, told: str) -> None:
    """Topology XML, 7.12: so that findings can say what is not where it is by default."""
    assert told not in drafted(PUBLISHED).text
    assert told in drafted(PUBLISHED, (old, new)).text


def test_ports_moved_from_their_defaults() -> None:
    draft = drafted(PUBLISHED, ('Port="8057" Protocol="Mtls"', 'Port="8157" Protocol="Mtls"'))
    assert filled(draft).edge_pools[0].webconf.internal_port == 8157
    assert "by default internal_port 8057" in draft.text


# what the Edge Server of the branch depends on, and where it is installed
REGISTRAR = '<ServiceId SiteId="2" RoleName="Registrar" Instance="{}" />'
END = """
        </Dependency>
      </DependsOn>
      <InstalledOn>
        <ClusterId SiteId="2" Number="2" />"""


SECOND = """
        </Dependency>
        <Dependency Usage="Default">
          <ServiceId SiteId="1" RoleName="Registrar" Instance="2" />"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (REGISTRAR.format(1) + END, REGISTRAR.format(9) + END, "no next hop"),
        ('InterfaceSide="External" InterfaceNumber="3" IPAddress="198.51.100.13"',
         'InterfaceSide="External" InterfaceNumber="4" IPAddress="198.51.100.13"', "that this server has not"),
        ("192.0.2.71", "198.51.100.70", "look like one network"),
        ('InterfaceSide="External" InterfaceNumber="1" Port="444"',
         'InterfaceSide="External" InterfaceNumber="1" Port="443"', "both port 443"),
        ('Usage="SipClient" InterfaceSide="External" InterfaceNumber="1" Port="5061" Protocol="Tls"',
         'Usage="SipServer" InterfaceSide="External" InterfaceNumber="1" Port="5061" Protocol="Tls"',
         "only one Edge pool may be published for federation"),
        (REGISTRAR.format(1) + END, REGISTRAR.format(1) + SECOND + END,
         "edge11.perimeter.contoso.com: it depends on several registrars, se11.branch.contoso.com, "
         "dirpool01.corp.contoso.com; the first stands here"),
        (' Range="10000"', "", "does not say how many ports the relay has; one stands here"),
        ('DiscoveryUrl="https://wac01.corp.contoso.com/hosting/discovery/" IsExternal="false"',
         'DiscoveryUrl="::::" IsExternal="true"',
         "wac01.corp.contoso.com: it is published, yet its DiscoveryUrl names no host"),
        ('<SqlInstanceId Name="rtc">\n          <ClusterId SiteId="2" Number="1" />',
         '<SqlInstanceId Name="rtc">\n          <ClusterId SiteId="2" Number="7" />', "is installed on no cluster"),
    ],
    ids=["next hop", "interface", "subnet", "port", "federation", "registrars", "range", "farm", "installed on"],
)  # fmt: skip
def test_contradictions_are_told(old: str, new: str, told: str) -> None:
    draft = drafted(PUBLISHED, (old, new))
    assert any(told in sentence for sentence in draft.doubts), draft.doubts
    assert "check: " in draft.text


INSIDE = '<NetInterface InterfaceSide="Internal" InterfaceNumber="1" IPAddress="192.0.2.{}" />'


def test_doubts_name_whose_they_are() -> None:
    """Two servers lose their inside interfaces: two lines that differ."""
    lost = [(INSIDE.format(last), "") for last in (11, 12)]
    assert {sentence for sentence in drafted(PUBLISHED, *lost).doubts if "no internal address" in sentence} == {
        "edge01.perimeter.contoso.com: no internal address in the document",
        "edge02.perimeter.contoso.com: no internal address in the document",
    }


def test_an_interface_without_a_service_is_told() -> None:
    second = INSIDE.format(99).replace('Number="1"', 'Number="2"')
    draft = drafted(PUBLISHED, (INSIDE.format(11), INSIDE.format(11) + second))
    assert draft.doubts == [
        "edge01.perimeter.contoso.com: internal interface 2 (192.0.2.99) has no port of its services: of this file it "
        "is under `zones` alone"
    ]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("<Name>Contoso-Branch</Name>", "<Name>Contoso-HQ</Name>", 'site "Contoso-HQ" is declared twice'),
        ("edge11.perimeter", "edgepool01.perimeter", '"edgepool01.perimeter.contoso.com" is declared twice'),
        ('Fqdn="edge02.', 'Fqdn="edge01.', '"edge01.perimeter.contoso.com" is declared twice'),
        (INSIDE.format(12), INSIDE.format(11), "192.0.2.11 already belongs to edge01.perimeter.contoso.com"),
        ("<Name>Contoso-HQ</Name>", f"<Name>{'A' * 2000}</Name>", "at most 1000 characters"),
        ("<Name>Contoso-HQ</Name>", "<Name>HQ\u202e</Name>", "without character U+202E"),
    ],
    ids=["sites", "pools", "servers", "addresses", "long name", "direction mark"],
)
def test_what_no_topology_may_say_is_told_with_the_draft(old: str, new: str, told: str) -> None:
    """It is in the document, so the draft has it; `topology check` would refuse it once the TODO are filled in."""
    draft = drafted(PUBLISHED, (old, new))
    refused = [sentence for sentence in draft.doubts if "will be refused" in sentence]
    assert any(told in sentence for sentence in refused), draft.doubts
    with pytest.raises(TopologyFaults) as raised:
        filled(draft)
    lines = {f"line {fault.line} of this draft" for fault in raised.value.faults}
    assert lines == {sentence.partition(" will")[0] for sentence in refused}
    assert "\u202e" not in draft.text


def test_a_draft_that_no_file_could_hold_is_refused_at_once() -> None:
    domains = "".join(f'<InternalDomain Name="d{number}.example"/>' for number in range(MAX_DOMAINS))
    with pytest.raises(DeploymentFaults) as raised:
        drafted(PUBLISHED, ("</InternalDomains>", f"{domains}</InternalDomains>"))
    assert "too many SIP domains (at most 5,000)" in str(raised.value)


def test_sites_that_are_not_there_are_told() -> None:
    text = PUBLISHED.decode()
    start, end = text.index("<Sites>"), text.index("</Sites>") + len("</Sites>")
    draft = import_topology((text[:start] + text[end:]).encode(), "contoso.xml")
    told = [sentence for sentence in draft.doubts if "stands at a site that is not there" in sentence]
    assert len(told) == text.count("<Cluster ")
    assert "site:" not in draft.text


@pytest.mark.parametrize("size", ["99999999", "0", "-1", "many"])
def test_a_range_that_is_no_number_is_a_fault(size: str) -> None:
    """As a port that is none; it would otherwise become a range of one port, or of some."""
    with pytest.raises(DeploymentFaults) as raised:
        import_topology(PUBLISHED.replace(b'Range="10000"', f'Range="{size}"'.encode()), "contoso.xml")
    places = [(fault.line, fault.column, fault.message) for fault in raised.value.faults]
    lines = PUBLISHED.decode().splitlines()
    assert places == [(n, lines[n - 1].index('"10000"') + 2, "no number of ports") for n in (228, 435)]


def test_a_prompt_behind_the_document_is_no_part_of_it() -> None:
    assert import_topology(PUBLISHED + b"\r\nPS C:\\> exit\r\n", "x").text == import_topology(PUBLISHED, "x").text
    with pytest.raises(DeploymentFaults):
        import_topology(PUBLISHED + PUBLISHED, "x")


def test_unknown_roles_are_kept() -> None:
    draft = drafted(PUBLISHED, ('RoleName="WacService"', 'RoleName="VideoInteropServer"'))
    assert any(item.startswith("role VideoInteropServer on wac01.corp.contoso.com") for item in draft.unused)


def test_a_registrar_without_users_is_a_branch_appliance() -> None:
    draft = drafted(
        PUBLISHED, ('<ServiceId SiteId="2" RoleName="UserServices"', '<ServiceId SiteId="2" RoleName="Other"')
    )
    assert "branch_appliances:\n  - fqdn: se11.branch.contoso.com" in draft.text


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "topology.yaml"
    assert main(["topology", "import", str(FOLDER / "contoso-topology.tbxml"), "--output", str(output)]) == 0
    out, err = capfd.readouterr()
    assert out == ""
    assert "assumed: Edge pools are balanced by DNS" in err
    assert "not used of the document: role FileStore on files01.corp.contoso.com" in err
    assert "TODO to fill in; then run edgewarden topology check" in err
    assert main(["topology", "check", str(output)]) == 2  # until they are
    assert main(["topology", "import", "--quiet", str(FOLDER / "contoso-topology.xml")]) == 0
    out, err = capfd.readouterr()
    assert "fqdn: edgepool01.perimeter.contoso.com" in out


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PUBLISHED)))
    assert main(["topology", "import", "--quiet", "-"]) == 0
    first, *rest = capfd.readouterr().out.splitlines()
    assert first == '# Topology for Edgewarden, imported from "standard input".'
    assert rest == drafted(PUBLISHED).text.splitlines()[1:]


def test_a_web_page_is_told_from_a_document() -> None:
    for page in (b"<!DOCTYPE html><html></html>", b"\n<!doctype HTML PUBLIC 'x' 'y'>\n<html/>"):
        with pytest.raises(DeploymentFaults) as raised:
            import_topology(page, "page.xml")
        assert "1: the document is a web page, HTML (the XML itself" in str(raised.value)


def test_the_count_of_todos_leaves_out_the_line_that_explains_them() -> None:
    draft = drafted(PUBLISHED)
    told = [line for line in draft.text.splitlines() if "TODO" in line]
    assert "Fill in each TODO" in told[0]
    assert draft.todos == len(told) - 1


def test_faults_are_told_at_their_place(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.xml"
    file.write_text("<!DOCTYPE x><Topology/>")
    assert main(["topology", "import", str(file), "--output", str(tmp_path / "none.yaml")]) == 2
    assert f"{file}:1:1: a document type declaration (leave it out" in capfd.readouterr().err
    assert not (tmp_path / "none.yaml").exists()
    assert main(["topology", "import", str(tmp_path / "absent.xml")]) == 2
    assert "there is no such deployed topology" in capfd.readouterr().err
