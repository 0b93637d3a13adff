"""Rules about names and paths on the web legs: who may be asked for what, and where.

Strategy: names come from SNI and from readable requests (`Facts.asked_uses`), what a request is for from its path
(`Detail.use`). A name alone never says that somebody asked wrongly; the pair of name and place does. Sites that the
proxy serves for others (`other_sites`) are nobody's business here. Nothing is concluded where names are not sent.
"""

from __future__ import annotations

from rules import detail, domains, names
from rules.components import FrontEndPool
from rules.facts import Facts
from rules.registry import rule


def _asked_name(facts: Facts) -> str:
    text = facts.site.domains.text(facts.observation.server_name) or facts.site.domains.text(facts.observation.host)
    return text or "its name"


def _at_proxy(facts: Facts) -> bool:
    return facts.tcp and facts.destination.has(names.RP_EXT) and domains.OTHER_SITE not in facts.asked_uses


@rule(
    "admin-url-exposed",
    severity="critical",
    positions=("external",),
    text="The proxy's outer address is asked for the Admin simple URL or the control panel. Both are for inside alone.",
    sources=("SURL", "CSSVC"),
    controls=("AC-4", "SC-7", "AC-17"),
)
def admin_url_exposed(facts: Facts) -> str | None:
    if not _at_proxy(facts):
        return None
    named = domains.ADMIN in facts.asked_uses
    if not named and facts.detail.use != detail.ADMIN:
        return None
    what = _asked_name(facts) if named else "the control panel (/Cscp)"
    return f"{facts.source} asked {facts.destination} for {what}: publish no administration to the outside."


@rule(
    "internal-web-fqdn-exposed",
    severity="high",
    positions=("external",),
    text="The proxy's outer address is asked for a name that is for inside alone: an internal web FQDN or "
    "lyncdiscoverinternal.",
    sources=("MOBT",),
    controls=("AC-4", "SC-7(5)"),
)
def internal_web_fqdn_exposed(facts: Facts) -> str | None:
    if not _at_proxy(facts) or domains.WEB_INTERNAL not in facts.asked_uses or domains.PUBLISHED in facts.asked_uses:
        return None
    return (
        f"{facts.source} asked {facts.destination} for {_asked_name(facts)}, a name for inside alone: "
        "take it off the proxy and out of public DNS."
    )


@rule(
    "reverse-proxy-http-content",
    severity="medium",
    positions=("external",),
    text="The proxy's outer address answers a readable request on port 80 with content, where only a redirect or the "
    "document of the Autodiscover service belongs. A refusal has no content of the site and is none. The first answer "
    "of a connection tells.",
    sources=("P-RP", "P-AD"),
    controls=("SC-8", "CM-7"),
)
def reverse_proxy_http_content(facts: Facts) -> str | None:
    if not _at_proxy(facts) or facts.port != 80 or facts.source.zone != names.EXTERNAL:
        return None
    use, answer = facts.detail.use, facts.detail.answer
    if answer not in (detail.CONTENT, detail.DATA, detail.SWITCH) or use == detail.AUTODISCOVER:
        return None
    # Whoever asks for lyncdiscover.DOMAIN at all gets the same document.
    if answer == detail.DATA and use == detail.ROOT and domains.AUTODISCOVER in facts.asked_uses:
        return None
    what = "another protocol" if answer == detail.SWITCH else "content"
    return (
        f"{facts.destination} answered {facts.source} with {what} in the clear on {facts.at_port}: "
        "let the proxy redirect it to HTTPS."
    )


@rule(
    "external-web-fqdn-from-inside",
    severity="low",
    positions=("lan", "internal"),
    text="An inside client uses the external web site for something else than mobility. Its name should resolve on "
    "the Internet alone, mobile clients excepted.",
    sources=("MOBT",),
    controls=("CM-6",),
    about_opener=True,
)
def external_web_fqdn_from_inside(facts: Facts) -> str | None:
    if not _at_proxy(facts) or not facts.source.inside or facts.source.server:
        return None
    if domains.WEB_EXTERNAL not in facts.asked_uses:
        return None
    readable = "http" in facts.services and facts.detail.use not in ("", detail.AUTODISCOVER, detail.MOBILITY)
    sealed = "tls" in facts.services and not facts.site.topology.mobility
    if not readable and not sealed:
        return None
    return (
        f"{facts.source} used {_asked_name(facts)} by way of {facts.destination}: "
        "let inside clients resolve the internal web site."
    )


