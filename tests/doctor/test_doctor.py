"""`edgewarden doctor`: what is missing is said with its remedy, what is there is said too, and nothing is changed."""

from __future__ import annotations

import array
import fcntl
import json
import os
import socket
import struct
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor import doctor
from monitor.cli import main
from monitor.store.migrations import LATEST
from tests.house.captures import CLEAN, TOPOLOGY
from tests.live import wire as wires

Examined = Callable[..., dict[str, dict[str, Any]]]

SITE = (
    Path(TOPOLOGY).read_text(encoding="utf-8") + "\nsensors: [{name: outer, position: external, interfaces: [far]}]\n"
)


@pytest.fixture(scope="module", autouse=True)
def wire() -> Iterator[None]:
    """A namespace with the interfaces `near` and `far`."""
    with wires.namespace():
        yield


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the settings stand; nothing of this machine is met by chance."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("EDGEWARDEN_STORE", "EDGEWARDEN_TOPOLOGY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "topology.yaml").write_text(SITE, encoding="utf-8")
    return tmp_path


@pytest.fixture
def examined(site: Path, capfd: pytest.CaptureFixture[str]) -> Examined:
    """The checks by name, with settings that end in `more`; the exit status goes with them."""

    def run(more: str | None = None) -> dict[str, dict[str, Any]]:
        words = ["doctor", "--format", "json"]
        if more is not None:
            (site / "s.yaml").write_text(f"edgewarden: 1\ntopology: topology.yaml\n{more}", encoding="utf-8")
            words += ["--config", "s.yaml"]
        before = sorted(str(path) for path in site.rglob("*"))
        status = main(words)
        assert sorted(str(path) for path in site.rglob("*")) == before
        told = json.loads(capfd.readouterr().out)
        assert set(told) == {"schema", "checks"}
        checks = {check["name"]: check for check in told["checks"]}
        assert status == int(any(check["state"] == "missing" for check in checks.values()))
        assert all(check["text"] for check in checks.values())
        assert all(check["remedy"] for check in checks.values() if check["state"] != "ok")
        return checks

    return run


