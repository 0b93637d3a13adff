"""Text of a new topology file: a whole small site in example addresses, to be overwritten from top to bottom.

It loads without faults as it stands, so that a person can change one thing at a time and check again.
"""

from __future__ import annotations

from typing import Final

TEMPLATE: Final = """\
# Topology for Edgewarden: what is installed where. Replace the example values, then run `edgewarden topology check`.
# All other keys, and what each may hold: `edgewarden topology schema`. An absent key means that there is none.
edgewarden: 1
organization: Example
product: lync-2013              # lync-2010, lync-2013, sfb-2015, sfb-2019 or sfb-se
sip_domains: [example.com]
ad_domains: [corp.example.net]  # names that must never be shown outside

# Networks by zone; of nested ones the longest prefix wins. Every other address is external, or undeclared if private.
zones:
  perimeter-ext: [192.0.2.0/26, 10.1.1.0/24]    # outer perimeter: public addresses and their translations
  perimeter-int: [10.1.2.0/24]                  # inner perimeter: the internal interfaces of Edge and proxy
  internal: [10.10.0.0/16]
  vpn: [10.20.0.0/24]

firewalls:
  external: {addresses: [192.0.2.1, 10.1.1.1], nat: static}   # nat: none when the Edge has public addresses itself
  internal: {addresses: [10.1.2.1, 10.10.0.1]}                # leave out when there is no second firewall

# Where you capture. The name stands before a capture: `edgewarden audit outer=a.pcapng inner=b.pcapng`
sensors:
  - {name: outer, position: external, side: outside}
  - {name: inner, position: internal, side: inside}

edge_pools:
  - fqdn: edgepool.corp.example.net
    next_hop: dirpool.corp.example.net          # the Director pool; without one, the Front End pool
    access: {fqdn: sip.example.com}             # port: 443
    webconf: {fqdn: webconf.example.com}        # port: 443
    av: {fqdn: av.example.com}                  # port: 443
    # xmpp: {fqdn: xmpp.example.com}
    members:
      - fqdn: edge1.corp.example.net
        internal: 10.1.2.11
        access: {public: 192.0.2.11, private: 10.1.1.11}      # without translation: public alone
        webconf: {public: 192.0.2.12, private: 10.1.1.12}
        av: {public: 192.0.2.13, private: 10.1.1.13}

reverse_proxies:
  - fqdn: proxy.corp.example.net
    external: {public: 192.0.2.21, private: 10.1.1.21}
    internal: 10.1.2.21
    publishes:
      - {host: web.example.com, to: fepool.corp.example.net}
      - {host: webdir.example.com, to: dirpool.corp.example.net}
      - {host: meet.example.com, to: dirpool.corp.example.net}
      - {host: dialin.example.com, to: dirpool.corp.example.net}
      - {host: lyncdiscover.example.com, to: dirpool.corp.example.net}

director_pools:
  - fqdn: dirpool.corp.example.net
    web: {external: webdir.example.com}         # vip: the balancer's address, when there are several members
    members:
      - {fqdn: dir1.corp.example.net, address: 10.10.1.11}

front_end_pools:
  - fqdn: fepool.corp.example.net
    web: {external: web.example.com, vip: 10.10.1.20}
    cms_master: fe1.corp.example.net            # holds the Central Management store
    members:
      - {fqdn: fe1.corp.example.net, address: 10.10.1.21}
      - {fqdn: fe2.corp.example.net, address: 10.10.1.22}

simple_urls: {meet: [meet.example.com], dialin: [dialin.example.com]}
autodiscover: {external: [lyncdiscover.example.com], internal: [lyncdiscoverinternal.example.com]}

clients:
  lan: [10.10.100.0/22]
  # egress: [192.0.2.60]                        # what inside clients look like on the Internet
  # admin: [10.10.1.200]                        # where administrators run centralized logging commands

federation:
  enabled: true
  discovery: true                               # false: only the partners listed here
  sip_partners:
    - {domain: partner.example, access_fqdn: sip.partner.example, access: [198.51.100.11], av: [198.51.100.13]}

mobility: true

policy:
  director_bypass: strict                       # documented-open: Edge to Front End past the Director is only noted
  # rules: {edge-internal-dns: high}            # a severity of your own, or off
"""
