"""`edgewarden simulate`: captures of every path, and of every rule broken, of a topology."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from monitor.cli.arguments import add_topology, command, load_topology, topology_path
from monitor.cli.messages import Messages
from monitor.exit_status import DONE, FAILURE, OperatorMistake
from monitor.output import Output


def add(commands: Any) -> None:
    parser = command(
        commands,
        "simulate",
        run,
        summary="make captures of every path of a topology",
        description="Writes captures with real bytes of each allowed row, and with --violations of each rule broken,\n"
        "as the sensors of the declared site would see them; the verdicts to expect stand beside them.",
        example="edgewarden simulate --topology contoso.yaml --violations --out samples/",
    )
    add_topology(parser, "$EDGEWARDEN_TOPOLOGY, else ./topology.yaml")
    parser.add_argument("--violations", action="store_true", help="flows that break rules, too")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write to, made when missing")


def run(arguments: argparse.Namespace, messages: Messages) -> int:
    from monitor.simulate import SimulationFailed
    from monitor.simulate import run as simulate

    path = topology_path(arguments.topology, default=True)
    assert path is not None
    load_topology(path)  # its faults are told here, in one way for all commands
    try:
        made = simulate(Path(path), Path(arguments.out), violations=arguments.violations)
    except SimulationFailed as error:
        if error.mistake:
            raise OperatorMistake(str(error)) from None
        messages.error(f"the simulation failed: {error}")
        return FAILURE
    lines = [
        f"{made['folder']}/{capture['name']}: {capture['flows']} flows, {capture['frames']} packets, "
        f"{capture['octets']} octets, as seen at {capture['sensor']}"
        for capture in made["captures"]
    ]
    lines += [f"left out: {left['scenario']}: {left['why']}" for left in made["skipped"]]
    with Output(None) as out:
        out.write_text("\n".join(lines) + "\n")
    return DONE
