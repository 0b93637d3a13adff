"""The tables and the rules agree: each scenario's facts, as the core would report them, judged.

This stands between the tables and a whole audit: it needs no capture and says at once whether a verdict or a table
changed. What the core must report of a conversation is written here from the meaning of the observation's fields.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monitor.simulate.captures import simulate
from monitor.simulate.cast import Cast
from monitor.simulate.naming import Naming
from monitor.simulate.table import Scenario, sheets
from rules.detail import NO_DETAIL, Certificate, Detail, use_of
from rules.load import load
from rules.observation import Answered, Initiator, Mutual, Payload, Stun, Tls, Validity, XmppClear
from rules.verdict import Verdict
from tests.policy.flows import (
    CHECK,
    HELLOS,
    PSEUDO_TLS,
    RTP,
    SILENT,
    TLS_RECORDS,
    TURN,
    Bench,
    clear_xmpp,
    contoso,
    spoken,
    unknown,
    xmpp,
)
from tests.simulate.sites import OTHER_SITES

SCENARIOS = {each.id: (sheet.sensor, each) for sheet in sheets() for each in sheet.scenarios}
EXPECTED = json.loads((Path(__file__).parents[2] / "pcaps" / "expected.json").read_text())
FLOWS = [flow for capture in EXPECTED["captures"].values() for flow in capture["flows"]]
DOMAINS = {"ours": "contoso.com", "partner": "woodgrove.example", "evil.example": "evil.example"}
ALERT_ONLY = Payload.SOURCE | Payload.DESTINATION | Payload.BOTH_DIRECTIONS_SEEN
TOLD_BY_BYTES = ("ms-turn", "sip", "dns", "echo")  # who opened is told by the messages themselves


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(contoso())


def tls_facts(talk: dict[str, Any]) -> dict[str, Any]:
    client, version = talk.get("client"), str(talk.get("version", "1.2"))
    if talk.get("resumed"):
        bits = Tls.CLIENT_HELLO | Tls.SERVER_HELLO | Tls.ESTABLISHED | Tls.RESUMED
        return spoken("tls", tls=bits, tls_version=0x0303, mutual=Mutual.UNKNOWN)
    if version == "1.3":
        return spoken("tls", tls=HELLOS, tls_version=0x0304, mutual=Mutual.UNKNOWN)
    if talk.get("asks") == "required" and not client:
        bits = Tls.CLIENT_HELLO | Tls.SERVER_HELLO | Tls.SERVER_CERTIFICATE | Tls.SERVER_BROKE_OFF
        return spoken("tls", tls=bits, tls_version=0x0303, mutual=Mutual.NO)
    numbers = {"1.0": 0x0301, "1.2": 0x0303}
    return spoken("tls", tls=HELLOS, tls_version=numbers[version], mutual=Mutual.YES if client else Mutual.NO)


def pseudo_tls_facts(talk: dict[str, Any]) -> dict[str, Any]:
    match talk.get("then", "turn"):
        case "nothing":
            return spoken("pseudo-tls", stun=Stun.PSEUDO_HELLO | Stun.PSEUDO_REPLY)
        case "alert":
            return spoken("pseudo-tls", stun=Stun.PSEUDO_HELLO, payload=ALERT_ONLY)
        case _:
            return dict(PSEUDO_TLS)


def is_turn(talk: dict[str, Any]) -> bool:
    """Octets that carry the cookie of MS-TURN as their first attribute ([MS-TURN] 2.2.2.8)."""
    return any("000f000472c64bc6" in text for turn in talk["turns"] for text in turn.values())


def facts(scenario: Scenario, names: dict[str, int]) -> dict[str, Any]:
    talk = dict(scenario.talk)
    match talk["kind"]:
        case "tls":
            wire = TLS_RECORDS if scenario.joined_late else tls_facts(talk)
            if scenario.one_way:
                wire = {**wire, "tls": Tls.CLIENT_HELLO, "payload": Payload.SOURCE | Payload.DESTINATION}
        case "pseudo-tls":
            wire = pseudo_tls_facts(talk)
        case "ms-turn":
            wire = TURN
        case "ice":
            answered = talk.get("answered", True)
            wire = spoken("stun", stun=Stun.REQUEST | Stun.ANSWERED | Stun.CHECK_ONLY) if answered else CHECK
        case "rtp":
            wire = {**RTP, "stun": RTP["stun"] | Stun.CLEAR_MEDIA} if talk.get("clear") else RTP
        case "xmpp":
            ends = [names[talk[end]] for end in ("opener", "answerer")]
            clear = {"features": XmppClear(0), "message": XmppClear.STANZA, "auth": XmppClear.SASL}
            wire = clear_xmpp(clear[talk["until"]], *ends) if "until" in talk else xmpp(*ends)
        case "octets" if is_turn(talk):
            wire = TURN
        case "octets" if scenario.expect.services:
            wire = spoken(*scenario.expect.services)
        case "octets" | "dice":
            wire = unknown()
        case "silence":
            wire = SILENT
        case "echo":
            wire = {**SILENT, "icmp_type": 8}
        case kind:
            wire = spoken(kind)
            if talk.get("answer") == "alert":
                wire["payload"] = ALERT_ONLY
    if scenario.answer != "yes":
        answered = Answered.NO if scenario.answer == "none" else Answered.REFUSED
        wire = {**wire, "answered": answered, "payload": 0 if talk["kind"] == "silence" else Payload.SOURCE}
    return dict(wire)


def opener(scenario: Scenario) -> Initiator:
    if scenario.joined_late:
        return Initiator.LISTENER
    if scenario.transport == "tcp":
        return Initiator.SYN
    if scenario.talk["kind"] in TOLD_BY_BYTES or (scenario.talk["kind"] == "octets" and scenario.expect.services):
        return Initiator.HANDSHAKE
    return Initiator.FIRST_SURE if scenario.answer == "none" else Initiator.FIRST


def closer(scenario: Scenario, naming: Naming) -> Detail:
    """Paths and certificates, where they are readable."""
    talk = scenario.talk
    if talk["kind"] == "http":
        answer = {"page": "content", "revocation list": "content"}.get(talk["answer"], talk["answer"])
        return Detail(use=use_of(talk["path"].split("?")[0]), answer=answer)
    if talk["kind"] == "octets":
        return Detail(shared_secret=any(text.startswith("0002") for turn in talk["turns"] for text in turn.values()))
    hidden = scenario.joined_late or scenario.one_way or talk.get("resumed") or str(talk.get("version", "1.2")) == "1.3"
    if talk["kind"] not in ("tls", "xmpp") or hidden or "server" not in talk:
        return NO_DETAIL
    shown = {end: naming.certificate(talk[end]) for end in ("server", "client") if talk.get(end)}
    issuers = {True: "public ca", False: "private ca"}
    return Detail(
        **{
            end: Certificate(
                end, name.common_name, name.alternative_names, issuers[name.public], revocation_list=name.revocable
            )
            for end, name in shown.items()
        }
    )


def judged(bench: Bench, flow: dict[str, Any]) -> Verdict:
    sensor, scenario = SCENARIOS[flow["scenario"]]
    names = {name: number for name, _, number in bench.judge_of["external"].tables["names"]}
    domains = DOMAINS | {"ours": bench.topology.sip_domains[0]}
    wire = facts(scenario, {words: names.get(domain, 1) for words, domain in domains.items()})
    naming = Naming(Cast(bench.topology))
    detail = closer(scenario, naming)
    for key, column in (("name", "server_name"), ("host", "host")):
        if key in scenario.talk and not scenario.joined_late:
            wire[column] = names.get(naming.host(scenario.talk[key]), 1)
    if detail.server is not None and naming.certificate(scenario.talk["server"]).expired:
        wire["server_validity"] = Validity.EXPIRED
    # Numbers in brackets, so that IPv6 addresses keep their colons.
    source, destination = (f"[{end['ip']}]:{end.get('port', 0)}" for end in (flow["source"], flow["destination"]))
    target = f"{destination}/{scenario.transport}"
    return bench.judge(source, target, wire, position=sensor, initiator=opener(scenario), detail=detail)


def said(verdict: Verdict) -> tuple[Any, ...]:
    return (verdict.verdict, verdict.path, list(verdict.rules), list(verdict.rules_silenced), list(verdict.unproved))


def expected(flow: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(flow[key] for key in ("verdict", "path", "rules", "rules_silenced", "unproved"))


@pytest.mark.parametrize("flow", FLOWS, ids=[f"{flow['scenario']}-{flow['destination']['ip']}" for flow in FLOWS])
def test_judged_as_the_table_says(bench: Bench, flow: dict[str, Any]) -> None:
    verdict = judged(bench, flow)
    assert said(verdict) == expected(flow), verdict.reason


@pytest.mark.parametrize("name", OTHER_SITES)
def test_other_sites_are_judged_as_the_tables_say(name: str, tmp_path: Path) -> None:
    path = tmp_path / "topology.yaml"
    path.write_text(OTHER_SITES[name], encoding="utf-8")
    topology = load(path)
    simulate(topology, tmp_path, True)
    made = json.loads((tmp_path / "expected.json").read_text())
    flows = [flow for capture in made["captures"].values() for flow in capture["flows"]]
    bench = Bench(topology)
    verdicts = [(flow, judged(bench, flow)) for flow in flows]
    assert [(f["scenario"], said(v), v.reason) for f, v in verdicts if said(v) != expected(f)] == []
    assert len(flows) > (60 if name in ("single-ip", "hlb") else 90)
