//! The engine from outside: captures made by hand go in, records come out, everything adds up.

mod wire;

use _native::engine::{Engine, Ledger, Limits};
use _native::facts::Service;
use _native::flow::record::{Answered, Initiator, Record};
use _native::observation::OBSERVATION;
use _native::tables::Tables;
use proptest::prelude::*;
use std::sync::Arc;
use wire::*;

fn limits() -> Limits {
    Limits {
        max_flows: 1_000_000,
        stream_memory: 1 << 26,
        positions: 16,
        from: None,
        to: None,
        part: None,
        joins: false,
    }
}

/// Reads one capture in blocks of `block` octets.
fn read_with(bytes: &[u8], block: usize, limits: Limits) -> (Vec<Record>, Ledger) {
    let mut engine = Engine::new(Arc::new(Tables::default()), limits);
    let capture = engine.add_capture(None);
    for part in bytes.chunks(block.max(1)) {
        assert!(engine.feed(capture, part));
    }
    engine.finish(capture);
    engine.close();
    let records = engine.take(usize::MAX);
    let ledger = *engine.capture(capture).unwrap().1;
    let counted: u64 = records
        .iter()
        .map(|record| record.source.packets + record.destination.packets)
        .sum();
    assert_eq!(counted, ledger.accounting.in_flows, "in_flows is the sum over flows");
    assert_eq!(
        ledger.packets,
        ledger.accounting.values().iter().sum::<u64>(),
        "every packet has one name"
    );
    (records, ledger)
}

fn read(frames: &[(i64, Vec<u8>)]) -> (Vec<Record>, Ledger) {
    read_with(&pcap(frames), 1 << 16, limits())
}

const SECOND: i64 = 1_000_000;

fn handshake(at: i64, port: u16) -> Vec<(i64, Vec<u8>)> {
    vec![
        (at, segment(true, port, 100, 0, SYN, b"")),
        (at + 10, segment(false, port, 900, 101, SYN | ACK, b"")),
        (at + 20, segment(true, port, 101, 901, ACK, b"")),
    ]
}

#[test]
fn an_http_exchange_is_one_flow_of_the_client() {
    let request = b"GET /a HTTP/1.1\r\nHost: www.contoso.com\r\n\r\n";
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let mut frames = handshake(0, 5000);
    frames.push((30, segment(true, 5000, 101, 901, ACK, request)));
    frames.push((40, segment(false, 5000, 901, 101 + request.len() as u32, ACK, answer)));
    let (records, ledger) = read(&frames);
    let [record] = records.as_slice() else {
        panic!("one flow, not {}", records.len())
    };
    assert_eq!(record.source.port, Some(5000));
    assert_eq!(record.source.address, std::net::IpAddr::V4(CLIENT));
    assert_eq!(record.initiator, Initiator::Syn);
    assert_eq!(record.answered, Answered::Yes);
    assert_eq!(record.protocol, Service::Http as u8);
    assert_eq!(record.history.as_deref(), Some("ShADd"));
    assert_eq!((record.source.packets, record.destination.packets), (3, 2));
    assert_eq!(record.source.bytes, 40 + 40 + 40 + request.len() as u64);
    assert_eq!(record.packets.len(), 5);
    assert_eq!(
        record.packets[0], 24,
        "the first record header stands behind the file header"
    );
    assert_eq!(ledger.accounting.in_flows, 5);
}

#[test]
fn the_opener_is_known_from_the_answer_alone() {
    let (records, _) = read(&[(0, segment(false, 6000, 900, 101, SYN | ACK, b""))]);
    assert_eq!(records[0].source.port, Some(6000));
    assert_eq!(records[0].initiator, Initiator::Syn);
    assert_eq!(records[0].history.as_deref(), Some("^h"));
}

