"""Rates that a single flow can reach: requests without credentials, messages of partners that discovery found. What a
minute must show, and the nearest that must not.
"""

from __future__ import annotations

from dataclasses import replace

from rules.sights import MINUTE, Sight, Spoken
from rules.site_policy import Thresholds
from rules.topology import Topology
from tests.policy.flows import contoso
from tests.policy.test_correlate import NOW, OUTSIDE, sight, told

THEN = NOW // MINUTE
USER, RELAY = "192.0.2.25:50112", "203.0.113.30:3478"
FOUND, ACCESS = "192.0.2.66:40020", "203.0.113.10:5061"
FLOOD = {"turn-unauthenticated-flood": 1}
TALKS = {"federation-discovered-partner-rate": 1}


def relay(*spoken: Spoken, source: str = USER) -> Sight:
    return sight(source, RELAY, transport=17, path="ext-av-udp-in", spoken=spoken)


def partner(*spoken: Spoken, source: str = FOUND, destination: str = ACCESS, **more: object) -> Sight:
    inbound = destination == ACCESS
    path = f"ext-access-federation-{'in' if inbound else 'out'}"
    return sight(source, destination, **{"path": path, "spoken": spoken, **more})


def test_requests_without_credentials_on_one_flow() -> None:
    assert told([relay(Spoken(THEN, allocates=31))]) == FLOOD
    assert told([relay(Spoken(THEN, allocates=30))]) == {}
    spread = [relay(Spoken(THEN + minute, allocates=30)) for minute in range(5)]
    assert told(spread) == {}, "never more than thirty in one minute"
    assert told([relay(*(s.spoken[0] for s in spread))]) == {}, "nor on one flow that lives for five"


def test_requests_of_one_source_on_several_flows_add_up() -> None:
    halves = [relay(Spoken(THEN, allocates=16), source=f"192.0.2.25:{port}") for port in (50001, 50002)]
    assert told(halves) == FLOOD
    others = [relay(Spoken(THEN, allocates=16), source=f"192.0.2.{host}:50001") for host in (25, 26)]
    assert told(others) == {}, "two sources"
    assert told([halves[0], replace(halves[0], sensor=OUTSIDE + 1)]) == {}, "two sensors saw the same"


def test_messages_of_a_discovered_partner() -> None:
    """Twenty messages a second are the product's limit ("Configure support for allowed external domains")."""
    assert told([partner(Spoken(THEN, source=1201))]) == TALKS
    assert told([partner(Spoken(THEN, source=1200))]) == {}
    assert told([partner(Spoken(THEN, source=1200), Spoken(THEN + 1, source=1200))]) == {}
    assert told([partner(Spoken(THEN, destination=9000))]) == {}, "we are the ones who talk"
    out = ("203.0.113.10:50000", "192.0.2.66:5061")
    assert told([partner(Spoken(THEN, destination=1201), source=out[0], destination=out[1])]) == TALKS
    both = [
        partner(Spoken(THEN, source=700)),
        partner(Spoken(THEN, destination=700), source=out[0], destination=out[1]),
    ]
    assert told(both) == TALKS, "both connections are its own"
    assert told([both[0], partner(Spoken(THEN, source=700), source="192.0.2.67:40020")]) == {}, "two hosts"


def test_what_is_no_discovered_partner() -> None:
    loud = Spoken(THEN, source=5000, destination=5000)
    assert told([partner(loud, source="198.51.100.10:40020")]) == {}, "it is listed"
    assert told([partner(loud, path=None)]) == {}, "no federation"
    assert told([partner(loud, path="ext-access-client-sip", destination="203.0.113.10:443")]) == {}, "a client"


def with_federation(**changed: object) -> Topology:
    topology = contoso()
    return replace(topology, federation=replace(topology.federation, **changed))


def test_sites_where_nothing_can_be_said() -> None:
    loud = [partner(Spoken(THEN, source=5000))]
    assert told(loud, with_federation(discovery=False)) == {}
    partners = contoso().federation.sip_partners
    assert told(loud, with_federation(sip_partners=(*partners, replace(partners[0], access=())))) == {}


def test_the_site_sets_the_rate() -> None:
    topology = contoso()
    own = replace(topology, policy=replace(topology.policy, thresholds=Thresholds(federation_messages_per_second=1)))
    assert told([partner(Spoken(THEN, source=61))], own) == TALKS
    assert told([partner(Spoken(THEN, source=60))], own) == {}
