"""The flows of captures as rows: JSON lines, CSV, a table for the eye, Parquet; in one order, whatever their number.

Strategy: each sensor's thread turns its batches into the text (or, for Parquet, the columns) of the wanted format and
gives them to one `Sorter`. When all captures are read, the sorted chunks are completed with what the verdict says of
each row, filtered, and written. A verdict is only final then, since a one-way tap is only known then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from monitor.capture_arguments import CaptureArgument
from monitor.fields import ARROW_TYPES, FIELDS, JUDGED, columns
from monitor.judged import judged_values
from monitor.order import Sorter, key_columns
from monitor.replay import Replay, Settings, by_sensor, run_side_by_side
from monitor.rows import CSV_HEADER, JSON_END, csv_judged, csv_lines, json_judged, json_lines, times

if TYPE_CHECKING:
    from rules.topology import Topology

FORMATS: Final = ("table", "jsonl", "csv", "parquet")

ROW_GROUP: Final = 131_072
"""Rows of one Parquet row group: what readers expect (tens of MiB), a bounded number to hold."""


class Binary(Protocol):
    def write(self, data: Any, /) -> object: ...


class _Rows:
    """The sink of one sensor."""

    def __init__(self, sorter: Sorter, sensor: int, payload: Callable[[Any, dict[str, Any]], dict[str, Any]]) -> None:
        self._sorter = sorter
        self._sensor = sensor
        self._payload = payload

    def rows(self, batch: Any, replay: Replay) -> None:
        made = self._payload(batch, columns(batch, replay.origin))
        self._sorter.add(pa.table({**key_columns(batch, self._sensor), "observation": batch["observation"], **made}))


class Flows:
    """One run. After `read`, `write` gives the rows once; `replays` say what was wrong with the captures."""

    def __init__(
        self, captures: Sequence[CaptureArgument], output: str, topology: Topology | None, *, by_start: bool = False
    ) -> None:
        self._format = output
        self._sorter = Sorter(by_start=by_start)
        self._judged = topology is not None
        self.replays = []
        self._marked: list[dict[tuple[Any, ...], int]] = []
        self._judges = judges = None
        if topology is not None:
            from monitor.judges import Judges  # the policy takes a moment to load, which flows alone do not need

            self._judges = judges = Judges(topology)
        for sensor, arguments in by_sensor(captures).items():
            judge = None
            if judges is not None:
                assert sensor.position is not None, "a judged capture has a position"
                judge = judges.at(sensor.position, sensor.side, behind_lb=sensor.behind_lb)
            self.replays.append(Replay(sensor, arguments, judge, Settings(digests=False, joins=self._judged)))

    def read(self, progress: Callable[[int], None] = lambda octets: None) -> None:
        """Read all captures. Raises OSError when rows do not fit the disk for temporary files."""
        payload = _PAYLOADS[self._format]
        sinks = [_Rows(self._sorter, number, payload) for number in range(len(self.replays))]
        if self._judges is None:
            run_side_by_side(self.replays, sinks, progress)
            return
        from monitor.joins import Kept, together

        kept = [Kept(sink, self._judges.site) for sink in sinks]
        run_side_by_side(self.replays, kept, progress)
        self._marked = together(self._judges.site, list(zip(self.replays, kept, strict=True))).marked

    def write(self, out: Binary, verdict: str | None = None) -> None:
        """Write the rows; verdict: only those with it."""
        if self._format == "parquet":
            self._write_parquet(out, verdict)
            return
        labels, ends = self._labels(), {"jsonl": JSON_END, "csv": "", "table": ""}
        judged = _JUDGED_TEXT[self._format]
        texts = pa.array([judged(values) for values in labels], pa.string())
        nothing = judged({}) if self._format == "csv" else ""
        if self._format == "csv":
            out.write((CSV_HEADER + "\n").encode())
        elif self._format == "table":
            out.write((TABLE_HEADER + ("  VERDICT" if self._judged else "") + "\n").encode())
        end = pa.scalar(ends[self._format] + "\n")
        for table, numbers in self._chunks(labels, verdict):
            middle = texts.take(numbers) if self._judged else pa.scalar(nothing)
            lines = pc.binary_join_element_wise(_whole(table["line"]), middle, end, pa.scalar(""))
            out.write(_octets(lines))

    def close(self) -> None:
        self._sorter.close()

    def _labels(self) -> list[dict[str, Any]]:
        """What the verdicts say, for each observation of each sensor, one sensor behind the other."""
        return [judged_values(verdict, replay.one_way) for replay in self.replays for verdict in replay.verdicts]

    def _chunks(self, labels: Sequence[dict[str, Any]], verdict: str | None) -> Iterator[tuple[Any, Any]]:
        """Sorted tables and, where rows are judged, the number of each row's label."""
        starts = [0]
        for replay in self.replays:
            starts.append(starts[-1] + len(replay.verdicts))
        first = pa.array(starts[:-1], pa.int64())
        keep = pa.array([values["edgewarden.verdict"] == verdict for values in labels], pa.bool_())
        marked = pa.array(sorted({key[1] for marks in self._marked for key in marks}), pa.int64())
        for table in self._sorter.sorted():
            if not self._judged:
                yield table, None
                continue
            numbers = pc.add(first.take(_whole(table["key.sensor"])), _whole(table["observation"]).cast(pa.int64()))
            numbers = self._with_marks(table, numbers, starts, marked)
            if verdict is not None:
                chosen = keep.take(numbers)
                table, numbers = table.filter(chosen), numbers.filter(chosen)
            if table.num_rows:
                yield table, numbers

    def _with_marks(self, table: Any, numbers: Any, starts: Sequence[int], times: Any) -> Any:
        """The labels of flows that take part in a finding over several are others than those of their like. times: when
        such flows began."""
        mask = pc.is_in(_whole(table["key.start"]).cast(pa.int64()), value_set=times)
        rows = pc.indices_nonzero(mask)
        if not len(rows):
            return numbers
        chosen = table.take(rows)
        sensors = chosen["key.sensor"].to_pylist()
        keys = zip(*(_plain(chosen[name]) for name in _MARK_KEY), strict=True)
        places = [self._marked[sensor].get(key) for sensor, key in zip(sensors, keys, strict=True)]
        old = numbers.take(rows).to_pylist()
        new = [
            was if place is None else starts[sensor] + place
            for was, place, sensor in zip(old, places, sensors, strict=True)
        ]
        return pc.replace_with_mask(numbers, mask, pa.array(new, pa.int64()))

    def _write_parquet(self, out: Binary, verdict: str | None) -> None:
        import pyarrow.parquet as pq  # as much to load as all the rest

        labels = self._labels()
        fields = (*FIELDS, *JUDGED) if self._judged else FIELDS
        schema = pa.schema([(field.name, ARROW_TYPES[field.kind]) for field in fields])
        label_columns = {
            field.name: pa.array([values[field.name] for values in labels], ARROW_TYPES[field.kind]) for field in JUDGED
        }
        waiting: list[Any] = []
        with pq.ParquetWriter(pa.PythonFile(out, mode="w"), schema) as writer:
            for table, numbers in self._chunks(labels, verdict):
                arrays = [
                    label_columns[field.name].take(numbers) if field in JUDGED else _whole(table[field.name])
                    for field in fields
                ]
                waiting.append(pa.table(arrays, schema=schema))
                if sum(part.num_rows for part in waiting) >= ROW_GROUP:
                    writer.write_table(pa.concat_tables(waiting))
                    waiting = []
            if waiting:
                writer.write_table(pa.concat_tables(waiting))


