"""What a site might have to declare, drafted from traffic: entries of a topology file, commented out, most flows first.

Strategy: text. A line that begins with `# ` is YAML once these two characters are gone, one with `## ` stays a comment,
so that a reader takes in entry by entry, and the whole file is one mapping with the keys of a topology. What a person
must decide is TODO: owner and reason, and `expires`, which is a fault until it is a date. No entry is advice: each says
which rule found the flows. Words from the wire stand in comments only, on one line and without anything that YAML or a
terminal would obey.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from rules.components import PortRange
from rules.draft import TODO, WIDTH, one_or_list, word

MOST: Final = 200
"""Entries of each kind: more than that nobody decides one by one; the file says how many there were."""

_HEAD: Final = """\
Drafted by edgewarden audit --suggest: what was seen and is not declared. No entry is advice: allow a flow only if it
is meant, and close the firewall to it otherwise. To take one over, remove "# " from its lines and put them under the
same keys of the topology file; TODO is yours to fill: who answers for it, why, and until when."""


@dataclass(frozen=True, slots=True)
class Seen:
    """How much of something was seen: flows, and the first and last moment as results write it."""

    flows: int
    first: str
    last: str
    positions: tuple[str, ...]

    def __str__(self) -> str:
        flows = f"{self.flows:,} flow{'' if self.flows == 1 else 's'}"
        return f"{flows} at {', '.join(self.positions)}, {self.first} to {self.last}"


@dataclass(frozen=True, slots=True)
class Unlisted:
    """Flows that no row allows. source, destination: a declared name, the addresses seen while they are few, else a
    role or zone; `breadth` then says how many addresses that stands for."""

    id: str
    source: tuple[str, ...]
    destination: tuple[str, ...]
    transport: str
    ports: tuple[PortRange, ...]
    service: str  # "" = not known
    found_by: str  # "high unlisted-path"
    reason: str
    seen: Seen
    breadth: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()  # rules that a row does not answer: about bytes, names, the design


@dataclass(frozen=True, slots=True)
class Stranger:
    """An address of a perimeter network that is nobody's, or a network in no zone. place: the address, or CIDR."""

    place: str
    about: str
    seen: Seen


_Kind = TypeVar("_Kind", Unlisted, Stranger)


def suggestions(paths: Sequence[Unlisted], neighbours: Sequence[Stranger], networks: Sequence[Stranger]) -> str:
    """The file. Each sequence in any order."""
    lines = [f"## {line}" for line in _HEAD.splitlines()]
    if not (paths or neighbours or networks):
        return "\n".join([*lines, "##", "## Nothing was seen that is not declared."]) + "\n"
    if paths:
        lines += ["##", "# policy:", "#   local_paths:"]
        for path in _most_flows(paths):
            lines += [
                *_comment(6, f"{'; '.join((str(path.seen), *path.breadth))}: {path.found_by}: {path.reason}"),
                *(_comment(6, f"Taken over, it stays a violation: {', '.join(path.stays)}.") if path.stays else ()),
                *_path(path),
            ]
        lines += _more(6, len(paths))
    if neighbours:
        lines += ["##", "# others:"]
        for stranger in _most_flows(neighbours):
            lines += _comment(4, f"{stranger.seen}: {stranger.about}")
            lines.append(f"#   - {{name: {word(f'neighbour {stranger.place}')}, addresses: {word(stranger.place)}}}")
        lines += _more(4, len(neighbours))
    if networks:
        lines += ["##", "# zones:"]
        lines += _comment(
            4, "internal is a guess: internal, vpn, perimeter-int and perimeter-ext are yours to choose from"
        )
        lines.append("#   internal:")
        for stranger in _most_flows(networks):
            lines += [*_comment(6, f"{stranger.seen}: {stranger.about}"), f"#     - {word(stranger.place)}"]
        lines += _more(6, len(networks))
    return "\n".join(lines) + "\n"


def _path(path: Unlisted) -> Iterator[str]:
    ends = f"from: {one_or_list(path.source)}, to: {one_or_list(path.destination)}, transport: {word(path.transport)}"
    ports = [span.first if span.first == span.last else str(span) for span in path.ports]
    rest = f", port: {one_or_list(ports)}" if ports else ""
    rest += f", service: {word(path.service)}" if path.service else ""
    yield f"#     - {{id: {word(path.id)}, {ends}{rest},"
    yield f"#        reason: {TODO}, owner: {TODO}, expires: {TODO}}}"


def _most_flows(found: Sequence[_Kind]) -> list[_Kind]:
    return sorted(found, key=lambda one: -one.seen.flows)[:MOST]


def _more(depth: int, count: int) -> list[str]:
    return _comment(depth, f"and {count - MOST} more with fewer flows") if count > MOST else []


def _comment(depth: int, text: str) -> list[str]:
    harmless = "".join(char if char.isprintable() else f"\\u{{{ord(char):04x}}}" for char in text)
    start = "##" + " " * (depth - 1)
    return textwrap.wrap(
        harmless, WIDTH, initial_indent=start, subsequent_indent=start, break_long_words=False, break_on_hyphens=False
    )
