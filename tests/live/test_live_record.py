"""What a live session leaves in the record: when it is killed, beside other writers, when the disk is full; and that
losses have names and add up."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.cli import main
from monitor.exit_status import OutputFailure
from monitor.live.ring import KernelCounters
from monitor.live.watermark import Watermark, lives, settle
from monitor.store.questions import Filter, listing
from monitor.store.spans import DOWN, KILLED, STOPPED, spans
from monitor.store.sqlite import open_record, reading
from tests.house.captures import BROKEN, CLEAN, ROOT, TOPOLOGY, addresses, all_packets
from tests.live.blocks import block
from tests.live.test_live_session import CAPTURES, SECOND, check, offline, play, session, stated, sums

INTERNAL = BROKEN["internal"]


def test_a_killed_session_keeps_what_it_had_recorded_and_its_loss_has_a_number(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    record = tmp_path / "record.db"
    command = [sys.executable, "-m", "tests.live.session_to_kill", str(record), INTERNAL, "300", "420"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"fed\n"
        main(["store", "info", "--store", f"sqlite:///{record}"])
        assert b"Not watched" not in capfdbinary.readouterr().out, "it lives"
        process.send_signal(signal.SIGKILL)
    main(["store", "info", "--store", f"sqlite:///{record}"])
    assert KILLED.encode() in capfdbinary.readouterr().out
    packets = all_packets(INTERNAL)
    with reading(str(record)) as connection:
        found = listing(connection, Filter())["findings"]
        [before] = spans(connection)
    assert [f for f in found if f["position"] != "config"]
    assert (before.packets, before.lost["kernel"], before.lost["interrupted"]) == (300, 7, 0)
    assert before.open is not None

    later = packets[-1].time + 100 * SECOND
    moved = [type(p)(p.time + 200 * SECOND, p.link_type, p.length, p.data) for p in packets]
    live = session(record, "internal", moved)
    with reading(str(record)) as connection:
        [watched] = spans(connection)
    assert (watched.packets, watched.lost["interrupted"]) == (300, 120), "420 were read, 300 recorded"
    play(live, moved, [])
    with reading(str(record)) as connection:
        [watched] = spans(connection)
    assert [gap.why for gap in watched.gaps] == [KILLED]
    assert watched.gaps[0].first == packets[299].time + 10 * SECOND
    assert watched.gaps[0].last == moved[0].time - SECOND < later
    assert watched.packets == 300 + len(packets)
    assert not list(tmp_path.glob("*-live-*"))


def test_losses_add_up(tmp_path: Path) -> None:
    """received = packets + queue; on the wire = received + kernel + nic (contract 2.5)."""
    record = tmp_path / "record.db"
    packets = all_packets(INTERNAL)
    live = session(record, "internal", packets, ("eth1", "eth2"))
    live.feed(0, block(packets[0:200:2]))
    live.feed(1, block(packets[1:200:2]))
    live.tick(packets[199].time, [KernelCounters(100, 3, 2), KernelCounters(100, 0, 0)])
    live.tick(packets[199].time + 10 * SECOND, [KernelCounters(100, 4, 2), KernelCounters(100, 1, 0)])
    live.close(packets[199].time + 11 * SECOND, [KernelCounters(120, 4, 2), KernelCounters(105, 1, 9)])
    with reading(str(record)) as connection:
        [watched] = spans(connection)
        [sides] = connection.execute("SELECT interfaces, kind, position FROM runs").fetchall()
    assert watched.packets == 200 == sum(watched.accounting.values())
    assert watched.lost == {"kernel": 5, "nic": 11, "queue": 25, "interrupted": 0}
    assert (json.loads(sides[0]), *sides[1:]) == (["eth1", "eth2"], "sensor", "internal")
    assert live.loss == (5 + 11 + 25) / (200 + 5 + 11 + 25)


def test_gaps_have_reasons(tmp_path: Path) -> None:
    record = tmp_path / "record.db"
    packets = all_packets(INTERNAL)[:10]
    start = packets[0].time
    live = session(record, "internal", packets)  # from a second before the first packet
    live.tick(start + 9 * SECOND, [KernelCounters()])
    live.tick(start + 19 * SECOND, [KernelCounters(down=4 * SECOND)])
    live.close(start + 20 * SECOND, [KernelCounters(down=4 * SECOND)])
    moved = [type(p)(p.time + 60 * SECOND, p.link_type, p.length, p.data) for p in packets]
    session(record, "internal", moved).close(start + 80 * SECOND, [KernelCounters()])
    with reading(str(record)) as connection:
        [watched] = spans(connection)
        [part] = spans(connection, start + 15 * SECOND, start + 70 * SECOND)
    begins = [(first - start) // SECOND for first, _ in watched.spans]
    ends = [(last - start) // SECOND for _, last in watched.spans]
    assert (begins, ends) == ([-1, 13, 59], [9, 20, 80])
    assert [gap.why for gap in watched.gaps] == [DOWN, STOPPED]
    assert [((a - start) // SECOND, (b - start) // SECOND) for a, b in part.spans] == [(15, 20), (59, 70)]


def test_a_clock_that_is_set_back_hides_nothing(tmp_path: Path) -> None:
    """It ran an hour fast: what comes afterwards is watched and judged at once, and counted once."""
    record = tmp_path / "record.db"
    packets = all_packets(INTERNAL)
    fast = [replace(packet, time=packet.time + 3600 * SECOND) for packet in packets]
    live = session(record, "internal", fast)
    live.feed(0, block(fast[:400]))
    live.tick(fast[399].time + 10 * SECOND, [KernelCounters()])
    now = packets[-1].time
    live.feed(0, block(packets[400:]))
    live.tick(now + 3 * SECOND, [KernelCounters()])
    live.tick(now + 13 * SECOND, [KernelCounters()])
    with reading(str(record)) as connection:
        [watched] = spans(connection)
        found = stated(listing(connection, Filter())["findings"])
    assert watched.packets == len(packets)
    assert (now + 3 * SECOND, now + 13 * SECOND) in watched.spans
    assert len(found) > 20
    live.close(now + 20 * SECOND, [KernelCounters()])
    counted = sums(record, "verdict_deltas", "verdict").values()
    assert sum(packets_ for _, packets_, _ in counted) == len(packets)


def test_two_sessions_and_an_audit_write_one_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.live.session.PATIENCE", 60.0)  # packet time runs ahead of a slow disk here
    record = tmp_path / "record.db"
    runs = [(path, position) for path, position in CAPTURES if path in (BROKEN["external"], CLEAN["internal"])]
    audited = [sys.executable, "-m", "monitor.cli", "audit", "-q", "--topology", TOPOLOGY]
    command = [*audited, "--store", f"sqlite:///{record}", f"internal={INTERNAL}"]

    def watch(path: str, position: str) -> None:
        packets = all_packets(path)
        play(session(record, position, packets), packets, range(0, len(packets), 10))

    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process, ThreadPoolExecutor() as pool:
        for done in [pool.submit(watch, *run) for run in runs]:
            done.result()
    assert process.returncode == 1
    wanted = [offline(path, position) for path, position in [*runs, (INTERNAL, "internal")]]
    with reading(str(record)) as connection:
        found = stated(listing(connection, Filter())["findings"])
    assert found == {k: v for result in wanted for k, v in stated(result["findings"]).items()}
    flows = sum(result["totals"]["flows"] for result in wanted)
    assert sum(counts[0] for counts in sums(record, "verdict_deltas", "verdict").values()) == flows


def test_a_record_that_cannot_be_written_delays_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.live.session.PATIENCE", 0.0)
    record = tmp_path / "record.db"
    packets = all_packets(INTERNAL)
    live = session(record, "internal", packets)
    holder = sqlite3.connect(record, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    live.feed(0, block(packets[:300]))
    end = packets[299].time + 20 * SECOND
    live.tick(end, [KernelCounters(300)])
    assert live.trouble is not None
    assert "locked" in live.trouble
    holder.execute("ROLLBACK")
    live.tick(end + 10 * SECOND, [KernelCounters(300)])
    assert live.trouble is None
    live.feed(0, block(packets[300:]))
    live.close(end + 20 * SECOND, [KernelCounters(len(packets))])
    check(record, INTERNAL, "internal")

    live = session(record, "internal", packets)
    holder.execute("BEGIN IMMEDIATE")
    live.tick(end, [KernelCounters()])
    with pytest.raises(OutputFailure):
        live.tick(end + 301 * SECOND, [KernelCounters()])
    holder.close()


def test_a_one_way_tap_concludes_no_attempts(tmp_path: Path) -> None:
    """What the site's own addresses sent is missing."""
    packets = [p for p in all_packets(BROKEN["external"]) if not addresses(p)[0].startswith(("10.45.", "203.0.113."))]
    record = tmp_path / "record.db"
    play(session(record, "external", packets), packets, range(0, len(packets), 5))
    with reading(str(record)) as connection:
        assert listing(connection, Filter())["attempts"] == []
        assert connection.execute("SELECT count(*) FROM attempt_deltas").fetchone()[0] > 0


