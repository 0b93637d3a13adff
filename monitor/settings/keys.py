"""The keys of a settings file: one description, read by the loader and turned into the JSON Schema.

Strategy: a tree of shapes, as for topologies, in the order in which a person would write the file; `NOT_BUILT` says
which parts are still missing, so that a setting that would have no effect is refused instead of ignored. A
secret has two keys, for the file and for the variable of the environment that hold it; a key for the secret itself
does not exist. To add a key: one `Key` here, and a line in the test that has every key.
"""

from __future__ import annotations

from typing import Final

from monitor.calendar.periods import KINDS
from monitor.settings.shapes import Clock, Crontab, Duration, Place, Server, Size, Url, Zone
from rules.names import SEVERITIES
from rules.shape import PORT, Choice, Either, Flag, Key, Keys, Many, Number, Text

NOT_BUILT: Final = {
    "alerts": "alerts are not built yet",
    "elasticsearch.keep_flows=true": "all flows are not shipped yet, only what violates the policy",
    "listen": "the page of counters is not built yet",
    "reports.deliver.mail": "mail is not built yet; a folder is",
    "reports.formats=oscal": "reports in OSCAL are not built yet",
    "reports.formats=pdf": "reports in PDF are not built yet",
    "retention": "pruning of the record is not built yet",
}
"""Keys (with the way to them) and values (behind =, lists passed through) without a part that serves them, with the
sentence that refuses each. Building a part takes its entry out."""

WORD: Final = Text(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "a word of letters, digits, dots, hyphens")
VARIABLE: Final = Text(r"[A-Za-z_][A-Za-z0-9_]{0,99}", "the name of a variable of the environment")
MAILBOX: Final = Text(r"[^\s@<>,;:\"]{1,64}@[A-Za-z0-9.-]{1,253}", "an address such as security@contoso.net")
DAYS: Final = Number(1, 36_500, whole=True)
KEEP: Final = Duration("1d", "36500d")


def secret(name: str, about: str) -> tuple[Key, Key]:
    """The two keys of a secret, of which one may be there."""
    return (
        Key(f"{name}_file", Place(), f"file that holds {about}"),
        Key(f"{name}_env", VARIABLE, f"variable of the environment that holds {about}"),
    )


def no_inline(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, f"a secret never stands in this file: {name}_file names the file, {name}_env the variable that holds it")
        for name in names
    )


ELASTICSEARCH: Final = Keys(
    (
        Key("hosts", Many(Url(), least=1, or_one=True), "where the cluster answers", required=True),
        Key("ca_certs", Place(), "PEM file with the authority that signed the cluster's certificate"),
        Key(
            "fingerprint",
            Text(r"([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}", "SHA-256 in 64 hexadecimal digits", lower=True),
            "SHA-256 of that authority's certificate, in place of ca_certs",
        ),
        *secret("api_key", "the API key"),
        Key("username", Text(), "in place of an API key, with a password"),
        *secret("password", "the password"),
        Key(
            "namespace", Text(r"[a-z0-9][a-z0-9._]{0,99}", "a word in lower case"), "of the streams", default="default"
        ),
        Key("keep_flows", Flag(), "index all judged flows, not only violations", default=False),
    ),
    refused=no_inline("api_key", "password"),
)

EVIDENCE: Final = Keys(
    (
        Key("dir", Place(), "folder for slices of packets", default="evidence"),
        Key(
            "buffer",
            Size("1MiB", "64GiB"),
            "ring of recent packets, for each sensor; two minutes of them for findings over several flows",
            default="256MiB",
        ),
        Key("packets_per_flow", Number(1, 16, whole=True), "first packets of a flow that are kept", default=16),
        Key("flows_per_finding", Number(1, 1000, whole=True), "flows of a finding that are kept", default=8),
        Key("keep_days", DAYS, "days until a slice is removed", default=90),
        # 96 octets hold Ethernet with two tags, IPv6 and TCP without options; 262,144 is the most that tcpdump takes
        Key("snaplen", Number(96, 262_144, whole=True), "octets of a packet that are kept", default=256),
        Key("handshakes", Choice(("full", "headers")), "of packets that open a session", default="full"),
        Key("media", Choice(("full", "headers")), "of RTP and relayed media", default="headers"),
        Key("messages", Choice(("redact", "full")), "bodies of SIP and XMPP messages", default="redact"),
    )
)

