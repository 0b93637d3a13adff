//! Live interfaces: blocks of rings go in, merged by time, and the caller's clock goes on where a link is quiet.

mod wire;

use _native::engine::{Engine, Limits};
use _native::tables::Tables;
use std::sync::Arc;
use wire::*;

const SECOND: i64 = 1_000_000_000;

fn engine(rings: usize) -> Engine {
    let limits = Limits {
        max_flows: 1_000,
        stream_memory: 1 << 20,
        positions: 16,
        from: None,
        to: None,
        part: None,
        joins: false,
    };
    let mut engine = Engine::new(Arc::new(Tables::default()), limits);
    for ring in 0..rings {
        assert_eq!(engine.add_ring() as usize, ring);
    }
    engine
}

#[test]
fn rings_are_merged_by_time_and_a_quiet_one_holds_nobody_up() {
    let mut engine = engine(2);
    engine.feed(
        0,
        &ring_block(&[(3 * SECOND, segment(true, 5_000, 101, 901, ACK, b""))]),
    );
    assert_eq!(engine.totals().ip_packets, 0, "the other may have an older one");
    engine.feed(
        1,
        &ring_block(&[(2 * SECOND, segment(false, 5_000, 900, 101, SYN | ACK, b""))]),
    );
    assert_eq!(engine.totals().ip_packets, 1);
    engine.advance(3 * SECOND - 1);
    assert_eq!(engine.totals().ip_packets, 1);
    engine.advance(3 * SECOND);
    assert_eq!(engine.totals().ip_packets, 2, "up to the time, itself included");
    engine.feed(1, &ring_block(&[(SECOND, segment(true, 5_000, 100, 0, SYN, b""))]));
    engine.advance(SECOND);
    assert_eq!(engine.totals().ip_packets, 3, "what comes too late is taken");
    assert_eq!(engine.capture(0).unwrap().1.quality.clock_backward, 0);
    assert_eq!(engine.capture(1).unwrap().1.quality.clock_backward, 1);
    engine.close();
    let [flow] = &engine.take(10)[..] else {
        panic!("one flow")
    };
    assert_eq!(flow.history.as_deref(), Some("^hAS"));
    assert_eq!((flow.start, flow.end), (SECOND, 3 * SECOND));
    // 48 octets of block header; ring 1's second block follows one of 48 + 82 + 54 octets.
    assert_eq!(flow.packets, [1 << 48 | 48, 48, 1 << 48 | (184 + 48)]);
}

#[test]
fn idle_flows_end_by_the_clock() {
    let mut engine = engine(1);
    let datagram = ethernet(&ipv4(CLIENT, SERVER, 17, 1, 64, &udp((4_000, 53), b"x")));
    let first = fragment(CLIENT, SERVER, 17, 9, 64, 0x2000, &[7; 504]);
    engine.feed(0, &ring_block(&[(SECOND, datagram), (SECOND, ethernet(&first))]));
    // Contract 2.5: UDP unanswered 60 s.
    engine.advance(61 * SECOND);
    assert_eq!((engine.take(10).len(), engine.live()), (0, 1));
    engine.advance(61 * SECOND + 1);
    assert_eq!((engine.take(10).len(), engine.live()), (1, 0));
    let ledger = engine.capture(0).unwrap().1;
    assert_eq!(
        (ledger.accounting.in_flows, ledger.accounting.fragment_incomplete),
        (1, 1)
    );
}

#[test]
fn a_clock_that_was_set_back_ends_nothing() {
    let mut engine = engine(1);
    let datagram = |client: bool| {
        let (from, to, ports) = if client {
            (CLIENT, SERVER, (4_000, 53))
        } else {
            (SERVER, CLIENT, (53, 4_000))
        };
        ethernet(&ipv4(from, to, 17, 1, 64, &udp(ports, b"x")))
    };
    engine.feed(0, &ring_block(&[(7_200 * SECOND, datagram(true))]));
    engine.advance(7_200 * SECOND);
    for at in 3_600..3_700 {
        engine.feed(0, &ring_block(&[(at * SECOND, datagram(at % 2 == 0))]));
        engine.advance(at * SECOND);
    }
    assert_eq!((engine.take(10).len(), engine.live()), (0, 1));
    assert_eq!(engine.capture(0).unwrap().1.quality.clock_backward, 1);
}

#[test]
fn a_block_that_lies_is_a_loss_and_the_next_one_is_read() {
    let mut engine = engine(1);
    let good = ring_block(&[(SECOND, segment(true, 5_000, 100, 0, SYN, b""))]);
    let mut bad = good.clone();
    bad[48 + 12] = 0xff; // tp_snaplen
    for block in [&good, &bad, &good] {
        engine.feed(0, block);
    }
    let ledger = engine.capture(0).unwrap().1;
    assert_eq!((ledger.packets, ledger.accounting.undecodable), (3, 1));
}

#[test]
fn the_loopback_device_counts_a_packet_once() {
    let mut engine = engine(1);
    let mut going = ring_block(&[(SECOND, segment(true, 5_000, 100, 0, SYN, b""))]);
    going[48 + 48 + 8..][..2].copy_from_slice(&772_u16.to_ne_bytes()); // sll_hatype
    let coming = going.clone();
    going[48 + 48 + 10] = 4; // sll_pkttype: PACKET_OUTGOING
    engine.feed(0, &going);
    engine.feed(0, &coming);
    let ledger = engine.capture(0).unwrap().1;
    assert_eq!((ledger.accounting.duplicate, ledger.accounting.in_flows), (1, 1));
}
