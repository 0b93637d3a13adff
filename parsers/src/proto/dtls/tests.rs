//! DTLS in datagrams that come whole, in pieces, out of order and not at all. The fragmented hello is real
//! (cisco/mercury, dtls_fragmented_client_hello.pcap); conversations are built after RFC 6347 4.2.

use proptest::prelude::*;

use super::*;
use crate::certificate::Certificates;
use crate::facts::{Facts, Mutual};

const FRAGMENTS: [&str; 2] = [
    "16fefd000000000000000200d70100013300010000000000cbfefd06ac4343e701fd74cac15bdb8d0fb735dca354f8e4cc1e65944f8d44\
     3a1af9b200144c281da5216e0bcdc6d35770176ee12f676baa9b00a0c030c02cc028c024c014c00a00a500a300a1009f006b006a006900\
     6800390038003700360088008700860085c032c02ec02ac026c00fc005009d003d00350084c02fc02bc027c023c013c00900a400a200a0\
     009e00670040003f003e0033003200310030009a0099009800970045004400430042c031c02dc029c025c00ec004009c003c002f009600\
     410007c012c00800",
    "16fefd000000000000000300740100013300010000cb0000681600130010000dc00dc003000a00ff01000055000b000403000102000a00\
     1c001a00170019001c001b0018001a0016000e000d000b000c0009000a00230000000d0020001e06010602060305010502050304010402\
     0403030103020303020102020203000f000101",
];

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
        .collect()
}

fn record(content: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[content, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 9][..], &length, body].concat()
}

fn three(number: usize) -> [u8; 3] {
    let [_, high, middle, low] = u32::try_from(number).unwrap().to_be_bytes();
    [high, middle, low]
}

/// Octets `from..to` of a message, as a fragment.
fn part(kind: u8, sequence: u8, body: &[u8], from: usize, to: usize) -> Vec<u8> {
    [
        &[kind][..],
        &three(body.len()),
        &[0, sequence],
        &three(from),
        &three(to - from),
        &body[from..to],
    ]
    .concat()
}

fn whole(kind: u8, sequence: u8, body: &[u8]) -> Vec<u8> {
    part(kind, sequence, body, 0, body.len())
}

fn hello() -> Vec<u8> {
    [&[0xfe, 0xfd][..], &[7; 32], &[0, 0, 0, 2, 0xc0, 0x2b, 1, 0]].concat()
}

fn answer(version: &[u8]) -> Vec<u8> {
    let tail: &[u8] = if version == [0xfe, 0xfc] {
        &[0, 6, 0, 43, 0, 2, 0xfe, 0xfc]
    } else {
        &[]
    };
    [&[0xfe, 0xfd][..], &[8; 32], &[0, 0xc0, 0x2b, 0], tail].concat()
}

fn certificate() -> Vec<u8> {
    let der = b"a certificate that cannot be read is one all the same";
    [&three(der.len() + 3)[..], &three(der.len()), der].concat()
}

fn heard(datagrams: &[(Side, Vec<u8>)]) -> Facts {
    let (mut facts, mut certificates, mut state) = (Facts::default(), Certificates::new(), State::default());
    for (side, payload) in datagrams {
        let mut context = Context {
            facts: &mut facts,
            certificates: &mut certificates,
            time: 0,
        };
        read(*side, payload, &mut state, &mut context);
    }
    facts
}

#[test]
fn a_hello_in_two_fragments() {
    let [first, second] = FRAGMENTS.map(unhex);
    assert!(probe(&first) && probe(&second));
    // tshark: DTLS 1.2, 80 + … suites; in either order, and with repeats.
    for order in [
        [&first, &second, &second],
        [&second, &first, &first],
        [&first, &first, &second],
    ] {
        let facts = heard(&order.map(|payload| (Side::A, payload.clone())));
        let tls = facts.tls.as_deref().unwrap();
        assert!(tls.client_hello);
        assert_eq!((facts.services(), facts.opener), (&[Service::Dtls][..], Some(Side::A)));
        let ja3: String = tls.ja3.unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(ja3, "3c3d129780d0066cd8936a6291a8d44f", "tshark: dtls.handshake.ja3");
    }
    assert!(!heard(&[(Side::A, first)]).tls.unwrap().client_hello);
}

fn mutual_exchange() -> Vec<(Side, Vec<u8>)> {
    let flight = [
        record(22, 0, &whole(2, 1, &answer(&[0xfe, 0xfd]))),
        record(22, 0, &whole(11, 2, &certificate())),
        record(22, 0, &whole(12, 3, &[1; 70])),
        record(22, 0, &whole(13, 4, &[1, 2, 3])),
        record(22, 0, &whole(14, 5, &[])),
    ];
    let reply = [
        record(
            22,
            0,
            &[part(11, 2, &certificate(), 0, 20), part(11, 2, &certificate(), 20, 59)].concat(),
        ),
        record(22, 0, &whole(16, 3, &[4; 66])),
        record(20, 0, &[1]),
        record(22, 1, &[0x55; 48]),
    ];
    vec![
        (Side::A, record(22, 0, &whole(1, 0, &hello()))),
        (Side::B, record(22, 0, &whole(3, 0, &[0xfe, 0xff, 4, 1, 2, 3, 4]))),
        (Side::A, record(22, 0, &whole(1, 1, &hello()))),
        (Side::B, flight.concat()),
        (Side::A, reply.concat()),
        (Side::B, [record(20, 0, &[1]), record(22, 1, &[0x66; 48])].concat()),
    ]
}

