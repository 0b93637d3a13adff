"""Every rule of the product in the order of the rule list, and what stands for each.

Strategy: `ORDER` is the list of record. A rule is either registered by a function in `rules/checks/`, or answered
from the topology file alone, or named in `NOT_OBSERVABLE` with its severity, the sensor positions that could have
proved it and the reason. A test fails when an id is missing from all or stands in two, so that no result can
pretend.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from rules import names
from rules.checks import (  # noqa: F401  (importing enters their rules)
    balancing,
    certificates,
    edge_host,
    encryption,
    federation,
    listeners,
    management,
    media,
    pairs,
    perimeter,
    pools,
    proxy,
    rates,
    web,
    xmpp,
)
from rules.controls import crosswalk
from rules.registry import Rule, registered
from rules.rows import table
from rules.silence import silenced_by
from rules.topology import Topology

UNLISTED: Final = "unlisted-path"
UNDECLARED_NETWORK: Final = "undeclared-network"

ORDER: Final[tuple[str, ...]] = tuple(
    """
    external-to-internal-direct internal-to-external-direct director-bypass-sip director-bypass-web
    director-dos-past-director director-missing reverse-proxy-bypass reverse-proxy-nat-forward
    reverse-proxy-tls-passthrough reverse-proxy-ssl-offload reverse-proxy-internal-site reverse-proxy-host-rewritten
    reverse-proxy-http-content reverse-proxy-unexpected-egress mobility-not-via-proxy push-not-via-sipfed
    admin-url-exposed internal-web-fqdn-exposed external-web-fqdn-from-inside owas-in-perimeter
    edge-to-internal-unlisted edge-as-router edge-internal-from-external edge-same-subnet edge-internal-default-gateway
    edge-internal-dns edge-internal-nat edge-collocated-role edge-service-split edge-multiple-federation-routes
    edge-egress-unlisted edge-wrong-external-ip non-lync-endpoint-on-edge unexpected-protocol-on-listener
    sba-direct-from-external
    lb-mixed-mode hlb-internal-vip-webconf hlb-internal-vip-xmpp hlb-internal-vip-mgmt hlb-node-direct-sip hlb-with-nat
    hlb-av-snat hlb-asymmetric-reply hlb-dsr nat-inbound-source-changed nat-outbound-dest-changed nat-public-ip-mismatch
    nat-port-translation av-pool-hairpin-blocked dns-lb-for-web
    sip-cleartext sip-udp mtls-client-cert-missing mtls-untrusted-peer tls-expected-cleartext tls-weak tls-ios-below-1-2
    pseudo-tls-wrong-listener real-tls-on-av media-cleartext media-range-inbound media-range-udp-legacy media-unrelayed
    turn-unauthenticated-flood turn-shared-secret ipsec-on-media cert-name-mismatch cert-wildcard-edge
    cert-private-ca-edge-external cert-differs-in-pool cert-no-cdp cert-expired crl-blocked signin-rate-abuse
    xmpp-partner-not-configured xmpp-cleartext-not-permitted xmpp-sasl-without-tls xmpp-invalid-negotiation-config
    xmpp-gateway-direction xmpp-direct-from-internal xmpp-client-port xmpp-unsupported-version xmpp-multiple-sites
    xmpp-wrong-ip
    federation-partner-not-allowed federation-discovered-partner-rate federation-disabled-5061 client-on-federation-port
    cms-replication-wrong-source cms-replication-reversed cls-from-outside av-auth-wrong-source psom-reversed
    internal-port-exposed av-media-over-vpn vpn-split-signalling-media sensor-blind
    unlisted-path undeclared-network
    """.split()  # noqa: SIM905  (a list to be read and edited)
)
"""Document order; the two design rules come last."""

_BOTH: Final = ("external", "internal")
_XF: Final = ("external",)
_CONFIG: Final = ("config",)


@dataclass(frozen=True, slots=True)
class Papers:
    """What stands beside a rule that no function judges."""

    severity: str
    positions: tuple[str, ...]
    sources: tuple[str, ...]
    controls: tuple[str, ...]  # ids of NIST SP 800-53 revision 5
    why: str = "answered from the topology file: `topology check`"


FROM_TOPOLOGY: Final[dict[str, Papers]] = {
    "director-missing": Papers("info", _CONFIG, ("DIROV",), ("SC-7",)),
    "edge-same-subnet": Papers("high", (*_CONFIG, *_BOTH), ("HLBREQ", "NIC", "BLOG-SUBNET"), ("AC-4", "SC-7")),
    "hlb-with-nat": Papers("high", (*_CONFIG, *_XF), ("HLBREQ", "SFB-ENV"), ("CM-6",)),
    "xmpp-invalid-negotiation-config": Papers("low", _CONFIG, ("XNEG",), ("CM-6", "SC-8")),
}
"""Rules that `topology check` answers without traffic."""

NOT_OBSERVABLE: Final[dict[str, Papers]] = {
    "vpn-split-signalling-media": Papers(
        "medium",
        ("external", "vpn"),
        ("CAC", "NH-VPN"),
        ("SC-7", "CM-6"),
        "a client has one address in the tunnel and another on the Internet, and its signalling is encrypted: nothing "
        "on the wire says that both are the same client",
    ),
    "sensor-blind": Papers(
        "info",
        ("external", "internal", "lan", "vpn"),
        (),
        ("SI-4",),
        "no flow can show it: `paths` of a result lists each row that applies and how often it was used",
    ),
}
"""Rules that no capture can prove, with the reason and what answers instead."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One rule of the list as it stands."""

    id: str
    severity: str
    positions: tuple[str, ...]
    rule: Rule | None  # None: not judged on flows
    why: str  # of a rule that is not: what it needs; "" otherwise
    sources: tuple[str, ...] = ()
    controls: tuple[tuple[str, tuple[str, ...]], ...] = ()  # (catalogue, control ids)

    @property
    def built(self) -> bool:
        return self.rule is not None


