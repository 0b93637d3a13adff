"""What the operator named on the command line: `[SENSOR=]CAPTURE[#N]`, folders included, becomes a list of captures.

Strategy: two steps. `parse` splits an argument by its text alone (and the sensors that are known); `expand` looks at
the file system: folders are walked in name order, files in them that are no captures are skipped and counted, a file
that was named itself must be one. Nothing is judged here; what cannot be read is collected as a sentence each, so that
the rest of the run goes on.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from monitor.capture_files import head
from reports.visible import visible
from rules.names import POSITIONS

PROBE = 24
"""Octets that tell a capture: the whole header of a pcap file, more than a pcapng section's first fields."""

_INTERFACE = re.compile(r"#(\d{1,9})\Z")


@dataclass(frozen=True, slots=True)
class SensorName:
    """One capture point: a name, its position and side when they are known, and whether it stands between a hardware
    balancer and its servers."""

    name: str | None = None
    position: str | None = None
    side: str | None = None
    behind_lb: bool = False

    @property
    def label(self) -> str:
        return self.name or "(unnamed)"


@dataclass(frozen=True, slots=True)
class CaptureArgument:
    """One argument, taken apart. `interface`: the pcapng interface to read, numbered from 0 as the format does."""

    text: str
    sensor: SensorName
    path: str
    interface: int | None = None

    @property
    def shown(self) -> str:
        """The path as results name it."""
        return visible(self.path)


@dataclass(slots=True)
class Expansion:
    """`captures` in the order given; `skipped` counts files of folders that are no captures; `faults` are sentences."""

    captures: list[CaptureArgument] = field(default_factory=list)
    skipped: int = 0
    faults: list[str] = field(default_factory=list)


class ArgumentFault(Exception):
    """An argument that cannot be understood; the text says what would be right."""


def parse(
    text: str, sensors: Sequence[SensorName], *, sensor_needed: bool, exists: Callable[[str], bool] = os.path.lexists
) -> CaptureArgument:
    """Take one argument apart.

    sensors: those the topology declares. sensor_needed: False lets a capture stand without one (`flows` alone).
    Raises ArgumentFault.
    """
    sensor: SensorName | None = None
    path = text
    before, equals, after = text.partition("=")
    if equals:
        sensor = next((s for s in sensors if s.name == before), None)
        if sensor is None and before in POSITIONS:
            sensor = SensorName(before, before)
        if sensor is not None:
            path = after
        elif sensor_needed and not exists(text) and os.sep not in before:
            known = ", ".join([*POSITIONS, *(s.name for s in sensors if s.name)])
            raise ArgumentFault(f"{text}: '{before}' is no sensor (say one of {known}, then =CAPTURE)")
    if not path:
        raise ArgumentFault(f"{text}: no capture is named after '='")
    if sensor is None:
        if not sensor_needed:
            sensor = SensorName()
        elif len(sensors) == 1:
            sensor = sensors[0]
        else:
            raise ArgumentFault(
                f"{text}: at which sensor was it taken? Say POSITION=CAPTURE (external={path}, internal={path}, …) "
                "or NAME=CAPTURE with a name under `sensors` of the topology"
            )
    interface = None
    found = _INTERFACE.search(path)
    if found and not exists(path):
        interface = int(found.group(1))
        path = path[: found.start()]
    return CaptureArgument(text, sensor, path, interface)


def expand(arguments: Iterable[CaptureArgument], probe: Callable[[bytes], str | None]) -> Expansion:
    """Look at the file system. probe: what the first octets of a file are, None when no capture (the core's)."""
    result = Expansion()
    seen: set[tuple[str, SensorName, int | None]] = set()
    for argument in arguments:
        if argument.path == "-":
            if any(c.path == "-" for c in result.captures):
                result.faults.append("-: standard input can be read only once")
            else:
                result.captures.append(argument)
            continue
        try:
            is_folder = stat.S_ISDIR(os.stat(argument.path).st_mode)
        except (OSError, ValueError) as error:
            result.faults.append(f"{argument.shown}: cannot be read: {_reason(error)}")
            continue
        if not is_folder:
            candidates: Iterable[str] = (argument.path,)
        else:
            found = len(result.captures)
            candidates = [path for path in _walk(argument.path, result) if _is_capture(path, probe, result)]
            if not candidates and len(result.captures) == found:
                result.faults.append(f"{argument.shown}: the folder holds no capture")
        for path in candidates:
            key = (os.path.realpath(path), argument.sensor, argument.interface)
            if key not in seen:  # a file named itself and found in a named folder is one capture
                seen.add(key)
                result.captures.append(CaptureArgument(argument.text, argument.sensor, path, argument.interface))
    return result


def _walk(folder: str, result: Expansion) -> Iterator[str]:
    """What lies below a folder, in name order, files and folders alike; links to folders are not followed, since they
    may run in circles."""

    waiting = [folder]
    while waiting:
        path = waiting.pop()
        if not os.path.isdir(path):
            yield path
            continue
        if os.path.islink(path) and path != folder:
            continue
        try:
            names = sorted(os.listdir(path), reverse=True)
        except OSError as error:
            result.faults.append(f"{visible(path)}: cannot be read: {_reason(error)}")
            continue
        waiting += [os.path.join(path, name) for name in names]


def _is_capture(path: str, probe: Callable[[bytes], str | None], result: Expansion) -> bool:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a FIFO in a folder would wait for ever
            result.skipped += 1
            return False
        known = probe(head(path, PROBE)) is not None
    except OSError as error:
        result.faults.append(f"{visible(path)}: cannot be read: {_reason(error)}")
        return False
    if not known:
        result.skipped += 1
    return known


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
