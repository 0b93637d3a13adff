//! The columns of a flow row, in order.

use arrow_array::types::{Int64Type, UInt16Type, UInt32Type, UInt64Type, UInt8Type};
use arrow_array::ArrayRef;

use super::cell::{address, flags, hex, number_lists, numbers, put, text_lists, texts, wire_texts};
use super::cipher_names::cipher_name;
use crate::community_id::community_id;
use crate::facts::{HttpAnswer, HttpFacts, Mutual, SipFacts, StartTls, StunFacts, TlsFacts, XmppFacts};
use crate::flow::record::{Record, Tunnel};
use crate::text::Text;

pub struct Column {
    pub name: &'static str,
    pub nullable: bool,
    pub make: fn(&[Record]) -> ArrayRef,
}

/// A column that has a value in every row.
pub const fn always(name: &'static str, make: fn(&[Record]) -> ArrayRef) -> Column {
    Column {
        name,
        nullable: false,
        make,
    }
}

/// A column that is null where there is nothing to say.
pub const fn maybe(name: &'static str, make: fn(&[Record]) -> ArrayRef) -> Column {
    Column {
        name,
        nullable: true,
        make,
    }
}

pub const COLUMNS: [Column; 61] = [
    always("event.start", |rows| {
        numbers::<Int64Type>(rows.iter().map(|row| Some(row.start)))
    }),
    always("event.end", |rows| {
        numbers::<Int64Type>(rows.iter().map(|row| Some(row.end)))
    }),
    always("network.type", |rows| {
        numbers::<UInt8Type>(
            rows.iter()
                .map(|row| Some(if row.source.address.is_ipv4() { 4 } else { 6 })),
        )
    }),
    always("network.transport", |rows| {
        numbers::<UInt8Type>(rows.iter().map(|row| Some(row.transport)))
    }),
    always("source.ip", |rows| {
        texts(rows.iter(), |row, out| address(row.source.address, out))
    }),
    always("destination.ip", |rows| {
        texts(rows.iter(), |row, out| address(row.destination.address, out))
    }),
    maybe("source.port", |rows| {
        numbers::<UInt16Type>(rows.iter().map(|row| row.source.port))
    }),
    maybe("destination.port", |rows| {
        numbers::<UInt16Type>(rows.iter().map(|row| row.destination.port))
    }),
    always("source.packets", |rows| {
        numbers::<UInt64Type>(rows.iter().map(|row| Some(row.source.packets)))
    }),
    always("source.bytes", |rows| {
        numbers::<UInt64Type>(rows.iter().map(|row| Some(row.source.bytes)))
    }),
    always("destination.packets", |rows| {
        numbers::<UInt64Type>(rows.iter().map(|row| Some(row.destination.packets)))
    }),
    always("destination.bytes", |rows| {
        numbers::<UInt64Type>(rows.iter().map(|row| Some(row.destination.bytes)))
    }),
    maybe("network.vlan.id", |rows| {
        numbers::<UInt16Type>(rows.iter().map(|row| row.vlan[0]))
    }),
    maybe("network.inner.vlan.id", |rows| {
        numbers::<UInt16Type>(rows.iter().map(|row| row.vlan[1]))
    }),
    always("network.community_id", |rows| {
        texts(rows.iter(), |row, out| put(out, &community_id_of(row)))
    }),
    maybe("network.protocol", |rows| {
        numbers::<UInt8Type>(
            rows.iter()
                .map(|row| Some(row.protocol).filter(|protocol| *protocol != 0)),
        )
    }),
    always("edgewarden.services", |rows| {
        number_lists::<UInt8Type, _, _>(rows.iter(), |row| {
            row.facts.services().iter().map(|service| *service as u8)
        })
    }),
    always("edgewarden.tunnel", |rows| {
        text_lists(rows.iter(), |row| row.tunnels.iter().map(tunnel))
    }),
    always("edgewarden.capture", |rows| {
        numbers::<UInt32Type>(rows.iter().map(|row| Some(row.capture)))
    }),
    always("edgewarden.frame", |rows| {
        numbers::<UInt64Type>(rows.iter().map(|row| Some(row.frame)))
    }),
    always("edgewarden.last_frame", |rows| {
        numbers::<UInt64Type>(rows.iter().map(|row| Some(row.last_frame)))
    }),
    always("edgewarden.initiator", |rows| {
        numbers::<UInt8Type>(rows.iter().map(|row| Some(row.initiator as u8)))
    }),
    always("edgewarden.answered", |rows| {
        numbers::<UInt8Type>(rows.iter().map(|row| Some(row.answered as u8)))
    }),
    maybe("edgewarden.tcp.history", |rows| {
        texts(rows.iter(), |row, out| {
            row.history.as_ref().is_some_and(|history| put(out, history))
        })
    }),
    always("edgewarden.missed_bytes", |rows| {
        numbers::<UInt64Type>(rows.iter().map(|row| Some(row.missed_bytes)))
    }),
    always("edgewarden.snaplen_cut", |rows| {
        flags(rows.iter().map(|row| Some(row.snaplen_cut)))
    }),
    always("edgewarden.cut", |rows| {
        flags(rows.iter().map(|row| Some(emitted(row).any(Text::is_cut))))
    }),
    maybe("tls.version", |rows| {
        texts(tls(rows), |tls, out| {
            version(tls).is_some_and(|(number, _)| put(out, number))
        })
    }),
    maybe("tls.version_protocol", |rows| {
        texts(tls(rows), |tls, out| {
            version(tls).is_some_and(|(_, protocol)| put(out, protocol))
        })
    }),
    maybe("tls.cipher", |rows| {
        texts(tls(rows), |tls, out| {
            tls.and_then(|tls| tls.cipher)
                .is_some_and(|suite| put(out, &cipher_name(suite)))
        })
    }),
    maybe("tls.next_protocol", |rows| {
        wire_texts(tls(rows).map(|tls| tls?.next_protocol.as_ref()))
    }),
    maybe("tls.resumed", |rows| {
        flags(tls(rows).map(|tls| greeted(tls).map(|tls| tls.resumed)))
    }),
    maybe("tls.established", |rows| {
        flags(tls(rows).map(|tls| greeted(tls).map(|tls| tls.established)))
    }),
    maybe("tls.client.server_name", |rows| {
        wire_texts(tls(rows).map(|tls| tls?.server_name.as_ref()))
    }),
    maybe("tls.client.ja3", |rows| {
        texts(tls(rows), |tls, out| {
            tls.and_then(|tls| tls.ja3).is_some_and(|digest| hex(&digest, out))
        })
    }),
    maybe("tls.server.ja3s", |rows| {
        texts(tls(rows), |tls, out| {
            tls.and_then(|tls| tls.ja3s).is_some_and(|digest| hex(&digest, out))
        })
    }),
    maybe("edgewarden.tls.ja4", |rows| {
        texts(tls(rows), |tls, out| {
            tls.and_then(|tls| tls.ja4.as_ref())
                .is_some_and(|print| put(out, print))
        })
    }),
    maybe("edgewarden.tls.mutual", |rows| {
        texts(tls(rows), |tls, out| tls.is_some_and(|tls| put(out, mutual(tls))))
    }),
    always("edgewarden.tls.server_chain", |rows| {
        number_lists::<UInt32Type, _, _>(tls(rows), |tls| {
            tls.map(|tls| tls.server_chain.as_slice())
                .unwrap_or_default()
                .iter()
                .copied()
        })
    }),
    always("edgewarden.tls.client_chain", |rows| {
        number_lists::<UInt32Type, _, _>(tls(rows), |tls| {
            tls.map(|tls| tls.client_chain.as_slice())
                .unwrap_or_default()
                .iter()
                .copied()
        })
    }),
    maybe("edgewarden.sip.method", |rows| {
        wire_texts(sip(rows).map(|sip| sip?.method.as_ref()))
    }),
    maybe("edgewarden.sip.call_id", |rows| {
        wire_texts(sip(rows).map(|sip| sip?.call_id.as_ref()))
    }),
    maybe("edgewarden.sip.from", |rows| {
        wire_texts(sip(rows).map(|sip| sip?.from.as_ref()))
    }),
    maybe("edgewarden.sip.to", |rows| {
        wire_texts(sip(rows).map(|sip| sip?.to.as_ref()))
    }),
    maybe("edgewarden.sip.user_agent", |rows| {
        wire_texts(sip(rows).map(|sip| sip?.user_agent.as_ref()))
    }),
    maybe("edgewarden.sip.status", |rows| {
        numbers::<UInt16Type>(sip(rows).map(|sip| sip?.status))
    }),
    maybe("edgewarden.stun.method", |rows| {
        texts(stun(rows), |stun, out| {
            stun.and_then(|stun| stun.method).is_some_and(|method| put(out, method))
        })
    }),
    maybe("edgewarden.stun.transaction_id", |rows| {
        texts(stun(rows), |stun, out| {
            stun.is_some_and(|stun| hex(&stun.transaction_id, out))
        })
    }),
    maybe("edgewarden.stun.framing", |rows| {
        texts(stun(rows), |stun, out| {
            stun.and_then(|stun| stun.framing)
                .is_some_and(|framing| put(out, framing))
        })
    }),
    maybe("edgewarden.stun.ms_version", |rows| {
        numbers::<UInt32Type>(stun(rows).map(|stun| stun?.ms_version))
    }),
    maybe("edgewarden.xmpp.to", |rows| {
        wire_texts(xmpp(rows).map(|xmpp| xmpp?.to.as_ref()))
    }),
    maybe("edgewarden.xmpp.from", |rows| {
        wire_texts(xmpp(rows).map(|xmpp| xmpp?.from.as_ref()))
    }),
    maybe("edgewarden.xmpp.namespace", |rows| {
        wire_texts(xmpp(rows).map(|xmpp| xmpp?.namespace.as_ref()))
    }),
    maybe("edgewarden.xmpp.starttls", |rows| {
        texts(xmpp(rows), |xmpp, out| {
            xmpp.is_some_and(|xmpp| put(out, starttls(xmpp)))
        })
    }),
    maybe("http.request.method", |rows| {
        wire_texts(http(rows).map(|http| http?.method.as_ref()))
    }),
    maybe("url.domain", |rows| {
        wire_texts(http(rows).map(|http| http?.domain.as_ref()))
    }),
    maybe("url.path", |rows| {
        wire_texts(http(rows).map(|http| http?.path.as_ref()))
    }),
    maybe("edgewarden.http.answer", |rows| {
        texts(http(rows), |http, out| {
            http.and_then(|http| http.answer)
                .is_some_and(|answer| put(out, http_answer(answer)))
        })
    }),
    maybe("dns.question.name", |rows| {
        wire_texts(rows.iter().map(|row| row.facts.dns.as_ref()?.question.as_ref()))
    }),
    always("observation", |rows| {
        numbers::<UInt32Type>(rows.iter().map(|row| Some(row.observation)))
    }),
    always("edgewarden.packets", |rows| {
        number_lists::<UInt64Type, _, _>(rows.iter(), |row| row.packets.iter().copied())
    }),
];

