"""`edgewarden topology`: check the declared topology, draw it, its JSON Schema; a file or a draft to start from."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any, Final

from monitor.cli.arguments import (
    add_draft_output,
    add_output,
    command,
    expand_captures,
    load_topology,
    octets_to_read,
    topology_path,
)
from monitor.cli.messages import Messages
from monitor.exit_status import DONE, INCONCLUSIVE, MISTAKE, VIOLATIONS, OperatorMistake, gravest
from monitor.output import Output
from reports.visible import visible
from rules.names import SEVERITIES

if TYPE_CHECKING:
    from rules.draft import Draft


def add(commands: Any) -> None:
    parser = command(
        commands,
        "topology",
        None,
        summary="check, describe or begin a topology file",
        description="The topology says what is installed where; everything is judged against it.",
        example="edgewarden topology new --output topology.yaml\nedgewarden topology check topology.yaml",
    )
    groups = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    check = command(
        groups,
        "check",
        run_check,
        summary="all faults of a file, and what its design lacks",
        description="Reports every fault at its line and column (exit 2), else what the design has that the vendor\n"
        "does not support (exit 1 from severity high on), warns of addresses in a zone of another role or in no\n"
        "declared network, since audits judge less then, and notes what the file says in vain.",
        example="edgewarden topology check contoso.yaml",
    )
    check.add_argument("file", nargs="?", metavar="FILE", help="else $EDGEWARDEN_TOPOLOGY, else ./topology.yaml")
    show = command(
        groups,
        "show",
        run_show,
        summary="a drawing of the site, for a terminal or as SVG",
        description="What stands in which zone and between which firewalls, with addresses and ports; as text in the\n"
        "width of the terminal or of $COLUMNS.",
        example="edgewarden topology show contoso.yaml\n"
        "edgewarden topology show contoso.yaml --format svg --output contoso.svg",
    )
    show.add_argument("file", nargs="?", metavar="FILE", help="else $EDGEWARDEN_TOPOLOGY, else ./topology.yaml")
    show.add_argument("--format", choices=("text", "svg"), default="text", help="of the drawing (default text)")
    add_output(show, "the drawing")
    schema = command(
        groups,
        "schema",
        run_schema,
        summary="JSON Schema of the file, for editors",
        description="Prints the JSON Schema (2020-12) of a topology file.",
        example="edgewarden topology schema --output topology.schema.json",
    )
    add_output(schema, "the schema")
    imported = command(
        groups,
        "import",
        run_import,
        summary="a draft from a deployed Lync or Skype for Business topology",
        description="Reads the XML of `Get-CsTopology -AsXml` or a .tbxml file of Topology Builder, prints a draft of\n"
        "the topology file. What the XML cannot know is TODO in it; what was assumed is told, there and here.",
        example="edgewarden topology import contoso.tbxml --output topology.yaml",
    )
    imported.add_argument("file", metavar="FILE", help="the XML, in UTF-8 or UTF-16; - reads standard input")
    add_draft_output(imported, "the draft")
    new = command(
        groups,
        "new",
        run_new,
        summary="a commented file to start from",
        description="Prints a small, valid topology with example addresses; with --from-capture a draft of your own:\n"
        "what captures show by certificates, ports and MS-TURN, each entry with its reason, TODO for the rest.",
        example="edgewarden topology new --output topology.yaml\n"
        "edgewarden topology new --output topology.yaml --from-capture outside.pcapng inside.pcapng",
    )
    new.add_argument(
        "--from-capture",
        nargs="+",
        metavar="CAPTURE",
        help="captures (files or folders) of sign-ins, meetings and federation at the firewalls, to draft from",
    )
    add_draft_output(new, "the file")


def run_check(arguments: argparse.Namespace, messages: Messages) -> int:
    import time

    from rules.lint import config_findings
    from rules.placement import misplaced, unplaced
    from rules.remarks import remarks

    path = topology_path(arguments.file, default=True)
    assert path is not None
    topology = load_topology(path)
    found, strays, outside = config_findings(topology), misplaced(topology), unplaced(topology)
    lines = [f"{topology.organization}: {', '.join(topology.variant().names)}"]
    lines += [f"{finding.severity}: {finding.rule}: {finding.message}" for finding in found]
    lines += [f"warning: {stray}" for stray in strays + outside]
    lines += [f"note: {remark}" for remark in remarks(topology, time.time_ns())]
    count = f"{len(found)} finding{'s' if len(found) != 1 else ''} about the design"
    count += f", {len(strays)} address{'es' if len(strays) != 1 else ''} in a zone of another role" if strays else ""
    count += ", some addresses in no network of zones" if outside else ""
    lines.append(f"{path}: no faults, {count}")
    with Output(None) as out:
        out.write_text("\n".join(lines) + "\n")
    grave = SEVERITIES.index("high")
    return VIOLATIONS if any(SEVERITIES.index(finding.severity) <= grave for finding in found) else DONE


def run_show(arguments: argparse.Namespace, messages: Messages) -> int:
    import shutil

    from reports.drawing import scene
    from reports.drawing_svg import draw_svg
    from reports.drawing_text import draw_text

    path = topology_path(arguments.file, default=True)
    assert path is not None
    drawn = scene(load_topology(path))
    width = shutil.get_terminal_size((_PLAIN_WIDTH, 0)).columns
    with Output(arguments.output) as out:
        out.write_text(draw_svg(drawn) if arguments.format == "svg" else draw_text(drawn, width))
    return DONE


_PLAIN_WIDTH: Final = 120  # columns where there is neither a terminal nor $COLUMNS; a pool of two families needs 110


def run_schema(arguments: argparse.Namespace, messages: Messages) -> int:
    from rules.catalogue import RULE_IDS
    from rules.schema import topology_schema

    with Output(arguments.output) as out:
        out.write_text(json.dumps(topology_schema(RULE_IDS), indent=2, ensure_ascii=False) + "\n")
    return DONE


def run_import(arguments: argparse.Namespace, messages: Messages) -> int:
    from rules.deployment import DeploymentFaults
    from rules.document import FileUnreadable, content
    from rules.importer import import_topology
    from rules.xml_tree import MAX_BYTES

    try:
        if arguments.file == "-":
            draft = import_topology(sys.stdin.buffer.read(MAX_BYTES + 1), "standard input")
        else:
            draft = import_topology(content(arguments.file, "deployed topology", MAX_BYTES), arguments.file)
    except FileUnreadable as error:
        raise OperatorMistake(visible(str(error))) from None
    except DeploymentFaults as error:
        count = len(error.faults)
        raise OperatorMistake(f"the deployed topology has {count} fault{'s' if count != 1 else ''}:\n{error}") from None
    with Output(arguments.output, keeps=True) as out:
        out.write_text(draft.text)
    _tell(draft, messages)
    return DONE


def _tell(draft: Draft, messages: Messages) -> None:
    """What the operator must know of a draft, which says the same in its comments."""
    for kind, say, sentences in (
        ("assumed", messages.note, draft.assumptions),
        ("check", messages.warning, draft.doubts),
    ):
        for sentence in sentences[:_TOLD]:
            say(f"{kind}: {sentence}")
        if len(sentences) > _TOLD:
            say(f"{kind}: and {len(sentences) - _TOLD} more, in the file")
    if draft.unused:
        messages.note(f"{draft.rest}: {'; '.join(draft.unused[:_TOLD])}")
    messages.note(f"{draft.todos} TODO to fill in; then run edgewarden topology check")


_TOLD: Final = 100  # sentences of a kind; a real site has a few


def run_new(arguments: argparse.Namespace, messages: Messages) -> int:
    if arguments.from_capture:
        return _draft_from_captures(arguments, messages)
    from rules.template import TEMPLATE

    with Output(arguments.output, keeps=True) as out:
        out.write_text(TEMPLATE)
    return DONE


def _draft_from_captures(arguments: argparse.Namespace, messages: Messages) -> int:
    captures, mistakes = expand_captures(arguments.from_capture, None, messages)

    from monitor.sightings import sightings_of
    from rules.sighted import draft_from

    statuses = [DONE]
    with Output(arguments.output, keeps=True) as out:
        progress = messages.progress(octets_to_read(captures))
        sightings, replays = sightings_of(captures, progress)
        progress.done()
        mistakes += [mistake for replay in replays for mistake in replay.mistakes]
        if not any(replay.captures for replay in replays):
            raise OperatorMistake("\n".join(visible(line) for line in ["no capture to draft from", *mistakes]))
        draft = draft_from(sightings, arguments.from_capture)
        out.write_text(draft.text)
    for replay in replays:
        for note in replay.broken:
            messages.warning(note)
            statuses.append(INCONCLUSIVE)
    for mistake in mistakes:
        messages.error(mistake)
        statuses.append(MISTAKE)
    _tell(draft, messages)
    return gravest(statuses)
