"""`edgewarden doctor`: what this machine lacks, with the remedy."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from monitor.cli.arguments import add_output, command
from monitor.cli.messages import Messages
from monitor.exit_status import DONE
from monitor.output import Output

LACKING = 1
"""Exit status when something required is missing."""


def add(commands: Any) -> None:
    parser = command(
        commands,
        "doctor",
        run,
        summary="what this machine lacks, with the remedy",
        description="Looks at programs, rights, interfaces, settings, topology, record and Elasticsearch, changes\n"
        "nothing, and prints a line for each. Exit status 1 when something required is missing.",
        example="edgewarden doctor --config edgewarden.yaml\nedgewarden doctor --format json",
    )
    parser.add_argument("--config", metavar="FILE", help="settings of the service: what they name is looked at, too")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="of the list (default text)")
    add_output(parser, "the list")


def run(arguments: argparse.Namespace, messages: Messages) -> int:
    from monitor.doctor import MISSING, examine
    from reports.render import render_checks, render_json

    checks = [asdict(check) for check in examine(arguments.config)]
    with Output(arguments.output) as out:
        if arguments.format == "json":
            out.write_text(render_json({"schema": 1, "checks": checks}))
        else:
            out.write_text(render_checks(checks))
    return LACKING if any(check["state"] == MISSING for check in checks) else DONE
