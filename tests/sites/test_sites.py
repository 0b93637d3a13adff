"""Other sites than the worked example: each flow of each table judged by the command as the table says.

The tables were written from the documents by someone who had not read the policy's code; they cover variants the
worked example does not have. `flows` gives verdict, path and rules of every flow, `audit` must count the same.
"""

from __future__ import annotations

import collections
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import main
from tests.sites.traffic import FOLDER, Expectation, played, several, table, write

SITES = (
    *("northwind", "fourthcoffee", "adventure", "proseware", "lucerne", "alpine", "humongous"),
    *("trey", "wingtip", "margie", "vanarsdel", "relecloud", "blueyonder", "tailwind", "cohovineyard"),
)


def edgewarden(command: str, *arguments: str) -> tuple[int, str]:
    """Its status, and what it put out."""
    with tempfile.NamedTemporaryFile() as output:
        status = main([command, "--quiet", "--output", output.name, *arguments])
        assert status in (0, 1, 3)
        return status, Path(output.name).read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=SITES)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str]]:
    name: str = request.param
    folder = tmp_path_factory.mktemp(name)
    for position in ("external", "internal"):
        write(played(name), position, folder / f"{position}.pcap")
    topology = str(FOLDER / f"{name}.yaml")
    captures = [f"{position}={folder / position}.pcap" for position in ("external", "internal")]
    return name, ["--topology", topology, *captures]


def _key(flow: dict[str, Any]) -> tuple[str, str, frozenset[tuple[str, int | None]]]:
    edgewarden = flow["edgewarden"]
    ends = frozenset((flow[end]["ip"], flow[end].get("port")) for end in ("source", "destination"))
    return edgewarden["position"], flow["network"]["transport"], ends


def _said(flow: dict[str, Any]) -> dict[str, Any]:
    edgewarden = flow["edgewarden"]
    return {
        "verdict": edgewarden["verdict"],
        "path": edgewarden.get("path"),
        "rules": edgewarden.get("rules") or [],
        "silenced": edgewarden.get("rules_silenced") or [],
        "unproved": edgewarden.get("unproved") or [],
    }


def differences(expectations: Iterable[Expectation], flows: list[dict[str, Any]]) -> list[str]:
    found: dict[Any, list[dict[str, Any]]] = collections.defaultdict(list)
    for flow in flows:
        found[_key(flow)].append(flow)
    result = []
    for expected in expectations:
        candidates = found.pop(expected.key, [])
        if len(candidates) != 1:
            result.append(f"{expected.title}: {len(candidates)} flows")
            continue
        flow = candidates[0]
        said = _said(flow)
        wanted = {
            "verdict": expected.verdict,
            "path": expected.path,
            "rules": expected.rules,
            "silenced": expected.silenced,
            "unproved": expected.unproved,
        }
        if expected.silenced is None:
            wanted["silenced"] = said["silenced"]
        if expected.source_is is not None:
            wanted["source"], said["source"] = expected.source_is, flow["source"]["ip"]
        wrong = [f"{name} {said[name]} instead of {wanted[name]}" for name in wanted if said[name] != wanted[name]]
        if said["verdict"] == "undecided" and not flow["edgewarden"].get("reason"):
            wrong.append("undecided without a reason")
        if wrong:
            wrong.append(f"[{flow['edgewarden'].get('initiator')}, {flow['edgewarden'].get('reason')}]")
            result.append(f"{expected.title}: {'; '.join(wrong)}")
    return result + [f"not in the table: {key}" for key in found]


def test_each_flow_is_judged_as_the_documents_say(site: tuple[str, list[str]]) -> None:
    name, arguments = site
    _, output = edgewarden("flows", "--format", "jsonl", *arguments)
    flows = [json.loads(line) for line in output.splitlines()]
    for (rule, position), count in several(name).items():
        taking_part = [f for f in flows if rule in f["edgewarden"]["rules"] and f["edgewarden"]["position"] == position]
        assert len(taking_part) == count
        for flow in taking_part:  # beside what each is by itself
            flow["edgewarden"]["rules"].remove(rule)
    wrong = differences(table(name), flows)
    assert not wrong, f"{len(wrong)} differences\n" + "\n".join(wrong)