@rule(
    "mobility-not-via-proxy",
    severity="high",
    positions=("internal", "lan"),
    text="A client uses the Mobility service on a server itself. All of it passes the reverse proxy, from inside too.",
    sources=("MOBT",),
    controls=("AC-4", "SC-7"),
    about_opener=True,
    names_ends=True,
)
def mobility_not_via_proxy(facts: Facts) -> str | None:
    if not facts.tcp or facts.detail.use != detail.MOBILITY or "http" not in facts.services:
        return None
    if not facts.destination.has(*names.WEB_SERVERS) or not facts.source.inside or facts.source.own:
        return None
    return (
        f"{facts.source} used the Mobility service of {facts.destination} on {facts.at_port} past the proxy: "
        "let mobile clients resolve the external web site."
    )


@rule(
    "director-bypass-web",
    severity="medium",
    positions=("internal",),
    text="The proxy sends a simple URL or Autodiscover to a Front End although a Director is deployed. Both are "
    "published to the Director.",
    sources=("SURL", "MOBTOP", "DIRSCN"),
    controls=("AC-4", "SC-7"),
    about_opener=True,
)
def director_bypass_web(facts: Facts) -> str | None:
    if not facts.tcp or not facts.source.has(names.RP_INT) or not facts.site.topology.director_pools:
        return None
    pool = facts.site.web_pool(facts.destination)
    if not isinstance(pool, FrontEndPool) or domains.WEB_EXTERNAL in facts.asked_uses:
        return None
    if facts.asked_uses.isdisjoint((domains.MEETING, domains.AUTODISCOVER)):
        return None
    return (
        f"{facts.source} sent {_asked_name(facts)} to {facts.destination} although a Director is deployed: "
        "publish simple URLs and Autodiscover to the Director."
    )


@rule(
    "reverse-proxy-ssl-offload",
    severity="high",
    positions=("internal",),
    text="The proxy hands requests to the external web site in the clear: plain HTTP where TLS belongs, or other "
    "requests than Autodiscover on the port for that. It must encrypt anew.",
    sources=("RPRULE",),
    controls=("SC-8", "SC-8(1)"),
    about_opener=True,
)
def reverse_proxy_ssl_offload(facts: Facts) -> str | None:
    if not facts.tcp or not facts.source.has(names.RP_INT) or "http" not in facts.services:
        return None
    pool = facts.site.web_pool(facts.destination)
    if pool is None or not facts.destination.has(*names.WEB_SERVERS):
        return None
    use = facts.detail.use
    # The root of which site says the Host field, which may have been cut off.
    named = bool(facts.observation.host)
    discovery = use == detail.ROOT and (not named or domains.AUTODISCOVER in facts.asked_uses)
    other = use not in ("", detail.AUTODISCOVER) and not discovery
    if facts.port != pool.web.external_https and not (facts.port == pool.web.external_http and other):
        return None
    return (
        f"{facts.source} sent requests in the clear to {facts.destination} on {facts.at_port}: "
        "let the proxy encrypt anew to the external web site."
    )


@rule(
    "reverse-proxy-host-rewritten",
    severity="medium",
    positions=("internal",),
    text="The proxy asks an inside web server for its own name, where the name that the client asked for must arrive "
    "unchanged. Readable only on the port in the clear.",
    sources=("HLBREQ", "RPRULE"),
    controls=("CM-6",),
    about_opener=True,
)
def reverse_proxy_host_rewritten(facts: Facts) -> str | None:
    if not facts.tcp or not facts.source.has(names.RP_INT) or not facts.destination.has(*names.WEB_SERVERS):
        return None
    uses = facts.site.domains.uses(facts.observation.host)
    if "http" not in facts.services or uses.isdisjoint((domains.WEB_INTERNAL, domains.HOST)):
        return None
    if domains.PUBLISHED in uses:
        return None
    name = facts.site.domains.text(facts.observation.host)
    return (
        f"{facts.source} asked {facts.destination} for {name} on {facts.at_port}: "
        "forward the Host that the client asked for."
    )
