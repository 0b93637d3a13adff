"""`edgewarden settings` as a user sees it: what is written can be checked, faults are exit status 2, one a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.cli import main
from tests.house.captures import BROKEN, TOPOLOGY
from tests.settings.test_settings import LIVE


def test_from_nothing_to_settings_that_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["topology", "new", "--output", "topology.yaml"]) == 0
    assert main(["settings", "new", "--output", "edgewarden.yaml"]) == 0
    assert main(["settings", "check", "edgewarden.yaml"]) == 2  # a new topology names no interface
    assert "edgewarden.yaml:8:11: no sensor of topology.yaml names an interface" in capfd.readouterr().err
    (tmp_path / "topology.yaml").write_text(LIVE, encoding="utf-8")
    assert main(["settings", "check", "edgewarden.yaml"]) == 0
    out, err = capfd.readouterr()
    assert out == "Example: topology.yaml\nsensor outer (external): eth1\nedgewarden.yaml: no faults\n"
    assert err == ""


def test_faults_are_told_all_at_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "topology.yaml").write_text(LIVE, encoding="utf-8")
    file = tmp_path / "s.yaml"
    file.write_text(
        "edgewarden: 1\ntopology: topology.yaml\nalerts: [{min_severity: grave, syslog: {address: 'h:1'}}]\n",
        encoding="utf-8",
    )
    assert main(["settings", "check", str(file)]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    heading, *lines = err.splitlines()
    assert heading.endswith("the settings have 2 faults:")
    assert lines == [
        f"{file}:3:1: alerts: alerts are not built yet (leave the key out)",
        f'{file}:3:25: "grave" does not fit here (one of critical, high, medium, low, info)',
    ]


def test_no_file_is_a_mistake(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "check", str(tmp_path / "none.yaml")]) == 2
    assert "there is no such settings file" in capfd.readouterr().err


def test_odd_names_of_files_are_shown_harmless(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a\nb\x1b[31m"
    folder.mkdir()
    file = folder / "s.yaml"
    assert main(["settings", "check", str(file)]) == 2
    file.write_text("edgewarden: 1\ntopology: t.yaml\n", encoding="utf-8")
    assert main(["settings", "check", str(file)]) == 2
    (folder / "t.yaml").write_text(LIVE, encoding="utf-8")
    assert main(["settings", "check", str(file)]) == 0
    out, err = capfd.readouterr()
    assert len(err.splitlines()) == len(out.splitlines()) == 3
    assert "\x1b" not in out + err
    assert "a\\u{000a}b" in out


def test_the_schema_says_what_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "schema"]) == 0
    schema = json.loads(capfd.readouterr().out)
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["edgewarden", "topology"]
    assert "refused in this version" in schema["properties"]["reports"]["description"]
    assert "refused" not in schema["properties"]["topology"]["description"]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a topology that can be watched; no record can be met by chance."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("EDGEWARDEN_STORE", "sqlite:////nonexistent/of-the-environment.db")
    (tmp_path / "site").mkdir()
    text = Path(TOPOLOGY).read_text(encoding="utf-8")
    watched = "\nsensors: [{name: outer, position: external, interfaces: [eth1]}]\n"
    (tmp_path / "site" / "topology.yaml").write_text(text + watched, encoding="utf-8")
    return tmp_path / "site"


@pytest.mark.parametrize(
    ("key", "place"), [("store: sqlite:///r.db\n", "site/r.db"), ("", "state/edgewarden/record.db")]
)
def test_the_record_of_the_settings_is_written_and_asked(
    key: str, place: str, site: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """From any folder: a relative place starts at that of the settings. The environment comes second."""
    config = site / "s.yaml"
    config.write_text(f"edgewarden: 1\ntopology: topology.yaml\n{key}", encoding="utf-8")
    assert main(["findings", "--config", str(config)]) == 2
    assert f"{site.parent / place}: there is no record" in capfd.readouterr().err
    assert main(["audit", "--config", str(config), "--topology", TOPOLOGY, f"external={BROKEN['external']}"]) == 1
    assert (site.parent / place).is_file()
    capfd.readouterr()
    assert main(["findings", "--config", str(config)]) == 0
    assert "unlisted-path" in capfd.readouterr().out
    assert main(["store", "info", "--config", str(config)]) == 0
    assert str(site.parent / place) in capfd.readouterr().out


def test_a_record_is_named_once(site: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["findings", "--store", "sqlite:///x.db", "--config", "s.yaml"]) == 2
    assert "not allowed with" in capfd.readouterr().err


def test_faults_of_the_settings_keep_everything_from_being_written(
    site: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = site / "s.yaml"
    config.write_text("edgewarden: 1\ntopology: topology.yaml\nstore: sqlite:///r.db\nlisten: 9750\n", encoding="utf-8")
    assert main(["audit", "--config", str(config), "--topology", TOPOLOGY, f"external={BROKEN['external']}"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert f"{config}:4:9: " in err
    assert not (site / "r.db").exists()


def test_a_secret_open_to_everybody_is_a_warning(site: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config, key = site / "s.yaml", site / "es.key"
    config.write_text(
        "edgewarden: 1\ntopology: topology.yaml\nelasticsearch: {hosts: 'https://es', api_key_file: es.key}\n",
        encoding="utf-8",
    )
    key.write_text("s3cr3t\n", encoding="utf-8")
    for mode, told in ((0o644, True), (0o600, False)):
        key.chmod(mode)
        assert main(["settings", "check", str(config)]) == 0
        err = capfd.readouterr().err
        assert (f"chmod o-rw {key}" in err) is told
        assert "s3cr3t" not in err
