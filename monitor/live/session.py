"""A live session: blocks of packets from the interfaces of one sensor in, findings and coverage in the record out.

Strategy: the walk of an audit with a ring in place of a file. `feed` hands blocks to the core; `tick` takes the rows
that are due, judges what is new, and turns them into sums with signs (`corrections`). What violates is recorded
in the same tick, `SETTLE` after its flow began; totals, paths, attempts and the time watched every `FLUSH`, since a row
a tick would fill the record with nothing. What is written is always deltas, in one transaction, and forgotten only when
that has succeeded: a disk that is full or a record that is locked delays, and is told by `trouble`.

A flow's packets count in the quarter of an hour in which they came, the flow itself in the one in which it began.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import time_ns
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

import parsers
from monitor.aggregate import SUBJECTS, Aggregate, findings
from monitor.audit import config_rows
from monitor.capture_arguments import SensorName
from monitor.evidence import PACKETS
from monitor.exit_status import OutputFailure
from monitor.judges import Judges
from monitor.learned import Learned
from monitor.live.corrections import Corrections
from monitor.live.minutes import Minutes
from monitor.live.own_flows import Counted, Own, OwnFlows
from monitor.live.ring import KernelCounters, Program
from monitor.live.samples import Samples
from monitor.live.slices import LiveEvidence
from monitor.live.watermark import Watermark, has_twin, living, settle
from monitor.rows import compact
from monitor.scope import scope_of
from monitor.settings.config import EvidenceSettings
from monitor.store.entry import (
    Deltas,
    FindingDelta,
    LiveRun,
    Span,
    attempt_deltas,
    counts,
    finding_deltas,
    path_of,
)
from monitor.store.sights import Showing, positions
from monitor.store.sqlite import open_record
from monitor.store.writing import RecordGone
from monitor.sums import QUARTER
from parsers import VERSION
from reports.visible import visible
from rules.catalogue import coverage, policy_identity
from rules.topology import Topology
from rules.verdict import ATTEMPT, UNDECIDED, VIOLATION, Verdict

LAG: Final = 1_000_000_000
"""Nanoseconds that the core's clock stays behind ours: blocks of a quiet interface reach us up to 100 ms late, and
packets of several interfaces are merged by their times."""

SETTLE: Final = 750_000_000
"""Nanoseconds for which a flow that has just begun is not spoken of, unless it ends: what a handshake shows decides
what a flow is, and is mostly there by then. So few findings have to be taken back that somebody may have seen, and all
are told within two seconds of their packets."""

UNSETTLED: Final = 50_000
"""Rows that wait for that, some 25 MB. In a flood of new flows nothing waits."""

FLUSH: Final = 10_000_000_000
"""Nanoseconds between two rows of the time watched: what a kill makes unknown at most."""

PATIENCE: Final = 2.0
"""Seconds to wait for a record that another process writes; the ring holds more, and the next flush tries again."""

GIVE_UP: Final = 300_000_000_000
"""Nanoseconds without being able to write after which the session fails, so that somebody notices."""

SOURCES: Final = 10_000
"""Addresses of attempts kept for a quarter of an hour. A spoofed scan has more; the count then stays at that."""

FULL: Final = parsers.OBSERVATION_LIMIT // 2
"""Observations after which a new engine begins and all flows are cut in two: a month of ordinary traffic has some
thousand, a hostile one should not blind a sensor that nobody starts anew."""

_PACKETS_OF_BLOCK: Final = 12  # struct tpacket_block_desc: version, offset_to_priv, then block_status, num_pkts


class LiveSession:
    """One sensor's traffic into a record, from now on. Not shared by threads."""

    def __init__(
        self,
        topology: Topology,
        sensor: SensorName,
        interfaces: Sequence[str],
        record: str,
        *,
        evidence: EvidenceSettings | None = None,
        programs: Mapping[int, Program] | None = None,
        beside: Sequence[str] = (),
        started: int | None = None,
    ) -> None:
        """record: path of the file. programs: filters by link type, for what came in before the kernel had its own.
        beside: positions of sensors that are to run as well; those that do are known. started: now, in nanoseconds.
        Raises OperatorMistake, OutputFailure."""
        assert sensor.position is not None, "a judged sensor has a position"
        self._unwritable: str | None = None  # why the record could not be written, while that lasts
        judges = Judges(topology)
        self._own = OwnFlows(judges.site, behind_lb=sensor.behind_lb)
        self._judge = judges.at(sensor.position, sensor.side, behind_lb=sensor.behind_lb)
        self._sensor = sensor
        self._interfaces = [visible(name) for name in interfaces]
        self._programs = programs or {}
        self._since = self._flushed = self._tried = time_ns() if started is None else started
        self._kernel = [KernelCounters()] * len(interfaces)
        self._wire = self._lost = 0  # packets; those that could not be judged
        self._findings_seen: dict[str, int] = {}  # packets of each
        self._samples = Samples()
        self._evidence = None if evidence is None else LiveEvidence(evidence, len(interfaces))
        self._evicted = 0  # packets of evidence, recorded as gone
        self._missed = 0  # flows that were too many to be looked at together, likewise
        self._begin_engine()
        self._record = open_record(record, writing=True)
        self._record.patience = PATIENCE
        settle(self._record)
        if self._evidence is not None:
            self._evidence.settle(self._record)
        self._run = self._record.begin(self._described(judges, beside), self._since)
        self._watermark = Watermark(self._record.path, self._run, self._since)
        self._minutes = Minutes(judges.site, self._record, self._run, self._own, self._since)

    def _described(self, judges: Judges, beside: Sequence[str]) -> LiveRun:
        sensor, topology = self._sensor, judges.topology
        mates = {*beside, *positions(self._record.connection, living(self._record.path), judges.site, VERSION)}
        return LiveRun(
            version=VERSION,
            organization=visible(topology.organization),
            topology=judges.site.digest,
            policy=compact(policy_identity()),
            sensor=visible(sensor.name or ""),
            position=sensor.position or "",
            side=sensor.side,
            interfaces=tuple(self._interfaces),
            config=tuple(compact(finding) for finding in config_rows(topology)),
            scope=scope_of(topology, judges.applying(), coverage(topology, [sensor.position or ""], sorted(mates))),
        )

    @property
    def loss(self) -> float:
        """Share of the packets on the wire that could not be judged, as far as it is recorded."""
        return self._lost / self._wire if self._wire else 0.0

    @property
    def trouble(self) -> str | None:
        """Why record or evidence cannot be written, while that lasts."""
        return self._unwritable or (None if self._evidence is None else self._evidence.trouble)

    @property
    def has_twin(self) -> bool:
        return has_twin(self._record, self._run)

    @property
    def figures(self) -> str:
        """What was seen, in words."""
        flows = self._learned.totals.get("flows", 0)
        findings = len({name for name, packets in self._findings_seen.items() if packets > 0} | self._minutes.findings)
        return f"{self._watermark.fed:,} packets, {flows:,} flows, {findings:,} findings"

    def feed(self, interface: int, block: bytes) -> None:
        """interface: its number in the list given. block: the used octets of a TPACKET_V3 block."""
        [packets] = struct.unpack_from("=I", block, _PACKETS_OF_BLOCK)
        self._watermark.add(packets)
        self._engine.feed(interface, block)
        if self._evidence is not None:
            self._evidence.feed(interface, block)

    def tick(self, now: int, kernel: Sequence[KernelCounters]) -> None:
        """Take, judge and record what is due. now: the wall clock. kernel: the counters of each interface.

        Raises OutputFailure when nothing could be recorded for `GIVE_UP`.
        """
        self._engine.advance(now - LAG)
        self._take(now)
        due = now - self._tried >= FLUSH or now < self._tried
        if len(self._learned.verdicts) > FULL and self._unwritable is None:
            self._end_engine(now)
            self._write(now, kernel, whole=True, must=True)
            self._begin_engine()
            self._own.begin_engine()
            self._minutes.begin_anew()
            if self._evidence is not None:
                self._evidence.begin_engine()
        elif due or (self._unwritable is None and self._found()):
            self._write(now, kernel, whole=due)
        if self._unwritable is not None:
            return
        try:
            self._minutes.tick(now, self._learned, self._evidence)
            if self._evidence is not None:
                self._evidence.write(now, self._record, self._run)
        except OutputFailure as error:
            self._unwritable = str(error)

    def close(self, now: int, kernel: Sequence[KernelCounters]) -> None:
        """Every flow ends, and all is recorded. Raises OutputFailure, OperatorMistake; then it is as if killed."""
        self._end_engine(now)
        self._record.patience = None
        self._write(now, kernel, whole=True, must=True, closing=True)
        self._minutes.finish(now, self._learned, self._evidence)
        if self._evidence is not None:
            self._evidence.write(now, self._record, self._run, last=True)
        self._watermark.close()
        self._record.close()

    # --- taking ------------------------------------------------------------------------------------------------------

    def _begin_engine(self) -> None:
        positions = 0 if self._evidence is None else PACKETS
        self._engine = parsers.Engine(parsers.Tables(**self._judge.tables), live=True, positions=positions, joins=True)
        for _ in self._interfaces:
            self._engine.add_ring()
        for link_type, program in self._programs.items():
            self._engine.filter(link_type, program)
        self._learned = Learned(self._sensor, self._judge)
        self._learned.origin.captures = list(self._interfaces)
        self._corrections = Corrections()
        self._waiting: list[Any] = []  # rows of flows that have just begun, by batch
        self._recorded = _Figures()  # of this engine
        self._seen = _Figures()
        self._aggregate = Aggregate(split=True, subjects=SUBJECTS, sources=SOURCES)
        self._pending = Aggregate(split=True)  # of what may become an attempt
        self._quarter = 0

    def _end_engine(self, now: int) -> None:
        for number in range(len(self._interfaces)):
            self._engine.finish(number)
        self._engine.close()
        self._take(now, settled=True)

    def _take(self, now: int, *, settled: bool = False) -> None:
        """settled: no flow is waited for."""
        while len(taken := self._engine.take()):
            self._learned.learn(self._engine)
            self._waiting.append(self._learned.numbered(pa.record_batch(taken)))
        self._learned.totals = dict(self._engine.totals())
        if now // QUARTER != self._quarter:
            self._quarter = now // QUARTER
            self._aggregate.sources_left = SOURCES
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        settled = settled or sum(batch.num_rows for batch in waiting) > UNSETTLED
        ended = pa.concat_arrays([batch["edgewarden.flow_id"].filter(batch["ended"]) for batch in waiting])
        for batch in waiting:  # of each flow one row at a time, in order
            if settled:
                self._judge_rows(now, batch)
                continue
            young = pc.and_(pc.greater(batch["event.start"], now - SETTLE), pc.less(batch["event.start"], now + SETTLE))
            ready = pc.or_(pc.invert(young), pc.is_in(batch["edgewarden.flow_id"], value_set=ended))
            self._judge_rows(now, batch.filter(ready))
            if (rest := batch.filter(pc.invert(ready))).num_rows:
                self._waiting.append(rest)

    def _judge_rows(self, now: int, batch: Any) -> None:
        if not batch.num_rows:
            return
        verdicts = self._learned.verdicts
        signed = self._corrections.signed(batch, verdicts)
        self._pending.count(signed.table.filter(signed.table["pending"]), verdicts)
        settled = signed.table.filter(pc.invert(signed.table["pending"]))
        if hot := self._aggregate.count(settled, verdicts):
            chosen = pc.is_in(settled["observation"], value_set=pa.array(sorted(hot), pa.uint32()))
            self._aggregate.mark(settled.filter(chosen), signed.subjects, verdicts)
        self._own.see(now, batch, self._learned)
        self._samples.keep(now, batch, signed.violating, self._learned, self._aggregate)
        if self._evidence is not None:
            self._evidence.see(now, batch, signed.violating, self._learned, self._aggregate)

    def _found(self) -> bool:
        return any(self._learned.verdicts[number].verdict == VIOLATION for number, _ in self._aggregate.groups)

    # --- writing -----------------------------------------------------------------------------------------------------

    def _write(
        self, now: int, kernel: Sequence[KernelCounters], *, whole: bool, must: bool = False, closing: bool = False
    ) -> None:
        """Record what has come together, and forget it once it is recorded. whole: not findings alone. must: it cannot
        be tried again."""
        shown: list[Own] = []
        grown: list[tuple[Own, str, Counted]] = []
        if whole:
            self._tried = now
            sights, shown = self._own.showings(now)
            growth, grown = self._minutes.growth()
            deltas = self._deltas(now, kernel, closing, sights, growth)
        else:
            deltas = Deltas(findings=self._findings())
        try:
            self._record.append(self._run, deltas)
        except OutputFailure as error:
            self._unwritable = str(error)
            if must or now - self._flushed > GIVE_UP or isinstance(error, RecordGone):
                raise
            return
        self._unwritable = None
        for delta in deltas.findings:
            self._findings_seen[delta.finding] = self._findings_seen.get(delta.finding, 0) + delta.sums.packets
        verdicts, groups = self._learned.verdicts, self._aggregate.groups
        self._aggregate.groups = {
            key: group for key, group in groups.items() if not whole and verdicts[key[0]].verdict == ATTEMPT
        }
        if whole:
            self._aggregate.by_observation, self._pending.by_observation = {}, {}
            self._flushed = now
            self._recorded = self._seen
            self._kernel = list(kernel)
            self._evicted = 0 if self._evidence is None else self._evidence.evicted
            self._missed = self._own.missed
            self._own.written(shown)
            self._minutes.grown(grown)
            assert deltas.span is not None
            self._lost += deltas.span.lost
            self._wire += deltas.span.on_the_wire

    def _findings(self) -> tuple[FindingDelta, ...]:
        found = findings([(self._learned, self._aggregate)], samples=None)
        return tuple(finding_deltas(self._sensor.name, self._aggregate.grain, found))

    def _deltas(
        self,
        now: int,
        kernel: Sequence[KernelCounters],
        closing: bool,
        sights: Sequence[Showing],
        growth: Sequence[FindingDelta],
    ) -> Deltas:
        run = (self._learned, self._aggregate)
        undecided = counts(self._learned, self._pending, lambda verdict: UNDECIDED)
        return Deltas(
            findings=(*self._findings(), *growth),
            attempts=tuple(attempt_deltas(*run)),
            verdicts=(*counts(*run, _name), *undecided),
            paths=tuple(counts(*run, path_of)),
            sights=tuple(sights),
            span=self._span(now, kernel, closing),
        )

    def _span(self, now: int, kernel: Sequence[KernelCounters], closing: bool) -> Span:
        """What came and was lost since the last one that was recorded."""
        self._seen = _Figures.of(self._engine, len(self._interfaces))
        new = self._seen.less(self._recorded)
        evicted = 0 if self._evidence is None else self._evidence.evicted - self._evicted
        unseen = {"buffer_evicted": evicted, "unjoined": self._own.missed - self._missed}
        pairs = list(zip(kernel, self._kernel, strict=True))
        dropped = sum(_more(is_now.dropped, was.dropped) for is_now, was in pairs)
        nic = sum(_more(is_now.nic, was.nic) for is_now, was in pairs)
        down = max((_more(is_now.down, was.down) for is_now, was in pairs), default=0)
        return Span(
            first=min(self._flushed + down, now),  # a clock that was set back goes on from there
            last=now,
            packets=new.packets,
            octets=new.octets,
            accounting=new.accounting,
            quality={**new.quality, **{name: count for name, count in unseen.items() if count}},
            kernel=dropped,
            nic=nic,
            queue=max(0, sum(c.received for c in kernel) - self._watermark.fed) if closing else 0,
            one_way=self._learned.one_way,
            closed=closing,
        )


