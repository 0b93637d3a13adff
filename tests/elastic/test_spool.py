"""Proves what `--store https://…` promises an audit: it is judged and kept whatever the cluster does, shipped before
the command ends or by the next one, and counted once, on whichever machine it is repeated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import main
from tests.elastic.conftest import Ask
from tests.elastic.servers import Proxy, Server
from tests.house.captures import BROKEN, TOPOLOGY

Run = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def audit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], namespace: str
) -> Run:
    """Audit into a store on a machine of a name: status, result, what stood on standard error."""
    monkeypatch.setenv("EDGEWARDEN_ELASTIC_NAMESPACE", namespace)

    def run(store: str, *captures: str, machine: str = "one") -> tuple[int, dict[str, Any], str]:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / machine))
        status = main(["audit", "-q", "--store", store, "--topology", TOPOLOGY, "--format", "json", *captures])
        out, err = capfdbinary.readouterr()
        return status, json.loads(out) if out else {}, err.decode()

    return run


EXTERNAL = f"external={BROKEN['external']}"
INTERNAL = f"internal={BROKEN['internal']}"


def test_what_was_audited_is_there_when_the_command_ends(plain: Server, audit: Run, ask: Ask, tmp_path: Path) -> None:
    status, result, err = audit(plain.url, EXTERNAL)
    assert (status, err) == (1, "")
    audit(f"sqlite:///{tmp_path}/record.db", EXTERNAL)
    found = ask(plain.url)
    assert found == ask(f"{tmp_path}/record.db")
    assert [finding["id"] for finding in found["findings"]] == [finding["id"] for finding in result["findings"]]


def test_a_capture_counts_once_on_whichever_machine(plain: Server, audit: Run, ask: Ask) -> None:
    audit(plain.url, EXTERNAL)
    before = ask(plain.url)
    for machine in ("one", "two"):  # the second knows nothing but what the cluster says
        status, result, err = audit(plain.url, EXTERNAL, machine=machine)
        assert status == 1
        assert result["findings"]
        assert "was recorded before: the same capture counts once" in err
        assert ask(plain.url) == before


def test_a_cluster_that_is_away_costs_the_shipping_alone(proxy: Proxy, audit: Run, ask: Ask, tmp_path: Path) -> None:
    proxy.before = lambda request: True
    status, result, err = audit(proxy.url, EXTERNAL)
    assert status == 4
    assert result["verdict"] == "violations"
    assert "does not answer" in err
    [kept] = (tmp_path / "one" / "edgewarden").glob("spool-*.db")
    assert f"what was recorded stays in {kept}" in err
    proxy.before = lambda request: False
    assert audit(proxy.url, INTERNAL)[0] == 1
    for capture in (EXTERNAL, INTERNAL):
        audit(f"sqlite:///{tmp_path}/record.db", capture)
    assert ask(proxy.url) == ask(f"{tmp_path}/record.db")


def test_the_environment_names_the_cluster(
    plain: Server, audit: Run, ask: Ask, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    audit(plain.url, EXTERNAL)
    monkeypatch.setenv("EDGEWARDEN_STORE", plain.url)
    assert main(["findings", "--format", "json"]) == 0
    assert json.loads(capfdbinary.readouterr().out) == ask(plain.url)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://es01.contoso.net:9200", "plain HTTP is for this machine alone"),
        ("https://elastic:secret@es01.contoso.net", "a name or password in a URL is seen by others"),
        ("https://", "names no cluster"),
        ("https://es01.contoso.net:99999", "is no URL"),
        ("https://es01.contoso.net/?a=b", "names no cluster"),
    ],
)
def test_urls_that_are_none(audit: Run, url: str, sentence: str) -> None:
    status, _, err = audit(url, EXTERNAL)
    assert status == 2
    assert sentence in err
    assert "secret" not in err
