"""The record as a file: where it is looked for, what is refused untouched, what another process may do meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from monitor.cli import main
from monitor.exit_status import OperatorMistake
from monitor.store import location, sqlite, trouble
from monitor.store.migrations import LATEST, MIGRATIONS
from tests.house.captures import BROKEN, CLEAN, ROOT, TOPOLOGY
from tests.store.conftest import Ask, Audit, both


def contents(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir()) if path.is_file()
    }


def plain(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///x.db", "{here}/x.db"),
        ("sqlite:///a b/%20?x#y.db", "{here}/a b/%20?x#y.db"),
        ("sqlite:////srv/x.db", "/srv/x.db"),
        ("sqlite:///", "{state}/edgewarden/record.db"),
    ],
)
def test_urls(url: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", "/var/state")
    assert location.path_of(url) == path.format(here=tmp_path, state="/var/state")


@pytest.mark.parametrize("url", ["x.db", "sqlite:x.db", "sqlite://host/x.db", "postgres:///x", "", "sqlite:///a\0b"])
def test_what_names_no_record(url: str) -> None:
    with pytest.raises(OperatorMistake):
        location.path_of(url)


def test_lookup_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWARDEN_STORE", "sqlite:////env.db")
    assert location.named_path("sqlite:////option.db") == "/option.db"
    assert location.named_path(None) == "/env.db"
    monkeypatch.setenv("EDGEWARDEN_STORE", "")
    assert location.named_path(None) is None
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert location.default_path() == f"{tmp_path}/.local/state/edgewarden/record.db"


def test_an_audit_writes_only_where_it_was_told(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    main(["audit", "--topology", TOPOLOGY, f"external={CLEAN['external']}"])
    assert not list(path.parent.iterdir())


def test_the_default_record(path: Path, audit: Audit) -> None:
    assert audit(f"external={CLEAN['external']}", store="sqlite:///")[0] == 0
    assert (path.parent / "state" / "edgewarden" / "record.db").exists()
    assert main(["findings"]) == 0
    assert main(["store", "info"]) == 0


def test_a_missing_record_is_a_mistake_and_is_not_made(path: Path, ask: Ask) -> None:
    status, answer, err = ask()
    assert (status, answer) == (2, {})
    assert str(path) in err
    assert main(["store", "info", "--store", f"sqlite:///{path}"]) == 2
    assert not list(path.parent.iterdir())


def sqlite_of_others(path: Path, *, wal: bool) -> None:
    connection = plain(path)
    if wal:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.execute("INSERT INTO bookmarks VALUES ('https://contoso.com/')")
    connection.close()


@pytest.mark.parametrize("kind", ["text", "short", "capture", "sqlite", "wal", "folder", "damaged"])
def test_what_is_no_record_is_refused_untouched(kind: str, path: Path, audit: Audit, ask: Ask) -> None:
    if kind == "text":
        path.write_text("10:00 rang the operator\n" * 50)
    elif kind == "short":
        path.write_bytes(b"SQLite format 3\0")
    elif kind == "capture":
        path.write_bytes(Path(CLEAN["external"]).read_bytes())
    elif kind in ("sqlite", "wal"):
        sqlite_of_others(path, wal=kind == "wal")
    elif kind == "folder":
        path.mkdir()
    else:
        audit(f"external={CLEAN['external']}")
        data = path.read_bytes()
        path.write_bytes(data[:100] + b"\xff" * 4000 + data[4100:])
    before = contents(path.parent)
    status, answer, err = ask()
    assert (status, answer) == (2, {})
    assert str(path) in err
    status, result, err = audit(f"external={CLEAN['external']}")
    assert (status, result) == (2, {})
    assert "Traceback" not in err
    if kind != "damaged":  # only opening shows the damage, which may leave an index beside the file
        assert contents(path.parent) == before
    assert path.is_dir() or hashlib.sha256(path.read_bytes()).hexdigest() == before[path.name]


def test_a_newer_record_is_refused_untouched(path: Path, audit: Audit, ask: Ask) -> None:
    audit(*both(BROKEN))
    connection = plain(path)
    connection.execute(f"PRAGMA user_version = {LATEST + 1}")
    connection.close()
    before = contents(path.parent)
    for status, answer, err in (ask(), audit(f"external={CLEAN['external']}")):
        assert (status, answer) == (2, {})
        assert f"version {LATEST + 1}" in err
    assert contents(path.parent) == before


def test_a_newer_version_that_stands_in_the_log_only(path: Path, audit: Audit, ask: Ask) -> None:
    """As a newer program leaves it that was killed: the header still says the old version."""
    audit(f"external={CLEAN['external']}")
    writer = plain(path)
    writer.execute(f"PRAGMA user_version = {LATEST + 1}")
    assert int.from_bytes(path.read_bytes()[60:64], "big") == LATEST
    assert ask()[0] == 2
    assert audit(f"external={CLEAN['external']}")[0] == 2
    writer.close()


@pytest.mark.parametrize("number", range(LATEST))
def test_migrations_from_each_version(number: int, path: Path, audit: Audit, ask: Ask) -> None:
    """A record of each earlier version, with a row in it that must be there afterwards."""
    connection = plain(path)
    connection.execute("PRAGMA journal_mode = WAL")
    steps = MIGRATIONS[:number]
    if steps:
        connection.execute("CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT, applied TEXT)")
        connection.execute(f"PRAGMA application_id = {0x45444757}")
    for step in steps:
        for statement in step.statements:
            connection.execute(statement)
        connection.execute("INSERT INTO migrations VALUES (?, ?, 'then')", (step.number, step.name))
        connection.execute(f"PRAGMA user_version = {step.number}")
    if steps:
        connection.execute(
            "INSERT INTO runs (id, kind, recorded, version, organization, topology, policy, verdict, why) "
            "VALUES (7, 'audit', 1, '0', 'Contoso', 't', 'p', 'inconclusive', 'why')"
        )
    connection.close()
    assert ask()[0] == (0 if number else 2)
    _, result, _ = audit(*both(BROKEN))
    assert ask()[1]["findings"] == result["findings"]
    connection = plain(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (LATEST,)
    applied = connection.execute("SELECT number, name FROM migrations ORDER BY number").fetchall()
    assert applied == [(step.number, step.name) for step in MIGRATIONS]
    if steps:
        assert connection.execute("SELECT why FROM runs WHERE id = 7").fetchone() == ("why",)
    connection.close()


def test_steps_are_numbered_without_a_gap() -> None:
    assert [step.number for step in MIGRATIONS] == list(range(1, LATEST + 1))


def test_a_step_that_fails_leaves_the_version_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from monitor.store import migrations

    broken = migrations.Migration(LATEST + 1, "breaks", ("CREATE TABLE half (x)", "CREATE TABLE half (x)"))
    monkeypatch.setattr(migrations, "MIGRATIONS", (*MIGRATIONS, broken))
    connection = plain(path)
    with pytest.raises(sqlite3.OperationalError):
        migrations.migrate(connection)
    assert connection.execute("PRAGMA user_version").fetchone() == (LATEST,)
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
    connection.close()


def test_audits_at_the_same_time_count_each_capture_once(path: Path, ask: Ask, audit: Audit, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "monitor.cli", "audit", "-q", "--topology", TOPOLOGY]
    processes = [
        subprocess.Popen(
            [*command, "--store", f"sqlite:///{path}", *both(BROKEN)], stdout=subprocess.DEVNULL, env=environment
        )
        for _ in range(3)
    ]
    assert [process.wait(timeout=120) for process in processes] == [1, 1, 1]
    _, result, _ = audit(*both(BROKEN), store=f"sqlite:///{tmp_path / 'alone.db'}")
    assert ask()[1]["findings"] == result["findings"]


def test_a_record_that_stays_locked_is_told(
    path: Path, audit: Audit, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit(f"external={CLEAN['external']}")
    monkeypatch.setattr(trouble, "PATIENCE", 0.5)
    holder = plain(path)
    holder.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    status, result, err = audit(*both(BROKEN))
    assert time.monotonic() - began >= 0.5
    assert status == 4
    assert result["verdict"] == "violations", "the result is printed all the same"
    assert "locked" in err
    assert ask()[0] == 0, "reading needs no lock"
    holder.execute("ROLLBACK")
    holder.close()


def test_a_record_that_is_locked_for_a_moment_is_waited_for(path: Path, audit: Audit, ask: Ask) -> None:
    audit(f"external={CLEAN['external']}")
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    release = threading.Timer(3.0, holder.execute, ["ROLLBACK"])
    release.start()
    try:
        assert audit(*both(BROKEN))[0] == 1
    finally:
        release.join()
        holder.close()
    assert ask()[1]["findings"]


def test_a_signal_ends_the_wait_for_a_locked_record(path: Path, audit: Audit, ask: Ask) -> None:
    audit(f"external={CLEAN['external']}")
    holder = plain(path)
    holder.execute("BEGIN IMMEDIATE")
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor.cli", "audit", "-q", "--topology", TOPOLOGY, *both(BROKEN)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "EDGEWARDEN_STORE": f"sqlite:///{path}"},
        stdout=subprocess.PIPE,
    )
    with pytest.raises(subprocess.TimeoutExpired):  # it judges, then waits
        process.wait(timeout=6)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 128 + signal.SIGTERM
    assert process.stdout is not None
    assert process.stdout.read() == b""
    holder.execute("ROLLBACK")
    holder.close()
    assert ask()[1]["findings"] == []


def test_the_environment_names_the_record(path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWARDEN_STORE", f"sqlite:///{path}")
    assert main(["audit", "-q", "--topology", TOPOLOGY, "--output", f"{path}.txt", *both(BROKEN)]) == 1
    assert main(["findings", "--output", f"{path}.txt"]) == 0
    assert f"[{ask()[1]['findings'][0]['id']}]" in Path(f"{path}.txt").read_text(encoding="utf-8")


def test_a_full_disk_leaves_the_record_as_it_was(
    path: Path, audit: Audit, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file may not grow: SQLite then fails as on a full disk, in the middle of the transaction."""
    audit(f"external={CLEAN['external']}")
    _, before, _ = ask()
    connect = sqlite._connect

    def small(path: str, mode: str) -> sqlite3.Connection:
        connection = connect(path, mode)
        connection.execute("PRAGMA max_page_count = 30")
        return connection

    monkeypatch.setattr(sqlite, "_connect", small)
    status, result, err = audit(*both(BROKEN))
    assert (status, result["verdict"]) == (4, "violations")
    assert "the disk is full" in err
    monkeypatch.undo()
    assert ask(store=f"sqlite:///{path}")[1] == before


