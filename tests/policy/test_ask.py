"""Questions without traffic: forty answers of the documents, and what a trace owes to its reader."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from rules.ask import Question, ask
from rules.load import load
from rules.meant import UnknownEnd
from rules.topology import Topology
from rules.transports import transport_number
from tests.policy.flows import CONTOSO, contoso
from tests.policy.variants import site as variant
from tests.topology.plans import contoso_as

SITES = Path(__file__).parents[1] / "sites"
QUESTIONS: list[dict[str, Any]] = YAML(typ="safe", pure=True).load(Path(__file__).with_name("questions.yaml"))


def site(name: str) -> Topology:
    return contoso() if name == "contoso" else load(SITES / f"{name}.yaml")


def put(entry: dict[str, Any]) -> Question:
    number = transport_number(entry.get("transport", "tcp"))
    assert number is not None
    return Question(entry["from"], entry["to"], number, entry["port"], entry.get("source_port"), entry.get("service"))


@pytest.mark.parametrize("entry", QUESTIONS, ids=lambda e: f"{e['from']}-{e['to']}-{e['port']}-{e['answer']}")
def test_the_answer_of_the_documents(entry: dict[str, Any]) -> None:
    answer = ask(site(entry.get("site", "contoso")), put(entry))
    assert answer.answer == entry["answer"], "\n".join(answer.trace)
    if "path" in entry:
        assert answer.path == entry["path"]
    if "rules" in entry:
        assert set(entry["rules"]) <= set(answer.rules)
    if answer.answer == "allowed":
        assert answer.path is not None


def told(**question: Any) -> str:
    entry = {"transport": "tcp", **question}
    return "\n".join(ask(contoso(), put(entry)).trace)


def test_a_trace_says_what_a_firewall_engineer_asks_next() -> None:
    """Who is meant, what is crossed, which row came nearest and in what it differs, what is switched off."""
    bypass = told(**{"from": "edge01.contoso.net", "to": "fe01.contoso.net", "port": 5061})
    assert "from edge01.contoso.net: " in bypass
    assert "perimeter-int to internal crosses the internal firewall" in bypass
    assert "int-sip-edge-to-other-fe would allow it but does not apply: director_bypass is strict" in bypass
    near = told(**{"from": "edge-int", "to": "director", "port": 5062})
    assert "the nearest row is int-sip-edge-to-director, which differs in its port (5061)" in near
    source = told(**{"from": "203.0.113.30", "to": "198.51.100.30", "port": 443, "source_port": 40000})
    assert "source port (50000-59999)" in source


@pytest.mark.parametrize(
    ("source", "destination"),
    [("2001:db8::5", "203.0.113.10"), ("192.0.2.5", "2001:db8::10"), ("2001:db8::5", "edge-ext-access")],
)
def test_no_packet_goes_between_two_families(source: str, destination: str) -> None:
    """Contoso has IPv4 alone."""
    with pytest.raises(UnknownEnd, match=r"IPv[46], .* is not: no packet goes between them"):
        ask(contoso(), put({"from": source, "to": destination, "port": 443}))


def test_a_name_of_both_families_is_asked_at_the_one_that_fits() -> None:
    question = put({"from": "2001:db8:ffff::5", "to": "edge-ext-access", "port": 443})
    answer = ask(site("fourthcoffee"), question)
    assert answer.answer == "allowed"
    (to,) = (step for step in answer.trace if step.startswith("to edge-ext-access: "))
    assert "2001:db8:1:100::10" in to
    assert "203.0.113.10" not in to


def test_without_a_service_the_bytes_decide() -> None:
    question = {"from": "external", "to": "203.0.113.10", "port": 443}
    assert "bytes decide: ext-access-client-sip allows tls; --service asks what others would be" in told(**question)
    assert "bytes decide" not in told(**question, service="tls")


def test_a_row_of_another_product_is_named() -> None:
    """Path document 2.5: media of inside servers straight to the node is stated for Lync Server 2013 alone."""
    question = put({"from": "fe01.contoso.net", "to": "172.25.33.10", "port": 3478, "transport": "udp"})
    trace = "\n".join(ask(variant("behind-2015"), question).trace)
    assert "int-hlb-node-av-udp would allow it but does not apply: not with sfb-2015" in trace


def test_a_pool_is_asked_at_the_addresses_that_rows_lead_to() -> None:
    """Of the Director pool's name its members on the SIP port and its virtual address on the web's."""
    sip = told(**{"from": "edge-int", "to": "dirpool01.contoso.net", "port": 5061})
    assert "to dirpool01.contoso.net: 2 ends: dir01.contoso.net (director) 192.168.10.50, dir02" in sip
    assert "not to the other addresses of that name: dirpool01.contoso.net (web-vip) 192.168.10.55" in sip
    web = told(**{"from": "rp-int", "to": "dirpool01.contoso.net", "port": 4443})
    assert "to dirpool01.contoso.net: dirpool01.contoso.net (web-vip) 192.168.10.55" in web


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({"from": "internal", "to": "edge-int", "port": 22}, "it depends on who opens it: a violation with"),
        (
            {"from": "internal", "to": "edge-int", "port": 22},
            "nor a violation with 192.168.10.1 (fw-int)",
        ),
        (
            {"from": "203.0.113.30", "to": "198.51.100.30", "port": 443},
            "allowed with port 50000; a violation with",
        ),
        ({"from": "10.3.3.3", "to": "edge-int", "port": 22}, "undecided: one end is a private address in no declared"),
        (
            {"from": "rp-int", "to": "edge-int", "port": 22},
            "it crosses no firewall, and no row or rule names",
        ),
        ({"from": "rp-int", "to": "edge-int", "port": 22}, "out of scope: nothing is said of such a flow"),
    ],
)
def test_a_trace_says_on_what_it_depends(question: dict[str, Any], words: str) -> None:
    assert words in told(**question)


def test_tls_leaves_open_what_a_row_of_mutual_tls_asks_for() -> None:
    question = {"from": "fe", "to": "edge-int", "port": 5061, "transport": "tcp"}
    either = ask(contoso(), put({**question, "service": "tls"}))
    assert (either.answer, either.rules) == ("depends", ("mtls-client-cert-missing",))
    words = "it depends on what the opener shows: allowed with a certificate; a violation with no certificate"
    assert words in either.trace
    assert ask(contoso(), put({**question, "service": "mtls"})).answer == "allowed"
    client = ask(contoso(), Question("ext-client", "edge-ext-access", 6, 443, service="tls"))
    assert client.answer == "allowed", "no row asks a client for one"


def test_a_trace_tells_a_role_of_one_pool_from_that_of_another() -> None:
    answer = ask(variant("branch"), Question("172.25.33.71", "dir01.contoso.net", 6, 5061))
    assert answer.rules == ("director-bypass-sip",)
    assert "differs in its source (edge-int of lsedge.contoso.net)" in answer.trace[-1]


def test_where_no_internal_firewall_stands_none_is_crossed() -> None:
    trace = ask(contoso_as("one-firewall"), Question("fe", "edge-int", 6, 5061)).trace
    assert "internal to perimeter-int crosses where an internal firewall would stand" in trace


def test_a_question_names_the_port_and_not_its_class() -> None:
    trace = told(**{"from": "ext-client", "to": "edge-ext-av", "port": 777, "transport": "udp"})
    assert "a host on the Internet opened UDP 777 to " in trace


def test_a_leg_behind_the_balancer_is_a_matter_of_the_sensor() -> None:
    trace = ask(variant("behind"), Question("203.0.113.90", "203.0.113.12", 6, 443)).trace
    assert "it depends on the sensor: one marked `behind_lb` judges it by ext-hlb-leg, which allows tls" in trace


def test_a_trace_of_several_cases_names_one_of_each() -> None:
    trace = told(**{"from": "fe", "to": "172.25.33.11", "port": 4443})
    assert "allowed: fe01.contoso.net (fe) 192.168.10.90" in trace
    assert "violation: fe02.contoso.net (fe) 192.168.10.91" in trace or "depends: fe02" in trace


def test_paths_of_the_site_expire() -> None:
    humongous = site("humongous")
    question = Question("10.81.0.31", "edge-int", 6, 22)
    assert ask(humongous, question).path == "local-ssh"
    later = Question("10.81.0.31", "edge-int", 6, 22, time=1_800_000_000_000_000_000)
    assert ask(humongous, later).path is None


@pytest.mark.parametrize("end", ["nowhere.example", "edge-ext-vip-av", "300.1.1.1", ""])
def test_an_end_that_means_nothing_here(end: str) -> None:
    with pytest.raises(UnknownEnd):
        ask(contoso(), Question(end, "edge-int", 6, 443))


def test_a_network_means_all_that_is_in_it() -> None:
    lan = ask(contoso(), Question("192.168.20.0/25", "edge-int", 17, 3478))
    assert (lan.answer, lan.path) == ("allowed", "int-av-udp")
    mixed = ask(contoso(), Question("198.51.100.0/24", "edge-ext-av", 17, 50380))
    assert mixed.answer == "depends"


def edgewarden(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monitor.cli", "policy", "ask", "--topology", str(CONTOSO), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "status", "answer"),
    [
        (["--from", "fe", "--to", "edge-int", "--port", "5061"], 0, "allowed"),
        (["--from", "edge-int", "--to", "fe", "--port", "5061"], 1, "violation"),
        (["--from", "fe", "--to", "edge-int", "--port", "4443"], 3, "depends"),
    ],
)
def test_the_command(arguments: list[str], status: int, answer: str) -> None:
    done = edgewarden(*arguments, "--format", "json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["answer"]) == (status, answer)
    assert list(told) == ["answer", "path", "rules", "trace"]
    words = edgewarden(*arguments).stdout
    assert words.startswith(answer)
    assert all(len(line) <= 120 for line in words.splitlines())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "nobody", "--to", "fe", "--port", "1"], "'nobody' is no zone, role id"),
        (["--from", "fe", "--to", "fe", "--port", "1", "--transport", "tcpp"], "is no transport"),
        (["--from", "fe", "--to", "edge-int"], "--port is missing"),
        (["--from", "fe", "--to", "edge-int", "--port", "0"], "is no port"),
        (["--from", "fe", "--to", "edge-int", "--transport", "esp", "--port", "5"], "has no ports"),
        (["--from", "fe", "--to", "edge-int", "--port", "5", "--service", "siip"], "is no service"),
    ],
)
def test_a_mistake_is_told(arguments: list[str], words: str) -> None:
    done = edgewarden(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
