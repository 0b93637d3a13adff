//! Services beside the edge through the whole engine: TLS behind each negotiation that leads to it is read as TLS, and
//! datagrams of chance, those that begin like media included, are none of the services without a magic number.

mod wire;

use _native::engine::{Engine, Limits};
use _native::facts::SERVICES;
use _native::flow::record::Record;
use _native::tables::Tables;
use proptest::prelude::*;
use std::sync::Arc;
use wire::*;

fn read(frames: &[(i64, Vec<u8>)]) -> Vec<Record> {
    let limits = Limits {
        max_flows: 1_000,
        stream_memory: 1 << 24,
        positions: 0,
        from: None,
        to: None,
        part: None,
        joins: false,
    };
    let mut engine = Engine::new(Arc::new(Tables::default()), limits);
    let capture = engine.add_capture(None);
    assert!(engine.feed(capture, &pcap(frames)));
    engine.finish(capture);
    engine.close();
    engine.take(usize::MAX)
}

fn services(record: &Record) -> Vec<&'static str> {
    let numbers = record.facts.services().iter();
    numbers.map(|service| SERVICES[*service as usize]).collect()
}

/// Who speaks (`true` = the client), and what.
type Turn<'a> = (bool, &'a [u8]);

/// A connection from its SYN on, each turn in segments of at most `size` octets.
fn connection(turns: &[Turn<'_>], size: usize) -> Vec<(i64, Vec<u8>)> {
    let mut frames = vec![
        (0, segment(true, 5000, 99, 0, SYN, b"")),
        (10, segment(false, 5000, 899, 100, SYN | ACK, b"")),
        (20, segment(true, 5000, 100, 900, ACK, b"")),
    ];
    let (mut client, mut server, mut at) = (100_u32, 900_u32, 30);
    for &(of_client, turn) in turns {
        for part in turn.chunks(size) {
            let (own, other) = if of_client { (client, server) } else { (server, client) };
            frames.push((at, segment(of_client, 5000, own, other, ACK, part)));
            let own = if of_client { &mut client } else { &mut server };
            *own += u32::try_from(part.len()).unwrap();
            at += 10;
        }
    }
    frames
}

/// RFC 5246 7.4.1.2, RFC 6066 3: a ClientHello that asks for inside.example.
fn client_hello() -> Vec<u8> {
    let name = b"\0\0\0\x13\0\x11\0\0\x0einside.example";
    let length = 2 + 32 + 1 + 4 + 2 + 2 + name.len();
    let low = |number: usize| u8::try_from(number).unwrap();
    let mut hello = vec![22, 3, 1, 0, low(length + 4), 1, 0, 0, low(length), 3, 3];
    hello.extend([0x42; 32]);
    hello.extend(b"\0\0\x02\xc0\x2f\x01\0");
    hello.extend([0, low(name.len())]);
    hello.extend(name);
    hello
}

#[test]
fn tls_behind_a_negotiation_is_read() {
    const C: bool = true;
    const S: bool = false;
    let hello = client_hello();
    let rdp = b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0"; // [MS-RDPBCGR] 2.2.1.1
    let ldap = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"; // RFC 4511 4.14.1
    let talks: [(&str, &[Turn<'_>]); 7] = [
        // RFC 3207 6
        (
            "smtp",
            &[
                (S, b"220 a SMTP\r\n"),
                (C, b"EHLO b\r\n"),
                (S, b"250 STARTTLS\r\n"),
                (C, b"STARTTLS\r\n"),
                (S, b"220 go\r\n"),
            ],
        ),
        // RFC 4217 12
        (
            "ftp",
            &[(S, b"220 ready\r\n"), (C, b"AUTH TLS\r\n"), (S, b"234 go\r\n")],
        ),
        // RFC 3501 6.2.1
        (
            "imap",
            &[(S, b"* OK ready\r\n"), (C, b"a1 STARTTLS\r\n"), (S, b"a1 OK go\r\n")],
        ),
        // RFC 2595 4
        ("pop3", &[(S, b"+OK ready\r\n"), (C, b"STLS\r\n"), (S, b"+OK go\r\n")]),
        (
            "ldap",
            &[(C, ldap), (S, b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\0\x04\0\x04\0")],
        ),
        (
            "rdp",
            &[
                (C, rdp),
                (S, b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\0\x08\0\x01\0\0\0"),
            ],
        ),
        // RFC 1928 3 to 6
        (
            "socks",
            &[
                (C, b"\x05\x01\0"),
                (S, b"\x05\0"),
                (C, b"\x05\x01\0\x01\xc0\0\x02\x07\x01\xbb"),
                (S, b"\x05\0\0\x01\0\0\0\0\0\0"),
            ],
        ),
    ];
    for (service, talk) in talks {
        for size in [1, 7, 1_000] {
            let turns = [talk, &[(C, &hello[..])]].concat();
            let records = read(&connection(&turns, size));
            let [record] = records.as_slice() else {
                panic!("{service}: {} flows", records.len())
            };
            assert_eq!(services(record), [service, "tls"], "in segments of {size}");
            let name = record.facts.tls.as_ref().and_then(|tls| tls.server_name.as_ref());
            assert_eq!(name.map(|name| name.bytes()), Some(&b"inside.example"[..]), "{service}");
        }
    }
}

/// Without a magic number: what proves them is argued beside each reader, 2^-32 a datagram and less.
const WEAK: [&str; 8] = ["ntp", "ike", "wireguard", "openvpn", "snmp", "kerberos", "ldap", "rdp"];

proptest! {
    /// 70 datagrams of a flow are more than its probes look at.
    #[test]
    fn datagrams_of_chance_are_no_service(
        datagrams in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 1..160)), 1..70),
        first in prop::option::of(128_u8..192),
    ) {
        let frames: Vec<_> = (0..).zip(datagrams).map(|(at, (client, mut payload))| {
            // The first octet of RTP, RTCP, SRTP and SRTCP (RFC 3550 5.1)
            if let Some(first) = first {
                payload[0] = first;
            }
            let (from, to, ports) = if client { (CLIENT, SERVER, (5000, 123)) } else { (SERVER, CLIENT, (123, 5000)) };
            (at, ethernet(&ipv4(from, to, 17, 7, 64, &udp(ports, &payload))))
        }).collect();
        for record in read(&frames) {
            prop_assert!(services(&record).iter().all(|service| !WEAK.contains(service)), "{:?}", services(&record));
        }
    }
}
