"""`edgewarden audit`: judge captures against the topology."""

from __future__ import annotations

import argparse
import os
import stat
from typing import TYPE_CHECKING, Any

from monitor.cli.arguments import (
    add_captures,
    add_output,
    add_store,
    add_topology,
    command,
    expand_captures,
    load_topology,
    load_waivers,
    moment,
    octets_to_read,
    store_place,
    topology_path,
    warn_of_strays,
)
from monitor.cli.messages import Messages
from monitor.exit_status import DONE, INCONCLUSIVE, MISTAKE, VIOLATIONS, OperatorMistake, OutputFailure, gravest
from monitor.output import Output
from monitor.store.location import prepare_default
from rules.names import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.audit import Audit
    from monitor.capture_arguments import CaptureArgument
    from monitor.elastic.cluster import Target
    from monitor.replay import Settings
    from rules.topology import Topology


def add(commands: Any) -> None:
    parser = command(
        commands,
        "audit",
        run,
        summary="judge captures against the topology",
        description="Reads captures, classifies every flow, judges it against the declared topology and says what was\n"
        "seen: verdict, findings with their reasons, paths used, attempts, and what could not be seen.",
        example="edgewarden audit --topology contoso.yaml external=outside.pcapng internal=inside.pcapng\n"
        "edgewarden audit --store sqlite:///record.db --evidence evidence/ external=monday/ internal=tuesday.pcap.zst\n"
        "edgewarden audit --waivers accepted.yaml --suggest candidates.yaml external=outside.pcapng\n"
        "edgewarden audit --store https://es01.contoso.net:9200 external=outside.pcapng internal=inside.pcapng",
    )
    add_topology(parser, "$EDGEWARDEN_TOPOLOGY, else ./topology.yaml")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="of the result (default text)")
    add_output(parser)
    parser.add_argument("--report", metavar="FILE.html", help="write an HTML report, too")
    parser.add_argument("--evidence", metavar="DIR", help="cut the first packets of violating flows into DIR")
    parser.add_argument(
        "--fail-on",
        choices=(*SEVERITIES, "never"),
        default="low",
        help="lowest severity that makes the exit status 1 (default low)",
    )
    parser.add_argument("--from", dest="time_from", type=moment, metavar="T", help="judge packets from T on")
    parser.add_argument("--to", dest="time_to", type=moment, metavar="T", help="judge packets before T")
    add_store(parser, "$EDGEWARDEN_STORE; without either no record is written")
    parser.add_argument("--filter", metavar="BPF", help="judge these packets alone: an expression of pcap-filter(7)")
    parser.add_argument(
        "--waivers",
        metavar="FILE",
        help="accepted exceptions, YAML: a list of {rule, reason, owner, expires} with one or more of source, "
        "destination, port, subject; what they cover stays in the result and changes no exit status",
    )
    parser.add_argument(
        "--suggest",
        metavar="FILE",
        help="write what was seen and is not declared as commented entries of a topology file: flows that no row "
        "allows, neighbours in the perimeter, networks in no zone, each with counts and reason",
    )
    parser.add_argument(
        "--second-opinion", action="store_true", help="ask tshark what it reads in the violating flows, and compare"
    )
    add_captures(parser)


