"""Proves over the shipped captures that the rows of a live engine, taken at any time, add up to the flows of an audit:
the sums of packets and bytes, and in the last row everything else, are the same."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from parsers import FLOW_COLUMNS, LIVE_COLUMNS, Engine
from tests.corpus import SHIPPED

COUNTS = ("source.packets", "source.bytes", "destination.packets", "destination.bytes")


def rows(engine: Engine) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(batch := engine.take()):
        table: Any = pa.record_batch(batch)
        found += table.to_pylist()
    return found


def audit(data: bytes) -> list[dict[str, Any]]:
    engine = Engine(positions=16)
    engine.feed(engine.add_capture(), data)
    engine.finish(0)
    engine.close()
    return with_observations(rows(engine), engine)


def watch(data: bytes, seed: str) -> list[dict[str, Any]]:
    """The same in blocks of chance, with rows taken and the clock moved on between them."""
    chance = random.Random(seed)
    engine = Engine(positions=16, live=True)
    assert engine.add_capture() == 0
    found, at = [], 0
    while at < len(data):
        size = chance.randrange(1, 3000)
        engine.feed(0, data[at : at + size])
        at += size
        last = engine.capture_info(0)["last"]
        if isinstance(last, int) and chance.random() < 0.3:
            engine.advance(last)
        found += rows(engine)
    engine.finish(0)
    engine.close()
    return with_observations(found + rows(engine), engine)


def with_observations(found: list[dict[str, Any]], engine: Engine) -> list[dict[str, Any]]:
    meanings = engine.observations()
    for row in found:
        row["observation"] = meanings[row["observation"]]
    return found


def added(live: list[dict[str, Any]]) -> list[dict[str, Any]]:
    flows: dict[int, dict[str, Any]] = {}
    for row in live:
        number = row["edgewarden.flow_id"]
        before = flows.get(number)
        assert row["edgewarden.part"] == (0 if before is None else before["edgewarden.part"] + 1)
        if before is not None:
            assert not before["ended"]
            assert row["before.packets"] == before["source.packets"] + before["destination.packets"]
            assert row["before.bytes"] == before["source.bytes"] + before["destination.bytes"]
            turned = row["source.ip"] != before["source.ip"] or row["source.port"] != before["source.port"]
            for name in COUNTS:
                other = {"source": "destination", "destination": "source"}[name.partition(".")[0]]
                row[name] += before[f"{other}.{name.partition('.')[2]}" if turned else name]
        flows[number] = row
    assert all(row["ended"] for row in flows.values())
    return [{name: row[name] for name in FLOW_COLUMNS} for row in flows.values()]


@pytest.mark.parametrize("capture", SHIPPED, ids=lambda path: path.name)
def test_rows_add_up_to_the_audit(capture: Path) -> None:
    data = capture.read_bytes()
    live = watch(data, capture.name)
    assert set(live[0]) == {*FLOW_COLUMNS, *LIVE_COLUMNS}
    assert len(live) > len(audit(data)), "some flows left in several rows"
    assert sorted(map(repr, added(live))) == sorted(map(repr, audit(data)))
