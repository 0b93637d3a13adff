"""Whatever stands in a file that is to be imported, it gives a draft or the faults of the file: no other exception, no
endless work, nothing fetched, and no text of the file becomes a key of the draft."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rules.deployment import DeploymentFaults, read
from rules.document import Fault
from rules.importer import import_topology
from rules.load import TopologyFaults
from rules.load import read as read_topology
from rules.xml_tree import MAX_BYTES, MAX_DEPTH

PUBLISHED = (Path(__file__).parent / "deployed" / "contoso-topology.xml").read_text(encoding="utf-8")

# one Edge Server with what it cannot be without, small enough to be cut at each octet
SMALL = """\
<Topology><Sites><CentralSite SiteId="1"><Name>Hé</Name></CentralSite></Sites>
<Clusters><Cluster Fqdn="edge.contoso.net"><ClusterId SiteId="1" Number="1"/><Machine Fqdn="edge.contoso.net">
<NetInterface InterfaceSide="External" InterfaceNumber="1" IPAddress="203.0.113.10"/></Machine></Cluster></Clusters>
<Services><Service ServiceVersion="6"><ServiceId SiteId="1" RoleName="EdgeServer" Instance="1"/>
<InstalledOn><ClusterId SiteId="1" Number="1"/></InstalledOn><Ports><Port Owner="urn:component:AccessEdge"
 Usage="SipClient" InterfaceSide="External" InterfaceNumber="1" Port="443" Protocol="Tls"/></Ports></Service></Services>
