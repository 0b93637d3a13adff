"""Rows in one order, however many: sorted in memory while they fit, else in sorted runs on disk that are merged.

Strategy: the key is (end, start, transport, source, destination, sensor), or with the start first; flows equal in all
of it are one flow. Rows wait as Arrow tables. When they pass `budget` octets they are sorted and written as an Arrow
IPC file of chunks. The merge holds one chunk of each run and always hands out all rows up to the smallest last key
among them, since no row still on disk can come before that one. So memory is one budget, then one chunk a run; and
with at most `FAN_IN` runs, which are merged into longer ones before there are more, that is bounded too.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc

KEY: Final = (
    ("key.end", pa.int64()),
    ("key.start", pa.int64()),
    ("key.transport", pa.uint8()),
    ("key.source.ip", pa.string()),
    ("key.source.port", pa.uint16()),
    ("key.destination.ip", pa.string()),
    ("key.destination.port", pa.uint16()),
    ("key.sensor", pa.uint16()),
)
"""Columns that order the rows; ports count as 0 where there are none."""

BUDGET: Final = 64 * 1024 * 1024
"""Octets of rows held in memory: some 80,000 flows as JSON. Sorting holds them three times for a moment."""

CHUNK_ROWS: Final = 8192
"""Rows read from a run at once: about 8 MiB as JSON lines."""

FAN_IN: Final = 16
"""Runs merged at once: 16 chunks stay below the budget."""


class Sorter:
    """Takes tables from several threads, gives them back in order, once."""

    def __init__(self, *, by_start: bool = False, budget: int = BUDGET, folder: str | None = None) -> None:
        """folder: where runs are written; None = the system's folder for temporary files. Raises OSError later."""
        names = [name for name, _ in KEY]
        if by_start:
            names[0], names[1] = names[1], names[0]
        self._names = names
        self._budget = budget
        self._folder_wanted = folder
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._waiting: list[Any] = []
        self._octets = 0
        self._runs: list[str] = []
        self._made = 0
        self._lock = threading.Lock()

    def add(self, table: Any) -> None:
        """table: the KEY columns (see `key_columns`) and any others, the same ones in every call."""
        if not table.num_rows:
            return
        table = self._sort(table)  # in copies of its own: a slice would keep the whole batch of the core alive
        with self._lock:
            self._waiting.append(table)
            self._octets += table.nbytes
            if self._octets >= self._budget:
                self._spill()

    def sorted(self) -> Iterator[Any]:
        """Tables of bounded size whose rows, one after the other, are in order."""
        with self._lock:
            if not self._runs:
                yield from self._in_memory()
                return
            if self._waiting:
                self._spill()
            yield from self._merge(self._runs)

    def close(self) -> None:
        """Forget everything, files included."""
        self._waiting.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> Sorter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _in_memory(self) -> Iterator[Any]:
        table = self._take_waiting()
        for start in range(0, table.num_rows if table is not None else 0, CHUNK_ROWS):
            yield table.slice(start, CHUNK_ROWS)

    def _take_waiting(self) -> Any:
        if not self._waiting:
            return None
        table = pa.concat_tables(self._waiting)
        self._waiting, self._octets = [], 0
        return self._sort(table)

    def _sort(self, table: Any) -> Any:
        order = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in self._names])
        return table.take(order)

    def _spill(self) -> None:
        self._runs.append(self._write([self._take_waiting()]))
        if len(self._runs) == FAN_IN:
            self._runs = [self._write(self._merge(self._runs))]

    def _write(self, tables: Any) -> str:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="edgewarden-", dir=self._folder_wanted)
        path = os.path.join(self._folder.name, f"run-{self._made}")
        self._made += 1
        writer = None
        with pa.OSFile(path, "wb") as sink:
            for table in tables:
                if writer is None:
                    writer = pa.ipc.new_file(sink, table.schema)
                writer.write_table(table, max_chunksize=CHUNK_ROWS)
            if writer is not None:
                writer.close()
        return path

    def _merge(self, paths: list[str]) -> Iterator[Any]:
        runs = [run for run in (_Run(path, self._names) for path in paths) if run.table is not None]
        while runs:
            bound = min(run.last for run in runs)
            parts = [part for run in runs if (part := run.up_to(bound)) is not None]
            runs = [run for run in runs if run.table is not None]
            yield self._sort(pa.concat_tables(parts))
        for path in paths:
            os.unlink(path)


class _Run:
    """A sorted file and the chunk of it that is in memory."""

    def __init__(self, path: str, names: list[str]) -> None:
        self._reader = pa.ipc.open_file(pa.OSFile(path, "rb"))
        self._names = names
        self._next = 0
        self.table: Any = None
        self.last: tuple[Any, ...] = ()
        self._load()

    def _load(self) -> None:
        self.table = None
        while self._next < self._reader.num_record_batches and self.table is None:
            batch = self._reader.get_batch(self._next)
            self._next += 1
            if batch.num_rows:
                self.table = pa.table(batch)
                self.last = self._key(batch.num_rows - 1)

    def _key(self, row: int) -> tuple[Any, ...]:
        return tuple(self.table[name][row].as_py() for name in self._names)

    def up_to(self, bound: tuple[Any, ...]) -> Any:
        """The rows whose key is at most `bound`, taken away; None when there are none."""
        low, high = 0, self.table.num_rows
        while low < high:
            middle = (low + high) // 2
            if self._key(middle) <= bound:
                low = middle + 1
            else:
                high = middle
        if not low:
            return None
        part = self.table.slice(0, low)
        if low == self.table.num_rows:
            self._load()
        else:
            self.table = self.table.slice(low)
        return part


def key_columns(batch: Any, sensor: int) -> dict[str, Any]:
    """KEY columns of a batch of the core. sensor: its number in the run; sensors are numbered in name order."""
    return {
        "key.end": batch["event.end"],
        "key.start": batch["event.start"],
        "key.transport": batch["network.transport"],
        "key.source.ip": batch["source.ip"],
        "key.source.port": pc.fill_null(batch["source.port"], 0),
        "key.destination.ip": batch["destination.ip"],
        "key.destination.port": pc.fill_null(batch["destination.port"], 0),
        "key.sensor": pa.repeat(pa.scalar(sensor, pa.uint16()), batch.num_rows),
    }
