//! What Python reads: names, order and types of the columns are promised (`_native.pyi`), so they stand here once more.

mod beside;

use std::net::IpAddr;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt16Type, UInt64Type, UInt8Type};
use arrow_array::Array;
use arrow_schema::DataType;

use super::*;
use crate::facts::*;
use crate::flow::record::{Answered, End, Initiator, Tunnel};
use crate::text::Text;

fn end(address: &str, port: Option<u16>) -> End {
    End {
        address: address.parse().unwrap(),
        port,
        packets: 3,
        bytes: 4_000_000_000_000,
    }
}

/// An ICMP echo without any facts.
fn bare() -> Record {
    Record {
        start: 1_700_000_000_123_456_789,
        end: 1_700_000_001_000_000_000,
        transport: 1,
        source: end("192.168.0.89", Some(8)),
        destination: end("192.168.0.1", Some(0)),
        vlan: [None, None],
        tunnels: Vec::new(),
        capture: 0,
        frame: 1,
        last_frame: 2,
        initiator: Initiator::Handshake,
        answered: Answered::Yes,
        history: None,
        missed_bytes: 0,
        snaplen_cut: false,
        protocol: 0,
        source_is_a: true,
        facts: Facts::default(),
        observation: 5,
        packets: Vec::new(),
        part: None,
        keys: None,
    }
}

fn text(octets: &str) -> Option<Text> {
    Some(Text::from_wire(octets.as_bytes()))
}

/// Everything that a row can say, at once.
fn full() -> Record {
    let mut facts = Facts::default();
    facts.recognise(Service::Xmpp);
    facts.recognise(Service::Tls);
    facts.tls = Some(Box::new(TlsFacts {
        client_hello: true,
        server_hello: true,
        version: 0x0303,
        cipher: Some(0xc02f),
        server_name: text("sip.contoso.com"),
        next_protocol: text("h2"),
        established: true,
        mutual: Mutual::Yes,
        server_chain: vec![4, 2],
        client_chain: vec![7],
        ja3: Some([0xab; 16]),
        ja3s: Some([0x0c; 16]),
        ja4: Some("t13d1516h2_8daaf6152771_e5627efa2ab1".into()),
        ..TlsFacts::default()
    }));
    facts.sip = Some(Box::new(SipFacts {
        method: text("INVITE"),
        call_id: text("a\r\nb"),
        from: text("<sip:a@b>"),
        to: text("<sip:c@d>"),
        user_agent: text("x"),
        status: Some(404),
    }));
    facts.stun = Some(Box::new(StunFacts {
        method: Some("allocate"),
        transaction_id: vec![0x0a; 12],
        ms_version: Some(6),
        framing: Some("ms-turn-tcp"),
        ..StunFacts::default()
    }));
    facts.xmpp = Some(Box::new(XmppFacts {
        to: text("contoso.com"),
        from: text("fabrikam.com"),
        namespace: text("jabber:server"),
        starttls: StartTls::Proceeded,
        ..XmppFacts::default()
    }));
    facts.http = Some(Box::new(HttpFacts {
        method: text("GET"),
        domain: text("meet.contoso.com"),
        path: text("/x?y"),
        answer: Some(HttpAnswer::Autodiscover),
        ..Default::default()
    }));
    facts.dns = Some(Box::new(DnsFacts {
        question: text("_sip._tls.contoso.com"),
    }));
    Record {
        transport: 6,
        source: end("2001:470:e5bf:dead:4957:2174:e82c:4887", Some(63_943)),
        destination: end("2607:f8b0:400c:c03::1a", Some(25)),
        vlan: [Some(100), Some(7)],
        tunnels: vec![
            Tunnel {
                kind: "gre",
                ends: Some((IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]))),
            },
            Tunnel {
                kind: "mpls",
                ends: None,
            },
        ],
        initiator: Initiator::Syn,
        history: Some("ShADadFf".into()),
        missed_bytes: 9,
        snaplen_cut: true,
        protocol: Service::Xmpp as u8,
        facts,
        packets: vec![24, 1 << 48 | 99],
        ..bare()
    }
}

/// A cell as Python would print it; "-" is null.
fn cell(batch: &RecordBatch, name: &str, row: usize) -> String {
    let array = batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
    printed(array, row)
}

fn printed(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "-".into();
    }
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).to_string(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(row).to_string(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).to_string(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let items: Vec<String> = (0..items.len()).map(|item| printed(&items, item)).collect();
            format!("[{}]", items.join(", "))
        }
        other => panic!("{other}"),
    }
}

