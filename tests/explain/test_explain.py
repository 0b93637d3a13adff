"""`edgewarden explain`: a finding is found by its id, told in full, its evidence believed only while it is intact."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from monitor.cli import main
from reports.explanation import render_explanation
from reports.schemas import schema
from tests.house.captures import BROKEN, TOPOLOGY

PUBLISHED = jsonschema.Draft202012Validator(schema("explain"))

Told = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the record and the evidence of the shipped captures that break the rules."""
    folder = tmp_path_factory.mktemp("explain")
    captures = [f"{position}={path}" for position, path in BROKEN.items()]
    store = f"sqlite:///{folder}/record.db"
    words = ["audit", "-q", "--topology", TOPOLOGY, "--store", store, "--evidence", str(folder / "evidence")]
    assert main([*words, "--format", "json", "--output", str(folder / "audit.json"), *captures]) == 1
    return folder


@pytest.fixture
def explain(made: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Told:
    """Ask for one; the answer, held against its schema."""
    monkeypatch.delenv("EDGEWARDEN_TOPOLOGY", raising=False)

    def run(finding: str, *more: str) -> dict[str, Any]:
        assert main(["explain", finding, "--store", f"sqlite:///{made}/record.db", "--format", "json", *more]) == 0
        told: dict[str, Any] = json.loads(capfd.readouterr().out)
        PUBLISHED.validate(told)
        assert render_explanation(told)
        return told

    return run


def of(made: Path, rule: str, **wanted: Any) -> dict[str, Any]:
    """A finding of the audit."""
    for finding in json.loads((made / "audit.json").read_text(encoding="utf-8"))["findings"]:
        known = {**finding, "port": finding["destination"]["port"]}
        if finding["rule"] == rule and all(known[key] == value for key, value in wanted.items()):
            return dict(finding)
    raise AssertionError(f"no finding of {rule}")


def test_a_finding_is_told_in_full(made: Path, explain: Told) -> None:
    """The worked example: an Edge that speaks SIP past the Director. What differs is read off the topology by hand."""
    finding = of(made, "director-bypass-sip")
    told = explain(finding["id"], "--topology", TOPOLOGY)
    assert {**told["finding"], "second_opinion": None, "evidence": []} == {**finding, "evidence": []}
    assert "Director" in told["rule"]["text"]
    path = told["nearest_path"]
    assert path["id"] == "int-sip-edge-to-director"
    assert path["ports"] == [5061]
    assert path["differs"] == ["it goes to fe01.contoso.net (fe), the row to next-hop-director"]
    [evidence] = told["evidence"]
    assert (evidence["state"], evidence["packets"]) == ("intact", 16)
    assert len(told["dissection"]["packets"]) == 16
    assert told["dissection"]["packets"][0]["flags"] == ["SYN"]
    words = [line for packet in told["dissection"]["packets"] for layer in packet["layers"] for line in layer["lines"]]
    assert "Handshake Protocol: Client Hello" in words
    assert told["finding"]["second_opinion"]["agrees"] is True
    assert told["no_dissection"] is None


def test_the_text_has_all_of_it(made: Path, capfd: pytest.CaptureFixture[str]) -> None:
    finding = of(made, "sip-cleartext", port=443)
    words = ["explain", finding["id"][:8], "--store", f"sqlite:///{made}/record.db", "--topology", TOPOLOGY]
    assert main(words) == 0
    text = capfd.readouterr().out
    assert finding["reason"].split(":")[0] in " ".join(text.split())
    for heading in ("WHY IT MATTERS", "NEAREST ALLOWED PATH", "SAMPLE FLOWS", "EVIDENCE", "PACKETS, AS TSHARK"):
        assert heading in text
    assert "differs: it is sip, the row tls" in text
    assert "Request-Line: " in text
    assert finding["evidence"][0]["sha256"] in text


def test_without_a_topology_ends_are_not_compared(made: Path, explain: Told) -> None:
    """Port 389 is compared, since the row's number stands in the table; the Edge pool's own numbers do not."""
    path = explain(of(made, "edge-to-internal-unlisted", port=389)["id"])["nearest_path"]
    assert path["ends_compared"] is False
    assert not any("goes to dc01" in sentence for sentence in path["differs"])


def test_the_settings_name_record_and_site(
    made: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EDGEWARDEN_TOPOLOGY", raising=False)
    watched = "\nsensors: [{name: outer, position: external, interfaces: [eth1]}]\n"
    text = Path(TOPOLOGY).read_text(encoding="utf-8")
    (tmp_path / "site.yaml").write_text(text + watched, encoding="utf-8")
    config = tmp_path / "s.yaml"
    config.write_text(f"edgewarden: 1\ntopology: site.yaml\nstore: sqlite:///{made}/record.db\n", encoding="utf-8")
    finding = of(made, "director-bypass-sip")["id"]
    assert main(["explain", finding, "--config", str(config), "--format", "json"]) == 0
    assert json.loads(capfd.readouterr().out)["nearest_path"]["ends_compared"] is True


def test_the_entry_that_is_offered_allows_it(made: Path, explain: Told, tmp_path: Path) -> None:
    """Put into the topology, the capture has no finding of that port more, silent or LDAP; nothing else goes away."""
    finding = of(made, "edge-to-internal-unlisted", port=389)
    entry = explain(finding["id"], "--topology", TOPOLOGY)["allowed_by"]
    assert "port: 389" in entry
    text = Path(TOPOLOGY).read_text(encoding="utf-8")
    for placeholder, value in (("NAME", "ldap"), ("WHY", "w"), ("WHO", "o"), ("YYYY-MM-DD", "2027-01-01")):
        entry = entry.replace(placeholder, value)
    site = tmp_path / "site.yaml"
    site.write_text(text.replace("  local_paths: []\n", f"  local_paths:\n    {entry}\n"), encoding="utf-8")
    result = tmp_path / "r.json"
    words = ["audit", "-q", "--topology", str(site), "--format", "json", "--output", str(result)]
    assert main([*words, f"internal={BROKEN['internal']}"]) == 1
    left = {found["id"] for found in json.loads(result.read_text(encoding="utf-8"))["findings"]}
    before = json.loads((made / "audit.json").read_text(encoding="utf-8"))["findings"]
    gone = [f for f in before if f["position"] == "internal" and f["id"] not in left]
    assert finding["id"] in {f["id"] for f in gone}
    assert {(f["rule"], f["destination"]["port"], f["service"]) for f in gone} == {
        ("edge-to-internal-unlisted", 389, service) for service in ("", "ldap")
    }


def test_where_a_row_is_not_what_is_missing_none_is_offered(made: Path, explain: Told) -> None:
    assert explain(of(made, "mtls-client-cert-missing")["id"])["allowed_by"] is None


@pytest.mark.parametrize(
    ("damage", "state"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(path.read_bytes() + b"\0"), "changed"),
        (lambda path: (path.unlink(), path.mkdir()), "unreadable"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "changed"),
    ],
)
def test_evidence_that_is_not_what_was_recorded_is_not_believed(
    made: Path, explain: Told, damage: Callable[[Path], Any], state: str
) -> None:
    finding = of(made, "sip-udp")
    path = made / "evidence" / finding["evidence"][0]["path"]
    data = path.read_bytes()
    damage(path)
    try:
        told = explain(finding["id"])
    finally:
        if path.is_dir():
            path.rmdir()
        elif path.exists():
            path.unlink()
        path.write_bytes(data)
    [evidence] = told["evidence"]
    assert evidence["state"] == state
    assert evidence["why"]
    assert told["dissection"] is None
    assert "none of its evidence can be used" in told["no_dissection"]
    assert told["finding"]["samples"]


def test_without_tshark_our_own_facts_are_told(
    made: Path, explain: Told, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    told = explain(of(made, "sip-udp")["id"])
    assert told["dissection"] is None
    assert "apt install tshark" in told["no_dissection"]
    text = render_explanation(told)
    assert "SIP method" in text
    assert "apt install tshark" in text


def test_a_finding_of_the_design_has_no_packets(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """dns-lb-for-web: the contoso site with a DNS-balanced pool's web service, as `topology check` reports it."""
    site = tmp_path / "site.yaml"
    text = Path(TOPOLOGY).read_text(encoding="utf-8")
    site.write_text(text.replace("external: dns", "external: hardware"), encoding="utf-8")
    store = f"sqlite:///{tmp_path}/record.db"
    main(["audit", "-q", "--topology", str(site), "--store", store, f"external={BROKEN['external']}"])
    capfd.readouterr()
    assert main(["findings", "--store", store, "--sensor", "config", "--format", "json"]) == 0
    found = json.loads(capfd.readouterr().out)["findings"]
    assert found, "this site's design must have a finding"
    assert main(["explain", found[0]["id"], "--store", store, "--format", "json"]) == 0
    told = json.loads(capfd.readouterr().out)
    PUBLISHED.validate(told)
    assert told["finding"]["reason"] == found[0]["reason"]
    assert found[0]["reason"].split()[0] in render_explanation(told)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("12345", "is no id of a finding"),
        ("ffffffffffffffff", "no finding in the record begins with"),
        ("sip-udp", "is no id of a finding"),
        ("00000000000000000", "is no id of a finding"),
        ("\x1b[31mabcdef", "is no id of a finding"),
    ],
)
def test_what_names_none_is_a_mistake(made: Path, wanted: str, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", wanted, "--store", f"sqlite:///{made}/record.db"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert message in err
    assert "\x1b" not in err


def test_an_ambiguous_prefix_lists_what_it_may_mean(
    made: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two findings whose ids begin alike, made by changing one in a copy of the record."""
    first, second = of(made, "sip-udp"), of(made, "director-bypass-sip")
    copy = tmp_path / "record.db"
    with sqlite3.connect(made / "record.db") as source, sqlite3.connect(copy) as target:
        source.backup(target)
    alike = first["id"][:6] + second["id"][6:]
    with sqlite3.connect(copy) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for table, column in (("findings", "id"), ("finding_deltas", "finding"), ("flows", "finding")):
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (alike, second["id"]))
    assert main(["explain", first["id"][:6], "--store", f"sqlite:///{copy}"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "2 findings begin with" in err
    assert first["id"] in err
    assert alike in err
    assert main(["explain", first["id"][:7].upper() + first["id"][7:], "--store", f"sqlite:///{copy}"]) == 0


def hostile(value: Any) -> Any:
    """The same answer with text that a terminal would obey in every place that holds text from elsewhere."""
    if isinstance(value, dict):
        fixed = ("severity", "position", "state", "time", "transport", "agrees")
        return {key: inner if key in fixed else hostile(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [hostile(inner) for inner in value]
    return f"{value}\x1b]0;owned\x07\u202e\r\n\udce4" if isinstance(value, str) else value


def test_a_terminal_obeys_nothing_of_it(made: Path, explain: Told) -> None:
    told = explain(of(made, "sip-cleartext", port=443)["id"], "--topology", TOPOLOGY)
    text = render_explanation(hostile(told))
    assert all(line.isprintable() for line in text.splitlines())
    assert "owned" in text
