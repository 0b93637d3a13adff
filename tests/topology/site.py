"""A small valid site as text, from which tests make others by changing one place, and how such texts are read."""

from __future__ import annotations

from rules.load import TopologyFaults, read
from rules.topology import Topology

FILE = "site.yaml"

SITE = """\
edgewarden: 1
organization: Example
product: sfb-2015
sites: [{name: north}, {name: south}]
zones:
  perimeter-ext: [192.0.2.0/25, 10.1.1.0/24, "2001:db8:1::/64"]
  perimeter-int: [10.1.2.0/24]
  internal: [10.10.0.0/16]
  vpn: [10.20.0.0/24]
firewalls:
  external: {addresses: [192.0.2.1, 10.1.1.1], nat: static}
  internal: {addresses: [10.1.2.1, 10.10.0.1]}
sensors:
  - {name: outer, position: external, side: outside, vlans: [10]}
load_balancing: {external: none, internal: none}
edge_pools:
  - fqdn: edge.example.net
    next_hop: dir.example.net
    serves: [fe.example.net]
    access: {fqdn: sip.example.com}
    webconf: {fqdn: webconf.example.com, port: 443}
    av: {fqdn: av.example.com, range: "50000-59999"}
    members:
      - fqdn: edge1.example.net
        internal: 10.1.2.11
        access: {public: 192.0.2.11, private: 10.1.1.11}
        webconf: {public: 192.0.2.12, private: 10.1.1.12}
        av: {public: [192.0.2.13, "2001:db8:1::13"], private: 10.1.1.13}
reverse_proxies:
  - fqdn: proxy.example.net
    external: {public: 192.0.2.21, private: 10.1.1.21}
    internal: 10.1.2.21
    publishes: [{host: web.example.com, to: fe.example.net}, meet.example.com]
    other_sites: [shop.example.com]
director_pools:
  - fqdn: dir.example.net
    site: south
    members:
      - {fqdn: dir.example.net, address: 10.10.1.11}
front_end_pools:
  - fqdn: fe.example.net
    edition: enterprise
    web: {external: web.example.com, vip: 10.10.1.20}
    cms_master: fe1.example.net
    members:
      - {fqdn: fe1.example.net, address: 10.10.1.21}
      - {fqdn: fe2.example.net, address: 10.10.1.22}
infrastructure:
  - {fqdn: dc1.example.net, address: 10.10.1.5}
others:
  - {name: mail1, addresses: [192.0.2.50, 10.1.1.50]}
clients:
  lan: [10.10.100.0/24]
federation:
  enabled: true
  sip_partners:
    - {domain: partner.example, access: [198.51.100.11], product: ocs-2007}
  xmpp_partners:
    - {domain: jabber.example, addresses: [198.51.100.69], tls: required, sasl: optional, dialback: true}
policy:
  tls_minimum: "1.2"
  rules: {unlisted-path: medium}
  coverage: {max_loss: 0.01}
  thresholds: {director_flood_factor: 5}
  local_paths:
    - {id: local-ntp, from: edge-int, to: [10.10.1.5, dc1.example.net], transport: udp, port: 123, service: ntp,
       expires: 2027-01-01}
"""


def changed(old: str, new: str) -> str:
    """SITE with the one place `old` replaced."""
    assert SITE.count(old) == 1, f"{old!r} must be in SITE once"
    return SITE.replace(old, new)


def site(text: str = SITE) -> Topology:
    return read(text.encode(), FILE, known_rules={"unlisted-path", "sip-udp"})


def faults(text: str) -> list[tuple[int, int, str]]:
    """(line, column, rest of the message) of every fault; [] when there is none."""
    try:
        site(text)
    except TopologyFaults as error:
        found = [str(fault).split(":", 3) for fault in error.faults]
        assert all(name == FILE for name, _line, _column, _message in found)
        return [(int(line), int(column), message) for _name, line, column, message in found]
    return []
