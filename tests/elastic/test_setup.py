"""Proves that the templates are put where they are missing, renewed where they are ours and old, and left alone where
they are somebody else's or newer; and that the server takes them, on both of its versions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from elasticsearch import Elasticsearch

from monitor.cli import main
from monitor.elastic import templates
from monitor.elastic.cluster import Target
from monitor.elastic.outbox import Outbox
from monitor.elastic.reading import fetched
from tests.elastic.conftest import NEW, OLD, rows, runnable, table_rows
from tests.elastic.servers import Server, running

NAME = "logs-edgewarden.violation"


@pytest.fixture(scope="module")
def plain() -> Iterator[Server]:
    """A server of its own: templates that streams use cannot be taken away."""
    with running(OLD) as server:
        yield server


@pytest.fixture
def bare(plain: Server) -> Iterator[Elasticsearch]:
    """A client of the server without our templates."""
    client = plain.client()
    for name in templates.PATTERNS:
        client.options(ignore_status=404).indices.delete_index_template(name=name)
    for name in (templates.MAPPINGS, templates.SETTINGS):
        client.options(ignore_status=404).cluster.delete_component_template(name=name)
    yield client
    client.close()


def setup(plain: Server, capfd: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, str], str]:
    status = main(["elastic", "setup", "--store", plain.url, *options])
    out, err = capfd.readouterr()
    lines = [line.partition(": ") for line in out.splitlines()]
    return status, {name: said for name, _, said in lines}, err


def test_once_it_makes_twice_it_keeps(plain: Server, bare: Elasticsearch, capfd: pytest.CaptureFixture[str]) -> None:
    status, told, _ = setup(plain, capfd)
    assert status == 0
    assert {name: told[name] for name in templates.designs()} == dict.fromkeys(templates.designs(), "made")
    assert told["type match_only_text is missing in this cluster"] == "text takes its place"
    assert setup(plain, capfd)[1] == dict.fromkeys(templates.designs(), "kept")


def test_ours_are_used_for_our_streams_alone(plain: Server, bare: Elasticsearch) -> None:
    """As the server itself resolves names to templates."""
    templates.setup(bare, Target((plain.url,)))
    for name, dataset in (("logs-edgewarden.violation", "violation"), ("metrics-edgewarden.coverage", "coverage")):
        resolved = bare.indices.simulate_index_template(name=f"{name}-contoso")
        properties = resolved["template"]["mappings"]["properties"]
        assert resolved["template"]["mappings"]["dynamic"] == "false", dataset
        assert properties["source"]["properties"]["ip"]["type"] == "ip"
        assert properties["edgewarden"]["properties"]["record"]["properties"]["data"]["enabled"] is False
    assert "template" not in bare.indices.simulate_index_template(name="logs-edgewardens-contoso")


def test_somebody_elses_stay_without_force(
    plain: Server, bare: Elasticsearch, capfd: pytest.CaptureFixture[str]
) -> None:
    bare.indices.put_index_template(name=NAME, index_patterns=["something-*"], priority=1)
    status, told, err = setup(plain, capfd)
    assert (status, told) == (2, {})
    assert f"nothing was changed: {NAME} was made by somebody else (--force replaces what is there)" in err
    assert bare.options(ignore_status=404).cluster.get_component_template(name=templates.MAPPINGS).meta.status == 404
    assert setup(plain, capfd, "--force")[1][NAME] == "renewed"


def test_newer_ones_stay_and_older_ones_are_renewed(
    plain: Server, bare: Elasticsearch, capfd: pytest.CaptureFixture[str]
) -> None:
    templates.setup(bare, Target((plain.url,)))
    [found] = bare.indices.get_index_template(name=NAME)["index_templates"]
    for version, status in ((templates.VERSION + 1, 2), (0, 0)):
        body = dict(found["index_template"])
        body["_meta"] = {**body["_meta"], "version": version, "digest": ""}
        bare.indices.put_index_template(name=NAME, body=body)
        got, told, err = setup(plain, capfd)
        assert got == status
        if status:
            assert "was made by a newer edgewarden" in err
        else:
            assert told[NAME] == "renewed"


def test_a_cluster_must_be_named(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("EDGEWARDEN_STORE", raising=False)
    for store in ([], ["--store", "sqlite:///record.db"]):
        assert main(["elastic", "status", *store]) == 2
        assert "no cluster: name one with --store https://HOST:9200 or --config FILE" in capfd.readouterr().err


if runnable(NEW):

    def test_the_newer_version_gives_the_same_rows(newer: Server, record: str, namespace: str) -> None:
        """Shipped, rolled over, forgotten and shipped again: each row once, as in the file."""
        target = Target((newer.url,), namespace)
        client = newer.client()
        connection = sqlite3.connect(record)
        [alerts] = connection.execute(
            "SELECT (SELECT count(*) FROM finding_deltas) + (SELECT count(*) FROM attempt_deltas)"
        ).fetchone()
        connection.close()
        for _ in range(2):
            with Outbox(record, target) as outbox:
                outbox.ship()
                outbox.refresh()
            assert client.count(index=target.violations)["count"] == alerts
            for stream in target.streams:
                client.indices.rollover(alias=stream)
            with Outbox(record, target) as outbox, outbox.record.transaction() as connection:
                connection.execute("DELETE FROM outbox_cursors")
        client.close()
        with fetched(target) as connection:
            found = table_rows(connection)
        assert found == rows(record)
