"""Settings file → `Settings`, or every fault of the file, and of the topology it names, at once.

Strategy: the way of topologies (bytes → nodes with places → values by the description of keys → checks over the whole
→ model), with its reader and its faults. What the description cannot say is checked here: keys that exclude or need
each other, names that stand twice, keys whose part is not built, and the topology itself.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from monitor.calendar.schedule import Schedule
from monitor.settings.keys import ELASTICSEARCH, EVIDENCE, LOG, NOT_BUILT, REPORT, SETTINGS
from monitor.settings.secret import Secret
from reports.visible import visible
from rules.catalogue import RULE_IDS
from rules.document import (
    Fault,
    Faults,
    FileFaults,
    FileUnreadable,
    Mapping,
    Mark,
    Node,
    Scalar,
    Sequence,
    content,
    parse,
    show,
)
from rules.load import TopologyFaults, TopologyUnreadable
from rules.load import load as load_topology
from rules.shape import At, Keys
from rules.topology import Topology


class SettingsFaults(FileFaults):
    """A settings file, or the topology that it names, has faults: first those of the settings."""


class SettingsUnreadable(FileUnreadable):
    """There is no settings file to be read at that place."""


@dataclass(frozen=True, slots=True)
class Elasticsearch:
    """Where the record is shipped, and who says so: an API key, a user with a password, or nobody."""

    hosts: tuple[str, ...]
    ca_certs: str | None
    fingerprint: str | None
    api_key: Secret | None
    username: str | None
    password: Secret | None
    namespace: str
    keep_flows: bool


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """Which packets of findings are kept. `buffer`: octets of recent packets, for each sensor."""

    dir: str
    buffer: int
    packets_per_flow: int
    flows_per_finding: int
    keep_days: int
    snaplen: int
    handshakes: str
    media: str
    messages: str


@dataclass(frozen=True, slots=True)
class Report:
    """A report by the calendar: when, in which formats, into which folders."""

    schedule: Schedule
    formats: tuple[str, ...]
    folders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Log:
    format: str
    level: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What the service is to do. `topology_file` starts at the folder of `file`, which may itself be relative; all
    other places are absolute. `store`: the file of the record, None = the one in the state folder. `user`: what workers
    become, None = they stay who they are."""

    file: str
    topology_file: Path
    topology: Topology
    store: str | None
    elasticsearch: Elasticsearch | None
    evidence: EvidenceSettings | None
    reports: tuple[Report, ...]
    user: str | None
    log: Log

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """All that they name."""
        shipping = self.elasticsearch
        named = (shipping.api_key, shipping.password) if shipping is not None else ()
        return tuple(secret for secret in named if secret is not None)