#[test]
fn acknowledged_bytes_that_were_never_seen_are_missed() {
    let (records, _) = read(&[
        (0, segment(true, 6000, 100, 0, SYN, b"")),
        (5, segment(true, 6000, 101, 901, ACK, b"")),
        (9, segment(true, 6000, 101, 1901, ACK, b"")),
    ]);
    assert_eq!(records[0].answered, Answered::Yes);
    assert_eq!(records[0].missed_bytes, 999, "the last number may be a FIN's");
}

#[test]
fn a_refused_connection_is_refused_and_a_lonely_syn_is_not_answered() {
    let (records, _) = read(&[
        (0, segment(true, 6000, 100, 0, SYN, b"")),
        (5, segment(false, 6000, 0, 101, RST | ACK, b"")),
        (9, segment(true, 6001, 100, 0, SYN, b"")),
    ]);
    assert_eq!(records[0].answered, Answered::Refused);
    assert_eq!(records[1].answered, Answered::No);
}

#[test]
fn a_new_isn_is_a_new_flow_and_the_old_one_is_a_retransmission() {
    let mut frames = handshake(0, 5000);
    frames.push((SECOND, segment(true, 5000, 100, 0, SYN, b"")));
    assert_eq!(read(&frames).0.len(), 1);
    frames.push((2 * SECOND, segment(true, 5000, 7777, 0, SYN, b"")));
    assert_eq!(read(&frames).0.len(), 2);
}

#[test]
fn idle_limits_count_the_gap_between_two_packets_of_the_flow() {
    let datagram = |at: i64, client: bool| {
        let (from, to, ports) = if client {
            (CLIENT, SERVER, (4000, 9999))
        } else {
            (SERVER, CLIENT, (9999, 4000))
        };
        (
            at,
            ethernet(&ipv4(from, to, 17, (at / 1000 % 60_000) as u16, 64, &udp(ports, b"x"))),
        )
    };
    // unanswered: 60 s
    assert_eq!(read(&[datagram(0, true), datagram(60 * SECOND, true)]).0.len(), 1);
    assert_eq!(read(&[datagram(0, true), datagram(60 * SECOND + 1, true)]).0.len(), 2);
    // answered: 120 s
    let answered = [datagram(0, true), datagram(1, false), datagram(120 * SECOND + 1, true)];
    assert_eq!(read(&answered).0.len(), 1);
    let late = [datagram(0, true), datagram(1, false), datagram(120 * SECOND + 2, true)];
    assert_eq!(read(&late).0.len(), 2);
    // TCP: established 3,600 s, opening 60 s, 5 s after the reset however many packets follow
    let mut tcp = handshake(0, 5000);
    tcp.push((20 + 3_600 * SECOND, segment(true, 5000, 101, 901, ACK, b"")));
    assert_eq!(read(&tcp).0.len(), 1);
    tcp.push((21 + 7_200 * SECOND, segment(true, 5000, 101, 901, ACK, b"")));
    assert_eq!(read(&tcp).0.len(), 2);
    let mut reset = handshake(0, 5000);
    reset.push((SECOND, segment(false, 5000, 901, 101, RST, b"")));
    reset.push((4 * SECOND, segment(true, 5000, 101, 901, ACK, b"")));
    reset.push((6 * SECOND, segment(true, 5000, 101, 901, ACK, b"z")));
    assert_eq!(read(&reset).0.len(), 1);
    reset.push((6 * SECOND + 1, segment(true, 5000, 101, 901, ACK, b"y")));
    assert_eq!(read(&reset).0.len(), 2);
}

