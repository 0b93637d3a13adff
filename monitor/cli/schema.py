"""`edgewarden schema`: JSON Schema of each JSON output."""

from __future__ import annotations

import argparse
from typing import Any

from monitor.cli.arguments import add_output, command
from monitor.cli.messages import Messages
from monitor.exit_status import DONE
from monitor.output import Output
from reports.schemas import NAMES, schema_text


def add(commands: Any) -> None:
    parser = command(
        commands,
        "schema",
        run,
        summary="JSON Schema of an output",
        description="Prints the JSON Schema (2020-12) of what one of these commands writes as JSON; of flows, a line.",
        example="edgewarden schema audit --output audit.schema.json",
    )
    parser.add_argument("name", choices=NAMES, help="the command whose output it describes")
    add_output(parser, "the schema")


def run(arguments: argparse.Namespace, messages: Messages) -> int:
    with Output(arguments.output) as out:
        out.write_text(schema_text(arguments.name))
    return DONE
