"""Rows of flows that are still being read, as sums to add and sums to take back.

Strategy: a row says what its flow is now (its observation), what it was by the row before (`previous`), what came since
then, and what came before. So each row adds what came since under what the flow is now; and where that is not what it
was, all that came before is taken back there and added here. Sums over all rows are then those of the flows as they
are in the end, whenever rows were taken. All of it is done by column; only violating flows are looked at one by one.

A sum belongs to the quarter of an hour in which its packets came, a flow itself to that in which it began. What is
taken back must come off the same quarters, so flows that go on beyond their first one are remembered with their sums
there (`SPREAD`). Likewise a violating flow is remembered with the port and the subjects under which it counts
(`FOLLOWED`), since either may be told better later (who opened it, which domain it asks for).

An attempt is known only once its flow is over: until then the flow is undecided.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from monitor.aggregate import subject_columns
from monitor.sums import QUARTER
from rules.verdict import VIOLATION, Verdict

FOLLOWED: Final = 100_000
"""Violating flows that go on, remembered with port and subjects, about 40 MB. One more counts without either until it
ends, and rightly then."""

SPREAD: Final = 1_000_000
"""Quarters remembered of flows that go on beyond their first one, about 150 MB: ten thousand flows for a day. Where a
flow that is not remembered turns out to be another thing, all of it comes off its first quarter: the sum over all time
stays exact."""


@dataclass(frozen=True, slots=True)
class Place:
    """Under which port and subjects a violating flow counts. values: by the columns that its rules look at."""

    port: int | None = None
    values: Mapping[str, str | None] = field(default_factory=dict)


NOWHERE: Final = Place()


@dataclass(frozen=True, slots=True)
class Violating:
    """A row whose flow violates, or did so by the row before. was, now: None where it does not."""

    row: int
    flow: int
    ended: bool
    before: int | None  # observation of the row before
    was: Place | None
    observation: int
    now: Place | None


@dataclass(slots=True)
class Signed:
    """What a batch adds and takes back. table: sums under what flows are, with a column `pending` for what may become
    an attempt; subjects: columns of it."""

    table: Any
    subjects: list[str]
    violating: list[Violating]


class Corrections:
    """Of one engine's live rows, batch by batch."""

    def __init__(self) -> None:
        self._followed: dict[int, Place] = {}
        self._spread: dict[int, dict[int, tuple[int, int]]] = {}  # flow → quarter → packets, octets
        self._spread_left = SPREAD
        self._attempts: list[int] = []
        self._violations: list[int] = []
        self._known = 0

    def signed(self, batch: Any, verdicts: Sequence[Verdict]) -> Signed:
        """batch: live rows of the core. verdicts: by observation number, of all in the batch."""
        self._learn(verdicts)
        now, before, ended = batch["observation"], batch["previous"], batch["ended"]
        attempts = pa.array(self._attempts, pa.uint32())
        pending = pc.and_(pc.is_in(now, value_set=attempts), pc.invert(ended))
        was_pending = pc.is_in(before, value_set=attempts)  # a row before was never the last
        had = before.is_valid()
        changed = pc.and_(
            had, pc.fill_null(pc.or_(pc.not_equal(now, before), pc.not_equal(pending, was_pending)), False)
        )
        violating = self._violating(batch, verdicts)
        subjects = sorted({name for v in violating for place in (v.was, v.now) if place for name in place.values})
        ports, old_ports = batch["destination.port"], batch["destination.port"]
        if violating:
            moved = changed.to_pylist()
            ports_now, ports_before = ports.to_pylist(), ports.to_pylist()
            for v in violating:
                moved[v.row] = moved[v.row] or (v.before is not None and v.was != v.now)
                if v.now is not None:
                    ports_now[v.row] = v.now.port
                if v.was is not None:
                    ports_before[v.row] = v.was.port
            changed = pa.array(moved, pa.bool_())
            ports, old_ports = pa.array(ports_now, pa.uint16()), pa.array(ports_before, pa.uint16())
        packets = _sum(batch["source.packets"], batch["destination.packets"])
        octets = _sum(batch["source.bytes"], batch["destination.bytes"])
        start = batch["event.start"].cast(pa.int64())
        since = pc.if_else(pc.equal(packets, 0), batch["event.end"], batch["part.start"]).cast(pa.int64())
        rows = {
            "observation": now,
            "pending": pending,
            "quarter": pc.divide(since, QUARTER),
            "flows": pc.if_else(had, 0, 1),
            "packets": packets,
            "octets": octets,
            "start": pc.if_else(had, since, start),
            "end": batch["event.end"].cast(pa.int64()),
            "port": ports,
            "address": batch["source.ip"],
            **{name: _values(batch, name, ((v.row, v.now) for v in violating)) for name in subjects},
        }
        own = pa.table(rows)
        pieces = [own.filter(pc.or_(pc.not_equal(own["flows"], 0), pc.not_equal(own["packets"], 0)))]
        if pc.any(changed).as_py():
            whole = {
                "quarter": pc.divide(start, QUARTER),
                "packets": batch["before.packets"].cast(pa.int64()),
                "octets": batch["before.bytes"].cast(pa.int64()),
            }
            added = {**rows, **whole, "flows": pc.if_else(had, 1, 1), "start": start, "end": since}
            nothing = pa.nulls(batch.num_rows, pa.int64())
            back = {
                **rows,
                **{name: pc.negate(column) for name, column in whole.items() if name != "quarter"},
                "quarter": whole["quarter"],
                "observation": before,
                "pending": was_pending,
                "flows": pc.if_else(had, -1, -1),
                "start": nothing,
                "end": nothing,
                "port": old_ports,
                **{name: _values(batch, name, ((v.row, v.was) for v in violating)) for name in subjects},
            }
            both = [pa.table(piece).filter(changed) for piece in (added, back)]
            pieces += both
            pieces += self._moves(both, batch["edgewarden.flow_id"].filter(changed).to_pylist())
        self._remember(batch["edgewarden.flow_id"], start, since, packets, octets, ended)
        return Signed(pa.concat_tables(pieces), subjects, violating)

    def _learn(self, verdicts: Sequence[Verdict]) -> None:
        for number in range(self._known, len(verdicts)):
            if verdicts[number].of_silence:  # an attempt, or a violation by silence: the answer may still come
                self._attempts.append(number)
            if verdicts[number].verdict == VIOLATION:
                self._violations.append(number)
        self._known = len(verdicts)

    def _violating(self, batch: Any, verdicts: Sequence[Verdict]) -> list[Violating]:
        """Rows to be looked at one by one; what flows count under is remembered anew."""
        numbers = pa.array(self._violations, pa.uint32())
        is_now = pc.is_in(batch["observation"], value_set=numbers)
        chosen = pc.or_(is_now, pc.is_in(batch["previous"], value_set=numbers))
        if not pc.any(chosen).as_py():
            return []
        names = sorted(
            {
                column
                for number in pc.unique(batch["observation"].filter(is_now)).to_pylist()
                for column in subject_columns(verdicts[number])
            }
        )
        rows = pc.indices_nonzero(chosen)
        columns = [
            batch[name].take(rows).to_pylist()
            for name in ("edgewarden.flow_id", "ended", "previous", "observation", "destination.port")
        ]
        texts = {name: batch[name].take(rows).cast(pa.string()).to_pylist() for name in names}
        found = []
        for place, (row, flow, ended, before, number, port) in enumerate(zip(rows.to_pylist(), *columns, strict=True)):
            was = now = None
            remembered = self._followed.pop(flow, NOWHERE)
            if before is not None and _violates(verdicts[before], ended=False):
                was = remembered
            if _violates(verdicts[number], ended=ended):
                now = Place(port, {name: texts[name][place] for name in subject_columns(verdicts[number])})
                if not ended:
                    if len(self._followed) < FOLLOWED:
                        self._followed[flow] = now
                    else:
                        now = NOWHERE
            found.append(Violating(row, flow, ended, before, was, number, now))
        return found

    def _moves(self, both: Iterable[Any], flows: Sequence[int]) -> list[Any]:
        """Sums that `both` (added, taken back) put into the first quarter of each flow, moved to where they came."""
        moves = [
            (row, quarter, *sums)
            for row, flow in enumerate(flows)
            for quarter, sums in self._spread.get(flow, {}).items()
        ]
        if not moves:
            return []
        rows, quarters, packets, octets = ([move[place] for move in moves] for place in range(4))
        pieces = []
        for table in both:
            sign = pc.sign(table["flows"]).take(pa.array(rows))
            there = table.take(pa.array(rows))
            sums = {"packets": pc.multiply(sign, pa.array(packets)), "octets": pc.multiply(sign, pa.array(octets))}
            zero = pa.array([0] * len(rows), pa.int64())
            begun = [quarter * QUARTER for quarter in quarters]
            times = begun if table["start"].null_count == 0 else [None] * len(rows)
            pieces.append(_with(there, flows=zero, **{name: pc.negate(column) for name, column in sums.items()}))
            pieces.append(
                _with(
                    there,
                    flows=zero,
                    quarter=pa.array(quarters, pa.int64()),
                    start=pa.array(times, pa.int64()),
                    end=pa.array(times, pa.int64()),
                    **sums,
                )
            )
        return pieces

    def _remember(self, flows: Any, start: Any, since: Any, packets: Any, octets: Any, ended: Any) -> None:
        quarters = pc.divide(since, QUARTER)
        beyond = pc.and_(pc.not_equal(quarters, pc.divide(start, QUARTER)), pc.invert(ended))
        if pc.any(beyond).as_py():
            columns = [column.filter(beyond).to_pylist() for column in (flows, quarters, packets, octets)]
            for flow, quarter, more, longer in zip(*columns, strict=True):
                known = self._spread.setdefault(flow, {})
                if quarter not in known:
                    if self._spread_left <= 0:
                        self._forget()
                        known = self._spread.setdefault(flow, {})
                    self._spread_left -= 1
                had = known.get(quarter, (0, 0))
                known[quarter] = (had[0] + more, had[1] + longer)
        if self._spread:
            for flow in flows.filter(ended).to_pylist():
                self._spread_left += len(self._spread.pop(flow, ()))

    def _forget(self) -> None:
        """Give up the flow that was remembered first."""
        oldest = next(iter(self._spread))
        self._spread_left += len(self._spread.pop(oldest))


def _sum(one: Any, other: Any) -> Any:
    return pc.add(one, other).cast(pa.int64())


def _values(batch: Any, name: str, places: Iterable[tuple[int, Place | None]]) -> Any:
    """A column of subjects: of violating rows what they count under, null of all others."""
    values: list[str | None] = [None] * batch.num_rows
    for row, place in places:
        if place is not None:
            values[row] = place.values.get(name)
    return pa.array(values, pa.string())


def _with(table: Any, **columns: Any) -> Any:
    for name, column in columns.items():
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def _violates(verdict: Verdict, *, ended: bool) -> bool:
    """Whether a row with it counts as a violation: one by silence does once the flow has ended."""
    return verdict.verdict == VIOLATION and (ended or not verdict.of_silence)
