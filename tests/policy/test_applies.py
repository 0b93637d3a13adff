"""Which rows apply on each variant of a site and each product, against lists written from the documents.

Strategy: `applies/site.yaml` is one site with every feature on; each other file there replaces sections of it and
lists the rows, those of every product first and then what a product has beyond them. The lists were written from the
path document's tables and its list of variants before any code for the plans existed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from rules import names
from rules.endpoints import Endpoints
from rules.load import load
from rules.paths import derive

FOLDER = Path(__file__).parent / "applies"
VARIANTS = sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem != "site")


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe", pure=True).load(FOLDER / f"{name}.yaml")
    return document


def applying(variant: dict[str, Any], product: str, folder: Path) -> list[str]:
    site = {**read("site"), **variant["site"], "product": product}
    path = folder / "topology.yaml"
    YAML().dump(site, path)
    topology = load(path)
    return sorted(path.id for path in derive(topology, Endpoints(topology)) if path.applies)


@pytest.mark.parametrize("product", names.PRODUCTS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_rows_of_a_variant(variant: str, product: str, tmp_path: Path) -> None:
    written = read(variant)
    assert applying(written, product, tmp_path) == sorted(written["all"] + written[product])
