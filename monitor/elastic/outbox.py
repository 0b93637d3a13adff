"""The way from the record into the cluster: every row once, in the order of the tables, whatever breaks on the way.

Strategy: a cursor in the record says, for each table and target, up to which row the streams hold everything. What lies
behind it is sent as `create` under an id that follows from the row (`tables`), in batches; a batch that the cluster
acknowledged moves the cursor. Streams refuse an id twice only in the index that is written at the moment, and after a
rollover they take it again; so wherever an earlier attempt may have arrived (the rows that were there when this process
began, and everything after an answer that did not come) the whole stream is asked first, and only what is missing is
sent. Rows younger than the process were never sent by anybody: one process ships a record at a time, by a lock.

A row that the cluster refuses for what it holds goes to the dead letters, with the reason, and the others go on; they
are tried once more whenever a process begins. All else (busy, away, no rights, no space) is no fault of a row: the
batch waits and is tried again.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event, Timer
from typing import TYPE_CHECKING, Any, Final

from monitor.elastic import templates
from monitor.elastic.cluster import Target, connect, identity, reason, told
from monitor.elastic.documents import document
from monitor.elastic.tables import SOURCES, Piece, Source, bounds, pieces, sample_of
from monitor.exit_status import DONE, MISTAKE, OperatorMistake, OutOfReach, OutputFailure
from monitor.live.launcher import ENDING, Signals
from monitor.store.migrations import version
from monitor.store.sqlite import open_record
from monitor.store.writing import Record

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

    from monitor.cli.messages import Messages

ROWS: Final = 500
OCTETS: Final = 4 << 20
"""Of a batch, whichever comes first: Elastic advises some MB; its limit, and that of gateways, is above."""

POLL: Final = 0.5
"""Seconds between two looks for new rows: what is asked is one number that SQLite keeps in shared memory."""

FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0
"""Seconds after a failure: doubled each time, half of it at random, so that sensors which lost the cluster
together do not come back together."""

LAST_TRY: Final = 10.0
"""Seconds that what is left may take when the process is told to end; what does not go is shipped next time."""

QUIET: Final = 1.0
"""Seconds without a new row after which nobody is expected to write any more: sensors drain in less."""

_ABOUT_THE_ROW: Final = frozenset(
    {"document_parsing_exception", "mapper_parsing_exception", "illegal_argument_exception"}
)


@dataclass(slots=True)
class _Item:
    """A document on its way."""

    piece: Piece
    identifier: str
    body: bytes
    refused: str = ""


class Outbox:
    """One record and one target. `with` it: no other process ships the record meanwhile."""

    def __init__(self, path: str, target: Target) -> None:
        self._path = path
        self._target = target
        self._client: Elasticsearch | None = None
        self._identity = ""
        self._unsure: dict[str, int] = {}  # table → rows up to this one may have been sent before
        self._searchable = False  # whether what was sent before can be found
        self._record: Record | None = None

    def __enter__(self) -> Outbox:
        """Raises OperatorMistake, OutputFailure."""
        self._lock = _lock(self._path)
        try:
            self._record = open_record(self._path, writing=True)
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def __exit__(self, *error: object) -> None:
        assert self._record is not None
        self._record.close()
        if self._client is not None:
            self._client.close()
        os.close(self._lock)

    @property
    def record(self) -> Record:
        assert self._record is not None
        return self._record

    def ship(self, stop: Event | None = None) -> int:
        """Ship what was there when it began, or until `stop`; how many rows went. Raises OutOfReach, OperatorMistake,
        OutputFailure; then the rest is for the next time."""
        went = 0
        try:
            with told(self._target):
                client = self._connected()
                newest = bounds(self.record.connection)
                for source in SOURCES:
                    after = self._cursor(source)
                    while items := self._batch(source, after, newest[source.table]):
                        if stop is not None and stop.is_set():
                            return went
                        self._deliver(client, source, items)
                        after = items[-1].piece.row
                        went += len({item.piece.row for item in items})
        except (OutOfReach, OperatorMistake) as error:
            self._doubt()
            self._note_failure(str(error))
            raise
        return went

    def refresh(self) -> None:
        """Make what was shipped visible to searches, where we may."""
        with told(self._target):
            _refresh(self._connected(), self._target.streams)

    # --- what is behind the cursor ------------------------------------------------------------------------------------

    def _connected(self) -> Elasticsearch:
        """The client, once the templates are there and the dead letters have had their second chance."""
        if self._client is None:
            self._client = connect(self._target)
        if not self._identity:
            _ensure_templates(self._client, self._target)
            self._doubt()
            self._identity = identity(self._client, self._target)
            with self.record.transaction() as record:
                record.execute(
                    "INSERT INTO outbox_targets VALUES (?1, ?2, NULL, NULL, '') "
                    "ON CONFLICT (target) DO UPDATE SET hosts = ?2",
                    (self._identity, self._target.name),
                )
            self._retry_dead(self._client)
        return self._client

    def _doubt(self) -> None:
        """From here on all that is in the record may have been sent already."""
        self._unsure = bounds(self.record.connection)
        self._searchable = False

    def _cursor(self, source: Source) -> int:
        found = self.record.connection.execute(
            "SELECT row FROM outbox_cursors WHERE target = ? AND source = ?", (self._identity, source.table)
        ).fetchone()
        return 0 if found is None else int(found[0])

    def _batch(self, source: Source, after: int, until: int) -> list[_Item]:
        """The next rows, each whole, so that the cursor can stand behind them; read to the end, since SQLite lets
        nobody write who still reads from before another's writing."""
        batch: list[_Item] = []
        octets = 0
        for piece in pieces(self.record.connection, source, after, until):
            if piece.chunk == 0 and (len(batch) >= ROWS or octets >= OCTETS):
                break
            batch.append(self._item(piece))
            octets += len(batch[-1].body)
        return batch

    def _item(self, piece: Piece) -> _Item:
        connection = self.record.connection
        [record] = connection.execute("SELECT uuid FROM record").fetchone()
        sample = sample_of(connection, piece.data["row"]) if piece.source.table == "finding_deltas" else None
        made = document(piece, record, version(connection), self._target.namespace, sample)
        return _Item(piece, piece.identifier(record), json.dumps(made, ensure_ascii=False).encode())

    # --- one batch ----------------------------------------------------------------------------------------------------

    def _deliver(self, client: Elasticsearch, source: Source, items: list[_Item]) -> None:
        """Send a batch and move the cursor behind it. Raises what the client raises, OutOfReach."""
        stream = self._stream(source)
        missing = items
        if items[0].piece.row <= self._unsure.get(source.table, 0):
            if not self._searchable:  # once will do: since then nobody has sent what is asked for
                _refresh(client, self._target.streams)
                self._searchable = True
            missing = self._absent(client, stream, items)
        self._create(client, stream, missing)
        now = time.time_ns()
        with self.record.transaction() as record:
            record.executemany(
                "INSERT OR REPLACE INTO dead_letters VALUES (?, ?, ?, ?, ?)",
                [(self._identity, source.table, item.piece.row, item.refused, now) for item in items if item.refused],
            )
            record.execute(
                "INSERT OR REPLACE INTO outbox_cursors VALUES (?, ?, ?)",
                (self._identity, source.table, items[-1].piece.row),
            )
            record.execute(
                "UPDATE outbox_targets SET acknowledged = ?, failed = NULL, failure = '' WHERE target = ?",
                (now, self._identity),
            )

    def _create(self, client: Elasticsearch, stream: str, items: Sequence[_Item]) -> None:
        """Send; each item is in the stream afterwards or `refused`. Raises what the client raises, OutOfReach."""
        from elasticsearch import ApiError

        if not items:
            return
        lines: list[Any] = [part for item in items for part in ({"create": {"_id": item.identifier}}, item.body)]
        try:
            answer = client.bulk(
                index=stream,
                operations=lines,
                require_data_stream=True,
                filter_path="items.create.status,items.create.error,items.create.failure_store",
            )
        except ApiError as error:
            if error.status_code != 413:
                raise
            if len(items) == 1:
                items[0].refused = "too large for the cluster or a gateway before it (413)"
                return
            half = len(items) // 2
            self._create(client, stream, items[:half])
            self._create(client, stream, items[half:])
            return
        known: list[_Item] = []
        for item, result in zip(items, answer["items"], strict=True):
            self._read_result(item, result["create"], known)
        if known:
            _refresh(client, [stream])
            if lost := self._absent(client, stream, known):
                raise OutOfReach(
                    f"{self._target.name}: {len(lost)} rows are said to be in {stream} and cannot be found"
                )

    def _read_result(self, item: _Item, result: dict[str, Any], known: list[_Item]) -> None:
        """Raises OutOfReach, OperatorMistake for what is no fault of the row."""
        status, error = result["status"], result.get("error") or {}
        if status == 409:
            known.append(item)
        elif result.get("failure_store") == "used":
            item.refused = "put into the failure store of the stream: its fields do not fit the mapping there"
        elif status == 400 and error.get("type") in _ABOUT_THE_ROW:
            item.refused = reason({"error": error})
        elif status == 403:
            raise OperatorMistake(f"{self._target.name}: does not let us write: {reason({'error': error})}")
        elif status >= 300:
            raise OutOfReach(f"{self._target.name}: cannot take rows now ({status}): {reason({'error': error})}")

    def _absent(self, client: Elasticsearch, stream: str, items: Sequence[_Item]) -> list[_Item]:
        """Items that are in none of the stream's indices; one whose place another row has is `refused`."""
        answer = client.search(
            index=stream,
            query={"ids": {"values": [item.identifier for item in items]}},
            size=2 * len(items),
            source_includes=["edgewarden.record.data.row"],
            ignore_unavailable=True,
            allow_partial_search_results=False,
        )
        found = {hit["_id"]: hit["_source"] for hit in answer["hits"]["hits"]}
        missing = []
        for item in items:
            if item.identifier not in found:
                missing.append(item)
            elif not _same(found[item.identifier], item.piece):
                item.refused = "another row stands in its place there: is this record a copy of one that was shipped?"
        return missing

    def _stream(self, source: Source) -> str:
        return self._target.violations if source.violations else self._target.coverage

    # --- what did not go ----------------------------------------------------------------------------------------------

    def _retry_dead(self, client: Elasticsearch) -> None:
        """What was refused once more: the mapping may have been mended."""
        connection = self.record.connection
        for source in SOURCES:
            letters = connection.execute(
                "SELECT row FROM dead_letters WHERE target = ? AND source = ? ORDER BY row",
                (self._identity, source.table),
            ).fetchall()
            for begin in range(0, len(letters), ROWS):
                numbers = [row for (row,) in letters[begin : begin + ROWS]]
                items = [self._item(p) for row in numbers for p in pieces(connection, source, row - 1, row)]
                self._create(client, self._stream(source), self._absent(client, self._stream(source), items))
                refused = {item.piece.row for item in items if item.refused}
                with self.record.transaction() as record:
                    record.executemany(
                        "DELETE FROM dead_letters WHERE target = ? AND source = ? AND row = ?",
                        [(self._identity, source.table, row) for row in numbers if row not in refused],
                    )

    def _note_failure(self, sentence: str) -> None:
        """For `elastic status`. A target that was never reached has no row, and the message is all there is."""
        with self.record.transaction() as record:
            record.execute(
                "UPDATE outbox_targets SET failed = ?, failure = ? WHERE target = ?",
                (time.time_ns(), sentence, self._identity),
            )

    def changes(self) -> int:
        """A number that is another one when somebody else has written into the record."""
        return int(self.record.connection.execute("PRAGMA data_version").fetchone()[0])

    def dead(self) -> int:
        """Rows that the cluster refused and still does not have."""
        [count] = self.record.connection.execute(
            "SELECT count(*) FROM dead_letters WHERE target = ?", (self._identity,)
        ).fetchone()
        return int(count)