#[test]
fn a_handshake_with_both_certificates() {
    for (_, payload) in mutual_exchange() {
        assert!(probe(&payload));
    }
    let tls = heard(&mutual_exchange()).tls.unwrap();
    assert!(tls.client_hello && tls.server_hello && tls.established && !tls.resumed);
    assert_eq!(
        (tls.version, tls.cipher, tls.mutual),
        (0xfefd, Some(0xc02b), Mutual::Yes)
    );
    assert_eq!((tls.server_chain.len(), tls.client_chain.len()), (1, 1));
    assert_eq!(tls.change_cipher_spec, [true, true]);
}

#[test]
fn without_a_request_nobody_was_asked() {
    let flight = [
        whole(2, 1, &answer(&[])),
        whole(11, 2, &certificate()),
        whole(14, 3, &[]),
    ];
    let start = (Side::A, record(22, 0, &whole(1, 0, &hello())));
    let all = flight.iter().map(|message| (Side::B, record(22, 0, message)));
    let datagrams: Vec<_> = std::iter::once(start.clone()).chain(all).collect();
    assert_eq!(heard(&datagrams).tls.unwrap().mutual, Mutual::No);
    // With a message missing in between, it may have been the request.
    let holed = [
        start,
        (Side::B, record(22, 0, &flight[0])),
        (Side::B, record(22, 0, &flight[2])),
    ];
    assert_eq!(heard(&holed).tls.unwrap().mutual, Mutual::Unknown);
}

#[test]
fn dtls_1_3_goes_on_under_another_header() {
    let unified = |length: usize| [vec![0x2f; 5], vec![1; length]].concat();
    let mut datagrams = vec![
        (Side::A, record(22, 0, &whole(1, 0, &hello()))),
        (Side::B, record(22, 0, &whole(2, 0, &answer(&[0xfe, 0xfc])))),
        (Side::B, unified(200)),
        (Side::A, unified(20)),
    ];
    let tls = heard(&datagrams).tls.unwrap();
    assert_eq!(
        (tls.version, tls.established),
        (0xfefc, false),
        "20 octets are an alert or an acknowledgement"
    );
    datagrams.push((Side::A, unified(60)));
    let tls = heard(&datagrams).tls.unwrap();
    assert!(tls.established);
    assert_eq!(tls.mutual, Mutual::Unknown);
    assert!(!probe(&unified(200)), "alone it proves nothing");
}

#[test]
fn a_fatal_alert() {
    let datagrams = [
        (Side::A, record(22, 0, &whole(1, 0, &hello()))),
        (Side::B, record(21, 0, &[2, 40])),
    ];
    let tls = heard(&datagrams).tls.unwrap();
    assert_eq!((tls.fatal_alert, tls.beyond_alert), ([false, true], [true, false]));
}

#[test]
fn what_only_looks_like_dtls() {
    let good = record(22, 0, &whole(1, 0, &hello()));
    assert!(probe(&good));
    let changed = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    for (at, value, why) in [
        (0, 19, "no content type"),
        (1, 3, "TLS"),
        (2, 0xf0, "no version"),
        (3, 1, "an epoch nobody reaches"),
        (13, 99, "no message"),
    ] {
        assert!(!probe(&changed(at, value)), "{why}");
    }
    assert!(!probe(&changed(24, 0xff)), "the fragment exceeds its message");
    assert!(!probe(&[]));
    assert!(!probe(&record(23, 0, &[0; 30])), "data before any key");
    assert!(!probe(&record(20, 0, &[2])));
    assert!(!probe(&[&[0x80, 0x6f][..], &[0; 40]].concat()), "RTP");
    assert!(
        !probe(&[&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[0; 12]].concat()),
        "STUN"
    );
    // A snap length may cut a hello, nothing else.
    assert!(probe(&good[..60]));
    let data = record(23, 1, &[0; 60]);
    assert!(probe(&data) && !probe(&data[..40]));
}

#[test]
fn what_is_held_is_what_came() {
    let (mut facts, mut certificates, mut state) = (Facts::default(), Certificates::new(), State::default());
    let mut say = |state: &mut State, payload: &[u8]| {
        read(
            Side::A,
            payload,
            state,
            &mut Context {
                facts: &mut facts,
                certificates: &mut certificates,
                time: 0,
            },
        );
    };
    let body = vec![0; 60_000];
    for sequence in 0..60 {
        say(&mut state, &record(22, 0, &part(11, sequence, &body, 10, 1_200)));
        assert!(state.memory() <= MESSAGES * 1_200);
    }
    let mut state = State::default();
    for number in 0..63 {
        let from = 16 + number * 900;
        say(&mut state, &record(22, 0, &part(11, 0, &body, from, from + 800)));
        say(&mut state, &record(22, 0, &part(11, 1, &body, from, from + 800)));
        assert!(state.memory() <= HELD);
    }
}

proptest! {
    #[test]
    fn any_octets_are_read_without_harm(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..6)) {
        for payload in &payloads {
            probe(payload);
        }
        let mut datagrams = vec![(Side::A, record(22, 0, &whole(1, 0, &hello())))];
        datagrams.extend(payloads.into_iter().map(|payload| (Side::B, payload)));
        heard(&datagrams);
    }

    #[test]
    fn damaged_datagrams_are_read_without_harm(changes in proptest::collection::vec((0..6_usize, any::<u16>(), any::<u8>(), any::<u16>()), 1..6)) {
        let mut datagrams = mutual_exchange();
        for (which, at, value, length) in changes {
            let payload = &mut datagrams[which].1;
            let at = usize::from(at) % payload.len();
            payload[at] = value;
            let length = usize::from(length) % payload.len() + 1;
            payload.truncate(length);
        }
        heard(&datagrams);
    }
}
