"""Reads the tables of flows: for each rule the flows that trip it and the nearest that do not, for each path those
that it allows and the nearest that it does not. `tests/policy/tables/README.md` says how a row is written.

Strategy: a row is one flow with all that is expected of it. The tables are data, so that a domain expert can read
them against the path document, and so that completeness is a question to them and not to test code
(`test_cases_complete.py`, `tools/rule_tests.py`). A word nobody knows is refused: a misspelt key must not pass as a
row without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from rules.detail import NO_DETAIL, Certificate, Detail
from rules.judge import Judge
from rules.observation import (
    Answered,
    Evidence,
    Initiator,
    Mutual,
    Payload,
    Stun,
    Tls,
    Validity,
    XmppClear,
    XmppNamespace,
)
from rules.verdict import Verdict
from tests.policy.flows import (
    BOTH,
    CHECK,
    DNS,
    HTTP,
    MTLS,
    PSEUDO_TLS,
    RTP,
    SILENT,
    SIP,
    SSH,
    TLS,
    TLS13,
    TLS_RECORDS,
    TURN,
    Bench,
    clear_xmpp,
    number,
    spoken,
    unknown,
    xmpp,
)
from tests.policy.variants import site

TABLES: Final = Path(__file__).parent / "tables"

HELLO = spoken("tls", tls=Tls.CLIENT_HELLO, mutual=Mutual.UNKNOWN, payload=Payload.SOURCE)
BROKEN_OFF = spoken(
    "tls",
    tls=Tls.CLIENT_HELLO | Tls.SERVER_HELLO | Tls.SERVER_CERTIFICATE | Tls.SERVER_BROKE_OFF,
    tls_version=0x0303,
    mutual=Mutual.NO,
)

SAYS: Final[dict[str, dict[str, Any]]] = {
    "nothing": SILENT,
    "tls": TLS,
    "mtls": MTLS,
    "tls 1.3": TLS13,
    "tls hello": HELLO,
    "tls broken off": BROKEN_OFF,  # the listener asked for a certificate, got none and ended it
    "tls records": TLS_RECORDS,  # of a session joined late
    "pseudo-tls": PSEUDO_TLS,
    "pseudo-tls hello": spoken("pseudo-tls", stun=Stun.PSEUDO_HELLO),  # and an answer that is none
    "turn": TURN,
    "check": CHECK,  # a STUN check that nobody answered
    "answered check": spoken("stun", stun=Stun.REQUEST | Stun.ANSWERED | Stun.CHECK_ONLY),
    "rtp": RTP,
    "few rtp": spoken("rtp"),  # fewer than ten packets
    "turn in the clear": {**TURN, "stun": TURN["stun"] | Stun.CLEAR_MEDIA},  # what it carries
    "rtp in the clear": {**RTP, "stun": RTP["stun"] | Stun.CLEAR_MEDIA},
    "http": HTTP,
    "http late": {**HTTP, "evidence": Evidence.RECOGNISED_LATE},
    "sip in http": spoken("http", "sip"),  # inside a WebSocket
    "dns": DNS,
    "ssh": SSH,
    "sip": SIP,
    "xmpp": xmpp(),
    "xmpp client": {**xmpp(), "xmpp_namespace": XmppNamespace.CLIENT},
    "xmpp stanza": clear_xmpp(XmppClear.STANZA),
    "xmpp sasl": clear_xmpp(XmppClear.SASL),
    "xmpp stanza and sasl": clear_xmpp(XmppClear.STANZA | XmppClear.SASL),
    "xmpp features": clear_xmpp(XmppClear(0)),
    "unknown": unknown(),
    "too little": unknown(evidence=Evidence.UNDETERMINED),
}
"""What the core reports of a stream, by the meaning of the fields in `rules.observation`."""

ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "none": {"answered": Answered.NO},
    "refused": {"answered": Answered.REFUSED},
    "alert": {"payload": BOTH & ~Payload.DESTINATION_BEYOND_ALERT},
}


def certificate(subject: str, *names: str, issuer: str = "public ca") -> Certificate:
    return Certificate(f"hash of {subject}", subject, (subject, *names), issuer)


ACCESS: Final = certificate("sip.contoso.com", "webcon.contoso.com", "sip.fabrikam.com", "contoso.com")
PARTNER: Final = certificate("sip.litware.com")

CERTIFICATES: Final = {
    "access": ACCESS,
    "edge inside": certificate("lsedge.contoso.net", issuer="contoso private ca"),
    "edge member": certificate("edge02.contoso.net", issuer="contoso private ca"),
    "proxy": certificate(
        "webext.contoso.com", "webdirext.contoso.com", "dialin.contoso.com", "meet.contoso.com",
        "lyncdiscover.contoso.com",
    ),
    "proxy, one name": certificate("webext.contoso.com"),
    "proxy, wildcard beside": certificate("webext.contoso.com", "*.contoso.com"),
    "front end": certificate("pool01.contoso.net", "fe01.contoso.net", "sip.contoso.com"),
    "front end, own name": certificate("fe01.contoso.net"),
    "slides": certificate("officewebapps01.contoso.com"),
    "slides, inner name": certificate("officewebapps01.contoso.net"),
    "director": certificate("dirpool01.contoso.net", "dir01.contoso.net"),
    "partner": PARTNER,
    "stranger": certificate("mail.adatum.example"),
    "stranger, private": certificate("mail.adatum.example", issuer="contoso private ca"),
    "wildcard": certificate("*.contoso.com"),
    "access, wildcard beside": certificate("sip.contoso.com", "*.contoso.com"),
    "edge inside, wildcard beside": certificate("lsedge.contoso.net", "*.contoso.net"),
    "access, self-signed": certificate("sip.contoso.com", "webcon.contoso.com", issuer="sip.contoso.com"),
    "access, private": certificate("sip.contoso.com", "webcon.contoso.com", issuer="contoso private ca"),
    "access, no list": replace(ACCESS, revocation_list=False),
    "access, with list": replace(ACCESS, revocation_list=True),
    "partner, no list": replace(PARTNER, revocation_list=False),
}  # fmt: skip
"""By whom they are shown in the path document's section 5.1, and changes of those."""

