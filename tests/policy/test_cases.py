"""Every row of the tables of flows is judged as it says: verdict, path, rules and those they silence."""

from __future__ import annotations

import re

import pytest

from tests.policy.cases import Case, cases, judged


def name(case: Case) -> str:
    return f"{case.of}-{'near' if case.near else 'is'}-{case.where}"


@pytest.mark.parametrize("case", [*cases("rules"), *cases("paths")], ids=name)
def test_judged_as_the_table_says(case: Case) -> None:
    verdict = judged(case)
    said = (verdict.verdict, verdict.path, list(verdict.rules), set(verdict.rules_silenced))
    assert said == (case.verdict, case.get("path"), case.rules, case.silenced), verdict.reason
    if "unproved" in case.row:
        assert list(verdict.unproved) == case.row["unproved"]


@pytest.mark.parametrize("case", cases("rules"), ids=name)
def test_a_row_stands_where_it_belongs(case: Case) -> None:
    assert (case.of in (*case.rules, *case.silenced)) is not case.near


@pytest.mark.parametrize("case", cases("paths"), ids=name)
def test_a_flow_stands_at_its_path(case: Case) -> None:
    assert (case.verdict == "allowed" and case.get("path") == case.of) is not case.near


def test_a_sentence_gives_an_end_the_role_that_the_fields_give_it() -> None:
    """Of an address with several roles, as on a single-IP plan: one of them, in both places."""
    told: set[str] = set()
    for case in [*cases("rules"), *cases("paths")]:
        verdict = judged(case)
        ends = [end for end in (verdict.source, verdict.destination) if end.component is not None]
        for hit in verdict.hits:
            for component in {end.component for end in ends if end.component is not None}:
                roles = {end.role for end in ends if end.component == component}
                said = set(re.findall(rf"(?<![\w.-]){re.escape(component)} \(([a-z0-9-]+)\)", hit.reason))
                assert said <= roles, f"{case.where}: {hit.reason}"
                told |= said
    assert {"edge-ext-av", "edge-xmpp-proxy", "cms-master"} <= told, "of addresses that have another role first"
