//! Who opened a conversation over UDP whose bytes do not tell: of one that was quiet for longer than the idle limit
//! (RFC 4787 4.3 lets a translator forget it after two minutes), the opener of what went before.

mod wire;

use std::sync::Arc;

use _native::engine::{Engine, Limits};
use _native::flow::record::{Initiator, Record};
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

/// The rows of flows that ended, packets given by (second, by the client?). live: the caller's clock stands at the
/// second of every packet, and what is over by then has ended before.
fn ended(packets: &[(i64, bool)], live: bool) -> Vec<Record> {
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
    let ring = engine.add_ring();
    let mut rows = Vec::new();
    for &(at, client) in packets {
        if live {
            engine.advance(at * SECOND);
        }
        engine.feed(ring, &ring_block(&[(at * SECOND, datagram(client, LONG))]));
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
