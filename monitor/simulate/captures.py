"""All scenarios of all tables on one topology: captures written, and beside them what must come out.

`expected.json` is made from the tables and the addresses alone; no result of an audit ever enters it.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from scapy.layers.l2 import Ether
from scapy.utils import PcapNgWriter, PcapWriter

from monitor.simulate.cast import Cast, NotCast
from monitor.simulate.credentials import Vault
from monitor.simulate.stage import ANSWERED, Performance, perform
from monitor.simulate.table import FOLDER, Sheet, sheets
from monitor.simulate.wire import MICRO, Frame
from rules.topology import Topology

EXPECTED = "expected.json"


@dataclass(frozen=True, slots=True)
class Capture:
    name: str
    sensor: str
    kind: str  # `clean`, `violations`, `lookalikes`
    frames: int
    octets: int
    flows: int


@dataclass(frozen=True, slots=True)
class Result:
    """What was written: captures in table order, and (scenario, why) for those the site has no part for."""

    folder: str
    captures: tuple[Capture, ...]
    skipped: tuple[tuple[str, str], ...]


def simulate(topology: Topology, out_dir: Path, violations: bool, *, folder: Path = FOLDER) -> Result:
    """Write the captures of every path of `topology`, with `violations` also those that break a rule, and look-alikes.

    Raises OSError.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    chosen = [sheet for sheet in sheets(folder) if violations or sheet.kind == "clean"]
    cast = Cast(topology)
    vault = Vault(topology.organization, min(sheet.starts for sheet in chosen))
    captures, skipped, expected = [], [], {}
    for sheet in chosen:
        performances = []
        for number, scenario in enumerate(sheet.scenarios):
            try:
                performances.append(perform(cast, vault, sheet, number))
            except NotCast as reason:
                skipped.append((scenario.id, str(reason)))
        # Made in table order, captured in time order: a slow scenario may still speak when the next begins.
        frames = sorted((f for p in performances for f in p.frames), key=lambda frame: frame.time)
        path = out_dir / sheet.capture
        _write(path, frames)
        flows = [flow for p in performances for flow in _flows(sheet, p)]
        captures.append(Capture(sheet.capture, sheet.sensor, sheet.kind, len(frames), path.stat().st_size, len(flows)))
        expected[sheet.capture] = {"sensor": sheet.sensor, "kind": sheet.kind, "about": sheet.about, "flows": flows}
    report = {
        "schema": 1,
        "organization": topology.organization,
        "topology": topology.digest,
        "captures": expected,
        "skipped": [{"scenario": scenario, "why": why} for scenario, why in skipped],
    }
    (out_dir / EXPECTED).write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return Result(str(out_dir), tuple(captures), tuple(skipped))


def _flows(sheet: Sheet, performance: Performance) -> Iterable[dict[str, Any]]:
    scenario, expect = performance.scenario, performance.scenario.expect
    for (source, destination), start in performance.flows:
        flow: dict[str, Any] = {
            "scenario": scenario.id,
            "transport": scenario.transport,
            "source": _end(source),
            "destination": _end(destination),
            "start": _iso(start),
            "answered": ANSWERED[scenario.answer],
            "verdict": expect.verdict,
            "path": expect.path,
            "rules": list(expect.rules),
            "rules_silenced": list(expect.silenced),
            "unproved": list(expect.unproved),
        }
        if expect.services is not None:
            flow["protocol"] = expect.protocol
            flow["services"] = list(expect.services)
        if expect.never:
            flow["never"] = list(expect.never)
        flow |= {"because": scenario.because, "document": scenario.document}
        yield flow


def _end(end: tuple[str, int | None]) -> dict[str, Any]:
    return {"ip": end[0]} if end[1] is None else {"ip": end[0], "port": end[1]}


def _iso(micros: int) -> str:
    whole = datetime.datetime.fromtimestamp(micros // MICRO, datetime.UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{micros % MICRO:06d}Z"


def _write(path: Path, frames: Iterable[Frame]) -> None:
    """A pcapng, or a pcap where the name says so; times in whole microseconds."""
    if path.suffix == ".pcapng":
        with PcapNgWriter(str(path)) as writer:
            writer.write_header(Ether())
            for frame in frames:
                # This writer multiplies seconds by a million and cuts; a fraction loses nothing on the way.
                writer.write_packet(frame.octets, sec=Fraction(frame.time, MICRO))
    else:
        with PcapWriter(str(path), linktype=1) as writer:
            writer.write_header(Ether())
            for frame in frames:
                writer.write_packet(frame.octets, sec=frame.time // MICRO, usec=frame.time % MICRO)
