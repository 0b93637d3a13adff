"""What this machine has of what edgewarden needs: one finding a check, each with the remedy.

Strategy: every check looks and changes nothing; none lets another fail. With settings it asks about what they name,
and what a live sensor cannot do without is then missing; without, it is only worth a warning.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from monitor.calendar.periods import zone_named
from monitor.dissect import NOT_INSTALLED, TOOL
from monitor.elastic.cluster import Target, from_settings, from_url, is_cluster
from monitor.exit_status import OperatorMistake, OutOfReach
from monitor.live.interfaces import joining, state
from monitor.packet_filter import ETHERNET, compile_filter
from monitor.settings.config import Settings, SettingsFaults, SettingsUnreadable, load
from monitor.settings.secret import Secret
from monitor.store.location import VARIABLE, default_path, named_path
from monitor.store.migrations import LATEST
from monitor.store.sqlite import held_version
from parsers import SERVICES, VERSION
from reports.visible import visible
from rules.catalogue import RULE_IDS
from rules.load import TopologyFaults, TopologyUnreadable
from rules.load import load as load_topology

OK: Final = "ok"
WARNING: Final = "warning"
MISSING: Final = "missing"

PYTHON: Final = ((3, 11), (3, 14))
"""First version that will do, and the first that will not: pyshark 0.6 breaks on 3.14."""

ROOM: Final = 1 << 30
"""Octets free where the record lies: a day of a busy site is some tens of megabytes, so this is a month's warning."""

_PATIENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Check:
    """state: OK, WARNING (works, but less well) or MISSING (required)."""

    name: str
    state: str
    text: str
    remedy: str | None = None


def examine(config: str | None) -> list[Check]:
    """config: a settings file, or None for what the environment names."""
    checks = [*_programs(), _live_sockets(required=config is not None)]
    if config is None:
        checks += _topology()
        url = os.environ.get(VARIABLE, "")
        checks += _cluster(lambda: from_url(url)) if is_cluster(url) else [_record(None)]
    else:
        settings, check = _settings(config)
        checks.append(check)
        if settings is not None:
            checks += _named(settings)
    return [Check(c.name, c.state, visible(c.text), visible(c.remedy) if c.remedy else None) for c in checks]


def _settings(config: str) -> tuple[Settings | None, Check]:
    try:
        settings = load(config)
    except SettingsUnreadable as error:
        return None, Check("settings", MISSING, str(error), "edgewarden settings new writes one to start from")
    except SettingsFaults as error:
        count = len(error.faults)
        text = f"{count} fault{'s' if count != 1 else ''}, the first: {error.faults[0]}"
        return None, Check("settings", MISSING, text, f"edgewarden settings check {config} tells all of them")
    count = sum(bool(sensor.interfaces) for sensor in settings.topology.sensors)
    return settings, Check(
        "settings", OK, f"{settings.topology.organization}, {count} sensor{'s' if count != 1 else ''}"
    )


def _named(settings: Settings) -> Iterator[Check]:
    """What the settings name."""
    for sensor in settings.topology.sensors:
        yield from (_interface(sensor.name, name) for name in sensor.interfaces)
    yield _user(settings)
    yield from _folders(settings)
    yield _record(settings)
    yield from (_secret(secret) for secret in settings.secrets)
    if settings.elasticsearch is not None:
        shipping = settings.elasticsearch
        yield from _cluster(lambda: from_settings(shipping))


# --- programs --------------------------------------------------------------------------------------------------------


def _programs() -> Iterator[Check]:
    first, beyond = PYTHON
    version = platform.python_version()
    if first <= sys.version_info[:2] < beyond:
        yield Check("python", OK, version)
    else:
        needed = f"{first[0]}.{first[1]} to {beyond[0]}.{beyond[1] - 1}"
        yield Check("python", MISSING, f"{version} will not do", f"install Python {needed}")
    yield Check("core", OK, f"edgewarden {VERSION}, knows {len(SERVICES)} services")
    yield _tshark()
    try:
        compile_filter("tcp port 5061", (ETHERNET,))
        yield Check("libpcap", OK, "compiles filters")
    except OperatorMistake as error:
        yield Check("libpcap", WARNING, str(error), "apt install libpcap0.8; only --filter needs it")
    try:
        zone_named("Europe/Berlin")
        yield Check("time zones", OK, "known")
    except ValueError:
        yield Check("time zones", WARNING, "this machine knows UTC alone", "apt install tzdata")


