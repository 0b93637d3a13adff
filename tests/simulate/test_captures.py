"""The captures read by somebody else: tshark must see in each flow what its scenario says, and nothing broken.

Both the shipped captures and freshly made ones are read. Names are written down here by hand from the vendor's
certificate summaries; the scenario tables only say which of them a flow shows.
"""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import xml.etree.ElementTree
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from monitor.simulate.captures import simulate
from monitor.simulate.table import Scenario, sheets
from rules.load import load

PCAPS = Path(__file__).parents[2] / "pcaps"
TSHARK = shutil.which("tshark")
SCENARIOS = {each.id: each for sheet in sheets() for each in sheet.scenarios}

SUBJECTS = {
    "access": "sip.contoso.com",
    "webconf": "sip.contoso.com",
    "access wildcard": "*.contoso.com",
    "access expired": "sip.contoso.com",
    "access irrevocable": "sip.contoso.com",
    "edge internal": "lsedge.contoso.net",
    "reverse proxy": "webext.contoso.com",
    "director": "dirpool01.contoso.net",
    "next hop": "dirpool01.contoso.net",
    "director web": "dir01.contoso.net",
    "front end": "pool01.contoso.net",
    "front end web": "pool01.contoso.net",
    "configuration master web": "pool01.contoso.net",
    "office web apps": "officewebapps01.contoso.com",
    "branch appliance": "sba01.contoso.net",
    "partner": "sip.litware.com",
    "push": "sipfed.online.lync.com",
    "xmpp partner": "xmpp.woodgrove.example",
    "evil": "xmpp.evil.example",
    "admin station": "adm01.contoso.net",
    "foreign edge": "sip.adatum.example",
    "web site": "www.wingtip.example",
}
PUBLIC = {
    "access",
    "access wildcard",
    "access expired",
    "access irrevocable",
    "webconf",
    "reverse proxy",
    "partner",
    "push",
    "xmpp partner",
    "evil",
    "foreign edge",
    "web site",
}
ALTERNATIVES = {  # one name at least that the certificate must carry beside its subject
    "access": "webcon.contoso.com",
    "reverse proxy": "lyncdiscover.contoso.com",
    "front end web": "webext.contoso.com",
    "director web": "webdirext.contoso.com",
    "xmpp partner": "woodgrove.example",
}
ASKED_NAMES = {
    "admin": "admin.contoso.com",
    "front end inside web": "pool01.contoso.net",
    "access": "sip.contoso.com",
    "webconf": "webcon.contoso.com",
    "meet": "meet.contoso.com",
    "front end web": "webext.contoso.com",
    "office web apps": "officewebapps01.contoso.com",
    "edge internal": "lsedge.contoso.net",
    "partner": "sip.litware.com",
    "push": "sipfed.online.lync.com",
    "foreign edge": "sip.adatum.example",
    "web site": "www.wingtip.example",
    "lyncdiscover": "lyncdiscover.contoso.com",
    "crl": "crl.public-ca.example",
    "director web": "webdirext.contoso.com",
}
DOMAINS = {"ours": "contoso.com", "partner": "woodgrove.example", "evil.example": "evil.example"}
WIRE_VERSIONS = {"1.0": "0x0301", "1.2": "0x0303", "1.3": "0x0304"}

FIELDS = """frame.number frame.time_epoch ip.src ip.dst ip.proto tcp.srcport tcp.dstport udp.srcport udp.dstport
tcp.flags.str tcp.len tcp.analysis.flags tcp.analysis.retransmission tcp.analysis.out_of_order
tcp.checksum.status udp.checksum.status ip.checksum.status _ws.malformed
tls.handshake.type tls.handshake.version tls.handshake.extensions.supported_version
tls.handshake.extensions_server_name tls.handshake.certificates_length tls.alert_message.level tls.record.content_type
tls.record.opaque_type tcp.payload
x509sat.uTF8String x509ce.dNSName sip.Method sip.Status-Code http.request.method http.host http.response.code
xmpp.starttls xmpp.proceed xmpp.message xmpp.auth dns.qry.name dns.flags.response ssh.protocol
rtp.ssrc rtp.p_type rtcp.pt stun.type icmp.type""".split()  # noqa: SIM905 — twelve fields a line are easier to read