def run(arguments: argparse.Namespace, messages: Messages) -> int:
    path = topology_path(arguments.topology, default=True)
    assert path is not None
    topology = load_topology(path)
    warn_of_strays(topology, messages)
    waivers = load_waivers(arguments.waivers, topology) if arguments.waivers is not None else None
    captures, mistakes = expand_captures(arguments.captures, topology, messages)
    again = "--evidence" if arguments.evidence is not None else "--second-opinion" if arguments.second_opinion else None
    if again is not None:
        for capture in captures:
            if capture.path == "-" or not stat.S_ISREG(os.stat(capture.path).st_mode):
                raise OperatorMistake(
                    f"{again} reads captures a second time, which {capture.shown} does not allow: name a file"
                )
    if arguments.evidence is not None:
        _prepare(arguments.evidence)
    if arguments.second_opinion:
        from monitor.dissect import NOT_INSTALLED, installed

        if not installed():
            raise OperatorMistake(f"--second-opinion: {NOT_INSTALLED}")
    if arguments.time_from is not None and arguments.time_to is not None and arguments.time_from >= arguments.time_to:
        raise OperatorMistake("--from is not before --to: nothing lies between them")

    place = store_place(arguments)
    store = _writable(place, messages)

    from monitor.audit import audit
    from monitor.evidence import PACKETS
    from monitor.packet_filter import compile_for_core
    from monitor.replay import Settings
    from monitor.suggest import Strangers, suggestion_text
    from reports.render import render_html, render_json, render_text

    settings = Settings(
        arguments.time_from,
        arguments.time_to,
        PACKETS if again is not None else 0,
        programs=compile_for_core(arguments.filter) if arguments.filter is not None else {},
    )
    progress = messages.progress(octets_to_read(captures))
    statuses = [DONE]
    strangers = Strangers(topology) if arguments.suggest is not None else None
    with Output(arguments.output) as out, _Beside(arguments.report) as report, _Beside(arguments.suggest) as candidates:
        outcome = audit(
            topology,
            captures,
            settings,
            mistakes,
            progress,
            split=store is not None,
            waivers=waivers,
            beside=strangers,
        )
        progress.done()
        if again is not None:
            _second_reading(outcome, captures, arguments.evidence, opinions=arguments.second_opinion)
        for mistake in outcome.mistakes:
            messages.error(mistake)
        for note in outcome.notes:
            messages.warning(note)
        if store is not None:
            assert place is not None
            statuses.append(_record(store, place, topology, outcome, settings, arguments.evidence, messages))
        render = render_json if arguments.format == "json" else render_text
        out.write_text(render(outcome.result))
        report.write(lambda: render_html(outcome.result))
        if strangers is not None:
            candidates.write(lambda: suggestion_text(outcome.found, strangers))

    if outcome.mistakes:
        statuses.append(MISTAKE)
    worst = outcome.worst()
    if worst is not None and worst in SEVERITIES[: _failing(arguments.fail_on)]:
        statuses.append(VIOLATIONS)
    if outcome.inconclusive:
        statuses.append(INCONCLUSIVE)
    return gravest(statuses)


def _writable(place: str | Target | None, messages: Messages) -> str | None:
    """The file that the record is written into. Raises OperatorMistake, OutputFailure."""
    if place is None:
        return None
    if not isinstance(place, str):
        from monitor.elastic import spool

        return spool.begin(place, messages)
    from monitor.store.sqlite import check_writable

    prepare_default(place)
    check_writable(place)
    return place


def _second_reading(outcome: Audit, captures: list[CaptureArgument], folder: str | None, *, opinions: bool) -> None:
    """What needs the packets of the findings: slices in `folder`, opinions of tshark."""
    from monitor.evidence import sample_packets, write_evidence

    packets = sample_packets(outcome.found, {capture.shown: capture.path for capture in captures})
    if folder is not None:
        try:
            cut = write_evidence(folder, outcome.found, packets)
        except OSError as error:
            raise OutputFailure(folder, error) from error
        for finding in outcome.result["findings"]:
            finding["evidence"] = cut.get(finding["id"], [])
    if opinions:
        from monitor.second_opinion import second_opinions

        second_opinions(outcome.found, packets, outcome.result["findings"])


def _record(
    store: str,
    place: str | Target,
    topology: Topology,
    outcome: Audit,
    settings: Settings,
    folder: str | None,
    messages: Messages,
) -> int:
    """Write the record, and ship it where the place is a cluster; the status of that. The result is printed whatever
    became of it."""
    from monitor.audit import audit
    from monitor.elastic import spool
    from monitor.record import record
    from monitor.replay import Settings
    from monitor.store.entry import Capture, evidence_of

    def elsewhere(captures: Sequence[Capture]) -> list[int]:
        return [] if isinstance(place, str) else spool.known_there(place, captures)

    window = (settings.time_from, settings.time_to)
    alone = Settings(*window, programs=settings.programs)
    evidence = evidence_of(folder, outcome.result["findings"]) if folder is not None else {}
    try:
        for sentence in record(
            store, outcome, window, evidence, lambda rest: audit(topology, rest, alone, split=True), elsewhere
        ):
            messages.warning(sentence)
    except OperatorMistake as error:
        messages.error(str(error))
        return MISTAKE
    except OutputFailure as error:
        messages.error(str(error))
        return error.status
    return DONE if isinstance(place, str) else spool.ship(store, place, messages)


def _failing(fail_on: str) -> int:
    """How many of SEVERITIES make the exit status 1."""
    return 0 if fail_on == "never" else SEVERITIES.index(fail_on) + 1


class _Beside:
    """A file beside the result, when one was asked for; opened first, so that a bad name is found first."""

    def __init__(self, path: str | None) -> None:
        self._output = Output(path) if path is not None else None

    def __enter__(self) -> _Beside:
        if self._output is not None:
            self._output.__enter__()
        return self

    def write(self, text: Callable[[], str]) -> None:
        if self._output is not None:
            self._output.write_text(text())

    def __exit__(self, *error: Any) -> None:
        if self._output is not None:
            self._output.__exit__(*error)


def _prepare(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OutputFailure(folder, error) from error
