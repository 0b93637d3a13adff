"""The one list of rules that judge a flow: each is a function with its papers beside it.

Strategy: `@rule(...)` stands on a function from facts to a sentence or None and enters it here. The files in
`rules/checks/` are imported by `rules.catalogue`, which also lists every rule that no flow can show and says why. A
rule returns a sentence only for facts that prove it; severity, silencing and attempts are the judge's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from rules.controls import crosswalk
from rules.facts import Facts
from rules.sights import Joined, Keeping, Sights
from rules.topology import Topology

Check = Callable[[Facts], str | None]
"""The sentence a person can act on when the rule holds, else None."""

Join = Callable[[Sights], Iterator[Joined]]
"""The findings of a rule over several flows."""


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    severity: str
    positions: tuple[str, ...]  # sensor positions that can prove it
    text: str  # what it means, for `policy explain`
    sources: tuple[str, ...]  # vendor pages and specifications
    controls: tuple[tuple[str, tuple[str, ...]], ...]  # (catalogue, control ids)
    check: Check
    only_misses_a_row: bool = False  # says no more than "no row allows this": silent where a row permits the flow
    about_opener: bool = False  # depends on who opened
    even_on: tuple[str, ...] = ()  # rows on which it is noted although they permit the flow
    subject: Callable[[Facts], str | None] | None = None  # flow column that separates its findings
    severity_on: Callable[[Topology], str] | None = None  # where the site's policy changes the default
    graver: Callable[[Facts], str | None] | None = None  # severity of a flow that is worse than the default
    names_ends: bool = False  # makes a flow judged that neither crosses a firewall nor fits a row (contract 2.2)
    of_silence: bool = False  # says that nobody answered: nothing before the flow has ended, nothing on a one-way tap
    join: Join | None = None  # over several flows, when a run has ended, and live every minute
    all_positions: bool = False  # needs a sensor at each of its positions
    single: bool = True  # may hold on one flow
    keeps: Keeping | None = None  # what `join` needs of flows of earlier minutes

    def default_severity(self, topology: Topology | None) -> str:
        if topology is None or self.severity_on is None:
            return self.severity
        return self.severity_on(topology)


@dataclass(slots=True)
class _Registry:
    rules: dict[str, Rule] = field(default_factory=dict)


_REGISTRY: Final = _Registry()


def rule(
    rule_id: str,
    *,
    severity: str,
    positions: tuple[str, ...],
    text: str,
    sources: tuple[str, ...],
    controls: tuple[str, ...],
    only_misses_a_row: bool = False,
    about_opener: bool = False,
    even_on: tuple[str, ...] = (),
    subject: Callable[[Facts], str | None] | None = None,
    severity_on: Callable[[Topology], str] | None = None,
    graver: Callable[[Facts], str | None] | None = None,
    names_ends: bool = False,
    of_silence: bool = False,
    join: Join | None = None,
) -> Callable[[Check], Check]:
    """Enter a rule. `controls`: ids of NIST SP 800-53 revision 5. ValueError when the id is taken."""

    def enter(check: Check) -> Check:
        if rule_id in _REGISTRY.rules:
            raise ValueError(f"rule {rule_id} is registered twice")
        _REGISTRY.rules[rule_id] = Rule(
            id=rule_id,
            severity=severity,
            positions=positions,
            text=text,
            sources=sources,
            controls=crosswalk(controls),
            check=check,
            only_misses_a_row=only_misses_a_row,
            about_opener=about_opener,
            even_on=even_on,
            subject=subject,
            severity_on=severity_on,
            graver=graver,
            names_ends=names_ends,
            of_silence=of_silence,
            join=join,
        )
        return check

    return enter


def joined(
    rule_id: str,
    *,
    severity: str,
    positions: tuple[str, ...],
    text: str,
    sources: tuple[str, ...],
    controls: tuple[str, ...],
    all_positions: bool = False,
    keeps: Keeping | None = None,
) -> Callable[[Join], Join]:
    """Enter a rule over several flows. ValueError when the id is taken."""

    def enter(join: Join) -> Join:
        if rule_id in _REGISTRY.rules:
            raise ValueError(f"rule {rule_id} is registered twice")
        _REGISTRY.rules[rule_id] = Rule(
            id=rule_id,
            severity=severity,
            positions=positions,
            text=text,
            sources=sources,
            controls=crosswalk(controls),
            check=lambda facts: None,
            join=join,
            all_positions=all_positions,
            single=False,
            keeps=keeps,
        )
        return join

    return enter


def registered() -> dict[str, Rule]:
    """Rules by id, in the order in which they were entered."""
    return dict(_REGISTRY.rules)
