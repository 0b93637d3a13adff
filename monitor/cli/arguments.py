"""Arguments that several commands share, and the checks of their values."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from monitor.cli.messages import Messages
from monitor.exit_status import OperatorMistake
from monitor.output import Output
from monitor.store.location import VARIABLE, default_path, named_path
from monitor.times import parse_time
from reports.visible import visible

if TYPE_CHECKING:
    from monitor.capture_arguments import CaptureArgument, SensorName
    from monitor.elastic.cluster import Target
    from monitor.settings.config import Settings
    from rules.topology import Topology
    from rules.waivers import Waiver

Run = Callable[[argparse.Namespace, Messages], int]


class Parser(argparse.ArgumentParser):
    """argparse, with usage mistakes told in one line and a hint."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {visible(message)}\nTry '{self.prog} --help'.\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Help and version are results: argparse would pass over a full disk in silence."""
        if message and file is sys.stdout:
            with Output(None) as out:
                out.write_text(message)
        else:
            with suppress(OSError):  # as Python 3.11.2 does not yet: a message that nobody reads changes no status
                super()._print_message(message, file)


def general() -> argparse.ArgumentParser:
    """Options that stand before or behind the name of a command."""
    parser = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS, allow_abbrev=False)
    group = parser.add_argument_group("messages (on standard error)")
    volume = group.add_mutually_exclusive_group()
    volume.add_argument("--quiet", "-q", action="store_true", help="errors and warnings only, no progress bar")
    volume.add_argument("--verbose", "-v", action="store_true", help="say more, with tracebacks")
    group.add_argument("--log-format", choices=("text", "json"), help="messages as lines or as JSON objects")
    return parser


def command(
    commands: Any, name: str, run: Run | None, *, summary: str, description: str, example: str
) -> argparse.ArgumentParser:
    """A sub-command with the general options and an example under its help."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog="example:\n  " + example.replace("\n", "\n  "),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        parents=[general()],
    )
    if run is not None:
        parser.set_defaults(run=run)
    return parser


def add_output(parser: argparse.ArgumentParser, what: str = "the result") -> None:
    parser.add_argument("--output", metavar="FILE", help=f"write {what} to FILE instead of standard output")


def add_draft_output(parser: argparse.ArgumentParser, what: str) -> None:
    """For what is going to be changed by hand: `Output(…, keeps=True)` writes it."""
    kept = f"write {what} to FILE instead of standard output; what FILE held is kept in FILE~"
    parser.add_argument("--output", metavar="FILE", help=kept)


def add_captures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "captures",
        nargs="+",
        metavar="[SENSOR=]CAPTURE[#N]",
        help="pcap or pcapng (also inside .gz or .zst), a folder of them, a FIFO, or - for standard input; SENSOR is a "
        "position (external, internal, lan, vpn) or a name under `sensors`; #N reads one pcapng interface, from 0",
    )


def add_topology(parser: argparse.ArgumentParser, fallback: str) -> None:
    parser.add_argument("--topology", metavar="FILE", help=f"the declared topology; else {fallback}")


def add_store(parser: argparse.ArgumentParser, fallback: str) -> None:
    """Which record is meant; `store_path` reads it, or `store_place` where a cluster will do."""
    one = parser.add_mutually_exclusive_group()
    one.add_argument(
        "--store",
        metavar="URL",
        help="the record: sqlite:///FILE, from the root sqlite:////FILE, in Elasticsearch https://HOST:9200 "
        "(with the variables of edgewarden elastic setup --help)",
    )
    one.add_argument(
        "--config", metavar="FILE", help=f"settings of the service, whose record is meant; else {fallback}"
    )


def store_path(arguments: argparse.Namespace) -> str | None:
    """The absolute path of the record that --store, --config or $EDGEWARDEN_STORE names, None where none does.

    Raises OperatorMistake.
    """
    if arguments.config is not None:
        return load_settings(arguments.config).store or default_path()
    return named_path(arguments.store)


def store_place(arguments: argparse.Namespace) -> str | Target | None:
    """As `store_path`, or the cluster that --store https://… or $EDGEWARDEN_STORE names. Raises OperatorMistake."""
    from monitor.elastic.cluster import from_url, is_cluster

    url = arguments.store if arguments.store is not None else os.environ.get(VARIABLE, "")
    if arguments.config is None and is_cluster(url):
        return from_url(url)
    return store_path(arguments)


