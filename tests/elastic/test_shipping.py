"""Proves that every row of a record arrives in the streams once, whatever breaks on the way: lost answers, rollovers, a
killed process, a server that stops, rows that the cluster refuses."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import main
from monitor.cli.messages import Messages
from monitor.elastic.cluster import Target
from monitor.elastic.outbox import Outbox, follow
from monitor.elastic.tables import SOURCES
from monitor.elastic.templates import FIELDS
from monitor.exit_status import OperatorMistake, OutOfReach
from tests.elastic.conftest import Ask
from tests.elastic.servers import Proxy, Request, Server
from tests.house.captures import BROKEN, TOPOLOGY

DEADLINE = 240.0
"""Seconds after which what should have happened is taken not to happen: a loaded machine starts a server in 60."""


def ship(record: str, target: Target) -> int:
    with Outbox(record, target) as outbox:
        went = outbox.ship()
        outbox.refresh()
        return went


def held(server: Server, target: Target) -> dict[tuple[str, int, int], int]:
    """How often each row stands in the streams, by (table, row, chunk), as the server says."""
    client = server.client()
    client.cluster.health(wait_for_status="yellow")  # a stream that is just being made cannot be searched
    client.indices.refresh(index=list(target.streams), ignore_unavailable=True)
    answer = client.search(
        index=list(target.streams), size=10_000, source_includes=["edgewarden.record"], ignore_unavailable=True
    )
    found: dict[tuple[str, int, int], int] = {}
    for hit in answer["hits"]["hits"]:
        record = hit["_source"]["edgewarden"]["record"]
        key = (record["table"], record["row"], record["chunk"])
        found[key] = found.get(key, 0) + 1
    client.close()
    return found


def each_once(record: str) -> dict[tuple[str, int, int], int]:
    """What the streams must hold: no attempt of the sample has so many sources that it takes two documents."""
    connection = sqlite3.connect(record)
    tables = [source.table for source in SOURCES]
    expected = {(table, row, 0): 1 for table in tables for (row,) in connection.execute(f"SELECT id FROM {table}")}
    connection.close()
    return expected


def forget(record: str) -> None:
    """As after a restore of the file from before it was shipped."""
    connection = sqlite3.connect(record)
    connection.execute("DELETE FROM outbox_cursors")
    connection.commit()
    connection.close()


def until(happened: Callable[[], Any]) -> None:
    end = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


def roll_over(server: Server, target: Target) -> None:
    client = server.client()
    for stream in target.streams:
        if client.indices.exists(index=stream):
            client.indices.rollover(alias=stream)
    client.close()


def test_every_row_arrives_once(plain: Server, record: str, target: Target) -> None:
    expected = each_once(record)
    assert ship(record, target) == len(expected) > 150
    assert held(plain, target) == expected
    assert ship(record, target) == 0


def test_the_root_is_never_asked(record: str, target: Target, proxy: Proxy) -> None:
    """Some builds and gateways refuse `GET /`."""
    ship(record, target)
    assert proxy.requests
    assert not [request for request in proxy.requests if request.path.split("?")[0] == "/"]


def test_a_record_that_forgot_doubles_nothing_even_after_a_rollover(plain: Server, record: str, target: Target) -> None:
    ship(record, target)
    roll_over(plain, target)
    forget(record)
    ship(record, target)
    assert held(plain, target) == each_once(record)


def test_a_lost_answer_and_a_rollover_double_nothing(plain: Server, record: str, target: Target, proxy: Proxy) -> None:
    """The stream took a batch, rolled over, and only then the batch is tried again: it would take it again."""
    lost: list[str] = []

    def lose(request: Request) -> bool:
        if request.stream and request.stream not in lost:
            lost.append(request.stream)
            return True
        return False

    proxy.after = lose
    with Outbox(record, target) as outbox:
        for count in (1, 2):  # the first batch of each stream
            with pytest.raises(OutOfReach, match="does not answer"):
                outbox.ship()
            assert len(lost) == count
            roll_over(plain, target)
        outbox.ship()
    assert set(lost) == set(target.streams)
    assert held(plain, target) == each_once(record)


def test_killed_between_the_answer_and_the_cursor(plain: Server, record: str, target: Target, proxy: Proxy) -> None:
    """The process dies when the cluster has taken a batch and before the record knows."""
    code = (
        "import sys; from monitor.elastic.outbox import Outbox; from monitor.elastic.cluster import Target\n"
        "with Outbox(sys.argv[1], Target((sys.argv[2],), sys.argv[3])) as outbox: outbox.ship()"
    )
    process = subprocess.Popen([sys.executable, "-c", code, record, proxy.url, target.namespace])
    taken: list[Request] = []

    def kill(request: Request) -> bool:
        if request.stream == target.violations:
            process.kill()
            process.wait()
            taken.append(request)
        return bool(request.stream == target.violations)

    proxy.after = kill
    assert process.wait(timeout=DEADLINE) == -signal.SIGKILL
    until(lambda: taken)
    proxy.after = lambda request: False
    before = held(plain, target)
    assert any(table == "finding_deltas" for table, _, _ in before)
    connection = sqlite3.connect(record)
    known = connection.execute("SELECT count(*) FROM outbox_cursors WHERE source = 'finding_deltas'").fetchone()
    connection.close()
    assert known == (0,)
    roll_over(plain, target)
    ship(record, target)
    assert held(plain, target) == each_once(record)


def test_a_server_that_stops_loses_nothing(plain: Server, record: str, target: Target, proxy: Proxy, ask: Ask) -> None:
    """It stops after the third batch, comes back, and what was written meanwhile arrives, too."""
    bulks: list[str] = []
    down = threading.Event()

    def stop(request: Request) -> bool:
        if not request.stream:
            return False
        bulks.append(request.stream)
        if len(bulks) == 3:
            plain.halt()
            down.set()
            return True
        return False

    proxy.after = stop
    ending = threading.Event()
    shipping = threading.Thread(target=follow, args=(record, target, ending, Messages("quiet")))
    shipping.start()
    try:
        assert down.wait(DEADLINE)
        assert main(["audit", "-q", "--store", f"sqlite:///{record}", "--topology", TOPOLOGY, "--output", "/dev/null",
                     "--to", "2026-11-22T09:00:01", f"lan={BROKEN['external']}"]) in (0, 1, 3)  # fmt: skip
        plain.resume()
        until(lambda: held(plain, target) == each_once(record))
    finally:
        ending.set()
        shipping.join(DEADLINE)
    assert not shipping.is_alive()
    assert ask(plain.url) == ask(record)


def test_new_rows_are_followed(plain: Server, tmp_path: Path, target: Target) -> None:
    """A record that is empty when shipping begins."""
    record = str(tmp_path / "record.db")
    ending = threading.Event()
    shipping = threading.Thread(target=follow, args=(record, target, ending, Messages("quiet")))
    shipping.start()
    try:
        assert main(["audit", "-q", "--store", f"sqlite:///{record}", "--topology", TOPOLOGY, "--output", "/dev/null",
                     f"external={BROKEN['external']}"]) == 1  # fmt: skip
        until(lambda: held(plain, target) == each_once(record))
    finally:
        ending.set()
        shipping.join(DEADLINE)
    assert not shipping.is_alive()


def test_one_process_ships_a_record(record: str, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.elastic.outbox.LAST_TRY", 0.2)
    with Outbox(record, target), pytest.raises(OperatorMistake, match="another process ships this record"):
        Outbox(record, target).__enter__()


def test_what_is_refused_waits_with_its_reason_and_stops_nothing(
    plain: Server, record: str, target: Target, ask: Ask
) -> None:
    """A template of somebody else's, above ours, in which the sentence of a violation is a number."""
    with Outbox(record, target) as outbox:
        outbox._connected()  # our templates
    client = plain.client()
    name = f"wrong-{target.namespace}"
    ours = client.indices.get_index_template(name="logs-edgewarden.violation")["index_templates"][0]["index_template"]
    client.indices.put_index_template(
        name=name,
        index_patterns=[target.violations],
        priority=500,
        data_stream={},
        composed_of=ours["composed_of"],
        template={"mappings": {"properties": {"message": {"type": "long", "ignore_malformed": False}}}},
    )
    ship(record, target)
    expected = each_once(record)
    refused = {key for key in expected if key[0] in ("finding_deltas", "attempt_deltas")}
    assert set(held(plain, target)) == set(expected) - refused
    _, told, first, *_ = outbox_lines(record)
    assert told == f"Refused:    {len(refused)} rows, which are tried again when shipping next begins"
    assert "type [long]" in first

    client.indices.delete_index_template(name=name)
    client.indices.rollover(alias=target.violations)
    client.close()
    ship(record, target)
    assert held(plain, target) == expected
    assert len(outbox_lines(record)) == 1
    assert ask(plain.url) == ask(record)


