"""A flow beside the row that came nearest: the differences that a person reads off the site's table, and no others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rules.components import PortRange
from rules.difference import Seen, local_path, nearest
from tests.policy.flows import contoso

EDGE, DIRECTOR, FRONT_END = "172.25.33.10", "192.168.10.50", "192.168.10.90"
"""Inner address of edge01, address of dir01, address of fe01: pcaps/contoso.yaml."""

SIP = Seen(EDGE, DIRECTOR, "tcp", 49300, 5061, ("tls",))
ROW = "int-sip-edge-to-director"


@pytest.mark.parametrize(
    ("seen", "differs"),
    [
        (SIP, []),
        (replace(SIP, services=()), []),  # no payload contradicts nothing
        (replace(SIP, destination=FRONT_END), ["it goes to fe01.contoso.net (fe), the row to next-hop-director"]),
        (replace(SIP, source=FRONT_END), ["it comes from fe01.contoso.net (fe), the row from edge-int"]),
        (replace(SIP, source=DIRECTOR, destination=EDGE), ["it was opened the other way round"]),
        (replace(SIP, port=443), ["it goes to port 443, the row to port 5061"]),
        (replace(SIP, transport="udp"), ["it is udp, the row tcp"]),
        (replace(SIP, services=("ssh",)), ["it is ssh, the row mtls"]),
        (replace(SIP, services=("unknown",)), ["what is spoken was not recognised, the row mtls"]),
        (
            replace(SIP, port=3389, services=("rdp",)),
            ["it goes to port 3389, the row to port 5061", "it is rdp, the row mtls"],
        ),
    ],
)
def test_on_the_site(seen: Seen, differs: list[str]) -> None:
    told = nearest(ROW, seen, contoso())
    assert told is not None
    assert told["differs"] == differs
    assert told["ends_compared"] is True
    assert (told["ports"], told["transport"], told["service"]) == ([5061], "tcp", "mtls")


def test_a_source_port_counts_where_the_row_has_one() -> None:
    """ext-av-tcp-out leaves from the A/V range, 50000 to 59999 (port summary, TCP 50,000-59,999 outbound)."""
    out = Seen("203.0.113.12", "198.51.100.99", "tcp", 40000, 443, ("pseudo-tls",))
    told = nearest("ext-av-tcp-out", out, contoso())
    assert told is not None
    assert "it goes from port 40000, the row from port 50000-59999" in told["differs"]


def test_a_row_that_does_not_apply_says_why() -> None:
    told = nearest("ext-access-pic-in", replace(SIP, source="198.51.100.99", destination="203.0.113.10"), contoso())
    assert told is not None
    assert told["differs"][0] == "the row does not apply here: public_im is off"


def test_without_a_topology_only_what_the_table_has_in_numbers() -> None:
    """ext-access-federation-out goes to 5061 everywhere; the Edge's inner port is the site's own number."""
    told = nearest("ext-access-federation-out", Seen("10.0.0.1", "10.0.0.2", "udp", 1, 443, ("ssh",)))
    assert told is not None
    assert told["ends_compared"] is False
    assert told["differs"] == [
        "it is udp, the row tcp",
        "it goes to port 443, the row to port 5061",
        "it is ssh, the row mtls",
    ]
    inner = nearest(ROW, replace(SIP, port=443))
    assert inner is not None
    assert inner["differs"] == []


def test_a_row_of_another_version_is_not_made_up() -> None:
    assert nearest("no-such-row", SIP) is None
    assert nearest("no-such-row", SIP, contoso()) is None


@pytest.mark.parametrize(
    ("ports", "service", "entry"),
    [
        ([PortRange(389, 389)], "", "port: 389"),
        ([PortRange(389, 389), PortRange(5000, 6000)], "tls", 'port: [389, "5000-6000"], service: tls'),
        ([PortRange(5000, 6000)], "unknown", 'port: "5000-6000"'),
    ],
)
def test_the_entry_for_the_topology(ports: list[PortRange], service: str, entry: str) -> None:
    assert local_path("a.example", "b.example", "tcp", ports, service) == (
        f"- {{id: NAME, from: a.example, to: b.example, transport: tcp, {entry}, "
        "reason: WHY, owner: WHO, expires: YYYY-MM-DD}"
    )
