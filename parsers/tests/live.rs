//! Flows that leave in several rows: whatever the packets and whenever rows are taken, rows add up to what an audit of
//! the same packets says, and a row of a flow that goes on claims nothing that the next packet can take back.

mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use _native::engine::{Engine, Ledger, Limits};
use _native::flow::record::{Answered, Initiator, Part, Record};
use _native::observation::{Observation, OBSERVATION};
use _native::tables::Tables;
use proptest::prelude::*;
use wire::*;

const SECOND: i64 = 1_000_000_000;
const PART: i64 = 300 * SECOND;

fn engine(part: Option<i64>) -> Engine {
    let limits = Limits {
        max_flows: 1_000,
        stream_memory: 1 << 24,
        positions: 4,
        from: None,
        to: None,
        part,
        joins: false,
    };
    let mut engine = Engine::new(Arc::new(Tables::default()), limits);
    engine.add_ring();
    engine
}

fn live() -> Engine {
    engine(Some(PART))
}

/// All rows that wait.
fn taken(engine: &mut Engine) -> Vec<Record> {
    engine.take(usize::MAX)
}

fn one(engine: &mut Engine) -> Record {
    let mut rows = taken(engine);
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

fn packets(row: &Record) -> u64 {
    row.source.packets + row.destination.packets
}

fn octets(row: &Record) -> u64 {
    row.source.bytes + row.destination.bytes
}

fn field(engine: &Engine, row: &Record, name: &str) -> u32 {
    let at = OBSERVATION.iter().position(|known| *known == name).unwrap();
    engine.observations()[row.observation as usize][at]
}

fn datagram(client: bool, payload: &[u8]) -> Vec<u8> {
    let (from, to, ports) = if client {
        (CLIENT, SERVER, (4_000, 9_999))
    } else {
        (SERVER, CLIENT, (9_999, 4_000))
    };
    ethernet(&ipv4(from, to, 17, 1, 64, &udp(ports, payload)))
}

#[test]
fn a_row_leaves_when_something_has_changed_and_at_the_end() {
    let mut engine = live();
    let say = |engine: &mut Engine, at: i64, frame: Vec<u8>| {
        engine.feed(0, &ring_block(&[(at, frame)]));
    };
    say(&mut engine, SECOND, segment(true, 5_000, 100, 0, SYN, b""));
    let first = one(&mut engine);
    let part = Part {
        flow_id: 0,
        number: 0,
        ended: false,
        previous: None,
        packets_before: 0,
        bytes_before: 0,
        start: SECOND,
    };
    assert_eq!(first.part, Some(part));
    assert_eq!((first.answered, packets(&first), octets(&first)), (Answered::No, 1, 40));
    assert!(taken(&mut engine).is_empty(), "nothing is new");

    say(&mut engine, 2 * SECOND, segment(true, 5_000, 100, 0, SYN, b""));
    assert!(taken(&mut engine).is_empty(), "a packet more says nothing else");

    say(&mut engine, 3 * SECOND, segment(false, 5_000, 900, 101, SYN | ACK, b""));
    let second = one(&mut engine);
    let part = Part {
        number: 1,
        previous: Some(first.observation),
        packets_before: 1,
        bytes_before: 40,
        start: 2 * SECOND,
        ..part
    };
    assert_eq!(second.part, Some(part));
    assert_eq!(
        (second.answered, second.source.packets, second.destination.packets),
        (Answered::Yes, 1, 1)
    );
    assert_eq!((second.start, second.end), (SECOND, 3 * SECOND));
    assert_ne!(first.observation, second.observation);

    engine.close();
    let last = one(&mut engine);
    let part = Part {
        number: 2,
        ended: true,
        previous: Some(second.observation),
        packets_before: 3,
        bytes_before: 120,
        start: 3 * SECOND,
        ..part
    };
    assert_eq!(last.part, Some(part));
    assert_eq!((packets(&last), octets(&last)), (0, 0), "all of it had left");
    assert_eq!(last.observation, second.observation);
}

#[test]
fn what_goes_on_unchanged_leaves_in_parts() {
    // RFC 1035 §4.1: a question for the root's address, and that there is none.
    let question = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1];
    let answer = [0, 1, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1];
    let mut engine = live();
    for at in 0..=700 {
        let asks = at % 2 == 0;
        let payload = if asks { question } else { answer };
        engine.feed(0, &ring_block(&[(at * SECOND, datagram(asks, &payload))]));
        engine.advance(at * SECOND);
        for row in taken(&mut engine) {
            let part = row.part.unwrap();
            match part.number {
                // Who is asked has answered, and then nothing happens any more but packets.
                0 | 1 => assert_eq!((at, packets(&row)), (i64::from(part.number), 1)),
                number => {
                    let since = 2 + 301 * (i64::from(number) - 2);
                    assert_eq!((part.start, at), (since * SECOND, since + 300));
                    assert_eq!(packets(&row), 301);
                }
            }
        }
    }
    engine.close();
    let last = one(&mut engine);
    assert_eq!(last.part.unwrap().number, 4);
    assert_eq!((packets(&last), last.part.unwrap().packets_before), (97, 604));
}

