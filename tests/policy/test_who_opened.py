"""What is said of a flow of which too little was seen to tell who opened it: nothing that a forgery could cause."""

from __future__ import annotations

from typing import Any

import pytest

from rules.observation import Answered, Evidence, Initiator, Payload
from rules.verdict import ALLOWED, ATTEMPT, OUT_OF_SCOPE, UNDECIDED, VIOLATION
from tests.policy.flows import DNS, SILENT, SIP, TURN, UNANSWERED, Bench, contoso, unknown, xmpp

UNSEEN = Payload.SOURCE_UNSEEN
LONE_SYN_ACK = {"answered": Answered.YES, "payload": UNSEEN}
LONE_RESET = {"answered": Answered.REFUSED, "payload": UNSEEN}
LONE_ERROR = {"answered": Answered.REFUSED, "payload": UNSEEN, "initiator": Initiator.FIRST_SURE}
BY_FIRST = {"initiator": Initiator.FIRST}
ANSWER = {"payload": Payload.DESTINATION | UNSEEN, "initiator": Initiator.HANDSHAKE}


@pytest.fixture(scope="module")
def site() -> Bench:
    return Bench(contoso())


def seen(wire: dict[str, Any]) -> dict[str, Any]:
    """The same where the opener was seen, too."""
    return wire | {"payload": wire["payload"] & ~UNSEEN | Payload.BOTH_DIRECTIONS_SEEN}


@pytest.mark.parametrize(
    ("source", "destination", "wire"),
    [
        ("203.0.113.10:30000", "192.0.2.200:22/tcp", LONE_SYN_ACK),
        ("203.0.113.10:30000", "192.0.2.200:25/tcp", LONE_RESET),
        ("203.0.113.30:30000", "192.0.2.200:53413/udp", LONE_ERROR),
        ("203.0.113.30:30000", "192.0.2.200:53/udp", {**DNS, **ANSWER}),
        ("203.0.113.10:30000", "192.0.2.200:5060/udp", {**SIP, **ANSWER}),
    ],
)
def test_an_answer_from_outside_alone_accuses_nobody(
    site: Bench, source: str, destination: str, wire: dict[str, Any]
) -> None:
    verdict = site.judge(source, destination, wire)
    assert (verdict.verdict, verdict.rules) == (UNDECIDED, ())
    assert verdict.reason == "only an answer from outside was seen, which anybody can send"
    assert site.judge(source, destination, seen(wire)).verdict == VIOLATION  # the opener was seen, too


def test_it_is_no_violation_where_the_rows_allow_less_than_it_claims(site: Bench) -> None:
    """An answer that fits a row is allowed; one whose bytes are not the row's says nothing."""
    row = ("203.0.113.30:50101", "192.0.2.200:3478/udp")
    assert site.judge(*row, {**TURN, **ANSWER}).verdict == ALLOWED
    assert site.judge(*row, {**DNS, **ANSWER}).verdict == UNDECIDED
    assert site.judge(*row, {**DNS, **seen(ANSWER)}).verdict == VIOLATION
    # A row fits, and a rule would hold that looks closer.
    partner = ("203.0.113.10:50101", "192.0.2.200:5061/tcp")
    assert site.judge(*partner, LONE_SYN_ACK).rules == ()


def test_what_our_own_servers_send_is_evidence(site: Bench) -> None:
    opened = site.judge("192.0.2.66:4000", "203.0.113.10:22/tcp", LONE_SYN_ACK)
    assert (opened.verdict, opened.rules) == (VIOLATION, ("unlisted-path",))
    assert site.judge("192.0.2.66:4000", "203.0.113.10:22/tcp", LONE_RESET).verdict == ATTEMPT
    inside = site.judge("172.25.33.10:4000", "192.168.10.5:445/tcp", LONE_SYN_ACK, position="internal")
    assert (inside.verdict, inside.rules) == (VIOLATION, ("edge-to-internal-unlisted",))


def test_what_only_a_rule_makes_judged_is_not_judged_by_resets(site: Bench) -> None:
    """A neighbour at a listener on its own segment: `nat-inbound-source-changed` names the two."""
    flow = ("203.0.113.77:4000", "203.0.113.10:443/tcp")
    assert site.judge(*flow, UNANSWERED).rules == ("nat-inbound-source-changed",)
    assert site.judge(*flow, {"payload": UNSEEN | Payload.RESETS_ONLY}).verdict == OUT_OF_SCOPE


