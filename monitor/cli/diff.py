"""`edgewarden diff`: what changed between two results of an audit."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

from monitor.cli.arguments import add_output, command
from monitor.cli.messages import Messages
from monitor.exit_status import DONE, VIOLATIONS, OperatorMistake
from monitor.output import Output
from reports.visible import visible

MAX_BYTES: Final = 256 << 20
"""Largest result read: fifty thousand findings with eight samples each."""


def add(commands: Any) -> None:
    parser = command(
        commands,
        "diff",
        run,
        summary="what changed between two results of an audit",
        description="Findings that are new, gone or changed from A to B, both written by `audit --format json`, and\n"
        "paths that are used otherwise. What B could not have seen, because it had no capture of that position or\n"
        "could not observe that rule, is not called gone. Exit status 1 if there are new findings; those that are\n"
        "waived, merely noted (`info`) or about the declared design do not count.",
        example="edgewarden diff monday.json tuesday.json\nedgewarden diff monday.json tuesday.json --format json",
    )
    parser.add_argument("before", metavar="A", help="the earlier result")
    parser.add_argument("after", metavar="B", help="the later result")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="of the answer (default text)")
    add_output(parser, "the answer")


def run(arguments: argparse.Namespace, messages: Messages) -> int:
    from reports.changes import changes, counts, render_changes
    from reports.render import render_json

    told = changes(_result(arguments.before), _result(arguments.after))
    with Output(arguments.output) as out:
        out.write_text(render_json(told) if arguments.format == "json" else render_changes(told))
    return VIOLATIONS if any(counts(finding) for finding in told["new"]) else DONE


def _result(path: str) -> dict[str, Any]:
    """Raises OperatorMistake, which names the file."""
    from reports.changes import NoResult, checked

    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise OperatorMistake(f"{visible(path)}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MAX_BYTES:
        raise OperatorMistake(f"{visible(path)}: larger than {MAX_BYTES >> 20} MiB")
    try:
        return checked(json.loads(data))
    except NoResult as error:
        raise OperatorMistake(f"{visible(path)}: {error}") from None
    except (ValueError, RecursionError):
        raise OperatorMistake(f"{visible(path)}: this is no JSON (audit --format json writes it)") from None
