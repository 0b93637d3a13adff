"""Scenarios on the plans they were not written for: the row of the plan, its addresses, or left out with a reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.simulate.captures import simulate
from monitor.simulate.cast import Cast, NotCast
from monitor.simulate.plans import on_plan
from monitor.simulate.table import Scenario, sheets
from rules.endpoints import Endpoints
from rules.paths import derive
from rules.site_policy import RuleSeverity
from tests.topology.plans import contoso_as

SCENARIOS: dict[str, Scenario] = {each.id: each for sheet in sheets() for each in sheet.scenarios}


@pytest.mark.parametrize(
    ("plan", "scenario", "row", "destination"),
    [
        ("hlb", "remote-sign-in", "ext-hlb-access-client", "203.0.113.10"),
        ("hlb", "remote-media-udp", "ext-hlb-av-node-udp", "203.0.113.32"),
        ("hlb", "published-web", "ext-rp-https", "203.0.113.40"),
        ("single-ip", "remote-sign-in", "ext-sip1-access-client", "203.0.113.10"),
        ("single-ip", "remote-media-tcp", "ext-sip1-av-tcp-in", "203.0.113.11"),
        ("one-firewall", "remote-sign-in", "ext-access-client-sip", "203.0.113.10"),
    ],
)
def test_a_scenario_on_another_plan(plan: str, scenario: str, row: str, destination: str) -> None:
    cast = Cast(contoso_as(plan))
    there = on_plan(SCENARIOS[scenario], cast)
    assert there.expect.path == row
    assert str(cast.part(there.destination).outside[0]) == destination


def test_what_a_plan_changes_otherwise_is_left_out() -> None:
    with pytest.raises(NotCast, match="another on a single address or behind a balancer"):
        on_plan(SCENARIOS["scan-silent"], Cast(contoso_as("hlb")))


@pytest.mark.parametrize("plan", ["hlb", "single-ip", "one-firewall"])
def test_each_row_of_a_plan_is_played(plan: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """All rows that apply have a flow, but those that another row comes before on every flow."""
    topology = contoso_as(plan)
    sheet_paths = {
        on_plan(scenario, Cast(topology)).expect.path
        for scenario in SCENARIOS.values()
        if scenario.expect.verdict == "allowed" and playable(scenario, Cast(topology))
    }
    applying = {path.id for path in derive(topology, Endpoints(topology)) if path.applies}
    assert applying - sheet_paths == {"int-foreign-meeting-out"}


def playable(scenario: Scenario, cast: Cast) -> bool:
    try:
        on_plan(scenario, cast)
    except NotCast:
        return False
    conditions = cast.conditions()
    return all(conditions[need] for need in scenario.needs)


def test_a_site_that_changed_a_rule_is_not_told_the_shipped_verdict(tmp_path_factory: pytest.TempPathFactory) -> None:
    topology = contoso_as("one-firewall")
    policy = replace(topology.policy, rules=(RuleSeverity("sip-udp", "off"),))
    result = simulate(replace(topology, policy=policy), tmp_path_factory.mktemp("made"), True)
    assert "policy.rules sets sip-udp to off" in {why for _, why in result.skipped}