</Topology>"""


def tried(data: bytes) -> tuple[Fault, ...]:
    """The faults, which are well made; none where there is a draft, which is YAML that the loader can read."""
    faults: tuple[Fault, ...] | None = None
    try:
        draft = import_topology(data, "file.xml")
    except DeploymentFaults as error:
        faults = error.faults
    assert faults != ()
    for found in faults or ():
        assert found.line >= 1
        assert found.column >= 1
        assert len(str(found)) < 1000
        assert str(found).isprintable(), repr(str(found))
    if faults is not None:
        return faults
    try:
        read_topology(draft.text.encode(), "draft.yaml")
    except TopologyFaults as error:
        faults = error.faults
    assert not [found for found in faults or () if "not YAML" in found.message or "unknown key" in found.message]
    return ()


ROLES = ("EdgeServer", "UserServices", "Other")


def fault(data: bytes) -> str:
    found = tried(data)
    assert len(found) == 1, found
    return str(found[0])


def test_the_small_one_is_a_draft() -> None:
    assert tried(SMALL.encode()) == ()


# --- what a document must not have -----------------------------------------------------------------------------------

BILLION = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    "type_declaration",
    [
        f'<!DOCTYPE Topology [<!ENTITY l0 "lol">{BILLION}]>',
        '<!DOCTYPE Topology [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE Topology [<!ENTITY % x SYSTEM "http://192.0.2.1/x.dtd"> %x;]>',
        '<!DOCTYPE Topology SYSTEM "http://192.0.2.1/x.dtd">',
        "<!DOCTYPE Topology>",
    ],
    ids=["billion laughs", "external entity", "parameter entity", "external subset", "bare"],
)
def test_a_document_type_is_refused_where_it_stands(type_declaration: str) -> None:
    text = '<?xml version="1.0"?>\n  ' + type_declaration + SMALL.replace("Hé", "&l9;")
    assert fault(text.encode()).startswith("file.xml:2:3: a document type declaration (leave it out")


def test_an_entity_that_nobody_declared() -> None:
    assert "undefined entity" in fault(SMALL.replace("Hé", "&lol;").encode())


def test_deep_nesting() -> None:
    assert f"at most {MAX_DEPTH} levels" in fault(b"<Topology>" + b"<a>" * 100_000)


def test_many_elements() -> None:
    assert "too many elements" in fault(b"<Topology>" + b"<a/>" * 250_000)


def test_a_huge_attribute() -> None:
    assert 'attribute "Fqdn" is too long' in fault(SMALL.replace("edge.contoso.net", "e" * 1_000_000).encode())


def test_many_attributes() -> None:
    attributes = " ".join(f'a{n}="1"' for n in range(100_000))
    assert tried(SMALL.replace("<Sites>", f"<Sites><x {attributes}/>").encode()) == ()


def test_a_huge_text() -> None:
    assert tried(SMALL.replace("Hé", "x" * 2_000_000).encode()) in ((),)


def test_too_large() -> None:
    assert "too large" in fault(b"<Topology>" + b" " * MAX_BYTES)


def test_many_of_everything_takes_no_time() -> None:
    """Lists that are compared with one another are bounded, all else is walked once."""
    machine = '<Machine Fqdn="edge.contoso.net"/>'
    assert "too many machines" in fault(SMALL.replace("<Machine ", machine * 20_000 + "<Machine ").encode())
    port = '<Port Owner="urn:component:DataEdge"/>'
    assert "too many ports" in fault(SMALL.replace("<Ports>", "<Ports>" + port * 20_000).encode())
    clusters, services = [], []  # a third each of Edge pools, Front Ends and unknown roles
    for n in range(2, 5_000):
        clusters.append(f'<Cluster Fqdn="e{n}.contoso.net"><ClusterId SiteId="1" Number="{n}"/></Cluster>')
        services.append(
            f'<Service><ServiceId SiteId="1" RoleName="{ROLES[n % 3]}" Instance="{n}"/>'
            f'<InstalledOn><ClusterId SiteId="1" Number="{n}"/></InstalledOn></Service>'
        )
    text = SMALL.replace("</Clusters>", "".join(clusters) + "</Clusters>")
    import_topology(text.replace("</Services>", "".join(services) + "</Services>").encode(), "x")


# --- encodings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe" + SMALL.encode("utf-16-le"),
        b"\xfe\xff" + SMALL.encode("utf-16-be"),
        SMALL.encode("utf-16-le"),
        SMALL.encode("utf-16-be"),
        SMALL.encode("utf-8-sig"),
        b"\xff\xfe" + ('<?xml version="1.0" encoding="utf-8"?>' + SMALL).encode("utf-16-le"),
        ('<?xml version="1.0" encoding="utf-16"?>' + SMALL).encode(),
        ('<?xml version="1.0" encoding="ISO-8859-1"?>' + SMALL).encode("latin-1"),
        ('<?xml version="1.0" encoding="windows-1252"?>' + SMALL).encode("cp1252"),
        ("\r\n" + SMALL.replace("\n", "\r\n")).encode("utf-8"),
        ("PS C:\\> Get-CsTopology -AsXml\r\n\r\n" + SMALL).encode("utf-8"),
    ],
    ids=[
        "16le",
        "16be",
        "16le bare",
        "16be bare",
        "8 bom",
        "16 says 8",
        "8 says 16",
        "latin",
        "1252",
        "crlf",
        "console",
    ],
)
def test_encodings_of_powershell_and_editors(data: bytes) -> None:
    assert read(data, "x").sites == ("Hé",)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (SMALL.encode("latin-1"), "file.xml:1:49: octet 0xe9 is not UTF-8"),
        (('<?xml version="1.0" encoding="ebcdic-cp-us"?>' + SMALL).encode(), 'encoding "ebcdic-cp-us"'),
        (('<?xml version="1.0" encoding="zip"?>' + SMALL).encode(), 'encoding "zip"'),
        (b"\xff\xfe" + SMALL.encode("utf-16-le")[:-1], "is not UTF-16"),
        (SMALL.encode("utf-32"), "character U+0000"),
        (SMALL.replace("Hé", "\x00").encode(), "file.xml:1:48: character U+0000"),
        (SMALL.replace("Hé", "\x1b[2J").encode(), "character U+001B"),
        (b"", "no XML in the file"),
        (b"edgewarden: 1\n", "no XML in the file"),
    ],
)
def test_other_encodings(data: bytes, told: str) -> None:
    assert told in fault(data)


# --- not what was asked for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("<Objs Version='1.1.0.1'/>", "1:1: the document is <Objs> (a topology from `Get-CsTopology -AsXml`"),
        ("<TopologyBuilder/>", "1:1: NewTopology/PartialTopology is missing"),
        ("<Topology/>", "1:1: Services is missing"),
        ("<Topology><Services/></Topology>", "1:1: no Edge Server in this topology"),
        (SMALL.replace("203.0.113.10", "203.0.113.256"), '3:71: "203.0.113.256" is no host\'s address'),
        (SMALL.replace('Port="443"', 'Port="70000"'), "6:71: no port number"),
        (SMALL.replace('<ClusterId SiteId="1" Number="1"/><M', "<M"), "2:11: a cluster without its key"),
    ],
)
def test_faults_have_a_place_and_a_remedy(data: str, told: str) -> None:
    assert told in "\n".join(map(str, tried(data.encode())))


def test_lines_that_a_console_has_cut() -> None:
    wrapped = "\n".join(line[:80] for line in PUBLISHED.splitlines())
    assert "Out-File -Width 4096" in fault(wrapped.encode())


def test_text_of_the_file_stays_text() -> None:
    evil = 'x"\n  evil: [1]\n# ]}'.replace('"', "&quot;").replace("\n", "&#10;")
    for old in ("Hé", 'RoleName="EdgeServer" Instance="1"/>\n<InstalledOn>', "edge.contoso.net", "203.0.113.10"):
        tried(SMALL.replace(old, old if "Role" in old else evil).encode())
    second = f'<Service><ServiceId SiteId="1" RoleName="{evil}" Instance="2"/></Service></Services>'
    draft = import_topology(SMALL.replace("</Services>", second).encode(), 'na\nme"')
    assert not re.search(r"^\s*evil", draft.text, re.MULTILINE)
    assert 'role x\\"\\n' in draft.text


def test_cut_at_each_octet() -> None:
    whole = SMALL.encode()
    for end in range(len(whole)):
        assert tried(whole[:end]) != (), end


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
@example(b"\xff\xfe<\x00")
@example(b"<\x00\x00\x00")
@example(b"<?xml version='1.0' encoding='utf-7'?><a/>")
def test_arbitrary_octets(data: bytes) -> None:
    tried(data)


PIECES = st.sampled_from(
    ["<", ">", "/>", "</", "&", ";", '"', "'", "=", "\n", "]]>", "<![CDATA[", "<!--", "-->", "<?x ", "?>", "xmlns=",
     ":", "0", "65536", "::1", "0.0.0.0", "urn:component:", "External", "TODO", "é", "\ufffe", "\u202e", "]", "# ", " "]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(SMALL)), st.integers(0, 30), st.lists(PIECES | st.text(max_size=3), max_size=3))
def test_a_document_with_a_hole_or_a_splinter(start: int, length: int, pieces: list[str]) -> None:
    tried((SMALL[:start] + "".join(pieces) + SMALL[start + length :]).encode("utf-8", "surrogatepass"))


VALUES = re.findall(r'"([^"]*)"', SMALL)


@settings(max_examples=300, deadline=None)
@example(6, "0\x850")  # a line's end in YAML 1.1, which stood in a comment
@example(6, "0\u20280: [")
@given(st.integers(0, len(VALUES) - 1), st.text(max_size=20) | PIECES)
def test_any_value_of_any_attribute(number: int, value: str) -> None:
    seen = -1

    def swap(match: re.Match[str]) -> str:
        nonlocal seen
        seen += 1
        if seen != number:
            return match[0]
        return '"' + value.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;") + '"'

    tried(re.sub(r'"([^"]*)"', swap, SMALL).encode("utf-8", "surrogatepass"))