@cache
def catalogue() -> tuple[Entry, ...]:
    """All rules in document order. KeyError when `ORDER` names one that nothing stands for."""
    rules = registered()
    entries: list[Entry] = []
    for rule_id in ORDER:
        if rule_id in rules:
            found = rules[rule_id]
            papers = (found.sources, found.controls)
            entries.append(Entry(rule_id, found.severity, found.positions, found, "", *papers))
        else:
            known = FROM_TOPOLOGY.get(rule_id) or NOT_OBSERVABLE[rule_id]
            controls = crosswalk(known.controls)
            entries.append(Entry(rule_id, known.severity, known.positions, None, known.why, known.sources, controls))
    return tuple(entries)


RULE_IDS: Final = frozenset(ORDER)
"""Every id that `policy.rules` may name."""

_PLACE: Final = {rule_id: place for place, rule_id in enumerate(ORDER)}
_GRAVITY: Final = {severity: place for place, severity in enumerate(names.SEVERITIES)}


_PLACES: Final = {
    "external": "the external firewall",
    "internal": "the internal firewall",
    "lan": "the LAN",
    "vpn": "the VPN",
    "config": "the topology file",
}


def _place(position: str, topology: Topology) -> str:
    if position == "internal" and topology.one_firewall:
        return "the inner perimeter network (this site has no internal firewall)"
    return _PLACES[position]


def sort_key(rule_id: str, severity: str) -> tuple[int, int]:
    """By severity, gravest first, then document order."""
    return (_GRAVITY[severity], _PLACE[rule_id])


def severity_of(rule: Rule, topology: Topology | None) -> str:
    """As it counts on this site: the site's word (`off` included), else the default under its policy."""
    own = topology.policy.severity_of(rule.id) if topology is not None else None
    return own or rule.default_severity(topology)


def controls_of(rule_id: str) -> dict[str, list[str]]:
    """Control ids of a rule by catalogue name."""
    found = next((entry for entry in catalogue() if entry.id == rule_id), None)
    return {} if found is None else {name: list(ids) for name, ids in found.controls}


def policy_identity() -> dict[str, str]:
    """`{"version", "digest"}` of the policy as shipped: the table of rows, the rules and their silencing."""
    rules = [[e.id, e.severity, list(e.positions), e.built, sorted(silenced_by(e.id))] for e in catalogue()]
    text = json.dumps([table().digest, rules], separators=(",", ":"))
    return {"version": table().version, "digest": "sha256:" + hashlib.sha256(text.encode()).hexdigest()}


def coverage(
    topology: Topology, positions: Iterable[str], beside: Iterable[str] = ()
) -> tuple[list[str], list[dict[str, str]]]:
    """(rule ids that these sensor positions can prove, [{"rule", "why"}] for all others), in document order.

    beside: positions of other sensors, whose flows are looked at together with these."""
    given = set(positions)
    together = given.union(beside)
    observable: list[str] = []
    not_observable: list[dict[str, str]] = []
    for entry in catalogue():
        if topology.policy.severity_of(entry.id) == names.OFF:
            why = "turned off by policy.rules"
        elif entry.rule is None:
            why = entry.why
        elif given.isdisjoint(entry.positions):
            why = f"no sensor at {' or '.join(_place(position, topology) for position in entry.positions)}"
        elif entry.rule.all_positions and not together.issuperset(entry.positions):
            missing = [position for position in entry.positions if position not in together]
            why = f"no sensor at {' and '.join(_place(position, topology) for position in missing)}"
        else:
            observable.append(entry.id)
            continue
        not_observable.append({"rule": entry.id, "why": why})
    return observable, not_observable
