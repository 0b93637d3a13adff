"""What holds for every capture, whatever is in it: the same answer in any chunking and each time, every packet counted
once, no crash; also when the capture was truncated or octets of it were changed.

Runs over the shipped captures and over the corpus of real ones where that is at hand. Damage is drawn from a seed that
is the capture's name, so that a failure comes again.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from parsers import ACCOUNTING, Engine
from tests.corpus import ABSENT, ROOT, SHIPPED, corpus_captures, facts_of
from tests.house.captures import BROKEN, CLEAN, TOPOLOGY

CAPTURES = SHIPPED + corpus_captures()
each_capture = pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name)

SMALL = 60_000
"""Octets of a capture that is also fed one by one; larger ones would take seconds each."""

DAMAGED = 6
"""Damaged copies of each capture and kind of damage."""


@dataclass(frozen=True)
class Read:
    """All that the core said of one capture."""

    flows: pa.RecordBatch
    certificates: pa.RecordBatch
    observations: list[tuple[int, ...]]
    info: dict[str, Any]
    totals: dict[str, int]


def chunks(data: bytes, sizes: Iterator[int]) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        size = next(sizes)
        yield data[position : position + size]
        position += size


def read(blocks: Iterator[bytes]) -> Read:
    engine = Engine(positions=4)
    number = engine.add_capture()
    for block in blocks:
        engine.feed(number, block)
    engine.finish(number)
    engine.close()
    flows = pa.record_batch(engine.take())
    assert not len(engine.take())
    return Read(
        flows,
        pa.record_batch(engine.certificates()),
        engine.observations(),
        dict(engine.capture_info(number)),
        dict(engine.totals()),
    )


def whole(data: bytes) -> Read:
    return read(iter([data]))


def same(one: Read, other: Read) -> bool:
    return (
        one.flows.equals(other.flows)
        and one.certificates.equals(other.certificates)
        and (one.observations, one.info, one.totals) == (other.observations, other.info, other.totals)
    )


def assert_adds_up(made: Read) -> None:
    """Every packet has one name, and those in flows are the flows' own."""
    accounting: dict[str, int] = made.info["accounting"]
    assert set(accounting) == set(ACCOUNTING)
    assert made.info["packets"] == sum(accounting.values())
    ends = [sum(made.flows[f"{end}.packets"].to_pylist()) for end in ("source", "destination")]
    assert accounting["in_flows"] == sum(ends)
    assert made.totals["flows"] == len(made.flows)


@each_capture
def test_any_chunking_gives_the_same_batches(capture: Path) -> None:
    data = capture.read_bytes()
    chance = random.Random(capture.name)
    reference = whole(data)
    assert_adds_up(reference)
    cuts: list[Iterator[int]] = [iter(lambda: 977, 0), iter(lambda: chance.randint(1, 5_000), 0)]
    if len(data) <= SMALL:
        cuts.append(iter(lambda: 1, 0))
    for sizes in cuts:
        assert same(reference, read(chunks(data, sizes)))


@each_capture
def test_taking_early_changes_no_flow(capture: Path) -> None:
    """Flows handed out block by block are those handed out at the end, by the observation's numbers, too."""
    data = capture.read_bytes()
    engine = Engine(positions=4)
    number = engine.add_capture()
    rows = []
    for block in chunks(data, iter(lambda: 20_011, 0)):
        engine.feed(number, block)
        rows += pa.record_batch(engine.take()).to_pylist()
    engine.finish(number)
    engine.close()
    rows += pa.record_batch(engine.take()).to_pylist()
    reference = whole(data)
    observations = engine.observations()
    for row in rows:
        row["observation"] = observations[row["observation"]]
    wanted = reference.flows.to_pylist()
    for row in wanted:
        row["observation"] = reference.observations[row["observation"]]
    assert sorted(map(repr, rows)) == sorted(map(repr, wanted))


@each_capture
def test_the_program_counts_every_packet_once(capture: Path) -> None:
    """The equation, of the rows as printed and the figures as published."""
    facts = facts_of(capture)
    assert facts.mistakes == []
    assert facts.packets == sum(facts.accounting.values())
    assert facts.accounting["in_flows"] == sum(row["network"]["packets"] for row in facts.rows)


@each_capture
def test_a_truncated_capture_is_read_as_far_as_it_goes(capture: Path) -> None:
    data = capture.read_bytes()
    chance = random.Random(capture.name)
    packets = whole(data).info["packets"]
    for _ in range(DAMAGED):
        made = whole(data[: chance.randrange(len(data))])
        assert_adds_up(made)
        assert made.info["packets"] <= packets
        if made.info["kind"] is not None:  # else it was cut in the file's own header
            assert made.info["error"] is None, "what is missing at the end is no damage"


@each_capture
def test_changed_octets_do_no_harm(capture: Path) -> None:
    """A few octets anywhere, headers of the file and its packets included; then every hundredth octet."""
    data = capture.read_bytes()
    chance = random.Random(capture.name)
    for round_ in range(DAMAGED):
        damaged = bytearray(data)
        count = 1 + len(data) // 100 if round_ == 0 else chance.randint(1, 40)
        for _ in range(count):
            damaged[chance.randrange(len(data))] = chance.randrange(256)
        assert_adds_up(whole(bytes(damaged)))


@each_capture
def test_changed_packets_do_no_harm(capture: Path) -> None:
    """The file's own structure spared: everything behind the first octets of its 24 (pcap) is hit only where `places`
    of packets lie, so that the layers above get to see the damage."""
    data = capture.read_bytes()
    chance = random.Random(capture.name)
    places = [place & ((1 << 48) - 1) for row in whole(data).flows["edgewarden.packets"].to_pylist() for place in row]
    if not places:
        return
    for _ in range(DAMAGED):
        damaged = bytearray(data)
        for place in chance.sample(places, min(len(places), 50)):
            # Behind the record's header of at most 28 octets (pcapng) stands the packet.
            for _ in range(3):
                at = place + 28 + chance.randrange(120)
                if at < len(damaged):
                    damaged[at] = chance.randrange(256)
        assert_adds_up(whole(bytes(damaged)))


@pytest.mark.skipif(not corpus_captures(), reason=ABSENT)
def test_the_corpus_is_there() -> None:
    """Skipped, and said so, where the tests of this file run over the shipped captures alone."""
    assert len(corpus_captures()) >= 100


def test_runs_are_byte_identical_whatever_the_hash_seed() -> None:
    """In processes of their own: the order of Python's sets and dictionaries must not reach the output."""
    captures = [f"{position}={path}" for each in (CLEAN, BROKEN) for position, path in each.items()]
    for command in (["audit", "--format", "json", "--fail-on", "never"], ["flows", "--format", "jsonl"]):
        outputs = set()
        for seed in ("0", "1", "4711"):
            done = subprocess.run(
                [sys.executable, "-m", "monitor.cli", *command, "--quiet", "--topology", TOPOLOGY, *captures],
                cwd=ROOT,
                env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                check=True,
            )
            outputs.add(done.stdout)
        assert len(outputs) == 1
        assert len(outputs.pop()) > 10_000
