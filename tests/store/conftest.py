"""Records made by the program itself, in a folder of their own, and the questions asked of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from monitor.cli import main
from reports.schemas import schema
from tests.house.captures import TOPOLOGY

PUBLISHED = jsonschema.Draft202012Validator(schema("findings"))

Answer = tuple[int, dict[str, Any], str]
Audit = Callable[..., Answer]
Ask = Callable[..., Answer]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the record of a test is; no other can be met by chance."""
    monkeypatch.delenv("EDGEWARDEN_STORE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "record.db"


@pytest.fixture
def audit(path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Audit:
    """Audit into the record: status, result, what stood on standard error."""

    def run(*arguments: str, topology: str = TOPOLOGY, store: str | None = None) -> Answer:
        url = store if store is not None else f"sqlite:///{path}"
        status = main(["audit", "-q", "--store", url, "--topology", topology, "--format", "json", *arguments])
        out, err = capfdbinary.readouterr()
        return status, json.loads(out) if out else {}, err.decode()

    return run


@pytest.fixture
def ask(path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Ask:
    """`findings --format json`, held against the published schema."""

    def run(*arguments: str, store: str | None = None) -> Answer:
        url = store if store is not None else f"sqlite:///{path}"
        status = main(["findings", "--store", url, "--format", "json", *arguments])
        out, err = capfdbinary.readouterr()
        answer = json.loads(out) if out else {}
        if answer:
            PUBLISHED.validate(answer)
        return status, answer, err.decode()

    return run


def both(captures: dict[str, str]) -> list[str]:
    return [f"{position}={path}" for position, path in captures.items()]
