"""What of a record is shipped: its tables, in order, and each row as an object from which it can be made again.

Strategy: the record only grows, so a table is read by row id, from the last that was shipped on. What a row points to
and what belongs to it alone stands inside its object; a row with very many parts becomes several objects. `runs` come
last: until an audit's run is there, its rows do not count (`reading`), so that half an audit is never seen. `SOURCES`
and `NOT_SHIPPED` together name every table; a test fails when one is missing. To ship a new table: give it an
`id INTEGER PRIMARY KEY` that is never used again, and a line in `SOURCES`.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Source:
    """A table. violations: whether its rows go there. parts: (table, column that names the row) of what belongs to
    one row alone and is written with it."""

    table: str
    violations: bool = False
    parts: tuple[str, str] | None = None


SOURCES: Final = (
    Source("captures"),
    Source("coverage"),
    Source("flows"),
    Source("evidence"),
    Source("evidence_gone"),
    Source("finding_deltas", violations=True),
    Source("attempt_deltas", violations=True, parts=("attempt_sources", "delta")),
    Source("verdict_deltas"),
    Source("path_deltas"),
    Source("runs", parts=("config_findings", "run")),
)

NOT_SHIPPED: Final = {
    "findings": "stand in the objects of the rows that name them",
    "wordings": "stand in the objects of the rows that name them",
    "attempt_sources": "stand in the objects of their attempts",
    "config_findings": "stand in the objects of their runs",
    "report_runs": "are the memory of one machine's calendar",
    "sights": "are what the sensors of one machine show one another for minutes",
    "joined_flows": "say what the sensors of one machine have counted",
    "record": "its name stands in every object",
    "migrations": "say how the file was made",
    "outbox_cursors": "say what was shipped",
    "outbox_targets": "say what was shipped",
    "dead_letters": "say what was not",
}

PARTS: Final = 1_000
"""Parts in one object: a spoofed scan has up to a million source addresses, which no document should hold."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One object. chunk: 0 is the row with its first parts, each further one holds more of them."""

    source: Source
    row: int
    chunk: int
    kind: str | None  # of the run that the row belongs to
    data: dict[str, Any]

    def identifier(self, record: str) -> str:
        """SHA-256 over what no other object shares."""
        text = "\x1f".join((record, self.source.table, str(self.row), str(self.chunk)))
        return hashlib.sha256(text.encode()).hexdigest()


def bounds(connection: sqlite3.Connection) -> dict[str, int]:
    """The newest row of each table, all of one moment."""
    chosen = " UNION ALL ".join(
        f"SELECT '{source.table}', coalesce(max(id), 0) FROM {source.table}"  # noqa: S608 (names of our own tables)
        for source in SOURCES
    )
    return dict(connection.execute(chosen).fetchall())


def pieces(connection: sqlite3.Connection, source: Source, after: int, until: int) -> Iterator[Piece]:
    """Objects of the rows behind `after` up to `until`, in order."""
    cursor = connection.execute(
        f"SELECT * FROM {source.table} WHERE id > ? AND id <= ? ORDER BY id",  # noqa: S608
        (after, until),
    )
    names = [column[0] for column in cursor.description]
    for values in cursor:
        row = dict(zip(names, values, strict=True))
        data: dict[str, Any] = {"row": row}
        if "finding" in row:
            data["finding"] = _finding(connection, row["finding"])
        if "wording" in row:
            [data["wording"]] = connection.execute(
                "SELECT text FROM wordings WHERE id = ?", (row["wording"],)
            ).fetchone()
        kind = row["kind"] if source.table == "runs" else _kind(connection, row.get("run"))
        if source.parts is None:
            yield Piece(source, row["id"], 0, kind, data)
            continue
        for chunk, parts in enumerate(_parts(connection, *source.parts, row["id"])):
            yield Piece(source, row["id"], chunk, kind, {**(data if chunk == 0 else {}), "parts": parts})


def sample_of(connection: sqlite3.Connection, row: dict[str, Any]) -> str | None:
    """The first sample that was kept of the flows behind a delta of a finding, in JSON. The newest row of a place says
    what holds; an empty one that its flow was taken back."""
    found = connection.execute(
        "SELECT sample FROM flows WHERE id IN (SELECT max(id) FROM flows WHERE finding = ? AND run = ? AND sensor = ? "
        "AND first BETWEEN ? AND ? GROUP BY place) AND sample != '' ORDER BY first, id LIMIT 1",
        (row["finding"], row["run"], row["sensor"], row["first"], row["last"]),
    ).fetchone()
    return None if found is None else found[0]


def _finding(connection: sqlite3.Connection, identifier: str) -> dict[str, Any]:
    cursor = connection.execute("SELECT * FROM findings WHERE id = ?", (identifier,))
    return dict(zip((column[0] for column in cursor.description), cursor.fetchone(), strict=True))


def _kind(connection: sqlite3.Connection, run: int | None) -> str | None:
    found = connection.execute("SELECT kind FROM runs WHERE id = ?", (run,)).fetchone()
    return None if found is None else found[0]


def _parts(connection: sqlite3.Connection, table: str, column: str, row: int) -> Iterator[list[dict[str, Any]]]:
    """Parts of a row in its tables' order, `PARTS` at a time; once an empty list where there are none."""
    cursor = connection.execute(f"SELECT * FROM {table} WHERE {column} = ? ORDER BY 1, 2", (row,))  # noqa: S608
    names = [found[0] for found in cursor.description]
    rows = cursor.fetchmany(PARTS)
    while True:
        yield [{k: v for k, v in zip(names, values, strict=True) if k != column} for values in rows]
        rows = cursor.fetchmany(PARTS)
        if not rows:
            return
