"""The launcher makes workers that have no rights and can work all the same, and tells whom they become and why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.exit_status import OperatorMistake
from monitor.live import privileges
from monitor.live.launcher import choose_user, make_folders
from monitor.live.privileges import named_user
from tests.live.wire import wait_for

ROOT = Path(__file__).parents[2]
NOBODY = named_user("nobody")

LAUNCHED = """
import os, sys
from monitor.live.launcher import Signals, launch, wait
from monitor.cli.messages import Messages
from monitor.live.privileges import named_user
from monitor.live.ring import Ring, open_socket
signals = Signals()
opened = open_socket("far")
worker = launch(named_user("nobody"), [opened])
if worker == 0:
    from monitor.live.sensor import Stop
    stop = Stop()
    signals.release()
    import pyarrow, rules.load, decimal, encodings.idna
    ring = Ring("far", opened)
    [rights] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff")]
    print("up", rights, flush=True)
    while not stop.asked:
        pass
    signals.hold()
    sys.exit(7)
sys.exit(wait(worker, signals, Messages()))
"""


@pytest.mark.usefixtures("wire")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_the_worker_and_its_status_comes_back(number: signal.Signals) -> None:
    """The worker binds and maps the ring and imports its libraries although it has become nobody."""
    launcher = launched()
    launcher.send_signal(number)
    assert launcher.wait(20) == 7


@pytest.mark.usefixtures("wire")
def test_a_worker_that_is_killed_is_a_failure_of_ours() -> None:
    launcher = launched()
    os.kill(only_child(launcher.pid), signal.SIGKILL)
    _, told = launcher.communicate(timeout=20)
    assert launcher.returncode == 4
    assert b"the process that works on packets was killed by SIGKILL" in told


@pytest.mark.usefixtures("wire")
def test_a_worker_does_not_outlive_its_launcher() -> None:
    launcher = launched()
    worker = only_child(launcher.pid)
    launcher.kill()
    launcher.wait(20)
    wait_for(lambda: not Path(f"/proc/{worker}").exists() or "zombie" in Path(f"/proc/{worker}/status").read_text())


def launched() -> subprocess.Popen[bytes]:
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHED],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert launcher.stdout is not None
    assert launcher.stdout.readline() == b"up 0000000000000000\n"
    return launcher


def only_child(parent: int) -> int:
    [child] = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return int(child)


# --- whom workers become ---------------------------------------------------------------------------------------------


def test_missing_folders_are_made_for_the_user(place: Path) -> None:
    theirs = place / "theirs"
    record = theirs / "state" / "edgewarden" / "record.db"
    evidence = str(theirs / "evidence")
    assert choose_user("nobody", str(record), [evidence]) == (NOBODY, None)
    make_folders(NOBODY, [str(record.parent), evidence])
    for folder in (record.parent, record.parent.parent, Path(evidence)):
        assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (NOBODY.uid, 0o700)


def test_folders_that_are_missing_where_root_may_make_them(place: Path) -> None:
    record = place / "var" / "edgewarden" / "record.db"
    assert choose_user("nobody", str(record)) == (NOBODY, None)


def test_a_named_user_who_may_not_write(place: Path) -> None:
    with pytest.raises(OperatorMistake, match=f"chown nobody {place}, or name another place"):
        choose_user("nobody", str(place / "record.db"))


def test_a_folder_of_the_system_is_not_given_away() -> None:
    with pytest.raises(OperatorMistake, match=r"may not use /var/lib, .*: name a place that it can reach"):
        choose_user("nobody", "/var/lib/record.db")


def test_a_record_that_belongs_to_root(place: Path) -> None:
    os.chown(place, NOBODY.uid, NOBODY.gid)
    (place / "record.db").touch(0o600)
    with pytest.raises(OperatorMistake, match=f"chown nobody {place / 'record.db'}"):
        choose_user("nobody", str(place / "record.db"))


def test_a_place_that_the_user_cannot_reach(place: Path) -> None:
    """To give root's home away is no remedy."""
    home = place / "home"
    (home / "state").mkdir(parents=True)
    home.chmod(0o700)
    with pytest.raises(OperatorMistake, match=f"may not use {home}, where .*: name a place that it can reach"):
        choose_user("nobody", str(home / "state" / "record.db"))


def test_evidence_that_belongs_to_root(place: Path) -> None:
    os.chown(place, NOBODY.uid, NOBODY.gid)
    (place / "evidence").mkdir()
    with pytest.raises(OperatorMistake, match=r"chown nobody .*/evidence"):
        choose_user("nobody", str(place / "record.db"), [str(place / "evidence")])


def test_nobody_named_and_the_service_user_is_there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges, "SERVICE_USER", "nobody")
    user, warning = choose_user(None, str(place / "record.db"))
    assert user is None
    assert warning == f"user nobody may not use {place}: workers stay root, without any capability"
    os.chown(place, NOBODY.uid, NOBODY.gid)
    assert choose_user(None, str(place / "record.db")) == (NOBODY, None)


def test_nobody_named_and_no_service_user(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges, "SERVICE_USER", "nosuch")
    user, warning = choose_user(None, str(place / "record.db"))
    assert user is None
    assert warning is not None
    assert "useradd --system" in warning
