"""The streams as a record again: a temporary one of the same tables, of which the same questions are asked.

Strategy: one point in time over both streams, so that the answer is of one moment; the rows' own objects, page by page,
into a temporary SQLite database that spills to disk. Only that is left to the cluster which cannot change an answer:
deltas wholly outside the time asked for stay there. With several records each gets a range of row ids of its own, the
one with the latest run the highest, so one record alone comes back with the very ids it had.

Three things are put right, since a stream is not a file: the same row twice (a rollover between two attempts) is one
row; rows of an audit whose run is not there yet do not count; and an audit of captures that another record holds
already is left out, as one record would have refused it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from monitor.elastic.cluster import Target, connect, told
from monitor.elastic.tables import SOURCES
from monitor.exit_status import OperatorMistake
from monitor.store.entry import AUDIT
from monitor.store.migrations import LATEST, migrate
from reports.visible import visible

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

PAGE: Final = 500
"""Documents of an answer: some MB with samples in them."""

KEEP: Final = "2m"
"""How long a point in time outlives a page."""

_SHIFT: Final = 40
"""Bits of a row id below the record's number: a trillion rows a record, eight million records."""

_PARTS: Final = {source.table: source.parts for source in SOURCES if source.parts is not None}
_SENT: Final = frozenset(source.table for source in SOURCES)


class NothingThere(OperatorMistake):
    """The cluster holds no record under this namespace."""


@contextmanager
def fetched(
    target: Target, window: tuple[int | None, int | None] = (None, None), captures: Sequence[str] | None = None
) -> Iterator[sqlite3.Connection]:
    """What the streams hold, as a record that can be read.

    window: only deltas that reach into it (from, to; nanoseconds). captures: nothing but the captures with these
    SHA-256. Raises NothingThere, OperatorMistake, OutOfReach.
    """
    connection = sqlite3.connect("", isolation_level=None)  # a file without a name, gone when it is closed
    try:
        _prepare(connection)
        with told(target):
            client = connect(target)
            try:
                _load(client, target, connection, window, captures)
            finally:
                client.close()
        _put_right(connection)
        connection.execute("PRAGMA query_only = ON")
        yield connection
    finally:
        connection.close()


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    migrate(connection)
    triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for (name,) in triggers:  # they guard the numbers of a record that is shipped
        connection.execute(f"DROP TRIGGER {name}")


# --- out of the streams -----------------------------------------------------------------------------------------------


def _load(
    client: Elasticsearch,
    target: Target,
    connection: sqlite3.Connection,
    window: tuple[int | None, int | None],
    captures: Sequence[str] | None,
) -> None:
    from elasticsearch import AuthorizationException

    try:
        client.indices.refresh(index=list(target.streams), ignore_unavailable=True)
    except AuthorizationException:
        pass  # a reader need not have the right; what is a second old is there
    opened = client.open_point_in_time(index=list(target.streams), keep_alive=KEEP, ignore_unavailable=True)
    pit = {"id": opened["id"], "keep_alive": KEEP}
    try:
        if not opened.get("_shards", {}).get("total", 1):  # servers before 8.16 do not say
            raise NothingThere(
                f"{target.name}: there is no record under the namespace {target.namespace} (edgewarden audit --store "
                "https://… makes one)"
            )
        rows = _Rows(connection)
        connection.execute("BEGIN")
        rows.enter_runs([hit for page in _pages(client, pit, {"filter": [_table("runs")]}) for hit in page])
        asked: dict[str, Any] = {"filter": _reaching(*window), "must_not": [_table("runs")]}
        if captures is not None:
            asked = {"filter": [_table("captures"), {"terms": {"edgewarden.capture.sha256": list(captures)}}]}
        for page in _pages(client, pit, asked):
            for hit in page:
                rows.enter(hit)
        rows.enter_missing_runs()
        connection.execute("COMMIT")
    finally:
        client.close_point_in_time(id=pit["id"])


def _table(name: str) -> dict[str, Any]:
    return {"term": {"edgewarden.record.table": name}}


def _reaching(time_from: int | None, time_to: int | None) -> list[dict[str, Any]]:
    """As a filter on the record has it (`last >= from`, `first < to`); rows without a time stay in."""
    asked = []
    for name, limit in (("last", {"gte": time_from}), ("first", {"lt": time_to})):
        if None not in limit.values():
            timeless = {"bool": {"must_not": [{"exists": {"field": f"edgewarden.{name}"}}]}}
            reaching = {"range": {f"edgewarden.{name}": limit}}
            asked.append({"bool": {"should": [timeless, reaching], "minimum_should_match": 1}})
    return asked


