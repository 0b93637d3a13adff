"""The scenario tables: YAML a domain expert reads → frozen `Scenario`s, every key checked.

One file per capture: where it is taken, when it begins, and its scenarios in the order they happen. A scenario says
who speaks to whom, over which port by meaning, what they say, and what verdict the vendor documents give, with the
reason and the document. Unknown or missing keys raise `TableFault` with file and scenario.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

FOLDER = Path(__file__).parent / "scenarios"
LEGEND = "documents.yaml"

VERDICTS = ("allowed", "violation", "attempt", "undecided", "out-of-scope")
TRANSPORTS = ("tcp", "udp", "icmp")
ANSWERS = ("yes", "none", "rst", "port unreachable")
ENDINGS = ("fin", "destination fin", "rst", "open")
UPSETS = ("retransmission", "reorder", "overlap", "small segments")


class TableFault(Exception):
    """A scenario table says something that has no meaning."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must come out. None = the table does not say (a protocol not yet told apart, for example).

    silenced: rules that hold but that a more specific one covers, without `unlisted-path`, which every rule covers.
    never: services that must not be recognised.
    """

    verdict: str
    path: str | None = None
    rules: tuple[str, ...] = ()
    silenced: tuple[str, ...] = ()
    protocol: str | None = None
    services: tuple[str, ...] | None = None
    never: tuple[str, ...] = ()
    unproved: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    id: str
    story: str
    source: str
    destination: str
    port: str | int
    talk: Mapping[str, Any]
    expect: Expectation
    because: str
    document: str
    transport: str = "tcp"
    source_port: str | int | None = None
    needs: tuple[str, ...] = ()
    view: str = "outside"  # of the external firewall: `outside`, `inside` (translated), or `both`
    answer: str = "yes"
    ending: str = "fin"
    joined_late: bool = False
    one_way: bool = False
    upset: str | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table: the scenarios of one capture."""

    capture: str
    kind: str  # `clean`, `violations`, `lookalikes`
    sensor: str
    starts: datetime.datetime
    about: str
    scenarios: tuple[Scenario, ...] = field(default=())


_KEYS = {
    "id": "id",
    "story": "story",
    "from": "source",
    "from port": "source_port",
    "to": "destination",
    "port": "port",
    "transport": "transport",
    "talk": "talk",
    "needs": "needs",
    "view": "view",
    "answer": "answer",
    "ending": "ending",
    "joined late": "joined_late",
    "one way": "one_way",
    "upset": "upset",
    "expect": "expect",
    "because": "because",
    "document": "document",
}
_REQUIRED = {"id", "story", "from", "to", "port", "talk", "expect", "because", "document"}
_CHOICES = {"transport": TRANSPORTS, "answer": ANSWERS, "ending": ENDINGS, "upset": UPSETS,
            "view": ("outside", "inside", "both")}  # fmt: skip
_EXPECT_KEYS = {"verdict", "path", "rules", "silenced", "protocol", "services", "never", "unproved"}


def documents(folder: Path = FOLDER) -> dict[str, str]:
    """Code → title of each document the tables cite."""
    return {str(code): str(title) for code, title in _read(folder / LEGEND).items()}


def sheets(folder: Path = FOLDER) -> tuple[Sheet, ...]:
    """All tables of a folder, in name order. Raises TableFault, OSError."""
    legend = documents(folder)
    found = tuple(_sheet(path, legend) for path in sorted(folder.glob("*.yaml")) if path.name != LEGEND)
    ids = [scenario.id for sheet in found for scenario in sheet.scenarios]
    twice = sorted({each for each in ids if ids.count(each) > 1})
    if twice:
        raise TableFault(f"scenario ids used twice: {', '.join(twice)}")
    return found


def _read(path: Path) -> Mapping[str, Any]:
    content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise TableFault(f"{path.name}: a mapping belongs here")
    return content


def _sheet(path: Path, legend: Mapping[str, str]) -> Sheet:
    content = _read(path)
    missing = {"capture", "kind", "sensor", "starts", "about", "scenarios"} ^ set(content)
    if missing:
        raise TableFault(f"{path.name}: missing or unknown: {', '.join(sorted(missing))}")
    starts = content["starts"]
    if not isinstance(starts, datetime.datetime):
        raise TableFault(f"{path.name}: starts: a time belongs here")
    return Sheet(
        capture=content["capture"],
        kind=content["kind"],
        sensor=content["sensor"],
        starts=starts.replace(tzinfo=datetime.UTC) if starts.tzinfo is None else starts.astimezone(datetime.UTC),
        about=content["about"],
        scenarios=tuple(_scenario(path.name, each, legend) for each in content["scenarios"]),
    )


def _scenario(file: str, entry: Mapping[str, Any], legend: Mapping[str, str]) -> Scenario:
    place = f"{file}: {entry.get('id', '(no id)')}"
    unknown = set(entry) - set(_KEYS)
    missing = _REQUIRED - set(entry)
    if unknown or missing:
        raise TableFault(f"{place}: unknown {sorted(unknown)}, missing {sorted(missing)}")
    for key, choices in _CHOICES.items():
        if key in entry and entry[key] not in choices:
            raise TableFault(f"{place}: {key}: one of {', '.join(choices)}")
    if entry["document"] not in legend:
        raise TableFault(f"{place}: no such document: {entry['document']}")
    values = {_KEYS[key]: value for key, value in entry.items()}
    values["needs"] = tuple(entry.get("needs", ()))
    values["expect"] = _expectation(place, entry["expect"])
    return Scenario(**values)


def _expectation(place: str, entry: Mapping[str, Any]) -> Expectation:
    unknown = set(entry) - _EXPECT_KEYS
    if unknown or entry.get("verdict") not in VERDICTS:
        raise TableFault(f"{place}: expect: unknown {sorted(unknown)}, or no verdict of {', '.join(VERDICTS)}")
    lists = {key: tuple(entry[key]) for key in ("rules", "silenced", "never", "unproved") if key in entry}
    services = entry.get("services")
    return Expectation(
        verdict=entry["verdict"],
        path=entry.get("path"),
        protocol=entry.get("protocol"),
        services=None if services is None else tuple(services),
        **lists,
    )
