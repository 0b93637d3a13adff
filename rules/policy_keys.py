"""The keys of the `policy` section of a topology file; see `rules.keys`, of which this is a part."""

from __future__ import annotations

from typing import Final

from rules import names
from rules.shape import Choice, Day, Flag, Key, Keys, Many, Named, Number, PortOrSpan, Text

TRANSPORT: Final = Text(
    r"[A-Za-z0-9][A-Za-z0-9.+-]{0,30}", "an IANA protocol keyword such as tcp, udp, icmp, esp", lower=True
)
SERVICE: Final = Text(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,30}", "a service name such as ntp", lower=True)
ID: Final = Text(r"[a-z0-9]+(-[a-z0-9]+)*", "a name in lower case with hyphens, such as local-ntp")
LARGEST: Final = 1_000_000_000
"""Upper bound of thresholds: above every rate that a link can carry, and exact in every JSON reader."""

SELECTOR: Final = Many(
    Text(hint="a zone, role id, declared name, address, network, or a list of these"), 1, or_one=True
)

LOCAL_PATH: Final = Keys(
    (
        Key("id", ID, "its name in results", required=True),
        Key("from", SELECTOR, "who opens it: zone, role id, name, address, network, or a list of these", required=True),
        Key("to", SELECTOR, "who answers, as `from`", required=True),
        Key(
            "transport",
            TRANSPORT,
            "IANA protocol keyword",
            required=True,
        ),
        Key("port", Many(PortOrSpan(), 1, or_one=True), 'number, "a-b", or a list; for tcp, udp and sctp'),
        Key("service", SERVICE, "what must be spoken there, a service that is recognised; absent: anything"),
        Key("reason", Text(), "why this is right here"),
        Key("owner", Text(), "who answers for it"),
        Key("expires", Day(), "last day (or instant), UTC"),
    )
)

POLICY: Final = Keys(
    (
        Key(
            "director_bypass",
            Choice(("strict", "documented-open")),
            "Edge to another Front End than the next hop: a finding, or merely noted",
            default="strict",
        ),
        Key("tls_minimum", Choice(("1.0", "1.1", "1.2", "1.3")), "oldest TLS version accepted", default="1.0"),
        Key("rules", Named(Choice((*names.SEVERITIES, names.OFF))), "severities of rules, by rule id"),
        Key("optional_paths", Many(Choice(names.OPTIONAL_PATHS), or_one=True), "rows that are off by default"),
        Key("private_cas", Many(Text(), or_one=True), "names of certification authorities that are not public"),
        Key(
            "report_attempts",
            Flag(),
            "changes nothing: attempts are always told, apart from findings",
            default=False,
        ),
        Key(
            "coverage",
            Keys(
                (
                    Key("max_loss", Number(0, 1), "largest share of packets lost", default=0.001),
                    Key("min_share", Number(0, 1), "smallest share of the time watched", default=0.95),
                    Key("require", Many(Choice(names.POSITIONS), or_one=True), "positions; absent: those given"),
                )
            ),
            "what an audit must have seen to be conclusive",
        ),
        Key(
            "thresholds",
            Keys(
                tuple(
                    Key(name, Number(0, LARGEST, above=True), about, default=default)
                    for name, about, default in (
                        ("signin_per_source_per_minute", "TLS sessions to the Access Edge", 60),
                        ("turn_unauthenticated_per_source_per_minute", "Allocate requests without credentials", 30),
                        ("director_flood_factor", "rise of requests past the Director", 5),
                        ("federation_messages_per_second", "of a discovered partner", 20),
                        ("attempts_per_source_per_minute", "changes nothing: no rule counts attempts", 100),
                        ("cleartext_media_packets", "RTP packets before media counts as unencrypted", 50),
                    )
                )
            ),
            "rates and counts above which a rule fires",
        ),
        Key("local_paths", Many(LOCAL_PATH), "flows that this site allows beyond the documented rows"),
    )
)