KILLED = """
import os, signal, sys
from monitor.cli import main
from monitor.store.writing import Record

original = Record._insert_finding
left = [int(sys.argv[1])]

def insert(self, run, delta):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    original(self, run, delta)

Record._insert_finding = insert
main(sys.argv[2:])
"""


@pytest.mark.parametrize("inserted", [1, 5])
@pytest.mark.parametrize("existing", [True, False])
def test_a_killed_audit_leaves_a_whole_record(
    inserted: int, existing: bool, path: Path, audit: Audit, ask: Ask, tmp_path: Path
) -> None:
    if existing:
        audit(f"internal={BROKEN['internal']}")
    before = ask()[1] if existing else {"schema": 1, "findings": [], "attempts": []}
    words = ["audit", "-q", "--topology", TOPOLOGY, "--store", f"sqlite:///{path}", f"external={BROKEN['external']}"]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(inserted), *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert ask()[1] == before
    connection = plain(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    status, result, err = audit(f"external={BROKEN['external']}")
    assert (status, err) == (1, "")
    known = {finding["id"] for finding in ask()[1]["findings"]}
    assert {finding["id"] for finding in result["findings"]} <= known


def test_a_record_killed_before_its_first_step_is_begun_anew(path: Path, audit: Audit, ask: Ask) -> None:
    connection = plain(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    assert ask()[0] == 2
    assert audit(*both(BROKEN))[0] == 1
    assert ask()[0] == 0
    path.write_bytes(b"")
    assert ask()[0] == 2
    assert audit(*both(BROKEN))[0] == 1
    assert ask()[1]["findings"]


def test_hostile_names_are_shown_and_kept_harmless(
    path: Path, audit: Audit, ask: Ask, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    name = b"a'); DROP TABLE runs;--\x1b[31m\xff\n.pcapng"
    folder = os.fsencode(tmp_path / "hostile")
    os.mkdir(folder)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(Path(BROKEN["internal"]).read_bytes())
    audit(f"internal={os.fsdecode(folder)}")
    status, answer, _ = ask()
    assert status == 0
    shown = {sample["capture"] for finding in answer["findings"] for sample in finding["samples"]}
    assert shown == {f"{tmp_path}/hostile/a'); DROP TABLE runs;--\\u{{001b}}[31m\\xff\\u{{000a}}.pcapng"}
    assert main(["findings", "--store", f"sqlite:///{path}"]) == 0
    out = capfdbinary.readouterr().out
    assert b"\x1b" not in out
    assert b"\xff" not in out
    assert ask("--component", "x' OR '1'='1")[1]["findings"] == []
    assert ask("--sensor", "x' OR '1'='1")[1]["findings"] == []


def test_a_record_may_have_any_name(audit: Audit, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (":memory:", "a b?mode=ro#x.db", "50%25.db", "ä\u202e.db"):
        assert audit(f"external={CLEAN['external']}", store=f"sqlite:///{name}")[0] == 0
        assert (tmp_path / name).stat().st_size > 4096
        assert ask(store=f"sqlite:///{name}")[0] == 0


def test_the_folder_must_be_there(path: Path, audit: Audit) -> None:
    status, result, err = audit(f"external={CLEAN['external']}", store=f"sqlite:///{path.parent / 'none' / 'r.db'}")
    assert (status, result) == (2, {})
    assert "is no folder" in err
    assert not list(path.parent.iterdir())


def test_a_place_that_no_file_can_have_is_told_as_what_it_is(path: Path, audit: Audit) -> None:
    (path.parent / "file").write_bytes(b"x")
    for place, reason in ((path.parent / "file" / "r.db", "Not a directory"), (path.parent / ("x" * 300), "too long")):
        status, result, err = audit(f"external={CLEAN['external']}", store=f"sqlite:///{place}")
        assert (status, result) == (2, {})
        assert str(place) in err
        assert reason in err


def test_info_counts(path: Path, audit: Audit, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    _, broken, _ = audit(*both(BROKEN))
    _, clean, _ = audit(*both(CLEAN))
    assert main(["store", "info", "--store", f"sqlite:///{path}"]) == 0
    out = capfdbinary.readouterr().out.decode()
    flows = broken["totals"]["flows"] + clean["totals"]["flows"]
    for line in (str(path), "Audits:    2", "Captures:  4", f"Flows:     {flows}", f"Version:   {LATEST}"):
        assert line in out
    packets = {"external": 0, "internal": 0}
    for capture in (*broken["captures"], *clean["captures"]):
        packets[capture["position"]] += capture["packets"]
    for position, count in packets.items():
        assert [position, position, f"{count:,}"] in [line.split()[:3] for line in out.splitlines()]


def test_rows_say_what_the_captures_were(path: Path, audit: Audit) -> None:
    _, result, _ = audit(*both(BROKEN))
    with sqlite.reading(str(path)) as connection:
        rows = connection.execute(
            "SELECT c.sha256, c.size, v.packets, v.bytes, v.accounting, v.quality FROM captures AS c "
            "JOIN coverage AS v ON v.capture = c.id ORDER BY c.id"
        ).fetchall()
    for row, capture in zip(rows, result["captures"], strict=True):
        assert row[:4] == tuple(capture[name] for name in ("sha256", "size", "packets", "bytes"))
        accounting, quality = json.loads(row[4]), json.loads(row[5])
        assert {name: accounting.get(name, 0) for name in capture["accounting"]} == capture["accounting"]
        assert {name: quality.get(name, 0) for name in capture["quality"]} == capture["quality"]


def test_a_second_look_in_this_process_keeps_the_log_from_others(tmp_path: Path) -> None:
    """sqlite.org/howtocorrupt.html, 2.2: a descriptor closed here drops our locks, and the next process to leave would
    take itself for the last and remove the log we write to."""
    path = str(tmp_path / "record.db")
    insert = "INSERT INTO wordings (text) VALUES (?)"
    asks = "c = sqlite3.connect(sys.argv[1]); print(c.execute('SELECT text FROM wordings').fetchall()); c.close()"
    other = [sys.executable, "-c", f"import sqlite3, sys; {asks}", path]
    with closing(sqlite.open_record(path, writing=True)) as record:
        record.connection.execute(insert, ("one",))
        with sqlite.reading(path):
            pass
        assert sqlite.held_version(path) == LATEST
        assert subprocess.run(other, capture_output=True, text=True, check=True).stdout == "[('one',)]\n"
        record.connection.execute(insert, ("two",))
        assert subprocess.run(other, capture_output=True, text=True, check=True).stdout == "[('one',), ('two',)]\n"
    with sqlite.reading(path) as connection:
        assert connection.execute("SELECT count(*) FROM wordings").fetchone() == (2,)
