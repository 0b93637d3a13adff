"""The tables of flows leave nothing out: each rule that is judged has a flow that trips it and a near miss, each path a
flow that it allows and one that it does not, each line of the precedence table a flow on which both rules hold.

What cannot be shown is named with its reason, and a test fails when such an exception is no longer needed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from rules.catalogue import RULE_IDS, catalogue
from rules.rows import table
from tests.policy.cases import EXPECTED, Case, bench, cases, judged
from tests.policy.joined_cases import joined_cases

BUILT = [entry.id for entry in catalogue() if entry.built]
ROWS = [row.id for row in table().rows]

NEVER_CHOSEN = {
    "int-foreign-meeting-out": "the same flows fit ext-foreign-meeting-out, which comes first",
    "int-hybrid-or-ems-egress": "the same flows fit ext-ems-https-out, which comes first",
    "ext-av-pic-udp-out": "the same flows fit ext-av-udp-out, which comes first",
    "ext-av-pic-udp-in": "the same flows fit ext-av-udp-in, which comes first",
}
"""Paths whose every flow is another's: of several that name the peer alike the first in the document is chosen."""


def _flow(case: Case) -> dict[str, object]:
    """What of a row is the flow and its circumstances, piece by piece."""
    row = {key: value for key, value in case.row.items() if key not in EXPECTED}
    (source, _, source_port), (destination, _, listener) = (str(row.pop(end)).rpartition(":") for end in ("from", "to"))
    port, _, transport = listener.partition("/")
    pieces = {"source": source, "source port": source_port, "destination": destination, "port": port}
    for key in ("detail", "fact"):
        pieces |= {f"{key}.{name}": value for name, value in row.pop(key, {}).items()}
    return {**pieces, "transport": transport, "say": "nothing", **row}


def differences(one: Case, other: Case) -> int:
    """In how many things two flows differ; a flow the other way round differs in one."""
    a, b = _flow(one), _flow(other)
    turned = {**b, "source": b["destination"], "destination": b["source"]}
    return min(
        sum(a.get(key) != b.get(key) for key in {*a, *b}),
        1 + sum(a.get(key) != turned.get(key) for key in {*a, *turned}),
    )


def nearest(near: Iterable[Case], flows: list[Case]) -> int:
    return min(differences(one, other) for one in near for other in flows)


@pytest.mark.parametrize("rule", BUILT)
def test_each_rule_has_a_flow_that_trips_it_and_a_near_miss(rule: str) -> None:
    own = [case for case in cases("rules") if case.of == rule]
    together = [case for case in joined_cases() if case.of == rule]
    assert own or together, f"{rule}: no table has it (tests/policy/tables/README.md)"
    for rows in filter(None, (own, together)):
        kinds = {case.near for case in rows}
        assert kinds == {True, False}, f"{rule}: {'no near miss' if True not in kinds else 'nothing trips it'}"
    if own:
        trips = [case for case in own if not case.near]
        assert nearest((case for case in own if case.near), trips) == 1, f"{rule}: no near miss differs in one thing"
    by_flow = next(entry.rule for entry in catalogue() if entry.id == rule)
    assert by_flow is not None
    assert bool(own) is by_flow.single
    assert bool(together) is (by_flow.join is not None)


@pytest.mark.parametrize("path", [row for row in ROWS if row not in NEVER_CHOSEN])
def test_each_path_has_a_flow_and_a_near_miss(path: str) -> None:
    own = [case for case in cases("paths") if case.of == path]
    fits, near = ([case for case in own if case.near is kind] for kind in (False, True))
    assert fits, f"{path}: no flow is allowed on it"
    assert near, f"{path}: no near miss"
    assert nearest(near, fits) == 1, f"{path}: no near miss differs in one thing"
    for case in fits:
        assert any(each.id == path and each.applies for each in bench(case.get("site", "contoso")).site.paths), case
        assert case.get("say", "nothing") != "nothing", f"{case.where}: its service is to be confirmed"


def test_the_table_of_all_rules_is_printed() -> None:
    tool = Path(__file__).parents[2] / "tools" / "rule_tests.py"
    done = subprocess.run([sys.executable, str(tool)], capture_output=True, text=True, timeout=60, check=True)
    lines = [line.split(" | ") for line in done.stdout.splitlines()[2:]]
    assert [line[0].strip("| `") for line in lines] == [entry.id for entry in catalogue()]
    counted = {line[0].strip("| `"): (int(line[3]), int(line[4])) for line in lines}
    assert all(bool(trips and near) is entry.built for entry in catalogue() for trips, near in (counted[entry.id],))


def test_tables_name_what_exists() -> None:
    assert {case.of for case in (*cases("rules"), *joined_cases())} <= RULE_IDS
    assert {case.of for case in cases("paths")} <= set(ROWS)
    for case in (*cases("rules"), *cases("paths")):
        assert {*case.rules, *case.silenced} <= RULE_IDS, case.where
        site = bench(case.get("site", "contoso")).site
        assert case.get("path") in (None, *(path.id for path in site.paths)), case.where


def test_paths_that_are_never_chosen() -> None:
    assert not {case.of for case in cases("paths")} & set(NEVER_CHOSEN)
    for path, why in NEVER_CHOSEN.items():
        other = why.split("fit ")[1].split(",")[0]
        assert ROWS.index(other) < ROWS.index(path)


