"""Flows that the live sensors of one record show one another: `rules.sights` as rows that live for minutes.

Strategy: what a sensor saw of its flows since it wrote last is one row, compressed, written in the transaction of its
other deltas. Whoever joins flows reads the rows behind the one it read last. A few flows that a rule needs for longer
(`rules.sights.Keeping`) stand a second time in rows of their own, which expire later. Endpoints are numbers, so only
sessions of one topology and one version understand each other. Which flow was counted under which rule stands beside
it, so that it counts once, whoever counts it.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from rules.facts import Site
from rules.sights import Sight, Spoken
from rules.verdict import End

_QUICK: Final = 1  # zlib: a fourth of the size; 20,000 flows take less than a tenth of a second

_PLAIN: Final = (
    *("ref", "start", "transport", "source_ip", "destination_ip", "source_port", "port", "source_packets"),
    *("destination_packets", "answered", "refused", "established", "hello", "path", "certificate"),
    *("client_random", "transaction", "first_payload", "service", "octets", "last"),
)
"""Fields that are written as they are."""

_plain = attrgetter(*_PLAIN)


@dataclass(frozen=True, slots=True)
class Showing:
    """One row. until: up to when flows are in it. kept: beyond the minutes for which all are. Nanoseconds."""

    until: int
    kept: bool
    expires: int
    flows: bytes


@dataclass(frozen=True, slots=True)
class Shown:
    """A row as it is read. Of each sight `sensor` is the run, `ref` the flow in it."""

    row: int
    run: int
    sensor: str
    until: int
    kept: bool
    expires: int
    sights: Sequence[Sight]


def pack(sights: Iterable[Sight], *, behind_lb: bool) -> bytes:
    rows = [
        [
            *_plain(sight),
            sight.source.number,
            sight.destination.number,
            *([end.zone, end.role, end.component] for end in sight.ends),
            sorted(sight.services),
            sight.isn,
            sight.spoken,
        ]
        for sight in sights
    ]
    return zlib.compress(json.dumps([behind_lb, rows], separators=(",", ":")).encode(), _QUICK)


def _unpack(data: bytes, run: int, position: str, side: str | None, site: Site) -> Iterator[Sight]:
    behind_lb, rows = json.loads(zlib.decompress(data))
    for values in rows:
        plain: dict[str, Any] = dict(zip(_PLAIN, values, strict=False))
        source, destination, one, other, services, isn, spoken = values[len(_PLAIN) :]
        ends = _ends(*one, *other)
        yield Sight(
            sensor=run,
            position=position,
            side=side,
            behind_lb=behind_lb,
            source=site.endpoints[source].called(ends[0].role),
            destination=site.endpoints[destination].called(ends[1].role),
            ends=ends,
            services=_services(*services),
            isn=None if isn is None else (isn[0], isn[1]),
            spoken=tuple(Spoken(*counts) for counts in spoken),
            **plain,
        )


# Thousands of flows share a few of these: what is not made anew need not be collected, which stops all work.


@lru_cache(4096)
def _ends(*values: Any) -> tuple[End, End]:
    return End(*values[:3]), End(*values[3:])


@lru_cache(4096)
def _services(*names: str) -> frozenset[str]:
    return frozenset(names)


def next_shown(connection: sqlite3.Connection, after: int, site: Site, version: str) -> Shown | None:
    """The first row behind `after` of sessions of this topology and version."""
    found = connection.execute(
        "SELECT sights.id, run, sensor, until, kept, expires, flows, position, side FROM sights "
        "JOIN runs ON runs.id = run AND topology = ? AND version = ? WHERE sights.id > ? ORDER BY sights.id LIMIT 1",
        (site.digest, version, after),
    ).fetchone()
    if found is None:
        return None
    row, run, sensor, until, kept, expires, flows, position, side = found
    return Shown(row, run, sensor, until, bool(kept), expires, tuple(_unpack(flows, run, position, side, site)))


def recorded(connection: sqlite3.Connection, runs: Iterable[int], site: Site, version: str) -> int:
    """Up to when all of these runs that are of this topology and version have recorded what they saw."""
    times = [
        connection.execute(
            "SELECT max(last) FROM coverage JOIN runs ON runs.id = run AND topology = ? AND version = ? WHERE run = ?",
            (site.digest, version, run),
        ).fetchone()[0]
        for run in runs
    ]
    return min((time for time in times if time is not None), default=0)


def positions(connection: sqlite3.Connection, runs: Iterable[int], site: Site, version: str) -> set[str]:
    """Where those of the runs listen that are of this topology and version."""
    rows = connection.execute(
        "SELECT id, position FROM runs WHERE topology = ? AND version = ? AND kind = 'sensor'",
        (site.digest, version),
    )
    chosen = set(runs)
    return {position for run, position in rows if run in chosen}


def insert(connection: sqlite3.Connection, run: int, rows: Iterable[Showing]) -> None:
    connection.executemany(
        "INSERT INTO sights (run, until, kept, expires, flows) VALUES (?, ?, ?, ?, ?)",
        ((run, row.until, int(row.kept), row.expires, row.flows) for row in rows),
    )


def count_once(connection: sqlite3.Connection, rule: str, run: int, flow: int, expires: int) -> bool:
    """Mark a flow as counted under a rule; False where it was."""
    made = connection.execute("INSERT OR IGNORE INTO joined_flows VALUES (?, ?, ?, ?)", (rule, run, flow, expires))
    return made.rowcount == 1


def renew(connection: sqlite3.Connection, until: int) -> None:
    """Let what a session that begins will read, and the marks on it, live until it has done so."""
    connection.execute("UPDATE sights SET expires = ?1 WHERE expires < ?1 AND NOT kept", (until,))
    connection.execute("UPDATE joined_flows SET expires = ?1 WHERE expires < ?1", (until,))


def expire(connection: sqlite3.Connection, now: int) -> None:
    connection.execute("DELETE FROM sights WHERE expires < ?", (now,))
    connection.execute("DELETE FROM joined_flows WHERE expires < ?", (now,))


def expired(connection: sqlite3.Connection, now: int) -> bool:
    """Whether there is something to delete."""
    question = "SELECT EXISTS (SELECT 1 FROM sights WHERE expires < ?1) OR EXISTS (SELECT 1 FROM joined_flows "
    return bool(connection.execute(question + "WHERE expires < ?1)", (now,)).fetchone()[0])
