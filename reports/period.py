"""The figures of a period (`reports.summary`) as a page and as a table of findings; as JSON they are what they are.

Strategy: as for audits, pure functions of the published dictionary, one file that loads nothing, every value escaped by
jinja2. The page shows times as clocks in the report's zone show them, JSON and CSV say UTC. CSV follows the rules of
`flows --format csv`: lines end in LF, lists are joined by `;` (inside an item `\\;`), and a cell that a spreadsheet
would take for a formula begins with an apostrophe.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Any, Final

from reports.moments import nanoseconds, on_the_wall
from reports.render import LOSSES, SEVERITIES, VERDICTS, template, waiver
from reports.summary import gaps_between, percent
from reports.visible import csv_cell

FORMATS: Final = ("html", "csv", "json")

LOST: Final = {
    "queue": "in the queue at the end",
    "interrupted": "read, but not judged before a crash",
    "kernel": "dropped by the kernel",
    "nic": "dropped by the network card",
}
"""Packets that were on the wire and never read, in words."""

_BAR: Final = 1000
"""Units across a bar of coverage."""

_COLUMNS: Final = (
    "period.from",
    "period.until",
    "id",
    "rule",
    "severity",
    "position",
    "source.zone",
    "source.role",
    "source.component",
    "destination.zone",
    "destination.role",
    "destination.component",
    "destination.port",
    "ports.min",
    "ports.max",
    "ports.distinct",
    "transport",
    "service",
    "subject",
    "flows",
    "packets",
    "bytes",
    "first",
    "last",
    "new",
    "reason",
    "nearest_path",
    "controls",
    "waived_by",
    "evidence",
)


def render_page(report: dict[str, Any], zone: tzinfo) -> str:
    """One self-contained page. zone: the one that `report` names."""
    traffic = [finding for finding in report["findings"] if finding["position"] != "config"]
    page = template("period.html").render(
        report=report,
        severities=[
            (severity, found) for severity in SEVERITIES if (found := [f for f in traffic if f["severity"] == severity])
        ],
        config=[finding for finding in report["findings"] if finding["position"] == "config"],
        new=frozenset(report["changes"]["new"]),
        used=[path for path in report["paths"] if path["flows"]],
        unused=[path for path in report["paths"] if not path["flows"]],
        bars=[bar(sensor, report["period"]) for sensor in report["coverage"]["sensors"]],
        accounting=_accounting(report["coverage"]["sensors"]),
        loss_names={**LOSSES, **LOST},
        title=VERDICTS[report["verdict"]].capitalize(),
        moment=lambda text: on_the_wall(text, zone),
        percent=percent,
    )
    return str(page)


def bar(sensor: dict[str, Any], period: dict[str, Any]) -> list[tuple[str, float, float]]:
    """(kind, x, width) of rectangles, later ones upon earlier ones, in `_BAR` units of the period.

    What was rarer, watching or gaps, lies on top and is drawn at least a unit wide: a minute of a quarter is seen.
    """
    start, end, until = (nanoseconds(period[name]) for name in ("from", "to", "until"))
    gaps = [(nanoseconds(gap["from"]), nanoseconds(gap["to"])) for gap in sensor["gaps"]]
    if sensor["share"] < 0.5 and sensor["gap_count"] == len(gaps):
        parts = [("gap", start, until), *(("watched", *span) for span in gaps_between(gaps, start, until))]
        parts = parts if sensor["share"] else parts[:1]
    else:
        parts = [("watched", start, until), *(("gap", *gap) for gap in gaps)]
    if until < end:
        parts.append(("later", until, end))
    scale = _BAR / (end - start)
    return [(kind, round((a - start) * scale, 2), round(max((b - a) * scale, 1), 2)) for kind, a, b in parts]


def _accounting(sensors: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Packets by what became of them, over all sensors; what was on the wire and not read last."""
    sums = dict.fromkeys((*LOSSES, *LOST), 0)
    for sensor in sensors:
        for name, packets in (*sensor["accounting"].items(), *sensor["lost"].items()):
            sums[name] = sums.get(name, 0) + packets
    return sums


# --- CSV -------------------------------------------------------------------------------------------------------------


def render_csv(report: dict[str, Any]) -> str:
    """Findings, one a row."""
    return "".join(f"{line}\n" for line in _lines(report))


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield ",".join(_COLUMNS)
    new = frozenset(report["changes"]["new"])
    for finding in report["findings"]:
        extra = {
            "period": report["period"],
            "new": finding["id"] in new,
            "controls": [f"{name}:{control}" for name, ids in finding["controls"].items() for control in ids],
            "evidence": [evidence["path"] for evidence in finding["evidence"]],
            "waived_by": waiver(finding["waived_by"]) if finding["waived_by"] else None,
        }
        yield ",".join(_cell(_at({**finding, **extra}, column)) for column in _COLUMNS)


def _at(value: Any, column: str) -> Any:
    for key in column.split("."):
        value = value[key]
    return value


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        value = ";".join(item.replace(";", "\\;") for item in value)
    return csv_cell(str(value))