#[test]
fn the_same_packet_on_two_vlans_is_a_duplicate_and_a_retransmitted_syn_is_not() {
    let ip = ipv4(CLIENT, SERVER, 6, 77, 64, &tcp((5000, 443), 100, 0, SYN, b""));
    let (_, ledger) = read(&[(0, tagged(&ip, 10)), (500, tagged(&ip, 20))]);
    assert_eq!(ledger.accounting.duplicate, 1, "same SYN, other VLAN");
    let (_, ledger) = read(&[(0, tagged(&ip, 10)), (500, tagged(&ip, 10))]);
    assert_eq!(ledger.accounting.duplicate, 0, "a SYN may really be sent twice");
    let (_, ledger) = read(&[(0, tagged(&ip, 10)), (1_001, tagged(&ip, 20))]);
    assert_eq!(ledger.accounting.duplicate, 0, "more than a millisecond apart");
    let data = ipv4(CLIENT, SERVER, 6, 78, 64, &tcp((5000, 443), 101, 901, ACK, b"data"));
    let (_, ledger) = read(&[(0, ethernet(&data)), (500, ethernet(&data))]);
    assert_eq!(ledger.accounting.duplicate, 1, "payload with the same identification");
    let hop = ipv4(CLIENT, SERVER, 6, 78, 63, &tcp((5000, 443), 101, 901, ACK, b"data"));
    let (_, ledger) = read(&[(0, ethernet(&data)), (500, ethernet(&hop))]);
    assert_eq!(ledger.accounting.duplicate, 1, "routed between the two taps");
}

#[test]
fn fragments_count_in_their_flow_or_are_a_named_loss() {
    let datagram = udp((4000, 53), &[7; 1000]);
    let first = fragment(CLIENT, SERVER, 17, 9, 64, 0x2000, &datagram[..504]);
    let second = fragment(CLIENT, SERVER, 17, 9, 64, 504 / 8, &datagram[504..]);
    for order in [[&first, &second], [&second, &first]] {
        let frames: Vec<_> = (0_i64..).zip(order).map(|(at, ip)| (at, ethernet(ip))).collect();
        let (records, ledger) = read(&frames);
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].source.packets, 2);
        assert_eq!(records[0].source.port, Some(4000));
        assert_eq!(records[0].source.bytes, 20 + 504 + 20 + 504);
        assert_eq!(records[0].frame, 1);
        assert_eq!(ledger.accounting.in_flows, 2);
    }
    let (records, ledger) = read(&[(0, ethernet(&first))]);
    assert!(records.is_empty());
    assert_eq!(ledger.accounting.fragment_incomplete, 1);
}

#[test]
fn an_unreachable_refuses_the_flow_it_quotes() {
    let probe = ipv4(CLIENT, SERVER, 17, 5, 64, &udp((4000, 3478), b"hello"));
    let mut error = vec![3, 3, 0, 0, 0, 0, 0, 0];
    error.extend_from_slice(&probe[..28]);
    let icmp = ipv4(SERVER, CLIENT, 1, 6, 64, &error);
    let (records, _) = read(&[(0, ethernet(&probe)), (9, ethernet(&icmp))]);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].transport, 17);
    assert_eq!(records[0].answered, Answered::Refused);
    assert_eq!((records[0].source.packets, records[0].destination.packets), (1, 1));
    let (alone, _) = read(&[(9, ethernet(&icmp))]);
    assert_eq!(alone[0].source.port, Some(4000), "made for the flow it quotes");
    assert_eq!((alone[0].source.packets, alone[0].destination.packets), (0, 1));
}

#[test]
fn a_protocol_whose_ports_are_not_read_has_none() {
    // UDP-Lite (RFC 3828) and DCCP (RFC 4340) have ports, but no header of theirs is taken apart.
    for protocol in [136, 33] {
        let packet = ipv4(CLIENT, SERVER, protocol, 3, 64, &udp((4000, 53), b"hello"));
        let (records, _) = read(&[(0, ethernet(&packet))]);
        assert_eq!((records[0].source.port, records[0].destination.port), (None, None));
    }
}

#[test]
fn what_does_not_fit_or_is_not_asked_for_is_counted() {
    let frames: Vec<_> = (0..10_u16)
        .map(|n| (i64::from(n), segment(true, 5000 + n, 1, 0, SYN, b"")))
        .collect();
    let small = Limits {
        max_flows: 4,
        ..limits()
    };
    let (records, ledger) = read_with(&pcap(&frames), 4096, small);
    assert_eq!((records.len(), ledger.accounting.table_full), (4, 6));
    let window = Limits {
        from: Some(2_000),
        to: Some(5_000),
        ..limits()
    };
    let (records, ledger) = read_with(&pcap(&frames), 4096, window);
    assert_eq!(
        (records.len(), ledger.accounting.filtered),
        (3, 7),
        "from inclusive, to exclusive"
    );
}

