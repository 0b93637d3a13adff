"""Proves that live findings reach the cluster while the sensor works, by a process that alone knows the password, and
that at the end the streams hold the very rows of the record."""

from __future__ import annotations

import base64
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from monitor.elastic.cluster import Target
from monitor.elastic.reading import NothingThere, fetched
from monitor.exit_status import OutOfReach
from tests.elastic.conftest import rows, table_rows
from tests.elastic.servers import Proxy, Server
from tests.house.captures import BROKEN, PCAPS, TOPOLOGY
from tests.live.process import Running, send
from tests.live.wire import FAR, command, wait_for

DEADLINE = 120.0


@pytest.fixture
def outside() -> Iterator[int]:
    """The network namespace in which the server is; asked for before the wire is entered."""
    opened = os.open("/proc/self/ns/net", os.O_RDONLY)
    yield opened
    os.close(opened)


@pytest.fixture
def near_proxy(plain: Server, outside: int, wire: str) -> Iterator[Proxy]:
    """The server, reachable from the namespace of the wire."""
    command("ip", "link", "set", "lo", "up")
    with Proxy(plain.url, outside) as made:
        yield made


def there(target: Target) -> dict[str, list[tuple[Any, ...]]]:
    with fetched(target) as connection:
        return table_rows(connection)


def findings(target: Target) -> int:
    """How many deltas of findings the streams hold."""
    try:
        return len(there(target)["finding_deltas"])
    except (NothingThere, OutOfReach):
        return 0


def settled(record: Path | str) -> bool:
    """Whether a sensor has written findings."""
    with sqlite3.connect(record) as connection:
        return bool(connection.execute("SELECT count(*) FROM finding_deltas").fetchone()[0])


def test_the_service_ships_what_its_sensors_find(place: Path, near_proxy: Proxy, namespace: str) -> None:
    target = Target((near_proxy.url,), namespace)
    (place / "es.key").write_text("open sesame\n")
    (place / "es.key").chmod(0o600)  # of root: the workers are nobody
    sensors = f"\nsensors:\n  - {{name: outer, position: external, interfaces: [{FAR}]}}\n"
    (place / "topology.yaml").write_text((PCAPS / "contoso.yaml").read_text() + sensors)
    (place / "edgewarden.yaml").write_text(f"""\
edgewarden: 1
topology: topology.yaml
store: sqlite:///theirs/record.db
elasticsearch: {{hosts: ["{near_proxy.url}"], username: shipper, password_file: es.key, namespace: {namespace}}}
privileges: {{user: nobody}}
""")
    running = Running(place, "run", "--config", str(place / "edgewarden.yaml"))
    try:
        running.says("listening to")
        send(BROKEN["external"])
        record = place / "theirs" / "record.db"
        wait_for(lambda: settled(record), DEADLINE)
        wait_for(lambda: findings(target) > 0, DEADLINE)
        for worker in running.workers():
            os.kill(worker, signal.SIGKILL)
        wait_for(lambda: running.told().count("listening to") == 2, DEADLINE)
        send(BROKEN["external"])
        assert running.end() == 0
    finally:
        running.process.kill()
        running.process.wait()
    expected = rows(str(record))
    assert there(target) == expected
    assert len(expected["runs"]) == 2
    with closing(Elasticsearch(near_proxy.url)) as client:
        shown = client.count(index=list(target.streams), query={"exists": {"field": "rule.id"}})["count"]
        unshown = client.count(index=list(target.streams), query={"match_phrase": {"message": "cannot be shown"}})
    assert shown > len(expected["finding_deltas"])
    assert unshown["count"] == 0
    said = "Basic " + base64.b64encode(b"shipper:open sesame").decode()
    assert said in {value for request in near_proxy.requests for value in request.headers.values()}


def test_a_sensor_ships_before_it_ends(
    place: Path, near_proxy: Proxy, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEWARDEN_ELASTIC_NAMESPACE", namespace)
    target = Target((near_proxy.url,), namespace)
    words = ("sensor", "--topology", TOPOLOGY, "--interface", FAR, "--position", "external", "--store", near_proxy.url)
    for away, status in ((False, 0), (True, 4), (False, 0)):
        near_proxy.before = lambda request, away=away: away
        running = Running(place, *words)
        try:
            running.says("listening to")
            send(BROKEN["external"])
            if not away:
                before = findings(target)
                wait_for(lambda: findings(target) > before, DEADLINE)  # noqa: B023 (called here alone)
            assert running.end() == status, running.told()
        finally:
            running.process.kill()
            running.process.wait()
        [spool] = (place / "state" / "edgewarden").glob("spool-*.db")
        if away:
            assert f"what was recorded stays in {spool}" in running.told()
        else:
            assert there(target) == rows(str(spool))