#[test]
fn a_part_waits_for_the_callers_clock_and_not_for_packets() {
    let mut engine = live();
    let quiet = ring_block(&[(SECOND, datagram(true, b"a")), (SECOND, datagram(false, b"b"))]);
    engine.feed(0, &quiet);
    one(&mut engine);
    engine.feed(0, &ring_block(&[(2 * SECOND, segment(true, 1, 1, 0, SYN, b""))]));
    one(&mut engine);
    engine.feed(0, &ring_block(&[(3 * SECOND, datagram(true, b"a"))]));
    assert!(taken(&mut engine).is_empty());
    engine.advance(100 * SECOND);
    assert_eq!(taken(&mut engine).len(), 1, "the SYN that nobody answered ends");
    let mut long = live();
    let handshake = [
        (SECOND, segment(true, 1, 1, 0, SYN, b"")),
        (SECOND, segment(false, 1, 1, 2, SYN | ACK, b"")),
        (SECOND, segment(true, 1, 2, 2, ACK, b"")),
    ];
    long.feed(0, &ring_block(&handshake));
    one(&mut long);
    long.feed(0, &ring_block(&[(2 * SECOND, segment(true, 1, 2, 2, ACK, b""))]));
    assert!(taken(&mut long).is_empty());
    long.advance(302 * SECOND - 1);
    assert!(taken(&mut long).is_empty());
    long.advance(302 * SECOND);
    assert_eq!(packets(&one(&mut long)), 1);
    long.advance(1_000 * SECOND);
    assert!(taken(&mut long).is_empty(), "a part of nothing is none");
}

#[test]
fn nothing_is_unrecognised_while_the_probes_still_look() {
    const UNDETERMINED: u32 = 1;
    const UNRECOGNISED: u32 = 2;
    let mut engine = live();
    engine.feed(0, &ring_block(&[(SECOND, datagram(true, &[0x55; 100]))]));
    let row = one(&mut engine);
    assert_eq!((row.protocol, field(&engine, &row, "evidence")), (0, UNDETERMINED));
    for at in 2..=66 {
        engine.feed(0, &ring_block(&[(at * SECOND, datagram(true, &[0x55; 100]))]));
    }
    let row = one(&mut engine);
    assert_eq!((row.protocol, field(&engine, &row, "evidence")), (1, UNRECOGNISED));

    let mut short = live();
    short.feed(0, &ring_block(&[(SECOND, datagram(true, &[0x55; 100]))]));
    one(&mut short);
    short.close();
    let row = one(&mut short);
    assert_eq!((row.protocol, field(&short, &row, "evidence")), (1, UNRECOGNISED));
}

#[test]
fn one_that_spoke_alone_so_far_may_still_be_answered() {
    let mut engine = live();
    engine.feed(0, &ring_block(&[(SECOND, datagram(true, b"x"))]));
    assert_eq!(one(&mut engine).initiator, Initiator::First);
    engine.close();
    assert_eq!(one(&mut engine).initiator, Initiator::FirstSure);
}

