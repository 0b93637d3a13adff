"""Every row of the tables of flows is judged as it says: verdict, path, rules and those they silence."""

from __future__ import annotations

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
