"""What is counted within flows reaches the rules: messages of a partner over one real TLS session, requests for a relay
on one flow, each above the site's threshold in one minute and spread over two.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
from scapy.utils import PcapWriter

from monitor.audit import audit
from monitor.capture_arguments import CaptureArgument, SensorName
from monitor.replay import Settings
from monitor.simulate.credentials import Name, Vault
from monitor.simulate.exchange import Speaker, Turn
from monitor.simulate.tls import Wish, connect
from monitor.simulate.wire import MICRO, Tcp, Wire, fresh, udp
from rules.load import load
from tests.house.captures import TOPOLOGY
from tests.sites.speech import START as VALID

START = 1_795_338_000 * MICRO  # a minute begins
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")
SENSOR = SensorName("xf", "external", None)
MESSAGE = b"MESSAGE sip:alice@contoso.com SIP/2.0\r\n".ljust(400, b"x")
TOGETHER = 61  # messages in one segment train
TRAINS = 20  # 1,220 messages, where a thousand and two hundred a minute are allowed


@cache
def session() -> tuple[Turn, ...]:
    """Of federation: both ends show a certificate, then the partner alone talks."""
    vault = Vault("Contoso", VALID)
    ours = vault.credential(Name("sip.contoso.com", ("sip.contoso.com", "webcon.contoso.com"), True))
    theirs = vault.credential(Name("sip.adatum.example", ("sip.adatum.example",), True))
    wish = Wish(ours, theirs, asks="required", name="sip.contoso.com")
    talk = [(Speaker.SOURCE, MESSAGE)] * (TOGETHER * TRAINS)
    return tuple(connect(vault, wish, talk, close=False).turns)


def capture(path: Path, source: str, destination: str, say: Callable[[Wire], None]) -> str:
    (from_ip, _, from_port), (to_ip, _, to_port) = source.partition(":"), destination.partition(":")
    wire = fresh((from_ip, int(from_port)), (to_ip, int(to_port)), MACS, START, 1000, random.Random(7))
    say(wire)
    with PcapWriter(str(path), linktype=1) as writer:
        writer.write_header(None)
        for frame in wire.frames:
            writer.write_packet(frame.octets, sec=frame.time // MICRO, usec=frame.time % MICRO)
    return str(path)


def rules(path: str) -> list[str]:
    result = audit(load(TOPOLOGY), [CaptureArgument(path, SENSOR, path)], Settings()).result
    return [finding["rule"] for finding in result["findings"] if finding["position"] != "config"]


def talking(pause: float) -> Callable[[Wire], None]:
    def say(wire: Wire) -> None:
        connection = Tcp(wire)
        connection.open()
        turns: Sequence[Turn] = session()
        words = turns[-TOGETHER * TRAINS :]
        for turn in turns[: -TOGETHER * TRAINS]:
            connection.say(turn)
        for at in range(0, len(words), TOGETHER):
            train = b"".join(turn.octets for turn in words[at : at + TOGETHER])
            connection.say(Turn(Speaker.SOURCE, train, pause))
        connection.close("fin")

    return say


@pytest.mark.parametrize(
    ("source", "pause", "expected"),
    [
        ("192.0.2.66:40020", 1.0, ["federation-discovered-partner-rate"]),
        ("192.0.2.66:40020", 5.0, []),  # over more than one minute
        ("198.51.100.10:40020", 1.0, []),  # a listed partner
    ],
)
def test_messages_of_a_partner(source: str, pause: float, expected: list[str], tmp_path: Path) -> None:
    found = rules(capture(tmp_path / "partner.pcap", source, "203.0.113.10:5061", talking(pause)))
    assert [rule for rule in found if rule != "mtls-untrusted-peer"] == expected


def asking(pause: float) -> Callable[[Wire], None]:
    """MS-TURN 2.2.2: Allocate with cookie and version, each time another transaction, whatever is answered."""
    body = "000f000472c64bc68008000400000002"

    def say(wire: Wire) -> None:
        requests = (f"000300102112a442{number:024x}{body}" for number in range(40))
        udp(wire, [Turn(Speaker.SOURCE, bytes.fromhex(request), pause) for request in requests])

    return say


@pytest.mark.parametrize(("pause", "expected"), [(1.0, ["turn-unauthenticated-flood"]), (3.0, [])])
def test_requests_for_a_relay_on_one_flow(pause: float, expected: list[str], tmp_path: Path) -> None:
    assert rules(capture(tmp_path / "relay.pcap", "192.0.2.25:50112", "203.0.113.30:3478", asking(pause))) == expected
