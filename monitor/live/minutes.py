"""Rules over several flows, live: once a minute what all sensors of a record showed is looked at together.

Strategy: no sensor is the chief. Each reads what all sensors of its topology wrote of their flows (`own_flows`), and
when a minute is over and recorded by all that live, decides as an audit would: of the flows of that minute and of the
one before, and of what rules asked to be kept. All come to the same findings, since all read the same; each counts its
own flows in them, and those of sessions that are no more, in one transaction with a mark that they are counted. So a
sensor that was killed leaves nothing uncounted that it had recorded: another one counts it, or the next one that comes.

The sensors of a record are on one machine and have one clock, so legs of a conversation are never a minute apart.
A minute with many flows takes seconds, so it is done in `steps` of some 50 ms each between two looks at the rings.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from monitor.aggregate import Finding, Part
from monitor.joins import add, finding_of
from monitor.learned import Learned
from monitor.live.own_flows import SHOWN_FOR, Counted, Own, OwnFlows
from monitor.live.samples import Room, row_of, sample_place
from monitor.live.slices import LiveEvidence
from monitor.live.watermark import living
from monitor.store import sights as store
from monitor.store.entry import FindingDelta, finding_deltas
from monitor.store.trouble import told
from monitor.store.writing import Record
from monitor.sums import QUARTER, Ports, Sums
from parsers import VERSION
from rules.correlate import joining, joins
from rules.facts import Site
from rules.registry import Rule
from rules.sights import MINUTE, Joined, Keeping, Sight, Sights, in_order
from rules.verdict import VIOLATION, Verdict

SETTLED: Final = 5_000_000_000
"""Nanoseconds after a minute for which flows of its end are given to show what they are."""

LATE: Final = 45_000_000_000
"""Nanoseconds after a minute from which on nobody is waited for: a sensor that cannot write says so itself."""

ASKING: Final = 1_000_000_000
"""Nanoseconds between two looks whether all have recorded a minute."""

SLICE: Final = 0.05
"""Seconds of work between two looks at the rings."""

MARKED: Final = 2 * SHOWN_FOR
"""Nanoseconds for which a flow is marked as counted: longer than anybody may have it in mind."""

AT_ONCE: Final = 5_000
"""Flows looked at between two breaths, or counted in one transaction."""

NEVER: Final = 2**63 - 1

Flow = tuple[int, int]
"""Run and number."""


@dataclass(frozen=True, slots=True)
class _Kept:
    sight: Sight
    expires: int


@dataclass(frozen=True, slots=True)
class _Part:
    """What a flow takes part in."""

    rule: Rule
    finding: Finding  # with none of its flows
    sight: Sight
    later: int  # among samples


class _Longer:
    """What a rule asked to be kept, and more of it, up to as many of each kind as it asked for."""

    def __init__(self, site: Site, keeping: Keeping, kept: Sequence[Sight]) -> None:
        self.chosen: dict[Flow, Sight] = {}
        self._site = site
        self._keeping = keeping
        self._counts: Counter[Hashable] = Counter()
        self.add(in_order(kept))

    def add(self, sights: Sequence[Sight]) -> None:
        """sights: in order."""
        for sight in sights:
            kind = self._keeping.kind(self._site, sight)
            flow = (sight.sensor, sight.ref)
            if kind is not None and (flow in self.chosen or self._counts[kind] < self._keeping.most):
                self._counts[kind] += flow not in self.chosen
                self.chosen[flow] = sight


class Minutes:
    """Of one live session."""

    def __init__(self, site: Site, record: Record, run: int, own: OwnFlows, now: int) -> None:
        """Raises OutputFailure, OperatorMistake."""
        self.findings: set[str] = set()  # that flows of this session are part of
        self._site = site
        self._record = record
        self._run = run
        self._own = own
        self._joining = joining(site.topology)
        self._read = 0  # row
        self._sensors: dict[int, str] = {}  # by run
        self._recent: dict[Flow, tuple[int, Sight]] = {}  # with the minute in which it was written
        self._kept: dict[str, dict[Flow, _Kept]] = {rule.id: {} for rule, _ in self._joining if rule.keeps}
        self._pending: set[int] = set()  # minutes
        self._done = 0  # the last of them
        self._asked = 0
        self._work: Iterator[None] | None = None
        self._room = Room()
        with record.transaction() as connection:
            store.renew(connection, now + MARKED)

    def tick(self, now: int, learned: Learned, evidence: LiveEvidence | None) -> None:
        """Go on for about `SLICE`, if there is something to do. Raises OutputFailure, OperatorMistake."""
        if self._work is None:
            if abs(now - self._asked) < ASKING or not self._is_over(now):
                return
            self._work = self._steps(now, learned, evidence)
        enough = time.monotonic() + SLICE
        while time.monotonic() < enough:
            try:
                next(self._work)
            except StopIteration:
                self._work = None
                return
            except BaseException:
                self._work = None
                raise

    def begin_anew(self) -> None:
        """What is half done is done again: its rows are of another engine now."""
        self._work = None

    def finish(self, now: int, learned: Learned, evidence: LiveEvidence | None) -> None:
        """Look at all there is. Raises OutputFailure, OperatorMistake."""
        self._work = None
        for _ in self._steps(now, learned, evidence, last=True):
            pass

    def _is_over(self, now: int) -> bool:
        """Whether a minute is over and recorded by all, and nobody has looked at it here."""
        self._asked = now
        minute = _over(now)
        if minute == self._done:
            return False
        end = (minute + 1) * MINUTE
        if now >= end + LATE:
            return True
        with told(self._record.path):
            return (
                store.recorded(self._record.connection, living(self._record.path), self._site, VERSION) >= end + SETTLED
            )

    def _steps(
        self, now: int, learned: Learned, evidence: LiveEvidence | None, *, last: bool = False
    ) -> Iterator[None]:
        """last: minutes that are not over, too."""
        done = now // MINUTE if last else _over(now)
        while self._absorb(now):
            yield
        for minute in sorted(self._pending):
            if minute > done and not last:
                break
            parts: list[_Part] = []
            for found in self._found(minute, last=last):
                if found is not None:
                    rule, finding, joined = found
                    parts += [
                        _Part(rule, finding, sight, joined.later(place)) for place, sight in enumerate(joined.sights)
                    ]
                yield
            for first in range(0, len(parts), AT_ONCE):
                self._count(now, parts[first : first + AT_ONCE], learned, evidence)
                yield
            self._pending.discard(minute)
        with told(self._record.path):
            expired = store.expired(self._record.connection, now)
        if expired:
            with self._record.transaction() as connection:
                store.expire(connection, now)
        self._done = done
        self._recent = {flow: known for flow, known in self._recent.items() if known[0] >= done}
        for name, kept in self._kept.items():
            self._kept[name] = {flow: one for flow, one in kept.items() if one.expires > now}

    def _absorb(self, now: int) -> bool:
        """Read the next row, if there is one."""
        with told(self._record.path):
            shown = store.next_shown(self._record.connection, self._read, self._site, VERSION)
        if shown is None:
            return False
        self._read = shown.row
        self._sensors[shown.run] = shown.sensor
        minute = shown.until // MINUTE
        if not shown.kept:
            self._pending |= {minute - 1, minute} - {self._done}
            self._recent.update({(shown.run, sight.ref): (minute, sight) for sight in shown.sights})
        elif shown.expires > now:
            for rule, _ in self._joining:
                if rule.keeps is None:
                    continue
                for sight in shown.sights:
                    if rule.keeps.kind(self._site, sight) is not None:
                        self._kept[rule.id][shown.run, sight.ref] = _Kept(sight, shown.expires)
        return True

    def _found(self, minute: int, *, last: bool) -> Iterator[tuple[Rule, Finding, Joined] | None]:
        """What each rule finds in a minute and the one before; None to take breath."""
        end = NEVER if last else (minute + 1) * MINUTE
        window = (sight for written, sight in self._recent.values() if sight.start < end and written >= minute - 1)
        ordered = Sights(self._site, tuple(in_order(window)))
        yield None
        for rule, severity in self._joining:
            sights = ordered
            if rule.keeps is not None:
                longer = _Longer(self._site, rule.keeps, [one.sight for one in self._kept[rule.id].values()])
                for first in range(0, len(ordered.all), AT_ONCE):
                    longer.add(ordered.all[first : first + AT_ONCE])
                    yield None
                sights = Sights(self._site, tuple(in_order(longer.chosen.values())))
            for joined in joins(rule, sights):
                verdict = Verdict(VIOLATION, None, (), (), (), "", *joined.sights[0].ends)
                yield rule, finding_of(self._site, rule, severity, joined, verdict), joined
            yield None

    # --- counting ----------------------------------------------------------------------------------------------------

    def _count(self, now: int, parts: Sequence[_Part], learned: Learned, evidence: LiveEvidence | None) -> None:
        """Count what is ours, and what nobody else will: of sessions that are no more."""
        others = living(self._record.path) - {self._run}
        counted: list[_Part] = []
        if not parts:
            return
        with self._record.transaction() as connection:
            for part in parts:
                if part.sight.sensor not in others and not self._knows(part) and _first_time(connection, part, now):
                    counted.append(part)
            self._record.insert_findings(self._run, self._deltas(now, counted, learned))
        for part in counted:
            own = self._flow(part.sight)
            if own is not None:
                own.rules[part.rule.id] = _counted(part.finding, part.sight)
                self.findings.add(part.finding.id)
                if evidence is not None:
                    evidence.join(now, own.batch, own.row, part.finding)

    def _flow(self, sight: Sight) -> Own | None:
        return self._own[sight.ref] if sight.sensor == self._run else None

    def _knows(self, part: _Part) -> bool:
        own = self._flow(part.sight)
        return own is not None and part.rule.id in own.rules

    def _deltas(self, now: int, counted: Sequence[_Part], learned: Learned) -> Iterator[FindingDelta]:
        found: dict[tuple[str, str], Finding] = {}
        for part in counted:
            sensor = self._sensors[part.sight.sensor]
            finding = found.setdefault((part.finding.id, sensor), _empty(part.finding))
            add(finding, part.sight)
            own = self._flow(part.sight)
            if own is not None and self._room.take(now, [finding.id]):
                place = (part.later, *sample_place(own.batch, own.row))
                finding.samples.append((place, row_of(own.batch, own.row), learned))
        for (_, sensor), finding in found.items():
            yield from finding_deltas(sensor, QUARTER, [finding])

    def growth(self) -> tuple[list[FindingDelta], list[tuple[Own, str, Counted]]]:
        """What came of our counted flows since they were, and what then is counted of each; `grown` says that it was
        recorded."""
        found: dict[str, Finding] = {}
        news = []
        for own in self._own.counted():
            for rule, was in own.rules.items():
                now = _counted(was.finding, own.sight)
                if now == was:
                    continue
                finding = found.setdefault(was.finding.id, _empty(was.finding))
                last = own.sight.last
                part = finding.quarters.setdefault(last // QUARTER, Part(finding.hit, finding.verdict))
                part.sums.add(0, now.packets - was.packets, now.octets - was.octets, last, last)
                news.append((own, rule, now))
        return list(finding_deltas(self._sensors.get(self._run), QUARTER, list(found.values()))), news

    def grown(self, news: Sequence[tuple[Own, str, Counted]]) -> None:
        for own, rule, now in news:
            own.rules[rule] = now


def _empty(finding: Finding) -> Finding:
    return replace(finding, sums=Sums(), ports=Ports(), quarters={}, samples=[])


def _counted(finding: Finding, sight: Sight) -> Counted:
    return Counted(finding, sight.source_packets + sight.destination_packets, sight.octets)


def _over(now: int) -> int:
    """The last minute that is over."""
    return (now - SETTLED) // MINUTE - 1


def _first_time(connection: sqlite3.Connection, part: _Part, now: int) -> bool:
    """Mark that a flow counts under a rule; the mark outlives all rows that show the flow."""
    span = 0 if part.rule.keeps is None else part.rule.keeps.span
    return store.count_once(connection, part.rule.id, part.sight.sensor, part.sight.ref, now + span + MARKED)
