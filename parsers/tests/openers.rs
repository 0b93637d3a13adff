//! Who opened a conversation whose bytes do not tell: of one over UDP that was quiet for longer than the idle limit
//! (RFC 4787 4.3 lets a translator forget it after two minutes), the opener of what went before; of one that begins with
//! an answer, whoever is answered. And what the observation says where nothing of the opener itself was captured.

mod wire;

use std::sync::Arc;

use _native::engine::{Engine, Limits};
use _native::flow::record::{Initiator, Record};
use _native::observation::OBSERVATION;
use _native::tables::Tables;
use wire::*;

const SECOND: i64 = 1_000_000_000;
const CLIENT_PORT: u16 = 4_000;
const LONG: &[u8] = b"\xe7 nothing that a reader knows";

fn datagram(client: bool, payload: &[u8]) -> Vec<u8> {
    let (from, to, ports) = if client {
        (CLIENT, SERVER, (CLIENT_PORT, 9_999))
    } else {
        (SERVER, CLIENT, (9_999, CLIENT_PORT))
    };
    ethernet(&ipv4(from, to, 17, 1, 64, &udp(ports, payload)))
}

fn engine(live: bool) -> Engine {
    let mut engine = Engine::new(
        Arc::new(Tables::default()),
        Limits {
            max_flows: 1_000,
            stream_memory: 1 << 24,
            positions: 4,
            from: None,
            to: None,
            part: live.then_some(300 * SECOND),
            joins: false,
        },
    );
    engine.add_ring();
    engine
}

/// The rows of flows that ended, packets given by (second, by the client?). live: the caller's clock stands at the
/// second of every packet, and what is over by then has ended before.
fn ended(packets: &[(i64, bool)], live: bool) -> Vec<Record> {
    let mut engine = engine(live);
    let mut rows = Vec::new();
    for &(at, client) in packets {
        if live {
            engine.advance(at * SECOND);
        }
        engine.feed(0, &ring_block(&[(at * SECOND, datagram(client, LONG))]));
        rows.append(&mut engine.take(usize::MAX));
    }
    engine.close();
    rows.append(&mut engine.take(usize::MAX));
    rows.retain(|row| row.part.is_none_or(|part| part.ended));
    rows.sort_by_key(|row| row.end);
    rows
}

/// (did the client open it, how sure it is) of each flow; the same offline and live.
fn openers(packets: &[(i64, bool)]) -> Vec<(bool, Initiator)> {
    let told = |rows: Vec<Record>| -> Vec<(bool, Initiator)> {
        let client = |row: &Record| row.source.port == Some(CLIENT_PORT);
        rows.iter().map(|row| (client(row), row.initiator)).collect()
    };
    let offline = told(ended(packets, false));
    assert_eq!(told(ended(packets, true)), offline);
    offline
}

#[test]
fn what_the_other_side_resumes_has_the_opener_of_before() {
    let held = [(0, true), (1, false), (125, false), (126, true), (250, false)];
    let unsure = (true, Initiator::First);
    assert_eq!(openers(&held), [unsure, unsure, unsure]);
}

#[test]
fn the_opener_is_as_sure_as_it_was() {
    // Of a conversation that may have begun before the capture nothing is surer later.
    assert_eq!(
        openers(&[(0, false), (1, true), (130, true), (131, false)]),
        [(false, Initiator::First); 2]
    );
    // One that began long after the sensor did (a first packet of something else is at 0).
    let late = [(0, true), (200, true), (201, false), (330, false), (380, false)];
    let rows = openers(&late);
    assert_eq!(rows[1..], [(true, Initiator::FirstSure); 2]);
}

#[test]
fn what_nobody_answered_says_nothing_of_what_comes_later() {
    let asked = [(0, true), (61, false)];
    assert_eq!(
        openers(&asked),
        [(true, Initiator::FirstSure), (false, Initiator::FirstSure)]
    );
}

#[test]
fn after_an_hour_the_first_packet_begins_something_else() {
    let first = [(0, true), (1, false)];
    let within = [first[0], first[1], (3_601, false)];
    assert_eq!(openers(&within)[1], (true, Initiator::First));
    let beyond = [first[0], first[1], (3_602, false)];
    assert_eq!(openers(&beyond)[1], (false, Initiator::FirstSure));
}

// --- answers first ---------------------------------------------------------------------------------------------------

/// RFC 5389 6 with the cookie and a transaction of zeros: a Binding of the class in `kind`.
fn binding(kind: u16) -> Vec<u8> {
    let mut message = kind.to_be_bytes().to_vec();
    message.extend([0, 0, 0x21, 0x12, 0xa4, 0x42]);
    message.extend([0; 12]);
    message
}

