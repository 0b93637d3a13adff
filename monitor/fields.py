"""The fields of a flow as users see them: ECS names, their types, and how each is made from a batch of the core.

Strategy: work by column, never by row. A batch's numbers become typed Arrow columns under the published names (null =
the field is absent), with lookups (services, transports, certificates, captures) done once per distinct value and
spread with `take`. JSON, CSV, table and Parquet all start from these columns, so they cannot disagree. What depends on
the verdict is kept apart (`JUDGED`): it is known per observation, and for a one-way tap only at the end of the run.

`FIELDS` is the published list, in the order in which JSON and CSV show it; a test holds it against the JSON Schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from parsers import ANSWERED, INITIATORS, SERVICES
from rules.transports import TRANSPORTS

TIME: Final = "time"
TEXT: Final = "text"
NUMBER: Final = "number"
FLAG: Final = "flag"
LIST: Final = "list"


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    kind: str
    meaning: str


def _x509(side: str, who: str) -> tuple[Field, ...]:
    prefix = f"tls.{side}.x509."
    return (
        Field(prefix + "subject.common_name", TEXT, f"CN of the {who} leaf certificate"),
        Field(prefix + "alternative_names", LIST, "names under subjectAltName"),
        Field(prefix + "issuer.common_name", TEXT, "CN of the issuer"),
        Field(prefix + "not_before", TIME, "first moment of validity"),
        Field(prefix + "not_after", TIME, "last moment of validity"),
        Field(prefix + "serial_number", TEXT, "upper-case hexadecimal"),
        Field(prefix + "public_key_algorithm", TEXT, "of the subject's key"),
        Field(prefix + "public_key_size", NUMBER, "bits"),
        Field(f"tls.{side}.hash.sha256", TEXT, "SHA-256 of the leaf certificate, hexadecimal"),
    )


FIELDS: Final[tuple[Field, ...]] = (
    Field("event.start", TIME, "first packet"),
    Field("event.end", TIME, "last packet"),
    Field("network.type", TEXT, "ipv4 or ipv6"),
    Field("network.transport", TEXT, "IANA keyword in lower case, else the protocol number"),
    Field("network.protocol", TEXT, "the service recognised from bytes; unknown: payload, none recognised"),
    Field("network.packets", NUMBER, "both directions"),
    Field("network.bytes", NUMBER, "IP total lengths, both directions"),
    Field("network.community_id", TEXT, "Community ID v1, seed 0"),
    Field("network.vlan.id", NUMBER, "outermost VLAN"),
    Field("network.inner.vlan.id", NUMBER, "innermost VLAN of several"),
    Field("source.ip", TEXT, "who opened the flow"),
    Field("source.port", NUMBER, "absent where the protocol has none"),
    Field("source.packets", NUMBER, "sent by the source"),
    Field("source.bytes", NUMBER, "sent by the source, IP total lengths"),
    Field("destination.ip", TEXT, "who answered, or was to"),
    Field("destination.port", NUMBER, "absent where the protocol has none"),
    Field("destination.packets", NUMBER, "sent by the destination"),
    Field("destination.bytes", NUMBER, "sent by the destination, IP total lengths"),
    Field("observer.name", TEXT, "the sensor"),
    Field("tls.version", TEXT, "negotiated, else the highest offered: 1.0 to 1.3, 3.0, 2.0"),
    Field("tls.version_protocol", TEXT, "tls, ssl, dtls or quic"),
    Field("tls.cipher", TEXT, "the suite chosen, IANA name"),
    Field("tls.next_protocol", TEXT, "ALPN chosen"),
    Field("tls.resumed", FLAG, "a session was taken up again; false until proved"),
    Field("tls.established", FLAG, "the handshake was completed; false until proved"),
    Field("tls.client.server_name", TEXT, "SNI"),
    Field("tls.client.ja3", TEXT, "JA3 of the first ClientHello"),
    Field("tls.server.ja3s", TEXT, "JA3S of the ServerHello"),
    *_x509("server", "server's"),
    *_x509("client", "client's"),
    Field("http.request.method", TEXT, "first request"),
    Field("url.domain", TEXT, "Host of the first request"),
    Field("url.path", TEXT, "path of the first request"),
    Field("dns.question.name", TEXT, "first question"),
    Field("edgewarden.services", LIST, "all services recognised, in the order seen"),
    Field("edgewarden.position", TEXT, "the sensor's position"),
    Field("edgewarden.side", TEXT, "the sensor's side of the firewall"),
    Field("edgewarden.capture", TEXT, "the file of the first packet"),
    Field("edgewarden.frame", NUMBER, "number of the first packet in its file, from 1"),
    Field("edgewarden.initiator", TEXT, "how the opener is known: syn, handshake, listener, first"),
    Field("edgewarden.answered", TEXT, "yes, refused, no"),
    Field("edgewarden.missed_bytes", NUMBER, "payload that was sent but not captured"),
    Field("edgewarden.snaplen_cut", FLAG, "a packet was cut by the capture's snap length"),
    Field("edgewarden.cut", FLAG, "present and true when a text was cut at 1,024 octets"),
    Field("edgewarden.tunnel", LIST, "outer headers, outermost first"),
    Field("edgewarden.tcp.history", TEXT, "Zeek's letters"),
    Field("edgewarden.tls.ja4", TEXT, "JA4 of the first ClientHello"),
    Field("edgewarden.tls.mutual", TEXT, "did the client show a certificate: yes, no, unknown"),
    Field(
        "edgewarden.http.answer",
        TEXT,
        "to the first request: redirect, refusal, empty, autodiscover, data (JSON, XML), content, switch",
    ),
    Field("edgewarden.sip.method", TEXT, "first request"),
    Field("edgewarden.sip.call_id", TEXT, "first Call-ID"),
    Field("edgewarden.sip.from", TEXT, "first From, as sent"),
    Field("edgewarden.sip.to", TEXT, "first To, as sent"),
    Field("edgewarden.sip.user_agent", TEXT, "first User-Agent or Server"),
    Field("edgewarden.sip.status", NUMBER, "first status"),
    Field("edgewarden.stun.method", TEXT, "binding, allocate, send, refresh, …"),
    Field("edgewarden.stun.transaction_id", TEXT, "lower-case hexadecimal, without the cookie"),
    Field("edgewarden.stun.ms_version", NUMBER, "MS-TURN protocol version"),
    Field("edgewarden.stun.framing", TEXT, "udp, tcp, rfc4571, ms-turn-tcp"),
    Field("edgewarden.xmpp.to", TEXT, "of the first stream header"),
    Field("edgewarden.xmpp.from", TEXT, "of the first stream header"),
    Field("edgewarden.xmpp.namespace", TEXT, "default namespace of the stream"),
    Field("edgewarden.xmpp.starttls", TEXT, "offered, proceeded, no"),
)

JUDGED: Final[tuple[Field, ...]] = (
    Field("edgewarden.source.zone", TEXT, "zone of the source"),
    Field("edgewarden.source.role", TEXT, "what the source is declared to be"),
    Field("edgewarden.source.component", TEXT, "whose it is"),
    Field("edgewarden.destination.zone", TEXT, "zone of the destination"),
    Field("edgewarden.destination.role", TEXT, "what the destination is declared to be"),
    Field("edgewarden.destination.component", TEXT, "whose it is"),
    Field("edgewarden.verdict", TEXT, "allowed, violation, attempt, undecided, out-of-scope"),
    Field("edgewarden.path", TEXT, "the allowed row that fits"),
    Field("edgewarden.rules", LIST, "rules that hold, by severity"),
    Field("edgewarden.rules_silenced", LIST, "rules that a more specific one silences"),
    Field("edgewarden.unproved", LIST, "what could not be seen"),
    Field("edgewarden.reason", TEXT, "why, in words"),
)

ARROW_TYPES: Final = {
    TIME: pa.timestamp("ns", tz="UTC"),
    TEXT: pa.string(),
    NUMBER: pa.int64(),
    FLAG: pa.bool_(),
    LIST: pa.list_(pa.string()),
}

_SECOND: Final = 1_000_000_000
_SERVICE_NAMES: Final = pa.array([None, *SERVICES[1:]], pa.string())
_TRANSPORT_NAMES: Final = pa.array(TRANSPORTS, pa.string())
_INITIATOR_NAMES: Final = pa.array(INITIATORS, pa.string())
_ANSWERED_NAMES: Final = pa.array(ANSWERED, pa.string())


class Certificates:
    """The certificates of one engine by number, as columns; grows by appending what the core has found since."""

    _COLUMNS: Final = {
        "x509.subject.common_name": ("subject_common_name", TEXT),
        "x509.alternative_names": ("alternative_names", LIST),
        "x509.issuer.common_name": ("issuer_common_name", TEXT),
        "x509.not_before": ("not_before", TIME),
        "x509.not_after": ("not_after", TIME),
        "x509.serial_number": ("serial_number", TEXT),
        "x509.public_key_algorithm": ("public_key_algorithm", TEXT),
        "x509.public_key_size": ("public_key_size", NUMBER),
        "hash.sha256": ("sha256", TEXT),
    }

    def __init__(self) -> None:
        self._table: Any = None

    def __len__(self) -> int:
        return 0 if self._table is None else int(self._table.num_rows)

    def append(self, batch: Any) -> None:
        """batch: what `Engine.certificates(len(self))` gave, as a pyarrow record batch."""
        if batch.num_rows:
            new = pa.table(batch)
            self._table = new if self._table is None else pa.concat_tables([self._table, new]).combine_chunks()

    def row(self, number: int) -> dict[str, Any]:
        """One certificate, by the core's column names."""
        values: dict[str, Any] = self._table.slice(number, 1).to_pylist()[0]
        return values

    def columns(self, side: str, leaves: Any) -> dict[str, Any]:
        """The fields `tls.SIDE.…` for rows whose leaf certificate's number is in `leaves` (null = none), and, under
        `repeated(side)`, the same once per certificate, as there are few and their text is long."""
        if self._table is None or leaves.null_count == len(leaves):
            return {}
        encoded = leaves.dictionary_encode()
        few = {}
        for suffix, (column, kind) in self._COLUMNS.items():
            values = self._table[column].combine_chunks().take(encoded.dictionary)
            if kind == TEXT:  # a certificate that was broken before this field
                values = pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
            if kind == TIME:  # certificates know whole seconds (RFC 5280, 4.1.2.5)
                values = pc.multiply(pc.divide(values, _SECOND), _SECOND)
            few[f"tls.{side}.{suffix}"] = values.cast(ARROW_TYPES[kind])
        made: dict[str, Any] = {name: column.take(encoded.indices) for name, column in few.items()}
        made[repeated(side)] = Repeated(few, encoded.indices)
        return made