def load(path: str | os.PathLike[str], *, not_built: Collection[str] = tuple(NOT_BUILT)) -> Settings:
    """Reads a settings file and its topology.

    not_built: keys and values (as in `NOT_BUILT`) that are refused because no part serves them. Raises
    SettingsUnreadable when the file cannot be opened or read, and SettingsFaults when what it says cannot be
    understood or served.
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
        _refuse_not_built(root, "", frozenset(not_built), faults)
        _check(values, faults)
        topology, more = _topology(values, Path(name).parent, faults)
    if values is None or topology is None or faults.found or more:
        raise SettingsFaults(faults.sorted() + more)
    return _settings(values, name, topology)


def settings_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of a settings file. Whatever it refuses the loader refuses, too."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Edgewarden settings",
        **SETTINGS.schema(),
    }
    for way, sentence in NOT_BUILT.items():
        key = way.split(".")[0]
        what = f"{way.removeprefix(key + '.')}: " if way != key else ""
        described = schema["properties"][key]
        described["description"] += f" (refused in this version: {what}{sentence})"
    return schema


# --- checks over the whole --------------------------------------------------------------------------------------------


def _refuse_not_built(node: Node, way: str, not_built: Collection[str], faults: Faults) -> None:
    """way: the keys that lead to `node`, with a point behind each."""
    if isinstance(node, Sequence):
        for item in node.items:
            _refuse_not_built(item, way, not_built, faults)
    elif isinstance(node, Mapping):
        for key, value in node.entries:
            there = way + key.text
            empty = isinstance(value, Scalar) and value.value is None
            if there in not_built and not empty:  # an empty key means that there is none
                faults.add(key.mark, f"{key.text}: {NOT_BUILT[there]}", "leave the key out")
            else:
                _refuse_not_built(value, f"{there}.", not_built, faults)
    elif isinstance(node, Scalar):
        there = f"{way.removesuffix('.')}={node.text.lower()}"
        if there in not_built:
            faults.add(node.mark, f"{there.rpartition('.')[2]}: {NOT_BUILT[there]}", "another value, or none")


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


# --- values → model ---------------------------------------------------------------------------------------------------


def _settings(values: At, name: str, topology: Topology) -> Settings:
    folder = os.path.dirname(os.path.abspath(name))
    store, privileges = values.get("store"), values.value.get("privileges")
    shipping, evidence = values.value.get("elasticsearch"), values.value.get("evidence")
    log = values.value.get("log") or At({}, values.mark)
    return Settings(
        file=name,
        topology_file=Path(name).parent / values.get("topology"),
        topology=topology,
        store=None if store is None else os.path.join(folder, store.removeprefix("sqlite:///")),
        elasticsearch=None if shipping is None else _elasticsearch(shipping, folder),
        evidence=None if evidence is None else _evidence(evidence, folder),
        reports=tuple(_report(report, folder) for report in values.items("reports")),
        user=None if privileges is None else privileges.get("user"),
        log=Log(_or_default(log, LOG, "format"), _or_default(log, LOG, "level")),
    )


def _or_default(mapping: At, keys: Keys, name: str) -> Any:
    """The plain value of a key, or of its default, which is read as if it stood in the file."""
    if name in mapping.value:
        return _plain(mapping.value[name])
    key = next(key for key in keys.keys if key.name == name)
    read = key.shape.read(_node(key.default), Faults(""))
    assert read is not None, f"the default of {name} fits its shape"
    return _plain(read)


def _node(value: Any) -> Node:
    if isinstance(value, list):
        return Sequence(_NOWHERE, [_node(item) for item in value])
    if isinstance(value, dict):
        return Mapping(_NOWHERE, [(Scalar(_NOWHERE, key, key, True), _node(item)) for key, item in value.items()])
    return Scalar(_NOWHERE, str(value), value, False)


def _plain(at: At) -> Any:
    if isinstance(at.value, tuple) and all(isinstance(item, At) for item in at.value):
        return tuple(_plain(item) for item in at.value)
    return {key: _plain(item) for key, item in at.value.items()} if isinstance(at.value, dict) else at.value


_NOWHERE: Final = Mark(0, 0)


def _place(folder: str, name: str | None) -> str | None:
    return None if name is None else os.path.join(folder, name)


def _secret_of(mapping: At, name: str, folder: str) -> Secret | None:
    file, variable = mapping.get(f"{name}_file"), mapping.get(f"{name}_env")
    return None if file is None and variable is None else Secret(_place(folder, file), variable)


def _elasticsearch(shipping: At, folder: str) -> Elasticsearch:
    return Elasticsearch(
        hosts=_or_default(shipping, ELASTICSEARCH, "hosts"),
        ca_certs=_place(folder, shipping.get("ca_certs")),
        fingerprint=shipping.get("fingerprint"),
        api_key=_secret_of(shipping, "api_key", folder),
        username=shipping.get("username"),
        password=_secret_of(shipping, "password", folder),
        namespace=_or_default(shipping, ELASTICSEARCH, "namespace"),
        keep_flows=_or_default(shipping, ELASTICSEARCH, "keep_flows"),
    )


def _evidence(evidence: At, folder: str) -> EvidenceSettings:
    values = {key.name: _or_default(evidence, EVIDENCE, key.name) for key in EVIDENCE.keys}
    return EvidenceSettings(**{**values, "dir": os.path.join(folder, values["dir"])})


def _report(report: At, folder: str) -> Report:
    places = (entry.get("folder") for entry in _or_default(report, REPORT, "deliver"))
    return Report(
        schedule=_schedule(report),
        formats=tuple(dict.fromkeys(_or_default(report, REPORT, "formats"))),
        folders=tuple(dict.fromkeys(os.path.join(folder, place) for place in places if place is not None)),
    )


def _schedule(report: At) -> Schedule:
    every = report.get("every") or report.get("cron")
    if isinstance(every, dict):
        every = every["cron"].value
    return Schedule(report.get("name"), every, _or_default(report, REPORT, "zone"), _or_default(report, REPORT, "at"))