pytestmark = pytest.mark.skipif(TSHARK is None, reason="tshark is not installed")


@dataclass
class Seen:
    """All that tshark says of one flow: (from the source?, field → values) for each frame."""

    frames: list[tuple[bool, dict[str, list[str]]]]

    def all(self, name: str, source: bool | None = None) -> list[str]:
        return [v for way, frame in self.frames for v in frame[name] if source in (None, way)]

    def has(self, name: str) -> bool:
        return bool(self.all(name))


def tshark(path: Path, *options: str) -> Iterator[dict[str, list[str]]]:
    command = [str(TSHARK), "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=\x1f"]
    for layer in ("tcp", "udp", "ip"):
        command += ["-o", f"{layer}.check_checksum:TRUE"]
    command += ["-o", "tcp.reassemble_out_of_order:TRUE"]
    command += ["-d", "tcp.port==5269,xmpp", "-d", "tcp.port==8080,http", *options]
    for field in FIELDS:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        values = line.split("\t")
        yield {name: value.split("\x1f") if value else [] for name, value in zip(FIELDS, values, strict=True)}


def ends(frame: dict[str, list[str]]) -> tuple[tuple[str, int | None], tuple[str, int | None], str]:
    for transport in ("tcp", "udp"):
        # An ICMP error quotes addresses and ports: it belongs to the flow it quotes, its own are the first.
        if frame[f"{transport}.srcport"] and not frame["icmp.type"]:
            source, destination = (int(frame[f"{transport}.{way}port"][0]) for way in ("src", "dst"))
            return (frame["ip.src"][0], source), (frame["ip.dst"][0], destination), transport
    return (frame["ip.src"][0], None), (frame["ip.dst"][0], None), "icmp"


@dataclass
class Set:
    folder: Path
    expected: dict[str, Any]
    seen: dict[tuple[str, str, str], Seen]  # (capture, scenario, destination address)
    strays: dict[str, list[str]]  # frames of no expected flow

    def flows(self) -> Iterator[tuple[str, dict[str, Any], Scenario, Seen]]:
        for capture, content in self.expected["captures"].items():
            for flow in content["flows"]:
                seen = self.seen[capture, flow["scenario"], flow["destination"]["ip"]]
                yield capture, flow, SCENARIOS[flow["scenario"]], seen


def read(folder: Path) -> Set:
    expected = json.loads((folder / "expected.json").read_text())
    seen: dict[tuple[str, str, str], Seen] = {}
    strays: dict[str, list[str]] = defaultdict(list)
    for capture, content in expected["captures"].items():
        owners = {}
        for flow in content["flows"]:
            one = (flow["source"]["ip"], flow["source"].get("port"))
            other = (flow["destination"]["ip"], flow["destination"].get("port"))
            key = capture, flow["scenario"], flow["destination"]["ip"]
            assert (one, other, flow["transport"]) not in owners, "two scenarios on one five-tuple"
            owners[one, other, flow["transport"]] = key, True
            owners[other, one, flow["transport"]] = key, False
            seen[key] = Seen([])
        options = ("--enable-heuristic", "rtp_udp") if "look" not in capture else ()
        for frame in tshark(folder / capture, *options):
            if frame["icmp.type"] == ["3"]:
                continue
            found = owners.get(ends(frame))
            if found is None:
                strays[capture].append(frame["frame.number"][0])
            else:
                seen[found[0]].frames.append((found[1], frame))
    return Set(folder, expected, seen, strays)


