"""From an observation to a verdict: the order of questions, and nothing that changes with the traffic's amount.

Strategy: read the flow one way (or both ways, where nobody knows who opened it), ask whether it is judged at all,
find the row that fits, ask every rule, silence the general ones, then go down one table: the first line that holds is
the verdict.

  1. not judged                                                     → out-of-scope
  2. a rule of severity low or above remains                        → attempt, else violation
  3. an end is undeclared                                           → undecided
  4. a row fits; its service is confirmed, or no payload was seen   → allowed
  5. a row fits but nothing is confirmed; the opener is in doubt and decides; a STUN check went unanswered; only what
     anybody can send was seen                                      → undecided
  6. only rules remain that the site lowered to info                → allowed
  7. anything else                                                  → `unlisted-path`: attempt or violation

A judge is pure: it keeps what it derived from the topology and the verdicts it gave, and the same observation always
gets the same verdict. So one serves all sensors of a position.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Final

from rules import names
from rules.catalogue import UNDECLARED_NETWORK, UNLISTED, catalogue, coverage, severity_of, sort_key
from rules.detail import NO_DETAIL, Detail, Looks
from rules.endpoints import EDGE_ROLES, FIREWALL_ROLES, PROXY_ROLES, Endpoint
from rules.facts import MEDIA_SERVICES, Facts, Site, State, state_of
from rules.nearest import Nearest
from rules.observation import Initiator, Mutual, Observation, Stun, Tls
from rules.paths import Fit, Path
from rules.registry import Rule
from rules.services import service_names
from rules.silence import silenced_by
from rules.topology import Topology
from rules.transports import TCP
from rules.verdict import ALLOWED, ATTEMPT, OUT_OF_SCOPE, UNDECIDED, VIOLATION, End, Hit, Verdict

MAX_KNOWN: Final = 65_536
"""Verdicts kept, about 1 KiB each: a hundred times the observations of a busy site, and no more memory in a flood."""

HAIRPIN_BLOCKED: Final = "av-pool-hairpin-blocked"
"""The one rule that an unanswered STUN check may trip: it is about that silence."""

_MTLS_MISSING: Final = "mtls-client-cert-missing"


@dataclass(frozen=True, slots=True)
class _Reading:
    facts: Facts
    judged: bool
    why: str  # why it is judged or not


class Judge:
    """Judges what one sensor saw. `side`: of that firewall, when known ("outside", "inside", "both"); `behind_lb`:
    the sensor stands between a hardware balancer and its servers."""

    def __init__(
        self,
        topology: Topology,
        position: str,
        side: str | None = None,
        *,
        behind_lb: bool = False,
        site: Site | None = None,
    ) -> None:
        """`site`: what another judge derived from the same topology; judges of several positions may share it."""
        self.topology = topology
        self.position = position
        self.side = side
        self.behind_lb = behind_lb
        self.site = site if site is not None else Site(topology)
        self._rules: list[tuple[Rule, str]] = []  # all that are not off, with the severity that counts
        self._unlisted: tuple[Rule, str] | None = None
        self._known: dict[tuple[Observation, Detail], Verdict] = {}
        legs = tuple(leg for leg in self.site.legs if behind_lb or not leg.behind_balancer)
        self._nearest = Nearest(legs, self.site.endpoints)
        for entry in catalogue():
            if entry.rule is None or not entry.rule.single:
                continue
            severity = severity_of(entry.rule, topology)
            if severity == names.OFF:
                continue
            if entry.id == UNLISTED:
                self._unlisted = (entry.rule, severity)
            else:
                self._rules.append((entry.rule, severity))

    # --- for the caller ----------------------------------------------------------------------------------------------

    @property
    def tables(self) -> dict[str, Any]:
        """Keyword arguments of `parsers.Tables`; the same for every position."""
        site = self.site
        return {
            "prefixes": list(site.endpoints.prefixes),
            "names": list(site.domains.table),
            "ports": list(site.ports.classes),
            "listeners": sorted(site.listeners_and_off),
            "instants": list(site.instants),
            "media_packets": ceil(self.topology.policy.thresholds.cleartext_media_packets),
        }

    @property
    def paths(self) -> tuple[Path, ...]:
        """The rows that apply, in document order."""
        return tuple(path for path in self.site.paths if path.applies)

    def coverage(self, positions: tuple[str, ...]) -> tuple[list[str], list[dict[str, str]]]:
        """(observable rule ids, [{"rule", "why"}] of the others) for sensors at these positions."""
        return coverage(self.topology, positions)

    def judge(self, observation: Observation, detail: Detail = NO_DETAIL) -> Verdict:
        """The verdict on all flows of this observation and, where a rule looks closer, this detail. IndexError if it
        has endpoint numbers of other tables."""
        # Few rows ask for source ports, and one rule, for the relay range: a scan from all ports of a stranger is
        # judged once a target.
        seen = observation
        if observation.initiator != Initiator.FIRST:
            seen = replace(observation, source_port=self.site.source_ports.representative(observation.source_port))
        verdict = self._known.get((seen, detail))
        if verdict is None:
            verdict = self._judge(observation, detail)
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[seen, detail] = verdict
        return verdict

    def looks(self, observation: Observation) -> Looks:
        """What of its flows is worth a closer look: nothing of most."""
        one, other = self.site.endpoints[observation.source], self.site.endpoints[observation.destination]
        if not one.own and not other.own:
            return Looks()
        judged = self.judge(observation).verdict != OUT_OF_SCOPE
        web = (names.RP_EXT, names.RP_INT, *names.WEB_SERVERS)
        readable = "http" in service_names(observation.services)
        certified = judged and observation.transport == TCP
        return Looks(
            use=readable and (one.has(*web) or other.has(*web)),
            answer=readable and judged and (one.has(names.RP_EXT) or other.has(names.RP_EXT)),
            suite=certified and bool(observation.tls & Tls.SERVER_HELLO),
            method=judged and bool(observation.stun & (Stun.REQUEST | Stun.MS_TURN)),
            server=certified and bool(observation.tls & Tls.SERVER_CERTIFICATE),
            client=certified and observation.mutual == Mutual.YES,
        )

    def _judge(self, observation: Observation, detail: Detail) -> Verdict:
        reading, doubt, trace = self._read(observation, detail)
        if not reading.judged:
            return self._verdict(reading.facts, OUT_OF_SCOPE, None, reading.why, trace)
        facts = reading.facts
        standing, silenced = self._ask(facts, doubt)
        path = facts.leg.row if facts.leg is not None else None
        trace = [*trace, *(f"rule {rule.id} holds ({severity})" for rule, severity, _ in standing)]
        trace += [f"rule {rule_id} is silenced by a more specific one" for rule_id in silenced]
        counting = [entry for entry in standing if self._counts(entry[0], entry[1])]
        if counting:
            kind = ATTEMPT if self._is_attempt(facts, counting) else VIOLATION
            return self._verdict(facts, kind, path, counting[0][2], trace, standing, silenced)
        if facts.undeclared:
            why = "one end is a private address in no declared network"
            return self._verdict(facts, UNDECIDED, path, why, trace, standing, silenced)
        if path is not None and facts.state in (State.CONFIRMED, State.SILENT):
            why = f"fits {path}; {_bytes_text(facts)}"
            return self._verdict(facts, ALLOWED, path, why, trace, standing, silenced)
        undecided = self._undecided(facts, doubt)
        if undecided is not None:
            return self._verdict(facts, UNDECIDED, path, undecided, trace, standing, silenced)
        if any(rule.default_severity(self.topology) != "info" for rule, _, _ in standing):
            why = "only rules hold that this site lowered to info"
            return self._verdict(facts, ALLOWED, path, why, trace, standing, silenced)
        return self._last_line(facts, path, trace, standing, silenced)

    # --- reading -----------------------------------------------------------------------------------------------------

    def _read(self, observation: Observation, detail: Detail) -> tuple[_Reading, str, list[str]]:
        """(the reading to judge, why the opener's doubt decides ("" if it does not), trace)."""
        first = self._reading(observation, detail, flipped=False)
        trace = [_ends_text(first.facts), first.why]
        if observation.initiator != Initiator.FIRST:
            return first, "", [*trace, _row_text(first.facts)]
        second = self._reading(observation, detail, flipped=True)
        trace.append("who opened it is not known: both ways are tried")
        for reading in (first, second):  # a way whose bytes speak against it gives way to one they do not
            if reading.judged and reading.facts.permitted:
                return reading, "", [*trace, _row_text(reading.facts)]
        for reading in (first, second):
            if reading.judged and reading.facts.leg is not None:
                return reading, "", [*trace, _row_text(reading.facts)]
        if first.judged == second.judged:
            return first, "tcp" if first.facts.tcp else "", [*trace, _row_text(first.facts)]
        judged = first if first.judged else second
        doubt = "one way it would be judged, the other way it is out of scope, and who opened it is not known"
        return judged, doubt, [*trace, _row_text(judged.facts)]

    def _reading(self, observation: Observation, detail: Detail, *, flipped: bool) -> _Reading:
        ends = (observation.source, observation.source_port, observation.destination, observation.destination_port)
        source, source_port, destination, port = (*ends[2:], *ends[:2]) if flipped else ends
        facts = Facts(
            site=self.site,
            observation=observation,
            source=self.site.endpoints[source],
            destination=self.site.endpoints[destination],
            source_port=source_port,
            port=port,
            flipped=flipped,
            leg=None,
            state=State.OPEN,
            detail=detail,
            behind_lb=self.behind_lb,
        )
        if facts.source.special or facts.destination.special:
            return _Reading(facts, False, "an end is a multicast, broadcast or link-local address")
        best: Fit | None = None
        for leg in self.site.by_transport.get(observation.transport, ()):
            fit = leg.match(facts.source, source_port, facts.destination, port, observation.era)
            if fit is None or (leg.behind_balancer and not self.behind_lb):
                continue
            if leg.clients_alone and observation.mutual == Mutual.YES:
                continue
            if best is None or fit.rank < best.rank:
                best = fit
        if best is not None:
            facts = replace(facts, leg=best.leg, state=state_of(best.leg, observation))
        facts = replace(facts, source=_called(facts, source=True), destination=_called(facts, source=False))
        judged, why = _is_judged(facts)
        if not judged:
            named = self._named(facts)
            judged, why = named is not None, why if named is None else f"{named} names its ends"
        return _Reading(facts, judged, why)

    def _named(self, facts: Facts) -> str | None:
        """The rule that makes a flow judged although nothing else does: it names these very ends, and holds."""
        in_doubt = facts.tcp and facts.observation.initiator == Initiator.FIRST
        if facts.undeclared or facts.unanswered_check or facts.icmp or facts.hearsay:
            return None
        for rule, _ in self._rules:
            if rule.names_ends and not (in_doubt and rule.about_opener) and self._holds(rule, facts) is not None:
                return rule.id
        return None

    def _holds(self, rule: Rule, facts: Facts) -> str | None:
        """The rule's sentence; None where it does not hold, or where it only misses a row and one fits."""
        if rule.only_misses_a_row and facts.permitted and (facts.leg is None or facts.leg.row not in rule.even_on):
            return None
        return rule.check(facts)

    # --- rules -------------------------------------------------------------------------------------------------------

    def _ask(self, facts: Facts, doubt: str) -> tuple[list[tuple[Rule, str, str]], tuple[str, ...]]:
        """(rules that stand, with severity and sentence, gravest first; ids of those that were silenced)."""
        holding: list[tuple[Rule, str, str]] = []
        unanswered = facts.unanswered_check and not (facts.source.zone == names.EXTERNAL and facts.destination.inside)
        for rule, severity in self._rules:
            if facts.undeclared != (rule.id == UNDECLARED_NETWORK):
                continue  # an undeclared end trips that rule and no other
            if doubt not in ("", "tcp") or (doubt == "tcp" and rule.about_opener):
                continue
            if unanswered and rule.id not in (UNDECLARED_NETWORK, HAIRPIN_BLOCKED):
                continue
            if facts.hearsay and rule.id != UNDECLARED_NETWORK:
                continue
            sentence = self._holds(rule, facts)
            if sentence is not None:
                holding.append((rule, self._severity(rule, severity, facts), sentence))
        silenced: set[str] = set()
        for rule, _, _ in holding:
            if rule.default_severity(self.topology) != "info":
                silenced |= silenced_by(rule.id)
        standing = [entry for entry in holding if entry[0].id not in silenced]
        standing.sort(key=lambda entry: sort_key(entry[0].id, entry[1]))
        hushed = [(rule.id, severity) for rule, severity, _ in holding if rule.id in silenced]
        return standing, tuple(rule_id for rule_id, _ in sorted(hushed, key=lambda pair: sort_key(*pair)))

    def _severity(self, rule: Rule, severity: str, facts: Facts) -> str:
        """The site's own word, else what the flow makes of the default."""
        if rule.graver is None or self.topology.policy.severity_of(rule.id) is not None:
            return severity
        return rule.graver(facts) or severity

    def _counts(self, rule: Rule, severity: str) -> bool:
        """Whether it can make a violation: a rule whose default is info never does, nor one the site lowered."""
        return severity != "info" and rule.default_severity(self.topology) != "info"

    def _undecided(self, facts: Facts, doubt: str) -> str | None:
        """Why nothing can be said, None if something can."""
        if facts.leg is not None and facts.state is State.OPEN:
            return f"fits {facts.leg.row}, but too little of the stream was seen to tell its service"
        if doubt not in ("", "tcp"):
            return doubt
        direct = facts.source.zone == names.EXTERNAL and facts.destination.inside
        if facts.unanswered_check and not direct:
            return "a STUN connectivity check that nobody answered"
        return facts.hearsay

    def _last_line(
        self,
        facts: Facts,
        path: str | None,
        trace: list[str],
        standing: list[tuple[Rule, str, str]],
        silenced: tuple[str, ...],
    ) -> Verdict:
        if self._unlisted is None:
            return self._verdict(
                facts, UNDECIDED, path, "fits no row, and unlisted-path is off", trace, standing, silenced
            )
        rule, severity = self._unlisted
        sentence = rule.check(facts) or ""
        entry = (rule, severity, sentence)
        trace = [*trace, f"nothing else settles it: {UNLISTED} ({severity})"]
        standing = sorted([*standing, entry], key=lambda e: sort_key(e[0].id, e[1]))
        if severity == "info":
            return self._verdict(
                facts, ALLOWED, path, "only rules hold that this site lowered to info", trace, standing, silenced
            )
        kind = ATTEMPT if self._is_attempt(facts, [entry]) else VIOLATION
        return self._verdict(facts, kind, path, sentence, trace, standing, silenced)

    # --- attempts ----------------------------------------------------------------------------------------------------

    def _is_attempt(self, facts: Facts, counting: list[tuple[Rule, str, str]]) -> bool:
        """A stranger or a client tried and nothing shows that it got through: a firewall that holds."""
        if facts.source.zone != names.EXTERNAL and not facts.source.client:
            return False
        if self._passed(facts):
            return False
        if facts.leg is None:
            broken_off = facts.server_broke_off and any(rule.id == _MTLS_MISSING for rule, _, _ in counting)
            return not facts.answered or broken_off
        if not facts.listener_spoke:
            return True
        return facts.server_broke_off and any(rule.id == _MTLS_MISSING for rule, _, _ in counting)

    def _passed(self, facts: Facts) -> bool:
        """Whether a sensor here stands beyond the first firewall on the way from the source."""
        if facts.source.zone == names.EXTERNAL:
            return self.position != "external" or self.side == "inside"
        return self.position == "external" or (self.position == "internal" and self.side == "outside")

    # --- result ------------------------------------------------------------------------------------------------------

    def _verdict(
        self,
        facts: Facts,
        verdict: str,
        path: str | None,
        reason: str,
        trace: list[str],
        standing: list[tuple[Rule, str, str]] | None = None,
        silenced: tuple[str, ...] = (),
    ) -> Verdict:
        standing = standing or []
        one, other = (End(end.zone, end.role, end.component) for end in (facts.source, facts.destination))
        ends = (other, one) if facts.flipped else (one, other)
        nearest = None
        if standing:
            nearest = path if path is not None else self._nearest.path(facts)
        unproved = facts.leg is not None and facts.leg.mutual and facts.observation.mutual == Mutual.UNKNOWN
        hits = tuple(
            Hit(
                rule=rule.id,
                severity=severity,
                reason=sentence,
                nearest_path=nearest,
                subject_column=rule.subject(facts) if rule.subject is not None else None,
                port_or_class=self.site.port_or_class(
                    facts.destination, facts.observation.transport, facts.port, behind_lb=self.behind_lb
                ),
                service=facts.service,
                of_silence=rule.of_silence,
                of_opener=facts.first_of_one_way and (rule.about_opener or rule.id == UNLISTED),
                at_port=facts.at_port,
            )
            for rule, severity, sentence in standing
        )
        return Verdict(
            verdict=verdict,
            path=path,
            rules=tuple(hit.rule for hit in hits),
            rules_silenced=silenced,
            unproved=("mutual",) if unproved and verdict != OUT_OF_SCOPE else (),
            reason=reason,
            source=ends[0],
            destination=ends[1],
            hits=hits,
            trace=(*trace, f"verdict: {verdict}"),
        )


# --- what is judged --------------------------------------------------------------------------------------------------


def _is_judged(facts: Facts) -> tuple[bool, str]:
    """(is this reading judged, why)."""
    one, other = facts.source, facts.destination
    if one.zone == names.EXTERNAL and other.inside:
        return True, "it runs from the Internet straight inside"
    if facts.icmp:
        return False, "ICMP that is no error is judged only from the Internet to the inside"
    if facts.crosses and not _limited(one, other):
        if _perimeter_end(one, other) or _perimeter_end(other, one):
            return True, "it crosses a firewall and has an end in the perimeter"
        if one.peer or other.peer:
            return True, "it crosses a firewall and has a declared peer as an end"
        through = (one.inside and other.zone == names.EXTERNAL) or (other.inside and one.zone == names.EXTERNAL)
        if through and (facts.port in (5061, 5269) or not MEDIA_SERVICES.isdisjoint(facts.services)):
            return True, "it runs between inside and outside and is signalling or media"
    if facts.leg is not None and facts.leg.alone and _may_fit(one, other):
        return True, f"it fits {facts.leg.row}"
    return False, _why_not(facts)


def _why_not(facts: Facts) -> str:
    """Why a flow that no row fits is nobody's business here."""
    one, other = facts.source, facts.destination
    if not (one.perimeter or other.perimeter):
        return "neither its ends nor its service concern the edge"
    if not facts.crosses:
        return "it crosses no firewall, and no row or rule names these two ends"
    if _limited(one, other):
        return f"{one} may be a firewall, a balancer or a translated source: only a row or rule that names it judges it"
    return "an end shares the perimeter and is no part of the edge, and the other is no server of it"


def _perimeter_end(end: Endpoint, far: Endpoint) -> bool:
    """A neighbour in the perimeter counts only where the other end is a server of the edge or of a partner."""
    return end.perimeter and (not end.neighbour or far.server)


def _limited(source: Endpoint, destination: Endpoint) -> bool:
    """A firewall, balancer or nameless perimeter address that talks to an Edge or proxy: judged only where a row or the
    rule made for it speaks (health probes, translated sources)."""
    if not EDGE_ROLES.union(PROXY_ROLES).intersection(destination.roles):
        return False
    if source.roles:
        return FIREWALL_ROLES.issuperset(source.roles)
    nameless = source.zone == names.PERIMETER_EXT and not source.neighbour
    return "lb" in source.sections or nameless


def _may_fit(source: Endpoint, destination: Endpoint) -> bool:
    """Neighbours of the perimeter stay out of scope unless the other end is a server, whatever row would fit."""
    return not (source.neighbour and not destination.server) and not (destination.neighbour and not source.server)


# --- words -----------------------------------------------------------------------------------------------------------


def _called(facts: Facts, *, source: bool) -> Endpoint:
    """An end by the role that fields and sentences give it: of several the one that the fitting row names, else that of
    the listener on the port, else the first."""
    endpoint = facts.source if source else facts.destination
    if facts.leg is not None:
        return endpoint.called(facts.leg.source_role if source else facts.leg.destination_role)
    if source:
        return endpoint
    return endpoint.called(next((leg.destination_role for leg in facts.listener_or_off), None))


def _ends_text(facts: Facts) -> str:
    how = Initiator(facts.observation.initiator).name.lower().replace("_", " ")
    return f"{_placed(facts.source)} to {_placed(facts.destination)}, {facts.at_port} (opener by {how})"


def _placed(end: Endpoint) -> str:
    return str(end) if end.nameless else f"{end} in {end.zone}"


def _bytes_text(facts: Facts) -> str:
    if facts.state is State.SILENT:
        return "no payload was seen"
    if facts.leg is not None and not facts.leg.accepted:
        return "it asks for no service"
    return "its service was seen"


def _row_text(facts: Facts) -> str:
    if facts.leg is None:
        return "no applying row fits"
    return f"fits {facts.leg.row}, which allows {facts.leg.service}: {facts.state.value}"
