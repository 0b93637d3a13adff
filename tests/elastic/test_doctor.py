"""`edgewarden doctor` before a real cluster: does it answer, as whom, and what does it lack."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import main
from monitor.elastic import templates
from tests.elastic.servers import Server
from tests.house.captures import TOPOLOGY

Examined = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture
def examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Examined:
    """The checks by name, with settings that name this cluster, or what the environment names."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    watched = "\nsensors: [{name: outer, position: external, interfaces: [lo]}]\n"
    text = Path(TOPOLOGY).read_text(encoding="utf-8") + watched
    (tmp_path / "topology.yaml").write_text(text, encoding="utf-8")

    def run(cluster: str | None = None) -> dict[str, dict[str, Any]]:
        words = ["doctor", "--format", "json"]
        if cluster is not None:
            settings = f"edgewarden: 1\ntopology: topology.yaml\nstore: sqlite:///r.db\nelasticsearch: {{{cluster}}}\n"
            (tmp_path / "s.yaml").write_text(settings, encoding="utf-8")
            words += ["--config", "s.yaml"]
        capfd.readouterr()
        main(words)
        return {check["name"]: check for check in json.loads(capfd.readouterr().out)["checks"]}

    return run


def test_a_cluster_before_and_after_its_setup(
    plain: Server, examined: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This build of the server has no constant_keyword, as a trial told; what is missing is a warning."""
    monkeypatch.setenv("EDGEWARDEN_STORE", plain.url)
    client = plain.client()
    for name in templates.PATTERNS:
        client.options(ignore_status=404).indices.delete_index_template(name=name)
    client.close()
    checks = examined()
    assert checks["elasticsearch"]["state"] == "ok"
    assert "version 8.19.20" in checks["elasticsearch"]["text"]
    assert (checks["templates"]["state"], checks["templates"]["remedy"].split()[:3]) == (
        "warning",
        ["edgewarden", "elastic", "setup"],
    )
    assert "record" not in checks
    assert main(["elastic", "setup", "--store", plain.url, "--output", "/dev/null"]) == 0
    checks = examined()
    assert checks["templates"]["state"] == "ok"
    assert checks["type constant_keyword"]["state"] == "warning"


def test_who_we_are_is_asked_for(secured: Server, examined: Examined, tmp_path: Path) -> None:
    named = f"hosts: {secured.url}, ca_certs: {secured.facts['ca']}, username: reader, password_file: pw"
    password = tmp_path / "pw"
    password.write_text(secured.facts["reader"], encoding="utf-8")
    password.chmod(0o600)
    checks = examined(named)
    assert checks["elasticsearch"]["state"] == checks["secret"]["state"] == "ok"
    password.write_text("wr0ng", encoding="utf-8")
    checks = examined(named)
    assert checks["elasticsearch"]["state"] == "missing"
    assert "refuses the user name or the password" in checks["elasticsearch"]["text"]
    assert "wr0ng" not in json.dumps(checks)
    checks = examined(f"hosts: {secured.url}")
    assert checks["elasticsearch"]["state"] == "missing"
    assert "not trusted" in checks["elasticsearch"]["text"]


def test_nobody_answers(examined: Examined) -> None:
    """Port 9 of this machine: discard, which nothing serves."""
    check = examined("hosts: 'http://127.0.0.1:9'")["elasticsearch"]
    assert check["state"] == "missing"
    assert "connection refused" in check["text"]
    assert check["remedy"]