def serve(path: str, target: Target, signals: Signals, messages: Messages) -> int:
    """A worker of the service: ship a record until told to end; the exit status."""
    stop = Event()
    for number in ENDING:
        signal.signal(number, lambda number, frame: stop.set())
    signals.release()
    try:
        follow(path, target, stop, messages)
    except OperatorMistake as error:
        messages.error(str(error))
        return MISTAKE
    except OutputFailure as error:
        messages.error(str(error))
        return error.status
    finally:
        signals.hold()
    return DONE


def follow(path: str, target: Target, stop: Event, messages: Messages) -> None:
    """Ship a record as it grows until told to stop. Raises OperatorMistake, OutputFailure when the record fails."""
    with Outbox(path, target) as outbox:
        wait, failed = FIRST_WAIT, ""
        seen = -1
        while not stop.is_set():
            changed = outbox.changes()
            if changed == seen and not failed:
                stop.wait(POLL)
                continue
            try:
                outbox.ship(stop)
            except (OutOfReach, OperatorMistake) as error:
                if str(error) != failed:
                    messages.warning(f"{error}; what is not shipped stays in the record, and is tried again")
                failed = str(error)
                stop.wait(random.uniform(wait / 2, wait))  # noqa: S311 (spreads retries, guards nothing)
                wait = min(2 * wait, LONGEST_WAIT)
                continue
            if failed:
                messages.note(f"{target.name}: takes rows again")
            wait, failed, seen = FIRST_WAIT, "", changed
        if not failed:
            _last_try(outbox)