#[test]
fn captures_of_one_sensor_are_merged_in_packet_time() {
    let frames = handshake(0, 5000);
    let (odd, even): (Vec<_>, Vec<_>) = frames.iter().cloned().enumerate().partition(|(n, _)| n % 2 == 1);
    let strip =
        |part: Vec<(usize, (i64, Vec<u8>))>| pcap(&part.into_iter().map(|(_, frame)| frame).collect::<Vec<_>>());
    let (first, second) = (strip(odd), strip(even));
    let mut engine = Engine::new(Arc::new(Tables::default()), limits());
    let (a, b) = (engine.add_capture(None), engine.add_capture(None));
    engine.feed(a, &first);
    assert_eq!(engine.take(usize::MAX).len(), 0);
    assert_eq!(engine.wants(), Some(b), "nothing moves before both have a packet");
    engine.feed(b, &second);
    engine.finish(a);
    engine.finish(b);
    engine.close();
    let records = engine.take(usize::MAX);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].history.as_deref(), Some("ShA"));
    assert_eq!(records[0].capture, b, "the SYN was in the second capture");
}

/// RFC 9260 §3: common header and one DATA chunk.
fn sctp_data(ports: (u16, u16), flags: u8, message: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend(ports.0.to_be_bytes());
    packet.extend(ports.1.to_be_bytes());
    packet.extend([0; 8]);
    packet.extend([0, flags]);
    packet.extend(u16::try_from(16 + message.len()).unwrap().to_be_bytes());
    packet.extend([0; 12]);
    packet.extend(message);
    packet
}

#[test]
fn sip_is_read_in_sctp() {
    // RFC 4168; the request is longer than one chunk, the answer is not.
    let request = b"INVITE sip:b@contoso.example SIP/2.0\r\nVia: SIP/2.0/SCTP 192.0.2.25:5060;branch=z9hG4bK1\r\n\
        Call-ID: 717b@192.0.2.25\r\nCSeq: 1 INVITE\r\nContent-Length: 900\r\n\r\nv=0\r\n";
    let answer = b"SIP/2.0 403 Forbidden\r\nVia: SIP/2.0/SCTP 192.0.2.25:5060;branch=z9hG4bK1\r\n\
        Call-ID: 717b@192.0.2.25\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
    let sent = |from, to, payload: &[u8]| ethernet(&ipv4(from, to, 132, 1, 64, payload));
    let (records, _) = read(&[
        (0, sent(CLIENT, SERVER, &sctp_data((57_098, 5_060), 2, request))),
        (9, sent(SERVER, CLIENT, &sctp_data((5_060, 57_098), 3, answer))),
    ]);
    let [record] = records.as_slice() else {
        panic!("{records:?}")
    };
    assert_eq!(record.protocol, Service::Sip as u8);
    assert_eq!(record.initiator, Initiator::Handshake);
    assert_eq!(record.source.port, Some(57_098));
}

/// The observation number `evidence` of the only flow, made of datagrams from the client to the server.
fn evidence(datagrams: &[Vec<u8>]) -> u32 {
    evidence_of_cut(datagrams, usize::MAX)
}

/// The same, with at most `snaplen` octets of each frame.
fn evidence_of_cut(datagrams: &[Vec<u8>], snaplen: usize) -> u32 {
    let mut engine = Engine::new(Arc::new(Tables::default()), limits());
    let capture = engine.add_capture(None);
    let frames: Vec<_> = (0..)
        .zip(datagrams)
        .map(|(at, payload)| {
            (
                at * 20_000,
                ethernet(&ipv4(CLIENT, SERVER, 17, 1, 64, &udp((50_000, 50_002), payload))),
            )
        })
        .collect();
    engine.feed(capture, &cut_pcap(&frames, snaplen));
    engine.finish(capture);
    engine.close();
    assert_eq!(engine.take(usize::MAX).len(), 1);
    let at = OBSERVATION.iter().position(|name| *name == "evidence").unwrap();
    let [observation] = engine.observations() else { panic!() };
    observation[at]
}

