"""Rules about bytes that no row allows at a listener of ours, whoever sent them.

Strategy: a listener is an own address and port that some row with a single port leads to. Where the stream was seen
from its first byte and is none of the services of these rows, something else listens or something else came. Rules
that can say what it was (cleartext SIP, pseudo-TLS on the wrong address) silence these.
"""

from __future__ import annotations

from rules import names
from rules.facts import Facts
from rules.registry import rule


@rule(
    "non-lync-endpoint-on-edge",
    severity="high",
    positions=("external",),
    text="Somebody on the Internet speaks to an external port of an Edge what no client, partner Edge or XMPP "
    "partner speaks there: web requests, shells, mail, scanners. An Edge serves its own protocols alone.",
    sources=("COMP",),
    controls=("CM-7", "SC-7(5)"),
)
def non_lync_endpoint_on_edge(facts: Facts) -> str | None:
    if facts.source.zone != names.EXTERNAL or not facts.destination.has(*names.OUTER_EDGE):
        return None
    if not facts.contradicts_listener:
        return None
    return (
        f"{facts.source} spoke {facts.spoken} to {facts.destination} on {facts.at_port}, where "
        f"{_asked(facts)} belongs: find out what answers there, an Edge serves nothing else."
    )


@rule(
    "unexpected-protocol-on-listener",
    severity="high",
    positions=("external", "internal"),
    text="The first bytes at a listener of ours are of another protocol than any row allows there.",
    sources=("P-SNAT",),
    controls=("CM-7", "SC-7(5)"),
)
def unexpected_protocol_on_listener(facts: Facts) -> str | None:
    if not facts.contradicts_listener:
        return None
    return (
        f"{facts.source} spoke {facts.spoken} to {facts.destination} on {facts.at_port}, where "
        f"{_asked(facts)} belongs: find out which program answers there."
    )


def _asked(facts: Facts) -> str:
    return " or ".join(dict.fromkeys(leg.service for leg in facts.listener))
