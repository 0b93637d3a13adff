"""The recent flows of one live sensor, as it shows them to the others for rules over several flows.

Strategy: rows become `rules.sights` as they come, and later rows of a flow are added to what is known of it. With each
flush all flows are written that began or turned out to be more than was written of them; what has been silent for
`RECENT` minutes is forgotten, but for flows that were counted and still go on, which must not count twice. A few flows
are written a second time where a rule asks for them longer (`rules.sights.Keeping`).

`SHOWN` flows a minute are looked at, half of that kept free for those that were answered: a scan from a million
addresses hides no conversation. What is beyond is counted.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from monitor.aggregate import Finding
from monitor.joins import sights_of
from monitor.learned import Learned
from monitor.store.sights import Showing, pack
from rules.correlate import joining, wanted
from rules.facts import Site
from rules.observation import Answered
from rules.sights import MINUTE, Keeping, Sight

SHOWN: Final = 20_000
"""Flows a minute: some 330 new judged ones a second, and in a flood 100 MB for the minutes that they are known."""

RECENT: Final = 2
"""Minutes for which a flow without news is known."""

SHOWN_FOR: Final = 4 * MINUTE
"""Nanoseconds for which what was written can be read: twice as long as anybody needs it."""

FOLLOWED: Final = 20_000
"""Flows that were counted and go on; of one more it is forgotten, and it could be counted again if it changes."""

KEPT: Final = 20_000
"""Flows written for longer, in a day."""

CHUNK: Final = 1_000
"""Flows in one row: 20 ms to read."""

_ENGINE: Final = 40  # bits below the engine's number in that of a flow

_SILENT, _ANSWERED = 1, 2


@dataclass(frozen=True, slots=True)
class Counted:
    """What of a flow stands in a finding. finding: with none of its flows."""

    finding: Finding
    packets: int
    octets: int


@dataclass(slots=True)
class Own:
    """A flow of this sensor. batch, row: its newest row. rules: those under which it was counted, with the packets and
    octets that were."""

    sight: Sight
    batch: Any
    row: int
    ended: bool
    touched: int  # minute
    written: tuple[Any, ...] | None = None  # what was last written of it
    rules: dict[str, Counted] = field(default_factory=dict)

    @property
    def news(self) -> tuple[Any, ...]:
        """What a rule looks at."""
        one = self.sight
        counts = (one.source_packets > 0, one.destination_packets > 0)
        ends = (one.source_ip, one.source_port, one.destination_ip, one.port, one.path, one.isn, one.transaction)
        seen = (one.answered, one.refused, one.established, one.hello, one.spoken, one.services)
        return (*counts, *ends, *seen, one.certificate, one.client_random, one.first_payload)


class OwnFlows:
    """Of one sensor."""

    def __init__(self, site: Site, *, behind_lb: bool) -> None:
        self.missed = 0  # flows that were too many
        self._site = site
        self._behind_lb = behind_lb
        self._keeping = [(rule.id, rule.keeps) for rule, _ in joining(site.topology) if rule.keeps is not None]
        self._kept: dict[tuple[str, Hashable], list[int]] = {}  # when each that was written for longer expires
        self._flows: dict[int, Own] = {}
        self._known: Any = pa.array([], pa.int64())  # the same flows by the engine's numbers
        self._kinds: list[int] = []  # by observation
        self._engine = 0
        self._minute = 0
        self._left = {_SILENT: SHOWN // 2, _ANSWERED: SHOWN // 2}

    def __getitem__(self, number: int) -> Own | None:
        return self._flows.get(number)

    def counted(self) -> Iterator[Own]:
        """Flows that stand in findings."""
        return (own for own in self._flows.values() if own.rules)

    def begin_engine(self) -> None:
        """A new engine numbers flows and observations anew; all of the old one has ended and was written."""
        self._engine += 1
        self._kinds.clear()
        self._flows.clear()
        self._known = pa.array([], pa.int64())

    def see(self, now: int, batch: Any, learned: Learned) -> None:
        """batch: live rows, numbered."""
        if now // MINUTE != self._minute:
            self._minute = now // MINUTE
            self._left = {_SILENT: SHOWN // 2, _ANSWERED: SHOWN // 2}
        for place in range(len(self._kinds), len(learned.verdicts)):
            seen = learned.observations[place]
            kind = _ANSWERED if seen.answered == Answered.YES else _SILENT
            self._kinds.append(kind if wanted(self._site, learned.verdicts[place], seen) else 0)
        chosen = self._chosen(batch)
        if not chosen.num_rows:
            return
        numbers, parts, before, ended = (
            chosen[name].to_pylist() for name in ("edgewarden.flow_id", "edgewarden.part", "before.packets", "ended")
        )
        for sight in sights_of(self._site, 0, learned, chosen):
            row = sight.ref
            number = self._engine << _ENGINE | numbers[row]
            known = self._flows.get(number)
            if known is None:
                earlier = before[row] if parts[row] else 0  # of a flow that was no matter up to here
                whole = replace(sight, ref=number, source_packets=sight.source_packets + earlier)
                self._flows[number] = Own(whole, chosen, row, ended[row], self._minute)
            else:
                known.sight = _more(known.sight, sight)
                known.batch, known.row, known.ended, known.touched = chosen, row, ended[row], self._minute
        self._index()

    def _chosen(self, batch: Any) -> Any:
        """Rows of flows that are known, and of new ones as far as there is room."""
        kinds = pa.array(self._kinds, pa.uint8()).take(batch["observation"])
        flows = batch["edgewarden.flow_id"].cast(pa.int64())
        known = pc.is_in(flows, value_set=self._known)
        same = pc.fill_null(pc.equal(batch["observation"], batch["previous"]), False)
        silent = pc.equal(pc.list_value_length(batch["join.minutes"]), 0)
        new = pc.invert(pc.or_(known, pc.and_(same, silent)))
        rows = [pc.indices_nonzero(pc.and_(known, pc.greater(kinds, 0)))]
        for kind, left in self._left.items():
            fresh = pc.indices_nonzero(pc.and_(new, pc.equal(kinds, kind)))
            self._left[kind] -= min(left, len(fresh))
            self.missed += len(fresh) - min(left, len(fresh))
            rows.append(fresh.slice(0, left))
        return batch.take(pa.concat_arrays(rows).sort())

    def _index(self) -> None:
        mask = (1 << _ENGINE) - 1
        self._known = pa.array([number & mask for number in self._flows], pa.int64())

    def showings(self, until: int) -> tuple[list[Showing], list[Own]]:
        """What is to be written, and of which flows; `written` says that it was."""
        changed = [own for own in self._flows.values() if own.news != own.written]
        rows = [
            Showing(until, False, until + SHOWN_FOR, pack(part, behind_lb=self._behind_lb))
            for part in _parts([own.sight for own in changed])
        ]
        kept: dict[int, list[Sight]] = {}
        self._kept = {key: expiries for key, expiries in self._kept.items() if max(expiries) > until}
        for own in changed:
            for span in self._spans(own.sight, until):
                kept.setdefault(span, []).append(own.sight)
        rows += [
            Showing(until, True, until + span, pack(part, behind_lb=self._behind_lb))
            for span, sights in kept.items()
            for part in _parts(sights)
        ]
        return rows, changed

    def _spans(self, sight: Sight, now: int) -> set[int]:
        """For how long rules want it kept."""
        spans = set()
        for rule, keeping in self._keeping:
            kind = keeping.kind(self._site, sight)
            if kind is not None and self._room(rule, kind, keeping, now):
                spans.add(keeping.span)
        return spans

    def _room(self, rule: str, kind: Hashable, keeping: Keeping, now: int) -> bool:
        expiries = [expiry for expiry in self._kept.get((rule, kind), ()) if expiry > now]
        if len(expiries) >= keeping.most:
            return False
        if (rule, kind) not in self._kept and len(self._kept) >= KEPT:
            self.missed += 1
            return False
        self._kept[rule, kind] = [*expiries, now + keeping.span]
        return True

    def written(self, flows: Sequence[Own]) -> None:
        for own in flows:
            own.written = own.news
        last = self._minute - RECENT
        followed = sum(1 for own in self._flows.values() if own.rules and not own.ended)
        for number, own in list(self._flows.items()):
            if own.touched >= last or own.news != own.written:
                continue
            if own.rules and not own.ended and followed <= FOLLOWED:
                continue
            followed -= bool(own.rules and not own.ended)
            del self._flows[number]
        self._index()
        self._let_go()

    def _let_go(self) -> None:
        """Of rows whose flows are forgotten or have newer ones, where those are most of a batch: a few flows that go on
        would keep alive all that came with them."""
        batches: dict[int, list[Own]] = {}
        for own in self._flows.values():
            batches.setdefault(id(own.batch), []).append(own)
        for flows in batches.values():
            batch = flows[0].batch
            if 2 * len(flows) < batch.num_rows:
                few = batch.take(pa.array([own.row for own in flows]))
                for row, own in enumerate(flows):
                    own.batch, own.row = few, row


def _parts(sights: list[Sight]) -> Iterator[list[Sight]]:
    for first in range(0, len(sights), CHUNK):
        yield sights[first : first + CHUNK]


def _more(known: Sight, row: Sight) -> Sight:
    """What is known of a flow with a further row of it, which has what came since. Who opened it may be told better."""
    source, destination = known.source_packets, known.destination_packets
    if (known.source_ip, known.source_port) != (row.source_ip, row.source_port):
        source, destination = destination, source
    source += row.source_packets
    return replace(
        row,
        ref=known.ref,
        source_packets=source,
        destination_packets=destination + row.destination_packets,
        octets=known.octets + row.octets,
    )
