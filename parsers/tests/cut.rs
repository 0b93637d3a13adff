//! What a snap length or a loss leaves of a conversation still says what it was, and a keep-alive says nothing.

mod wire;

use _native::engine::{Engine, Limits};
use _native::facts::SERVICES;
use _native::observation::OBSERVATION;
use _native::tables::Tables;
use std::sync::Arc;
use wire::*;

/// Bits of `tls` in an observation.
const CLIENT_HELLO: u32 = 1;
const SERVER_HELLO: u32 = 2;
const RECORDS_ONLY: u32 = 32;
const BEGUN_HELLO: u32 = 128;
/// `initiator` by the bytes.
const HANDSHAKE: u32 = 1;

/// The one flow that these frames are: an observation's fields by name, and the services.
fn read(file: &[u8], names: [&str; 3]) -> ([u32; 3], Vec<&'static str>) {
    let limits = Limits {
        max_flows: 100,
        stream_memory: 1 << 20,
        positions: 0,
        from: None,
        to: None,
        part: None,
        joins: false,
    };
    let mut engine = Engine::new(Arc::new(Tables::default()), limits);
    let capture = engine.add_capture(None);
    assert!(engine.feed(capture, file));
    engine.finish(capture);
    engine.close();
    let rows = engine.take(100);
    assert_eq!(rows.len(), 1);
    let tuple = engine.observations()[rows[0].observation as usize];
    let field = |name| tuple[OBSERVATION.iter().position(|known| *known == name).unwrap()];
    let services = rows[0].facts.services().iter();
    (
        names.map(field),
        services.map(|service| SERVICES[*service as usize]).collect(),
    )
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let low = |number: usize| u8::try_from(number).unwrap();
    let head = [22, 3, 1, 0, low(body.len() + 4), kind, 0, 0, low(body.len())];
    [&head[..], body].concat()
}

/// RFC 5246 7.4.1.2 and 7.4.1.3: 32 octets of session id, one suite; so 85 and 81 octets with their headers.
fn hellos() -> [Vec<u8>; 2] {
    let random = [&[3, 3][..], &[0x42; 32], &[32], &[0x17; 32]].concat();
    let client = [&random[..], &[0, 2, 0xc0, 0x2f, 1, 0, 0, 3, 0xff, 1, 0]].concat();
    let server = [&random[..], &[0xc0, 0x2f, 0]].concat();
    [message(1, &client), message(2, &server)]
}

/// A connection from its SYN on, in which each side says its hello and the other acknowledges it.
fn greeted(from: usize) -> Vec<(i64, Vec<u8>)> {
    let [client, server] = hellos();
    let length = |hello: &[u8]| u32::try_from(hello.len()).unwrap();
    let (own, other) = (100 + length(&client), 900 + length(&server));
    let frames = [
        segment(true, 5000, 99, 0, SYN, b""),
        segment(false, 5000, 899, 100, SYN | ACK, b""),
        segment(true, 5000, 100, 900, ACK, &client),
        segment(false, 5000, 900, own, ACK, &server),
        segment(true, 5000, own, other, ACK, b""),
        segment(false, 5000, other, own, ACK, b""),
    ];
    (0..).zip(frames).skip(from).collect()
}

#[test]
fn cut_hellos_are_tls_that_was_greeted() {
    let names = ["tls", "evidence", "tls_version"];
    let (whole, _) = read(&pcap(&greeted(0)), names);
    assert_eq!(whole, [CLIENT_HELLO | SERVER_HELLO, 3, 0x0303]);
    // 54 octets of Ethernet, IPv4 and TCP; 11 of record, message header and version.
    for snaplen in [65, 68, 96, 128] {
        let (seen, services) = read(&cut_pcap(&greeted(0), snaplen), names);
        assert_eq!((seen, services), ([BEGUN_HELLO, 3, 0], vec!["tls"]), "{snaplen} octets");
    }
}

#[test]
fn a_cut_hello_tells_who_opened() {
    for (from, first) in [(2, "the client's hello"), (3, "the server's")] {
        let (seen, _) = read(&cut_pcap(&greeted(from), 96), ["initiator", "source_port", "tls"]);
        assert_eq!((seen[0], seen[2]), (HANDSHAKE, BEGUN_HELLO), "{first} comes first");
    }
}

#[test]
fn a_hello_that_lost_its_rest_is_one() {
    let [hello, _] = hellos();
    for kept in [11, 40, 84] {
        let frames = vec![
            (0, segment(true, 5000, 99, 0, SYN, b"")),
            (1, segment(false, 5000, 899, 100, SYN | ACK, b"")),
            (2, segment(true, 5000, 100, 900, ACK, &hello[..kept])),
        ];
        let (seen, _) = read(&pcap(&frames), ["tls", "evidence", "tls_version"]);
        assert_eq!(seen, [BEGUN_HELLO, 3, 0], "{kept} octets came");
    }
}

#[test]
fn data_of_a_session_joined_late_still_greets_nobody() {
    let data = [&[23, 3, 3, 0, 60][..], &[0x5a; 60]].concat();
    let frames = vec![(0, segment(true, 5000, 100, 900, ACK, &data))];
    let (seen, _) = read(&pcap(&frames), ["tls", "evidence", "tls_version"]);
    assert_eq!(seen, [RECORDS_ONLY, 4, 0]);
}

#[test]
fn a_keep_alive_before_any_data_is_no_payload() {
    let quiet = |garbage: &[u8], seq: u32| {
        let mut frames = vec![
            (0, segment(true, 5000, 99, 0, SYN, b"")),
            (1, segment(false, 5000, 899, 100, SYN | ACK, b"")),
            (2, segment(true, 5000, 100, 900, ACK, b"")),
            (3, segment(true, 5000, seq, 900, ACK, garbage)),
            (4, segment(false, 5000, 900, 100, ACK, b"")),
        ];
        let said = read(&pcap(&frames), ["payload", "evidence", "service"]).0;
        // Joined late: what the other side expects is known from its acknowledgement.
        frames.rotate_left(4);
        frames.truncate(1);
        frames.push((5, segment(true, 5000, seq, 900, ACK, garbage)));
        (said, read(&pcap(&frames), ["payload", "evidence", "service"]).0)
    };
    let both = 1 << 3; // packets of each side were seen
    let silent = [both, 0, 0];
    assert_eq!(quiet(b"\0", 99), (silent, silent));
    assert_eq!(quiet(b"", 99), (silent, silent), "without the octet");
    // Joined late, the server is taken for the opener: the other end spoke, and more than an alert.
    let (spoke, late) = ([both | 1, 1, 1], [both | 2 | 4, 1, 1]);
    assert_eq!(quiet(b"\0", 100), (spoke, late), "the first octet of a stream");
}