@pytest.mark.parametrize("initiator", [Initiator.FIRST, Initiator.LISTENER])
def test_resets_of_one_end_tell_nothing(site: Bench, initiator: Initiator) -> None:
    resets = {"payload": UNSEEN | Payload.RESETS_ONLY, "initiator": initiator}
    for flow in (
        ("203.0.113.10:25", "192.0.2.66:40000/tcp"),
        ("192.0.2.66:40000", "203.0.113.10:25/tcp"),
        ("172.25.33.10:40000", "192.168.10.5:445/tcp"),
    ):
        verdict = site.judge(*flow, resets)
        assert (verdict.verdict, verdict.rules) == (UNDECIDED, ())
        assert "resets" in verdict.reason
    # At a listener a row fits, and nothing speaks against it.
    assert site.judge("192.0.2.66:40000", "203.0.113.10:443/tcp", resets).verdict == ALLOWED


# --- one-way taps ----------------------------------------------------------------------------------------------------

ONE_WAY = {"answered": Answered.NO, "payload": Payload.SOURCE, "initiator": Initiator.FIRST_SURE}


def test_a_one_way_flow_proves_no_opener_on_a_tap_that_shows_one_direction(site: Bench) -> None:
    inwards = ("192.0.2.9:443", "192.168.20.7:50000/udp")
    found = site.judge(*inwards, unknown(**ONE_WAY), position="internal")
    assert (found.verdict, found.rules) == (VIOLATION, ("external-to-internal-direct",))
    assert (found.needs_both_ways, found.of_silence) == (True, False)
    ping = site.judge("192.0.2.9:0", "192.168.10.50:0/icmp", {**SILENT, **ONE_WAY, "payload": 0}, position="internal")
    assert (ping.verdict, ping.needs_both_ways) == (VIOLATION, True)
    unlisted = site.judge("192.0.2.9:40000", "203.0.113.40:9/udp", unknown(**{**ONE_WAY, "answered": Answered.YES}))
    assert (unlisted.rules, unlisted.verdict, unlisted.needs_both_ways) == (("unlisted-path",), VIOLATION, True)


@pytest.mark.parametrize(
    "surer",
    [
        {"initiator": Initiator.HANDSHAKE},  # the bytes tell
        {"payload": Payload.SOURCE | Payload.DESTINATION | Payload.BOTH_DIRECTIONS_SEEN},
    ],
)
def test_what_both_directions_or_the_bytes_tell_stands(site: Bench, surer: dict[str, Any]) -> None:
    wire = unknown(**{**ONE_WAY, **surer})
    found = site.judge("192.0.2.9:443", "192.168.20.7:50000/udp", wire, position="internal")
    assert (found.verdict, found.needs_both_ways) == (VIOLATION, False)


def test_tcp_and_rules_about_bytes_stand(site: Bench) -> None:
    late = unknown(evidence=Evidence.UNDETERMINED, payload=Payload.SOURCE, **BY_FIRST)
    over_tcp = site.judge("172.25.33.10:49001", "192.168.10.5:445/tcp", late, position="internal")
    assert not over_tcp.needs_both_ways
    clear = {**SIP, **ONE_WAY}
    over_udp = site.judge("172.25.33.10:49001", "192.168.10.5:9000/udp", clear, position="internal")
    assert (over_udp.verdict, over_udp.needs_both_ways) == (VIOLATION, False)


# --- names of XMPP ---------------------------------------------------------------------------------------------------


def test_a_finding_names_the_peers_domain_also_where_the_answer_is_read_for_the_question(site: Bench) -> None:
    """RFC 6120 4.7.3: only an answer has an id; one without it, seen alone, reads like the opener's header."""
    ours, stranger = site.site.domains.number("contoso.com"), site.site.domains.number("evil.example")
    flow = ("198.51.100.69:38000", "203.0.113.10:5269/tcp")
    for spoken, column in (((stranger, ours), "edgewarden.xmpp.from"), ((ours, stranger), "edgewarden.xmpp.to")):
        (hit,) = site.judge(*flow, xmpp(*spoken)).hits
        assert (hit.rule, hit.subject_column) == ("xmpp-partner-not-configured", column)
        assert "contoso.com" not in hit.reason.partition(" for ")[2]
