"""Reads the table of rules that several flows show together: each case is what sensors saw, and what follows of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from ruamel.yaml import YAML

from rules.correlate import correlate
from rules.facts import Site
from rules.sights import MINUTE, Sight, Sights, Spoken
from rules.transports import TCP, transport_number
from rules.verdict import End
from tests.policy.cases import TABLES, bench
from tests.policy.flows import split

START: Final = 1_795_338_000 * 1_000_000_000 // MINUTE * MINUTE
SENSORS: Final = {
    "xf-out": ("external", "outside"),
    "xf-in": ("external", "inside"),
    "if-per": ("internal", "outside"),
    "if-lan": ("internal", "inside"),
}
_KEYS: Final = {"on", "same", "times", "minute", "from", "to", "services", "spoken", "fact"}
_NOBODY: Final = End("", None, None)


@dataclass(frozen=True, slots=True)
class JoinedCase:
    of: str  # rule id
    near: bool
    where: str
    site: str
    flows: tuple[dict[str, Any], ...]
    rules: tuple[str, ...]  # of the findings expected


@cache
def joined_cases() -> tuple[JoinedCase, ...]:
    """Every case of the table. ValueError for a row that cannot be meant."""
    return tuple(_read())


def _read() -> Iterator[JoinedCase]:
    path = TABLES / "joined.yaml"
    for of, kinds in YAML(typ="rt").load(path).items():
        for kind, cases in kinds.items():
            for place, case in enumerate(cases):
                where = f"{path.name}:{cases.lc.item(place)[0] + 1}"
                unknown = [key for flow in case["flows"] for key in flow if key not in _KEYS]
                if kind not in ("trips", "near") or unknown or not set(case) <= {"site", "flows", "rules", "but"}:
                    raise ValueError(f"{where}: {kind} {unknown} {list(case)}")
                near = kind == "near"
                rules = tuple(case.get("rules", () if near else (of,)))
                flows = tuple(dict(flow) for flow in case["flows"])
                yield JoinedCase(str(of), near, where, case.get("site", "contoso"), flows, rules)


def seen(case: JoinedCase) -> list[Sight]:
    """What the sensors saw, as values that rules over several flows are given."""
    site = bench(case.site).site
    return [sight for place, flow in enumerate(case.flows) for sight in _sights(site, place, flow)]


def found(case: JoinedCase, sights: list[Sight]) -> tuple[str, ...]:
    """The rules of the findings, in the order of the document."""
    told = list(correlate(Sights(bench(case.site).site, tuple(sights))))
    assert all(finding.reason.endswith(".") and finding.sights for _, _, finding in told)
    return tuple(rule.id for rule, _, _ in told)


def sight(site: Site, sensor: int, source: str, destination: str, **more: Any) -> Sight:
    """An answered TCP connection of ten packets each way, unless said otherwise. sensor: its place in SENSORS."""
    (source_ip, source_port), (destination_ip, port) = split(source), split(destination)
    position, side = list(SENSORS.values())[sensor]
    values: dict[str, Any] = {
        "ref": 0,
        "sensor": sensor,
        "position": position,
        "side": side,
        "behind_lb": False,
        "start": START,
        "transport": TCP,
        "source": site.endpoints.at(source_ip),
        "destination": site.endpoints.at(destination_ip),
        "ends": (_NOBODY, _NOBODY),
        "source_ip": source_ip,
        "destination_ip": destination_ip,
        "source_port": source_port,
        "port": port,
        "source_packets": 10,
        "destination_packets": 10,
        "answered": True,
        "refused": False,
        "services": frozenset(),
    }
    return Sight(**(values | more))


def _sights(site: Site, place: int, flow: dict[str, Any]) -> Iterator[Sight]:
    to, _, transport = flow["to"].partition("/")
    start = START + flow.get("minute", 0) * MINUTE + place
    told: dict[str, Any] = {
        "start": start,
        "transport": transport_number(transport or "tcp"),
        "services": frozenset(flow.get("services", ())),
        "isn": (flow["same"], flow["same"] + 1000) if "same" in flow else None,
    }
    if "spoken" in flow:
        told["spoken"] = (Spoken(start // MINUTE, **flow["spoken"]),)
    made = sight(site, list(SENSORS).index(flow["on"]), flow["from"], to, **(told | flow.get("fact", {})))
    if "times" not in flow:
        yield made
    for number in range(flow.get("times", 0)):
        between = number * (MINUTE // (flow["times"] + 1))
        yield replace(made, start=made.start + between, source_port=10000 + number)
