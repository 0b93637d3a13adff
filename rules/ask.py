"""A question without traffic: may X open port N of Y? With the steps that lead to the answer.

Strategy: resolve both ends into the endpoints they mean, put the flow that was asked about to the same judge that sees
traffic, once for each pair, and compare what it says. One answer for all pairs is the answer; several are `depends`,
and the trace names a case of each. What a row or rule would need to see on the wire is taken as the question says;
without a service nothing was said yet, so that only rules about the ends can speak.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from rules.endpoints import Endpoint
from rules.facts import Site, crossing
from rules.judge import Judge
from rules.meant import UnknownEnd, listening, means, of_family, pairs
from rules.observation import Answered, Evidence, Initiator, Mutual, Observation, Payload, StartTls, Stun, Tls
from rules.observation import XmppNamespace as Xmpp
from rules.paths import Leg, Path
from rules.reach import Members
from rules.services import service_number, services
from rules.topology import Topology
from rules.transports import PORTED, TCP, TRANSPORTS
from rules.verdict import ALLOWED, ATTEMPT, OUT_OF_SCOPE, UNDECIDED, VIOLATION, Verdict

DEPENDS: Final = "depends"
CASES: Final = 4
"""Cases of each verdict that a trace names: enough to see what they have in common."""

ANY_SOURCE_PORT: Final = 61_999
"""What a client opens from when nothing is said: above the relay range, as RFC 6335 6 has dynamic ports."""


@dataclass(frozen=True, slots=True)
class Question:
    source: str  # FQDN, address, network, zone or role id
    destination: str
    transport: int  # IP protocol number
    port: int = 0  # 0 where the transport has none
    source_port: int | None = None  # None: any
    service: str | None = None  # a name of parsers.SERVICES, or `mtls`
    time: int = 0  # ns since 1970, against which paths of the site expire


@dataclass(frozen=True, slots=True)
class Answer:
    answer: str  # "allowed" | "violation" | "depends"
    path: str | None  # the row that allows it, or that it fits; None where there is none or several
    rules: tuple[str, ...]
    trace: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Case:
    source: Endpoint
    destination: Endpoint
    source_port: int | None  # where it decides
    shows: str | None  # what of certificates, where that decides
    verdict: Verdict

    @property
    def kind(self) -> str:
        if self.verdict.verdict == ALLOWED:
            return ALLOWED
        return VIOLATION if self.verdict.verdict in (VIOLATION, ATTEMPT) else DEPENDS


def ask(topology: Topology, question: Question) -> Answer:
    """Raises UnknownEnd."""
    site = Site(topology, question.port)
    sources = of_family(means(question.source, site), question.source, question.destination)
    destinations = of_family(means(question.destination, site), question.destination, question.source)
    if question.source != question.destination:
        sources = [e for e in sources if not e.virtual] or sources  # a virtual address answers, its pool opens
    everything = destinations
    destinations = listening(question.destination, destinations, question.transport, question.port, site)
    judge = Judge(topology, "internal", site=site)
    cases: list[_Case] = []
    for source, destination in pairs(sources, destinations):
        ports = _source_ports(site, question, source, destination)
        for source_port in ports:
            asked = _observation(site, question, source, destination, source_port)
            verdicts = {shows: judge.judge(observation) for shows, observation in _handshakes(question, asked).items()}
            same = len({(verdict.verdict, verdict.path, verdict.rules) for verdict in verdicts.values()}) == 1
            for shows, verdict in list(verdicts.items())[: 1 if same else None]:
                port = source_port if len(ports) > 1 else None
                cases.append(_Case(source, destination, port, None if same else shows, verdict))
    if not cases:
        raise UnknownEnd(f"no address of '{question.source}' can speak with one of '{question.destination}'")
    kinds = {case.kind for case in cases}
    paths = {case.verdict.path for case in cases if case.verdict.path is not None}
    rules = dict.fromkeys(rule for case in cases for rule in case.verdict.rules)
    return Answer(
        answer=kinds.pop() if len(kinds) == 1 else DEPENDS,
        path=paths.pop() if len(paths) == 1 else None,
        rules=tuple(rules),
        trace=tuple(_trace(site, question, (sources, everything, destinations), cases)),
    )


# --- the flow that is asked about ------------------------------------------------------------------------------------


def _source_ports(site: Site, question: Question, source: Endpoint, destination: Endpoint) -> list[int]:
    """One port of each class that a row between these ends tells apart."""
    if question.source_port is not None:
        return [question.source_port]
    if question.transport not in PORTED:
        return [0]
    spans = [
        span
        for leg in site.by_transport.get(question.transport, ())
        if source.number in leg.sources and destination.number in leg.destinations and _holds(leg, question.port)
        for span in leg.source_ports
    ]
    return list(dict.fromkeys((*(span.first for span in spans), ANY_SOURCE_PORT)))


def _holds(leg: Leg, port: int) -> bool:
    return not leg.ports or any(port in span for span in leg.ports)


_SERVICE_FACTS: Final[dict[str, dict[str, int]]] = {
    "tls": {"tls": Tls.CLIENT_HELLO | Tls.SERVER_HELLO | Tls.ESTABLISHED, "mutual": Mutual.NO},
    "mtls": {"tls": Tls.CLIENT_HELLO | Tls.SERVER_HELLO | Tls.ESTABLISHED, "mutual": Mutual.YES},
    "pseudo-tls": {"stun": Stun.PSEUDO_HELLO | Stun.PSEUDO_REPLY},
    "turn": {"stun": Stun.REQUEST | Stun.ANSWERED | Stun.MS_TURN},
    "stun": {"stun": Stun.REQUEST | Stun.ANSWERED},
    "rtp": {"stun": Stun.RTP_10},
    "xmpp": {"xmpp_namespace": Xmpp.SERVER, "xmpp_starttls": StartTls.PROCEEDED},
}
"""What a whole conversation in that service would show beyond its name."""


def _observation(
    site: Site, question: Question, source: Endpoint, destination: Endpoint, source_port: int
) -> Observation:
    ported = question.transport in PORTED
    values = dict.fromkeys(Observation.__dataclass_fields__, 0)
    values.update(
        transport=question.transport,
        source=source.number,
        destination=destination.number,
        source_port=site.ports.representative(source_port) if ported else 0,
        destination_port=site.ports.representative(question.port) if ported else 0,
        initiator=Initiator.SYN if question.transport == TCP else Initiator.FIRST_SURE,
        answered=Answered.YES,
        era=sum(1 for end in site.instants if end <= question.time),
    )
    if question.service is not None:
        number = service_number("tls" if question.service == "mtls" else question.service)
        assert number is not None, "checked by whoever asks"
        values.update(
            service=number,
            services=1 << number,
            evidence=Evidence.RECOGNISED,
            payload=Payload.SOURCE
            | Payload.DESTINATION
            | Payload.DESTINATION_BEYOND_ALERT
            | Payload.BOTH_DIRECTIONS_SEEN,
            **_SERVICE_FACTS.get(question.service, {}),
        )
    return Observation(**values)


def _handshakes(question: Question, asked: Observation) -> dict[str, Observation]:
    """What the opener shows → the flow. `tls` leaves open whether it shows a certificate, which a row may ask for."""
    if question.service != "tls":
        return {"": asked}
    return {"a certificate": replace(asked, mutual=Mutual.YES), "no certificate": asked}


def known_services() -> tuple[str, ...]:
    """What a question may name as service."""
    return (*services()[2:], "mtls")


# --- trace -----------------------------------------------------------------------------------------------------------


def _trace(
    site: Site, question: Question, ends: tuple[list[Endpoint], list[Endpoint], list[Endpoint]], cases: list[_Case]
) -> Iterator[str]:
    """ends: who opens, whom the question names, and who of those is asked."""
    sources, everything, destinations = ends
    yield f"from {question.source}: {_list(sources)}"
    yield f"to {question.destination}: {_list(destinations)}"
    if len(destinations) < len(everything):
        others = [end for end in everything if end not in destinations]
        yield f"on that port rows lead there, and not to the other addresses of that name: {_list(others)}"
    yield from _divided(cases)
    groups: dict[tuple[str, str | None, tuple[str, ...], str], list[_Case]] = {}
    for case in cases:
        verdict = case.verdict
        groups.setdefault((case.kind, verdict.path, verdict.rules, _crossing(site, case)), []).append(case)
    for (kind, _, _, way), members in groups.items():
        if len(groups) > 1 or len(cases) > 1:
            more = f" and {len(members) - CASES} more" if len(members) > CASES else ""
            yield f"{kind}: {'; '.join(_pair(case) for case in members[:CASES])}{more}"
        yield from _steps(site, question, members[0], way)


_SAID: Final = {ALLOWED: "allowed", VIOLATION: "a violation", DEPENDS: "neither allowed nor a violation"}


def _divided(cases: list[_Case]) -> Iterator[str]:
    """On which end an answer depends, where one end alone decides."""
    kinds = dict.fromkeys(case.kind for case in cases)
    if len(kinds) < 2:
        return
    parts: dict[str, Callable[[_Case], str]] = {
        "who opens it": lambda case: _called(case.source),
        "who answers": lambda case: _called(case.destination),
        "the port it is opened from": _from_port,
        "what the opener shows": lambda case: str(case.shows),
    }
    for what, part in parts.items():
        found = {kind: list(dict.fromkeys(part(case) for case in cases if case.kind == kind)) for kind in kinds}
        if sum(map(len, found.values())) == len({name for named in found.values() for name in named}):
            told = (f"{_SAID[kind]} with {_some(named)}" for kind, named in found.items())
            yield f"it depends on {what}: {'; '.join(told)}"
            return


def _steps(site: Site, question: Question, case: _Case, way: str) -> Iterator[str]:
    """Why the judge says so of one pair."""
    yield way
    # The judge's own steps, without the first (the ends, told above) and the last (the verdict).
    yield from case.verdict.trace[1:-1]
    for hit in case.verdict.hits:
        yield f"{hit.rule}: {hit.reason}"
    path = case.verdict.path
    if case.verdict.verdict == OUT_OF_SCOPE:  # the reason is one of the steps above
        yield "out of scope: nothing is said of such a flow"
    elif case.verdict.verdict == UNDECIDED:
        yield f"undecided: {case.verdict.reason}"
    yield from _behind_balancer(site, question, case)
    if path is not None:
        row = next(row for row in site.paths if row.id == path)
        if question.service is None and row.service != "any":
            yield f"bytes decide: {path} allows {row.service}; --service asks what others would be"
        yield f"{path} is there for: {row.purpose or row.why}"
        return
    for row, leg in _rows_held_back(site, question, case):
        yield f"{leg.row} would allow it but does not apply: {row.why}"
    nearest = next((hit.nearest_path for hit in case.verdict.hits if hit.nearest_path), None)
    if nearest is not None:
        yield f"the nearest row is {nearest}, which differs in its {_difference(site, question, case, nearest)}"


def _behind_balancer(site: Site, question: Question, case: _Case) -> Iterator[str]:
    """Between a balancer and its servers a row more applies; whoever asks stands nowhere."""
    for leg in site.by_transport.get(question.transport, ()):
        ends = case.source.number in leg.sources and case.destination.number in leg.destinations
        if leg.behind_balancer and ends and _holds(leg, question.port):
            yield f"it depends on the sensor: one marked `behind_lb` judges it by {leg.row}, which allows {leg.service}"
            return


def _rows_held_back(site: Site, question: Question, case: _Case) -> Iterator[tuple[Path, Leg]]:
    for row in site.paths:
        for leg in (*row.off_legs, *row.foreign_legs):
            ends = case.source.number in leg.sources and case.destination.number in leg.destinations
            if not row.applies and ends and leg.transport == question.transport and _holds(leg, question.port):
                yield row, leg
                break


def _difference(site: Site, question: Question, case: _Case, nearest: str) -> str:
    """In what the closest way of that row is another."""
    row = next(row for row in site.paths if row.id == nearest)
    told: list[list[str]] = []
    for leg in row.legs:
        differs: list[str] = []
        if case.source.number not in leg.sources:
            differs.append(f"source ({_meant(site, row.source, case.source, leg.sources)})")
        if case.destination.number not in leg.destinations:
            differs.append(f"destination ({_meant(site, row.destination, case.destination, leg.destinations)})")
        if leg.transport != question.transport:
            differs.append(f"transport ({TRANSPORTS[leg.transport]})")
        if not _holds(leg, question.port):
            differs.append(f"port ({', '.join(str(span) for span in leg.ports)})")
        port = question.source_port if question.source_port is not None else ANY_SOURCE_PORT
        if leg.source_ports and not any(port in span for span in leg.source_ports):
            differs.append(f"source port ({', '.join(str(span) for span in leg.source_ports)})")
        told.append(differs)
    closest: list[str] = min(told, key=len)
    return " and ".join(closest)


def _meant(site: Site, word: str, end: Endpoint, members: Members) -> str:
    """The word of a row; where the end plays that part elsewhere, of which pool."""
    pools = sorted({pool for number in members for pool in site.endpoints[number].pools})
    return f"{word} of {', '.join(pools)}" if pools and end.has(word) else word


def _crossing(site: Site, case: _Case) -> str:
    outer, inner = crossing(case.source, case.destination)
    if inner and site.topology.one_firewall:
        also = "the external firewall and " if outer else ""
        return f"{case.source.zone} to {case.destination.zone} crosses {also}where an internal firewall would stand"
    firewalls = {
        (True, True): "both firewalls",
        (True, False): "the external firewall",
        (False, True): "the internal firewall",
        (False, False): "no firewall",
    }[outer, inner]
    return f"{case.source.zone} to {case.destination.zone} crosses {firewalls}"


def _pair(case: _Case) -> str:
    port = f" from {_from_port(case)}" if case.source_port is not None else ""
    shows = f" with {case.shows}" if case.shows is not None else ""
    return f"{_called(case.source)}{port} to {_called(case.destination)}{shows}"


def _from_port(case: _Case) -> str:
    return f"port {case.source_port}" if case.source_port is not None else "any port"


def _called(endpoint: Endpoint) -> str:
    """Name and address: a host with several addresses is told apart by them."""
    address = endpoint.network
    if endpoint.component is None or address is None or address.num_addresses != 1:
        return str(endpoint)
    return f"{endpoint} {address.network_address}"


def _list(endpoints: list[Endpoint]) -> str:
    if len(endpoints) == 1:
        end = endpoints[0]
        return _called(end) if end.nameless else f"{_called(end)} in zone {end.zone}"
    return f"{len(endpoints)} ends: {_some([_called(end) for end in endpoints])}"


def _some(named: list[str]) -> str:
    more = f" and {len(named) - CASES} more" if len(named) > CASES else ""
    return f"{', '.join(named[:CASES])}{more}"