MAIL: Final = Keys(
    (
        Key("server", Server(), "host that takes mail", required=True),
        Key("port", PORT, "its TCP port", default=587),
        Key("starttls", Flag(), "ask for TLS before anything else is said", default=True),
        Key("from", MAILBOX, "sender", required=True),
        Key("to", Many(MAILBOX, least=1, or_one=True), "who gets it", required=True),
        Key("username", Text(), "for a server that asks, with a password"),
        *secret("password", "the password"),
    ),
    refused=no_inline("password"),
)

REPORT: Final = Keys(
    (
        Key("name", WORD, "what it is called in commands and file names", required=True),
        Key("every", Either(Keys((Key("cron", Crontab(), "when", required=True),)), Choice(KINDS)), "its period"),
        Key("cron", Crontab(), "in place of every: a crontab line, such as 0 6 * * 1 (0 and 7 are Sunday)"),
        Key("at", Clock(), "time of the day after the period", default="00:00"),
        Key("zone", Zone(), "time zone in which days begin", default="UTC"),
        Key(
            "formats",
            Many(Choice(("html", "pdf", "csv", "json", "oscal")), least=1, or_one=True),
            "what is written",
            default=["html"],
        ),
        Key(
            "deliver",
            Many(
                Keys((Key("folder", Place(), "folder to write to"), Key("mail", MAIL, "who gets it")), some=True),
                least=1,
            ),
            "where it goes, each entry a folder or a mail",
            default=[{"folder": "reports"}],
        ),
    )
)

ALERTS: Final = Many(
    Keys(
        (
            Key("min_severity", Choice(SEVERITIES), "lowest severity that is told", default="high"),
            Key(
                "syslog",
                Keys(
                    (
                        Key("address", Server(port=True), "host and port", required=True),
                        Key("transport", Choice(("udp", "tcp", "tls")), "RFC 5426, 6587, 5425", default="udp"),
                    )
                ),
                "a line for each finding",
            ),
            Key(
                "webhook",
                Keys(
                    (
                        Key("url", Url(secure=True), "gets a POST with JSON", required=True),
                        *secret("hmac", "the key that signs the body"),
                    ),
                    refused=no_inline("hmac"),
                ),
                "a request for each finding",
            ),
        )
    )
)

LOG: Final = Keys(
    (
        Key("format", Choice(("text", "json")), "of a message", default="text"),
        Key("level", Choice(("debug", "info", "warning", "error")), "least that is told", default="info"),
    )
)

SETTINGS: Final = Keys(
    (
        Key("edgewarden", Choice(("1",)), "version of this format", required=True),
        Key("topology", Place(), "the topology file; one of its sensors names interfaces", required=True),
        Key(
            "store",
            Text(r"sqlite:///.{1,4000}", "sqlite:///record.db, or sqlite:////var/lib/… for an absolute place"),
            "the local record; absent: in the state folder of the platform",
        ),
        Key("elasticsearch", ELASTICSEARCH, "where the record is shipped; absent: nowhere"),
        Key("evidence", EVIDENCE, "packets kept of findings"),
        Key("reports", Many(REPORT), "by the calendar"),
        Key("alerts", ALERTS, "told at once; each entry one of syslog, webhook"),
        Key(
            "retention",
            Keys(tuple(Key(name, KEEP, f"time that {name} stay") for name in ("findings", "flows", "coverage"))),
            "how long the record keeps what",
        ),
        Key("listen", Server(port=True), "where /metrics and /healthz answer"),
        Key(
            "privileges",
            Keys(
                (
                    Key(
                        "user",
                        Text(r"[a-z_][a-z0-9_-]{0,30}\$?", "the name of a user of this machine"),
                        "what workers become",
                        required=True,
                    ),
                )
            ),
            "what is given up after the sockets are open",
        ),
        Key("log", LOG, "messages on standard error"),
    )
)
