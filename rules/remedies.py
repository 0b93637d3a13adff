"""What to do about each rule, and what the rules mean that no function judges on flows.

Strategy: one sentence for each id of the rule list, in the order of that list, for `policy explain` and docs/policy.md;
a finding's own sentence is the more exact one, since it names the hosts. A test fails when an id lacks its remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

REMEDIES: Final[Mapping[str, str]] = {
    "external-to-internal-direct": "Close both firewalls to the flow; publish the service by the Edge or the proxy.",
    "internal-to-external-direct": "Close the firewalls to it and let signalling and media leave by the Edge.",
    "director-bypass-sip": "Let the internal firewall pass SIP from the Edge to its next hop alone, or say "
    "`director_bypass: documented-open` if the bypass is meant.",
    "director-bypass-web": "Publish simple URLs and Autodiscover to the Director's external web site.",
    "director-dos-past-director": "Look for the source at the external firewall and bar it there; check that the "
    "Director is the next hop and rejects unknown accounts.",
    "director-missing": "Consider a Director as next hop: without one a Front End authenticates whoever comes.",
    "reverse-proxy-bypass": "Close the firewalls to web services inside but for the proxy's inner address.",
    "reverse-proxy-nat-forward": "Take the forwarding rule out and publish the external web site on the proxy.",
    "reverse-proxy-tls-passthrough": "Let the proxy end TLS with a certificate of its own and open a new session "
    "inside.",
    "reverse-proxy-ssl-offload": "Let the proxy bridge to the external HTTPS port (4443) instead of the one in the "
    "clear.",
    "reverse-proxy-internal-site": "Let the proxy address the external web site (4443, 8080), never 443 or 80.",
    "reverse-proxy-host-rewritten": "Let the proxy forward the host header as the client sent it.",
    "reverse-proxy-http-content": "Let the proxy redirect port 80 to HTTPS, Autodiscover requests excepted.",
    "reverse-proxy-unexpected-egress": "Close the internal firewall to it, or declare what else the proxy publishes "
    "as a local path.",
    "mobility-not-via-proxy": "Let the mobility names resolve to the proxy's outer address inside, too.",
    "push-not-via-sipfed": "Close the firewalls to it; let notifications go from the Access Edge to "
    "sipfed.online.lync.com.",
    "admin-url-exposed": "Take the Admin URL and the control panel out of the proxy's publishing rules and out of "
    "public DNS.",
    "internal-web-fqdn-exposed": "Take the inside name out of the proxy's publishing rules and out of public DNS.",
    "external-web-fqdn-from-inside": "Let inside DNS answer the external web name for mobile clients alone.",
    "owas-in-perimeter": "Move Office Web Apps inside and publish it by the proxy.",
    "edge-to-internal-unlisted": "Close the internal firewall to it and find out what runs on the Edge.",
    "edge-as-router": "Turn forwarding off on whatever joins the two perimeter networks, and separate them.",
    "edge-internal-from-external": "Close every way from outside to the inner perimeter network.",
    "edge-same-subnet": "Give outer and inner interfaces of the Edge networks of their own, without a route between "
    "them.",
    "edge-internal-default-gateway": "Take the default gateway off the inner interface; add static routes to the "
    "inside networks.",
    "edge-internal-dns": "Let the Edge resolve by its hosts file or a name server outside, or name `int-edge-dns` "
    "under policy.optional_paths.",
    "edge-internal-nat": "Let the internal firewall route between inside networks and the Edge, without translation.",
    "edge-collocated-role": "Take the other role or service off the Edge Server and close its port.",
    "edge-service-split": "Let every member of the Edge pool run all Edge services; repair the one that refuses.",
    "edge-multiple-federation-routes": "Publish one Edge pool for federation, in DNS and in the topology.",
    "edge-egress-unlisted": "Close the external firewall to it and find out what runs on the Edge.",
    "edge-wrong-external-ip": "Bind the service to its own address; check the addresses of the Edge in Topology "
    "Builder.",
    "non-lync-endpoint-on-edge": "Find out whether the listener answered; bar the source if it goes on.",
    "unexpected-protocol-on-listener": "Find out what speaks there, and close the firewall to it.",
    "sba-direct-from-external": "Close both firewalls to the branch; its users come by the central Edge.",
    "lb-mixed-mode": "Balance both sides of the Edge pool in the same way, by DNS or by hardware.",
    "hlb-internal-vip-webconf": "Take the web conferencing port off the inner virtual address; Front Ends address the "
    "nodes.",
    "hlb-internal-vip-xmpp": "Take the XMPP port off the inner virtual address; the gateway addresses the nodes.",
    "hlb-internal-vip-mgmt": "Take replication and logging off the inner virtual address; they go to each node.",
    "hlb-node-direct-sip": "Let clients, partners and inside servers address the virtual address of the pool.",
    "hlb-with-nat": "Give nodes and virtual addresses public addresses of their own, or balance by DNS.",
    "hlb-av-snat": "Turn source translation off on the balancer for the A/V service.",
    "hlb-asymmetric-reply": "Let replies leave by the address that was asked; check default gateway and balancer.",
    "hlb-dsr": "Turn direct server return off on the balancer.",
    "nat-inbound-source-changed": "Let the external firewall change destinations only, inbound.",
    "nat-outbound-dest-changed": "Let the external firewall change sources only, outbound.",
    "nat-public-ip-mismatch": "Translate the A/V address to the public one that Topology Builder and this topology "
    "name.",
    "nat-port-translation": "Translate one address to one, and leave ports as they are.",
    "av-pool-hairpin-blocked": "Let members of the Edge pool reach each other by their public A/V addresses.",
    "dns-lb-for-web": "Put a hardware load balancer before the web services, and address that.",
    "sip-cleartext": "Let the connection use TLS, between servers mutual TLS; close port 5060.",
    "sip-udp": "Close the firewalls to SIP over UDP and find out what sends it.",
    "mtls-client-cert-missing": "Let the listener ask for a client certificate, and the peer have one.",
    "mtls-untrusted-peer": "Find out who stands at that address; correct its certificate or its name in the topology.",
    "tls-expected-cleartext": "Find out what speaks there; let the listener accept TLS alone.",
    "tls-weak": "Turn old versions and weak suites off on the server that chose them.",
    "tls-ios-below-1-2": "Let the proxy offer TLS 1.2.",
    "pseudo-tls-wrong-listener": "Correct the A/V port or address of the client's configuration, or bar the source.",
    "real-tls-on-av": "Give the A/V port back to the A/V service: nothing with a certificate belongs there.",
    "media-cleartext": "Let clients and servers demand SRTP; exempt no peer but those that cannot.",
    "media-range-inbound": "Close the relay range inbound but for OCS 2007 partners and Office 365.",
    "media-range-udp-legacy": "Close the relay range outbound by UDP but for OCS 2007 partners.",
    "media-unrelayed": "Close the firewalls to media between inside hosts and the Internet.",
    "turn-unauthenticated-flood": "Bar the source at the external firewall.",
    "turn-shared-secret": "Find out who asks; no client of the product does.",
    "ipsec-on-media": "Exempt the A/V addresses from IPsec policies.",
    "cert-name-mismatch": "Request a certificate with the names that the listener must have.",
    "cert-wildcard-edge": "Request a certificate that names each host.",
    "cert-private-ca-edge-external": "Give the Edge's outer side a certificate of a public authority.",
    "cert-differs-in-pool": "Export the certificate with its key and give it to every member.",
    "cert-no-cdp": "Request a certificate that names where its revocation list is.",
    "cert-expired": "Renew the certificate; of a partner's, tell the partner.",
    "crl-blocked": "Open port 80 outbound for the Access Edge.",
    "signin-rate-abuse": "Bar the source at the external firewall; look for accounts that were locked.",
    "xmpp-partner-not-configured": "Configure the partner in the product and in the topology, or bar it.",
    "xmpp-cleartext-not-permitted": "Let both servers offer STARTTLS, or state what the partner can under its `tls`.",
    "xmpp-sasl-without-tls": "Require TLS of a partner with SASL.",
    "xmpp-invalid-negotiation-config": "Choose a combination of TLS, SASL and dialback that the product supports.",
    "xmpp-gateway-direction": "Let Front Ends alone open the gateway's port at the Edge.",
    "xmpp-direct-from-internal": "Close the firewalls to port 5269 but at the Edge's proxy.",
    "xmpp-client-port": "Close the external firewall to port 5222 at the Edge.",
    "xmpp-unsupported-version": "Close the XMPP ports, or keep an Edge of 2015 or before for them.",
    "xmpp-multiple-sites": "Host XMPP federation in one site, in DNS and in the topology.",
    "xmpp-wrong-ip": "Let the SRV record of XMPP lead to the Access Edge's address.",
    "federation-partner-not-allowed": "List the partner, allow discovery, or bar it.",
    "federation-discovered-partner-rate": "List the partner if it is known, or bar it.",
    "federation-disabled-5061": "Close the external firewall to port 5061, or declare that federation is on.",
    "client-on-federation-port": "Let clients sign in on the client port, 443.",
    "cms-replication-wrong-source": "Open the replication port from the configuration master alone.",
    "cms-replication-reversed": "Close the internal firewall to it: the Edge opens no replication.",
    "cls-from-outside": "Open the logging ports from inside controllers alone.",
    "av-auth-wrong-source": "Open the authentication port from Front Ends and branch appliances alone.",
    "psom-reversed": "Close the internal firewall to it: Front Ends open web conferencing, the Edge never does.",
    "internal-port-exposed": "Close the internal firewall to it.",
    "av-media-over-vpn": "Exclude the A/V Edge's public addresses from the tunnel, and media ports from its routes.",
    "vpn-split-signalling-media": "Send both signalling and media of VPN clients beside the tunnel.",
    "sensor-blind": "Look for paths that should be used and are not; check the tap or mirror port.",
    "unlisted-path": "Close the firewall to it, or allow it under policy.local_paths with reason, owner and end.",
    "undeclared-network": "Declare the network under zones, or the host under others.",
}

MEANINGS: Final[Mapping[str, str]] = {
    "director-missing": "No Director is declared: a Front End is the next hop and authenticates whoever comes.",
    "edge-same-subnet": "Outer and inner interface of an Edge are in one network. They need two, without a route "
    "between them.",
    "hlb-with-nat": "A hardware-balanced Edge pool is translated. Its nodes and virtual addresses must be public.",
    "xmpp-invalid-negotiation-config": "An XMPP partner has a combination of TLS, SASL and dialback that the product "
    "does not support.",
    "vpn-split-signalling-media": "Signalling of a VPN client runs in the tunnel and its media beside it, or the "
    "other way.",
    "sensor-blind": "A sensor sees nothing of paths that must be in use.",
}
"""Of rules that no function judges on flows: what they say. A rule that is registered has its own text."""