#[test]
fn a_listener_breaks_off_when_nothing_more_can_come() {
    const SERVER_BROKE_OFF: u32 = 16;
    // RFC 5246 §7.4.1.2: version, random, no session, one suite, no compression.
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0xc0, 0x2f, 1, 0]].concat();
    let length = u8::try_from(body.len()).unwrap();
    let hello = [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat();
    let mut engine = live();
    let next = 101 + u32::try_from(hello.len()).unwrap();
    engine.feed(
        0,
        &ring_block(&[
            (SECOND, segment(true, 5_000, 100, 0, SYN, b"")),
            (SECOND, segment(false, 5_000, 900, 101, SYN | ACK, b"")),
            (SECOND, segment(true, 5_000, 101, 901, ACK, &hello)),
            (SECOND, segment(false, 5_000, 901, next, FIN | ACK, b"")),
        ]),
    );
    let row = one(&mut engine);
    assert_eq!(field(&engine, &row, "tls") & SERVER_BROKE_OFF, 0);
    engine.close();
    let row = one(&mut engine);
    assert_eq!(field(&engine, &row, "tls") & SERVER_BROKE_OFF, SERVER_BROKE_OFF);
}

/// What is done beside handing over packets.
#[derive(Debug, Clone)]
enum Deed {
    Nothing,
    Take(usize),
    Advance,
}

fn any_speech() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..90),
        Just(b"GET /a HTTP/1.1\r\nHost: www.contoso.com\r\n\r\n".to_vec()),
        Just(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
        Just(b"SSH-2.0-x\r\n".to_vec()),
        // STUN Binding request and its answer (RFC 5389 §6).
        (0_u8..2).prop_map(|class| [&[class, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[9; 12]].concat()),
        // RTP (RFC 3550 §5.1).
        any::<u8>().prop_map(|at| [&[0x80, 8, 0, at, 0, 0, at, 0x80, 0, 0, 0, 7][..], &[0xd5; 20]].concat()),
    ]
}

type Step = (i64, Vec<u8>, Deed);

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let deed = prop_oneof![
        2 => Just(Deed::Nothing),
        2 => (1_usize..4).prop_map(Deed::Take),
        1 => Just(Deed::Take(usize::MAX)),
        1 => Just(Deed::Advance),
    ];
    let gap = prop_oneof![6 => 0..SECOND, 2 => 0..70 * SECOND, 1 => 0..400 * SECOND];
    let flags = prop_oneof![4 => Just(ACK), 1 => Just(SYN), 1 => Just(SYN | ACK), 1 => any::<u8>()];
    let frame =
        (any::<bool>(), 0_u16..3, 95_u32..160, flags, any_speech()).prop_map(|(client, port, seq, flags, speech)| {
            match port {
                0 => datagram(client, &speech),
                port => segment(client, port, seq, 101, flags, &speech),
            }
        });
    proptest::collection::vec((gap, frame, deed), 0..60).prop_map(|steps| {
        let mut time = SECOND;
        let at = |(gap, frame, deed)| {
            time += gap;
            (time, frame, deed)
        };
        steps.into_iter().map(at).collect()
    })
}

fn audit(steps: &[Step]) -> (Vec<Record>, Vec<Observation>, Ledger) {
    let mut engine = engine(None);
    for (time, frame, _) in steps {
        engine.feed(0, &ring_block(&[(*time, frame.clone())]));
    }
    engine.close();
    let rows = taken(&mut engine);
    let ledger = *engine.capture(0).unwrap().1;
    (rows, engine.observations().to_vec(), ledger)
}

fn watch(steps: &[Step]) -> (Vec<Record>, Vec<Observation>, Ledger) {
    let mut engine = live();
    let mut rows = Vec::new();
    for (time, frame, deed) in steps {
        engine.feed(0, &ring_block(&[(*time, frame.clone())]));
        match deed {
            Deed::Nothing => {}
            Deed::Take(limit) => rows.extend(engine.take(*limit)),
            Deed::Advance => engine.advance(*time),
        }
    }
    engine.close();
    loop {
        let last = engine.take(3);
        if last.is_empty() {
            break;
        }
        rows.extend(last);
    }
    let ledger = *engine.capture(0).unwrap().1;
    (rows, engine.observations().to_vec(), ledger)
}

/// All that a row says, with its observation's numbers in place of that one's own.
fn written(row: &Record, observations: &[Observation]) -> String {
    let number = format!("observation: {},", row.observation);
    let words = format!("{row:?}");
    assert!(words.contains(&number));
    words.replace(&number, &format!("{:?}", observations[row.observation as usize]))
}

