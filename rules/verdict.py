"""What a judgement says: one verdict of five, the path, the rules that hold, and why.

Strategy: frozen values without behaviour, so that a verdict can be kept per observation and shared by all its flows.
`finding_id` states what makes two violating flows the same finding. Example: ten thousand connections of edge01 to
fe01:5061 from ten thousand source ports are one finding; the same at another sensor position is another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

ALLOWED: Final = "allowed"
VIOLATION: Final = "violation"
ATTEMPT: Final = "attempt"
UNDECIDED: Final = "undecided"
OUT_OF_SCOPE: Final = "out-of-scope"
VERDICTS: Final = (ALLOWED, VIOLATION, ATTEMPT, UNDECIDED, OUT_OF_SCOPE)


@dataclass(frozen=True, slots=True)
class End:
    """One end of a flow as the topology names it."""

    zone: str
    role: str | None
    component: str | None


@dataclass(frozen=True, slots=True)
class Hit:
    """One rule that holds on the flow and is not silenced."""

    rule: str
    severity: str  # as it counts here: the site's own where it set one
    reason: str  # one sentence that names the components
    nearest_path: str | None  # id of the applying row that came nearest, the fitting one where one fits
    subject_column: str | None  # flow column that tells findings of this rule apart; None: no subject
    port_or_class: str  # a listener's port, else its class; "" where the protocol has no ports
    service: str  # name of the recognised service, "" without payload
    at_port: str = ""  # how `reason` names transport and ports: "TCP 5061", "a system port (below 1024) of TCP"
    of_silence: bool = False  # says that nobody answered
    of_opener: bool = False  # rests on who opened, of which only the one direction that was seen tells

    @property
    def needs_both_ways(self) -> bool:
        """Whether a tap that shows one direction only cannot know it."""
        return self.of_silence or self.of_opener


@dataclass(frozen=True, slots=True)
class Verdict:
    verdict: str  # one of VERDICTS
    path: str | None
    rules: tuple[str, ...]  # by severity, then document order
    rules_silenced: tuple[str, ...]
    unproved: tuple[str, ...]  # ("mutual",): the row asks for client certificates that could not be seen
    reason: str
    source: End  # of the flow's source as the core reports it
    destination: End
    hits: tuple[Hit, ...] = ()  # one for each of `rules`
    trace: tuple[str, ...] = ()  # how the verdict came about, step by step

    @property
    def of_silence(self) -> bool:
        """It says no more than that nobody answered: an attempt, or a violation by such rules alone."""
        return self.verdict == ATTEMPT or self._rests_on(hit.of_silence for hit in self._grave)

    @property
    def needs_both_ways(self) -> bool:
        """It says no more than what a tap that shows one direction only cannot know."""
        return self.verdict == ATTEMPT or self._rests_on(hit.needs_both_ways for hit in self._grave)

    @property
    def _grave(self) -> tuple[Hit, ...]:
        return tuple(hit for hit in self.hits if hit.severity != "info")

    def _rests_on(self, weak: Iterable[bool]) -> bool:
        return self.verdict == VIOLATION and bool(self._grave) and all(weak)


def finding_id(
    rule: str,
    position: str,
    source: End,
    destination: End,
    transport: str,
    port_or_class: str,
    service: str,
    subject: str = "",
) -> str:
    """16 hex digits: SHA-256 over rule, position, both components (zones where there is none), transport, port or its
    class, service and subject, joined by the unit separator U+001F."""
    parts = (
        rule,
        position,
        source.component or source.zone,
        destination.component or destination.zone,
        transport,
        port_or_class,
        service,
        subject,
    )
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]
