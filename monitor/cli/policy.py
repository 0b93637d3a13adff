"""`edgewarden policy`: the rows and rules as they stand on a site, one of them in words, and what a flow would be."""

from __future__ import annotations

import argparse
import json
from typing import Any

from monitor.cli.arguments import add_output, add_topology, command, load_topology, topology_path
from monitor.cli.messages import Messages
from monitor.exit_status import DONE, INCONCLUSIVE, VIOLATIONS, OperatorMistake
from monitor.output import Output


def add(commands: Any) -> None:
    parser = command(
        commands,
        "policy",
        None,
        summary="list the allowed rows and the rules, explain one, or ask what a flow would be",
        description="What may cross the firewalls of the declared site, what is looked for, and what cannot be seen.",
        example="edgewarden policy list --topology contoso.yaml\nedgewarden policy explain director-bypass-sip\n"
        "edgewarden policy ask --from edge-int --to fe --port 5061",
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
    listing.add_argument(
        "--format", choices=("text", "json", "csv", "markdown"), default="text", help="of the list (default text)"
    )
    add_output(listing, "the list")
    explain = command(
        groups,
        "explain",
        run_explain,
        summary="one row, rule or word of rows",
        description="What it means, where it comes from and how it stands on the site, when a topology is given.",
        example="edgewarden policy explain ext-access-client-sip",
    )
    add_topology(explain, "$EDGEWARDEN_TOPOLOGY; without one the row or rule alone")
    explain.add_argument("id", metavar="ID", help="of a row, a rule or an end of rows, as `policy list` names it")
    add_output(explain, "the explanation")
    question = command(
        groups,
        "ask",
        run_ask,
        summary="what a flow would be, and why, without traffic",
        description="Answers allowed (exit 0), violation (1) or depends (3), with the steps that lead there.\n"
        "X and Y are a role id, a zone, a word of the rows such as fe-or-sba (`policy explain WORD` says whom it\n"
        "means), a declared name, an address or a network. A pool's name means those of its addresses that rows\n"
        "lead to on that port.",
        example="edgewarden policy ask --from edge01.contoso.net --to fe --port 5061\n"
        "edgewarden policy ask --from external --to edge-ext-av --port 3478 --transport udp --service turn",
    )
    add_topology(question, "$EDGEWARDEN_TOPOLOGY, else ./topology.yaml")
    question.add_argument("--from", dest="source", metavar="X", required=True, help="who opens it")
    question.add_argument("--to", dest="destination", metavar="Y", required=True, help="who answers")
    question.add_argument("--port", type=_port, metavar="N", help="of Y; left out where the transport has none")
    question.add_argument("--transport", default="tcp", metavar="NAME", help="IANA keyword such as udp (default tcp)")
    question.add_argument("--source-port", type=_port, metavar="N", help="of X; absent: any")
    question.add_argument(
        "--service",
        metavar="NAME",
        help="what is spoken, as `flows` names it, or mtls: TLS where both ends show a certificate; `tls` leaves that "
        "open; absent: nothing was said yet",
    )
    question.add_argument("--format", choices=("text", "json"), default="text", help="of the answer (default text)")
    add_output(question, "the answer")


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"'{text}' is no port (1 to 65535)")
    return int(text)


def run_list(arguments: argparse.Namespace, messages: Messages) -> int:
    from reports.policy_tables import policy_csv, policy_markdown
    from reports.render import render_policy
    from rules.explain import policy_list

    path = topology_path(arguments.topology, default=True)
    assert path is not None
    listing = policy_list(load_topology(path))
    with Output(arguments.output) as out:
        if arguments.format == "json":
            out.write_text(json.dumps(listing, indent=2, ensure_ascii=False) + "\n")
        else:
            render = {"text": render_policy, "csv": policy_csv, "markdown": policy_markdown}[arguments.format]
            out.write_text(render(listing))
    return DONE


def run_ask(arguments: argparse.Namespace, messages: Messages) -> int:
    import time

    from reports.render import render_answer
    from rules.ask import Question, ask, known_services
    from rules.meant import UnknownEnd
    from rules.transports import PORTED, transport_number

    path = topology_path(arguments.topology, default=True)
    assert path is not None
    transport = transport_number(arguments.transport)
    if transport is None:
        raise OperatorMistake(f"'{arguments.transport}' is no transport (an IANA keyword such as tcp, udp, icmp, esp)")
    if transport in PORTED and arguments.port is None:
        raise OperatorMistake(f"--port is missing: which {arguments.transport} port of {arguments.destination}?")
    if transport not in PORTED and (arguments.port or arguments.source_port):
        raise OperatorMistake(f"{arguments.transport} has no ports: leave --port and --source-port out")
    if arguments.service is not None and arguments.service not in known_services():
        raise OperatorMistake(f"'{arguments.service}' is no service (one of {', '.join(known_services())})")
    question = Question(
        source=arguments.source,
        destination=arguments.destination,
        transport=transport,
        port=arguments.port or 0,
        source_port=arguments.source_port,
        service=arguments.service,
        time=time.time_ns(),
    )
    try:
        answer = ask(load_topology(path), question)
    except UnknownEnd as unknown:
        raise OperatorMistake(str(unknown)) from None
    told = {"answer": answer.answer, "path": answer.path, "rules": list(answer.rules), "trace": list(answer.trace)}
    with Output(arguments.output) as out:
        if arguments.format == "json":
            out.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
        else:
            out.write_text(render_answer(told))
    return {"allowed": DONE, "violation": VIOLATIONS}.get(answer.answer, INCONCLUSIVE)


def run_explain(arguments: argparse.Namespace, messages: Messages) -> int:
    from rules.explain import policy_explain

    path = topology_path(arguments.topology, default=False)
    topology = load_topology(path) if path is not None else None
    try:
        text = policy_explain(arguments.id, topology)
    except KeyError:
        raise OperatorMistake(
            f"'{arguments.id}' is neither a row, a rule nor a word of rows (edgewarden policy list names all)"
        ) from None
    with Output(arguments.output) as out:
        out.write_text(text.rstrip("\n") + "\n")
    return DONE