EXPECTED: Final = frozenset({"is", "rules", "silenced", "path", "unproved", "but"})
KEYS: Final = EXPECTED | {
    *("site", "at", "side", "behind_lb", "from", "to", "say", "answer", "opener", "names", "asks", "shows", "client"),
    *("fact", "detail"),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One row: a flow under the heading of a rule or a path."""

    of: str  # rule or path id
    near: bool  # the flow is none of it
    where: str  # FILE:LINE
    row: dict[str, Any]

    def get(self, key: str, otherwise: Any = None) -> Any:
        return self.row.get(key, otherwise)

    @property
    def rules(self) -> list[str]:
        return list(self.get("rules", ()))

    @property
    def silenced(self) -> set[str]:
        return set(self.get("silenced", ()))

    @property
    def verdict(self) -> str:
        """As the row says, else what its other columns come to."""
        if "is" in self.row:
            return str(self.row["is"])
        return "violation" if self.rules else "allowed" if self.get("path") else "out-of-scope"


@cache
def cases(folder: str) -> tuple[Case, ...]:
    """Every row of the tables in `tables/FOLDER`. ValueError for a row that cannot be meant."""
    found = [case for path in sorted((TABLES / folder).glob("*.yaml")) for case in _read(path)]
    for case in found:
        unknown_keys = set(case.row) - KEYS
        if unknown_keys or not {"at", "from", "to"} <= set(case.row):
            raise ValueError(f"{case.where}: at, from and to are needed, {sorted(unknown_keys)} unknown")
    return tuple(found)


def _read(path: Path) -> Iterator[Case]:
    document = YAML(typ="rt").load(path)
    for of, kinds in document.items():
        for kind, rows in kinds.items():
            if kind not in ("trips", "fits", "near"):
                raise ValueError(f"{path.name}: {of}: {kind} is neither trips, fits nor near")
            for place, row in enumerate(rows):
                yield Case(str(of), kind == "near", f"{path.name}:{rows.lc.item(place)[0] + 1}", dict(row))


@cache
def judge(name: str, position: str, side: str | None, behind_lb: bool) -> Judge:
    return Judge(bench(name).topology, position, side, behind_lb=behind_lb, site=bench(name).site)


@cache
def bench(name: str) -> Bench:
    return Bench(site(name))


def judged(case: Case) -> Verdict:
    """What the product says to the flow of a row."""
    of = bench(case.get("site", "contoso"))
    says = case.get("say", "nothing")
    wire = dict(SAYS[says])
    answer = case.get("answer")
    if answer in ("none", "refused"):
        wire["payload"] = Payload(0) if says == "nothing" else Payload.SOURCE
        wire["stun"] = wire.get("stun", 0) & ~Stun.ANSWERED
    wire |= ANSWERS[answer] if answer else {}
    if "opener" in case.row:
        wire["initiator"] = Initiator[case.row["opener"].upper()]
    names = of.site.domains
    if "names" in case.row:
        wire["xmpp_from"], wire["xmpp_to"] = (names.number(name) if name else 0 for name in case.row["names"])
    if "asks" in case.row:
        wire["host" if wire["service"] == number("http") else "server_name"] = names.number(case.row["asks"])
    facts: dict[str, Any] = case.get("fact", {})
    wire |= {name: Validity[value.upper()] if isinstance(value, str) else value for name, value in facts.items()}
    ends = (("server", "shows"), ("client", "client"))
    shown = {end: CERTIFICATES[case.row[key]] for end, key in ends if key in case.row}
    detail = Detail(**case.get("detail", {}), **shown) if shown or "detail" in case.row else NO_DETAIL
    place = judge(case.get("site", "contoso"), case.row["at"], case.get("side"), case.get("behind_lb", False))
    return place.judge(of.observe(case.row["from"], case.row["to"], wire), detail)