def switch_gro(interface: str, on: bool) -> None:
    """As `ethtool -K INTERFACE gro on|off` (ETHTOOL_SGRO, linux/ethtool.h)."""
    value = array.array("I", [0x2C, int(on)])
    request = struct.pack("16sP16x", interface.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        fcntl.ioctl(asking, 0x8946, request)


def test_a_machine_that_has_all(examined: Examined, site: Path) -> None:
    switch_gro("far", on=False)
    checks = examined("store: sqlite:///r.db\nevidence: {}\nreports: [{name: daily, every: day}]\n")
    for name in ("python", "core", "tshark", "libpcap", "time zones", "live", "settings", "interface far", "record"):
        assert checks[name]["state"] == "ok", checks[name]
    assert checks["record"]["text"] == f"{site}/r.db will be made"
    assert checks["evidence"]["text"] == f"{site}/evidence will be made"
    assert checks["report daily"]["state"] == "ok"


def test_the_text_has_a_line_for_each(examined: Examined, capfd: pytest.CaptureFixture[str]) -> None:
    checks = examined()
    status = main(["doctor"])
    lines = capfd.readouterr().out.splitlines()
    assert status == 0
    assert len(lines) == len(checks)
    for line, check in zip(lines, checks.values(), strict=True):
        assert line.startswith(check["state"])
        assert check["text"] in line
        assert check["remedy"] is None or check["remedy"] in line


def test_without_anything_it_warns(examined: Examined, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No topology, no tshark: work is possible, but less of it."""
    (site / "topology.yaml").unlink()
    monkeypatch.setenv("PATH", str(site))
    checks = examined()
    assert checks["topology"]["state"] == checks["tshark"]["state"] == "warning"
    assert "apt install tshark" in checks["tshark"]["remedy"]
    assert checks["record"]["text"] == f"{site}/state/edgewarden/record.db will be made"


def test_faults_are_counted_and_the_first_is_told(examined: Examined, site: Path) -> None:
    checks = examined("log: {level: loud}\nlisten: 1\n")
    assert checks["settings"]["state"] == "missing"
    assert checks["settings"]["text"].startswith("3 faults, the first: s.yaml:3:14: ")
    assert checks["settings"]["remedy"].startswith("edgewarden settings check s.yaml")
    assert "record" not in checks
    (site / "topology.yaml").write_text(SITE.replace("organization:", "organisation:"), encoding="utf-8")
    checks = examined()
    assert checks["topology"]["state"] == "missing"
    assert "2 faults, the first: topology.yaml:" in checks["topology"]["text"]
    assert main(["doctor", "--config", "none.yaml"]) == 1


def test_interfaces_are_looked_at(examined: Examined, site: Path) -> None:
    switch_gro("far", on=True)
    check = examined("")["interface far"]
    assert check["state"] == "warning"
    assert "GRO" in check["text"]
    assert check["remedy"] == "ethtool -K far gro off"
    switch_gro("far", on=False)

    wires.command("ip", "link", "set", "near", "down")
    assert examined("")["interface far"]["state"] == "warning"
    assert "no signal" in examined("")["interface far"]["text"]
    wires.command("ip", "link", "set", "far", "down")
    check = examined("")["interface far"]
    assert (check["state"], check["remedy"]) == ("missing", "ip link set far up")
    for interface in (wires.NEAR, wires.FAR):
        wires.command("ip", "link", "set", interface, "up")
    wires.wait_for(lambda: examined("")["interface far"]["state"] == "ok")

    for name in ("eth77", "a-name-of-20-letters"):
        (site / "topology.yaml").write_text(SITE.replace("[far]", f"[{name}]"), encoding="utf-8")
        check = examined("")[f"interface {name}"]
        assert check["state"] == "missing"
        assert "far, lo, near" in check["remedy"]


def test_a_user_that_is_not_there_comes_with_the_line_that_makes_it(examined: Examined) -> None:
    check = examined("store: sqlite:///r.db\nprivileges: {user: nobody-such}\n")["user"]
    assert check["state"] == "missing"
    assert "useradd --system" in check["remedy"]


def test_the_record_is_looked_at_and_left_alone(examined: Examined, site: Path) -> None:
    """Written by an audit, brought back to version 1 in its header, then by a newer edgewarden, then something else."""
    words = ["audit", "-q", "--store", "sqlite:///r.db", "--topology", TOPOLOGY, "--output", "/dev/null"]
    assert main([*words, f"external={CLEAN['external']}"]) == 0
    file = site / "r.db"
    assert examined("store: sqlite:///r.db\n")["record"]["text"] == f"{file}, version {LATEST}"
    data = file.read_bytes()
    for version, state, text in ((1, "ok", f"will become {LATEST}"), (LATEST + 1, "missing", "newer edgewarden")):
        file.write_bytes(data[:60] + version.to_bytes(4, "big") + data[64:])
        check = examined("store: sqlite:///r.db\n")["record"]
        assert check["state"] == state
        assert text in check["text"]
        assert file.read_bytes()[60:64] == version.to_bytes(4, "big")
    file.write_bytes(b"something else" * 100)
    assert examined("store: sqlite:///r.db\n")["record"]["state"] == "missing"


def test_a_folder_that_is_none_is_missing(examined: Examined, site: Path) -> None:
    (site / "file").write_text("x", encoding="utf-8")
    checks = examined("store: sqlite:///file/r.db\nevidence: {dir: file/x}\n")
    assert checks["record"]["state"] == checks["evidence"]["state"] == "missing"


def test_the_service_makes_folders_and_an_audit_does_not(
    examined: Examined, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert examined("store: sqlite:///none/r.db\n")["record"]["text"] == f"{site}/none/r.db will be made"
    monkeypatch.setenv("EDGEWARDEN_STORE", "sqlite:///none/r.db")
    assert examined()["record"]["remedy"] == f"mkdir -p {site}/none"


def test_a_disk_that_is_nearly_full_is_a_warning(examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", ("total", "used", "free"))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage(10 << 30, 9 << 30, 5 << 20))
    check = examined("store: sqlite:///r.db\n")["record"]
    assert check["state"] == "warning"
    assert "5 MiB are free" in check["text"]


def test_secrets_are_read_but_not_told(examined: Examined, site: Path) -> None:
    key = site / "es.key"
    settings = "elasticsearch: {hosts: 'https://127.0.0.1:9', ca_certs: none.pem, api_key_file: es.key}\n"
    checks = examined(settings)
    assert checks["secret"]["state"] == "missing"
    assert "cannot be read" in checks["secret"]["text"]
    assert checks["elasticsearch"]["state"] == "missing"
    key.write_text("s3cr3t\n", encoding="utf-8")
    for mode, state in ((0o600, "ok"), (0o644, "warning")):
        key.chmod(mode)
        checks = examined(settings)
        assert checks["secret"]["state"] == state
        assert "none.pem" in checks["elasticsearch"]["text"]
        assert "s3cr3t" not in json.dumps(checks)


def test_without_the_right_to_listen(site: Path) -> None:
    """As a user without capabilities, in a process of its own. With settings it is missing, without a warning."""
    (site / "s.yaml").write_text(
        "edgewarden: 1\ntopology: topology.yaml\nstore: sqlite:////tmp/r.db\n", encoding="utf-8"
    )
    assert doctor._live_sockets(required=True).state == "ok"
    child = os.fork()
    if child == 0:
        try:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            asked = [doctor._live_sockets(required=required) for required in (True, False)]
            told = [check.state for check in asked] == ["missing", "warning"] and all(check.remedy for check in asked)
            os._exit(0 if told else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
