"""Rules about what the Edge's own hosts do, and what is said of a flow that no row and no other rule knows.

Strategy: the vendor's internal table has exactly one row that an Edge opens inward. Everything else it opens there is
a finding, and the rules that can name the port more tellingly silence the general one.
"""

from __future__ import annotations

from rules import names
from rules.components import PortRange
from rules.facts import Facts, State
from rules.observation import Evidence, Initiator
from rules.ports import INTERNAL_TCP, INTERNAL_UDP
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
    text="An Edge asks a name server inside. It works, but is advised against: an Edge should resolve outside or by "
    "its hosts file. The optional row `int-edge-dns` permits it.",
    sources=("NIC",),
    controls=("SC-7(5)", "SC-22"),
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
    "edge-internal-from-external",
    severity="critical",
    positions=("external", "internal"),
    text="The Internet or the outer perimeter reaches an Edge's inner address. It serves inside hosts alone, and the "
    "two perimeter networks must have no way to each other.",
    sources=("P-SNAT",),
    controls=("AC-4", "SC-7", "SC-7(5)"),
    about_opener=True,
    names_ends=True,
)
def edge_internal_from_external(facts: Facts) -> str | None:
    if not facts.destination.has(*names.INNER_EDGE) or facts.source.zone not in (names.EXTERNAL, names.PERIMETER_EXT):
        return None
    if facts.source.has(names.FW_EXT, names.FW_INT) or "lb" in facts.source.sections:
        return None  # a firewall or balancer that stands in both networks and looks whether the Edge is alive
    return (
        f"{facts.source} {facts.reached} the inner address of {facts.destination} on {facts.at_port}: "
        "close every way from outside to the inner perimeter network."
    )


@rule(
    "edge-internal-default-gateway",
    severity="medium",
    positions=("internal", "external"),
    text="An Edge sends to the Internet from its inner address. The default gateway belongs to the outer interface; "
    "the inner one has static routes to the inside networks alone.",
    sources=("NIC", "D-SNAT"),
    controls=("AC-4", "SC-7(5)", "CM-6"),
    about_opener=True,
)
def edge_internal_default_gateway(facts: Facts) -> str | None:
    if not facts.source.has(*names.INNER_EDGE) or facts.destination.zone != names.EXTERNAL:
        return None
    return (
        f"{facts.source} opened {facts.at_port} to {facts.destination} from its inner address: "
        "take the default gateway off the inner interface."
    )


_REMOTE_DESKTOP = 3389
_OTHER_ROLES_TCP = (*INTERNAL_TCP, PortRange(_REMOTE_DESKTOP, _REMOTE_DESKTOP), PortRange(8080, 8080))


@rule(
    "edge-collocated-role",
    severity="high",
    positions=("external", "internal"),
    text="An Edge address answers on a port of another role: file sharing, remote desktop from other hosts than the "
    "administrators', a Front End's services. Nothing but the Edge services may run there.",
    sources=("COLLO", "INTP"),
    controls=("CM-7", "SC-7(5)"),
    only_misses_a_row=True,
    about_opener=True,
)
def edge_collocated_role(facts: Facts) -> str | None:
    if not facts.destination.has(*names.OUTER_EDGE, *names.INNER_EDGE) or not facts.answered:
        return None
    ports = _OTHER_ROLES_TCP if facts.tcp else INTERNAL_UDP if facts.udp else ()
    if not any(facts.port in span for span in ports):
        return None
    # A path of the site makes a listener too, but permits those alone whom it names.
    if not all(leg.local for leg in facts.listener_or_off):
        return None
    pool = facts.site.edge_pool_of(facts.destination, *names.INNER_EDGE)
    if pool is not None and facts.port in (pool.webconf.internal_port, pool.av.auth_port):
        return None  # its own, at the node or the virtual address where it does not belong
    if facts.port == _REMOTE_DESKTOP and "clients.admin" in facts.source.sections:
        return None
    return (
        f"{facts.destination} answered {facts.source} on {facts.at_port}, a port of another role: "
        "stop that service, an Edge runs nothing beside its own."
    )


@rule(
    "edge-egress-unlisted",
    severity="high",
    positions=("external",),
    text="An Edge opens to the Internet what no row lists: mail, shells, web from the access address. Only the "
    "listed ports should be open outbound, each for its own service.",
    sources=("P-SNAT",),
    controls=("AC-4", "SC-7(5)", "SI-4"),
    only_misses_a_row=True,
    about_opener=True,
)
def edge_egress_unlisted(facts: Facts) -> str | None:
    if not facts.source.has(*names.OUTER_EDGE) or facts.destination.zone != names.EXTERNAL:
        return None
    if facts.leg is not None:
        return (
            f"{facts.source} opened {facts.at_port} to {facts.destination} and spoke {facts.spoken} where "
            f"{facts.leg.row} allows {facts.leg.service} alone: find out which program did."
        )
    return (
        f"{facts.source} opened {facts.at_port} to {facts.destination}, which no row lists: "
        "close the external firewall to it and find out which program did."
    )


@rule(
    "edge-wrong-external-ip",
    severity="medium",
    positions=("external",),
    text="A service of an Edge leaves from the address of another one: SIP from the A/V address, TURN from the "
    "access address. Each row names the address of its service.",
    sources=("P-SNAT",),
    controls=("AC-4", "CM-6"),
    about_opener=True,
)
def edge_wrong_external_ip(facts: Facts) -> str | None:
    if not facts.source.has(*names.OUTER_EDGE) or facts.destination.zone != names.EXTERNAL or facts.leg is not None:
        return None
    right = facts.site.right_source(facts)
    if right is None:
        return None
    return (
        f"{facts.source} spoke {facts.service} on {facts.at_port} to {facts.destination}, which {right} opens: "
        "bind each Edge service to its own address."
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
    text="A flow that crosses a firewall of the edge fits no allowed row, or speaks something else than its row, and "
    "no rule says anything more telling about it.",
    sources=(),
    controls=("AC-4", "SC-7(5)"),
    only_misses_a_row=True,
)
def unlisted_path(facts: Facts) -> str | None:
    # The judge asks this rule last, when no row and no other rule has settled the flow.
    if facts.leg is not None and facts.state is State.CONTRADICTED:
        return (
            f"{facts.source} opened {facts.at_port} to {facts.destination} and spoke {facts.spoken} where "
            f"{facts.leg.row} allows {facts.leg.service}: find out what uses that port."
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