def _pages(client: Elasticsearch, pit: dict[str, Any], asked: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """What a query finds, in pages."""
    after = None
    while True:
        answer = client.search(
            pit=pit,
            query={"bool": asked},
            size=PAGE,
            sort=[{"_shard_doc": "asc"}],
            search_after=after,
            source_includes=["edgewarden.record", "edgewarden.run"],
            track_total_hits=False,
            allow_partial_search_results=False,
        )
        pit["id"] = answer.get("pit_id", pit["id"])
        hits = answer["hits"]["hits"]
        if not hits:
            return
        yield hits
        after = hits[-1]["sort"]


# --- into the tables --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Rows:
    """Rows of several records on their way into one."""

    connection: sqlite3.Connection
    numbers: dict[str, int] = field(default_factory=dict)  # record → its number
    columns: dict[str, list[str]] = field(default_factory=dict)
    pointers: dict[str, list[str]] = field(default_factory=dict)  # table → columns that hold row ids
    begun: dict[int, tuple[str, int]] = field(default_factory=dict)  # run → its kind, the first packet of its rows

    def enter_runs(self, hits: list[dict[str, Any]]) -> None:
        """All runs at once: the record with the latest one gets the highest number."""
        latest: dict[str, int] = {}
        for hit in hits:
            with _ours(hit) as record:
                latest[record["uuid"]] = max(latest.get(record["uuid"], 0), record["data"]["row"]["recorded"])
        for uuid in sorted(latest, key=lambda name: (latest[name], name)):
            self.numbers[uuid] = len(self.numbers)
        for hit in hits:
            self.enter(hit)

    def enter(self, hit: dict[str, Any]) -> None:
        """One object: its row, what it points to, and its parts. Raises OperatorMistake for what is none of ours."""
        with _ours(hit) as record:
            table, data = record["table"], record["data"]
            shift = self.numbers.setdefault(record["uuid"], len(self.numbers)) << _SHIFT
            if record["chunk"] == 0:
                self._enter_row(table, dict(data["row"]), data, shift)
                if "run" in data["row"]:
                    self._note_run(data["row"], hit["_source"]["edgewarden"]["run"].get("kind", AUDIT), shift)
            if table in _PARTS:
                parts, column = _PARTS[table]
                for part in data["parts"]:
                    self._insert(parts, {**part, column: record["row"] + shift})

    def enter_missing_runs(self) -> None:
        """The rows of a session or an audit may outlive the index that its run was shipped into, and count all the
        same. Of an audit that is only known where the record has a later run: else it is not yet shipped whole."""
        newest = dict(self.connection.execute("SELECT id >> ?, max(id) FROM runs GROUP BY 1", (_SHIFT,)).fetchall())
        for run, (kind, first) in self.begun.items():
            if kind != AUDIT or run < newest.get(run >> _SHIFT, 0):
                self.connection.execute(
                    "INSERT OR IGNORE INTO runs (id, kind, recorded, version, organization, topology, policy, verdict, "
                    "why) VALUES (?, ?, ?, '', '', '', '{}', '', '')",
                    (run, kind, first),
                )

    def _enter_row(self, table: str, row: dict[str, Any], data: dict[str, Any], shift: int) -> None:
        for name in self._pointers(table):
            if row.get(name) is not None:
                row[name] += shift
        if "finding" in data:
            self._insert("findings", data["finding"])
        if "wording" in data:
            row["wording"] = self._wording(row["wording"], data["wording"])
        self._insert(table, row)
        if table == "evidence":  # a slice that was cut anew has a new row, and pages come in any order
            self.connection.execute(
                "UPDATE evidence SET id = ?1, sha256 = ?2, packets = ?3 WHERE finding = ?4 AND path = ?5 AND id < ?1",
                [row[name] for name in ("id", "sha256", "packets", "finding", "path")],
            )

    def _note_run(self, row: dict[str, Any], kind: str, shift: int) -> None:
        first = row.get("first") or 0
        run = row["run"] + shift
        self.begun[run] = (kind, min(first, self.begun.get(run, (kind, first))[1]))

    def _wording(self, number: int, text: str) -> int:
        """The number of a text, which stands once."""
        self.connection.execute("INSERT OR IGNORE INTO wordings VALUES (?, ?)", (number, text))
        [found] = self.connection.execute("SELECT id FROM wordings WHERE text = ?", (text,)).fetchone()
        return int(found)

    def _insert(self, table: str, row: dict[str, Any]) -> None:
        """A row that is there already stays; columns of a later version than the row's keep their default."""
        names = [name for name in self._columns(table) if name in row]
        marks = ", ".join("?" * len(names))
        self.connection.execute(
            f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({marks})",  # noqa: S608 (names of our tables)
            [row[name] for name in names],
        )

    def _columns(self, table: str) -> list[str]:
        if table not in self.columns:
            described = self.connection.execute(f"PRAGMA table_info({table})").fetchall()
            self.columns[table] = [column[1] for column in described]
        return self.columns[table]

    def _pointers(self, table: str) -> list[str]:
        """Columns that hold row ids of one record: its own, and those of other tables but the texts."""
        if table not in self.pointers:
            keys = self.connection.execute(f"PRAGMA foreign_key_list({table})").fetchall()
            named = [key[3] for key in keys if key[4] == "id" and key[2] != "findings"]
            self.pointers[table] = ["id", *named, *(["evidence"] if table == "evidence_gone" else [])]
        return self.pointers[table]


@contextmanager
def _ours(hit: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The record's object in a document. Raises OperatorMistake where it is none of ours, or of a newer edgewarden."""
    try:
        record = hit["_source"]["edgewarden"]["record"]
        if record["version"] > LATEST:
            raise OperatorMistake(
                f"a row of version {record['version']}, shipped by a newer edgewarden; this one knows up to {LATEST}"
            )
        if record["table"] not in _SENT:
            raise KeyError(record["table"])
        yield record
    except (KeyError, TypeError, AttributeError, sqlite3.Error):
        where = visible(f"{hit.get('_index')}/{hit.get('_id')}")
        raise OperatorMistake(f"{where} is no document of edgewarden: somebody else wrote it there") from None


# --- put right --------------------------------------------------------------------------------------------------------


def _put_right(connection: sqlite3.Connection) -> None:
    for run in _recorded_before(connection):
        connection.execute("DELETE FROM runs WHERE id = ?", (run,))
    for source in SOURCES:
        if source.table not in ("runs", "evidence", "evidence_gone"):
            connection.execute(
                f"DELETE FROM {source.table} WHERE run NOT IN (SELECT id FROM runs)"  # noqa: S608
            )
    connection.execute("DELETE FROM attempt_sources WHERE delta NOT IN (SELECT id FROM attempt_deltas)")
    connection.execute("DELETE FROM config_findings WHERE run NOT IN (SELECT id FROM runs)")
    connection.execute(
        "DELETE FROM evidence WHERE id IN (SELECT evidence FROM evidence_gone) "
        "OR finding NOT IN (SELECT finding FROM finding_deltas)"
    )
    connection.execute("DELETE FROM findings WHERE id NOT IN (SELECT finding FROM finding_deltas)")


def _recorded_before(connection: sqlite3.Connection) -> list[int]:
    """Audits all of whose captures an earlier audit of another record holds (`Record.known`)."""
    captures: dict[int, list[tuple[Any, ...]]] = {}
    for run, *capture in connection.execute(
        "SELECT run, sha256, position, interface, window_from, window_to FROM captures ORDER BY id"
    ):
        captures.setdefault(run, []).append(tuple(capture))
    kept: list[tuple[int, tuple[Any, ...]]] = []
    left_out = []
    for (run,) in connection.execute("SELECT id FROM runs ORDER BY recorded, id"):
        own = captures.get(run, [])
        others = [capture for record, capture in kept if record != run >> _SHIFT]
        if own and all(any(_overlap(capture, other) for other in others) for capture in own):
            left_out.append(run)
        else:
            kept += [(run >> _SHIFT, capture) for capture in own]
    return left_out


def _overlap(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """The same octets at the same position, an interface in common (none named = all) and some time, too."""
    (sha256, position, interface, begin, end), (sha256_2, position_2, interface_2, begin_2, end_2) = one, other
    return bool(
        (sha256, position) == (sha256_2, position_2)
        and (interface is None or interface_2 is None or interface == interface_2)
        and (begin_2 is None or end is None or begin_2 < end)
        and (end_2 is None or begin is None or end_2 > begin)
    )
