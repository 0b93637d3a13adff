"""`edgewarden findings`: what the record says of violations and attempts."""

from __future__ import annotations

import argparse
from typing import Any

from monitor.cli.arguments import add_output, add_store, command, moment, store_place
from monitor.cli.messages import Messages
from monitor.exit_status import DONE, OperatorMistake
from monitor.output import Output
from monitor.store.location import default_path
from rules.names import SEVERITIES


def add(commands: Any) -> None:
    parser = command(
        commands,
        "findings",
        run,
        summary="findings and attempts in the record",
        description="Asks the record that audits and sensors wrote: violations by finding, all summed, and attempts.\n"
        "What a sensor saw of a finding in a quarter of an hour counts whole when it reaches into the time asked for.",
        example="edgewarden findings --store sqlite:///record.db --severity high\n"
        "edgewarden findings --format json --from 2026-11-22 --to 2026-11-23 --component edge01.contoso.net\n"
        "edgewarden findings --store https://es01.contoso.net:9200 --rule director-bypass-sip",
    )
    add_store(parser, "$EDGEWARDEN_STORE, else the one in the state folder")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="of the list (default text)")
    add_output(parser, "the list")
    parser.add_argument("--from", dest="time_from", type=moment, metavar="T", help="seen at T or later")
    parser.add_argument("--to", dest="time_to", type=moment, metavar="T", help="seen before T")
    parser.add_argument("--sensor", metavar="N", help="seen by this sensor, or at this position")
    parser.add_argument("--severity", choices=SEVERITIES, help="of this severity or graver")
    parser.add_argument("--rule", metavar="R", help="of this rule")
    parser.add_argument("--component", metavar="C", help="with this component at either end")


def run(arguments: argparse.Namespace, messages: Messages) -> int:
    from monitor.store.asking import asking
    from monitor.store.questions import Filter, listing, one_way_taps
    from reports.render import render_findings, render_json
    from rules.catalogue import RULE_IDS

    if arguments.rule is not None and arguments.rule not in RULE_IDS:
        raise OperatorMistake(f"'{arguments.rule}' is no rule (edgewarden policy list names all)")
    if arguments.time_from is not None and arguments.time_to is not None and arguments.time_from >= arguments.time_to:
        raise OperatorMistake("--from is not before --to: nothing lies between them")
    chosen = Filter(
        arguments.time_from,
        arguments.time_to,
        arguments.sensor,
        arguments.severity,
        arguments.rule,
        arguments.component,
    )
    window = (arguments.time_from, arguments.time_to)
    with asking(store_place(arguments) or default_path(), window) as connection:
        found = listing(connection, chosen)
        one_way = one_way_taps(connection)
    for name in one_way:
        messages.warning(f"{name} saw one direction only, at least once: what it saw then counts as no attempt")
    with Output(arguments.output) as out:
        out.write_text(render_json(found) if arguments.format == "json" else render_findings(found))
    return DONE
