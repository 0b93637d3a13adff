"""When sensors watched, and what they lost: the coverage of a record, by sensor.

Strategy: the rows of `coverage`, live and of captures, put together into spans; what lies between two spans of a sensor
is a gap, with the reason that the record knows. Spans are cut to the time asked for; losses and packets belong to the
time in which their row begins, as all deltas do. What was before the first and behind the last span is no gap here: who
asks about a time knows its ends.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from typing import Final

TOUCHING: Final = 60 * 1_000_000_000
"""Nanoseconds between two captures of a sensor that still count as watched: rotated files meet in a silence."""

KILLED: Final = "the sensor was killed or its machine failed"
STOPPED: Final = "the sensor was stopped"
DOWN: Final = "an interface was down"
BETWEEN: Final = "no capture holds this time"

LOSSES: Final = ("kernel", "nic", "queue", "interrupted")
"""Packets that were on the wire and are not in `packets`."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Time between two spans that nobody watched."""

    first: int
    last: int
    why: str


@dataclass(slots=True)
class Watched:
    """One sensor. Times in nanoseconds; `spans` in order and apart. `lost`: packets by the names of LOSSES. `open`: the
    number of its newest live run if that is not closed, so that it still runs or was killed."""

    sensor: str
    position: str
    spans: list[tuple[int, int]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    packets: int = 0
    octets: int = 0
    lost: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LOSSES, 0))
    accounting: dict[str, int] = field(default_factory=dict)
    quality: dict[str, int] = field(default_factory=dict)
    open: int | None = None


def spans(connection: sqlite3.Connection, time_from: int | None = None, time_to: int | None = None) -> list[Watched]:
    """What each sensor watched of the time, which may be open at either end; sensors without any are left out."""
    made: dict[tuple[str, str], Watched] = {}
    ended: dict[tuple[str, str], tuple[int, str]] = {}  # the last row's run, why what follows that is not watched
    open_runs = _open(connection)
    begin, end = time_from or 0, 2**63 - 1 if time_to is None else time_to
    for run, sensor, position, first, last, closed, packets, octets, accounting, quality, *lost in connection.execute(
        "SELECT run, sensor, position, first, last, closed, packets, bytes, accounting, quality, "
        "kernel, nic, queue, interrupted FROM coverage "
        "WHERE first IS NOT NULL AND last >= ? AND first < ? ORDER BY first, id",
        (begin, end),
    ):
        key = (sensor, position)
        watched = made.setdefault(key, Watched(sensor, position))
        if first >= begin:
            watched.packets += packets
            watched.octets += octets
            for name, count in zip(LOSSES, lost, strict=True):
                watched.lost[name] += count
            _add(watched.accounting, json.loads(accounting))
            _add(watched.quality, json.loads(quality))
        before, why = ended.get(key, (run, BETWEEN))
        if closed is None:
            _extend(watched, max(first, begin), min(last, end), TOUCHING, why)
            ended[key] = (run, BETWEEN)
            continue
        watched.open = run if run in open_runs else None
        if first < last:  # else nothing was watched, and losses were entered
            _extend(watched, max(first, begin), min(last, end), 0, DOWN if before == run else why)
            ended[key] = (run, KILLED if run in open_runs else STOPPED)
    return list(made.values())


def _open(connection: sqlite3.Connection) -> set[int]:
    """Live runs that have no closing row: all but those that still run were killed."""
    rows = connection.execute(
        "SELECT id FROM runs WHERE kind = 'sensor' AND id NOT IN (SELECT run FROM coverage WHERE closed = 1)"
    )
    return {run for (run,) in rows}


def _extend(watched: Watched, first: int, last: int, touching: int, why: str) -> None:
    """Add a span that begins no earlier than those before."""
    if watched.spans and first <= watched.spans[-1][1] + touching:
        watched.spans[-1] = (watched.spans[-1][0], max(watched.spans[-1][1], last))
        return
    if watched.spans:
        watched.gaps.append(Gap(watched.spans[-1][1], first, why))
    watched.spans.append((first, last))


def _add(sums: dict[str, int], more: dict[str, int]) -> None:
    for name, count in more.items():
        sums[name] = sums.get(name, 0) + count
