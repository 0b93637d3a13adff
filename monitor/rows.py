"""Typed columns become text: one JSON object or one CSV line a flow.

Strategy: the text of a whole batch is put together by column inside Arrow (joins that skip nulls), so that a row costs
microseconds. A line comes in three parts: what the batch says, what the verdict says, the end. The middle one is equal
for all flows of an observation, so it is written once per observation and spread; and as `edgewarden` is the last key
and the judged fields are its last ones, the three parts are simply set one behind the other.

Texts from the wire arrive made harmless by the core (no controls, valid UTF-8); here only the quoting of the format is
added, and in CSV the apostrophe that keeps a spreadsheet from reading a cell as a formula.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from monitor.fields import FIELDS, FLAG, JUDGED, LIST, NUMBER, TEXT, TIME
from reports.visible import csv_cell

Tree = dict[str, Any]  # key → Tree, or the Field of a leaf

JSON_END: Final = "}}"
"""What closes a line: the object `edgewarden` and the row."""

CSV_HEADER: Final = ",".join(field.name for field in (*FIELDS, *JUDGED))


def _tree() -> Tree:
    root: Tree = {}
    for field in FIELDS:
        *parents, leaf = field.name.split(".")
        node = root
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = field
    root["edgewarden"] = root.pop("edgewarden")  # last, so that the judged fields can follow
    return root


_ROOT: Final = _tree()


def json_lines(columns: Mapping[str, Any]) -> Any:
    """One text a row, up to where the judged fields go. columns: as `monitor.fields.columns` gives them.

    The whole row is one join of texts and columns: each join costs a copy and a look at every cell. Only members that
    some rows lack, and objects that may be empty, are made beforehand, with the comma before them.
    """
    pieces: list[Any] = []
    comma = "{"
    for key, node in _ROOT.items():
        pieces += _pieces(key, node, columns, key + ".", comma)
        comma = ","
    pieces.pop()  # the brace that closes `edgewarden`
    return _joined(pieces)


def _pieces(key: str, node: Tree, columns: Mapping[str, Any], prefix: str, comma: str) -> list[Any]:
    """Texts and columns of one object. One whose first member every row has is taken apart; else it is one column."""
    names = list(node)
    first = node[names[0]]
    leading = None if isinstance(first, dict) else columns.get(first.name)
    if leading is None or leading.null_count:
        whole = _object(key, node, columns, prefix)
        return [] if whole is None else [_after_comma(comma, whole)]
    pieces: list[Any] = [f'{comma}"{key}":{{']
    comma = ""
    for name, child in node.items():
        if isinstance(child, dict):
            pieces += _pieces(name, child, columns, f"{prefix}{name}.", comma)
        else:
            column = columns.get(child.name)
            if column is None:
                continue
            before, value, after = _json_value(column, child.kind)
            before = f'{comma}"{name}":{before}'
            pieces += [_between(before, value, after)] if column.null_count else [before, value, after]
        comma = ","
    return [*pieces, "}"]


def _after_comma(comma: str, column: Any) -> Any:
    return _between(comma, column, "") if comma else column


def _joined(pieces: Iterable[Any]) -> Any:
    """One text a row; null cells add nothing."""
    arguments: list[Any] = []
    for piece in pieces:
        if isinstance(piece, str) and arguments and isinstance(arguments[-1], str):
            arguments[-1] += piece
        else:
            arguments.append(piece)
    values = [_text(piece) if isinstance(piece, str) else piece for piece in arguments]
    return pc.binary_join_element_wise(*values, _text(""), null_handling="replace", null_replacement="")


def json_judged(values: Mapping[str, Any]) -> str:
    """The middle part of a JSON line. values: by names of JUDGED; None or a missing name = absent."""
    members: Tree = {}
    for field in JUDGED:
        value = values.get(field.name)
        if value is None:
            continue
        *parents, leaf = field.name.split(".")[1:]
        node = members
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return "".join(f",{json.dumps(key)}:{compact(value)}" for key, value in members.items())


def csv_lines(columns: Mapping[str, Any]) -> Any:
    """One text a row, up to where the judged cells go."""
    cells = []
    for field in FIELDS:
        column = columns.get(field.name)
        cells.append(_text("") if column is None else pc.fill_null(_csv_cell(column, field.kind), ""))
    return pc.binary_join_element_wise(*cells, _text(","))


def csv_judged(values: Mapping[str, Any]) -> str:
    """The last cells of a CSV line, each with the comma before it."""
    cells = []
    for field in JUDGED:
        value = values.get(field.name)
        if isinstance(value, (list, tuple)):
            value = ";".join(str(item).replace(";", "\\;") for item in value)
        cells.append(csv_cell("" if value is None else str(value)))
    return "".join("," + cell for cell in cells)


def compact(value: object) -> str:
    """JSON as the lines have it: no blanks, text as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def times(column: Any) -> Any:
    """Text of a timestamp column: ISO 8601, UTC, microseconds; nanoseconds where a time has them."""
    number = column.cast(pa.int64())
    microseconds = pc.divide(number, 1000)
    finer = pc.not_equal(pc.multiply(microseconds, 1000), number)
    text = microseconds.cast(pa.timestamp("us")).cast(pa.string())
    if pc.any(finer).as_py():
        text = pc.if_else(finer, column.cast(pa.timestamp("ns")).cast(pa.string()), text)
    date, clock = pc.utf8_slice_codeunits(text, 0, 10), pc.utf8_slice_codeunits(text, 11)
    return pc.binary_join_element_wise(date, _text("T"), clock, _text("Z"), _text(""))


