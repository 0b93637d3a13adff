"""What CONTRIBUTING.md asks of a new protocol, path or rule, held against the tree, its lists against the manifests.

Exceptions are named with their reason, and a test fails when one is no longer needed, so that the lists only shrink.
"""

from __future__ import annotations

import json
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from parsers import SERVICES
from rules.catalogue import catalogue
from rules.endpoints import Endpoints
from rules.load import load
from rules.paths import derive
from rules.registry import registered

ROOT = Path(__file__).parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")

NAMED_SERVICES = SERVICES[2:]  # "" and "unknown" are no protocols

NO_SCENARIO = {
    "quic": "simulate has no QUIC endpoint; recognised in captures of others, tested beside the parser",
    "dtls": "simulate has no DTLS endpoint; recognised in captures of others, tested beside the parser",
}

NO_CLEAN_SCENARIO = {
    "int-foreign-meeting-out": "the same flows fit ext-foreign-meeting-out, which comes first",
}

_HLB_SITE = "contoso is not balanced by hardware; tests/policy/tables/rules/balancing.yaml has that site"
NO_BREAKING_SCENARIO = {
    "hlb-internal-vip-webconf": _HLB_SITE,
    "hlb-internal-vip-xmpp": _HLB_SITE,
    "hlb-internal-vip-mgmt": _HLB_SITE,
    "hlb-node-direct-sip": _HLB_SITE,
    "hlb-av-snat": _HLB_SITE,
    "federation-partner-not-allowed": "contoso admits partners that it does not list; tests/sites/northwind does not",
    "federation-disabled-5061": "contoso federates; an Edge pool of tests/sites/fourthcoffee does not",
    "client-on-federation-port": "silenced by mtls-client-cert-missing wherever that is on; tests/policy/tables/rules",
    "xmpp-unsupported-version": "contoso has XMPP; tests/policy/tables/rules/xmpp.yaml has a site of 2019",
    "cert-private-ca-edge-external": "contoso names no private authority; a site of tests/policy/tables/rules does",
    "reverse-proxy-host-rewritten": "a made proxy forwards what it was asked for; tests/policy/tables/rules",
    **{
        rule: "shown by several flows together; tests/policy/tables/joined.yaml"
        for rule, entry in registered().items()
        if not entry.single
    },
    "tls-weak": "contoso asks for TLS 1.0, and no library speaks less; tests/sites/northwind asks for 1.1",
}


@cache
def expected() -> list[tuple[str, dict[str, Any]]]:
    """(kind of capture, flow) of every expected flow of the shipped captures."""
    document = json.loads((ROOT / "pcaps" / "expected.json").read_text(encoding="utf-8"))
    return [(capture["kind"], flow) for capture in document["captures"].values() for flow in capture["flows"]]


def steps(title: str) -> str:
    match = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", CONTRIBUTING, re.DOTALL | re.MULTILINE)
    assert match is not None, title
    return match.group(1)


@pytest.mark.parametrize("title", ["Add a protocol", "Add a path", "Add a rule"])
def test_steps_are_numbered_and_name_what_exists(title: str) -> None:
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", steps(title), re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 5
    paths = re.findall(r"`([\w.-]+/[\w./-]+)`", steps(title))
    assert paths
    for path in paths:
        if "NAME" in path:
            path = str(Path(path).parent)
        assert (ROOT / path).exists(), path


def test_all_paths_of_the_page_exist() -> None:
    for path in re.findall(r"`((?:parsers|rules|reports|monitor|pcaps|tests|tools)/[\w./-]*)`", CONTRIBUTING):
        assert (ROOT / path.replace("NAME.rs", "")).exists(), path


@pytest.mark.parametrize("service", NAMED_SERVICES)
def test_each_service_has_a_scenario_a_look_alike_and_a_line(service: str) -> None:
    spoken = any(service in flow.get("services", ()) for kind, flow in expected() if kind != "lookalikes")
    assert spoken != (service in NO_SCENARIO)
    assert any(service in flow.get("never", ()) for kind, flow in expected() if kind == "lookalikes")
    assert re.search(rf"`{re.escape(service)}`", README)


def test_each_row_that_applies_has_a_clean_flow() -> None:
    topology = load(ROOT / "pcaps" / "contoso.yaml")
    applying = {path.id for path in derive(topology, Endpoints(topology)) if path.applies}
    shown = {flow["path"] for _, flow in expected() if flow["verdict"] == "allowed"}
    assert applying - shown == set(NO_CLEAN_SCENARIO)


def test_each_rule_has_a_flow_that_breaks_it() -> None:
    built = {entry.id for entry in catalogue() if entry.built}
    broken = {rule for _, flow in expected() for rule in flow["rules"]}
    assert built - broken == set(NO_BREAKING_SCENARIO)


def test_each_dependency_has_its_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    crate = tomllib.loads((ROOT / "parsers" / "Cargo.toml").read_text(encoding="utf-8"))
    named = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    wanted = {re.split(r"[<>=\[ ]", entry, maxsplit=1)[0] for entry in named}
    wanted |= set(crate["dependencies"]) | set(crate.get("dev-dependencies", {}))
    assert set(re.findall(r"^\| `([\w.-]+)` \|", steps("Dependencies"), re.MULTILINE)) == wanted


def test_each_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower().splitlines()
    pinned = {line.split("==")[0] for line in lines if "==" in line}
    named = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert {re.split(r"[<>=\[ ]", entry, maxsplit=1)[0].lower() for entry in named} <= pinned