def test_the_audit_counts_and_names_the_same(site: tuple[str, list[str]]) -> None:
    name, arguments = site
    expectations = table(name)
    status, output = edgewarden("audit", "--format", "json", *arguments)
    audit = json.loads(output)
    verdicts = collections.Counter(expected.verdict.replace("-", "_") for expected in expectations)
    assert {each: audit["totals"][each] for each in verdicts} == dict(verdicts)
    assert audit["totals"]["flows"] == len(expectations)
    assert (status, audit["verdict"]) == (1, "violations")
    paths = collections.Counter(
        expected.path for expected in expectations if expected.verdict == "allowed" and expected.path
    )
    assert {path["id"]: path["flows"] for path in audit["paths"] if path["flows"]} == dict(paths)
    for verdict, entries in (("violation", audit["findings"]), ("attempt", audit["attempts"])):
        told = collections.Counter(
            (rule, expected.position)
            for expected in expectations
            if expected.verdict == verdict
            for rule in expected.rules
        )
        if verdict == "violation":
            told.update(several(name))
        counted: collections.Counter[tuple[str, str]] = collections.Counter()
        for entry in entries:
            counted[entry["rule"], entry["position"]] += entry["flows"]
        assert counted == told, verdict


@pytest.mark.parametrize("name", SITES)
def test_clean_traffic_seen_in_part_gives_no_finding(name: str, tmp_path: Path) -> None:
    """Two sensors at each position: one caught the first three packets of each flow, the other all but those."""
    clean = [(expected, sent) for expected, sent in played(name) if expected.verdict == "allowed"]
    arguments, sensors = [], []
    for position in ("external", "internal"):
        for part, packets in (("first", slice(3)), ("rest", slice(3, None))):
            sensor = f"{position}-{part}"
            sensors.append(f"  - {{name: {sensor}, position: {position}}}\n")
            write([(expected, sent[packets]) for expected, sent in clean], position, tmp_path / f"{sensor}.pcap")
            arguments.append(f"{sensor}={tmp_path / sensor}.pcap")
    topology = tmp_path / "two.yaml"
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    before, key, after = text.partition("\nsensors:\n")
    topology.write_text(before + (key or "\nsensors:\n") + "".join(sensors) + after, encoding="utf-8")
    _, output = edgewarden("flows", "--format", "jsonl", "--topology", str(topology), *arguments)
    flows = [json.loads(line) for line in output.splitlines()]
    wrong = [(_key(flow), _said(flow)) for flow in flows if flow["edgewarden"]["verdict"] in ("violation", "attempt")]
    assert not wrong
    assert len(flows) > 40


def test_a_sensor_between_balancer_and_nodes_sees_the_nodes_addressed(tmp_path: Path) -> None:
    """What is a violation at the firewall is the balancer's own leg at a sensor that is declared to stand there."""
    nodes = {expected.key for expected in table("proseware") if expected.rules == ["hlb-node-direct-sip"]}
    legs = [(expected, sent) for expected, sent in played("proseware") if expected.key in nodes]
    topology = tmp_path / "behind.yaml"
    text = (FOLDER / "proseware.yaml").read_text(encoding="utf-8")
    topology.write_text(text + "sensors: [{name: behind, position: external, behind_lb: true}]\n", encoding="utf-8")
    write(legs, "external", tmp_path / "legs.pcap")
    for sensor, said in (
        ("behind", {("allowed", "ext-hlb-leg")}),
        ("external", {("violation", None), ("attempt", None)}),
    ):
        arguments = ["--topology", str(topology), f"{sensor}={tmp_path / 'legs.pcap'}"]
        _, output = edgewarden("flows", "--format", "jsonl", *arguments)
        flows = [json.loads(line)["edgewarden"] for line in output.splitlines()]
        assert {(flow["verdict"], flow.get("path")) for flow in flows} == said
