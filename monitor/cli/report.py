"""`edgewarden report`: one period of the record, summed up."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from monitor.cli.arguments import (
    add_output,
    add_store,
    add_topology,
    command,
    load_settings,
    load_topology,
    load_waivers,
    store_place,
    topology_path,
)
from monitor.cli.messages import Messages
from monitor.exit_status import DONE, OperatorMistake
from monitor.output import Output
from monitor.store.location import default_path

if TYPE_CHECKING:
    from rules.waivers import Waiver

NOT_BUILT: Final = {
    "pdf": "PDF is not written by this version: print the page that --format html writes",
    "oscal": "OSCAL is not written by this version: --format json has the findings with their controls",
}


def add(commands: Any) -> None:
    parser = command(
        commands,
        "report",
        run,
        summary="a period of the record, summed up",
        description="What was seen in a day, a week, a month, a quarter or between two times: verdict, how much was\n"
        "watched and what was not, findings, new ones and those gone since the period before, attempts, paths used\n"
        "and not used. Flows count in the period in which they began, so that days add up to weeks. A period that is\n"
        "not over is reported up to now and marked partial. The exit status says whether the report was written (0),\n"
        "not what stands in it.",
        example="edgewarden report --period 2026-W47 --zone Europe/Berlin --format html --output week.html\n"
        "edgewarden report --period 2026-11-01..2026-11-15 --format json --store sqlite:///record.db\n"
        "edgewarden report --period 2026-11 --format html --waivers accepted.yaml --topology contoso.yaml",
    )
    parser.add_argument(
        "--period",
        metavar="P",
        required=True,
        help="2026-11-22, 2026-W47, 2026-11, 2026-Q4, or A..B from the beginning of A to the end of B; a time as B is "
        "the end itself",
    )
    parser.add_argument(
        "--format", choices=("html", "csv", "json", *NOT_BUILT), required=True, help="csv lists the findings alone"
    )
    parser.add_argument("--zone", default="UTC", metavar="Z", help="time zone in which days begin (default UTC)")
    add_store(parser, "$EDGEWARDEN_STORE, else the one in the state folder")
    parser.add_argument(
        "--waivers",
        metavar="FILE",
        help="accepted exceptions as of `audit --waivers`; what they cover does not count",
    )
    add_topology(parser, "$EDGEWARDEN_TOPOLOGY, else that of --config; without one names of waivers are not checked")
    add_output(parser, "the report")


def run(arguments: argparse.Namespace, messages: Messages) -> int:
    from monitor.calendar.periods import parse_period, zone_named
    from monitor.reporting import Asked, rendered, report_of
    from monitor.store.asking import asking

    if arguments.format in NOT_BUILT:
        raise OperatorMistake(NOT_BUILT[arguments.format])
    now = datetime.now(UTC)
    try:
        zone = zone_named(arguments.zone)
        period = parse_period(arguments.period, zone)
    except ValueError as error:
        raise OperatorMistake(str(error)) from None
    if period.start >= now:
        raise OperatorMistake(f"the period {arguments.period} has not begun yet")
    waivers = _waivers(arguments)
    with asking(store_place(arguments) or default_path()) as connection:
        report = report_of(connection, Asked(period, zone, arguments.zone), now, waivers)
    for note in report["waivers"]["notes"] if waivers is not None else ():
        messages.warning(note)
    with Output(arguments.output) as out:
        out.write_text(rendered(report, arguments.format, zone))
    return DONE


def _waivers(arguments: argparse.Namespace) -> tuple[Waiver, ...] | None:
    if arguments.waivers is None:
        return None
    path = topology_path(arguments.topology, default=False)
    if path is not None:
        return load_waivers(arguments.waivers, load_topology(path))
    site = load_settings(arguments.config).topology if arguments.config is not None else None
    return load_waivers(arguments.waivers, site)
