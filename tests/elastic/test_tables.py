"""Proves that no table of the record is forgotten: each is shipped, or named with the reason why not."""

from __future__ import annotations

import sqlite3

from monitor.elastic.tables import NOT_SHIPPED, SOURCES
from monitor.store.migrations import migrate


def tables() -> dict[str, str]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
    return {name: sql for name, sql in found if not name.startswith("sqlite_")}


def test_each_table_is_shipped_or_named() -> None:
    shipped = [source.table for source in SOURCES]
    assert sorted([*shipped, *NOT_SHIPPED]) == sorted(tables())
    assert all(NOT_SHIPPED.values())


def test_parts_are_tables_that_are_not_shipped_themselves() -> None:
    for source in SOURCES:
        if source.parts is not None:
            assert source.parts[0] in NOT_SHIPPED


def test_the_number_of_a_shipped_row_is_never_used_again() -> None:
    """The newest row stays, or SQLite itself keeps count (sqlite.org/autoinc.html)."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    triggers = {name for (name,) in connection.execute("SELECT tbl_name FROM sqlite_master WHERE type = 'trigger'")}
    for source in SOURCES:
        assert source.table in triggers or "AUTOINCREMENT" in tables()[source.table], source.table


def test_the_newest_row_outlives_a_pruning() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    for number in (1, 2, 3):
        connection.execute(
            "INSERT INTO runs (id, kind, recorded, version, organization, topology, policy, verdict, why) "
            "VALUES (?, 'audit', 0, '', '', '', '', '', '')",
            (number,),
        )
    connection.execute("DELETE FROM runs")
    assert connection.execute("SELECT id FROM runs").fetchall() == [(3,)]
