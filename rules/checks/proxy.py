"""Rules about what the reverse proxy opens inside.

Strategy: the vendor's table of the proxy is short (external web sites, Office Web Apps); whatever else its inner
address opens is a finding, and rules that can say more (internal site, wrong pool, cleartext) silence the general one.
"""

from __future__ import annotations

from rules import names
from rules.facts import Facts
from rules.registry import rule


@rule(
    "reverse-proxy-unexpected-egress",
    severity="high",
    positions=("internal",),
    text="The reverse proxy opens inside what the product does not need. Other sites that it publishes need local "
    "paths.",
    sources=("P-RP",),
    controls=("AC-4", "SC-7(5)"),
    only_misses_a_row=True,
    about_opener=True,
)
def reverse_proxy_unexpected_egress(facts: Facts) -> str | None:
    if not facts.source.has(names.RP_INT) or not facts.destination.inside:
        return None
    if facts.leg is not None and not facts.leg.local:
        return None  # the product's own way: what its bytes are is said by the rules about bytes
    if facts.leg is not None:
        return (
            f"{facts.source} opened {facts.at_port} to {facts.destination} and spoke {facts.spoken} where "
            f"{facts.leg.row} allows {facts.leg.service} alone: find out what the proxy does there."
        )
    return (
        f"{facts.source} opened {facts.at_port} to {facts.destination}, which the proxy has no business with: "
        "close the internal firewall to it, or declare the site it publishes under policy.local_paths."
    )