def _last_try(outbox: Outbox) -> None:
    """What others write while they are told to end as we are, until nobody has written for `QUIET`."""
    over = Event()
    timer = Timer(LAST_TRY, over.set)
    timer.daemon = True
    timer.start()
    try:
        seen, quiet = -1, time.monotonic()
        while not over.is_set() and time.monotonic() - quiet < QUIET:
            if (changed := outbox.changes()) != seen:
                outbox.ship(over)
                seen, quiet = changed, time.monotonic()
            over.wait(POLL / 5)
    except (OutOfReach, OperatorMistake):
        pass  # the cluster went away with us; the next start ships what is left
    finally:
        timer.cancel()


def _ensure_templates(client: Elasticsearch, target: Target) -> None:
    """Without our templates the first document would make a stream of somebody else's shape."""
    from elasticsearch import AuthorizationException

    try:
        missing = [change.name for change in templates.compare(client) if change.action == "made"]
    except AuthorizationException:
        return  # we may not see them; `require_data_stream` keeps us from making a plain index
    if not missing:
        return
    try:
        templates.setup(client, target)
    except AuthorizationException:
        raise OperatorMistake(
            f"{target.name}: has no templates of edgewarden, and we may not make them: run `edgewarden elastic setup` "
            "as a user with the privilege manage_index_templates"
        ) from None


def _refresh(client: Elasticsearch, streams: Sequence[str]) -> None:
    from elasticsearch import AuthorizationException

    try:
        client.indices.refresh(index=list(streams), ignore_unavailable=True)
    except AuthorizationException:
        pass  # without the right `maintenance` what is not a second old may be missed


def _same(found: dict[str, Any], piece: Piece) -> bool:
    """Whether a document holds this row: in the columns that both know, since a newer edgewarden may know more."""
    try:
        there = found["edgewarden"]["record"]["data"].get("row", {})
    except (KeyError, TypeError, AttributeError):
        return False
    ours = piece.data.get("row", {})
    return isinstance(there, dict) and all(there[key] == ours[key] for key in ours.keys() & there.keys())


def _lock(path: str) -> int:
    """The right to ship this record. Raises OperatorMistake, OutputFailure."""
    name = f"{path}-outbox"  # a file of its own: closing a second handle of the record would free SQLite's own locks
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)  # also for whom we are tomorrow
    except OSError as error:
        raise OutputFailure(name, error) from error
    until = time.monotonic() + LAST_TRY
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(descriptor)
                raise OperatorMistake(f"{path}: another process ships this record") from None
            time.sleep(0.1)
