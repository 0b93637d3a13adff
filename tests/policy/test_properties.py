"""What holds for every observation, however odd: no error, one of five verdicts, and a verdict that explains itself."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.catalogue import RULE_IDS
from rules.judge import Judge
from rules.observation import Answered, Evidence, Initiator, Mutual, Observation, StartTls, Validity, XmppNamespace
from rules.services import services
from rules.site_policy import Policy, RuleSeverity
from rules.verdict import ALLOWED, ATTEMPT, OUT_OF_SCOPE, UNDECIDED, VERDICTS, VIOLATION
from tests.policy.flows import Bench, contoso

BENCH = Bench(contoso())
LOWERED = ("director-bypass-sip", "sip-udp", "unlisted-path", "real-tls-on-av")
OPEN = Bench(
    replace(
        contoso(),
        policy=Policy(
            director_bypass="documented-open",
            optional_paths=("int-edge-dns",),
            rules=(*(RuleSeverity(rule, "info") for rule in LOWERED), RuleSeverity("sip-cleartext", "off")),
        ),
    )
)


def observations(bench: Bench) -> st.SearchStrategy[Observation]:
    endpoint = st.integers(0, len(bench.site.endpoints) - 1)
    likely = sorted({span.first for leg in bench.site.legs for span in leg.ports if span.first >= 0} | {0, 22, 5060})
    port = (st.sampled_from(likely) | st.integers(0, 65535)).map(bench.site.ports.representative)
    name = st.integers(0, len(bench.site.domains.names) + 1)
    return st.builds(
        Observation,
        transport=st.sampled_from([6, 6, 17, 17, 1, 58, 50, 132]) | st.integers(0, 255),
        source=endpoint,
        destination=endpoint,
        source_port=port,
        destination_port=port,
        initiator=st.sampled_from(Initiator),
        answered=st.sampled_from(Answered),
        payload=st.integers(0, 15),
        service=st.integers(0, len(services()) - 1),
        services=st.integers(0, 2 ** len(services()) - 1),
        evidence=st.sampled_from(Evidence),
        tls=st.integers(0, 127),
        tls_version=st.sampled_from([0, 2, 0x0300, 0x0303, 0x0304]),
        mutual=st.sampled_from(Mutual),
        server_validity=st.sampled_from(Validity),
        client_validity=st.sampled_from(Validity),
        server_name=name,
        stun=st.integers(0, 255),
        xmpp_namespace=st.sampled_from(XmppNamespace),
        xmpp_starttls=st.sampled_from(StartTls),
        xmpp_clear=st.integers(0, 3),
        xmpp_from=name,
        xmpp_to=name,
        host=name,
        era=st.integers(0, 3),
        icmp_type=st.integers(0, 255),
    )


@settings(max_examples=1500, deadline=None)
@given(observations(BENCH), st.sampled_from(["external", "internal", "lan", "vpn"]), st.booleans())
def test_every_observation_has_one_verdict_that_explains_itself(seen: Observation, position: str, opened: bool) -> None:
    bench = OPEN if opened else BENCH
    if position not in bench.judge_of:
        bench.judge("192.0.2.1:1", "203.0.113.10:443/tcp", position=position)  # makes that judge
    judge = bench.judge_of[position]
    verdict = judge.judge(seen)
    assert verdict == judge.judge(replace(seen))  # the same tuple, the same verdict
    assert verdict.verdict in VERDICTS
    assert verdict.reason
    assert verdict.trace
    assert {*verdict.rules, *verdict.rules_silenced} <= RULE_IDS
    assert set(verdict.rules).isdisjoint(verdict.rules_silenced)
    assert len(set(verdict.rules)) == len(verdict.rules) == len(verdict.hits)
    severe = [hit for hit in verdict.hits if hit.severity != "info"]
    applying = {path.id for path in bench.site.paths if path.applies}
    assert verdict.path is None or verdict.path in applying
    if verdict.verdict == ALLOWED:
        assert verdict.path is not None or any(hit.rule in LOWERED for hit in verdict.hits)
    if verdict.verdict in (ALLOWED, UNDECIDED):
        assert not severe
    if verdict.verdict in (VIOLATION, ATTEMPT):
        assert severe
        assert verdict.reason == verdict.hits[0].reason
    if verdict.verdict == OUT_OF_SCOPE:
        assert (verdict.path, verdict.rules, verdict.rules_silenced, verdict.unproved) == (None, (), (), ())
    if not opened:
        assert verdict.verdict != ALLOWED or verdict.rules == ()


def test_fields_that_no_built_rule_reads_change_no_verdict() -> None:
    """A type of ICMP is shown, and decides nothing."""
    seen = BENCH.observe("192.0.2.25:50112", "203.0.113.10:443/tcp")
    plain = BENCH.judge_of["external"].judge(seen)
    unread = {"icmp_type"}
    for field in fields(Observation):
        if field.name in unread:
            assert BENCH.judge_of["external"].judge(replace(seen, **{field.name: 1})) == plain


@settings(max_examples=400, deadline=None)
@given(observations(BENCH))
def test_remembered_verdicts_are_those_of_a_fresh_judge(seen: Observation) -> None:
    fresh = Judge(BENCH.topology, "external", site=BENCH.site)
    assert BENCH.judge_of["external"].judge(seen) == fresh.judge(seen)


def test_memory_for_verdicts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rules.judge.MAX_KNOWN", 3)
    judge = Judge(BENCH.topology, "external", site=BENCH.site)
    for port in range(1, 60000, 5000):
        judge.judge(BENCH.observe("192.0.2.1:4000", f"203.0.113.10:{port}/tcp"))
        assert len(judge._known) <= 3
