"""`edgewarden policy`: the rows and rules as they stand on a site, and one of them in words."""

from __future__ import annotations

import argparse
import json
from typing import Any

from monitor.cli.arguments import add_output, add_topology, command, load_topology, topology_path
from monitor.cli.messages import Messages
from monitor.exit_status import DONE, OperatorMistake
from monitor.output import Output


def add(commands: Any) -> None:
    parser = command(
        commands,
        "policy",
        None,
        summary="list the allowed rows and the rules, or explain one",
        description="What may cross the firewalls of the declared site, what is looked for, and what is not built yet.",
        example="edgewarden policy list --topology contoso.yaml\nedgewarden policy explain director-bypass-sip",
    )
    groups = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listing = command(
        groups,
        "list",
        run_list,
        summary="every row and rule as it stands on this site",
        description="Rows that apply (or why not), then rules with severity and state.",
        example="edgewarden policy list --topology contoso.yaml --format json",
    )
    add_topology(listing, "$EDGEWARDEN_TOPOLOGY, else ./topology.yaml")
    listing.add_argument("--format", choices=("text", "json"), default="text", help="of the list (default text)")
    add_output(listing, "the list")
    explain = command(
        groups,
        "explain",
        run_explain,
        summary="one row or rule in words",
        description="What it means, where it comes from and how it stands on the site, when a topology is given.",
        example="edgewarden policy explain ext-access-client-sip",
    )
    add_topology(explain, "$EDGEWARDEN_TOPOLOGY; without one the row or rule alone")
    explain.add_argument("id", metavar="ID", help="of a row or rule, as `policy list` names it")
    add_output(explain, "the explanation")


def run_list(arguments: argparse.Namespace, messages: Messages) -> int:
    from reports.render import render_policy
    from rules.explain import policy_list

    path = topology_path(arguments.topology, default=True)
    assert path is not None
    listing = policy_list(load_topology(path))
    with Output(arguments.output) as out:
        if arguments.format == "json":
            out.write_text(json.dumps(listing, indent=2, ensure_ascii=False) + "\n")
        else:
            out.write_text(render_policy(listing))
    return DONE


def run_explain(arguments: argparse.Namespace, messages: Messages) -> int:
    from rules.explain import policy_explain

    path = topology_path(arguments.topology, default=False)
    topology = load_topology(path) if path is not None else None
    try:
        text = policy_explain(arguments.id, topology)
    except KeyError:
        raise OperatorMistake(
            f"'{arguments.id}' is neither a row nor a rule (edgewarden policy list names all)"
        ) from None
    with Output(arguments.output) as out:
        out.write_text(text.rstrip("\n") + "\n")
    return DONE
