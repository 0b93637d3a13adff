"""The order of rows is that of their keys, whatever was spilled, in however many pieces they came."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import order
from monitor.order import KEY, Sorter, key_columns
from tests.house.batches import batch

Row = tuple[int, int, int, str, int, str, int, int]


def table(rows: list[Row]) -> Any:
    columns = {name: pa.array([row[i] for row in rows], kind) for i, (name, kind) in enumerate(KEY)}
    return pa.table({**columns, "line": pa.array([repr(row) for row in rows], pa.string())})


def lines(sorter: Sorter) -> list[str]:
    return [line for part in sorter.sorted() for line in part["line"].to_pylist()]


ROW = st.tuples(
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from([1, 6, 17]),
    st.sampled_from(["10.0.0.1", "10.0.0.2", "2001:db8::1"]),
    st.integers(0, 3),
    st.sampled_from(["10.0.0.1", "10.0.0.9"]),
    st.integers(0, 3),
    st.integers(0, 2),
)


@settings(max_examples=60, deadline=None)
@given(
    pieces=st.lists(st.lists(ROW, max_size=30), max_size=40),
    budget=st.sampled_from([1, 2000, 10**9]),
    by_start=st.booleans(),
    chunk=st.sampled_from([1, 3, 1000]),
)
def test_any_pieces_come_out_in_order(pieces: list[list[Row]], budget: int, by_start: bool, chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch, Sorter(by_start=by_start, budget=budget) as sorter:
        patch.setattr(order, "CHUNK_ROWS", chunk)
        for piece in pieces:
            sorter.add(table(piece))
        rows = [row for piece in pieces for row in piece]
        wanted = sorted(rows, key=lambda row: (row[1], row[0], *row[2:]) if by_start else row)
        assert lines(sorter) == [repr(row) for row in wanted]


def test_runs_on_disk_are_removed_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "CHUNK_ROWS", 64)
    randomness = random.Random(7)
    rows: list[Row] = [(randomness.randrange(10**6), n, 6, "10.0.0.1", 1, "10.0.0.2", 2, 0) for n in range(5000)]
    with Sorter(budget=4096, folder=str(tmp_path)) as sorter:
        most = 0
        for start in range(0, 5000, 50):
            sorter.add(table(rows[start : start + 50]))
            most = max(most, len(list(tmp_path.rglob("run-*"))))
        assert 1 < most <= order.FAN_IN
        assert lines(sorter) == [repr(row) for row in sorted(rows)]
    assert list(tmp_path.iterdir()) == []


def test_all_flows_in_the_same_nanosecond_still_merge(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile clock: the merge may not rest on times alone."""
    monkeypatch.setattr(order, "CHUNK_ROWS", 10)
    rows: list[Row] = [(5, 5, 17, f"10.0.{n // 256}.{n % 256}", n, "10.1.1.1", 53, 0) for n in range(1000)]
    random.Random(1).shuffle(rows)
    with Sorter(budget=1) as sorter:
        for start in range(0, 1000, 100):
            sorter.add(table(rows[start : start + 100]))
        biggest = 0
        got = []
        for part in sorter.sorted():
            biggest = max(biggest, part.num_rows)
            got += part["line"].to_pylist()
    assert got == [repr(row) for row in sorted(rows)]
    assert biggest <= 10 * order.FAN_IN


def test_key_columns_of_a_batch_have_no_nulls() -> None:
    columns = key_columns(batch({"network.transport": 47, "source.port": None, "destination.port": None}), 3)
    assert list(columns) == [name for name, _ in KEY]
    assert [columns[name].null_count for name in columns] == [0] * len(KEY)
    assert columns["key.sensor"].to_pylist() == [3]
