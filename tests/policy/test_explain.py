"""The policy as data and in words."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from reports.policy_tables import policy_csv, policy_markdown
from rules.catalogue import RULE_IDS
from rules.components import PortRange
from rules.explain import policy_explain, policy_list
from rules.load import read
from rules.reach import WEB_WORDS, WORDS
from rules.rows import table
from rules.site_policy import LocalPath, Policy, RuleSeverity, Selector
from rules.topology import Topology
from rules.words import MEANT
from tests.policy.flows import contoso
from tests.policy.test_paths import LYNC_2013
from tests.policy.variants import site
from tests.topology.plans import contoso_as, contoso_text


def test_list_has_the_promised_shape() -> None:
    listed = policy_list(contoso())
    assert json.loads(json.dumps(listed)) == listed
    assert list(listed) == ["paths", "rules"]
    for path in listed["paths"]:
        assert list(path) == [
            "id",
            "position",
            "source",
            "destination",
            "transport",
            "ports",
            "service",
            "initiator",
            "applies",
            "why",
        ]
        assert all(isinstance(port, int | str) for port in path["ports"])
    assert {path["id"] for path in listed["paths"] if path["applies"]} == LYNC_2013
    assert len(listed["paths"]) == len(table().rows)
    for rule in listed["rules"]:
        assert list(rule) == ["id", "severity", "positions", "state", "why"]
        assert rule["state"] in ("on", "off", "not-observable")
    assert {rule["id"] for rule in listed["rules"]} == RULE_IDS


def test_list_follows_the_site() -> None:
    topology = replace(
        contoso(), policy=Policy(rules=(RuleSeverity("sip-udp", "off"), RuleSeverity("real-tls-on-av", "low")))
    )
    rules = {rule["id"]: rule for rule in policy_list(topology)["rules"]}
    assert (rules["sip-udp"]["state"], rules["sip-udp"]["severity"]) == ("off", "high")
    assert rules["real-tls-on-av"]["severity"] == "low"
    assert rules["sensor-blind"]["state"] == "not-observable"
    assert rules["sensor-blind"]["why"].startswith("no flow can show it")
    opened = replace(contoso(), policy=Policy(director_bypass="documented-open"))
    assert {r["id"]: r["severity"] for r in policy_list(opened)["rules"]}["director-bypass-sip"] == "info"


def test_ports_are_numbers_and_ranges() -> None:
    ports = {path["id"]: path["ports"] for path in policy_list(contoso())["paths"]}
    assert ports["ext-av-range-tcp-in"] == ["50000-59999"]
    assert ports["ext-rp-mobile-hairpin"] == [443, 80]
    assert ports["ext-av-range-udp-out"] == ["1-65535"]


@pytest.mark.parametrize("with_site", [True, False])
def test_every_row_and_rule_can_be_explained(with_site: bool) -> None:
    topology = contoso() if with_site else None
    for wanted in [*RULE_IDS, *(row.id for row in table().rows)]:
        text = policy_explain(wanted, topology)
        assert text.startswith(wanted)
        assert text.endswith("\n")
        assert all(len(line) <= 120 for line in text.splitlines())
    with pytest.raises(KeyError):
        policy_explain("no-such-thing", topology)


def test_an_explanation_says_what_matters() -> None:
    text = policy_explain("director-bypass-sip", contoso())
    assert "critical" in text
    assert "edge-to-internal-unlisted" in text
    off = policy_explain("ext-access-pic-in", contoso())
    assert "does not apply here" in off
    assert "public_im is off" in off
    assert "no flow can show it" in policy_explain("sensor-blind")


def test_every_word_of_the_rows_is_told() -> None:
    assert set(MEANT) == WORDS | WEB_WORDS
    for word in MEANT:
        assert policy_explain(word).startswith(f"{word}: an end of rows\n")
    here = " ".join(policy_explain("fe-or-sba", contoso()).split())
    assert "Front Ends, Standard Edition servers and branch appliances." in here
    assert "fe03.contoso.net 192.168.10.92, sba01.contoso.net 192.168.30.10" in here
    assert "rows: int-av-auth" in here


def test_a_row_of_several_shapes_names_all_its_ends() -> None:
    """What nodes open behind a balancer is the access address's and the A/V address's; the balancer's leg runs from it
    to the nodes, on the ports of the virtual addresses outside."""
    paths = {path["id"]: path for path in policy_list(site("behind"))["paths"]}
    outbound, leg = paths["ext-hlb-node-outbound"], paths["ext-hlb-leg"]
    assert outbound["source"] == "edge-ext-access or edge-ext-av"
    assert leg["source"] == "balancer"
    assert leg["destination"] == "edge-ext-access or edge-ext-webconf or edge-ext-av"
    assert sorted(leg["ports"]) == [443, 3478, 5061, 5269]


def test_an_explanation_pairs_ends_and_ports() -> None:
    """Path document 2.5: the access address looks up and fetches revocation lists, the A/V address sends media; a
    firewall's rules need each with its own ports."""
    text = policy_explain("ext-hlb-node-outbound", site("behind"))
    blocks = text.split("\n\n")
    access, media = (next(b for b in blocks if f"from:        edge-ext-{end} " in b) for end in ("access", "av"))
    assert {"on the wire: tcp 80, http", "on the wire: udp 53, dns"} <= set(access.splitlines())
    assert not {"3478", "media"} & set(access.replace(",", " ").split())
    assert "on the wire: udp 3478, turn; from ports 3478, 50000-59999" in media.splitlines()
    assert not {"dns", "http"} & set(media.split())
    assert "203.0.113.3" in media.partition("from here:")[2]
    in_words = policy_explain("ext-hlb-node-outbound")
    assert in_words.count("from:        edge-ext-access ") == 1
    assert "on the wire: udp 3478, turn; from ports av.udp_port, av.range" in in_words


