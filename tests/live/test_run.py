"""`edgewarden run`: every sensor of the settings listens, a killed one comes back and its absence is on record."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.scope import read_scope
from monitor.store.spans import KILLED, spans
from tests.house.captures import BROKEN, PCAPS, pcap
from tests.live.conversations import connection
from tests.live.process import Running, lengths, send
from tests.live.wire import FAR, NEAR, wait_for

pytestmark = pytest.mark.usefixtures("wire")

SENSORS = f"""
sensors:
  - {{name: outer, position: external, interfaces: [{FAR}]}}
  - {{name: inner, position: internal, interfaces: [{NEAR}]}}
"""


@pytest.fixture
def service(place: Path) -> Iterator[Any]:
    """Starts the service with further settings, and waits until it listens."""
    started: list[Running] = []

    def start(more: str = "", says: str = "as inner (internal)", store: str = "record.db") -> Running:
        (place / "topology.yaml").write_text((PCAPS / "contoso.yaml").read_text() + SENSORS)
        (place / "edgewarden.yaml").write_text(
            f"edgewarden: 1\ntopology: topology.yaml\nstore: sqlite:///{store}\n{more}"
        )
        started.append(Running(place, "run", "--config", str(place / "edgewarden.yaml")))
        for words in (says, says.replace("inner (internal)", "outer (external)")):
            started[-1].says(words)
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def recorded(place: Path) -> dict[str, int]:
    """Packets by sensor, as far as they are committed."""
    with sqlite3.connect(place / "record.db") as record:
        return dict(record.execute("SELECT sensor, sum(packets) FROM coverage GROUP BY sensor"))


def test_a_killed_worker_comes_back_and_the_gap_is_on_record(service: Any, place: Path) -> None:
    running = service()
    sent = len(lengths(BROKEN["external"]))
    send(BROKEN["external"])
    wait_for(lambda: recorded(place) == dict.fromkeys(("outer", "inner"), sent), 60)
    first = running.workers()
    os.kill(first[0], signal.SIGKILL)
    running.says("was killed by SIGKILL; it is started again in 1 s")
    wait_for(lambda: running.told().count("listening to") == 3, 60)
    assert len(running.workers()) == 2
    assert first[1] in running.workers(), "the other one works on"
    send(BROKEN["external"])
    assert running.end() == 0
    assert recorded(place) == dict.fromkeys(("outer", "inner"), 2 * sent)
    with sqlite3.connect(place / "record.db") as record:
        watched = {one.sensor: one for one in spans(record)}
    assert sorted(gap.why for one in watched.values() for gap in one.gaps) == [KILLED]
    assert all(one.lost["kernel"] == 0 for one in watched.values())


def test_workers_become_the_user_and_the_supervisor_reads_nothing(service: Any) -> None:
    running = service("privileges: {user: nobody}\n", store="theirs/record.db")
    workers = running.workers()
    assert len(workers) == 2
    for worker in workers:
        for thread in Path(f"/proc/{worker}/task").iterdir():
            lines = (thread / "status").read_text().splitlines()
            status = {line.split(":")[0]: line.split()[1] for line in lines if line.split()[1:]}
            assert status["Uid"] == "65534"
            assert {status[name] for name in status if name.startswith("Cap")} == {"0" * 16}
            assert status["NoNewPrivs"] == "1"
    sockets = [os.readlink(entry) for entry in Path(f"/proc/{running.process.pid}/fd").iterdir()]
    assert not any(link.startswith("socket:") for link in sockets)
    assert running.end() == 0


def test_messages_as_the_settings_say(service: Any) -> None:
    running = service("log: {format: json, level: info}\n")
    assert running.end() == 0
    lines = [json.loads(line) for line in running.told().splitlines()]
    assert {line["level"] for line in lines} <= {"info", "warning"}


ALL = """
reports: [{name: daily, every: day, deliver: [{folder: reports}]}]
elasticsearch: {hosts: https://127.0.0.1:9200}
"""


def test_reports_and_the_outbox_are_workers_of_their_own_and_come_back(service: Any, place: Path) -> None:
    """Nobody answers at the cluster in this namespace; that ends nothing."""
    running = service(ALL)
    running.says("makes reports: daily")
    running.says("ships the record to https://127.0.0.1:9200")
    assert (place / "reports").is_dir()
    before = running.workers()
    assert len(before) == 4
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    wait_for(lambda: running.told().count("makes reports: daily") == 2, 60)
    wait_for(lambda: running.told().count("ships the record") == 2, 60)
    wait_for(lambda: running.told().count("listening to") == 4, 60)
    assert not set(running.workers()) & set(before)
    assert running.end() == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("privileges: {user: nosuch-user}\n", "useradd --system"),
        ("evidence: {dir: mine}\nprivileges: {user: nobody}\n", "chown nobody "),
        ("unknown: 1\n", "edgewarden.yaml:4:1: "),
    ],
)
def test_mistakes_are_told(service: Any, place: Path, more: str, said: str) -> None:
    (place / "mine").mkdir()
    assert service(more, said, "theirs/record.db").process.wait(30) == 2


def test_sensors_look_at_their_flows_together(service: Any, place: Path) -> None:
    """Both listen to the two ends of one wire, so that what passes it was forwarded unchanged: told when they end, at
    the latest."""
    packets = connection(("192.0.2.25", 50112), ("192.168.10.95", 4443), 0, 1)
    (place / "forwarded.pcap").write_bytes(pcap(packets))
    running = service()
    send(str(place / "forwarded.pcap"))
    wait_for(lambda: recorded(place) == dict.fromkeys(("outer", "inner"), len(packets)), 60)
    assert running.end() == 0
    with sqlite3.connect(place / "record.db") as record:
        found = record.execute(
            "SELECT sensor, sum(flows) FROM finding_deltas JOIN findings ON findings.id = finding "
            "WHERE rule = 'edge-as-router' GROUP BY sensor"
        ).fetchall()
        scopes = [read_scope(text) for (text,) in record.execute("SELECT scope FROM runs")]
    assert sorted(found) == [("inner", 1), ("outer", 1)]
    assert all("edge-as-router" in scope.observable for scope in scopes)
