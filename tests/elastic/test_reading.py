"""Proves that a cluster gives the answers that the file gives: the same rows, the same findings under every filter, and
of several machines what one record of all would say."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from pathlib import Path

import pytest

from monitor.cli import main
from monitor.elastic.cluster import Target
from monitor.elastic.outbox import Outbox
from monitor.elastic.reading import NothingThere, fetched
from monitor.exit_status import OperatorMistake, OutOfReach
from tests.elastic.conftest import Ask, rows, table_rows
from tests.elastic.servers import Proxy, Request, Server
from tests.house.captures import BROKEN, CLEAN, TOPOLOGY

FILTERS = (
    (),
    ("--from", "2026-11-22T09:00:30"),
    ("--to", "2026-11-22T09:00:30"),
    ("--from", "2026-11-22T09:01:00", "--to", "2026-11-22T09:01:30"),
    ("--from", "2027-01-01"),
    ("--sensor", "internal"),
    ("--severity", "critical"),
    ("--rule", "unlisted-path"),
    ("--component", "edge01.contoso.net"),
    ("--component", "edge01.contoso.net", "--rule", "unlisted-path", "--sensor", "external"),
)


def ship(record: str | Path, target: Target) -> None:
    with Outbox(str(record), target) as outbox:
        outbox.ship()
        outbox.refresh()


def audit(record: Path, *captures: str) -> None:
    assert main(["audit", "-q", "--store", f"sqlite:///{record}", "--topology", TOPOLOGY, "--output", "/dev/null",
                 *captures]) in (0, 1, 3)  # fmt: skip


def test_the_same_rows_come_back(record: str, target: Target) -> None:
    """Of one record to the last column, row numbers and times in nanoseconds included."""
    ship(record, target)
    with fetched(target) as connection:
        found = table_rows(connection)
    expected = rows(record)
    assert expected["evidence"]
    assert found.keys() == expected.keys()
    for table, wanted in expected.items():
        assert found[table] == wanted, table


def test_the_same_answers_under_every_filter(plain: Server, record: str, target: Target, ask: Ask) -> None:
    ship(record, target)
    for chosen in FILTERS:
        assert ask(plain.url, *chosen) == ask(record, *chosen), chosen
    assert len(ask(record)["findings"]) > 50


def test_store_info_knows_as_much(
    plain: Server,
    record: str,
    target: Target,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("EDGEWARDEN_ELASTIC_NAMESPACE", namespace)
    ship(record, target)
    told = []
    for store in (f"sqlite:///{record}", plain.url):
        assert main(["store", "info", "--store", store]) == 0
        lines = capfd.readouterr().out.splitlines()
        told.append([line for line in lines if not line.startswith(("Record:", "Size:"))])
    assert told[0] == told[1]
    assert len(told[0]) > 5


def test_a_report_and_an_explanation_are_the_same(
    plain: Server,
    record: str,
    target: Target,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("EDGEWARDEN_ELASTIC_NAMESPACE", namespace)
    ship(record, target)
    for command in (
        ["report", "--period", "2026-11-22", "--format", "json"],
        ["report", "--period", "2026-11-22T09:00..2026-11-22T10:00", "--format", "csv"],
        ["explain", "67e9d226b26b9a4c", "--format", "json"],
    ):
        told = []
        for store in (f"sqlite:///{record}", plain.url):
            assert main([*command, "--store", store]) == 0
            told.append(capfd.readouterr().out)
        assert told[0] == told[1]
        assert "director-bypass-sip" in told[0]


def test_two_machines_answer_as_one_record(
    plain: Server, tmp_path: Path, target: Target, ask: Ask, namespace: str
) -> None:
    """Each firewall is audited on a machine of its own; a single record of both audits is what to compare with."""
    external, internal = f"external={BROKEN['external']}", f"internal={BROKEN['internal']}"
    audit(tmp_path / "a.db", external)
    audit(tmp_path / "b.db", internal)
    audit(tmp_path / "both.db", external)
    audit(tmp_path / "both.db", internal)
    ship(tmp_path / "b.db", target)
    ship(tmp_path / "a.db", target)
    for chosen in FILTERS:
        assert ask(plain.url, *chosen) == ask(str(tmp_path / "both.db"), *chosen), chosen


def test_the_same_capture_on_two_machines_counts_once(plain: Server, tmp_path: Path, target: Target, ask: Ask) -> None:
    audit(tmp_path / "a.db", f"internal={BROKEN['internal']}")
    audit(tmp_path / "b.db", f"internal={BROKEN['internal']}")
    ship(tmp_path / "a.db", target)
    ship(tmp_path / "b.db", target)
    assert ask(plain.url) == ask(str(tmp_path / "a.db"))


def test_the_same_row_in_two_indices_is_one(plain: Server, record: str, target: Target, ask: Ask) -> None:
    """As after a rollover between two attempts that nobody noticed: each document of a stream once more."""
    ship(record, target)
    client = plain.client()
    for stream in target.streams:
        hits = client.search(index=stream, size=1000)["hits"]["hits"]
        client.indices.rollover(alias=stream)
        lines = list(itertools.chain(*(({"create": {"_id": hit["_id"]}}, hit["_source"]) for hit in hits)))
        assert not client.bulk(index=stream, operations=lines, refresh=True)["errors"]
    client.close()
    assert ask(plain.url) == ask(record)


def test_half_an_audit_does_not_count(plain: Server, record: str, target: Target, proxy: Proxy, ask: Ask) -> None:
    """Its run comes last; until then nothing of it is seen, and what was whole before stays as it was."""
    first = Path(record).with_name("first.db")
    audit(first, f"external={CLEAN['external']}")
    ship(first, target)
    alone = ask(str(first))

    def refuse_runs(request: Request) -> bool:
        return b'"table": "runs"' in request.body or b'"table":"runs"' in decompressed(request)

    proxy.before = refuse_runs
    with pytest.raises(OutOfReach):
        ship(record, target)
    client = plain.client()
    client.indices.refresh(index=list(target.streams))
    assert client.count(index=target.violations)["count"] > 50
    client.close()
    assert ask(plain.url) == alone


def decompressed(request: Request) -> bytes:
    import gzip

    packed = {name.lower(): value for name, value in request.headers.items()}.get("content-encoding") == "gzip"
    return (gzip.decompress(request.body) if packed else request.body).replace(b'": ', b'":')


def test_nothing_there_is_a_mistake(plain: Server, target: Target, namespace: str) -> None:
    with pytest.raises(NothingThere, match=f"no record under the namespace {namespace}"), fetched(target):
        pass


def test_a_row_of_a_newer_version_is_not_guessed_at(plain: Server, record: str, target: Target) -> None:
    shutil.copy(record, f"{record}.newer")
    ship(record, target)
    client = plain.client()
    [hit] = client.search(index=target.coverage, query={"term": {"edgewarden.record.table": "runs"}}, size=1)["hits"][
        "hits"
    ]
    hit["_source"]["edgewarden"]["record"]["version"] = 1000
    client.create(index=target.coverage, id="newer", document=hit["_source"], refresh=True)
    client.close()
    with pytest.raises(OperatorMistake, match="newer edgewarden"), fetched(target):
        pass


@pytest.mark.parametrize(
    "damage",
    [
        {"edgewarden": {"record": {"uuid": "x", "version": 1, "table": "runs", "row": 1, "chunk": 0, "data": {}}}},
        {"edgewarden": {"record": {"version": 1, "table": "runs"}}},
        {"edgewarden": {"record": {"uuid": "x", "version": 1, "table": "runs", "row": 1, "chunk": 0,
                                   "data": {"row": {"id": {}, "recorded": 1}, "parts": []}}}},
    ],
)  # fmt: skip
def test_a_document_of_somebody_else_is_named(
    plain: Server, record: str, target: Target, damage: dict[str, object]
) -> None:
    ship(record, target)
    client = plain.client()
    client.create(
        index=target.coverage, id="theirs", document={"@timestamp": "2026-11-22T00:00:00Z", **damage}, refresh=True
    )
    client.close()
    with pytest.raises(OperatorMistake, match="theirs is no document of edgewarden"), fetched(target):
        pass


def test_evidence_that_was_cut_anew_or_deleted(record: str, target: Target) -> None:
    """Whatever was shipped of it before: what the file says last holds."""
    for change in (
        "SELECT 1",
        "INSERT OR REPLACE INTO evidence (finding, path, sha256, packets) "
        "SELECT finding, path, 'new', 99 FROM evidence",
        "DELETE FROM evidence WHERE id % 2",
        "INSERT OR REPLACE INTO evidence (finding, path, sha256, packets) "
        "SELECT finding, path, 'newest', 100 FROM evidence",
    ):
        connection = sqlite3.connect(record)
        connection.execute(change)
        connection.commit()
        connection.close()
        ship(record, target)
        with fetched(target) as found:
            assert table_rows(found)["evidence"] == rows(record)["evidence"], change
    assert len(rows(record)["evidence"]) > 10


def test_rows_of_an_audit_outlive_the_index_of_its_run(plain: Server, record: str, target: Target) -> None:
    """A later run of the record says that the audit was shipped whole."""
    expected = rows(record)
    audit(Path(record), f"lan={CLEAN['external']}")
    ship(record, target)
    client = plain.client()
    [hit] = client.search(
        index=target.coverage,
        query={
            "bool": {"filter": [{"term": {"edgewarden.record.table": "runs"}}, {"term": {"edgewarden.record.row": 1}}]}
        },
    )["hits"]["hits"]
    client.delete(index=hit["_index"], id=hit["_id"], refresh=True)
    client.close()
    with fetched(target) as connection:
        found = table_rows(connection)
    assert set(expected["finding_deltas"]) <= set(found["finding_deltas"])
    assert len(found["runs"]) == 2


def test_rows_of_a_sensor_outlive_the_index_of_its_run(plain: Server, record: str, target: Target) -> None:
    """A session that runs for a year: the index its run was shipped into is long deleted."""
    connection = sqlite3.connect(record)
    connection.execute("UPDATE runs SET kind = 'sensor'")
    connection.commit()
    connection.close()
    ship(record, target)
    client = plain.client()
    [hit] = client.search(index=target.coverage, query={"term": {"edgewarden.record.table": "runs"}}, size=1)["hits"][
        "hits"
    ]
    client.delete(index=hit["_index"], id=hit["_id"], refresh=True)
    client.close()
    with fetched(target) as connection:
        found = table_rows(connection)
    expected = rows(record)
    for table in ("finding_deltas", "verdict_deltas", "coverage", "flows"):
        assert found[table] == expected[table]
    assert len(found["runs"]) == 1