proptest! {
    #[test]
    fn rings_in_any_blocks_are_one_sensor(
        steps in any_steps(),
        rings in proptest::collection::vec((0_u32..3, any::<bool>(), any::<bool>()), 60),
    ) {
        // No two packets at the same time, so that there is one order.
        let steps: Vec<Step> = (1..).zip(steps).map(|(at, (time, frame, deed))| (time + at, frame, deed)).collect();
        let mut engine = live();
        let others = [engine.add_ring(), engine.add_ring()];
        prop_assert_eq!(others, [1, 2]);
        let mut gathered = [vec![], vec![], vec![]];
        let mut rows = Vec::new();
        for ((time, frame, deed), (ring, hand_over, advance)) in steps.iter().zip(rings) {
            let mine = &mut gathered[ring as usize];
            mine.push((*time, frame.clone()));
            if hand_over {
                engine.feed(ring, &ring_block(mine));
                mine.clear();
            }
            if advance && gathered.iter().all(Vec::is_empty) {
                engine.advance(*time);
            }
            if let Deed::Take(limit) = deed {
                rows.extend(engine.take(*limit));
            }
        }
        for (ring, frames) in (0..).zip(&gathered) {
            engine.feed(ring, &ring_block(frames));
        }
        engine.advance(i64::MAX);
        engine.close();
        rows.extend(taken(&mut engine));
        let counted: u64 = (0..3).map(|ring| engine.capture(ring).unwrap().1.accounting.in_flows).sum();
        prop_assert_eq!(rows.iter().map(packets).sum::<u64>(), counted);

        let (audited, meanings, _) = audit(&steps);
        let ends = |rows: &[Record], meanings: &[Observation]| {
            let mut ends: Vec<String> = rows
                .iter()
                .filter(|row| row.part.is_none_or(|part| part.ended))
                .map(|row| format!("{} {} {:?} {:?}", row.start, row.end, row.history, meanings[row.observation as usize]))
                .collect();
            ends.sort();
            ends
        };
        prop_assert_eq!(ends(&rows, engine.observations()), ends(&audited, &meanings));
    }

    #[test]
    fn rows_add_up_to_the_audit(steps in any_steps()) {
        let (audited, meanings, ledger) = audit(&steps);
        let (rows, live_meanings, live_ledger) = watch(&steps);
        prop_assert_eq!(format!("{ledger:?}"), format!("{live_ledger:?}"));
        prop_assert_eq!(rows.iter().map(packets).sum::<u64>(), ledger.accounting.in_flows);

        let mut flows: BTreeMap<u64, Vec<Record>> = BTreeMap::new();
        for row in rows {
            flows.entry(row.part.unwrap().flow_id).or_default().push(row);
        }
        prop_assert_eq!(flows.len(), audited.len(), "each flow has one part 0");
        let mut sums = Vec::new();
        for rows in flows.into_values() {
            let mut before: Option<Record> = None;
            let count = rows.len();
            for (at, mut row) in rows.into_iter().enumerate() {
                let part = row.part.take().unwrap();
                prop_assert_eq!(part.number as usize, at);
                prop_assert_eq!(part.ended, at + 1 == count);
                prop_assert!(part.ended || packets(&row) > 0, "only an end may come without packets");
                prop_assert!((row.start..=row.end).contains(&part.start));
                match before {
                    Some(before) => {
                        prop_assert_eq!(part.previous, Some(before.observation));
                        prop_assert_eq!(part.packets_before, packets(&before));
                        prop_assert_eq!(part.bytes_before, octets(&before));
                        // The opener may turn out to be the other one; sums are of both directions.
                        let turned = before.source_is_a != row.source_is_a;
                        let (from, to) = if turned { (&before.destination, &before.source) } else { (&before.source, &before.destination) };
                        row.source.packets += from.packets;
                        row.source.bytes += from.bytes;
                        row.destination.packets += to.packets;
                        row.destination.bytes += to.bytes;
                    }
                    None => prop_assert_eq!((part.previous, part.packets_before, part.bytes_before), (None, 0, 0)),
                }
                before = Some(row);
            }
            sums.push(written(&before.unwrap(), &live_meanings));
        }
        let mut audited: Vec<String> = audited.iter().map(|row| written(row, &meanings)).collect();
        sums.sort();
        audited.sort();
        prop_assert_eq!(sums, audited);
    }
}
