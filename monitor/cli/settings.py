"""`edgewarden settings`: check the settings of the service, their JSON Schema, a file to start from."""

from __future__ import annotations

import argparse
import json
from typing import Any

from monitor.cli.arguments import add_draft_output, add_output, command, load_settings
from monitor.cli.messages import Messages
from monitor.exit_status import DONE
from monitor.output import Output
from reports.visible import visible


def add(commands: Any) -> None:
    parser = command(
        commands,
        "settings",
        None,
        summary="check, describe or begin a settings file",
        description="The settings say what the service does: which site it watches, and all that follows from it.",
        example="edgewarden settings new --output edgewarden.yaml\nedgewarden settings check edgewarden.yaml",
    )
    groups = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    check = command(
        groups,
        "check",
        run_check,
        summary="all faults of a file and of the topology it names",
        description="Reports every fault at its line and column (exit 2), those of the topology, too. A key whose\n"
        "part is not built in this version is a fault.",
        example="edgewarden settings check edgewarden.yaml",
    )
    check.add_argument("file", metavar="FILE")
    schema = command(
        groups,
        "schema",
        run_schema,
        summary="JSON Schema of the file, for editors",
        description="Prints the JSON Schema (2020-12) of a settings file.",
        example="edgewarden settings schema --output edgewarden.schema.json",
    )
    add_output(schema, "the schema")
    new = command(
        groups,
        "new",
        run_new,
        summary="a commented file to start from",
        description="Prints a small settings file that needs a topology beside it.",
        example="edgewarden settings new --output edgewarden.yaml",
    )
    add_draft_output(new, "the file")


def run_check(arguments: argparse.Namespace, messages: Messages) -> int:
    settings = load_settings(arguments.file)
    for secret in settings.secrets:
        warning = secret.warning()
        if warning is not None:
            messages.warning(warning)
    live = [sensor for sensor in settings.topology.sensors if sensor.interfaces]
    lines = [f"{settings.topology.organization}: {settings.topology_file}"]
    lines += [f"sensor {sensor.name} ({sensor.position}): {', '.join(sensor.interfaces)}" for sensor in live]
    lines.append(f"{arguments.file}: no faults")
    with Output(None) as out:
        out.write_text("".join(visible(line) + "\n" for line in lines))
    return DONE


def run_schema(arguments: argparse.Namespace, messages: Messages) -> int:
    from monitor.settings.config import settings_schema

    with Output(arguments.output) as out:
        out.write_text(json.dumps(settings_schema(), indent=2, ensure_ascii=False) + "\n")
    return DONE


def run_new(arguments: argparse.Namespace, messages: Messages) -> int:
    from monitor.settings.template import TEMPLATE

    with Output(arguments.output, keeps=True) as out:
        out.write_text(TEMPLATE)
    return DONE