fn tls(rows: &[Record]) -> impl Iterator<Item = Option<&TlsFacts>> {
    rows.iter().map(|row| row.facts.tls.as_deref())
}

fn sip(rows: &[Record]) -> impl Iterator<Item = Option<&SipFacts>> {
    rows.iter().map(|row| row.facts.sip.as_deref())
}

fn stun(rows: &[Record]) -> impl Iterator<Item = Option<&StunFacts>> {
    rows.iter().map(|row| row.facts.stun.as_deref())
}

fn xmpp(rows: &[Record]) -> impl Iterator<Item = Option<&XmppFacts>> {
    rows.iter().map(|row| row.facts.xmpp.as_deref())
}

fn http(rows: &[Record]) -> impl Iterator<Item = Option<&HttpFacts>> {
    rows.iter().map(|row| row.facts.http.as_deref())
}

fn community_id_of(row: &Record) -> String {
    let (source, destination) = (&row.source, &row.destination);
    let ports = (source.port.unwrap_or(0), destination.port.unwrap_or(0));
    community_id(source.address, destination.address, row.transport, ports)
}

/// "gre 10.0.0.1 10.0.0.2", or the kind alone where the layer has no addresses.
fn tunnel(tunnel: &Tunnel) -> String {
    match tunnel.ends {
        Some((from, to)) => format!("{} {from} {to}", tunnel.kind),
        None => tunnel.kind.to_owned(),
    }
}