def outbox_lines(record: str) -> list[str]:
    from monitor.elastic.status import of_outbox

    return of_outbox(record)[1:]


def test_a_copy_of_a_record_that_went_its_own_way_is_noticed(plain: Server, record: str, target: Target) -> None:
    """Both have the same name and other rows under the same numbers: none may pass for the other."""
    ship(record, target)
    connection = sqlite3.connect(record)
    connection.execute("UPDATE path_deltas SET flows = flows + 1 WHERE id = 1")
    connection.commit()
    connection.close()
    forget(record)
    ship(record, target)
    assert any("is this record a copy" in line for line in outbox_lines(record))
    assert held(plain, target) == each_once(record)


def test_a_row_with_very_many_parts_takes_several_documents(
    plain: Server, record: str, target: Target, ask: Ask
) -> None:
    connection = sqlite3.connect(record)
    [delta] = connection.execute("SELECT min(id) FROM attempt_deltas").fetchone()
    connection.executemany(
        "INSERT INTO attempt_sources VALUES (?, ?)",
        [(delta, f"198.18.{number >> 8}.{number & 255}") for number in range(2500)],
    )
    connection.commit()
    connection.close()
    ship(record, target)
    assert len([key for key in held(plain, target) if key[:2] == ("attempt_deltas", delta)]) == 3
    assert ask(plain.url) == ask(record)
    assert any(attempt["sources"] > 2500 for attempt in ask(record)["attempts"])


