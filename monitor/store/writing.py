"""What is written to an open record: whole audits, and the deltas of live sessions.

Strategy: one transaction for each, all or nothing; sums are only ever added to. Whether the file is still the one that
was opened is asked before each.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from monitor.aggregate import OTHER, SUBJECTS
from monitor.exit_status import OutputFailure
from monitor.rows import compact
from monitor.store import held, sights
from monitor.store.entry import AUDIT, SENSOR, Capture, Deltas, Entry, FindingDelta, LiveRun, Span
from monitor.store.trouble import patiently, told
from monitor.sums import Sums


class RecordGone(OutputFailure):
    """The file was removed or replaced under us: what is written to it now nobody will ever read."""

    def __init__(self, path: str) -> None:
        super().__init__(path, OSError(errno.ESTALE, "it was removed or replaced while in use"))


class Record:
    """An open record of version LATEST."""

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self.path = path
        self._file = held.identity(path)
        self.connection = connection
        self._closed = False
        held.take(self._file)
        self.patience: float | None = None  # seconds to wait for another process that writes; None: as long as usual

    def close(self) -> None:
        with held.LOCK:
            self.connection.close()
            if not self._closed:
                held.give(self._file)
            self._closed = True

    def add(self, entry: Entry, recorded: int) -> list[int]:
        """Write an entry in one transaction and return []; or, if some of its captures are in the record already,
        write nothing and return their places in `entry.captures`.

        recorded: now, in nanoseconds. Raises OutputFailure, OperatorMistake.
        """
        with self.transaction():
            known = self._known(entry.captures)
            if not known:
                self._insert(entry, recorded)
        return known

    def begin(self, run: LiveRun, recorded: int) -> int:
        """Enter a live session that begins; its number. Raises OutputFailure, OperatorMistake."""
        with self.transaction():
            number = self._row(
                "runs",
                kind=SENSOR,
                recorded=recorded,
                version=run.version,
                organization=run.organization,
                topology=run.topology,
                policy=run.policy,
                verdict="",
                why="",
                sensor=run.sensor,
                position=run.position,
                side=run.side,
                interfaces=compact(run.interfaces),
                scope=run.scope,
            )
            self._insert_config(number, run.config)
            self._insert_span(number, Span(recorded, recorded))
        return number

    def has_finding(self, finding: str) -> bool:
        """Raises OutputFailure, OperatorMistake."""
        with told(self.path):
            found = self.connection.execute("SELECT 1 FROM findings WHERE id = ?", (finding,)).fetchone()
        return found is not None

    def digest_of(self, path: str) -> str | None:
        """SHA-256 of the evidence at a place. Raises OutputFailure, OperatorMistake."""
        with told(self.path):
            found = self.connection.execute("SELECT sha256 FROM evidence WHERE path = ?", (path,)).fetchone()
        return None if found is None else str(found[0])

    def append(self, run: int, deltas: Deltas, *, without: Sequence[str] = ()) -> None:
        """Add to a live session, all or nothing. without: places of evidence that is no more.

        Raises OutputFailure, OperatorMistake.
        """
        with self.transaction():
            self._insert_deltas(run, deltas)
            sights.insert(self.connection, run, deltas.sights)
            self.connection.executemany("DELETE FROM evidence WHERE path = ?", ((path,) for path in without))
            if deltas.span is not None:
                self._insert_span(run, deltas.span)

    def interrupt(self, run: int, began: int, fed: int) -> int:
        """Enter what a live session that was killed had read and not recorded; how many packets that was.

        fed: packets it had read. began: when, so that a record made anew is not taken for the one it wrote.
        """
        with self.transaction():
            known = self.connection.execute(
                "SELECT max(last), sum(packets + interrupted), max(coalesce(closed, 0)) FROM coverage "
                "WHERE run = (SELECT id FROM runs WHERE id = ? AND recorded = ? AND kind = ?)",
                (run, began, SENSOR),
            ).fetchone()
            last, counted, closed = known
            lost = fed - counted if last is not None and not closed else 0
            if lost > 0:
                self._insert_span(run, Span(last, last, interrupted=lost))
        return max(lost, 0)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; nothing where the body leaves by an exception. Raises OutputFailure, OperatorMistake."""
        with told(self.path):
            if held.identity(self.path) != self._file:
                raise RecordGone(self.path)
            patiently(lambda: self.connection.execute("BEGIN IMMEDIATE"), self.patience)
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:  # a full disk may have ended it
                    self.connection.execute("ROLLBACK")
                raise

    def known(self, captures: Sequence[Capture]) -> list[int]:
        """Places of the captures that are in the record already."""
        with told(self.path):
            return self._known(captures)

    def _known(self, captures: Sequence[Capture]) -> list[int]:
        """A capture counts once for each position, whatever its sensor is called: it is known when the same octets were
        counted there for an overlapping time and an interface in common (none named = all), also by an earlier one of
        the list."""
        places = []
        taken: list[Capture] = []
        for place, capture in enumerate(captures):
            found = self.connection.execute(
                "SELECT 1 FROM captures WHERE sha256 = ?1 AND position = ?2 "
                "AND (interface IS NULL OR ?3 IS NULL OR interface = ?3) "
                "AND (window_from IS NULL OR ?5 IS NULL OR window_from < ?5) "
                "AND (window_to IS NULL OR ?4 IS NULL OR window_to > ?4) LIMIT 1",
                (capture.sha256, capture.position, capture.interface, *capture.window),
            ).fetchone()
            if found or any(_same(capture, other) for other in taken):
                places.append(place)
            else:
                taken.append(capture)
        return places

    def _insert(self, entry: Entry, recorded: int) -> None:
        run = self._row(
            "runs",
            kind=AUDIT,
            recorded=recorded,
            version=entry.version,
            organization=entry.organization,
            topology=entry.topology,
            policy=entry.policy,
            verdict=entry.verdict,
            why=entry.why,
            scope=entry.scope,
        )
        for capture in entry.captures:
            self._insert_capture(run, capture)
        self._insert_deltas(run, entry)
        self._insert_config(run, entry.config)

    def insert_findings(self, run: int, deltas: Iterable[FindingDelta]) -> None:
        """In a transaction that is open."""
        for delta in self._with_room(deltas):
            self._insert_finding(run, delta)

    def _insert_deltas(self, run: int, entry: Entry | Deltas) -> None:
        self.insert_findings(run, entry.findings)
        for attempt in entry.attempts:
            number = self._row(
                "attempt_deltas",
                run=run,
                rule=attempt.rule,
                severity=attempt.severity,
                sensor=attempt.sensor,
                position=attempt.position,
                source_component=attempt.source,
                destination_component=attempt.destination,
                ports=attempt.ports.ranges(),
                **_sums(attempt.sums),
            )
            self.connection.executemany(
                "INSERT INTO attempt_sources VALUES (?, ?)", ((number, address) for address in attempt.addresses)
            )
        for table, column, counts in (
            ("verdict_deltas", "verdict", entry.verdicts),
            ("path_deltas", "path", entry.paths),
        ):
            for count in counts:
                named = {column: count.name, "sensor": count.sensor, "position": count.position}
                self._row(table, run=run, **named, **_sums(count.sums))
        for evidence in entry.evidence:
            self.connection.execute(
                "INSERT OR REPLACE INTO evidence (finding, path, sha256, packets) "
                "SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM findings WHERE id = ?1)",
                (evidence.finding, evidence.path, evidence.sha256, evidence.packets),
            )

    def _insert_config(self, run: int, findings: Sequence[str]) -> None:
        for place, finding in enumerate(findings):
            self._row("config_findings", run=run, number=place, finding=finding)

    def _insert_span(self, run: int, span: Span) -> None:
        sensor, position, side = self.connection.execute(
            "SELECT sensor, position, side FROM runs WHERE id = ?", (run,)
        ).fetchone()
        self._row(
            "coverage",
            run=run,
            sensor=sensor,
            position=position,
            side=side,
            first=span.first,
            last=span.last,
            packets=span.packets,
            bytes=span.octets,
            accounting=compact(span.accounting),
            quality=compact(span.quality),
            kernel=span.kernel,
            nic=span.nic,
            queue=span.queue,
            interrupted=span.interrupted,
            one_way=int(span.one_way),
            closed=int(span.closed),
        )

    def _insert_capture(self, run: int, capture: Capture) -> None:
        number = self._row(
            "captures",
            run=run,
            sha256=capture.sha256,
            sensor=capture.sensor,
            position=capture.position,
            interface=capture.interface,
            path=capture.path,
            size=capture.size,
            window_from=capture.window[0],
            window_to=capture.window[1],
            complete=int(capture.complete),
        )
        self._row(
            "coverage",
            run=run,
            capture=number,
            sensor=capture.sensor,
            position=capture.position,
            side=capture.side,
            first=capture.first,
            last=capture.last,
            packets=capture.packets,
            bytes=capture.octets,
            accounting=capture.accounting,
            quality=capture.quality,
        )

    def _with_room(self, deltas: Iterable[FindingDelta]) -> Iterator[FindingDelta]:
        """Deltas whose subject is among the first `SUBJECTS` of its rule in this record, the others as `OTHER`."""
        subjects: dict[str, set[str]] = {}
        for delta in sorted(deltas, key=lambda delta: (delta.sums.first or 0, delta.subject)):
            if delta.rule not in subjects:
                rows = self.connection.execute("SELECT DISTINCT subject FROM findings WHERE rule = ?", (delta.rule,))
                subjects[delta.rule] = {subject for (subject,) in rows} - {"", OTHER}
            known = subjects[delta.rule]
            if delta.subject not in ("", OTHER) and delta.subject not in known:
                if len(known) >= SUBJECTS:
                    yield delta.without_subject()
                    continue
                known.add(delta.subject)
            yield delta

    def _insert_finding(self, run: int, delta: FindingDelta) -> None:
        self.connection.execute(
            "INSERT OR IGNORE INTO findings VALUES (?, ?, ?, ?, ?, ?)",
            (delta.finding, delta.rule, delta.position, delta.source, delta.destination, delta.subject),
        )
        self.connection.execute("INSERT OR IGNORE INTO wordings (text) VALUES (?)", (delta.wording,))
        [wording] = self.connection.execute("SELECT id FROM wordings WHERE text = ?", (delta.wording,)).fetchone()
        self._row(
            "finding_deltas",
            run=run,
            finding=delta.finding,
            sensor=delta.sensor,
            wording=wording,
            ports=delta.ports.ranges(),
            **_sums(delta.sums),
        )
        for sample in delta.samples:
            self._row(
                "flows",
                run=run,
                finding=delta.finding,
                sensor=delta.sensor,
                first=sample.first,
                last=sample.last,
                place=sample.place,
                sample=sample.text,
            )

    def _row(self, table: str, **values: str | int | None) -> int:
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        made = self.connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608 (names of our own tables and columns)
            tuple(values.values()),
        )
        assert made.lastrowid is not None
        return made.lastrowid


def _same(one: Capture, other: Capture) -> bool:
    """Whether two captures of one audit, which all have the same window, hold the same packets."""
    return (one.sha256, one.position) == (other.sha256, other.position) and (
        one.interface is None or other.interface is None or one.interface == other.interface
    )


def _sums(sums: Sums) -> dict[str, int | None]:
    return {
        "flows": sums.flows,
        "packets": sums.packets,
        "bytes": sums.octets,
        "first": sums.first,
        "last": sums.last,
    }