def _tshark() -> Check:
    if shutil.which(TOOL) is None:
        return Check("tshark", WARNING, "explain and --second-opinion do without it", NOT_INSTALLED)
    try:
        done = subprocess.run([TOOL, "--version"], capture_output=True, text=True, timeout=_PATIENCE, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("tshark", WARNING, f"cannot be started: {error}", "reinstall it")
    first = done.stdout.split("\n", 1)[0].strip()
    if done.returncode or not first:
        return Check("tshark", WARNING, f"ends with status {done.returncode}", "reinstall it")
    return Check("tshark", OK, first)


def _live_sockets(*, required: bool) -> Check:
    kernel = f"{platform.system()} {platform.release()}"
    state = MISSING if required else WARNING
    if not hasattr(socket, "AF_PACKET"):
        return Check("live", state, f"{kernel} has no AF_PACKET sockets", "live sensors run on Linux")
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()  # protocol 0: nothing comes in
    except PermissionError:
        remedy = "run the service as root, or give it CAP_NET_RAW (AmbientCapabilities= in systemd)"
        return Check("live", state, f"{kernel}: we may not listen to an interface", remedy)
    except OSError as error:
        return Check("live", state, f"{kernel}: no AF_PACKET socket: {error.strerror}", "modprobe af_packet")
    return Check("live", OK, f"{kernel}: we may listen to interfaces")


# --- the site --------------------------------------------------------------------------------------------------------


def _topology() -> Iterator[Check]:
    named = os.environ.get("EDGEWARDEN_TOPOLOGY")
    path = named or "topology.yaml"
    if not named and not os.path.exists(path):
        remedy = "edgewarden topology new writes one to start from; --topology or $EDGEWARDEN_TOPOLOGY names it"
        yield Check("topology", WARNING, "none is named, and there is no ./topology.yaml", remedy)
        return
    try:
        topology = load_topology(path, known_rules=RULE_IDS)
        yield Check("topology", OK, f"{topology.organization}: {path}")
    except TopologyUnreadable as error:
        yield Check("topology", MISSING, str(error), "edgewarden topology new writes one to start from")
    except TopologyFaults as error:
        count = len(error.faults)
        text = f"{count} fault{'s' if count != 1 else ''}, the first: {error.faults[0]}"
        yield Check("topology", MISSING, text, f"edgewarden topology check {path} tells all of them")


def _interface(sensor: str, name: str) -> Check:
    what = f"interface {name}"
    found = state(name)
    if found is None:
        have = ", ".join(sorted(known for _, known in socket.if_nameindex()))
        return Check(what, MISSING, f"sensor {sensor}: this machine has no such interface", f"it has {have}")
    if found == "down":
        return Check(what, MISSING, f"sensor {sensor}: it is down", f"ip link set {name} up")
    if found == "no signal":
        return Check(what, WARNING, f"sensor {sensor}: no signal", "look at the cable and the mirror port")
    on = joining(name)
    if on:
        text = (
            f"sensor {sensor}: {' and '.join(on).upper()} joins packets, so sizes and counts are not those of the wire"
        )
        return Check(what, WARNING, text, f"ethtool -K {name} {' '.join(f'{entry} off' for entry in on)}")
    return Check(what, OK, f"sensor {sensor}: up")


# --- places ----------------------------------------------------------------------------------------------------------


def _user(settings: Settings) -> Check:
    from monitor.live.launcher import choose_user

    folders = [settings.evidence.dir] if settings.evidence is not None else []
    folders += [folder for report in settings.reports for folder in report.folders]
    try:
        user, warning = choose_user(settings.user, settings.store or default_path(), folders)
    except OperatorMistake as error:
        return Check("user", MISSING, "workers cannot become the user that is named", str(error))
    if warning is not None:
        return Check(
            "user", WARNING, warning, "a user of their own, named under privileges, keeps them from being root"
        )
    if user is None:
        return Check("user", OK, f"workers stay user {os.geteuid()}, without capabilities")
    return Check("user", OK, f"workers become {user.name}")


def _folders(settings: Settings) -> Iterator[Check]:
    if settings.evidence is not None:
        yield _folder("evidence", settings.evidence.dir)
    for report in settings.reports:
        for folder in report.folders:
            yield _folder(f"report {report.schedule.name}", folder)


def _folder(what: str, path: str) -> Check:
    """It is there and may be written, or can be made."""
    there = path
    while not os.path.exists(there) and os.path.dirname(there) != there:
        there = os.path.dirname(there)
    if not os.path.isdir(there):
        return Check(what, MISSING, f"{there} is no folder", "name another place in the settings")
    if not os.access(there, os.W_OK | os.X_OK):
        return Check(what, MISSING, f"{there} cannot be written", f"chown or chmod {there}, or name another place")
    return Check(what, OK, path if there == path else f"{path} will be made")


def _record(settings: Settings | None) -> Check:
    remedy = "name another place: store: in the settings, or $EDGEWARDEN_STORE"
    try:
        path = (settings.store if settings is not None else named_path(None)) or default_path()
        number = held_version(path)
    except OperatorMistake as error:
        return Check("record", MISSING, str(error), remedy)
    folder = os.path.dirname(path)
    if settings is None and path != default_path() and not os.path.isdir(folder):  # the service makes it, an audit not
        return Check("record", MISSING, f"{path}: {folder} is no folder", f"mkdir -p {folder}")
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    for place in (folder, path):
        if os.path.exists(place) and not os.access(place, os.W_OK):
            return Check("record", MISSING, f"{place} cannot be written", f"chown or chmod {place}, or {remedy}")
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        return Check("record", WARNING, f"{path}: {free >> 20} MiB are free there", "make room, or " + remedy)
    if number is None:
        return Check("record", OK, f"{path} will be made")
    return Check("record", OK, f"{path}, version {number}" + ("" if number >= LATEST else f", will become {LATEST}"))


def _secret(secret: Secret) -> Check:
    try:
        secret.read()
    except OperatorMistake as error:
        return Check("secret", MISSING, str(error), "put it there, readable for the user of the service alone")
    warning = secret.warning()
    return Check("secret", OK if warning is None else WARNING, f"{secret.place} can be read", warning)


def _cluster(named: Callable[[], Target]) -> Iterator[Check]:
    """named: reads the secrets, too."""
    from elasticsearch import ApiError

    from monitor.elastic import templates
    from monitor.elastic.cluster import connect, told, version

    name = "elasticsearch"
    try:
        target = named()
        with told(target), closing(connect(target)) as client:
            known = version(client)
            client.count(index=target.violations, ignore_unavailable=True)
            yield Check(name, OK, f"{target.name} answers, version {known or 'unknown (we may not ask)'}")
            try:
                wrong = [change for change in templates.compare(client) if change.action != "kept"]
                lacking = templates.replaced_types(client)
            except ApiError as error:
                if error.status_code != 403:
                    raise
                yield Check("templates", OK, "unknown: we may not ask, and need not once they are there")
                return
    except OutOfReach as error:
        yield Check(name, MISSING, str(error), "start it, or look at the network; what waits is shipped later")
        return
    except OperatorMistake as error:
        yield Check(name, MISSING, str(error), "edgewarden elastic status tells more once that is right")
        return
    if wrong:
        text = f"{len(wrong)} of {len(templates.designs())} are not there, or not as this version makes them"
        yield Check("templates", WARNING, text, "edgewarden elastic setup puts them there")
    else:
        yield Check("templates", OK, "in place")
    for missing, instead in lacking.items():
        text = f"the cluster lacks the type {missing}, {instead} stands in for it"
        yield Check(f"type {missing}", WARNING, text, "a cluster with all of Elastic's modules has it")