def test_samples_are_the_flows_of_the_finding_as_they_ended(tmp_path: Path) -> None:
    record = tmp_path / "record.db"
    packets = all_packets(INTERNAL)
    play(session(record, "internal", packets), packets, range(0, len(packets), 6))
    wanted = {f["id"]: f for f in offline(INTERNAL, "internal")["findings"]}
    names = ("source", "destination", "tls")
    with reading(str(record)) as connection:
        for finding in listing(connection, Filter())["findings"]:
            mine = [{n: s["flow"].get(n) for n in names} for s in finding["samples"]]
            theirs = [{n: s["flow"].get(n) for n in names} for s in wanted[finding["id"]]["samples"]]
            ports = [(m["source"]["ip"], m["source"].get("port")) for m in mine]
            assert sorted(ports) == sorted((t["source"]["ip"], t["source"].get("port")) for t in theirs), finding[
                "rule"
            ]
            assert {sample["capture"] for sample in finding["samples"]} <= {"eth1"}


def test_nobody_settles_a_session_that_lives(tmp_path: Path) -> None:
    """Sessions begin and end while another one looks all the time for some that were left behind."""
    record = tmp_path / "record.db"
    open_record(str(record), writing=True).close()
    over = threading.Event()

    def look() -> None:
        opened = open_record(str(record), writing=True)
        while not over.is_set():
            settle(opened)
        opened.close()

    with ThreadPoolExecutor() as pool:
        looking = pool.submit(look)
        try:
            for run in range(300):
                living = Watermark(str(record), run, 0)
                living.add(5)
                assert lives(str(record), run)
                living.close()
        finally:
            over.set()
        looking.result()


def test_a_record_that_is_removed_ends_the_session(tmp_path: Path) -> None:
    """SQLite would go on writing to a file without a name, which nobody can read. A new life makes a new record."""
    record = tmp_path / "record.db"
    packets = all_packets(INTERNAL)
    live = session(record, "internal", packets)
    record.unlink()
    live.feed(0, block(packets[:300]))
    with pytest.raises(OutputFailure, match="removed or replaced"):
        live.tick(packets[299].time + 20 * SECOND, [KernelCounters(300)])


def test_two_that_count_under_one_name_are_told(tmp_path: Path) -> None:
    """Such as a service and a sensor started by hand; another position, or one that has ended, is nothing to tell."""
    record = tmp_path / "record.db"
    packets = all_packets(INTERNAL)
    first, other = session(record, "internal", packets), session(record, "external", packets)
    assert not first.has_twin
    assert not other.has_twin
    second = session(record, "internal", packets)
    assert second.has_twin
    first.close(packets[-1].time + 20 * SECOND, [KernelCounters()])
    assert not second.has_twin