const REQUEST: u16 = 0x0001;
const SUCCESS: u16 = 0x0101;
const ERROR: u16 = 0x0111;

/// The one flow of these frames, a second apart, and its bits of `payload`.
fn one(frames: &[Vec<u8>]) -> (Record, u32) {
    let mut engine = engine(false);
    for (at, frame) in (0..).zip(frames) {
        engine.feed(0, &ring_block(&[(at * SECOND, frame.clone())]));
    }
    engine.close();
    let mut rows = engine.take(usize::MAX);
    assert_eq!(rows.len(), 1);
    let row = rows.remove(0);
    let at = OBSERVATION.iter().position(|name| *name == "payload").unwrap();
    let bits = engine.observations()[row.observation as usize][at];
    (row, bits)
}

fn client_opened(frames: &[Vec<u8>]) -> bool {
    let (row, _) = one(frames);
    assert_ne!(row.initiator, Initiator::Handshake, "a Binding never tells");
    row.source.port == Some(CLIENT_PORT)
}

#[test]
fn who_answers_a_check_did_not_open() {
    for answer in [SUCCESS, ERROR] {
        assert!(client_opened(&[datagram(false, &binding(answer))]));
        assert!(client_opened(&[
            datagram(false, &binding(answer)),
            datagram(true, LONG)
        ]));
    }
    assert!(!client_opened(&[datagram(false, &binding(REQUEST))]));
    // An answer to what the other side asked in between says nothing of the beginning.
    assert!(!client_opened(&[
        datagram(false, LONG),
        datagram(false, &binding(SUCCESS))
    ]));
}

// --- nothing of the opener -------------------------------------------------------------------------------------------

const SOURCE_UNSEEN: u32 = 16;
const RESETS_ONLY: u32 = 32;

fn hearsay(frames: &[Vec<u8>]) -> u32 {
    one(frames).1 & (SOURCE_UNSEEN | RESETS_ONLY)
}

/// RFC 792: a host says that the client's first datagram, or SYN, could not be delivered.
fn unreachable(protocol: u8, header: &[u8]) -> Vec<u8> {
    let mut error = vec![3, 3, 0, 0, 0, 0, 0, 0];
    error.extend(ipv4(CLIENT, SERVER, protocol, 7, 60, header));
    ethernet(&ipv4(SERVER, CLIENT, 1, 9, 60, &error))
}

#[test]
fn an_answer_alone_is_no_word_of_the_opener() {
    let syn_ack = segment(false, 6000, 900, 101, SYN | ACK, b"");
    let reset = segment(true, 6000, 101, 0, RST, b"");
    assert_eq!(hearsay(std::slice::from_ref(&syn_ack)), SOURCE_UNSEEN);
    assert_eq!(hearsay(&[syn_ack.clone(), reset]), SOURCE_UNSEEN);
    assert_eq!(
        hearsay(&[unreachable(17, &udp((CLIENT_PORT, 9_999), &[0; 8]))]),
        SOURCE_UNSEEN
    );
    assert_eq!(
        hearsay(&[unreachable(6, &tcp((6000, 443), 1, 0, SYN, b""))]),
        SOURCE_UNSEEN
    );
    assert_eq!(hearsay(&[datagram(false, &binding(SUCCESS))]), SOURCE_UNSEEN);
}

#[test]
fn a_packet_of_the_opener_or_payload_over_tcp_is() {
    let syn_ack = segment(false, 6000, 900, 101, SYN | ACK, b"");
    let acked = segment(true, 6000, 101, 901, ACK, b"");
    assert_eq!(hearsay(&[syn_ack.clone(), acked]), 0);
    assert_eq!(hearsay(&[syn_ack, segment(false, 6000, 901, 101, ACK, b"220 ")]), 0);
    assert_eq!(hearsay(&[segment(true, 6000, 100, 0, SYN, b"")]), 0);
    let refused = unreachable(17, &udp((CLIENT_PORT, 9_999), LONG));
    assert_eq!(hearsay(&[datagram(true, LONG), refused]), 0);
    assert_eq!(
        hearsay(&[datagram(false, LONG)]),
        0,
        "here the server is the first sender"
    );
}

#[test]
fn resets_of_one_side_alone_are_told_apart() {
    let reset = segment(false, 6000, 0, 101, RST | ACK, b"");
    assert_eq!(hearsay(std::slice::from_ref(&reset)) & RESETS_ONLY, RESETS_ONLY);
    assert_eq!(hearsay(&[reset.clone(), reset.clone()]) & RESETS_ONLY, RESETS_ONLY);
    assert_eq!(hearsay(&[segment(true, 6000, 100, 0, SYN, b""), reset]), 0);
}
