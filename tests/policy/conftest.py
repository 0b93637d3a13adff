"""The worked example's site, derived once for all tests of the policy."""

from __future__ import annotations

import pytest

from tests.policy.flows import Bench, contoso


@pytest.fixture(scope="session")
def site() -> Bench:
    return Bench(contoso())