@pytest.fixture(scope="module", params=["shipped", "fresh"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Set:
    if request.param == "shipped":
        return read(PCAPS)
    folder = tmp_path_factory.mktemp("captures")
    simulate(load(PCAPS / "contoso.yaml"), folder, True)
    return read(folder)


def test_the_expectations_do_not_depend_on_the_run(made: Set) -> None:
    assert made.expected == json.loads((PCAPS / "expected.json").read_text())


def test_every_frame_belongs_to_a_flow_and_every_flow_has_frames(made: Set) -> None:
    assert not made.strays
    for _, flow, _, seen in made.flows():
        assert seen.frames, flow["scenario"]
        first = seen.frames[0][1]["frame.time_epoch"][0]
        assert f"{float(first):.6f}"[-6:] == flow["start"][-7:-1], flow["scenario"]


def test_the_source_speaks_first(made: Set) -> None:
    for _, flow, scenario, seen in made.flows():
        assert seen.frames[0][0] or scenario.joined_late, flow["scenario"]


def test_headers_are_right_and_nothing_is_malformed(made: Set) -> None:
    for capture, flow, scenario, seen in made.flows():
        for name in ("tcp.checksum.status", "udp.checksum.status", "ip.checksum.status"):
            assert set(seen.all(name)) <= {"1"}, (flow["scenario"], name)
        if capture != "lookalikes.pcap" and scenario.talk["kind"] not in ("ms-turn", "pseudo-tls"):
            assert not seen.has("_ws.malformed"), flow["scenario"]


def test_tcp_is_upset_only_where_it_shall_be(made: Set) -> None:
    for _, flow, scenario, seen in made.flows():
        flagged = seen.has("tcp.analysis.flags")
        resent = scenario.transport == "tcp" and scenario.answer == "none"
        upset = scenario.upset in ("retransmission", "reorder", "overlap")
        assert flagged == (upset or resent), flow["scenario"]
        if scenario.upset == "retransmission" or resent:
            assert seen.has("tcp.analysis.retransmission"), flow["scenario"]
        if scenario.upset == "reorder":
            assert seen.has("tcp.analysis.out_of_order"), flow["scenario"]


def test_connections_open_and_answer_as_told(made: Set) -> None:
    for _, flow, scenario, seen in made.flows():
        if scenario.transport != "tcp" or scenario.joined_late:
            continue
        flags = ["".join(c for c in f if c.isalpha()) for f in seen.all("tcp.flags.str", False)]
        answered = {"yes": "AS", "rst": "AR"}.get(scenario.answer)
        if scenario.one_way or answered is None:
            assert not flags, flow["scenario"]
        else:
            assert flags[0] == answered, flow["scenario"]
        assert ("RA" in flags or "AR" in flags) == (scenario.answer == "rst"), flow["scenario"]


def tls_flows(made: Set) -> Iterator[tuple[dict[str, Any], Scenario, Seen]]:
    for _, flow, scenario, seen in made.flows():
        secured = scenario.talk["kind"] in ("tls", "xmpp") and "until" not in scenario.talk
        if secured and not scenario.joined_late and not scenario.one_way:
            yield flow, scenario, seen


def test_tls_versions_and_names(made: Set) -> None:
    for flow, scenario, seen in tls_flows(made):
        talk = scenario.talk
        version = str(talk.get("version", "1.2"))
        hello = seen.all("tls.handshake.extensions.supported_version" if version == "1.3" else "tls.handshake.version")
        assert WIRE_VERSIONS[version] in hello, flow["scenario"]
        asked = [ASKED_NAMES[talk["name"]]] if "name" in talk else []
        assert seen.all("tls.handshake.extensions_server_name") == asked, flow["scenario"]


def test_certificates_are_shown_by_those_who_shall(made: Set) -> None:
    """RFC 5246 §7.4: Certificate 11, CertificateRequest 13, CertificateVerify 15; all hidden in TLS 1.3."""
    for flow, scenario, seen in tls_flows(made):
        talk = scenario.talk
        server, client = (set(seen.all("tls.handshake.type", way)) for way in (False, True))
        if str(talk.get("version")) == "1.3" or talk.get("resumed"):
            assert not {"11", "13", "15"} & (server | client), flow["scenario"]
            continue
        asks = talk.get("asks", "required" if talk.get("client") else "no")
        assert "11" in server, flow["scenario"]
        assert ("13" in server) == (asks != "no"), flow["scenario"]
        assert ("11" in client) == (asks != "no"), flow["scenario"]
        assert ("15" in client) == bool(talk.get("client")), flow["scenario"]
        if asks != "no" and not talk.get("client"):
            assert seen.all("tls.handshake.certificates_length", True) == ["0"], flow["scenario"]
        for who, way in ((talk["server"], False), (talk.get("client"), True)):
            if who:
                names = seen.all("x509sat.uTF8String", way)
                issuer = f"Contoso {'public' if who in PUBLIC else 'private'} CA"
                assert names[:2] == [issuer, SUBJECTS[who]], flow["scenario"]
                assert SUBJECTS[who] in seen.all("x509ce.dNSName", way), flow["scenario"]
                assert ALTERNATIVES.get(who, SUBJECTS[who]) in seen.all("x509ce.dNSName", way), flow["scenario"]


def test_sessions_carry_data_unless_they_were_refused(made: Set) -> None:
    for flow, scenario, seen in tls_flows(made):
        refused = scenario.talk.get("asks") == "required" and not scenario.talk.get("client")
        kind = "tls.record.opaque_type" if str(scenario.talk.get("version")) == "1.3" else "tls.record.content_type"
        assert ("23" in seen.all(kind)) == (not refused), flow["scenario"]
        if refused:
            assert "2" in seen.all("tls.alert_message.level", False), flow["scenario"]  # fatal, in the clear


def test_a_sensor_that_joined_late_saw_no_handshake(made: Set) -> None:
    late = [(flow, seen) for _, flow, scenario, seen in made.flows() if scenario.joined_late]
    assert len(late) >= 2
    for flow, seen in late:
        assert not seen.has("tls.handshake.type"), flow["scenario"]
        assert not any("S" in flags for flags in seen.all("tcp.flags.str")), flow["scenario"]
        assert "23" in seen.all("tls.record.content_type"), flow["scenario"]


def test_one_direction_is_one_direction(made: Set) -> None:
    for _, flow, scenario, seen in made.flows():
        ways = {way for way, _ in seen.frames}
        silent = scenario.answer in ("none", "port unreachable")
        assert ways == ({True} if scenario.one_way or silent else {True, False}), flow["scenario"]


def test_xmpp_streams_name_their_domains(made: Set) -> None:
    streams = [(flow, s, seen) for _, flow, s, seen in made.flows() if s.talk["kind"] == "xmpp"]
    assert streams
    for flow, scenario, seen in streams:
        # tshark names no field for the attributes of a stream: they are read with Python's own XML parser.
        header = bytes.fromhex(seen.all("tcp.payload", True)[0]) + b"</stream:stream>"
        stream = xml.etree.ElementTree.fromstring(header)
        assert stream.tag == "{http://etherx.jabber.org/streams}stream", flow["scenario"]
        assert stream.get("from") == DOMAINS[scenario.talk["opener"]], flow["scenario"]
        assert stream.get("to") == DOMAINS[scenario.talk["answerer"]], flow["scenario"]
        assert b"xmlns='jabber:server'" in header, flow["scenario"]
        until = scenario.talk.get("until")
        assert seen.has("xmpp.starttls") == (until is None), flow["scenario"]
        assert seen.has("xmpp.proceed") == (until is None), flow["scenario"]
        assert ("1" in seen.all("tls.handshake.type", True)) == (until is None), flow["scenario"]
        assert seen.has("xmpp.message") == (until == "message"), flow["scenario"]
        assert seen.has("xmpp.auth") == (until == "auth"), flow["scenario"]


def test_sip_http_dns_and_ssh_are_read_as_such(made: Set) -> None:
    read_as = defaultdict(int)
    for _, flow, scenario, seen in made.flows():
        talk = scenario.talk
        match talk["kind"]:
            case "sip":
                assert seen.all("sip.Method", True) == [talk["method"]], flow["scenario"]
                replies = ["100", "200"] if talk.get("replies", True) else []
                assert seen.all("sip.Status-Code", False) == replies, flow["scenario"]
            case "http" if "client" not in str(scenario.port) and scenario.port != "replication":
                # On the ports of TLS tshark does not look for HTTP.
                assert seen.all("http.host", True) == [ASKED_NAMES[talk["host"]]], flow["scenario"]
                assert seen.has("http.response.code"), flow["scenario"]
            case "dns":
                asked = seen.all("dns.qry.name", True)
                question = talk["question"].replace("{partner}", "litware.com").replace("{domain}", "contoso.com")
                assert asked == [question], flow["scenario"]
                assert seen.has("dns.flags.response"), flow["scenario"]
            case "ssh" if scenario.port == "ssh":
                assert len(seen.all("ssh.protocol")) == 2, flow["scenario"]
            case _:
                continue
        read_as[talk["kind"]] += 1
    assert set(read_as) == {"sip", "http", "dns", "ssh"}


def test_media_are_streams_of_ten_packets_or_more_each_way(made: Set) -> None:
    for _, flow, scenario, seen in made.flows():
        if scenario.talk["kind"] == "rtp":
            for way in (True, False):
                assert len(seen.all("rtp.ssrc", way)) >= 10, flow["scenario"]
                assert len(set(seen.all("rtp.ssrc", way))) == 1, flow["scenario"]
            assert ("200" in seen.all("rtcp.pt")) == bool(scenario.talk.get("reports")), flow["scenario"]


def test_ms_turn_is_read_in_microsofts_dialect(made: Set) -> None:
    """Message types in order on UDP, and nothing malformed, when tshark is told the dialect."""
    wanted = {
        flow["scenario"]: (flow, scenario)
        for _, flow, scenario, _ in made.flows()
        if scenario.talk["kind"] == "ms-turn" and scenario.transport == "udp"
    }
    dialect = ("-o", "stun.stunversion:MS-TURN", "-d", "udp.port==3478,stun", "-Y", "udp.port==3478")
    seen: dict[str, list[str]] = defaultdict(list)
    for capture in ("clean-external.pcapng", "clean-internal.pcapng", "violations-internal.pcapng"):
        owners = {
            (flow["source"]["ip"], flow["source"]["port"], flow["destination"]["ip"], flow["destination"]["port"]): name
            for name, (flow, _) in wanted.items()
        }
        for frame in tshark(made.folder / capture, *dialect):
            source, destination, _ = ends(frame)
            name = owners.get((*source, *destination)) or owners.get((*destination, *source))
            if name:
                assert not frame["_ws.malformed"], name
                seen[name] += frame["stun.type"][:1]
    assert set(seen) == set(wanted)
    for name, types in seen.items():
        media = ["0x0006", "0x0106"] if wanted[name][1].talk.get("media") else []
        # tshark does not know Data Indication (0x0115), whose transaction id has no cookie: it stands between.
        assert types == ["0x0003", "0x0113", "0x0003", "0x0103", "0x0004", *media], name


def test_pseudo_tls_and_frames_octet_by_octet(made: Set) -> None:
    """[MS-TURN] 2.1.1 and 2.1.4: fixed octets of both greetings, then nothing but whole frames."""
    greeting = re.compile(r"160301002d010000290301.{64}00000200180100")
    answer = re.compile(r"160301004e020000460301.{64}20.{64}0018000e000000")
    kinds = set()
    for _, flow, scenario, seen in made.flows():
        if scenario.talk["kind"] != "pseudo-tls":
            continue
        source, destination = ("".join(seen.all("tcp.payload", way)) for way in (True, False))
        assert greeting.fullmatch(source[:100]), flow["scenario"]
        if scenario.talk.get("then") == "alert":
            continue
        assert answer.fullmatch(destination[:166]), flow["scenario"]
        for stream in (bytes.fromhex(source[100:]), bytes.fromhex(destination[166:])):
            place = 0
            while place < len(stream):
                kind, zero, length = struct.unpack_from(">BBH", stream, place)
                body = stream[place + 4 : place + 4 + length]
                assert (zero, len(body)) == (0, length), flow["scenario"]
                if kind == 2:
                    assert struct.unpack_from(">H", body, 2)[0] + 20 == length, flow["scenario"]
                    assert body[20:28] == bytes.fromhex("000f000472c64bc6"), flow["scenario"]
                kinds.add(kind)
                place += 4 + length
    assert kinds == {2, 3}


def test_the_shipped_files_are_small() -> None:
    assert sum(path.stat().st_size for path in PCAPS.glob("*.pcap*")) < 1_000_000
