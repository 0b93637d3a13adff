"""The command line as a process: signals, pipes, messages, usage; what a script sees."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from monitor.cli import main
from tests.house.captures import BROKEN, CLEAN, PCAPS, ROOT, TOPOLOGY

EDGEWARDEN = [sys.executable, "-m", "monitor.cli"]


def default_interrupt() -> None:
    """A shell starts background jobs with SIGINT ignored, and that is inherited; these tests send it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(*arguments: str, **options: object) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("EDGEWARDEN_TOPOLOGY", None)
    return subprocess.Popen(
        [*EDGEWARDEN, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        preexec_fn=default_interrupt,
        **options,
    )  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_128_and_leaves_no_half_file(tmp_path: Path, number: signal.Signals) -> None:
    os.mkfifo(tmp_path / "fifo")
    target = tmp_path / "result.json"
    process = start(
        *("audit", "--topology", TOPOLOGY, "--format", "json", "--output", str(target)),
        *("--report", str(tmp_path / "report.html"), f"external={tmp_path / 'fifo'}"),
    )
    with open(tmp_path / "fifo", "wb") as fifo:
        fifo.write(Path(CLEAN["external"]).read_bytes()[:5000])
        fifo.flush()
        deadline = time.monotonic() + 20
        while not list(tmp_path.glob(".result.json.*")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(number)
        assert process.wait(timeout=20) == 128 + number
    assert os.listdir(tmp_path) == ["fifo"]
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()


def test_a_reader_that_leaves_ends_us_quietly() -> None:
    """Some 150 kB of rows, more than a pipe holds, so that writing fails."""
    process = start("flows", "--format", "jsonl", *CLEAN.values(), *BROKEN.values())
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(100)
    process.stdout.close()
    assert process.wait(timeout=60) == 128 + signal.SIGPIPE
    assert process.stderr.read() == b""


def test_standard_input_and_fifos_are_captures(tmp_path: Path) -> None:
    with open(CLEAN["external"], "rb") as capture:
        process = start("flows", "--format", "jsonl", "-", stdin=capture)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(out.splitlines()) == 45
    assert json.loads(out.splitlines()[0])["edgewarden"]["capture"] == "-"


def test_messages_as_json(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("not a capture, but long enough to be looked at")
    (tmp_path / "c.pcapng").write_bytes(Path(CLEAN["external"]).read_bytes())
    status = main(["flows", "--log-format", "json", str(tmp_path), str(tmp_path / "missing")])
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert status == 2
    assert {line["level"] for line in lines} == {"info", "error"}
    assert all(set(line) == {"time", "level", "message"} for line in lines)


@pytest.mark.parametrize("where", ["before", "behind"])
def test_quiet(tmp_path: Path, capfd: pytest.CaptureFixture[str], where: str) -> None:
    (tmp_path / "notes.txt").write_text("not a capture, but long enough to be looked at")
    (tmp_path / "c.pcapng").write_bytes(Path(CLEAN["external"]).read_bytes())
    words = ["--quiet", "flows", str(tmp_path)] if where == "before" else ["flows", "--quiet", str(tmp_path)]
    assert main(words) == 0
    assert capfd.readouterr().err == ""


def test_no_bar_and_no_colour_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["flows", CLEAN["external"], "/nonexistent"]) == 2
    assert "\x1b" not in capfd.readouterr().err


def test_version(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capfd.readouterr().out == "edgewarden 0.1.0\n"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["audit"],
        ["audit", "--fail-on", "bad", "external=x"],
        ["audit", "--from", "yesterday", "external=x"],
        ["audit", "--store", "x.db", "external=x"],
        ["audit", "--config", "c.yaml", "external=x"],
        ["findings", "--store", "sqlite:////nonexistent/record.db"],
        ["findings", "--rule", "no-such-rule"],
        ["findings", "--config", "c.yaml"],
        ["store", "info", "--store", "http://es01.contoso.net:9200"],
        ["audit", "--suggest", "s.yaml", "external=x"],
        ["audit", "--filter", "tcp prot 443", "external=" + CLEAN["external"]],
        ["flows", "--format", "xml", "x"],
        ["topology"],
        ["policy", "explain", "no-such-thing"],
        ["topology", "check", "/nonexistent.yaml"],
    ],
)
def test_mistakes_are_2_and_told(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err
    assert "Traceback" not in err


def test_audit_without_a_topology(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("EDGEWARDEN_TOPOLOGY", raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["audit", f"external={CLEAN['external']}"]) == 2
    assert "--topology" in capfd.readouterr().err
    (tmp_path / "topology.yaml").write_bytes(Path(TOPOLOGY).read_bytes())
    assert main(["audit", f"external={CLEAN['external']}"]) == 0


def test_audit_without_a_sensor_names_both_forms(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--topology", TOPOLOGY, CLEAN["external"]]) == 2
    err = capfd.readouterr().err
    assert "POSITION=CAPTURE" in err
    assert "NAME=CAPTURE" in err


def test_a_declared_sensor_gives_name_and_side(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "site.yaml"
    text = Path(TOPOLOGY).read_text(encoding="utf-8")
    site.write_text(text + "\nsensors: [{name: xf-out, position: external, side: outside}]\n", encoding="utf-8")
    assert main(["audit", "--topology", str(site), "--format", "json", CLEAN["external"]]) == 0
    [capture] = json.loads(capfd.readouterr().out)["captures"]
    assert (capture["sensor"], capture["position"], capture["side"]) == ("xf-out", "external", "outside")


def test_all_faults_of_a_topology_are_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("edgewarden: 1\norganisation: X\nproduct: lync-2014\nzones: {perimeter-ext: [10.0.0.0/33]}\n")
    assert main(["audit", "--topology", str(site), f"external={CLEAN['external']}"]) == 2
    err = capfd.readouterr().err
    for place in (f"{site}:2:1:", f"{site}:3:10:", f"{site}:4:"):
        assert place in err


def test_new_topologies_pass_their_own_check(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "new.yaml"
    assert main(["topology", "new", "--output", str(site)]) == 0
    assert main(["topology", "check", str(site)]) == 0
    assert "no faults" in capfd.readouterr().out


def test_policy_list(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "list", "--topology", TOPOLOGY, "--format", "json"]) == 0
    listing = json.loads(capfd.readouterr().out)
    assert {rule["state"] for rule in listing["rules"]} <= {"on", "off", "not-observable"}
    assert main(["policy", "list", "--topology", TOPOLOGY]) == 0
    text = capfd.readouterr().out
    for path in listing["paths"]:
        assert path["id"] in text
    for rule in listing["rules"]:
        assert rule["id"] in text


@pytest.mark.parametrize("name", ["audit", "flows", "findings"])
def test_schemas_are_printed(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", name]) == 0
    assert json.loads(capfd.readouterr().out)["$schema"].endswith("2020-12/schema")


def test_simulate_makes_captures_that_audit_clean(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--topology", TOPOLOGY, "--out", str(tmp_path / "made")]) == 0
    assert "clean-external.pcapng" in capfd.readouterr().out
    captures = [f"{p}={tmp_path / 'made' / f'clean-{p}.pcapng'}" for p in ("external", "internal")]
    assert main(["audit", "--topology", TOPOLOGY, *captures]) == 0


def test_output_that_cannot_be_written_is_4_and_a_wrong_target_2(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["flows", "--output", "/dev/full", CLEAN["external"]]) == 4
    assert main(["flows", "--output", str(PCAPS), CLEAN["external"]]) == 2
    err = capfd.readouterr().err
    assert err.count("cannot be written") == 2


def test_standard_output_that_is_full_is_4() -> None:
    with open("/dev/full", "wb") as full:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [*EDGEWARDEN, "flows", CLEAN["external"]], stdout=full, stderr=subprocess.PIPE, env=environment, check=False
        )
    assert done.returncode == 4
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", [["--version"], ["audit", "--help"], ["schema", "flows"], ["flows", CLEAN["external"]]]
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_cannot_be_told_is_4_for_every_result(words: list[str], unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*EDGEWARDEN, *words], stdout=full, stderr=subprocess.PIPE, env=environment, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (4, 1)
    closed = subprocess.run(
        ["/bin/sh", "-c", '"$@" >&-', "sh", *EDGEWARDEN, *words], capture_output=True, env=environment, check=False
    )
    assert (closed.returncode, closed.stderr.count(b"\n")) == (4, 1)


@pytest.mark.parametrize(("words", "status"), [(["nonsense"], 2), (["flows", "/nonexistent"], 2), (["--version"], 0)])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_messages_that_nobody_reads_change_no_status(words: list[str], status: int, unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*EDGEWARDEN, *words], stdout=subprocess.DEVNULL, stderr=full, env=environment, check=False
        )
    assert done.returncode == status


def test_a_file_as_result_needs_no_standard_output(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [*EDGEWARDEN, "flows", CLEAN["external"], "--output", str(tmp_path / "rows")]
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" >&-', "sh", *words], capture_output=True, env=environment, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "rows").stat().st_size > 1000


@pytest.mark.parametrize(
    "words",
    [
        ["flows", "a\nb\x1b[31m"],
        ["audit", "--topology", "a\nb\x1b[31m", "external=x"],
        ["audit", "--topology", TOPOLOGY, "a\nb\x1b[31m"],
        ["audit", "--from", "a\nb\x1b[31m", "external=x"],
        ["flows", CLEAN["external"], "--output", "a\nb\x1b[31m/c"],
        ["flows", "--a\nb\x1b[31m", "x"],
    ],
)
def test_what_was_typed_is_shown_harmless(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    err = capfd.readouterr().err
    assert "\x1b" not in err
    assert "a\\u{000a}b\\u{001b}[31m" in err