/// Name, type ("?" = may be null), cell of the full row, cell of the bare one.
const PROMISED: [(&str, &str, &str, &str); 61] = [
    ("event.start", "i64", "1700000000123456789", "1700000000123456789"),
    ("event.end", "i64", "1700000001000000000", "1700000001000000000"),
    ("network.type", "u8", "6", "4"),
    ("network.transport", "u8", "6", "1"),
    (
        "source.ip",
        "utf8",
        "2001:470:e5bf:dead:4957:2174:e82c:4887",
        "192.168.0.89",
    ),
    ("destination.ip", "utf8", "2607:f8b0:400c:c03::1a", "192.168.0.1"),
    ("source.port", "u16?", "63943", "8"),
    ("destination.port", "u16?", "25", "0"),
    ("source.packets", "u64", "3", "3"),
    ("source.bytes", "u64", "4000000000000", "4000000000000"),
    ("destination.packets", "u64", "3", "3"),
    ("destination.bytes", "u64", "4000000000000", "4000000000000"),
    ("network.vlan.id", "u16?", "100", "-"),
    ("network.inner.vlan.id", "u16?", "7", "-"),
    (
        "network.community_id",
        "utf8",
        "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=",
        "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=",
    ),
    ("network.protocol", "u8?", "6", "-"),
    ("edgewarden.services", "[u8]", "[6, 2]", "[]"),
    ("edgewarden.tunnel", "[utf8]", "[gre 10.0.0.1 10.0.0.2, mpls]", "[]"),
    ("edgewarden.capture", "u32", "0", "0"),
    ("edgewarden.frame", "u64", "1", "1"),
    ("edgewarden.last_frame", "u64", "2", "2"),
    ("edgewarden.initiator", "u8", "0", "1"),
    ("edgewarden.answered", "u8", "2", "2"),
    ("edgewarden.tcp.history", "utf8?", "ShADadFf", "-"),
    ("edgewarden.missed_bytes", "u64", "9", "0"),
    ("edgewarden.snaplen_cut", "bool", "true", "false"),
    ("edgewarden.cut", "bool", "false", "false"),
    ("tls.version", "utf8?", "1.2", "-"),
    ("tls.version_protocol", "utf8?", "tls", "-"),
    ("tls.cipher", "utf8?", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "-"),
    ("tls.next_protocol", "utf8?", "h2", "-"),
    ("tls.resumed", "bool?", "false", "-"),
    ("tls.established", "bool?", "true", "-"),
    ("tls.client.server_name", "utf8?", "sip.contoso.com", "-"),
    ("tls.client.ja3", "utf8?", "abababababababababababababababab", "-"),
    ("tls.server.ja3s", "utf8?", "0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c", "-"),
    (
        "edgewarden.tls.ja4",
        "utf8?",
        "t13d1516h2_8daaf6152771_e5627efa2ab1",
        "-",
    ),
    ("edgewarden.tls.mutual", "utf8?", "yes", "-"),
    ("edgewarden.tls.server_chain", "[u32]", "[4, 2]", "[]"),
    ("edgewarden.tls.client_chain", "[u32]", "[7]", "[]"),
    ("edgewarden.sip.method", "utf8?", "INVITE", "-"),
    ("edgewarden.sip.call_id", "utf8?", r"a\u{000d}\u{000a}b", "-"),
    ("edgewarden.sip.from", "utf8?", "<sip:a@b>", "-"),
    ("edgewarden.sip.to", "utf8?", "<sip:c@d>", "-"),
    ("edgewarden.sip.user_agent", "utf8?", "x", "-"),
    ("edgewarden.sip.status", "u16?", "404", "-"),
    ("edgewarden.stun.method", "utf8?", "allocate", "-"),
    (
        "edgewarden.stun.transaction_id",
        "utf8?",
        "0a0a0a0a0a0a0a0a0a0a0a0a",
        "-",
    ),
    ("edgewarden.stun.framing", "utf8?", "ms-turn-tcp", "-"),
    ("edgewarden.stun.ms_version", "u32?", "6", "-"),
    ("edgewarden.xmpp.to", "utf8?", "contoso.com", "-"),
    ("edgewarden.xmpp.from", "utf8?", "fabrikam.com", "-"),
    ("edgewarden.xmpp.namespace", "utf8?", "jabber:server", "-"),
    ("edgewarden.xmpp.starttls", "utf8?", "proceeded", "-"),
    ("http.request.method", "utf8?", "GET", "-"),
    ("url.domain", "utf8?", "meet.contoso.com", "-"),
    ("url.path", "utf8?", "/x?y", "-"),
    ("edgewarden.http.answer", "utf8?", "autodiscover", "-"),
    ("dns.question.name", "utf8?", "_sip._tls.contoso.com", "-"),
    ("observation", "u32", "5", "5"),
    ("edgewarden.packets", "[u64]", "[24, 281474976710755]", "[]"),
];

fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "utf8".into(),
        DataType::Boolean => "bool".into(),
        DataType::UInt8 => "u8".into(),
        DataType::UInt16 => "u16".into(),
        DataType::UInt32 => "u32".into(),
        DataType::UInt64 => "u64".into(),
        DataType::Int64 => "i64".into(),
        DataType::List(item) => format!("[{}]", type_name(item.data_type())),
        other => format!("{other}"),
    }
}

#[test]
fn columns_are_as_promised() {
    let batch = flows(&[full(), bare()]);
    assert_eq!(batch.num_rows(), 2);
    let schema = batch.schema();
    let fields: Vec<(&str, String)> = schema
        .fields()
        .iter()
        .map(|field| {
            let null = if field.is_nullable() { "?" } else { "" };
            (field.name().as_str(), format!("{}{null}", type_name(field.data_type())))
        })
        .collect();
    let promised: Vec<(&str, String)> = PROMISED
        .iter()
        .map(|(name, kind, ..)| (*name, (*kind).to_owned()))
        .collect();
    assert_eq!(fields, promised);
    assert_eq!(FLOW_COLUMNS.to_vec(), PROMISED.map(|(name, ..)| name).to_vec());
    for (name, _, in_full, in_bare) in PROMISED {
        assert_eq!(
            (cell(&batch, name, 0).as_str(), cell(&batch, name, 1).as_str()),
            (in_full, in_bare),
            "{name}"
        );
    }
}

#[test]
fn no_flows_are_a_batch_of_no_rows() {
    let batch = flows(&[]);
    assert_eq!((batch.num_rows(), batch.num_columns()), (0, FLOW_COLUMNS.len()));
}

#[test]
fn versions_by_their_numbers_on_the_wire() {
    for (wire, version, protocol) in [
        (0, "-", "-"),
        (0x0002, "2.0", "ssl"),
        (0x0300, "3.0", "ssl"),
        (0x0301, "1.0", "tls"),
        (0x0302, "1.1", "tls"),
        (0x0304, "1.3", "tls"),
        (0xfeff, "1.0", "dtls"),
        (0xfefd, "1.2", "dtls"),
        (0xfefc, "1.3", "dtls"),
        (0x7777, "-", "-"),
    ] {
        let mut record = bare();
        record.facts.tls = Some(Box::new(TlsFacts {
            version: wire,
            ..TlsFacts::default()
        }));
        let batch = flows(&[record]);
        assert_eq!(cell(&batch, "tls.version", 0), version);
        assert_eq!(cell(&batch, "tls.version_protocol", 0), protocol);
    }
}

#[test]
fn a_session_joined_late_says_nothing_of_its_beginning() {
    let mut record = bare();
    record.facts.tls = Some(Box::default());
    let batch = flows(&[record]);
    assert_eq!(cell(&batch, "tls.resumed", 0), "-");
    assert_eq!(cell(&batch, "tls.established", 0), "-");
    assert_eq!(cell(&batch, "edgewarden.tls.mutual", 0), "unknown");
}

#[test]
fn one_cut_text_marks_the_row() {
    let long = Some(Text::from_wire(&[b'a'; 1_025]));
    let rows: [fn(&mut Facts, Option<Text>); 5] = [
        |facts, long| {
            facts.tls = Some(Box::new(TlsFacts {
                server_name: long,
                ..Default::default()
            }))
        },
        |facts, long| {
            facts.sip = Some(Box::new(SipFacts {
                user_agent: long,
                ..Default::default()
            }))
        },
        |facts, long| {
            facts.xmpp = Some(Box::new(XmppFacts {
                namespace: long,
                ..Default::default()
            }))
        },
        |facts, long| {
            facts.http = Some(Box::new(HttpFacts {
                path: long,
                ..Default::default()
            }))
        },
        |facts, long| facts.dns = Some(Box::new(DnsFacts { question: long })),
    ];
    for (index, set) in rows.iter().enumerate() {
        let (mut cut, mut whole) = (bare(), bare());
        set(&mut cut.facts, long.clone());
        set(&mut whole.facts, Some(Text::from_wire(&[b'a'; 1_024])));
        let batch = flows(&[cut, whole]);
        assert_eq!(
            (cell(&batch, "edgewarden.cut", 0), cell(&batch, "edgewarden.cut", 1)),
            ("true".into(), "false".into()),
            "{index}"
        );
    }
}
