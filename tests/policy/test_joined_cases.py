"""Rules over several flows find what the table says, in whatever order the flows come."""

from __future__ import annotations

import pytest

from tests.policy.joined_cases import JoinedCase, found, joined_cases, seen


def name(case: JoinedCase) -> str:
    return f"{case.of}-{'near' if case.near else 'trips'}-{case.where}"


@pytest.mark.parametrize("case", joined_cases(), ids=name)
def test_found_as_the_table_says(case: JoinedCase) -> None:
    assert (case.of in case.rules) is not case.near
    sights = seen(case)
    assert found(case, sights) == case.rules
    assert found(case, sights[::-1]) == case.rules
