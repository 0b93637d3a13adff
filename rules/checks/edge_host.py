"""Rules about what the Edge's own hosts do, and what is said of a flow that no row and no other rule knows.

Strategy: the vendor's internal table has exactly one row that an Edge opens inward. Everything else it opens there is
a finding, and the rules that can name the port more tellingly silence the general one.
"""

from __future__ import annotations

from rules import names
from rules.facts import Facts, State
from rules.observation import Evidence, Initiator
from rules.registry import rule


@rule(
    "edge-to-internal-unlisted",
    severity="critical",
    positions=("internal",),
    text="An Edge opens something inward other than SIP to its next hop, the only thing it is meant to open there. "
    "This is what a compromised Edge looks like.",
    sources=("P-SNAT",),
    controls=("AC-4", "SC-7(5)", "SI-4"),
    only_misses_a_row=True,
    about_opener=True,
)
def edge_to_internal_unlisted(facts: Facts) -> str | None:
    if not facts.source.has(*names.INNER_EDGE) or not facts.destination.inside:
        return None
    if facts.leg is not None and facts.leg.row.startswith(("int-sip-edge-to-", "int-hlb-sip-from-edge")):
        return None  # it is the one row, whatever its bytes say
    pool = facts.site.edge_pool(facts.source)
    hop = pool.next_hop if pool is not None else "its next hop"
    return (
        f"{facts.source} opened {facts.at_port} to {facts.destination}: an Edge opens SIP to {hop} and nothing else; "
        "close the internal firewall to it and find out what runs there."
    )


@rule(
    "edge-internal-dns",
    severity="low",
    positions=("internal",),
    text="An Edge asks a name server inside. It works, but is advised against: an Edge should resolve outside or by"
    " its hosts file. The optional row `int-edge-dns` permits it.",
    sources=("NIC",),
    controls=("SC-7(5)", "SC-20"),
    only_misses_a_row=True,
    about_opener=True,
)
def edge_internal_dns(facts: Facts) -> str | None:
    if not facts.source.has(*names.INNER_EDGE) or not facts.destination.inside or facts.port != 53:
        return None
    if not (facts.tcp or facts.udp):
        return None
    evidence = facts.observation.evidence
    # Other bytes on port 53 are a tunnel, not a look-up: the general rule speaks then.
    if evidence == Evidence.UNRECOGNISED or (evidence == Evidence.RECOGNISED and facts.service != "dns"):
        return None
    return (
        f"{facts.source} asked {facts.destination} for names on {facts.at_port}: "
        "let the Edge resolve through an outside resolver or its hosts file."
    )


@rule(
    "undeclared-network",
    severity="info",
    positions=("external", "internal", "lan", "vpn"),
    text="A private address in no declared network talks to a declared role. Nothing is concluded from such a flow "
    "until the topology says what that network is.",
    sources=(),
    controls=("CM-8", "PL-8"),
)
def undeclared_network(facts: Facts) -> str | None:
    for stranger, known in ((facts.source, facts.destination), (facts.destination, facts.source)):
        if stranger.zone == names.UNDECLARED and known.role is not None:
            return f"{known} talks to a private network that the topology does not declare: add it to `zones`."
    return None


@rule(
    "unlisted-path",
    severity="high",
    positions=("external", "internal"),
    text="A flow that crosses a firewall of the edge fits no allowed row, or speaks something else than its row, "
    "and no rule says anything more telling about it.",
    sources=(),
    controls=("AC-4", "SC-7(5)"),
)
def unlisted_path(facts: Facts) -> str | None:
    # The judge asks this rule last, when no row and no other rule has settled the flow.
    if facts.leg is not None and facts.state is State.CONTRADICTED:
        what = "unrecognised bytes" if facts.service == "unknown" else facts.service
        return (
            f"{facts.source} opened {facts.at_port} to {facts.destination} and spoke {what} where {facts.leg.row} "
            f"allows {facts.leg.service}: find out what uses that port."
        )
    if facts.tcp and facts.observation.initiator == Initiator.FIRST:
        return (
            f"{facts.source} and {facts.destination} hold a connection on {facts.at_port} that no row allows, whoever "
            "opened it: close the firewall to it or declare it under policy.local_paths."
        )
    return (
        f"{facts.source} opened {facts.at_port} to {facts.destination}, which no row allows: "
        "close the firewall to it or declare it under policy.local_paths."
    )
