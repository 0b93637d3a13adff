"""A draft from captures names what is there, and nothing else: the shipped captures are held against the site that
they were made for (`pcaps/contoso.yaml`), and what is not seen or could mislead against flows made up for it."""

from __future__ import annotations

from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from monitor.capture_arguments import parse
from monitor.cli import main
from monitor.sightings import sightings_of
from rules.load import TopologyFaults, load, read
from rules.names import INTERNAL, PERIMETER_EXT, PERIMETER_INT
from rules.sighted import draft_from
from rules.sightings import MAX_NAMES, Flow, Sightings

PCAPS = Path(__file__).parents[2] / "pcaps"
CLEAN = (str(PCAPS / "clean-external.pcapng"), str(PCAPS / "clean-internal.pcapng"))
BAD = (str(PCAPS / "violations-external.pcapng"), str(PCAPS / "violations-internal.pcapng"))
CONTOSO = load(PCAPS / "contoso.yaml")


@cache
def text_of(captures: tuple[str, ...]) -> str:
    found, replays = sightings_of([parse(name, [], sensor_needed=False) for name in captures])
    assert not [mistake for replay in replays for mistake in replay.mistakes]
    return draft_from(found, captures).text


def values(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def drafted(*flows: Flow) -> Any:
    return values(text_with(*flows))


def text_with(*flows: Flow) -> str:
    sightings = Sightings()
    for flow in flows:
        sightings.add(flow)
    return draft_from(sightings, ["x.pcap"]).text


def tls(opener: str, listener: str, port: int = 443, *, asked: str | None = None, **names: tuple[str, ...]) -> Flow:
    return Flow(opener, listener, "tcp", port, 1, ("tls",), asked=asked, **names)  # type: ignore[arg-type]


def relay(opener: str, listener: str, port: int = 443) -> Flow:
    return Flow(opener, listener, "tcp", port, 1, ("pseudo-tls", "turn"), relay=True)


# --- the shipped captures against the site they were made for --------------------------------------------------------


def test_the_edge() -> None:
    [pool] = values(text_of(CLEAN))["edge_pools"]
    [real] = CONTOSO.edge_pools
    assert (pool["fqdn"], pool["next_hop"]) == (real.fqdn, real.next_hop)
    assert (pool["access"], pool["webconf"]) == (
        {"fqdn": real.access.fqdn, "port": 443},
        {"fqdn": real.webconf.fqdn, "port": 443},
    )
    assert pool["av"] == {"fqdn": "TODO", "port": 443}  # a relay shows no certificate
    assert pool["xmpp"] == {"enabled": True}
    assert {member["internal"] for member in pool["members"]} == {"172.25.33.10", "172.25.33.11"}
    assert {member["fqdn"] for member in pool["members"]} == {"TODO"}


def test_outer_addresses_of_several_servers_are_candidates_not_guesses() -> None:
    lines = [line for line in text_of(CLEAN).splitlines() if "public: TODO" in line]
    assert len(lines) == 6  # two servers, three services
    assert [line.partition("# ")[2] for line in lines[1:3]] == [
        "203.0.113.20, the only one seen",
        "one of 203.0.113.30, 203.0.113.31",
    ]


@pytest.mark.parametrize("captures", [CLEAN, (*BAD, *CLEAN)], ids=["clean", "with violations"])
def test_every_address_of_the_perimeter_is_in_its_zone(captures: tuple[str, ...]) -> None:
    zones = values(text_of(captures))["zones"]
    for zone in (PERIMETER_EXT, PERIMETER_INT, INTERNAL):
        assert zones[zone]
        for address in zones[zone]:
            assert CONTOSO.zone_of(ip_address(address)) == zone, address


def test_the_inside() -> None:
    site = values(text_of(CLEAN))
    [director] = site["director_pools"]
    assert director["fqdn"] == "dirpool01.contoso.net"
    assert {member["address"] for member in director["members"]} == {"192.168.10.50", "192.168.10.51"}
    assert director["web"] == {"vip": "192.168.10.55"}
    [front] = site["front_end_pools"]
    assert (front["fqdn"], front["xmpp_gateway"], front["cms"]) == ("pool01.contoso.net", True, True)
    assert front["web"] == {"external": "webext.contoso.com", "vip": "192.168.10.95"}
    assert {member["address"] for member in front["members"]} <= {"192.168.10.90", "192.168.10.91", "192.168.10.92"}
    assert site["office_web_apps"] == [{"fqdn": "officewebapps01.contoso.com", "address": "192.168.10.60"}]
    assert site["clients"] == {"admin": ["192.168.10.200"]}


def test_the_proxy() -> None:
    [proxy] = values(text_of(CLEAN))["reverse_proxies"]
    assert (proxy["external"], proxy["internal"]) == ({"public": "203.0.113.40"}, "172.25.33.40")
    assert proxy["publishes"] == [
        {"host": "webext.contoso.com", "to": "pool01.contoso.net"},
        {"host": "meet.contoso.com", "to": "dirpool01.contoso.net"},
        {"host": "lyncdiscover.contoso.com", "to": "dirpool01.contoso.net"},
        {"host": "officewebapps01.contoso.com", "to": "officewebapps01.contoso.com"},
    ]


def test_partners() -> None:
    site = values(text_of(CLEAN))
    assert site["sip_domains"] == ["contoso.com", "fabrikam.com"]
    assert (site["federation"]["sip_partners"], site["federation"]["xmpp_partners"]) == (None, None)
    assert commented(text_of(CLEAN)) == [
        {"domain": "litware.com", "access_fqdn": "sip.litware.com", "access": ["198.51.100.10"]},
        {"domain": "woodgrove.example", "addresses": ["198.51.100.69"]},
    ]


def commented(text: str) -> list[Any]:
    """Entries that stand in the draft as comments, each with a TODO of its own."""
    lines = text.splitlines()
    places = [number for number, line in enumerate(lines) if line.lstrip().startswith("# - {")]
    assert all("TODO wanted?" in lines[number] or "TODO wanted?" in lines[number - 1] for number in places)
    return [values(lines[number].lstrip().removeprefix("# "))[0] for number in places]


def test_what_breaks_the_rules_is_not_declared() -> None:
    """Captures of violations alone (scenarios/violations-*.yaml say which): a server in the perimeter that opens web
    sites past the proxy, an administrator's host that opens SIP and A/V authentication, a Front End called past the
    Director, an XMPP domain nobody listed."""
    text = text_of(BAD)
    active = "\n".join(line.partition("#")[0] for line in text.splitlines())
    for suspect in ("evil.example", "172.25.33.77", "adm01.contoso.net", "192.168.20.7", "192.0.2.66", "198.51.100.99"):
        assert suspect in text
        assert suspect not in active
    assert "next_hop: TODO   # the Edge opened SIP to pool01.contoso.net (1 flow), too little to tell" in text
    assert "# - reverse proxy 172.25.33.77: opens web sites of the inside, 1 flow" in text


def test_what_breaks_the_rules_among_clean_traffic_asks_first() -> None:
    """Captures of both kinds: a name of the inside that a client asked the proxy for, a firewall that translated a
    Front End's address into its own, a meeting handed to the wrong pool."""
    text = text_of((*BAD, *CLEAN))
    site = values(text)
    published = site["reverse_proxies"][0]["publishes"]
    assert all(isinstance(entry, dict) for entry in published), "no name without the pool behind it"
    assert "# - pool01.contoso.net   # TODO wanted? a name of the inside, which should not be shown outside" in text
    hosts = {member["address"] for member in site["front_end_pools"][0]["members"]}
    assert hosts == {"192.168.10.90", "192.168.10.91"}
    assert "# address: 172.25.33.1   # 1 flow, TODO a server? it is beside the Edge" in text
    lines = text.splitlines()
    place = next(number for number, line in enumerate(lines) if "{host: meet.contoso.com" in line)
    assert "# TODO or to dirpool01.contoso.net (1 flow): it was opened there, too" in lines[place - 1]


def test_a_pool_in_the_network_of_the_edge_is_still_a_pool() -> None:
    """Wholly beside the Edge it is what it is; only one that has servers elsewhere hides behind a firewall."""
    front = ("pool01.contoso.net", "fe01.contoso.net", "fe02.contoso.net")

    def members(*addresses: str) -> list[str]:
        flows = [relay(address, "172.25.33.10") for address in addresses]
        for address in addresses:
            opened = tls(address, "172.25.33.10", 8057, server_names=("edge.contoso.net",), client_names=front)
            flows += [opened, opened]
        site = drafted(*flows)
        return [member["address"] for member in site["front_end_pools"][0]["members"]]

    assert members("172.25.33.90", "172.25.33.91") == ["172.25.33.90", "172.25.33.91"]
    assert members("192.168.10.90", "172.25.33.1") == ["192.168.10.90"]


@pytest.mark.parametrize(
    ("pool", "asked", "live"),
    [
        ("pool01.contoso.net", "meet.contoso.com", True),
        ("pool01.contoso.net", "pool01.contoso.net", False),
        ("pool01.contoso.net", "fe01.contoso.net", False),
        # one domain inside and outside: only the pool's own name is known for one of the inside
        ("pool01.contoso.com", "web.contoso.com", True),
        ("pool01.contoso.com", "pool01.contoso.com", False),
    ],
)
def test_names_of_the_inside_are_not_published(pool: str, asked: str, live: bool) -> None:
    edge = ("edge" + pool.removeprefix("pool01"),)
    front = tls("192.168.10.90", "172.25.33.10", 8057, server_names=edge, client_names=(pool, "web.contoso.com"))
    site = drafted(
        tls(CLIENT, "203.0.113.10", asked="sip.contoso.com", server_names=OURS),
        relay("192.168.10.90", "172.25.33.10"),
        *[front] * 2,
        *[tls("172.25.33.40", "192.168.10.95", 4443, asked=asked, server_names=(pool,))] * 2,
    )
    assert site["reverse_proxies"][0]["publishes"] == ([{"host": asked, "to": pool}] if live else None)


def test_what_a_branch_appliance_opens_makes_no_pool() -> None:
    """Path document 2.4: of the inside servers an appliance opens 5062 alone."""
    assert (
        "# - server sba01.contoso.net at 192.168.30.10: opens the Edge on 5062, as a branch appliance does "
        "(branch_appliances), 1 flow"
    ) in text_of(CLEAN).replace("\n#   ", " ")


def test_captures_of_something_else_make_no_proxy() -> None:
    flow = Flow("1.1.1.1", "192.168.1.5", "tcp", 8080, 9, ("http",), asked="www.fabrikam.example")
    site = drafted(flow)
    assert set(site) == {"edgewarden", "organization", "product", "zones", "edge_pools"}
    assert site["zones"] == {"perimeter-ext": ["TODO"], "perimeter-int": ["TODO"], "internal": ["TODO"]}


def test_the_draft_has_faults_at_its_todos_only() -> None:
    text = text_of(CLEAN)
    lines = text.splitlines()
    with pytest.raises(TopologyFaults) as raised:
        read(text.encode(), "draft.yaml")
    for fault in raised.value.faults:
        assert lines[fault.line - 1][fault.column - 1 :].startswith("TODO"), fault


def test_entries_have_a_reason_and_a_count() -> None:
    lines = text_of(CLEAN).splitlines()
    place = lines.index("    next_hop: dirpool01.contoso.net   # the Edge opens SIP to it on 5061, 2 flows")
    assert (
        lines[place - 1] == "    # TODO whether this is the next hop that was meant: all SIP from outside may go there"
    )
    assert any("198.51.100.150 (sip.adatum.example)" in line for line in lines)  # somebody else's Edge: no role


# --- what could mislead ----------------------------------------------------------------------------------------------

OURS = ("sip.contoso.com", "webcon.contoso.com")
CLIENT = "192.0.2.25"


def test_nothing_was_seen() -> None:
    site = drafted()
    assert site["zones"] == {"perimeter-ext": ["TODO"], "perimeter-int": ["TODO"], "internal": ["TODO"]}
    assert site["edge_pools"][0]["members"][0]["internal"] == "TODO"
    assert set(site) == {"edgewarden", "organization", "product", "zones", "edge_pools"}


def test_one_server_gets_its_addresses() -> None:
    site = drafted(
        tls(CLIENT, "203.0.113.10", asked="sip.contoso.com", server_names=OURS),
        tls(CLIENT, "203.0.113.20", asked="webcon.contoso.com", server_names=OURS),
        relay(CLIENT, "203.0.113.30"),
        relay("192.168.10.90", "172.25.33.10"),
        tls("192.168.10.90", "172.25.33.10", 5062, server_names=("edge.contoso.net",)),
    )
    assert site["edge_pools"][0]["members"] == [
        {
            "fqdn": "TODO",
            "internal": "172.25.33.10",
            "access": {"public": "203.0.113.10"},
            "webconf": {"public": "203.0.113.20"},
            "av": {"public": "203.0.113.30"},
        }
    ]


def test_an_internal_interface_that_shows_only_its_certificate() -> None:
    """The Edge's own certificate on an inside port: a server that relayed nothing while captures ran."""
    edge = ("edge.contoso.net",)
    site = drafted(
        relay("192.168.10.90", "172.25.33.10"),
        tls("192.168.10.90", "172.25.33.10", 5062, server_names=edge),
        tls("192.168.10.90", "172.25.33.11", 4443, server_names=edge),
        tls("192.168.10.90", "172.25.33.12", 4443, server_names=("other.contoso.net",)),
    )
    [pool] = site["edge_pools"]
    assert [member["internal"] for member in pool["members"]] == ["172.25.33.10", "172.25.33.11"]


def test_one_address_for_all_services() -> None:
    site = drafted(
        tls(CLIENT, "203.0.113.10", 5061, asked="sip.contoso.com", server_names=OURS),
        tls(CLIENT, "203.0.113.10", 444, server_names=OURS),
        relay(CLIENT, "203.0.113.10"),
    )
    pool = site["edge_pools"][0]
    assert [pool[key]["port"] for key in ("access", "webconf", "av")] == [5061, 444, 443]
    assert {pool["members"][0][key]["public"] for key in ("access", "webconf", "av")} == {"203.0.113.10"}


def test_the_pair_of_one_address_goes_to_all_services_on_it() -> None:
    """A firewall translates an address, not a service (path document 2.1, single-IP plan with static NAT): what was
    seen behind it of one service holds for the others, and only for those on the same address."""
    flows = [
        tls(CLIENT, "203.0.113.11", 5061, asked="sip.contoso.com", server_names=OURS),
        tls(CLIENT, "10.1.1.11", 5061, asked="sip.contoso.com", server_names=OURS),
        tls(CLIENT, "203.0.113.11", 444, server_names=OURS),
    ]
    [member] = drafted(*flows, relay(CLIENT, "203.0.113.11"))["edge_pools"][0]["members"]
    pair = {"public": "203.0.113.11", "private": "10.1.1.11"}
    assert [member[key] for key in ("access", "webconf", "av")] == [pair, pair, pair]
    [member] = drafted(*flows, relay(CLIENT, "203.0.113.30"))["edge_pools"][0]["members"]
    assert [member[key] for key in ("access", "webconf", "av")] == [pair, pair, {"public": "203.0.113.30"}]


@pytest.mark.parametrize(
    ("ports", "virtual"),
    [
        ({9: (5061, 5062), 11: (8057, 23456), 12: (4443,)}, "172.25.33.9"),
        # by DNS each server answers SIP itself
        ({11: (5061, 5062, 8057), 12: (5061, 4443)}, None),
        # two servers of which little was seen, or of which one was seen at less
        ({11: (5061, 5062), 12: (4443,)}, None),
        ({9: (5061,), 11: (8057,), 12: (4443,)}, None),
    ],
)
def test_a_balancers_address_inside(ports: dict[int, tuple[int, ...]], virtual: str | None) -> None:
    """Path document 2.5: SIP and A/V authentication at the virtual address, conferencing, replication and logging
    always at the nodes."""
    flows = []
    for last, answered in ports.items():
        edge = f"172.25.33.{last}"
        flows += [relay("192.168.10.90", edge)]
        flows += [tls("192.168.10.90", edge, port, server_names=("edge.contoso.net",)) for port in answered]
    site = drafted(*flows)
    [pool] = site["edge_pools"]
    nodes = {f"172.25.33.{last}" for last in ports} - {virtual}
    assert {member["internal"] for member in pool["members"]} == nodes
    assert pool.get("vips") == ({"internal": virtual} if virtual else None)
    assert ("load_balancing" in site) == (virtual is not None)


def test_what_only_mobile_clients_do_is_hinted() -> None:
    proxy = ("lyncdiscover.contoso.com", "meet.contoso.com")
    outer = tls(CLIENT, "203.0.113.40", asked="meet.contoso.com", server_names=proxy)
    assert "mobility" not in text_with(outer)
    hairpin = tls("192.168.21.9", "203.0.113.40", asked="lyncdiscover.contoso.com", server_names=proxy)
    told = text_with(outer, hairpin)
    assert "# mobility: true   # TODO mobile clients? private addresses open the proxy's outer side, 1 flow" in told
    assert "# mobility: true   # TODO mobile clients? the proxy opens 8080 inside" in text_of(CLEAN)


def test_a_partner_is_not_ours() -> None:
    """Its Edge is opened by ours and by inside clients, never by clients on the Internet."""
    site = drafted(
        tls(CLIENT, "203.0.113.10", asked="sip.contoso.com", server_names=OURS),
        tls("203.0.113.10", "198.51.100.10", 5061, server_names=("sip.litware.com",), client_names=OURS),
        tls("192.168.20.7", "198.51.100.10", asked="sip.litware.com", server_names=("sip.litware.com",)),
        relay("192.168.20.7", "198.51.100.30"),
    )
    assert site["zones"]["perimeter-ext"] == ["203.0.113.10"]
    assert site["edge_pools"][0]["av"] == {"fqdn": "TODO"}
    assert site["federation"]["sip_partners"] is None


def test_names_that_anybody_asks_for_are_not_published() -> None:
    proxy = ("lyncdiscover.contoso.com", "meet.contoso.com")
    site = drafted(
        tls(CLIENT, "203.0.113.40", asked="meet.contoso.com", server_names=proxy),
        tls(CLIENT, "203.0.113.40", asked="evil.example", server_names=proxy),
    )
    assert site["reverse_proxies"][0]["publishes"] == ["meet.contoso.com"]


def test_a_client_past_the_proxy_is_no_proxy() -> None:
    site = drafted(
        tls(CLIENT, "203.0.113.10", asked="sip.contoso.com", server_names=OURS),
        tls(CLIENT, "192.168.10.95", 4443, asked="meet.contoso.com", server_names=("pool01.contoso.net",)),
    )
    assert "reverse_proxies" not in site


def test_one_odd_client_does_not_change_a_port() -> None:
    flows = [tls(CLIENT, "203.0.113.10", asked="sip.contoso.com", server_names=OURS)] * 3
    assert drafted(*flows, relay("192.0.2.66", "203.0.113.10"))["edge_pools"][0]["av"] == {"fqdn": "TODO"}


def test_a_proxy_that_did_nothing_else_than_what_others_did_not() -> None:
    """Its only flow went to a port on which the listener mostly spoke something else."""
    ours = tls("192.168.10.90", "192.168.10.95", 4443)
    assert "reverse_proxies" not in drafted(
        relay(CLIENT, "192.168.10.95", 4443), relay(CLIENT, "192.168.10.95", 4443), ours
    )


def test_names_from_the_wire_stay_names() -> None:
    for name in ("x: [1]\n evil", "*", "-", "TODO", "a" * 300 + ".example", "sip.é.example", "1.2.3.4"):
        site = drafted(
            tls(CLIENT, "203.0.113.10", 5061, asked=name, server_names=(name,)),
            Flow(CLIENT, "203.0.113.10", "tcp", 5269, 1, ("xmpp",), xmpp=(name, name)),
        )
        assert "evil" not in site
        assert site["edge_pools"][0]["access"]["fqdn"] == "TODO"


def test_names_are_bounded() -> None:
    sightings = Sightings()
    for number in range(1000):
        sightings.add(tls(CLIENT, "203.0.113.10", asked=f"a{number}.example", server_names=(f"b{number}.example",)))
    [seen] = sightings.pairs.values()
    assert len(seen.asked) == MAX_NAMES
    assert [len(names) for names in sightings.names.values()] == [MAX_NAMES]


ADDRESSES = st.sampled_from(
    [CLIENT, "203.0.113.10", "203.0.113.30", "172.25.33.10", "192.168.10.90", "2001:db8::1", "x"]
)
NAMES = st.sampled_from(["sip.contoso.com", "meet.contoso.com", "pool.contoso.net", "TODO", "\u202e", ""])
FLOWS = st.builds(
    Flow,
    ADDRESSES,
    ADDRESSES,
    st.sampled_from(["tcp", "udp"]),
    st.sampled_from([443, 444, 5061, 5062, 4443, 8080, 5269, 3478, 23456, 50001, 80]),
    st.integers(1, 3),
    st.lists(st.sampled_from(["tls", "turn", "pseudo-tls", "http", "xmpp"]), max_size=2),
    st.booleans(),
    st.none() | NAMES,
    st.lists(NAMES, max_size=2).map(tuple),
    st.lists(NAMES, max_size=2).map(tuple),
    st.none() | st.tuples(NAMES, NAMES),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(FLOWS, max_size=12))
def test_any_flows_give_a_file_whose_only_faults_are_its_todos_and_double_addresses(flows: list[Flow]) -> None:
    sightings = Sightings()
    for flow in flows:
        sightings.add(flow)
    text = draft_from(sightings, ["x.pcap"]).text
    faults: tuple[Any, ...] = ()
    try:
        read(text.encode(), "draft.yaml")
    except TopologyFaults as error:
        faults = error.faults
    for fault in faults:
        assert "not YAML" not in fault.message
        assert "unknown key" not in fault.message


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "topology.yaml"
    assert main(["topology", "new", "--output", str(output), "--from-capture", *CLEAN]) == 0
    assert output.read_text(encoding="utf-8") == text_of(CLEAN)
    err = capfd.readouterr().err
    assert "assumed: a partner's SIP domain" in err
    assert "seen, and given no role: " in err
    assert "TODO to fill in" in err


def test_without_a_capture_there_is_no_draft(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "no.pcap").write_text("no capture")
    mine = tmp_path / "mine.yaml"
    mine.write_text("# a morning's work\n")
    for capture, why in (("no.pcap", "is no capture"), ("gone.pcap", "gone.pcap")):
        words = ["topology", "new", "--output", str(mine), "--from-capture", str(tmp_path / capture)]
        assert main(words) == 2
        out, err = capfd.readouterr()
        assert out == ""
        assert "no capture to draft from" in err
        assert why in err
    assert mine.read_text() == "# a morning's work\n"


@pytest.mark.parametrize(
    "words",
    [
        ["topology", "new"],
        ["topology", "new", "--from-capture", CLEAN[0]],
        ["topology", "import", str(Path(__file__).parent / "deployed" / "contoso-topology.xml")],
        ["settings", "new"],
    ],
    ids=" ".join,
)
def test_a_draft_keeps_the_work_that_it_replaces(words: list[str], tmp_path: Path) -> None:
    mine, kept = tmp_path / "mine.yaml", tmp_path / "mine.yaml~"
    words = [*words[:2], "--output", str(mine), *words[2:]]
    assert main(words) == 0
    assert not kept.exists(), "there was nothing to keep"
    mine.write_text("# a morning's work\n")
    assert main(words) == 0
    assert len(mine.read_text().splitlines()) > 20
    assert kept.read_text() == "# a morning's work\n"
