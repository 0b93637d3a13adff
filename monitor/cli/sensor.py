"""`edgewarden sensor`: judge what passes an interface, until told to end."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from monitor.capture_arguments import SensorName
from monitor.cli.arguments import (
    add_store,
    add_topology,
    command,
    load_settings,
    load_topology,
    store_place,
    topology_path,
    warn_of_strays,
)
from monitor.cli.messages import Messages
from monitor.exit_status import OperatorMistake, gravest
from monitor.store.location import default_path
from reports.visible import visible
from rules.names import POSITIONS, SIDES

if TYPE_CHECKING:
    from monitor.elastic.cluster import Target
    from monitor.live.launcher import Signals
    from monitor.live.ring import Program
    from monitor.settings.config import Settings
    from rules.topology import Topology


def add(commands: Any) -> None:
    parser = command(
        commands,
        "sensor",
        run,
        summary="judge live traffic of an interface",
        description="Listens to interfaces, judges every flow against the declared topology and keeps the record\n"
        "until SIGTERM or SIGINT, or until the time is over; then what was heard is judged to the last packet. Needs\n"
        "root or CAP_NET_RAW; what works on packets has no rights. Says on standard error when it listens.\n"
        "Sensors of one topology that keep the same record look at their flows together, once a minute.\n"
        "Exit status: 0; 3 when more packets were lost than `policy.coverage` allows.",
        example="edgewarden sensor --interface eth1 --position external --topology contoso.yaml\n"
        "edgewarden sensor --interface eth1 eth2 --name inner --filter 'not port 22' --for 3600 "
        "--store sqlite:////var/lib/edgewarden/record.db\n"
        "edgewarden sensor --interface eth1 --name inner --store https://es01.contoso.net:9200",
    )
    parser.add_argument(
        "--interface", nargs="+", action="extend", required=True, metavar="IF", help="what to listen to, one or several"
    )
    parser.add_argument("--position", choices=POSITIONS, help="where it listens; else that of the sensor named")
    parser.add_argument("--side", choices=SIDES, help="of the firewall, if it is known")
    parser.add_argument(
        "--name", metavar="N", help="of the sensor: one of the topology's, or a new one with --position"
    )
    add_topology(parser, "that of --config, $EDGEWARDEN_TOPOLOGY, ./topology.yaml")
    add_store(parser, "$EDGEWARDEN_STORE, the file in the state folder")
    parser.add_argument(
        "--filter", metavar="BPF", help="listen to these packets alone, as pcap-filter(7) describes them"
    )
    parser.add_argument("--for", dest="seconds", type=_seconds, metavar="SECONDS", help="end after that time")
    parser.add_argument(
        "--user",
        metavar="NAME",
        help="whom the process that works on packets becomes when started as root; else that of --config, `edgewarden` "
        "if there is such a user and it may write the record, else root without capabilities",
    )


def run(arguments: argparse.Namespace, messages: Messages) -> int:
    from monitor.elastic import spool
    from monitor.live.launcher import Signals, choose_user, end, launch, make_folders, wait
    from monitor.live.ring import open_socket
    from monitor.live.sensor import Task, work

    settings = load_settings(arguments.config) if arguments.config is not None else None
    topology = _topology(arguments, settings)
    warn_of_strays(topology, messages)
    interfaces = tuple(dict.fromkeys(arguments.interface))
    in_kernel, behind = _filter(arguments.filter, interfaces)
    place = store_place(arguments) or default_path()
    record = place if isinstance(place, str) else spool.path_of(place)
    evidence = settings.evidence if settings is not None else None
    sensor = _sensor(arguments, topology)
    task = Task(topology, sensor, interfaces, record, evidence, behind, seconds=arguments.seconds)

    sockets = [open_socket(interface, in_kernel.get(interface, ())) for interface in interfaces]
    named = arguments.user or (settings.user if settings is not None else None)
    folders = [evidence.dir] if evidence is not None else []
    user, warning = choose_user(named, record, folders)
    if warning is not None:
        messages.warning(warning)
    make_folders(user, [os.path.dirname(record), *folders])
    signals = Signals()
    shipper = None
    if not isinstance(place, str):
        shipper = launch(user)
        if shipper == 0:
            for opened in sockets:
                opened.close()
            return _follow(record, place, signals, messages)
    worker = launch(user, sockets)
    if worker == 0:
        try:
            return work(task, sockets, signals, messages)
        finally:
            signals.hold()
    status = wait(worker, signals, messages)
    if isinstance(place, str):
        return status
    assert shipper is not None
    end(shipper)
    last = launch(user)
    if last == 0:
        signals.release()  # told once more, it leaves the rest to the next time
        return spool.ship(record, place, messages)
    return gravest([status, wait(last, signals, messages)])


def _follow(record: str, target: Target, signals: Signals, messages: Messages) -> int:
    """Here, as the launcher must not import what starts threads."""
    from monitor.elastic.outbox import serve

    return serve(record, target, signals, messages)


def _topology(arguments: argparse.Namespace, settings: Settings | None) -> Topology:
    if arguments.topology is None and settings is not None:
        return settings.topology
    path = topology_path(arguments.topology, default=True)
    assert path is not None
    return load_topology(path)


def _sensor(arguments: argparse.Namespace, topology: Topology) -> SensorName:
    """As `audit` takes it: a name of the topology brings position and side; a position alone is a name, too."""
    name, position, side = arguments.name, arguments.position, arguments.side
    declared = {sensor.name: sensor for sensor in topology.sensors}
    if name is None and position is None and len(declared) == 1:
        [name] = declared
    known = declared.get(name)
    if known is None:
        if position is None:
            names = f" (there are: {visible(', '.join(declared))})" if declared else ""
            raise OperatorMistake(
                f"where does it listen? Say --position, or --name with a sensor of the topology{names}"
            )
        return SensorName(name or position, position, side)
    for said, stands, what in ((position, known.position, "position"), (side, known.side, "side")):
        if said is not None and stands is not None and said != stands:
            raise OperatorMistake(
                f"--{what} {said}: in the topology the {what} of sensor {visible(known.name)} is {stands}"
            )
    return SensorName(known.name, known.position, known.side or side, known.behind_lb)


def _filter(expression: str | None, interfaces: Sequence[str]) -> tuple[Mapping[str, Program], Mapping[int, Program]]:
    """The kernel's program for each interface; or those of each link type for behind the ring, as the kernel takes a
    VLAN tag off a packet before its filter looks, and the core puts it back."""
    if expression is None:
        return {}, {}
    from monitor.live.ring import hardware_type
    from monitor.packet_filter import compile_filter, compile_for_core, link_type_of

    kinds = {interface: link_type_of(hardware_type(interface)) for interface in interfaces}
    behind = re.search(r"\bvlan\b", expression) is not None
    programs = compile_for_core(expression) if behind else compile_filter(expression)
    for interface, kind in kinds.items():
        if kind not in programs:
            raise OperatorMistake(f"--filter: the expression has no meaning for packets of {visible(interface)}")
    if behind:
        return {}, programs
    return {interface: programs[kind] for interface, kind in kinds.items() if kind is not None}, {}


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"'{visible(text)}' is no time above 0, in seconds")
    return seconds