_MARK_KEY: Final = (
    *("key.end", "key.start", "key.transport"),
    *("key.source.ip", "key.source.port", "key.destination.ip", "key.destination.port"),
)


def _plain(column: Any) -> list[Any]:
    """Values as `monitor.joins.key_of` has them: times in nanoseconds."""
    whole = _whole(column)
    values: list[Any] = (whole.cast(pa.int64()) if pa.types.is_timestamp(whole.type) else whole).to_pylist()
    return values


def _whole(column: Any) -> Any:
    """A table's column as one array."""
    return pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)


def _octets(lines: Any) -> memoryview:
    """The text of all rows in one piece: Arrow keeps it so."""
    offsets = memoryview(lines.buffers()[1]).cast("i")
    begin, end = offsets[lines.offset], offsets[lines.offset + len(lines)]
    return memoryview(lines.buffers()[2])[begin:end]


# --- a table for the eye ---------------------------------------------------------------------------------------------

_WIDTHS: Final = (27, 9, 44, 44, 11, 9, 11)
TABLE_HEADER: Final = (
    "".join(
        title.ljust(width)
        for title, width in zip(
            ("START", "PROTO", "SOURCE", "DESTINATION", "SERVICE", "PACKETS", "BYTES"), _WIDTHS, strict=True
        )
    )
    + "NAME"
)
_NAMES: Final = (
    "tls.client.server_name",
    "url.domain",
    "dns.question.name",
    "edgewarden.xmpp.to",
    "edgewarden.sip.to",
)


def _table_lines(made: dict[str, Any]) -> Any:
    cells = [
        times(made["event.start"]),
        made["network.transport"],
        _endpoint(made, "source"),
        _endpoint(made, "destination"),
        made.get("network.protocol", pa.scalar("-", pa.string())),
        made["network.packets"].cast(pa.string()),
        made["network.bytes"].cast(pa.string()),
    ]
    padded = [pc.utf8_rpad(pc.fill_null(cell, "-"), width - 1) for cell, width in zip(cells, _WIDTHS, strict=True)]
    names = [made[name] for name in _NAMES if name in made]
    name = pc.fill_null(pc.coalesce(*names), "") if names else pa.scalar("")
    return pc.binary_join_element_wise(*padded, name, pa.scalar(" "))


def _endpoint(made: dict[str, Any], end: str) -> Any:
    address = made[f"{end}.ip"]
    six = pc.match_substring(address, ":")
    if f"{end}.port" not in made:
        return address
    bracketed = pc.if_else(six, pc.binary_join_element_wise("[", address, "]", ""), address)
    port = pc.binary_join_element_wise(":", made[f"{end}.port"].cast(pa.string()), "")
    return pc.if_else(pc.is_null(port), address, pc.binary_join_element_wise(bracketed, pc.fill_null(port, ""), ""))


def _table_judged(values: dict[str, Any]) -> str:
    if not values:
        return ""
    told = values["edgewarden.rules"] or ([values["edgewarden.path"]] if values["edgewarden.path"] else [])
    return "  " + " ".join([values["edgewarden.verdict"], *told])


def _parquet_payload(_: Any, made: dict[str, Any]) -> dict[str, Any]:
    rows = len(made["event.start"])
    return {field.name: made.get(field.name, pa.nulls(rows, ARROW_TYPES[field.kind])) for field in FIELDS}


_PAYLOADS: Final[dict[str, Callable[[Any, dict[str, Any]], dict[str, Any]]]] = {
    "jsonl": lambda _, made: {"line": json_lines(made)},
    "csv": lambda _, made: {"line": csv_lines(made)},
    "table": lambda _, made: {"line": _table_lines(made)},
    "parquet": _parquet_payload,
}
_JUDGED_TEXT: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "jsonl": json_judged,
    "csv": csv_judged,
    "table": _table_judged,
}