def _members(node: Tree, columns: Mapping[str, Any], prefix: str) -> Any:
    """The members of one object, joined by commas; None when no row has any, "" in rows that have none."""
    parts = []
    for key, child in node.items():
        if isinstance(child, dict):
            part = _object(key, child, columns, f"{prefix}{key}.")
        else:
            column = columns.get(child.name)
            part = None
            if column is not None:
                before, value, after = _json_value(column, child.kind)
                part = _between(f'"{key}":{before}', value, after)
        if part is not None:
            parts.append(part)
    if not parts:
        return None
    if any(part.null_count == 0 for part in parts):
        return pc.binary_join_element_wise(*parts, _text(","), null_handling="skip")
    # The join leaves out a row of which all parts are null, so it is given one that never is; its comma goes again.
    joined = pc.binary_join_element_wise(_text(""), *parts, _text(","), null_handling="skip")
    return pc.utf8_slice_codeunits(joined, 1)


def _object(key: str, node: Tree, columns: Mapping[str, Any], prefix: str) -> Any:
    """`"key":{…}`, null in rows where it would be empty; None when it would be so everywhere."""
    group = columns.get(prefix.removesuffix(f"{key}.") + "*")
    if group is not None:  # text of each certificate once, spread over the rows
        whole = _object(key, node, group.columns, prefix)
        return None if whole is None else whole.take(group.numbers)
    members = _members(node, columns, prefix)
    if members is None:
        return None
    whole = pc.binary_join_element_wise(_text(f'"{key}":{{'), members, _text("}"), _text(""))
    return pc.if_else(pc.equal(members, ""), pa.scalar(None, pa.string()), whole)


def _json_value(column: Any, kind: str) -> tuple[str, Any, str]:
    """A column's text, and what goes before and behind each."""
    if kind in (NUMBER, FLAG):
        return "", column.cast(pa.string()), ""
    if kind == TIME:
        return '"', times(column), '"'
    if kind == TEXT:
        return '"', _escaped(column), '"'
    assert kind == LIST
    items = _between('"', _escaped(column.flatten()), '"')
    lists = pa.ListArray.from_arrays(_offsets(column), items, mask=column.is_null() if column.null_count else None)
    return "[", pc.binary_join(lists, ","), "]"


def _csv_cell(column: Any, kind: str) -> Any:
    if kind in (NUMBER, FLAG):
        return column.cast(pa.string())
    if kind == TIME:
        return times(column)
    if kind == LIST:
        items = pc.replace_substring(column.flatten(), ";", "\\;")
        lists = pa.ListArray.from_arrays(_offsets(column), items, mask=column.is_null() if column.null_count else None)
        column = pc.binary_join(lists, ";")
    formula = pc.match_substring_regex(column, "^[=+@-]")
    if pc.any(formula).as_py():
        column = pc.if_else(formula, _between("'", column, ""), column)
    special = pc.match_substring_regex(column, '[,"\n\r]')
    if pc.any(special).as_py():
        column = pc.if_else(special, _between('"', pc.replace_substring(column, '"', '""'), '"'), column)
    return column


def _escaped(column: Any) -> Any:
    """JSON's escapes for what may occur: quotation mark and backslash (controls were made visible before)."""
    for special in ("\\", '"'):
        if pc.any(pc.match_substring(column, special)).as_py():
            column = pc.replace_substring(column, special, "\\" + special)
    return column


def _offsets(column: Any) -> Any:
    """Offsets into `column.flatten()`, which leaves out null lists and starts at 0 whatever the slice."""
    counts = pc.fill_null(pc.list_value_length(column), 0).cast(pa.int32())
    return pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(counts)])


def _between(before: str, column: Any, after: str) -> Any:
    return pc.binary_join_element_wise(_text(before), column, _text(after), _text(""))


def _text(text: str) -> Any:
    return pa.scalar(text, pa.string())


def spread(texts: Iterable[str], numbers: Any) -> Any:
    """The text of each row, given one per observation and the rows' observation numbers."""
    return pa.array(list(texts), pa.string()).take(numbers)
