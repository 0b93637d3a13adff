"""What is in a record, as numbered steps from an empty file to today.

Strategy: each step runs in a transaction of its own together with the row that says it was done, so a killed process
leaves a record of one version or the next and nothing between. A step is never changed once released; new ones are
added at the end. A record that knows more steps than this list comes from a newer edgewarden and is not touched.

Counts are deltas: rows are added and never changed, and whatever is asked for is a sum over rows. A live flow that
turned out to be another thing is taken back by rows with counts below 0, whose times say only in which quarter of an
hour it had been counted. A delta belongs to the time in which its `first` lies: none reaches over a quarter with it, so
days of any zone are exact. Times are nanoseconds since 1970 UTC. Texts of foreign origin were made visible before they
came here.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

APPLICATION: Final = 0x45444757
"""`application_id` of the file header ("EDGW"), by which a record is told from other SQLite files."""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    statements: tuple[str, ...]


MIGRATIONS: Final = (
    Migration(
        1,
        "audits, their captures, and what the sensors watched",
        (
            """CREATE TABLE runs (
                id INTEGER PRIMARY KEY, kind TEXT NOT NULL, recorded INTEGER NOT NULL, version TEXT NOT NULL,
                organization TEXT NOT NULL, topology TEXT NOT NULL, policy TEXT NOT NULL, verdict TEXT NOT NULL,
                why TEXT NOT NULL)""",
            # One row a capture that was counted; window_from/window_to: the packets that were asked for, NULL = all.
            """CREATE TABLE captures (
                id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs (id), sha256 TEXT NOT NULL,
                sensor TEXT NOT NULL, position TEXT NOT NULL, interface INTEGER, path TEXT NOT NULL,
                size INTEGER NOT NULL, window_from INTEGER, window_to INTEGER, complete INTEGER NOT NULL)""",
            "CREATE INDEX captures_by_content ON captures (sha256)",
            """CREATE TABLE coverage (
                id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs (id),
                capture INTEGER REFERENCES captures (id), sensor TEXT NOT NULL, position TEXT NOT NULL, side TEXT,
                first INTEGER, last INTEGER, packets INTEGER NOT NULL, bytes INTEGER NOT NULL,
                accounting TEXT NOT NULL, quality TEXT NOT NULL)""",
        ),
    ),
    Migration(
        2,
        "findings, attempts, verdicts and paths as deltas",
        (
            # What makes two flows the same finding; the id is its fingerprint.
            """CREATE TABLE findings (
                id TEXT PRIMARY KEY, rule TEXT NOT NULL, position TEXT NOT NULL, source_component TEXT,
                destination_component TEXT, subject TEXT NOT NULL) WITHOUT ROWID""",
            "CREATE INDEX findings_by_rule ON findings (rule, subject)",
            # What the earliest flow of a delta says of its finding, in JSON; equal texts are kept once.
            "CREATE TABLE wordings (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
            """CREATE TABLE finding_deltas (
                id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs (id),
                finding TEXT NOT NULL REFERENCES findings (id), sensor TEXT NOT NULL,
                wording INTEGER NOT NULL REFERENCES wordings (id), flows INTEGER NOT NULL, packets INTEGER NOT NULL,
                bytes INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, ports TEXT NOT NULL)""",
            "CREATE INDEX finding_deltas_by_finding ON finding_deltas (finding)",
            # Violating flows that were kept as samples; place: sort key within the finding, JSON.
            """CREATE TABLE flows (
                id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs (id),
                finding TEXT NOT NULL REFERENCES findings (id), sensor TEXT NOT NULL, first INTEGER NOT NULL,
                last INTEGER NOT NULL, place TEXT NOT NULL, sample TEXT NOT NULL)""",
            "CREATE INDEX flows_by_finding ON flows (finding, first)",
            """CREATE TABLE evidence (
                finding TEXT NOT NULL REFERENCES findings (id), path TEXT NOT NULL, sha256 TEXT NOT NULL,
                packets INTEGER NOT NULL, PRIMARY KEY (finding, path)) WITHOUT ROWID""",
            # Findings about the declared design: nothing to sum, those of the last run hold.
            """CREATE TABLE config_findings (
                run INTEGER NOT NULL REFERENCES runs (id), number INTEGER NOT NULL, finding TEXT NOT NULL,
                PRIMARY KEY (run, number)) WITHOUT ROWID""",
            """CREATE TABLE attempt_deltas (
                id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs (id), rule TEXT NOT NULL,
                severity TEXT NOT NULL, sensor TEXT NOT NULL, position TEXT NOT NULL, source_component TEXT,
                destination_component TEXT, flows INTEGER NOT NULL, packets INTEGER NOT NULL, bytes INTEGER NOT NULL,
                first INTEGER NOT NULL, last INTEGER NOT NULL, ports TEXT NOT NULL)""",
            # Addresses, since the sources of two deltas are counted together and not added.
            """CREATE TABLE attempt_sources (
                delta INTEGER NOT NULL REFERENCES attempt_deltas (id), address TEXT NOT NULL,
                PRIMARY KEY (delta, address)) WITHOUT ROWID""",
            """CREATE TABLE verdict_deltas (
                id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs (id), sensor TEXT NOT NULL,
                position TEXT NOT NULL, verdict TEXT NOT NULL, flows INTEGER NOT NULL, packets INTEGER NOT NULL,
                bytes INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL)""",
            """CREATE TABLE path_deltas (
                id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs (id), sensor TEXT NOT NULL,
                position TEXT NOT NULL, path TEXT NOT NULL, flows INTEGER NOT NULL, packets INTEGER NOT NULL,
                bytes INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL)""",
        ),
    ),
    Migration(
        3,
        "the record's own name, and what of it was shipped where",
        (
            # By which rows of several machines are told apart where they meet.
            "CREATE TABLE record (uuid TEXT NOT NULL)",
            "INSERT INTO record VALUES (lower(hex(randomblob(16))))",
            # Rows of a table up to this one are in the streams of a target (cluster and namespace).
            """CREATE TABLE outbox_cursors (
                target TEXT NOT NULL, source TEXT NOT NULL, row INTEGER NOT NULL,
                PRIMARY KEY (target, source)) WITHOUT ROWID""",
            """CREATE TABLE outbox_targets (
                target TEXT PRIMARY KEY, hosts TEXT NOT NULL, acknowledged INTEGER, failed INTEGER,
                failure TEXT NOT NULL) WITHOUT ROWID""",
            # Rows that the target refused for what they hold.
            """CREATE TABLE dead_letters (
                target TEXT NOT NULL, source TEXT NOT NULL, row INTEGER NOT NULL, reason TEXT NOT NULL,
                since INTEGER NOT NULL, PRIMARY KEY (target, source, row)) WITHOUT ROWID""",
            # Evidence gets a number that is never used again, since a slice that is cut anew replaces its row.
            """CREATE TABLE evidence_numbered (
                id INTEGER PRIMARY KEY AUTOINCREMENT, finding TEXT NOT NULL REFERENCES findings (id),
                path TEXT NOT NULL, sha256 TEXT NOT NULL, packets INTEGER NOT NULL, UNIQUE (finding, path))""",
            "INSERT INTO evidence_numbered (finding, path, sha256, packets) "
            "SELECT finding, path, sha256, packets FROM evidence ORDER BY finding, path",
            "DROP TABLE evidence",
            "ALTER TABLE evidence_numbered RENAME TO evidence",
            # The newest row of a table stays whoever prunes it: SQLite would give its number to another row, which
            # then would pass for shipped.
            *(
                f"CREATE TRIGGER {table}_newest_stays BEFORE DELETE ON {table} "  # noqa: S608 (names of our tables)
                f"WHEN OLD.id = (SELECT max(id) FROM {table}) BEGIN SELECT RAISE(IGNORE); END"
                for table in (
                    "runs",
                    "captures",
                    "coverage",
                    "finding_deltas",
                    "flows",
                    "attempt_deltas",
                    "verdict_deltas",
                    "path_deltas",
                )
            ),
        ),
    ),
    Migration(
        4,
        "live runs: spans watched, losses, and what is taken back",
        (
            # Of a run of kind `sensor`; of an audit the captures say it. interfaces: JSON.
            "ALTER TABLE runs ADD COLUMN sensor TEXT",
            "ALTER TABLE runs ADD COLUMN position TEXT",
            "ALTER TABLE runs ADD COLUMN side TEXT",
            "ALTER TABLE runs ADD COLUMN interfaces TEXT",
            # Of a live run first and last are the wall time watched, and rows are deltas as all others. Packets lost
            # before they were counted under `packets`: by the kernel, by the card, still waiting when the sensor
            # ended, read but not yet recorded when it was killed. closed: NULL of an audit, 1 in the last row of a run
            # that ended in order. one_way: as known up to here, the newest row of a run counts.
            *(
                f"ALTER TABLE coverage ADD COLUMN {name} INTEGER NOT NULL DEFAULT 0"
                for name in ("kernel", "nic", "queue", "interrupted", "one_way")
            ),
            "ALTER TABLE coverage ADD COLUMN closed INTEGER",
            "CREATE INDEX coverage_by_run ON coverage (run)",
            "CREATE INDEX coverage_by_time ON coverage (first)",
            "CREATE INDEX finding_deltas_by_time ON finding_deltas (first)",
            "CREATE INDEX attempt_deltas_by_time ON attempt_deltas (first)",
            "CREATE INDEX verdict_deltas_by_time ON verdict_deltas (first)",
            "CREATE INDEX path_deltas_by_time ON path_deltas (first)",
        ),
    ),
    Migration(
        5,
        "what stands behind a run's silence, and the reports that were made",
        (
            # JSON of reports.source.Scope, without what is as it is there by default.
            "ALTER TABLE runs ADD COLUMN scope TEXT NOT NULL DEFAULT '{}'",
            # One row a report that a schedule made; files: paths, JSON. asked: out of turn; partial: before its end.
            """CREATE TABLE report_runs (
                id INTEGER PRIMARY KEY, schedule TEXT NOT NULL, label TEXT NOT NULL, start INTEGER NOT NULL,
                end INTEGER NOT NULL, asked INTEGER NOT NULL, partial INTEGER NOT NULL, made INTEGER NOT NULL,
                files TEXT NOT NULL)""",
            "CREATE UNIQUE INDEX reports_once ON report_runs (schedule, start, end) WHERE NOT asked AND NOT partial",
        ),
    ),
    Migration(
        6,
        "evidence that is no more",
        (
            # Deltas are taken back by deltas; of a slice that was deleted those to whom it was shipped learn by a row.
            "CREATE TABLE evidence_gone (id INTEGER PRIMARY KEY AUTOINCREMENT, evidence INTEGER NOT NULL)",
            "CREATE TRIGGER evidence_goes AFTER DELETE ON evidence "
            "BEGIN INSERT INTO evidence_gone (evidence) VALUES (OLD.id); END",
        ),
    ),
    Migration(
        7,
        "flows that live sensors show one another",
        (
            # Deleted after minutes (kept: after `expires`). flows: see `monitor.store.sights`.
            """CREATE TABLE sights (
                id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, until INTEGER NOT NULL,
                kept INTEGER NOT NULL, expires INTEGER NOT NULL, flows BLOB NOT NULL)""",
            # Flows that were counted under a rule over several flows, as long as it may find them again.
            """CREATE TABLE joined_flows (
                rule TEXT NOT NULL, run INTEGER NOT NULL, flow INTEGER NOT NULL, expires INTEGER NOT NULL,
                PRIMARY KEY (rule, run, flow)) WITHOUT ROWID""",
        ),
    ),
)

LATEST: Final = MIGRATIONS[-1].number


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a record (an empty file, too) to LATEST. The caller has seen that it is one. Raises sqlite3.Error."""
    for migration in MIGRATIONS:
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Asked anew each time: another process may have been here between two steps.
            if version(connection) < migration.number:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS migrations "
                    "(number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied TEXT NOT NULL)"
                )
                for statement in migration.statements:
                    connection.execute(statement)
                connection.execute(
                    "INSERT INTO migrations VALUES (?, ?, ?)",
                    (migration.number, migration.name, datetime.now(UTC).isoformat(timespec="seconds")),
                )
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {migration.number}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def version(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return number