# --- silencing -------------------------------------------------------------------------------------------------------

_HLB = ("hlb-internal-vip-webconf", "hlb-internal-vip-xmpp", "hlb-internal-vip-mgmt")
_LISTENER = ("non-lync-endpoint-on-edge",)

# The precedence table line by line: each rule on the left silences each on the right.
LINES: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    (
        (
            "director-bypass-sip",
            "edge-internal-dns",
            "xmpp-gateway-direction",
            "cms-replication-reversed",
            "psom-reversed",
        ),
        ("edge-to-internal-unlisted",),
    ),
    (("edge-to-internal-unlisted",), ("internal-port-exposed",)),
    (
        ("reverse-proxy-bypass", "sba-direct-from-external", "xmpp-direct-from-internal"),
        ("external-to-internal-direct",),
    ),
    (("external-to-internal-direct",), ("internal-port-exposed",)),
    (("xmpp-direct-from-internal", "push-not-via-sipfed", "media-unrelayed"), ("internal-to-external-direct",)),
    (
        ("reverse-proxy-internal-site", "director-bypass-web", "dns-lb-for-web", "reverse-proxy-ssl-offload"),
        ("reverse-proxy-unexpected-egress",),
    ),
    (("reverse-proxy-unexpected-egress",), ("internal-port-exposed",)),
    (
        ("edge-internal-from-external",),
        ("cms-replication-wrong-source", "av-auth-wrong-source", "cls-from-outside", *_HLB),
    ),
    (("sip-cleartext", "sip-udp"), ("tls-expected-cleartext", "edge-egress-unlisted", *_LISTENER)),
    (
        (
            "tls-expected-cleartext",
            "pseudo-tls-wrong-listener",
            "real-tls-on-av",
            "xmpp-client-port",
            "xmpp-wrong-ip",
            "edge-wrong-external-ip",
        ),
        _LISTENER,
    ),
    (_LISTENER, ("unexpected-protocol-on-listener",)),
    (("pseudo-tls-wrong-listener",), ("tls-expected-cleartext",)),
    (("mtls-client-cert-missing",), ("client-on-federation-port",)),
    (
        ("federation-disabled-5061",),
        (
            "mtls-client-cert-missing",
            "mtls-untrusted-peer",
            "client-on-federation-port",
            "federation-partner-not-allowed",
        ),
    ),
    (
        ("reverse-proxy-tls-passthrough", "admin-url-exposed", "internal-web-fqdn-exposed"),
        ("cert-name-mismatch", "cert-private-ca-edge-external"),
    ),
    (("cls-from-outside",), ("media-range-inbound",)),
    (("media-range-udp-legacy",), ("edge-egress-unlisted",)),
    (
        ("xmpp-unsupported-version",),
        (
            "xmpp-partner-not-configured",
            "xmpp-cleartext-not-permitted",
            "xmpp-sasl-without-tls",
            "xmpp-invalid-negotiation-config",
            "xmpp-gateway-direction",
            "xmpp-client-port",
            "xmpp-multiple-sites",
            "xmpp-wrong-ip",
        ),
    ),
]
PAIRS = [(special, general) for left, right in LINES for special in left for general in right]

NEVER_TOGETHER = {
    ("dns-lb-for-web", "reverse-proxy-unexpected-egress"): "the one needs several flows, each of which fits a path",
    ("sip-udp", "tls-expected-cleartext"): "no path asks for TLS over UDP",
    ("xmpp-wrong-ip", "non-lync-endpoint-on-edge"): "no path makes these addresses a listener on 5269",
    ("edge-wrong-external-ip", "non-lync-endpoint-on-edge"): "the one leaves an Edge, the other comes to one",
    ("xmpp-unsupported-version", "xmpp-partner-not-configured"): "partners are judged with products that have XMPP",
    ("xmpp-unsupported-version", "xmpp-invalid-negotiation-config"): "answered from the topology file",
    ("xmpp-unsupported-version", "xmpp-multiple-sites"): "the other needs several flows and changes none",
    **{
        (rule, "cert-private-ca-edge-external"): "the one is about the proxy, the other about the Edge"
        for rule in ("reverse-proxy-tls-passthrough", "admin-url-exposed", "internal-web-fqdn-exposed")
    },
}
"""Pairs of the precedence table whose conditions no flow meets together."""


@pytest.mark.parametrize(("special", "general"), PAIRS, ids=[f"{one}-silences-{other}" for one, other in PAIRS])
def test_each_line_of_the_precedence_table_has_a_flow(special: str, general: str) -> None:
    shown = [case for case in (*cases("rules"), *cases("paths")) if special in case.rules and general in case.silenced]
    assert bool(shown) is ((special, general) not in NEVER_TOGETHER)


def test_a_rule_that_is_off_silences_nothing() -> None:
    """The same flow, as soon as the special rule is off: what it silenced stands."""
    [with_it] = [case for case in cases("rules") if case.of == "client-on-federation-port" and case.silenced]
    [without] = [case for case in cases("rules") if case.of == "client-on-federation-port" and case.rules == [case.of]]
    assert differences(with_it, without) == 1
    assert judged(with_it).rules == ("mtls-client-cert-missing",)
    assert judged(without).rules == ("client-on-federation-port",)
