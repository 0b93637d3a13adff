"""docs/policy.md is what the tables say, whole, and each id can be explained with its remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reports.policy_document import policy_document
from rules.catalogue import ORDER, catalogue
from rules.explain import policy_explain
from rules.remedies import MEANINGS, REMEDIES
from rules.rows import Row, table
from rules.sources import titles

ROOT = Path(__file__).parents[2]
PAGE = policy_document()


def test_the_page_is_not_stale() -> None:
    shipped = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
    assert shipped == PAGE, "a path or rule has changed: run .venv/bin/python tools/policy_document.py"


def test_every_rule_has_a_remedy_and_a_meaning() -> None:
    assert tuple(REMEDIES) == ORDER
    assert {entry.id for entry in catalogue() if entry.rule is None} == set(MEANINGS)
    for text in (*REMEDIES.values(), *MEANINGS.values()):
        assert re.fullmatch(r"[A-Z`].*[^.]\.", text), text


def test_every_document_cited_has_a_title() -> None:
    cited = {code for entry in catalogue() for code in entry.sources}
    assert {code for code in cited if not code.startswith("RFC ")} <= set(titles())


def test_links_within_the_page_lead_somewhere() -> None:
    headings = {re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in PAGE.splitlines()}
    links = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    assert len(links) >= len(ORDER)
    assert links <= headings


@pytest.mark.parametrize("wanted", ORDER)
def test_a_rule_is_there_with_all_that_is_known(wanted: str) -> None:
    section = PAGE.split(f"### `{wanted}`\n", 1)[1].split("\n### ", 1)[0]
    assert REMEDIES[wanted] in section
    assert REMEDIES[wanted].split()[0] in policy_explain(wanted).split("remedy:")[1]


@pytest.mark.parametrize("row", table().rows, ids=lambda row: row.id)
def test_a_path_is_there_with_products_and_documents(row: Row) -> None:
    section = PAGE.split(f"#### `{row.id}`\n", 1)[1].split("\n#### ", 1)[0]
    assert "- with " in section
    for code in row.documents:
        assert f"- `{code}`: " in section


def test_a_path_with_variants_as_the_port_tables_have_it() -> None:
    """The sign-in row of the port summary for one address for each service, and what takes its place elsewhere."""
    section = PAGE.split("#### `ext-access-client-sip`\n", 1)[1].split("\n#### ", 1)[0]
    assert "- `external` → `edge-ext-access`: tcp `access.port`, tls, opened by: client" in section
    assert "- ext-sip1-access-client takes its place in the single-address plan" in section
    assert "- ext-hlb-access-client takes its place in the hardware-balanced plan" in section
    told = policy_explain("ext-access-client-sip")
    assert "ext-hlb-access-client takes its place in the hardware-balanced plan" in " ".join(told.split())
