"""Slices of live findings hold the packets that an audit of the same capture would cut, and their rows say what is on
disk; within the bounds of the settings."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.audit import audit
from monitor.capture_arguments import CaptureArgument, SensorName
from monitor.evidence import PACKETS, Packet, sample_packets, slice_file, slice_packets, write_evidence
from monitor.live.recent import Recent
from monitor.live.ring import KernelCounters
from monitor.live.session import LiveSession
from monitor.replay import Settings
from monitor.settings.config import EvidenceSettings
from monitor.store.questions import Filter, listing
from monitor.store.spans import spans
from monitor.store.sqlite import reading
from tests.house.captures import BROKEN, all_packets
from tests.live.blocks import block, blocks
from tests.live.test_live_session import SECOND, topology

PATH = BROKEN["internal"]
DAY = 24 * 3600 * SECOND


def settings(folder: Path) -> EvidenceSettings:
    return EvidenceSettings(str(folder), 256 << 20, 16, 8, 90, 262_144, "full", "full", "full")


def begin(record: Path, rules: EvidenceSettings, started: int) -> LiveSession:
    return LiveSession(
        topology(), SensorName("internal", "internal"), ["eth1"], str(record), evidence=rules, started=started
    )


def watch(record: Path, rules: EvidenceSettings, packets: Sequence[Packet], size: int = 10) -> None:
    live = begin(record, rules, packets[0].time - SECOND)
    for first, last in itertools.pairwise([*range(0, len(packets), size), len(packets)]):
        live.feed(0, block(packets[first:last]))
        live.tick(packets[last - 1].time, [KernelCounters(last)])
    assert live.trouble is None
    live.close(packets[-1].time + SECOND, [KernelCounters(len(packets))])


def offline(folder: Path) -> dict[str, list[Packet]]:
    """The slices of an audit, by name."""
    argument = CaptureArgument(PATH, SensorName("internal", "internal"), PATH)
    outcome = audit(topology(), [argument], Settings(positions=PACKETS))
    write_evidence(str(folder), outcome.found, sample_packets(outcome.found, {PATH: PATH}))
    return {name: slice_packets((folder / name).read_bytes()) for name in os.listdir(folder)}


@pytest.mark.parametrize("size", [7, 100_000])
def test_a_slice_holds_what_an_audit_cuts(tmp_path: Path, size: int) -> None:
    record, folder = tmp_path / "record.db", tmp_path / "live"
    watch(record, settings(folder), all_packets(PATH), size)
    wanted = offline(tmp_path / "audit")
    assert len(wanted) > 10
    assert {name: slice_packets((folder / name).read_bytes()) for name in os.listdir(folder)} == wanted
    with reading(str(record)) as connection:
        found = [f for f in listing(connection, Filter())["findings"] if f["position"] != "config"]
    assert len(found) == len(wanted)
    for finding in found:
        [evidence] = finding["evidence"]
        assert evidence["path"] == str(folder / f"{finding['rule']}-{finding['id']}.pcapng")
        data = Path(evidence["path"]).read_bytes()
        assert evidence["sha256"] == hashlib.sha256(data).hexdigest()
        assert evidence["packets"] == len(wanted[os.path.basename(evidence["path"])])


def test_a_folder_that_was_removed_is_made_again_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    watch(tmp_path / "record.db", settings(folder), all_packets(PATH))
    assert folder.stat().st_mode & 0o777 == 0o700


def test_packets_that_are_gone_are_counted(tmp_path: Path) -> None:
    record, folder = tmp_path / "record.db", tmp_path / "live"
    packets = all_packets(PATH)
    watch(record, replace(settings(folder), buffer=1), packets, 50)
    with reading(str(record)) as connection:
        [watched] = spans(connection)
    places = sum(len(slice_) for slice_ in offline(tmp_path / "audit").values())
    assert 0 < watched.quality["buffer_evicted"] <= places
    assert not folder.exists()


def test_a_slice_goes_on_after_a_restart_up_to_its_number_of_flows(tmp_path: Path) -> None:
    record, folder = tmp_path / "record.db", tmp_path / "live"
    packets = all_packets(PATH)
    rules = replace(settings(folder), flows_per_finding=2)
    sizes = []
    for turn in range(3):
        watch(record, rules, [replace(packet, time=packet.time + turn * DAY) for packet in packets], 100)
        sizes.append({name: len(slice_packets((folder / name).read_bytes())) for name in os.listdir(folder)})
    one = {name: size for name, size in sizes[0].items() if 2 * size == sizes[1][name]}
    assert one, "findings of a single flow got a second one"
    assert sizes[1] == sizes[2], "and no third"
    with reading(str(record)) as connection:
        for path, sha256 in connection.execute("SELECT path, sha256 FROM evidence"):
            assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == sha256


def test_old_slices_are_removed_and_nothing_else(tmp_path: Path) -> None:
    record, folder = tmp_path / "record.db", tmp_path / "live"
    packets = all_packets(PATH)
    watch(record, settings(folder), packets)
    names = sorted(os.listdir(folder))
    other = folder / "notes.pcapng"
    other.write_bytes(b"of somebody else")
    now = packets[0].time + 100 * DAY
    for name in names[1:]:
        os.utime(folder / name, ns=(now - 91 * DAY, now - 91 * DAY))
    os.utime(folder / names[0], ns=(now - 89 * DAY, now - 89 * DAY))
    os.utime(other, ns=(0, 0))
    live = begin(record, settings(folder), now - SECOND)
    live.tick(now, [KernelCounters()])
    live.close(now, [KernelCounters()])
    assert sorted(os.listdir(folder)) == sorted([names[0], "notes.pcapng"])
    with reading(str(record)) as connection:
        assert [path for (path,) in connection.execute("SELECT path FROM evidence")] == [str(folder / names[0])]


def test_a_folder_that_cannot_be_written_is_told_and_findings_are_recorded(tmp_path: Path) -> None:
    record, folder = tmp_path / "record.db", tmp_path / "a file"
    folder.write_bytes(b"")
    packets = all_packets(PATH)
    live = begin(record, settings(folder), packets[0].time)
    live.feed(0, block(packets))
    live.tick(packets[-1].time, [KernelCounters()])
    live.tick(packets[-1].time + 2 * SECOND, [KernelCounters()])
    assert live.trouble is not None
    assert str(folder) in live.trouble
    with reading(str(record)) as connection:
        assert [f for f in listing(connection, Filter())["findings"] if f["position"] != "config"]
    live.close(packets[-1].time + 3 * SECOND, [KernelCounters()])


def test_recent_blocks_go_round() -> None:
    """Two rings, room for some blocks: the newest are there, and offsets may pass 2^48."""
    packets = all_packets(PATH)[:60]
    recent = Recent(2, 10_000)
    places: dict[int, Packet] = {}
    offsets = [0, 0]
    recent._ends[1] = offsets[1] = 2**48 - 3000
    for number, made in enumerate(blocks(packets, 1)):
        ring = number % 2
        recent.add(ring, made)
        places[ring << 48 | (offsets[ring] + 48) % 2**48] = packets[number]  # behind the block's own header
        offsets[ring] += len(made)
    found = [recent.packet(place) for place in places]
    there = sum(packet is not None for packet in found)
    assert 10 < there < 60
    assert found[-there:] == list(packets)[-there:] == list(places.values())[-there:]
    assert offsets[1] > 2**48


def test_what_a_killed_sensor_had_written_and_recorded_gets_its_place(tmp_path: Path) -> None:
    record, folder = tmp_path / "record.db", tmp_path / "live"
    packets = all_packets(PATH)
    watch(record, settings(folder), packets, 200)
    recorded, unknown, *_ = sorted(os.listdir(folder))
    content = (folder / recorded).read_bytes()
    (folder / recorded).rename(folder / f"{recorded}.1.part")  # killed before it was put in its place
    (folder / recorded).write_bytes(b"an older one")
    (folder / f"{unknown}.1.part").write_bytes(b"killed before it was recorded")
    before = (folder / unknown).read_bytes()
    begin(record, settings(folder), packets[-1].time).close(packets[-1].time, [KernelCounters()])
    assert (folder / recorded).read_bytes() == content
    assert (folder / unknown).read_bytes() == before
    assert not list(folder.glob("*.part"))


def test_two_sensors_at_one_position_fill_one_slice(tmp_path: Path) -> None:
    record, folder = tmp_path / "record.db", tmp_path / "live"
    packets = all_packets(PATH)
    moved = [replace(packet, time=packet.time + SECOND // 1000) for packet in packets]
    one, other = (begin(record, settings(folder), packets[0].time) for _ in range(2))
    one.feed(0, block(packets))
    other.feed(0, block(moved))
    for live in (one, other):
        live.close(packets[-1].time + SECOND, [KernelCounters()])
    for name, wanted in offline(tmp_path / "audit").items():
        found = slice_packets((folder / name).read_bytes())
        assert len(found) == 2 * len(wanted)
        assert found[::2] == wanted or {p.time for p in wanted} < {p.time for p in found}


def test_a_slice_is_read_back(tmp_path: Path) -> None:
    packets = [Packet(5, 1, 99, b"abc"), Packet(1 << 60, 101, 4, b"abcd")]
    data = slice_file(packets, "a comment")
    assert slice_packets(data) == packets
    assert slice_packets(data[:-20]) == packets[:1]
    assert slice_packets(b"no capture at all, but long enough to be looked at") == []
