//! Two legs of one conversation, before and behind what translates or relays it, have the same keys.

mod wire;

use _native::engine::{Engine, Limits};
use _native::flow::join::Keys;
use _native::tables::Tables;
use std::net::Ipv4Addr;
use std::sync::Arc;
use wire::*;

const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 25);

fn keys(frames: &[Vec<u8>]) -> Vec<Keys> {
    let limits = Limits {
        max_flows: 100,
        stream_memory: 1 << 20,
        positions: 0,
        from: None,
        to: None,
        part: None,
        joins: true,
    };
    let mut engine = Engine::new(Arc::new(Tables::default()), limits);
    let capture = engine.add_capture(None);
    let frames: Vec<_> = (0..)
        .zip(frames.iter().cloned())
        .map(|(at, frame)| (at * 20_000, frame))
        .collect();
    engine.feed(capture, &pcap(&frames));
    engine.close();
    engine.take(100).into_iter().map(|row| row.keys.unwrap()).collect()
}

#[test]
fn a_translated_connection_keeps_numbers_random_and_payload() {
    // RFC 5246 §7.4.1.2: version, random, no session, one suite, no compression.
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0xc0, 0x2f, 1, 0]].concat();
    let length = u8::try_from(body.len()).unwrap();
    let hello = [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat();
    let leg = |client: Ipv4Addr, port: u16| {
        let there = |seq, ack, flags, payload: &[u8]| {
            ethernet(&ipv4(
                client,
                SERVER,
                6,
                1,
                64,
                &tcp((port, 443), seq, ack, flags, payload),
            ))
        };
        let back = |seq, ack, flags| ethernet(&ipv4(SERVER, client, 6, 1, 64, &tcp((443, port), seq, ack, flags, b"")));
        // The server's packets come first in one of the captures: the source is the client all the same.
        vec![
            back(900, 101, SYN | ACK),
            there(100, 0, SYN, b""),
            there(101, 901, ACK, &hello),
        ]
    };
    let expected = Keys {
        isn: [Some(100), Some(900)],
        // Python: hashlib.sha256(bytes([7] * 32)).hexdigest()[:16]
        client_random: Some([0x4b, 0xb0, 0x6f, 0x8e, 0x4e, 0x3a, 0x77, 0x15]),
        // The same, FNV-1a written out.
        first_payload: Some(0x459c_e4fe_e0d1_891c),
        rtp_source: None,
        spoken: Vec::new(),
    };
    let legs = [keys(&leg(CLIENT, 50_000)), keys(&leg(INSIDE, 1_024))];
    assert_eq!(legs, [vec![expected.clone()], vec![expected]]);
}

#[test]
fn media_has_one_source_inside_and_outside_of_a_relay() {
    // RFC 3550 §5.1, 20 ms of sound of source 0x01020304.
    let rtp = |at: u8| [&[0x80, 8, 0, at, 0, 0, at, 0xa0, 1, 2, 3, 4][..], &[0xd5; 20]].concat();
    let sent = |payload: &[u8]| ethernet(&ipv4(CLIENT, SERVER, 17, 1, 64, &udp((50_000, 3_478), payload)));
    let message = |kind: [u8; 2], attributes: &[u8]| {
        let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
        [&kind[..], &length, &[0x21, 0x12, 0xa4, 0x42], &[5; 12], attributes].concat()
    };
    let allocate = sent(&message([0, 3], &[]));
    // RFC 8656 §18.4: DATA of 32 octets; §12.4: channel 0x4001.
    let in_send = |at: u8| sent(&message([0, 0x16], &[&[0, 0x13, 0, 32][..], &rtp(at)].concat()));
    let in_channel = |at: u8| sent(&[&[0x40, 1, 0, 32][..], &rtp(at)].concat());
    let source = |frames: &[Vec<u8>]| keys(frames)[0].rtp_source;
    let ssrc = Some(0x0102_0304);
    assert_eq!(source(&[1, 2, 3].map(|at| sent(&rtp(at)))), ssrc);
    assert_eq!(
        source(&[1, 2].map(|at| sent(&rtp(at)))),
        None,
        "three in order make a source"
    );
    assert_eq!(
        source(&[&[allocate.clone()][..], &[1, 2, 3].map(in_send)].concat()),
        ssrc
    );
    assert_eq!(source(&[&[allocate][..], &[1, 2, 3].map(in_channel)].concat()), ssrc);
    assert_eq!(source(&[1, 2, 3].map(in_channel)), None, "no channel without TURN");
}

#[test]
fn over_tcp_the_frames_are_looked_into() {
    // MS-TURN §2.1.2: type 2 holds a message, 3 data. An Allocate request, then two packets of sound.
    let rtp = |at: u8| [&[0x80, 8, 0, at, 0, 0, at, 0xa0, 1, 2, 3, 4][..], &[0xd5; 20]].concat();
    let cookie = [0, 0x0f, 0, 4, 0x72, 0xc6, 0x4b, 0xc6];
    let allocate = [&[0, 3, 0, 8][..], &[5; 16], &cookie].concat();
    let frame = |kind: u8, body: &[u8]| [&[kind, 0, 0, u8::try_from(body.len()).unwrap()][..], body].concat();
    let stream = [frame(2, &allocate), frame(3, &rtp(1)), frame(3, &rtp(2))].concat();
    let [ref found] = keys(&[
        segment(true, 50_000, 100, 0, SYN, b""),
        segment(false, 50_000, 900, 101, SYN | ACK, b""),
        segment(true, 50_000, 101, 901, ACK, &stream),
    ])[..] else {
        panic!("one flow")
    };
    assert_eq!(found.rtp_source, Some(0x0102_0304));
}

/// RFC 5246 §6.2.1: type 23, version, length. The server opens the conversation in the capture, the client talks most.
#[test]
fn messages_are_counted_for_as_long_as_a_connection_lives() {
    let record = |length: u16| {
        let body = vec![0x17; usize::from(length)];
        [&[23, 3, 3][..], &length.to_be_bytes(), &body].concat()
    };
    let (mut frames, mut seq) = (vec![segment(true, 50_000, 100, 0, SYN, b"")], 101);
    frames.push(segment(false, 50_000, 900, 101, SYN | ACK, b""));
    // Session joined late: the first records are what it is recognised by.
    for number in 0..2_000_u32 {
        let bytes = record(if number % 2 == 0 { 400 } else { 40 });
        frames.push(segment(true, 50_000, seq, 901, ACK, &bytes));
        seq += u32::try_from(bytes.len()).unwrap();
    }
    frames.push(segment(false, 50_000, 901, seq, ACK, &record(200)));
    let [ref found] = keys(&frames)[..] else {
        panic!("one flow")
    };
    let sums = found.spoken.iter().fold([0, 0], |sums, spoken| {
        [sums[0] + spoken.records[0], sums[1] + spoken.records[1]]
    });
    // The first is over before TLS is known.
    assert!((998..=1_000).contains(&sums[0]), "{sums:?}");
    assert_eq!(sums[1], 1);
    assert!(found.spoken.iter().all(|spoken| spoken.allocates == 0));
}