#[test]
fn media_waits_for_its_third_packet_before_it_is_called_unrecognised() {
    const UNDETERMINED: u32 = 1;
    const UNRECOGNISED: u32 = 2;
    const CONFIRMED: u32 = 3;
    // RFC 3550 §5.1: version 2, PCMA, sequence number, timestamp, one source; 20 ms of sound.
    let rtp = |sequence: u8| {
        let header = [0x80, 8, 0, sequence, 0, 0, sequence, 0x80, 0, 0, 0, 7];
        [&header[..], &[0xd5; 160]].concat()
    };
    assert_eq!(evidence(&[rtp(1)]), UNDETERMINED);
    assert_eq!(evidence(&[rtp(1), rtp(2)]), UNDETERMINED);
    assert_eq!(evidence(&[rtp(1), rtp(2), rtp(3)]), CONFIRMED);
    assert_eq!(evidence(&[vec![0x55; 64]]), UNRECOGNISED);
    assert_eq!(
        evidence(&[rtp(1), vec![0x55; 64]]),
        UNRECOGNISED,
        "no media is between octets that are none"
    );
    // The same octets for ever are no source, however much they look like one.
    let stuck = vec![rtp(1); 20];
    assert_eq!(evidence(&stuck), UNRECOGNISED);
}

#[test]
fn what_was_cut_before_it_could_tell_is_not_called_unrecognised() {
    const UNDETERMINED: u32 = 1;
    const UNRECOGNISED: u32 = 2;
    const HEADERS: usize = 14 + 20 + 8;
    let datagrams = vec![vec![0x55; 200]; 12];
    assert_eq!(evidence_of_cut(&datagrams, HEADERS + 18), UNDETERMINED);
    assert_eq!(evidence_of_cut(&datagrams, HEADERS + 63), UNDETERMINED);
    assert_eq!(
        evidence_of_cut(&datagrams[..1], HEADERS + 64),
        UNRECOGNISED,
        "64 octets from the first"
    );
    assert_eq!(evidence(&vec![vec![0x55; 18]; 4]), UNRECOGNISED, "whole, and short");
}

/// A few packets that mean something and can go wrong in any order.
fn any_frames() -> impl Strategy<Value = Vec<(i64, Vec<u8>)>> {
    let piece = (
        any::<bool>(),
        0_u16..4,
        0_u32..60,
        any::<u8>(),
        proptest::collection::vec(any::<u8>(), 0..40),
    );
    proptest::collection::vec((piece, 0_i64..2_000_000), 0..40).prop_map(|packets| {
        let mut time = 0;
        packets
            .into_iter()
            .map(|((client, port, seq, flags, payload), step)| {
                time += step;
                (time, segment(client, 5000 + port, seq, 0, flags, &payload))
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_records(frames in any_frames(), block in 1_usize..200) {
        let bytes = pcap(&frames);
        let (whole, _) = read_with(&bytes, bytes.len(), limits());
        let (parts, _) = read_with(&bytes, block, limits());
        prop_assert_eq!(format!("{whole:?}"), format!("{parts:?}"));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000), block in 1_usize..300) {
        read_with(&bytes, block, limits());
    }

    #[test]
    fn arbitrary_frames_never_panic(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..20)) {
        let frames: Vec<_> = (0..).zip(frames).collect();
        read_with(&pcap(&frames), 1 << 16, limits());
    }

    #[test]
    fn flipped_bytes_never_panic(frames in any_frames(), flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..20)) {
        let mut bytes = pcap(&frames);
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= value;
        }
        read_with(&bytes, 777, limits());
    }
}
