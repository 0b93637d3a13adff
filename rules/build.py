"""Values read from a faultless topology file → the model.

Strategy: one function per section, each naming every key of it once. Nothing is checked here and nothing can fail:
`rules.shape` and `rules.references` have let through only what fits. Defaults live in the dataclasses; those that
depend on something else in the file (ports on a single address, the lone pool that federates) are decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any, TypeVar

from rules import components as c
from rules.document import Mark
from rules.references import SERVER_LISTS, selector_kind
from rules.shape import At, network
from rules.site_policy import CoveragePolicy, LocalPath, Policy, RuleSeverity, Selector, Thresholds
from rules.topology import Topology, ZonePrefix
from rules.transports import TRANSPORTS, transport_number

T = TypeVar("T")
Values = dict[str, Any]


def build(root: At, path: str) -> Topology:
    """The model of a file without faults. `path`: where it was read."""
    values: Values = _strip(root)
    sites = tuple(site["name"] for site in values.get("sites", ())) or (c.DEFAULT_SITE,)
    each = _Builder(values, sites[0])
    return Topology(
        organization=values["organization"],
        product=values["product"],
        zones=_zones(values["zones"]),
        edge_pools=each.all("edge_pools", each.edge_pool),
        sip_domains=values.get("sip_domains", ()),
        ad_domains=values.get("ad_domains", ()),
        sites=sites,
        firewalls=tuple(each.firewall(side, firewall) for side, firewall in sorted(each.pairs("firewalls"))),
        sensors=each.all("sensors", lambda sensor: c.Sensor(**each.sited(sensor))),
        load_balancing=c.LoadBalancing(**values.get("load_balancing", {})),
        lb=c.Balancers(**_renamed(values.get("lb", {}), {"self": "self_addresses"})),
        reverse_proxies=each.all("reverse_proxies", each.reverse_proxy),
        director_pools=each.all("director_pools", lambda pool: c.DirectorPool(**each.server_pool(pool))),
        front_end_pools=each.all("front_end_pools", lambda pool: c.FrontEndPool(**each.server_pool(pool))),
        mediation_pools=each.all("mediation_pools", lambda pool: c.MediationPool(**each.server_pool(pool))),
        office_web_apps=each.all("office_web_apps", _member),
        branch_appliances=each.all("branch_appliances", _member),
        infrastructure=each.all("infrastructure", _member),
        others=each.all("others", lambda other: c.Neighbour(**other)),
        simple_urls=c.SimpleUrls(**values.get("simple_urls", {})),
        autodiscover=c.Autodiscover(**values.get("autodiscover", {})),
        certificates=tuple(c.CertificateNames(*item) for item in sorted(each.pairs("certificates"))),
        clients=c.Clients(**values.get("clients", {})),
        vpn=c.Vpn(**values.get("vpn", {})),
        federation=_federation(values.get("federation", {})),
        mobility=values.get("mobility", False),
        policy=_policy(values.get("policy", {}), _declared(values)),
        path=path,
        places=_places(root),
    )


def _places(root: At) -> dict[tuple[str, c.Network], Mark]:
    """Where each address and network first stands under its section: a key of the file, or one below it."""
    places: dict[tuple[str, c.Network], Mark] = {}

    def walk(item: Any, sections: tuple[str, ...], mark: Mark) -> None:
        if isinstance(item, At):
            walk(item.value, sections, item.mark)
        elif isinstance(item, dict):
            for key, value in item.items():
                walk(value, (*sections, f"{sections[0]}.{key}") if len(sections) == 1 else sections or (key,), mark)
        elif isinstance(item, tuple):
            for value in item:
                walk(value, sections, mark)
        elif isinstance(item, c.Address | c.Network):
            for section in sections:
                places.setdefault((section, ip_network(item)), mark)

    walk(root, (), root.mark)
    return places


def _strip(item: Any) -> Any:
    """Values without their places."""
    if isinstance(item, At):
        return _strip(item.value)
    if isinstance(item, dict):
        return {key: _strip(value) for key, value in item.items()}
    if isinstance(item, tuple):
        return tuple(_strip(value) for value in item)
    return item


def _renamed(values: Values, fields: dict[str, str]) -> Values:
    return {fields.get(key, key): value for key, value in values.items()}


def _zones(zones: Values) -> tuple[ZonePrefix, ...]:
    prefixes = [ZonePrefix(prefix, zone) for zone, networks in zones.items() for prefix in networks]
    order = {p: (-p.network.prefixlen, p.network.version, int(p.network.network_address)) for p in prefixes}
    return tuple(sorted(prefixes, key=order.__getitem__))


def _member(values: Values) -> c.Member:
    return c.Member(**values)


def _switched(values: Values) -> Values:
    """A section that is not empty is on, unless it says otherwise."""
    return {"enabled": True, **values} if values else {}


class _Builder:
    """Sections that need something from elsewhere in the file."""

    def __init__(self, values: Values, site: str) -> None:
        self.values = values
        self.site = site
        self.lone = len(values["edge_pools"]) == 1

    def all(self, section: str, make: Callable[[Values], T]) -> tuple[T, ...]:
        return tuple(make(item) for item in self.values.get(section, ()))

    def pairs(self, section: str) -> list[tuple[str, Any]]:
        return list(self.values.get(section, {}).items())

    def sited(self, values: Values) -> Values:
        return {"site": self.site, **values}

    def firewall(self, side: str, values: Values) -> c.Firewall:
        return c.Firewall(side, **self.sited(values))

    def edge_pool(self, values: Values) -> c.EdgePool:
        members = tuple(_edge_member(member) for member in values["members"])
        single = all(member.single_ip for member in members)
        return c.EdgePool(
            **self.sited(
                {
                    "product": self.values["product"],
                    "federation": self.lone,
                    **values,
                    "members": members,
                    "access": c.AccessService(**{"port": 5061 if single else 443, **values["access"]}),
                    "webconf": c.WebconfService(**{"port": 444 if single else 443, **values["webconf"]}),
                    "av": c.AvService(**values["av"]),
                    "xmpp": c.XmppProxy(**_switched(values.get("xmpp", {}))),
                    "management": c.EdgeManagement(**values.get("management", {})),
                    "vips": _vips(values.get("vips", {})),
                }
            )
        )

    def reverse_proxy(self, values: Values) -> c.ReverseProxy:
        return c.ReverseProxy(
            **self.sited(
                {
                    **values,
                    "external": c.Translated(**values.get("external", {})),
                    "members": tuple(
                        c.ProxyMember(member["fqdn"], c.Translated(**member["external"]), member["internal"])
                        for member in values.get("members", ())
                    ),
                    "publishes": tuple(
                        c.Publication(**entry) if isinstance(entry, dict) else c.Publication(entry)
                        for entry in values.get("publishes", ())
                    ),
                }
            )
        )

    def server_pool(self, values: Values) -> Values:
        made: Values = {**values, "members": tuple(_member(member) for member in values["members"])}
        if "web" in values:
            made["web"] = c.WebServices(**values["web"])
        return self.sited(made)


def _edge_member(values: Values) -> c.EdgeMember:
    services = {key: c.Translated(**values[key]) for key in ("access", "webconf", "av")}
    return c.EdgeMember(fqdn=values["fqdn"], internal=values["internal"], **services)


def _vips(values: Values) -> c.EdgeVips:
    made: Values = dict(values)
    for key in ("access", "webconf", "av"):
        if key in values:
            made[key] = c.Translated(**values[key]) if isinstance(values[key], dict) else c.Translated(values[key])
    return c.EdgeVips(**made)


def _federation(values: Values) -> c.Federation:
    return c.Federation(
        **{
            **_switched(values),
            "sip_partners": tuple(c.SipPartner(**partner) for partner in values.get("sip_partners", ())),
            "xmpp_partners": tuple(c.XmppPartner(**partner) for partner in values.get("xmpp_partners", ())),
            "office365": c.Office365(**_switched(values.get("office365", {}))),
            "push": c.Provider(**_switched(values.get("push", {}))),
            "public_im": c.Provider(**_switched(values.get("public_im", {}))),
        }
    )


def _policy(values: Values, declared: frozenset[str]) -> Policy:
    return Policy(
        **{
            **values,
            "rules": tuple(RuleSeverity(name, word) for name, (_, word) in sorted(values.get("rules", {}).items())),
            "optional_paths": tuple(sorted(set(values.get("optional_paths", ())))),
            "coverage": CoveragePolicy(**values.get("coverage", {})),
            "thresholds": Thresholds(**values.get("thresholds", {})),
            "local_paths": tuple(_local_path(path, declared) for path in values.get("local_paths", ())),
        }
    )


def _local_path(values: Values, declared: frozenset[str]) -> LocalPath:
    made = _renamed(values, {"from": "source", "to": "destination", "port": "ports"})
    for end in ("source", "destination"):
        made[end] = tuple(_selector(text, declared) for text in made[end])
    number = transport_number(made["transport"])
    made["transport"] = made["transport"] if number is None else TRANSPORTS[number]  # one spelling of each
    return LocalPath(**made)


def _selector(text: str, declared: frozenset[str]) -> Selector:
    kind = selector_kind(text, declared)
    if kind == "network":
        found = network(text)
        return Selector("network", str(found), found)
    name = text.lower().removesuffix(".")
    return Selector(kind or "fqdn", text if kind != "fqdn" or name not in declared else name)


def _declared(values: Values) -> frozenset[str]:
    """Every name that a local path may mean."""
    sections = ("edge_pools", "reverse_proxies", "director_pools", "front_end_pools", "mediation_pools")
    pools = [pool for section in sections for pool in values.get(section, ())]
    hosts = [host for section in SERVER_LISTS for host in values.get(section, ())]
    found = {item["fqdn"] for item in (*pools, *hosts, *(m for pool in pools for m in pool.get("members", ())))}
    found |= {other["name"] for other in values.get("others", ())}
    federation = values.get("federation", {})
    partners = (*federation.get("sip_partners", ()), *federation.get("xmpp_partners", ()))
    found |= {partner[key] for partner in partners for key in ("domain", "access_fqdn") if key in partner}
    return frozenset(found)