/// Version number and protocol of the ServerHello's choice. DTLS counts down in one's complement (RFC 6347 4.1).
fn version(tls: Option<&TlsFacts>) -> Option<(&'static str, &'static str)> {
    Some(match tls?.version {
        0x0002 => ("2.0", "ssl"),
        0x0300 => ("3.0", "ssl"),
        0x0301 => ("1.0", "tls"),
        0x0302 => ("1.1", "tls"),
        0x0303 => ("1.2", "tls"),
        0x0304 => ("1.3", "tls"),
        0xfeff => ("1.0", "dtls"),
        0xfefd => ("1.2", "dtls"),
        0xfefc => ("1.3", "dtls"),
        _ => return None,
    })
}

/// Of a session joined late it is not known whether it was resumed or ever established.
fn greeted(tls: Option<&TlsFacts>) -> Option<&TlsFacts> {
    tls.filter(|tls| tls.client_hello || tls.server_hello)
}

fn mutual(tls: &TlsFacts) -> &'static str {
    match tls.mutual {
        Mutual::Unknown => "unknown",
        Mutual::No => "no",
        Mutual::Yes => "yes",
    }
}

fn starttls(xmpp: &XmppFacts) -> &'static str {
    match xmpp.starttls {
        StartTls::No => "no",
        StartTls::Offered => "offered",
        StartTls::Proceeded => "proceeded",
    }
}

fn http_answer(answer: HttpAnswer) -> &'static str {
    match answer {
        HttpAnswer::Redirect => "redirect",
        HttpAnswer::Refusal => "refusal",
        HttpAnswer::Empty => "empty",
        HttpAnswer::Autodiscover => "autodiscover",
        HttpAnswer::Data => "data",
        HttpAnswer::Content => "content",
        HttpAnswer::Switch => "switch",
    }
}

/// Every text from the wire that stands in the row.
fn emitted(row: &Record) -> impl Iterator<Item = &Text> {
    let facts = &row.facts;
    let tls = facts.tls.iter().flat_map(|tls| [&tls.server_name, &tls.next_protocol]);
    let sip = facts
        .sip
        .iter()
        .flat_map(|sip| [&sip.method, &sip.call_id, &sip.from, &sip.to, &sip.user_agent]);
    let xmpp = facts
        .xmpp
        .iter()
        .flat_map(|xmpp| [&xmpp.to, &xmpp.from, &xmpp.namespace]);
    let http = facts
        .http
        .iter()
        .flat_map(|http| [&http.method, &http.domain, &http.path]);
    let dns = facts.dns.iter().map(|dns| &dns.question);
    tls.chain(sip).chain(xmpp).chain(http).chain(dns).flatten()
}
