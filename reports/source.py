"""What a report asks of a record: a Protocol that `reports` owns and whatever keeps records implements.

Strategy: all questions are about a window of time, and what a record holds are deltas: flows of one kind, with the
time at which the first of them began. A delta belongs to the window in which that time lies, whole; so the days of a
week add up to the week, whatever was still running at midnight. Watching is no delta but a stretch of time: it is cut
at the borders of the window.

Times are nanoseconds since 1970 UTC; `start` is inside the window, `end` is not. Texts were made visible before they
came into the record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

Span = tuple[int, int]
"""From, to. A sensor watched all of it."""

LOST: Final = ("queue", "interrupted", "kernel", "nic")
"""Packets that were on the wire and never came to be judged, by name."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What one sensor watched of a window. spans: in order, apart from each other, within the window. why: reasons of
    gaps between them, by (end of the one, start of the other). Counts are those of the deltas that belong to the
    window; lost: by the names of LOST."""

    sensor: str
    position: str
    spans: tuple[Span, ...]
    why: Mapping[Span, str]
    packets: int
    octets: int
    accounting: Mapping[str, int]
    quality: Mapping[str, int]
    lost: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Judged:
    """Runs that judged alike, with what they could see and what the site asks for (`Scope`)."""

    version: str
    organization: str
    topology: str
    policy: Mapping[str, str]
    runs: int
    scope: Scope


@dataclass(frozen=True, slots=True)
class Scope:
    """What stands behind a run's silence.

    paths: ids of the rows that apply, in document order. observable, not_observable: rules, as in an audit's coverage.
    require, max_loss, min_share: the site's `policy.coverage`. sensors: (name, position) of the sensors that are to run
    live. doubts: sentences about what is amiss with what was seen (a tap that shows one direction, a damaged capture),
    whatever else was watched.
    """

    paths: tuple[str, ...] = ()
    observable: tuple[str, ...] = ()
    not_observable: tuple[Mapping[str, str], ...] = ()
    require: tuple[str, ...] = ()
    max_loss: float = 0.001
    min_share: float = 0.95
    sensors: tuple[tuple[str, str], ...] = ()
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PathUse:
    """Allowed flows on one path."""

    id: str
    flows: int
    octets: int
    first: int | None
    last: int | None


class Source(Protocol):
    """A record, as a report sees it."""

    def recorded(self, since: int) -> int | None:
        """Up to when what was watched later than `since` is recorded: by all sensors that still run, else by the last
        that ended; None when nothing was."""

    def counted(self, start: int, end: int) -> tuple[int, int]:
        """The window whose flows are counted when this one is asked about: it may be wider."""

    def listing(self, start: int, end: int) -> dict[str, Any]:
        """`findings` and `attempts` of the window, in the form of `findings --format json`."""

    def design(self, start: int, end: int) -> Sequence[dict[str, Any]]:
        """Findings at position `config` of the last run that reached into the window."""

    def verdicts(self, start: int, end: int) -> Mapping[str, int]:
        """Flows by verdict."""

    def paths(self, start: int, end: int) -> Sequence[PathUse]:
        """Paths that were used."""

    def watched(self, start: int, end: int) -> Sequence[Watched]:
        """What each sensor watched, by position and name."""

    def judged(self, start: int, end: int) -> Sequence[Judged]:
        """The runs that reached into the window, the last kind last."""