@dataclass(frozen=True, slots=True)
class Repeated:
    """Columns of a few different rows, and for each row of the batch which of them it has (null = none)."""

    columns: dict[str, Any]
    numbers: Any


def repeated(side: str) -> str:
    """The key under which `columns` gives the certificates of one side as `Repeated`."""
    return f"tls.{side}.*"


@dataclass(slots=True)
class Origin:
    """Where rows come from: what is the same for every flow of one sensor's run."""

    name: str | None
    position: str | None
    side: str | None
    captures: Sequence[str]
    certificates: Certificates


def columns(batch: Any, origin: Origin) -> dict[str, Any]:
    """Typed columns by field name, in the order of FIELDS; a field that no row has is left out. Behind them the
    certificates as `Repeated`, for who writes text.

    batch: a record batch with the columns of `Engine.take()`.
    """
    rows = batch.num_rows
    made: dict[str, Any] = {}
    for name, value in (
        ("observer.name", origin.name),
        ("edgewarden.position", origin.position),
        ("edgewarden.side", origin.side),
    ):
        if value is not None:
            made[name] = pa.repeat(pa.scalar(value, pa.string()), rows)
    made["event.start"] = batch["event.start"].cast(ARROW_TYPES[TIME])
    made["event.end"] = batch["event.end"].cast(ARROW_TYPES[TIME])
    made["network.type"] = pc.if_else(pc.equal(batch["network.type"], 6), "ipv6", "ipv4")
    made["network.transport"] = _TRANSPORT_NAMES.take(batch["network.transport"])
    made["network.protocol"] = _SERVICE_NAMES.take(batch["network.protocol"])
    made["network.packets"] = pc.add(batch["source.packets"], batch["destination.packets"])
    made["network.bytes"] = pc.add(batch["source.bytes"], batch["destination.bytes"])
    made["edgewarden.services"] = _names(batch["edgewarden.services"])
    made["edgewarden.capture"] = pa.array(origin.captures, pa.string()).take(batch["edgewarden.capture"])
    made["edgewarden.initiator"] = _INITIATOR_NAMES.take(batch["edgewarden.initiator"])
    made["edgewarden.answered"] = _ANSWERED_NAMES.take(batch["edgewarden.answered"])
    made["edgewarden.cut"] = pc.if_else(batch["edgewarden.cut"], True, pa.scalar(None, pa.bool_()))
    tunnel = batch["edgewarden.tunnel"]
    made["edgewarden.tunnel"] = pc.if_else(pc.greater(pc.list_value_length(tunnel), 0), tunnel, None)
    for side in ("server", "client"):
        chain = batch[f"edgewarden.tls.{side}_chain"]
        made.update(origin.certificates.columns(side, first(chain)))
    present = set(batch.schema.names)
    result = {}
    for field in FIELDS:
        column = made.get(field.name)
        if column is None and field.name in present:
            column = batch[field.name]
        if column is not None and column.null_count < rows:
            kind = ARROW_TYPES[field.kind]
            result[field.name] = column if column.type == kind else column.cast(kind)
    result.update({name: column for name, column in made.items() if isinstance(column, Repeated)})
    return result


def _names(services: Any) -> Any:
    """A list column of service numbers as one of names."""
    names = _SERVICE_NAMES.take(services.flatten())
    counts = pc.fill_null(pc.list_value_length(services), 0)
    ends = pc.cumulative_sum(counts.cast(pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    return pa.ListArray.from_arrays(offsets, names)


def first(lists: Any) -> Any:
    """The first item of each list, null where the list is empty or null."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    if not pc.sum(lengths).as_py():
        return pa.nulls(len(lists), pa.uint32())
    ends = pc.cumulative_sum(lengths.cast(pa.int64()))
    starts = pc.subtract(ends, lengths.cast(pa.int64()))
    return lists.flatten().take(pc.if_else(pc.greater(lengths, 0), starts, pa.scalar(None, pa.int64())))
