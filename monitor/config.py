"""Settings file → `Settings`, or every fault of the file, and of the topology it names, at once.

Strategy: the way of topologies (bytes → nodes with places → values by the description of keys → checks over the whole
→ model), with its reader and its faults. What the description cannot say is checked here: keys that exclude or need
each other, names that stand twice, keys whose part is not built, and the topology itself.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, time
from pathlib import Path
from typing import Any

from monitor.schedule import Schedule
from monitor.settings_keys import NOT_BUILT, SETTINGS
from reports.visible import visible
from rules.catalogue import RULE_IDS
from rules.document import Fault, Faults, FileFaults, FileUnreadable, Mapping, Node, Scalar, content, parse, show
from rules.load import TopologyFaults, TopologyUnreadable
from rules.load import load as load_topology
from rules.shape import At
from rules.topology import Topology


class SettingsFaults(FileFaults):
    """A settings file, or the topology that it names, has faults: first those of the settings."""


class SettingsUnreadable(FileUnreadable):
    """There is no settings file to be read at that place."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the service is to do. `topology_file` starts at the folder of `file`, which may itself be relative."""

    file: str
    topology_file: Path
    topology: Topology
    schedules: tuple[Schedule, ...] = ()


def load(path: str | os.PathLike[str], *, not_built: Collection[str] = tuple(NOT_BUILT)) -> Settings:
    """Reads a settings file and its topology.

    not_built: top keys that are refused because no part serves them. Raises SettingsUnreadable when the file cannot
    be opened or read, and SettingsFaults when what it says cannot be understood or served.
    """
    name = os.fspath(path)
    try:
        data = content(name, "settings file")
    except FileUnreadable as error:
        raise SettingsUnreadable(str(error)) from None
    return read(data, name, not_built=not_built)


def read(data: bytes, name: str, *, not_built: Collection[str] = tuple(NOT_BUILT)) -> Settings:
    """As `load`, of bytes at hand; `name` stands in messages, and relative places start at its folder."""
    faults = Faults(name)
    root = parse(data, faults)
    values = None if root is None else SETTINGS.read(root, faults)
    more: tuple[Fault, ...] = ()
    topology: Topology | None = None
    if values is not None:
        assert root is not None
        _refuse_not_built(root, frozenset(not_built), faults)
        _check(values, faults)
        topology, more = _topology(values, Path(name).parent, faults)
    if values is None or topology is None or faults.found or more:
        raise SettingsFaults(faults.sorted() + more)
    return Settings(
        name,
        Path(name).parent / values.get("topology"),
        topology,
        tuple(_schedule(report) for report in values.items("reports")),
    )


def settings_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of a settings file. Whatever it refuses the loader refuses, too."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Edgewarden settings",
        **SETTINGS.schema(),
    }
    for key, sentence in NOT_BUILT.items():
        described = schema["properties"][key]
        described["description"] = f"{described['description']} (refused in this version: {sentence})"
    return schema


# --- checks over the whole --------------------------------------------------------------------------------------------


def _refuse_not_built(root: Node, not_built: Collection[str], faults: Faults) -> None:
    assert isinstance(root, Mapping)
    for key, value in root.entries:
        empty = isinstance(value, Scalar) and value.value is None
        if key.text in not_built and not empty:  # an empty key means that there is none
            faults.add(key.mark, f"{key.text}: {NOT_BUILT[key.text]}", "leave the key out")


def _check(values: At, faults: Faults) -> None:
    shipping = values.value.get("elasticsearch")
    if shipping is not None:
        _exclusive(shipping, faults, ("ca_certs",), ("fingerprint",))
        _exclusive(shipping, faults, ("api_key_file", "api_key_env"), ("username", "password_file", "password_env"))
        _secret(shipping, faults, "api_key")
        _account(shipping, faults)
    names: dict[str, At] = {}
    for report in values.items("reports"):
        name = report.value.get("name")
        if name is not None:
            if name.value in names:
                line = names[name.value].mark.line
                faults.add(name.mark, f"report {show(name.value)} stands twice", f"another name than in line {line}")
            names.setdefault(name.value, name)
        _check_time(report, faults)
        for entry in report.items("deliver"):
            _exclusive(entry, faults, ("folder",), ("mail",))
            mail = entry.value.get("mail")
            if mail is not None:
                _account(mail, faults)
    for alert in values.items("alerts"):
        _exclusive(alert, faults, ("syslog",), ("webhook",))
        if not alert.written & {"syslog", "webhook"}:
            faults.add(alert.mark, "an alert that goes nowhere", "one of syslog, webhook")
        webhook = alert.value.get("webhook")
        if webhook is not None:
            _secret(webhook, faults, "hmac")


def _check_time(report: At, faults: Faults) -> None:
    _exclusive(report, faults, ("every",), ("cron",))
    if not report.written & {"every", "cron"}:
        faults.add(report.mark, "every is missing", "day, week, month or quarter, or a crontab line under cron")
    every = report.value.get("every")
    by_line = "cron" in report.written or (every is not None and isinstance(every.value, dict))
    if by_line and "at" in report.value:
        faults.add(report.value["at"].mark, "at beside a crontab line", "leave it out: the line has its time")


def _exclusive(mapping: At, faults: Faults, some: tuple[str, ...], others: tuple[str, ...]) -> None:
    """Keys of both groups in one mapping are a fault, at the one of the second group."""
    first = next((key for key in some if key in mapping.written), None)
    second = next((key for key in others if key in mapping.value), None)
    if first is not None and second is not None:
        faults.add(mapping.value[second].mark, f"{second} beside {first}", "one of the two")


def _secret(mapping: At, faults: Faults, name: str) -> None:
    _exclusive(mapping, faults, (f"{name}_file",), (f"{name}_env",))


def _account(mapping: At, faults: Faults) -> None:
    """A user name and a password need each other."""
    _secret(mapping, faults, "password")
    password = mapping.written & {"password_file", "password_env"}
    if "username" in mapping.value and not password:
        faults.add(mapping.value["username"].mark, "a user name without a password", "password_file or password_env")
    if password and "username" not in mapping.written:
        key = next((key for key in sorted(password) if key in mapping.value), None)
        if key is not None:
            faults.add(mapping.value[key].mark, "a password without a user name", "username beside it")


def _topology(values: At, folder: Path, faults: Faults) -> tuple[Topology | None, tuple[Fault, ...]]:
    """The topology, and its own faults."""
    place = values.value.get("topology")
    if place is None:
        return None, ()
    try:
        topology = load_topology(folder / place.value, known_rules=RULE_IDS)
    except TopologyUnreadable as error:
        faults.add(place.mark, visible(str(error)), "edgewarden topology new writes one to start from")
        return None, ()
    except TopologyFaults as error:
        return None, error.faults
    if not any(sensor.interfaces for sensor in topology.sensors):
        faults.add(
            place.mark,
            f"no sensor of {visible(place.value)} names an interface to capture from",
            "interfaces: [eth1] at one of its sensors",
        )
    return topology, ()


def _schedule(report: At) -> Schedule:
    every = report.get("every") or report.get("cron")
    if isinstance(every, dict):
        every = every["cron"].value
    return Schedule(report.get("name"), every, report.get("zone") or UTC, report.get("at") or time(0, 0))
