"""The kinds of conversation a scenario can name, each made into turns.

Strategy: `script` looks up the kind, and the kind's function reads its own keys from the scenario's `talk`. Everything
that a passer-by could read is made as real peers would make it; TLS and certificates really are.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from monitor.simulate import messages
from monitor.simulate.counterfeits import dice_datagrams, spelled_out
from monitor.simulate.credentials import Vault
from monitor.simulate.exchange import Speaker, Turn, destination, source
from monitor.simulate.naming import Naming
from monitor.simulate.relay import Relay
from monitor.simulate.tls import Wish, connect

Address = tuple[str, int]
Talk = Mapping[str, Any]

RTP_PACKETS = 14  # each way; the rules about media ask for ten in one direction
CLEAR_PACKETS = 60  # each way; the product asks for fifty of a source before it speaks of clear media


@dataclass(frozen=True, slots=True)
class Script:
    """turns, and how many of them stand before the first that a sensor which joined late would see."""

    turns: tuple[Turn, ...]
    opening: int = 0


@dataclass(slots=True)
class Stage:
    """What the kinds need to know of their surroundings. source, destination: as the sensor sees them."""

    naming: Naming
    vault: Vault
    chance: random.Random
    source: Address
    destination: Address
    transport: str


def script(stage: Stage, talk: Talk) -> Script:
    """Turns of a `talk`. ValueError: no such kind, or keys that the kind does not know."""
    kind = talk.get("kind")
    if kind not in _KINDS:
        raise ValueError(f"no such kind of talk: {kind!r}")
    maker, keys = _KINDS[kind]
    unknown = set(talk) - keys - {"kind"}
    if unknown:
        raise ValueError(f"{kind}: unknown {sorted(unknown)}")
    return maker(stage, talk)


# --- TLS and what runs inside ------------------------------------------------------------------------------------


def _tls(stage: Stage, talk: Talk) -> Script:
    session = connect(stage.vault, _wish(stage, talk), _inside(stage, talk.get("inside", "nothing")))
    # Application data begin after the handshake: find the turn from the number of rounds a full one takes.
    opening = next((n for n, turn in enumerate(session.turns) if turn.octets[:1] == b"\x17" and n > 1), 0)
    return Script(tuple(session.turns), opening)


def _wish(stage: Stage, talk: Talk) -> Wish:
    naming = stage.naming
    client = talk.get("client")
    return Wish(
        server=stage.vault.credential(naming.certificate(talk["server"])),
        client=stage.vault.credential(naming.certificate(client)) if client else None,
        asks=talk.get("asks", "required" if client else "no"),
        version=str(talk.get("version", "1.2")),
        name=naming.host(talk["name"]) if "name" in talk else None,
        resumed=bool(talk.get("resumed", False)),
    )


def _inside(stage: Stage, words: str) -> list[tuple[Speaker, bytes]]:
    """Application data of a TLS session, by meaning."""
    domain, partner = stage.naming.domain, stage.naming.partner
    asked: tuple[bytes, bytes]
    match words:
        case "nothing":
            return []
        case "sip register":
            request = _sip(stage, "REGISTER", domain, f"alice@{domain}", f"alice@{domain}", "tls")
            asked = request, messages.sip_response(401, "Unauthorized", request)
        case "sip service":
            request = _sip(stage, "SERVICE", f"mras@{domain}", f"alice@{domain}", f"mras@{domain}", "tls")
            asked = request, messages.sip_response(200, "OK", request)
        case "sip message":
            request = _sip(stage, "MESSAGE", f"bob@{partner}", f"alice@{domain}", f"bob@{partner}", "tls")
            asked = request, messages.sip_response(200, "OK", request)
        case "http address book":
            asked = _web("/abs/handler", stage.naming.host("front end web"))
        case "http meeting":
            asked = _web("/Meet/alice/KX7R2Q9D", stage.naming.host("meet"))
        case "http slides":
            asked = _web("/m/Presenter.aspx", stage.naming.host("office web apps"))
        case "http replication":
            asked = _web("/ReplicationWebService", stage.naming.host("edge internal"))
        case "http page":
            asked = _web("/", stage.naming.host("web site"))
        case "opaque":
            # Web conferencing data, logging control: no published text of these octets was at hand.
            asked = stage.chance.randbytes(64), stage.chance.randbytes(200)
        case _:
            raise ValueError(f"nothing is known of {words!r} inside TLS")
    return [(Speaker.SOURCE, asked[0]), (Speaker.DESTINATION, asked[1])]


def _web(path: str, host: str) -> tuple[bytes, bytes]:
    body = b"<html><body>ok</body></html>"
    return messages.http_request("GET", path, host), messages.http_response(200, "OK", "text/html", body)


def _sip(stage: Stage, method: str, target: str, sender: str, receiver: str, transport: str) -> bytes:
    call = stage.chance.randbytes(16).hex()
    body = messages.session_description(stage.source[0], 50010) if method == "INVITE" else b""
    return messages.sip_request(method, target, sender, receiver, stage.source, transport, call, body=body)


# --- readable protocols ------------------------------------------------------------------------------------------


def _sip_clear(stage: Stage, talk: Talk) -> Script:
    domain = stage.naming.domain
    method = talk.get("method", "INVITE")
    request = _sip(stage, method, f"alice@{domain}", "bob@wingtip.example", f"alice@{domain}", stage.transport)
    turns = [source(request)]
    if talk.get("replies", True):
        turns.append(destination(messages.sip_response(100, "Trying", request)))
        turns.append(destination(messages.sip_response(200, "OK", request), 0.2))
    return Script(tuple(turns))


def _http(stage: Stage, talk: Talk) -> Script:
    host = stage.naming.host(talk["host"])
    path = talk["path"].replace("{domain}", stage.naming.domain)
    turns = [source(messages.http_request(talk.get("method", "GET"), path, host))]
    match talk["answer"]:
        case "redirect":
            where = f"Location: https://{host}{path}"
            turns.append(destination(messages.http_response(301, "Moved Permanently", "text/html", b"", [where])))
        case "autodiscover":
            body = (
                '<?xml version="1.0" encoding="utf-8"?><AutodiscoverResponse AccessLocation="External"><Root><Link'
                f' token="Domain" href="https://{stage.naming.host("front end web")}/Autodiscover/'
                'AutodiscoverService.svc/root/domain"/></Root></AutodiscoverResponse>'
            ).encode()
            kind = "application/vnd.microsoft.rtc.autodiscover+xml;v=1"
            turns.append(destination(messages.http_response(200, "OK", kind, body)))
        case "revocation list":
            turns.append(
                destination(
                    messages.http_response(200, "OK", "application/pkix-crl", stage.vault.revocation_list(True))
                )
            )
        case "page":
            body = b"<html><body>It works</body></html>"
            turns.append(destination(messages.http_response(200, "OK", "text/html", body)))
        case "nothing":
            pass
        case "alert":
            turns.append(destination(bytes.fromhex("15030100020228")))  # fatal, handshake_failure: RFC 5246 §7.2
        case other:
            raise ValueError(f"no such answer: {other!r}")
    return Script(tuple(turns))


def _xmpp(stage: Stage, talk: Talk) -> Script:
    """Stream headers, STARTTLS, and the rest inside TLS; with `until` the opener stops short of TLS: after the
    features, after a message in clear (`message`) or after SASL in clear (`auth`)."""
    opener, answerer = (stage.naming.xmpp_domain(talk[end]) for end in ("opener", "answerer"))
    turns = [
        source(messages.xmpp_header(opener, answerer)),
        destination(messages.xmpp_header(answerer, opener, identity=stage.chance.randbytes(8).hex())),
        destination(messages.XMPP_FEATURES, 0.001),
    ]
    message = messages.xmpp_message(f"carol@{opener}", f"alice@{answerer}")
    clear: dict[str, list[Turn]] = {
        "features": [],
        "message": [source(message)],
        "auth": [source(messages.xmpp_auth_external(opener)), destination(messages.XMPP_SUCCESS)],
    }
    if "until" in talk:
        return Script((*turns, *clear[talk["until"]]))
    turns += [source(messages.XMPP_STARTTLS), destination(messages.XMPP_PROCEED)]
    inside = [
        (Speaker.SOURCE, messages.xmpp_header(opener, answerer)),
        (Speaker.DESTINATION, messages.xmpp_header(answerer, opener, identity="2")),
        (Speaker.SOURCE, messages.xmpp_auth_external(opener)),
        (Speaker.SOURCE, message),
    ]
    session = connect(stage.vault, _wish(stage, talk), inside)
    return Script((*turns, *session.turns), len(turns))


def _dns(stage: Stage, talk: Talk) -> Script:
    kind = talk.get("record", "A")
    name = talk["question"].replace("{partner}", stage.naming.partner).replace("{domain}", stage.naming.domain)
    query = messages.dns_query(stage.chance.getrandbits(16), name, kind)
    value = ("198.51.100.10", 0) if kind == "A" else (stage.naming.host("partner"), 5061)
    answer = messages.dns_answer(query, kind, value)
    if stage.transport == "tcp":
        query, answer = messages.over_tcp(query), messages.over_tcp(answer)
    turns = [source(query), destination(answer, 0.01)]
    return Script(tuple(turns if talk.get("replies", True) else turns[:1]))


def _ssh(stage: Stage, talk: Talk) -> Script:
    return Script((destination(messages.SSH_SERVER), source(messages.SSH_CLIENT)))


# --- media -------------------------------------------------------------------------------------------------------


def _ms_turn(stage: Stage, talk: Talk) -> Script:
    relay = Relay(stage.chance, stage.source, stage.destination, stage.vault.now)
    turns = relay.dialogue(media=bool(talk.get("media", False)), framed=stage.transport == "tcp")
    return Script(tuple(turns), 4)


def _pseudo_tls(stage: Stage, talk: Talk) -> Script:
    relay = Relay(stage.chance, stage.source, stage.destination, stage.vault.now)
    hellos = relay.hellos()
    match talk.get("then", "turn"):
        case "turn":
            rest = relay.dialogue(media=bool(talk.get("media", False)), framed=True)
            return Script((*hellos, *rest), len(hellos) + 4)
        case "nothing":
            return Script(hellos)
        case "silence":
            return Script(hellos[:1])
        case "alert":
            # What a TLS server answers that has no anonymous suite: fatal, handshake_failure (RFC 5246 §7.2).
            return Script((hellos[0], destination(bytes.fromhex("15030100020228"))))
        case other:
            raise ValueError(f"pseudo-TLS, then {other!r}?")


def _ice(stage: Stage, talk: Talk) -> Script:
    """Connectivity checks; on TCP with two octets of length. `answered: false`: the peer stays silent."""
    users = f"{stage.chance.randbytes(2).hex()}:{stage.chance.randbytes(2).hex()}"
    password = stage.chance.randbytes(16)
    wrap = messages.over_tcp if stage.transport == "tcp" else bytes
    turns: list[Turn] = []
    for _ in range(2):
        transaction = stage.chance.randbytes(12)
        turns.append(source(wrap(messages.ice_check(transaction, users, password)), 0.05))
        if talk.get("answered", True):
            turns.append(destination(wrap(messages.ice_answer(transaction, stage.source, password))))
    return Script(tuple(turns))


def _rtp(stage: Stage, talk: Talk) -> Script:
    streams = stage.chance.getrandbits(32), stage.chance.getrandbits(32)
    first = stage.chance.getrandbits(15), stage.chance.getrandbits(15)
    turns: list[Turn] = []
    packet = messages.rtp if talk.get("clear") else messages.srtp
    count = CLEAR_PACKETS if talk.get("clear") else RTP_PACKETS
    for number in range(count):
        turns.append(source(packet(streams[0], first[0] + number, marker=number == 0), 0.012))
        turns.append(destination(packet(streams[1], first[1] + number, marker=number == 0), 0.008))
    if talk.get("reports", False):
        turns.append(source(messages.rtcp_sender_report(streams[0], count), 0.001))
    return Script(tuple(turns))


# --- the rest ----------------------------------------------------------------------------------------------------


def _silence(stage: Stage, talk: Talk) -> Script:
    return Script(())


def _octets(stage: Stage, talk: Talk) -> Script:
    return Script(spelled_out(talk["turns"]))


def _dice(stage: Stage, talk: Talk) -> Script:
    return Script(dice_datagrams(stage.chance, bytes.fromhex(talk["begins"])))


_Maker = Callable[[Stage, Talk], Script]
_TLS_KEYS = {"server", "client", "asks", "version", "name", "resumed"}
_KINDS: dict[str, tuple[_Maker, set[str]]] = {
    "tls": (_tls, _TLS_KEYS | {"inside"}),
    "sip": (_sip_clear, {"method", "replies"}),
    "http": (_http, {"host", "path", "method", "answer"}),
    "xmpp": (_xmpp, _TLS_KEYS | {"opener", "answerer", "until"}),
    "dns": (_dns, {"question", "record", "replies"}),
    "ssh": (_ssh, set()),
    "ms-turn": (_ms_turn, {"media"}),
    "pseudo-tls": (_pseudo_tls, {"then", "media"}),
    "ice": (_ice, {"answered"}),
    "rtp": (_rtp, {"reports", "clear"}),
    "echo": (_silence, set()),
    "silence": (_silence, set()),
    "octets": (_octets, {"turns"}),
    "dice": (_dice, {"begins"}),
}

KINDS = frozenset(_KINDS)
