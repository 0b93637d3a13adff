"""`edgewarden explain`: one finding of the record, with its packets dissected."""

from __future__ import annotations

import argparse
import re
from typing import Any, Final

from monitor.cli.arguments import (
    add_output,
    add_store,
    add_topology,
    command,
    load_settings,
    load_topology,
    store_place,
    topology_path,
)
from monitor.cli.messages import Messages
from monitor.exit_status import DONE, OperatorMistake
from monitor.output import Output
from monitor.store.location import default_path

NAMED: Final = 10
"""Findings that a message about an ambiguous prefix names."""


def add(commands: Any) -> None:
    parser = command(
        commands,
        "explain",
        run,
        summary="one finding, with its packets dissected",
        description="What was seen, which rule it breaks and why that matters, which allowed path comes nearest and\n"
        "what differs, the sample flows, and the packets kept as evidence in tshark's words. Evidence is\n"
        "checked against the SHA-256 of the record first.",
        example="edgewarden explain 67e9d226b26b9a4c --store sqlite:///record.db\n"
        "edgewarden explain 67e9d2 --topology contoso.yaml --format json",
    )
    parser.add_argument("finding", metavar="FINDING", help="its id, or the first six digits of it or more")
    add_store(parser, "$EDGEWARDEN_STORE, else the one in the state folder")
    add_topology(parser, "$EDGEWARDEN_TOPOLOGY, else that of --config; without one the ends are not compared")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="of the answer (default text)")
    add_output(parser, "the answer")


def run(arguments: argparse.Namespace, messages: Messages) -> int:
    from monitor.store.asking import asking
    from monitor.store.questions import Filter, listing

    wanted = arguments.finding.lower()
    if not re.fullmatch("[0-9a-f]{6,16}", wanted):
        raise OperatorMistake(
            f"'{arguments.finding}' is no id of a finding: 16 hexadecimal digits, or at least the first six "
            "(edgewarden findings lists them)"
        )
    path = topology_path(arguments.topology, default=False)
    topology = None
    if path is not None:
        topology = load_topology(path)
    elif arguments.config is not None:
        topology = load_settings(arguments.config).topology
    with asking(store_place(arguments) or default_path()) as connection:
        found = listing(connection, Filter(finding=wanted))["findings"]
    if not found:
        raise OperatorMistake(f"no finding in the record begins with '{wanted}' (edgewarden findings lists them)")
    if len(found) > 1:
        lines = [f"{finding['id']}  {finding['severity']}  {finding['rule']}" for finding in found[:NAMED]]
        more = [f"and {len(found) - NAMED} more"] if len(found) > NAMED else []
        raise OperatorMistake("\n".join([f"{len(found)} findings begin with '{wanted}':", *lines, *more]))

    from monitor.explain import explanation
    from reports.explanation import render_explanation
    from reports.render import render_json

    told = explanation(found[0], topology)
    with Output(arguments.output) as out:
        out.write_text(render_json(told) if arguments.format == "json" else render_explanation(told))
    return DONE
