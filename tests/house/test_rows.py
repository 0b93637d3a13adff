"""Rows as users read them: field by field from hand-made batches, in JSON, CSV, table and Parquet."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import jsonschema
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.fields import ARROW_TYPES, FIELDS, JUDGED, Certificates, Origin, columns
from monitor.rows import (
    CSV_HEADER,
    JSON_END,
    csv_judged,
    csv_lines,
    json_judged,
    json_lines,
    times,
)
from monitor.times import iso
from parsers import SERVICES
from reports.schemas import schema
from tests.house.batches import CERTIFICATES, START, batch

NUMBER = {name: number for number, name in enumerate(SERVICES)}


def origin(**changes: Any) -> Origin:
    given = {"name": "xf-out", "position": "external", "side": "outside", "captures": ["a.pcap"], **changes}
    return Origin(certificates=Certificates(), **given)


def rows(*given: dict[str, Any], where: Origin | None = None, judged: dict[str, Any] | None = None) -> list[Any]:
    made = columns(batch(*given), where or origin())
    end = json_judged(judged or {}) + JSON_END
    parsed = [json.loads(line + end) for line in json_lines(made).to_pylist()]
    for row in parsed:
        jsonschema.validate(row, schema("flows"))
    return parsed


def test_a_row_field_by_field() -> None:
    where = origin()
    where.certificates.append(
        pa.RecordBatch.from_pylist(
            [
                {
                    "number": 0,
                    "sha256": "ab" * 32,
                    "subject_common_name": "sip.contoso.com",
                    "alternative_names": ["sip.contoso.com", "sip.fabrikam.com"],
                    "issuer_common_name": "Public CA",
                    "not_before": START,
                    "not_after": START + 86_400_999_999_999,
                    "serial_number": "0AFF",
                    "public_key_algorithm": "rsa",
                    "public_key_size": 2048,
                }
            ],
            schema=CERTIFICATES,
        )
    )
    [row] = rows(
        {
            "network.protocol": NUMBER["tls"],
            "edgewarden.services": [NUMBER["xmpp"], NUMBER["tls"]],
            "tls.version": "1.2",
            "tls.version_protocol": "tls",
            "tls.cipher": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "tls.resumed": False,
            "tls.established": True,
            "tls.client.server_name": "sip.contoso.com",
            "edgewarden.tls.mutual": "no",
            "edgewarden.tls.server_chain": [0],
            "edgewarden.tcp.history": "ShADad",
            "edgewarden.xmpp.to": "contoso.com",
            "network.vlan.id": 10,
            "network.inner.vlan.id": 20,
            "edgewarden.tunnel": ["gre 10.0.0.1 10.0.0.2"],
        },
        where=where,
        judged={
            "edgewarden.source.zone": "external",
            "edgewarden.source.role": "ext-client",
            "edgewarden.source.component": None,
            "edgewarden.verdict": "allowed",
            "edgewarden.path": "ext-access-client-sip",
            "edgewarden.rules": [],
        },
    )
    assert row == {
        "event": {"start": "2026-11-22T08:00:00.000000Z", "end": "2026-11-22T08:00:01.000000Z"},
        "network": {
            "type": "ipv4",
            "transport": "tcp",
            "protocol": "tls",
            "packets": 11,
            "bytes": 3900,
            "community_id": "1:abc=",
            "vlan": {"id": 10},
            "inner": {"vlan": {"id": 20}},
        },
        "source": {"ip": "198.51.100.7", "port": 40000, "packets": 6, "bytes": 900},
        "destination": {"ip": "203.0.113.10", "port": 443, "packets": 5, "bytes": 3000},
        "observer": {"name": "xf-out"},
        "tls": {
            "version": "1.2",
            "version_protocol": "tls",
            "cipher": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "resumed": False,
            "established": True,
            "client": {"server_name": "sip.contoso.com"},
            "server": {
                "x509": {
                    "subject": {"common_name": "sip.contoso.com"},
                    "alternative_names": ["sip.contoso.com", "sip.fabrikam.com"],
                    "issuer": {"common_name": "Public CA"},
                    "not_before": "2026-11-22T08:00:00.000000Z",
                    "not_after": "2026-11-23T08:00:00.000000Z",
                    "serial_number": "0AFF",
                    "public_key_algorithm": "rsa",
                    "public_key_size": 2048,
                },
                "hash": {"sha256": "ab" * 32},
            },
        },
        "edgewarden": {
            "services": ["xmpp", "tls"],
            "position": "external",
            "side": "outside",
            "capture": "a.pcap",
            "frame": 1,
            "initiator": "syn",
            "answered": "yes",
            "missed_bytes": 0,
            "snaplen_cut": False,
            "tunnel": ["gre 10.0.0.1 10.0.0.2"],
            "tcp": {"history": "ShADad"},
            "tls": {"mutual": "no"},
            "xmpp": {"to": "contoso.com"},
            "source": {"zone": "external", "role": "ext-client"},
            "verdict": "allowed",
            "path": "ext-access-client-sip",
            "rules": [],
        },
    }


def test_what_does_not_apply_is_absent() -> None:
    [row] = rows(
        {"network.type": 6, "network.transport": 50, "source.port": None, "destination.port": None},
        where=origin(name=None, position=None, side=None),
    )
    assert row["network"]["type"] == "ipv6"
    assert row["network"]["transport"] == "esp"
    assert "protocol" not in row["network"]
    assert "port" not in row["source"]
    assert "port" not in row["destination"]
    assert not {"observer", "tls", "url", "http", "dns"} & set(row)
    assert row["edgewarden"]["services"] == []
    assert not {"position", "side", "cut", "tunnel", "tcp", "verdict"} & set(row["edgewarden"])


def test_rows_of_one_batch_do_not_touch_each_other() -> None:
    """Fields that some rows have and others lack, in every mixture of a nested object."""
    given = [
        {"edgewarden.sip.method": "INVITE"},
        {"edgewarden.sip.status": 200, "edgewarden.sip.from": "<sip:a@b>"},
        {},
        {"url.domain": "meet.contoso.com"},
        {"url.path": "/x"},
        {"network.vlan.id": 7},
    ]
    made = rows(*given)
    assert [row["edgewarden"].get("sip") for row in made] == [
        {"method": "INVITE"},
        {"from": "<sip:a@b>", "status": 200},
        None,
        None,
        None,
        None,
    ]
    assert [row.get("url") for row in made] == [None, None, None, {"domain": "meet.contoso.com"}, {"path": "/x"}, None]
    assert [row["network"].get("vlan") for row in made] == [None, None, None, None, None, {"id": 7}]


@pytest.mark.parametrize(
    ("number", "name"), [(1, "icmp"), (6, "tcp"), (17, "udp"), (58, "ipv6-icmp"), (132, "sctp"), (253, "253")]
)
def test_transports_have_iana_names(number: int, name: str) -> None:
    assert rows({"network.transport": number})[0]["network"]["transport"] == name


TEXT = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\u2028\u2029"), min_size=1, max_size=20
)


@settings(max_examples=150, deadline=None)
@given(
    texts=st.lists(
        TEXT | st.sampled_from(['"', "\\", "\\u{0000}", "=1+1", "a;b", '@x,"y"', "-", "\\;"]), min_size=1, max_size=5
    )
)
def test_any_text_survives_json_and_csv(texts: list[str]) -> None:
    made = columns(
        batch(
            *(
                {"tls.client.server_name": text, "edgewarden.tunnel": [text, "x"], "observation": n}
                for n, text in enumerate(texts)
            )
        ),
        origin(),
    )
    parsed = [json.loads(line + JSON_END) for line in json_lines(made).to_pylist()]
    assert [row["tls"]["client"]["server_name"] for row in parsed] == texts
    assert [row["edgewarden"]["tunnel"] for row in parsed] == [[text, "x"] for text in texts]
    table = "\n".join([CSV_HEADER, *(line + csv_judged({}) for line in csv_lines(made).to_pylist())]) + "\n"
    for text, row in zip(texts, csv.DictReader(io.StringIO(table, newline="")), strict=True):
        cell = row["tls.client.server_name"]
        assert cell == ("'" + text if text[0] in "=+-@" else text)
        joined = text.replace(";", "\\;") + ";x"
        assert row["edgewarden.tunnel"] == ("'" + joined if text[0] in "=+-@" else joined)
        assert None not in row


def test_csv_has_a_cell_for_every_field() -> None:
    made = columns(batch({}), origin())
    line = csv_lines(made)[0].as_py() + csv_judged({"edgewarden.rules": ["a", "b;c"], "edgewarden.reason": '=x,"y"'})
    [cells] = csv.reader([line])
    names = CSV_HEADER.split(",")
    assert names == [field.name for field in (*FIELDS, *JUDGED)]
    row = dict(zip(names, cells, strict=True))
    assert row["event.start"] == "2026-11-22T08:00:00.000000Z"
    assert row["edgewarden.snaplen_cut"] == "false"
    assert row["edgewarden.rules"] == "a;b\\;c"
    assert row["edgewarden.reason"] == '\'=x,"y"'


@given(moment=st.integers(0, 2**62))
def test_column_times_equal_single_times(moment: int) -> None:
    assert times(pa.array([moment], ARROW_TYPES["time"])).to_pylist() == [iso(moment)]


def test_times_keep_nanoseconds_only_where_there_are_some() -> None:
    assert iso(START + 1_500_000_000) == "2026-11-22T08:00:01.500000Z"
    assert iso(START + 1) == "2026-11-22T08:00:00.000000001Z"


def test_every_field_is_in_the_schema_and_the_other_way_round() -> None:
    """The published list against the published schema: two statements of the same thing."""
    document = schema("flows")

    def leaves(node: dict[str, Any], name: str) -> set[str]:
        if node.get("type") == "object":
            found: set[str] = set()
            for key, child in node["properties"].items():
                found |= leaves(child, f"{name}.{key}" if name else key)
            return found
        return {name}

    assert leaves(document["$defs"]["flow"], "") == {field.name for field in (*FIELDS, *JUDGED)}


def test_certificates_grow_and_stay_in_place() -> None:
    where = origin()
    for number in range(3):
        where.certificates.append(
            pa.RecordBatch.from_pylist(
                [{"number": number, "sha256": f"{number:064x}", "serial_number": "01", "alternative_names": []}],
                schema=CERTIFICATES,
            )
        )
    made = rows({"edgewarden.tls.server_chain": [2, 1]}, {}, {"edgewarden.tls.server_chain": [0]}, where=where)
    assert [row.get("tls", {}).get("server", {}).get("hash", {}).get("sha256") for row in made] == [
        f"{2:064x}",
        None,
        f"{0:064x}",
    ]


def test_a_certificate_that_was_broken_early_has_no_empty_fields() -> None:
    where = origin()
    unread = {
        "number": 0,
        "sha256": "ab" * 32,
        "alternative_names": [],
        "serial_number": "",
        "public_key_algorithm": "",
    }
    where.certificates.append(pa.RecordBatch.from_pylist([unread], schema=CERTIFICATES))
    [row] = rows({"network.protocol": NUMBER["tls"], "edgewarden.tls.server_chain": [0]}, where=where)
    assert row["tls"]["server"] == {"x509": {"alternative_names": []}, "hash": {"sha256": "ab" * 32}}
