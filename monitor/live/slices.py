"""Evidence of live findings: the first packets of their flows, cut out of the recent blocks as soon as a flow violates.

Strategy: a row of a violating flow says where its packets are; they are copied out of `recent` at once, since
the blocks go round, and what a later row adds is copied then. A slice is one file a finding, `RULE-FINDING.pcapng`, as
an audit cuts it. It grows by being written whole beside the old one and put in its place, at most once in `PAUSE`,
which also lets a flow settle: what it turns out not to be leaves no file. An earlier file of the same finding is gone
on with. Once a slice has its flows no more is read for it. What a packet may show is `monitor.live.redaction`'s.

What takes part in a finding over several flows is known up to two minutes after its packets: what the buffer does not
hold for so long, and no other slice has, is gone by then, and counted.

A slice that is written lies beside its place until the record has its SHA-256; the sensor that comes after a killed
one puts it there or removes it. Another sensor at the same position may write the same file: what it added stays.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from monitor.aggregate import Aggregate, Finding
from monitor.evidence import Packet, comment_of, in_order, slice_file, slice_packets
from monitor.exit_status import OutputFailure
from monitor.learned import Learned
from monitor.live.corrections import Place, Violating
from monitor.live.recent import Recent
from monitor.live.redaction import kept
from monitor.live.watermark import lives
from monitor.settings.config import EvidenceSettings
from monitor.store.entry import Deltas, Evidence
from monitor.store.writing import Record
from parsers import SERVICES, Engine
from reports.visible import visible
from rules.transports import TRANSPORTS
from rules.verdict import Hit, finding_id

PAUSE: Final = 1_000_000_000
"""Nanoseconds between the first change of a slice and its writing."""

MEMORY: Final = 64 * 1024 * 1024
"""Octets of packets held for slices that still grow: two thousand of them at their usual size. Beyond, the oldest are
left as they are."""

SWEEP: Final = 3600 * 1_000_000_000
"""Nanoseconds between two looks for slices that are too old."""

DAY: Final = 24 * SWEEP

_UNKNOWN: Final = SERVICES.index("unknown")
_SLICE: Final = re.compile(r"[a-z0-9-]+-[0-9a-f]{16}\.pcapng")
_STAGED: Final = re.compile(r"([a-z0-9-]+-[0-9a-f]{16}\.pcapng)\.(\d+)\.part")


@dataclass(slots=True)
class _Flow:
    findings: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    packets: dict[int, Packet | None] = field(default_factory=dict)  # by place; None: gone before it was asked for


@dataclass(slots=True)
class _Slice:
    """earlier: packets that others wrote. sha256: of the file as it is known, "" of none. left: flows that may still be
    added. since: of its first change that is not written, None if all is."""

    name: str
    comment: str
    earlier: list[Packet]
    sha256: str
    left: int
    flows: dict[int, _Flow] = field(default_factory=dict)
    since: int | None = None


class LiveEvidence:
    """Of one sensor."""

    def __init__(self, settings: EvidenceSettings, rings: int) -> None:
        self.evicted = 0  # packets that were wanted and gone
        self.trouble: str | None = None  # why a slice could not be written, while that lasts
        self._settings = settings
        self._rings = rings
        self._recent = Recent(rings, settings.buffer)
        self._slices: dict[str, _Slice] = {}
        self._flows: dict[int, _Flow] = {}  # those that go on
        self._swept: int | None = None

    def feed(self, ring: int, block: bytes) -> None:
        self._recent.add(ring, block)

    def begin_engine(self) -> None:
        """A new engine numbers flows and places anew."""
        for known in self._slices.values():
            known.earlier, known.flows = self._packets(known), {}
        self._recent = Recent(self._rings, self._settings.buffer)
        self._flows.clear()

    # --- collecting --------------------------------------------------------------------------------------------------

    def see(self, now: int, batch: Any, rows: Iterable[Violating], learned: Learned, aggregate: Aggregate) -> None:
        for violating in rows:
            flow = self._flows.pop(violating.flow, None)
            hits = {} if violating.now is None else _hits(violating.observation, violating.now, learned, aggregate)
            for name in () if flow is None else flow.findings:
                if name not in hits and name in self._slices:
                    self._take_back(self._slices[name], violating.flow, now)
            wanted = [name for name, hit in hits.items() if self._has_room(name, hit, violating.flow)]
            if not wanted:
                continue
            flow = flow or _Flow()
            flow.findings = tuple(wanted)
            flow.services = _services(batch, violating.row)
            self._copy(flow, batch["edgewarden.packets"][violating.row].as_py() or ())
            for name in wanted:
                self._put(self._slices[name], violating.flow, flow, now)
            if not violating.ended:
                self._flows[violating.flow] = flow

    def join(self, now: int, batch: Any, row: int, finding: Finding) -> None:
        """A flow takes part in a finding over several: what is there of it now."""
        number = batch["edgewarden.flow_id"][row].as_py()
        if not self._has_room(finding.id, finding.hit, number):
            return
        copies = (known.flows[number].packets for known in self._slices.values() if number in known.flows)
        flow = _Flow((finding.id,), _services(batch, row), dict(next(copies, {})))
        self._copy(flow, batch["edgewarden.packets"][row].as_py() or ())
        self._put(self._slices[finding.id], number, flow, now)

    def _has_room(self, name: str, hit: Hit, flow: int) -> bool:
        found = self._slices.get(name)
        if found is None:
            file = f"{hit.rule}-{name}.pcapng"
            data = _content(os.path.join(self._settings.dir, file))
            left = max(0, self._settings.flows_per_finding - _flows(data))
            found = _Slice(file, comment_of(name, hit), slice_packets(data), _digest(data), left)
            self._slices[name] = found
        return found.left > 0 or flow in found.flows

    def _copy(self, flow: _Flow, places: Iterable[int]) -> None:
        for place in list(places)[: self._settings.packets_per_flow]:
            if place in flow.packets:
                continue
            packet = flow.packets[place] = self._recent.packet(place)
            if packet is None:
                self.evicted += 1

    def _put(self, into: _Slice, number: int, flow: _Flow, now: int) -> None:
        if number not in into.flows:
            into.left -= 1
        into.flows[number] = flow
        into.since = now if into.since is None else into.since

    def _take_back(self, out_of: _Slice, number: int, now: int) -> None:
        if out_of.flows.pop(number, None) is not None:
            out_of.left += 1
            out_of.since = now if out_of.since is None else out_of.since

    # --- writing -----------------------------------------------------------------------------------------------------

    def write(self, now: int, record: Record, run: int, *, last: bool = False) -> None:
        """Write the slices that are due (last: all that changed), remove those too old. Raises OutputFailure."""
        self.trouble = None
        due = {
            name: changed
            for name, changed in self._slices.items()
            if changed.since is not None and (last or now - changed.since >= PAUSE or now < changed.since)
        }
        rows: list[Evidence] = []
        staged: list[tuple[str, str]] = []
        gone = self._gone(now)
        for name, changed in due.items():
            path = os.path.join(self._settings.dir, changed.name)
            changed.since = None
            try:
                there = _content(path)
                if _digest(there) != changed.sha256:  # another sensor's
                    changed.earlier = slice_packets(there)
                packets = self._packets(changed)
                if packets and record.has_finding(name):
                    stored = slice_file(packets, changed.comment)
                    changed.sha256 = _digest(stored)
                    os.makedirs(self._settings.dir, stat.S_IRWXU, exist_ok=True)
                    staged.append((f"{path}.{run}.part", path))
                    with open(staged[-1][0], "wb") as file:
                        file.write(stored)
                    rows.append(Evidence(name, visible(path), changed.sha256, len(packets)))
                elif there and not packets:
                    os.unlink(path)
                    gone.append(visible(path))
                    changed.sha256 = ""
            except OSError as error:
                self.trouble = f"{visible(path)}: {error.strerror or error}"
                changed.since = now  # to be tried again after a pause
        if rows or gone:
            try:
                record.append(run, Deltas(evidence=tuple(rows)), without=gone)
            except OutputFailure:
                for changed in due.values():
                    changed.since = now
                raise
        for part, path in staged:
            try:
                os.replace(part, path)
            except OSError as error:
                self.trouble = f"{visible(path)}: {error.strerror or error}"
        if due:
            self._let_go()

    def _packets(self, changed: _Slice) -> list[Packet]:
        settings = self._settings
        mine = (
            kept(packet, flow.services, settings)
            for flow in changed.flows.values()
            for packet in flow.packets.values()
            if packet is not None
        )
        return in_order({(p.time, p.data): p for p in (*changed.earlier, *mine)}.values())

    def _let_go(self) -> None:
        """Hold no packets of slices that are complete, nor more than `MEMORY`: the oldest stay as they are."""
        written = [known for known in self._slices.values() if known.flows and known.since is None]
        held = sum(_size(known) for known in written)
        for known in written:
            complete = known.left <= 0 and not any(number in self._flows for number in known.flows)
            if complete or held > MEMORY:
                held -= _size(known)
                known.flows, known.earlier, known.left = {}, [], 0

    def settle(self, record: Record) -> None:
        """Put the slices in their places that a killed sensor had written and recorded, and remove what it had not."""
        try:
            names = os.listdir(self._settings.dir)
        except OSError:
            return  # said when something is to be written
        for found in filter(None, map(_STAGED.fullmatch, names)):
            part, path = (os.path.join(self._settings.dir, name) for name in (found[0], found[1]))
            if lives(record.path, int(found[2])):
                continue
            try:
                if _digest(_content(part)) == record.digest_of(visible(path)):
                    os.replace(part, path)
                else:
                    os.unlink(part)
            except OSError as error:
                self.trouble = f"{visible(part)}: {error.strerror or error}"

    def _gone(self, now: int) -> list[str]:
        """Now and then: slices that were too old and are removed."""
        if self._swept is not None and now - self._swept < SWEEP:
            return []
        self._swept = now
        return self._sweep(now)

    def _sweep(self, now: int) -> list[str]:
        """Remove slices older than `keep_days`; their places as the record has them."""
        folder, gone = self._settings.dir, []
        try:
            names = [name for name in os.listdir(folder) if _SLICE.fullmatch(name)]
        except FileNotFoundError:
            return []
        except OSError as error:
            self.trouble = f"{visible(folder)}: {error.strerror or error}"
            return []
        for name in names:
            path = os.path.join(folder, name)
            try:
                if now - os.stat(path).st_mtime_ns < self._settings.keep_days * DAY:
                    continue
                os.unlink(path)
            except OSError as error:
                self.trouble = f"{visible(path)}: {error.strerror or error}"
                continue
            gone.append(visible(path))
            finding = name[-len("0123456789abcdef.pcapng") : -len(".pcapng")]
            self._slices.pop(finding, None)
        return gone


def _size(known: _Slice) -> int:
    return sum(len(p.data) for flow in known.flows.values() for p in flow.packets.values() if p is not None)


def _hits(observation: int, place: Place, learned: Learned, aggregate: Aggregate) -> dict[str, Hit]:
    """The findings of a flow, by id as the record has them."""
    verdict = learned.verdicts[observation]
    subjects = aggregate.subjects(verdict, place.values) or ("",) * len(verdict.hits)
    transport = TRANSPORTS[learned.protocols[observation]]
    return {
        finding_id(
            hit.rule,
            learned.sensor.position or "",
            verdict.source,
            verdict.destination,
            transport,
            hit.port_or_class,
            hit.service,
            subject,
        ): hit
        for hit, subject in zip(verdict.hits, subjects, strict=True)
    }


def _services(batch: Any, row: int) -> tuple[str, ...]:
    """None while they are not known."""
    if batch["network.protocol"][row].as_py() == _UNKNOWN:
        return (SERVICES[_UNKNOWN],)
    return tuple(SERVICES[number] for number in batch["edgewarden.services"][row].as_py() or ())


def _content(path: str) -> bytes:
    """Of a slice that is there, b"" where there is none to be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest() if data else ""


def _flows(data: bytes) -> int:
    """Of how many flows the packets of a slice are."""
    engine = Engine()
    engine.feed(engine.add_capture(), data)
    engine.finish(0)
    engine.close()
    flows = 0
    while ended := len(engine.take()):
        flows += ended
    return flows