def test_what_holds_a_row_back_is_not_what_holds_back_its_parts() -> None:
    """The balancer's leg is for all products; that a row at virtual addresses is not with sfb-2015 is no reason."""
    hlb = contoso_text("hlb").replace("product: lync-2013\n", "product: sfb-2015\n")
    paths = {path["id"]: path for path in policy_list(read(hlb.encode(), "hlb.yaml"))["paths"]}
    assert paths["ext-hlb-leg"]["why"] == "no sensor is declared `behind_lb`"
    assert paths["int-hlb-node-av-udp"]["why"] == "not with sfb-2015"


def test_rules_that_the_file_answers_have_their_papers() -> None:
    """As sections 3.1 to 3.6 of the rule list cite them."""
    for rule, code in (
        ("director-missing", "DIROV, Overview of the Director"),
        ("edge-same-subnet", "NIC, Set up network interfaces for Edge Servers"),
        ("hlb-with-nat", "SFB-ENV, Edge Server environmental requirements"),
        ("xmpp-invalid-negotiation-config", "XNEG, Negotiation settings"),
        ("vpn-split-signalling-media", "CAC, Overview of call admission control"),
    ):
        told = policy_explain(rule)
        assert f"document:  {code}" in told
        assert "controls:  nist-800-53 " in told


def hostile() -> Topology:
    """A site whose own path carries what a spreadsheet, a wiki or a terminal would obey."""
    ends = (Selector("role", "fe"),), (Selector("role", "edge-int"),)
    ports = (PortRange(9, 9), PortRange(12, 12))
    path = LocalPath("local-x", *ends, "tcp", ports, reason="=1+1|<b>\u202e,")
    return replace(contoso(), policy=Policy(local_paths=(path,)))


def test_the_list_as_csv_has_every_path_and_rule() -> None:
    listed = policy_list(hostile())
    rows = list(csv.DictReader(io.StringIO(policy_csv(listed))))
    assert [(row["kind"], row["id"]) for row in rows] == [
        *(("path", path["id"]) for path in listed["paths"]),
        *(("rule", rule["id"]) for rule in listed["rules"]),
    ]
    own = next(row for row in rows if row["id"] == "local-x")
    assert (own["applies"], own["ports"]) == ("yes", "9;12")
    assert own["why"] == "'=1+1|<b>\\u{202e},"


def test_the_list_as_markdown_is_two_whole_tables() -> None:
    lines = policy_markdown(policy_list(hostile())).splitlines()
    cells = {line.replace("\\|", "").count("|") for line in lines if line.startswith("|")}
    assert cells == {11, 6}
    own = next(line for line in lines if "local-x" in line)
    assert "\\|\\<b\\>" in own
    assert "\u202e" not in own


def test_a_path_is_explained_with_its_own_numbers_and_addresses() -> None:
    text = policy_explain("int-psom", contoso())
    assert "on the wire: tcp 8057, mtls\n" in text
    assert "to here:     edge01.contoso.net 172.25.33.10, edge02.contoso.net 172.25.33.11\n" in text
    outward = policy_explain("ext-av-udp-out", contoso())
    assert "on the wire: udp 3478, turn; from ports 3478, 50000-59999\n" in outward
    assert "to here" not in outward
    balanced = policy_explain("ext-hlb-node-outbound", contoso_as("hlb"))
    for wire in ("tcp 80, http", "udp 53, dns", "tcp 443, pseudo-tls; from ports 50000-59999"):
        assert f"on the wire: {wire}\n" in balanced
    replaced = policy_explain("ext-access-client-sip", contoso_as("hlb"))
    assert "why not:     ext-hlb-access-client takes its place in the hardware-balanced plan\n" in replaced