@dataclass(frozen=True, slots=True)
class _Figures:
    """What an engine has counted."""

    packets: int = 0
    octets: int = 0
    accounting: Mapping[str, int] = field(default_factory=dict)
    quality: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, engine: parsers.Engine, rings: int) -> _Figures:
        infos: list[Any] = [engine.capture_info(number) for number in range(rings)]
        return cls(
            packets=sum(info["packets"] for info in infos),
            octets=sum(info["bytes"] for info in infos),
            accounting={name: sum(info["accounting"][name] for info in infos) for name in parsers.ACCOUNTING},
            quality={name: sum(info["quality"][name] for info in infos) for name in parsers.QUALITY},
        )

    def less(self, other: _Figures) -> _Figures:
        """What came since; only what is not 0 is named."""
        return _Figures(
            self.packets - other.packets,
            self.octets - other.octets,
            _less(self.accounting, other.accounting),
            _less(self.quality, other.quality),
        )


def _less(counts: Mapping[str, int], others: Mapping[str, int]) -> dict[str, int]:
    return {name: more for name, count in counts.items() if (more := count - others.get(name, 0))}


def _more(now: int, before: int) -> int:
    """What a counter that only grows has grown by; of one that was begun anew, all of it."""
    return now - before if now >= before else now


def _name(verdict: Verdict) -> str:
    return verdict.verdict
