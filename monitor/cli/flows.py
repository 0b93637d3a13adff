"""`edgewarden flows`: classified flows, one row each."""

from __future__ import annotations

import argparse
from typing import Any

from monitor.cli.arguments import (
    add_captures,
    add_output,
    add_topology,
    command,
    expand_captures,
    load_topology,
    octets_to_read,
    topology_path,
    warn_of_strays,
)
from monitor.cli.messages import Messages
from monitor.exit_status import DONE, INCONCLUSIVE, MISTAKE, OperatorMistake, gravest
from monitor.output import Output
from rules.verdict import VERDICTS


def add(commands: Any) -> None:
    parser = command(
        commands,
        "flows",
        run,
        summary="list classified flows",
        description="One row for each flow, with the service recognised from its bytes. With a topology, judged, too.",
        example="edgewarden flows --format jsonl capture.pcapng\n"
        "edgewarden flows --topology contoso.yaml --verdict violation external=outside.pcap",
    )
    parser.add_argument(
        "--format", choices=("table", "jsonl", "csv", "parquet"), default="table", help="of the rows (default table)"
    )
    add_topology(parser, "$EDGEWARDEN_TOPOLOGY; without one flows are not judged")
    add_output(parser, "the rows")
    parser.add_argument("--verdict", choices=VERDICTS, help="only flows with this verdict (needs a topology)")
    parser.add_argument("--sort", choices=("end", "start"), default="end", help="order of the rows (default end)")
    add_captures(parser)


def run(arguments: argparse.Namespace, messages: Messages) -> int:
    path = topology_path(arguments.topology, default=False)
    topology = load_topology(path) if path is not None else None
    if topology is not None:
        warn_of_strays(topology, messages)
    if arguments.verdict is not None and topology is None:
        raise OperatorMistake("--verdict needs a topology: name one with --topology FILE or $EDGEWARDEN_TOPOLOGY")
    captures, mistakes = expand_captures(arguments.captures, topology, messages)

    from monitor.flows import Flows

    statuses = [DONE]
    with Output(arguments.output) as out:
        if arguments.format == "parquet" and out.is_terminal:
            raise OperatorMistake("Parquet is nothing for a terminal: name a file with --output")
        flows = Flows(captures, arguments.format, topology, by_start=arguments.sort == "start")
        try:
            progress = messages.progress(octets_to_read(captures))
            flows.read(progress)
            progress.done()
            flows.write(out, arguments.verdict)
        finally:
            flows.close()
    for replay in flows.replays:
        mistakes.extend(replay.mistakes)
        for note in replay.broken:
            messages.warning(note)
            statuses.append(INCONCLUSIVE)
        for capture in replay.captures:
            if not capture.packets:
                messages.warning(f"{capture.path} holds no packet")
                statuses.append(INCONCLUSIVE)
    for mistake in mistakes:
        messages.error(mistake)
        statuses.append(MISTAKE)
    return gravest(statuses)