def load_settings(path: str) -> Settings:
    """Read the settings of the service. Raises OperatorMistake with all their faults, one a line."""
    from monitor.settings.config import SettingsFaults, SettingsUnreadable, load

    try:
        return load(path)
    except SettingsUnreadable as error:
        raise OperatorMistake(visible(str(error))) from None
    except SettingsFaults as error:
        count = len(error.faults)
        raise OperatorMistake(f"the settings have {count} fault{'s' if count != 1 else ''}:\n{error}") from None


def moment(text: str) -> int:
    """A time on the command line, for argparse."""
    try:
        return parse_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def topology_path(named: str | None, *, default: bool) -> str | None:
    """Where the topology is: as named, else $EDGEWARDEN_TOPOLOGY, else (default) ./topology.yaml."""
    path = named or os.environ.get("EDGEWARDEN_TOPOLOGY") or None
    if path is None and default:
        path = "topology.yaml"
        if not os.path.exists(path):
            raise OperatorMistake(
                "no topology: name one with --topology FILE or $EDGEWARDEN_TOPOLOGY, or have ./topology.yaml "
                "(edgewarden topology new writes one to start from)"
            )
    return path


def load_topology(path: str) -> Topology:
    """Read a topology. Raises OperatorMistake with all its faults, one a line."""
    from rules.catalogue import RULE_IDS
    from rules.load import TopologyFaults, TopologyUnreadable, load

    try:
        return load(path, known_rules=RULE_IDS)
    except TopologyUnreadable as error:
        raise OperatorMistake(visible(str(error))) from None
    except TopologyFaults as error:
        count = len(error.faults)
        raise OperatorMistake(f"the topology has {count} fault{'s' if count != 1 else ''}:\n{error}") from None


def warn_of_strays(topology: Topology, messages: Messages) -> None:
    """Traffic of a server in a zone of another role passes for what nobody asked about, and so does that of one whose
    address has a slip in it: say so beside the verdict."""
    from rules.placement import misplaced, unplaced

    for strays, meaning in (
        (misplaced(topology), "much of the traffic there is out of scope"),
        (unplaced(topology), "if that is a slip, what the true address sends is judged as a stranger's"),
    ):
        if strays:
            more = f" and {len(strays) - 1} more; edgewarden topology check lists them" if len(strays) > 1 else ""
            messages.warning(f"{strays[0]}{more}: {meaning}")


def load_waivers(path: str, topology: Topology | None) -> tuple[Waiver, ...]:
    """Read a file of waivers. Raises OperatorMistake with all its faults, one a line."""
    from rules import waivers
    from rules.catalogue import RULE_IDS

    try:
        return waivers.load_waivers(path, topology, RULE_IDS)
    except waivers.WaiversUnreadable as error:
        raise OperatorMistake(visible(str(error))) from None
    except waivers.WaiverFaults as error:
        count = len(error.faults)
        raise OperatorMistake(f"the waivers have {count} fault{'s' if count != 1 else ''}:\n{error}") from None


def expand_captures(
    texts: list[str], topology: Topology | None, messages: Messages
) -> tuple[list[CaptureArgument], list[str]]:
    """The captures named, and a sentence for each that cannot be read. Raises OperatorMistake."""
    from monitor.capture_arguments import ArgumentFault, SensorName, expand, parse
    from parsers import probe_capture

    sensors: list[SensorName] = []
    if topology is not None:
        sensors = [
            SensorName(sensor.name, sensor.position, sensor.side, sensor.behind_lb) for sensor in topology.sensors
        ]
    try:
        named = [parse(text, sensors, sensor_needed=topology is not None) for text in texts]
    except ArgumentFault as error:
        raise OperatorMistake(visible(str(error))) from None
    expansion = expand(named, probe_capture)
    if expansion.skipped:
        one = expansion.skipped == 1
        files = "1 file that is no capture" if one else f"{expansion.skipped} files that are no captures"
        messages.note(f"skipped {files} in the folders named")
    return expansion.captures, expansion.faults


def octets_to_read(captures: list[CaptureArgument]) -> int:
    """Sum of the sizes as stored, for the progress bar; 0 when one of them is no regular file."""
    total = 0
    for capture in captures:
        try:
            size = os.stat(capture.path).st_size if capture.path != "-" else 0
        except OSError:
            continue
        if not size:
            return 0
        total += size
    return total