def test_documents_say_what_ecs_has_names_for(plain: Server, record: str, target: Target) -> None:
    """ECS 9.4: names as in its field reference; contract 4 says kind and type."""
    ship(record, target)
    client = plain.client()
    violations = client.search(index=target.violations, size=1000, query={"term": {"edgewarden.verdict": "violation"}})[
        "hits"
    ]["hits"]
    attempts = client.search(index=target.violations, size=1000, query={"term": {"edgewarden.verdict": "attempt"}})[
        "hits"
    ]["hits"]
    client.close()
    assert violations
    assert attempts
    for hit in violations:
        found = hit["_source"]
        assert found["event"]["kind"] == "alert"
        assert found["event"]["category"] == ["network"]
        assert found["event"]["type"] == ["connection", "allowed"]
        assert found["ecs"]["version"].startswith("9.4")
        assert found["@timestamp"] == found["event"]["start"]
        assert "ip" in found["source"]
        assert "ip" in found["destination"]
        assert found["data_stream"] == {
            "type": "logs", "dataset": "edgewarden.violation", "namespace": target.namespace
        }  # fmt: skip
    for hit in attempts:
        assert hit["_source"]["event"]["type"] == ["connection", "start"]
    [bypass] = [hit["_source"] for hit in violations if hit["_source"]["rule"]["id"] == "director-bypass-sip"]
    # README.md's first finding, and the capture as tshark reads it
    assert (bypass["source"]["ip"], bypass["destination"]["ip"]) == ("172.25.33.10", "192.168.10.90")
    assert (bypass["destination"]["port"], bypass["network"]["transport"]) == (5061, "tcp")
    assert bypass["edgewarden"]["finding"]["id"] == "67e9d226b26b9a4c"
    assert (bypass["edgewarden"]["flows"], bypass["network"]["packets"]) == (1, 24)
    assert bypass["message"].startswith("edge01.contoso.net (edge-int) opened SIP on TCP 5061")
    assert json.dumps(bypass["tls"]).count("sip.contoso.com")


def test_every_field_of_a_document_is_declared(plain: Server, record: str, target: Target) -> None:
    """With `dynamic: false` a field that is not cannot be searched, and nobody would notice."""
    ship(record, target)
    client = plain.client()
    hits = client.search(index=list(target.streams), size=10_000)["hits"]["hits"]
    client.close()
    undeclared: set[str] = set()

    def walk(value: Any, name: str) -> None:
        if name in FIELDS:
            return
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{name}.{key}".lstrip("."))
        else:
            undeclared.add(name)

    for hit in hits:
        walk(hit["_source"], "")
    assert len(hits) > 150
    assert not undeclared


def test_what_is_taken_back_is_no_alert(plain: Server, record: str, target: Target, ask: Ask) -> None:
    """A live flow turned out to be another thing: its delta comes again with negative counts, and cancels the alert."""
    connection = sqlite3.connect(record)
    columns = "run, finding, sensor, wording, first, last, ports"
    connection.execute(
        f"INSERT INTO finding_deltas ({columns}, flows, packets, bytes) "
        f"SELECT {columns}, -flows, -packets, -bytes FROM finding_deltas WHERE id = 1"
    )
    connection.commit()
    connection.close()
    ship(record, target)
    client = plain.client()
    hits = client.search(index=target.violations, query={"range": {"edgewarden.flows": {"lt": 0}}})["hits"]["hits"]
    client.close()
    [event] = [hit["_source"]["event"] for hit in hits]
    assert (event["kind"], event["type"]) == ("event", ["info"])
    assert ask(plain.url) == ask(record)
