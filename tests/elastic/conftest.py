"""The servers, a record to ship, and the questions that are asked of a file and of a cluster."""

from __future__ import annotations

import itertools
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import main
from monitor.elastic.cluster import Target
from tests.elastic.servers import Proxy, Server, running, tool
from tests.house.captures import BROKEN, CLEAN, TOPOLOGY
from tests.live.conftest import place as place
from tests.live.conftest import wire as wire

OLD, NEW = "8.19.20", "9.5.0"
_NUMBERS = itertools.count(1)


def runnable(version: str) -> bool:
    return bool(json.loads(tool("versions"))[version])


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not runnable(NEW):
        terminalreporter.write_line(f"NOTE Elasticsearch {NEW} needs Java 21, which is not here: tested on {OLD} alone")


@pytest.fixture(scope="session")
def plain() -> Iterator[Server]:
    with running(OLD) as server:
        yield server


@pytest.fixture(scope="session")
def secured() -> Iterator[Server]:
    with running("--secure", OLD) as server:
        yield server


@pytest.fixture(scope="session")
def newer() -> Iterator[Server]:
    with running(NEW) as server:
        yield server


@pytest.fixture
def proxy(plain: Server) -> Iterator[Proxy]:
    with Proxy(plain.url) as made:
        yield made


@pytest.fixture
def namespace() -> str:
    """Streams that no other test uses."""
    return f"test{next(_NUMBERS)}"


@pytest.fixture(scope="session")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record of the sample site's audit: violations, attempts, evidence, paths."""
    folder = tmp_path_factory.mktemp("audited")
    captures = [f"{position}={path}" for named in (CLEAN, BROKEN) for position, path in named.items()]
    store = f"sqlite:///{folder / 'record.db'}"
    assert main(["audit", "-q", "--store", store, "--evidence", str(folder / "cut"), "--topology", TOPOLOGY,
                 "--output", "/dev/null", *captures]) == 1  # fmt: skip
    return folder / "record.db"


@pytest.fixture
def record(audited: Path, tmp_path: Path) -> str:
    """A record of its own for each test."""
    made = tmp_path / "record.db"
    shutil.copy(audited, made)
    return str(made)


@pytest.fixture
def target(proxy: Proxy, namespace: str) -> Target:
    """The plain server behind the proxy."""
    return Target((proxy.url,), namespace)


Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], namespace: str) -> Ask:
    """`findings --format json` of a store, which must answer."""
    monkeypatch.setenv("EDGEWARDEN_ELASTIC_NAMESPACE", namespace)

    def run(store: str, *arguments: str) -> dict[str, Any]:
        capfdbinary.readouterr()
        url = store if "://" in store else f"sqlite:///{store}"
        status = main(["findings", "--store", url, "--format", "json", *arguments])
        out, err = capfdbinary.readouterr()
        assert status == 0, err.decode()
        answer: dict[str, Any] = json.loads(out)
        return answer

    return run


def rows(path: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of a record that is a fact of what was seen."""
    connection = sqlite3.connect(path)
    try:
        return table_rows(connection)
    finally:
        connection.close()


def table_rows(connection: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    own = ("report_runs", "record", "migrations", "outbox_cursors", "outbox_targets", "dead_letters", "sqlite_sequence")
    own += ("sights", "joined_flows")  # what sensors show one another for minutes
    return {
        table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr)
        for table in tables
        if table not in own
    }
