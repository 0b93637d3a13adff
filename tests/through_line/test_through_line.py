"""The whole way of a packet: from the wire of both firewalls to the record, to Elasticsearch, and into a report.

The load is the sample site's capture of violations, played over a wire while the service listens. What is expected of
it is what an audit of the same captures says; a real Elasticsearch takes it in.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rules.catalogue import catalogue
from tests.elastic.servers import Server, running
from tests.house.captures import BROKEN, PCAPS, ROOT, TOPOLOGY
from tests.live.process import EDGEWARDEN, Running, send
from tests.live.wire import FAR, NEAR, command, connect, wait_for

INNER_NEAR, INNER_FAR = "near2", "far2"

SENSORS = f"""
sensors:
  - {{name: outer, position: external, interfaces: [{FAR}]}}
  - {{name: inner, position: internal, interfaces: [{INNER_FAR}]}}
"""


@dataclass
class Line:
    """A service that listens on two wires, what it writes to, and what it is told."""

    place: Path
    server: Server
    service: Running

    @property
    def config(self) -> str:
        return str(self.place / "edgewarden.yaml")

    def recorded(self) -> list[dict[str, Any]]:
        return self._findings("--config", self.config)

    def indexed(self) -> list[dict[str, Any]]:
        """None as long as nothing has been shipped."""
        return self._findings("--store", self.server.url)

    def documents(self, rule: str) -> list[dict[str, Any]]:
        """What a person finds in the cluster; nothing while the stream is being made."""
        client = self.server.client().options(ignore_status=(404, 503))
        found = client.search(index="logs-edgewarden.violation-default", query={"term": {"rule.id": rule}})
        documents: list[dict[str, Any]] = found.get("hits", {}).get("hits", [])
        return documents

    def _findings(self, *where: str) -> list[dict[str, Any]]:
        done = ask("findings", "--format", "json", *where)
        if done.returncode == 2 and "there is no record" in done.stderr:
            return []
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
        return found


@pytest.fixture
def line(wire: str, place: Path) -> Iterator[Line]:
    command("ip", "link", "set", "lo", "up")
    connect(INNER_NEAR, INNER_FAR)
    (place / "topology.yaml").write_text((PCAPS / "contoso.yaml").read_text() + SENSORS)
    with running("8.19.20") as server:
        (place / "edgewarden.yaml").write_text(f"""\
edgewarden: 1
topology: topology.yaml
store: sqlite:///theirs/record.db
elasticsearch: {{hosts: ["{server.url}"]}}
evidence: {{dir: theirs/evidence}}
privileges: {{user: nobody}}
reports:
  - {{name: minutely, cron: "* * * * *", formats: [html, json], deliver: [{{folder: theirs/reports}}]}}
""")
        service = Running(place, "run", "--config", str(place / "edgewarden.yaml"))
        try:
            for sensor in ("inner (internal)", "outer (external)"):
                service.says(f"as {sensor}")
            yield Line(place, server, service)
        finally:
            service.process.kill()
            service.process.wait()


def play(position: str) -> None:
    send(BROKEN[position], interface={"external": NEAR, "internal": INNER_NEAR}[position])


def comparable(findings: list[dict[str, Any]]) -> dict[str, Any]:
    """All that does not tell when, or by which capture, something was seen, of rules that look at each flow by itself:
    what two sensors show together is for audits."""
    kept = ("rule", "severity", "position", "source", "destination", "ports", "subject", "flows", "packets", "bytes")
    alone = {entry.id for entry in catalogue() if entry.rule is not None and entry.rule.join is None}
    return {finding["id"]: {name: finding[name] for name in kept} for finding in findings if finding["rule"] in alone}


def audited() -> dict[str, Any]:
    captures = [f"{position}={path}" for position, path in BROKEN.items()]
    done = ask("audit", "-q", "--format", "json", "--topology", TOPOLOGY, *captures)
    assert done.returncode == 1, done.stderr
    return comparable(json.loads(done.stdout)["findings"])


def ask(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([*EDGEWARDEN, *words], capture_output=True, check=False, env=environment, text=True)


def rules(findings: list[dict[str, Any]]) -> set[str]:
    return {finding["rule"] for finding in findings}


def test_from_a_packet_to_a_row_in_the_report(line: Line) -> None:
    play("internal")
    wait_for(lambda: "director-bypass-sip" in rules(line.recorded()), 30)
    wait_for(lambda: bool(line.documents("director-bypass-sip")), 60)
    [document] = line.documents("director-bypass-sip")
    assert document["_source"]["event"]["kind"] == "alert"
    assert document["_source"]["destination"]["port"] == 5061
    play("external")

    bypass = next(finding for finding in line.recorded() if finding["rule"] == "director-bypass-sip")
    told = ask("explain", bypass["id"][:8], "--config", line.config)
    assert told.returncode == 0, told.stderr
    [slice_] = (line.place / "theirs" / "evidence").glob(f"director-bypass-sip-{bypass['id']}.pcapng")
    assert hashlib.sha256(slice_.read_bytes()).hexdigest() in told.stdout
    assert "Transport Layer Security" in told.stdout or "TLS" in told.stdout
    reports = line.place / "theirs" / "reports"
    wait_for(lambda: any(bypass["id"] in report.read_text() for report in reports.glob("*.json")), 180)
    [report] = [report for report in reports.glob("*.json") if bypass["id"] in report.read_text()]
    assert "director-bypass-sip" in report.with_suffix(".html").read_text()

    assert line.service.end() == 0
    assert comparable(line.recorded()) == audited()
    assert comparable(line.indexed()) == audited()


def test_a_cluster_that_was_away_lacks_nothing_and_has_nothing_twice(line: Line) -> None:
    play("external")
    wait_for(lambda: bool(line.indexed()), 60)
    line.server.halt()
    play("internal")
    wait_for(lambda: "director-bypass-sip" in rules(line.recorded()), 30)
    line.server.resume()
    wait_for(lambda: "director-bypass-sip" in rules(line.indexed()), 120)
    assert line.service.end() == 0
    assert comparable(line.recorded()) == audited()
    assert comparable(line.indexed()) == audited()


def test_workers_that_are_killed_come_back_and_go_on(line: Line) -> None:
    play("external")
    _, _, *others = line.service.workers()  # the sensors come first
    for worker in others:
        os.kill(worker, signal.SIGKILL)
    for job in ("the outbox", "the maker of reports"):
        line.service.says(f"{job} was killed by SIGKILL; it is started again in 1 s")
    play("internal")
    wait_for(lambda: "director-bypass-sip" in rules(line.indexed()), 120)
    assert line.service.end() == 0
    assert comparable(line.indexed()) == audited()
