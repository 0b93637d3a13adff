"""`audit --suggest`: its entries, uncommented and filled, load as part of the topology and do what they say."""

from __future__ import annotations

import json
import re
import struct
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from monitor.cli import main
from monitor.evidence import Packet
from rules.catalogue import RULE_IDS
from rules.components import PortRange
from rules.draft import TODO
from rules.load import TopologyFaults, read
from rules.suggestions import MOST, Seen, Stranger, Unlisted, suggestions
from tests.house.captures import BROKEN, CLEAN, TOPOLOGY, pcap

RAW = 101  # LINKTYPE_RAW: a packet begins with its IP header

ONCE = Seen(1, "2026-11-22T09:00:00Z", "2026-11-22T09:00:01Z", ("internal",))


def uncommented(text: str) -> str:
    return "\n".join(line.removeprefix("# ") for line in text.splitlines()) + "\n"


def entries(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(uncommented(text))


def filled(text: str) -> str:
    return text.replace("expires: TODO", "expires: 2027-06-30").replace("TODO", "Network team")


def merged(fragment: dict[str, Any]) -> bytes:
    """contoso.yaml with the entries in their places; JSON is YAML."""
    site = YAML(typ="safe", pure=True).load(Path(TOPOLOGY).read_text(encoding="utf-8"))
    site["policy"]["local_paths"] += (fragment.get("policy") or {}).get("local_paths", [])
    site["others"] = (site.get("others") or []) + fragment.get("others", [])
    for zone, networks in (fragment.get("zones") or {}).items():
        site["zones"][zone] += networks
    return json.dumps(site, default=str).encode()


def unlisted(**changes: Any) -> Unlisted:
    made = {
        "id": "suggested-0123456789abcdef",
        "source": ("edge01.contoso.net",),
        "destination": ("dc01.contoso.net",),
        "transport": "tcp",
        "ports": (PortRange(445, 445),),
        "service": "smb",
        "found_by": "critical edge-to-internal-unlisted",
        "reason": "edge01.contoso.net opened TCP 445",
        "seen": ONCE,
    }
    return Unlisted(**{**made, **changes})


def flows(count: int) -> Seen:
    return Seen(count, ONCE.first, ONCE.last, ONCE.positions)


# --- the file --------------------------------------------------------------------------------------------------------


def test_as_written_everything_is_a_comment() -> None:
    text = suggestions([unlisted()], [Stranger("10.45.16.77", "nobody's", ONCE)], [Stranger("10.9.8.0/24", "x", ONCE)])
    assert all(line.startswith("#") for line in text.splitlines())
    assert entries(text) == {
        "policy": {
            "local_paths": [
                {
                    "id": "suggested-0123456789abcdef",
                    "from": "edge01.contoso.net",
                    "to": "dc01.contoso.net",
                    "transport": "tcp",
                    "port": 445,
                    "service": "smb",
                    "reason": TODO,
                    "owner": TODO,
                    "expires": TODO,
                }
            ]
        },
        "others": [{"name": "neighbour 10.45.16.77", "addresses": "10.45.16.77"}],
        "zones": {"internal": ["10.9.8.0/24"]},
    }


def test_ports_are_numbers_ranges_and_lists_and_absent_without_ports() -> None:
    cases: list[tuple[tuple[PortRange, ...], Any]] = [
        ((PortRange(445, 445),), 445),
        ((PortRange(1024, 1031),), "1024-1031"),
        ((PortRange(80, 80), PortRange(8000, 8010)), [80, "8000-8010"]),
    ]
    for ports, written in cases:
        [path] = entries(suggestions([unlisted(ports=ports)], [], []))["policy"]["local_paths"]
        assert path["port"] == written
    [path] = entries(suggestions([unlisted(transport="icmp", ports=())], [], []))["policy"]["local_paths"]
    assert "port" not in path


def test_most_flows_come_first_and_the_rest_is_counted() -> None:
    many = [Stranger(f"10.{n // 256}.{n % 256}.0/24", "x", flows(n)) for n in range(MOST + 7)]
    text = suggestions([], [], many)
    listed = entries(text)["zones"]["internal"]
    assert len(listed) == MOST
    assert listed[0] == f"10.{(MOST + 6) // 256}.{(MOST + 6) % 256}.0/24"
    assert "and 7 more with fewer flows" in text


def test_an_entry_says_who_found_it_when_and_why() -> None:
    text = " ".join(suggestions([unlisted(seen=flows(1234))], [], []).replace("##", "").split())
    assert (
        "1,234 flows at internal, 2026-11-22T09:00:00Z to 2026-11-22T09:00:01Z: critical edge-to-internal-unlisted: "
        "edge01.contoso.net opened TCP 445"
    ) in text


@pytest.mark.parametrize("evil", ["\n# others: [x]", "\u2028- {a: b}", "\x1b[2J", "\ufffe\ud800", "]} #", "\x85x: y"])
def test_words_of_the_wire_stay_in_their_comment(evil: str) -> None:
    text = suggestions([unlisted(reason=f"asked for {evil}")], [Stranger("10.45.16.77", evil, ONCE)], [])
    assert all(char.isprintable() or char == "\n" for char in text)
    clean = suggestions([unlisted()], [Stranger("10.45.16.77", "x", ONCE)], [])
    assert entries(text) == entries(clean)
    assert read(merged(entries(filled(text))), "merged").policy.local_paths


def test_what_is_left_to_fill_is_a_fault_at_its_place() -> None:
    with pytest.raises(TopologyFaults) as told:
        read(merged(entries(suggestions([unlisted()], [], []))), "merged")
    [fault] = told.value.faults
    assert "a date such as 2027-01-01" in str(fault)


def test_nothing_seen_is_said() -> None:
    text = suggestions([], [], [])
    assert "Nothing was seen that is not declared." in text
    assert entries(text) is None


# --- of real captures ------------------------------------------------------------------------------------------------


def staying(text: str) -> dict[str, list[str]]:
    """By entry, the rules by which its comment says that it stays a violation."""
    flat = re.sub(r"\n##  +", " ", text)
    told = re.findall(r"stays a violation: ([a-z, -]+)\.\n#     - \{id: (suggested-\w+)", flat)
    return {path: rules.split(", ") for rules, path in told}


def test_filled_in_the_entries_allow_what_was_found(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The violations of the inside hold flows to ports that nothing lists, a host of the perimeter that is nobody's
    (172.25.33.77), and the clean ones a host of 10.200.0.0/24, which is in no zone."""
    file = tmp_path / "candidates.yaml"
    captures = [f"internal={BROKEN['internal']}", f"internal={CLEAN['internal']}"]
    arguments = ["audit", "--quiet", "--format", "json", "--suggest", str(file), *captures]
    assert main([*arguments, "--topology", TOPOLOGY]) == 1
    before = json.loads(capfd.readouterr().out)
    text = file.read_text(encoding="utf-8")
    fragment = entries(filled(text))
    assert {"name": "neighbour 172.25.33.77", "addresses": "172.25.33.77"} in fragment["others"]
    assert fragment["zones"] == {"internal": ["10.200.0.0/24"]}
    suggested = {path["id"].removeprefix("suggested-") for path in fragment["policy"]["local_paths"]}
    lookups = next(f for f in before["findings"] if f["rule"] == "edge-internal-dns" and f["transport"] == "tcp")
    assert lookups["id"] in suggested
    by_bytes = {f["id"] for f in before["findings"] if f["rule"] in ("sip-cleartext", "tls-weak", "cert-expired")}
    assert not by_bytes & suggested  # no row can allow these

    site = tmp_path / "site.yaml"
    site.write_bytes(merged(fragment))
    read(site.read_bytes(), "site.yaml", known_rules=RULE_IDS)
    main([*arguments, "--topology", str(site)])
    after = json.loads(capfd.readouterr().out)
    assert lookups["id"] not in {f["id"] for f in after["findings"]}
    assert "unlisted-path" in {f["rule"] for f in before["findings"]}
    assert "unlisted-path" not in {f["rule"] for f in after["findings"]}
    used = {path["id"] for path in after["paths"] if path["flows"]}
    assert f"suggested-{lookups['id']}" in used
    noted = staying(text)
    neighbours = {other["addresses"] for other in fragment["others"]}  # of these nothing is judged any more
    ours = {path["id"] for path in fragment["policy"]["local_paths"] if path["from"] not in neighbours}
    assert ours - used == set(noted)
    still = {finding["rule"] for finding in after["findings"]}
    assert {rule for rules in noted.values() for rule in rules} <= still
    assert ["reverse-proxy-nat-forward"] in noted.values()
    assert ["owas-in-perimeter"] in noted.values()
    assert "10.200.0.0/24" not in file.read_text(encoding="utf-8")
    assert "172.25.33.77" not in re.sub("##.*", "", file.read_text(encoding="utf-8"))


def knocks(sources: int) -> bytes:
    """Hosts of the Internet that open TCP 5985 of one client of the LAN, which answers: RFC 791 and 9293 headers."""
    packets = []
    for number in range(sources):
        ends = [(f"192.0.2.{number + 1}", 40000), ("192.168.20.7", 5985)]
        for (source, sport), (target, dport), flags in ((*ends, 0x02), (*ends[::-1], 0x12)):
            data = struct.pack("!BBHHHBBH", 0x45, 0, 40, number, 0x4000, 64, 6, 0)
            data += ip_address(source).packed + ip_address(target).packed
            data += struct.pack("!HHIIBBHHH", sport, dport, 1000, 1001 if flags & 0x10 else 0, 0x50, flags, 1024, 0, 0)
            packets.append(Packet(1_795_000_000_000_000_000 + len(packets) * 1000, RAW, len(data), data))
    return pcap(packets, RAW)


@pytest.mark.parametrize(("sources", "written"), [(1, "192.0.2.1"), (8, 8), (9, "external")])
def test_few_addresses_are_named_and_of_many_the_zone(
    sources: int, written: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file, capture = tmp_path / "candidates.yaml", tmp_path / "x.pcap"
    capture.write_bytes(knocks(sources))
    main(["audit", "-q", "--topology", TOPOLOGY, "--suggest", str(file), f"internal={capture}"])
    text = file.read_text(encoding="utf-8")
    [path] = entries(text)["policy"]["local_paths"]
    assert path["from"] == ([f"192.0.2.{n + 1}" for n in range(written)] if isinstance(written, int) else written)
    assert path["to"] == "192.168.20.7"
    assert ("from 9 addresses of external" in " ".join(text.replace("##", "").split())) == (sources == 9)
    capfd.readouterr()


def test_a_target_that_cannot_be_written_is_the_operators_mistake(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "none" / "candidates.yaml"
    arguments = ["--topology", TOPOLOGY, "--suggest", str(target), f"internal={CLEAN['internal']}"]
    assert main(["audit", *arguments]) == 2
    told = capfd.readouterr()
    assert told.out == ""
    assert str(target) in told.err
