//! What RFC 791, 5722, 6946 and 8200 ask of reassembly, and that no fragment is ever counted twice or not at all.

use super::*;
use proptest::prelude::*;
use std::net::Ipv4Addr;

const SECOND: i64 = 1_000_000_000;

/// Offset, whether more follow, octets.
type Part<'a> = (u32, bool, &'a [u8]);

struct Sent<'a> {
    version: u8,
    id: u32,
    offset: u32,
    more: bool,
    octets: &'a [u8],
    /// Octets a snapshot length took away.
    lost: u32,
}

fn ip<'a>(sent: &Sent<'a>) -> Ip<'a> {
    Ip {
        version: sent.version,
        source: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        destination: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
        protocol: 17,
        length: 20 + sent.octets.len() as u32 + sent.lost,
        payload: sent.octets,
        payload_len: sent.octets.len() as u32 + sent.lost,
        cut: sent.lost > 0,
        fragment: Some(Fragment {
            id: sent.id,
            offset: sent.offset,
            more: sent.more,
        }),
    }
}

fn piece(frame: u64, time: i64) -> Piece {
    Piece {
        time,
        capture: 3,
        frame,
        offset: frame * 100,
        length: 0,
    }
}

/// Pushes (offset, more, octets) of one packet, a millisecond apart; gives the last answer.
fn push_all(pool: &mut Fragments, version: u8, fragments: &[Part<'_>]) -> Pushed {
    let mut last = Pushed::Waiting;
    for (frame, (offset, more, octets)) in (1..).zip(fragments) {
        let sent = Sent {
            version,
            id: 7,
            offset: *offset,
            more: *more,
            octets,
            lost: 0,
        };
        last = pool.push(&ip(&sent), piece(frame, frame as i64 * 1_000_000));
    }
    last
}

fn payload(pushed: Pushed) -> Vec<u8> {
    match pushed {
        Pushed::Whole { payload, .. } => payload,
        other => panic!("not whole: {other:?}"),
    }
}

#[test]
fn in_order_and_in_every_other() {
    let parts: [Part<'_>; 3] = [(0, true, b"01234567"), (8, true, b"89abcdef"), (16, false, b"gh")];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for version in [4, 6] {
            let mut pool = Fragments::new();
            let sent = order.map(|place: usize| parts[place]);
            match push_all(&mut pool, version, &sent) {
                Pushed::Whole { payload, cut, pieces } => {
                    assert_eq!(payload, b"0123456789abcdefgh");
                    assert!(!cut);
                    assert_eq!(pieces.iter().map(|piece| piece.frame).collect::<Vec<_>>(), [1, 2, 3]);
                }
                other => panic!("{order:?}: {other:?}"),
            }
            pool.finish();
            assert_eq!((pool.drain_given_up(), pool.memory()), (vec![], 0));
        }
    }
}

#[test]
fn what_came_first_stands_in_ipv4() {
    let mut pool = Fragments::new();
    let whole = push_all(
        &mut pool,
        4,
        &[
            (8, true, b"BBBBBBBB"),
            (0, true, b"aaaaaaaaaaaaaaaaaaaaaaaa"),
            (0, true, b"xxxxxxxx"),
            (24, false, b"!"),
        ],
    );
    assert_eq!(payload(whole), b"aaaaaaaaBBBBBBBBaaaaaaaa!");
    assert_eq!(pool.drain_given_up(), vec![]);
}

#[test]
fn an_overlap_drops_an_ipv6_packet_and_what_still_comes_of_it() {
    let mut pool = Fragments::new();
    let last = push_all(
        &mut pool,
        6,
        &[
            (0, true, b"01234567"),
            (16, true, b"89abcdef"),
            (8, true, b"89abcdef01234567"),
            (24, false, b"x"),
        ],
    );
    assert_eq!(last, Pushed::Refused);
    assert_eq!(pool.drain_given_up(), [(3, 4)]);
    pool.finish();
    assert_eq!((pool.drain_given_up(), pool.memory()), (vec![], 0), "counted once");
}

#[test]
fn an_exact_repetition_is_a_further_piece() {
    for version in [4, 6] {
        let mut pool = Fragments::new();
        let last = push_all(
            &mut pool,
            version,
            &[(0, true, b"01234567"), (0, true, b"01234567"), (8, false, b"x")],
        );
        match last {
            Pushed::Whole { payload, pieces, .. } => assert_eq!((payload.len(), pieces.len()), (9, 3)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn impossible_fragments_are_refused_alone() {
    let eight = b"01234567";
    let long = [0; 16];
    let refused: [(&str, &[Part<'_>]); 5] = [
        ("not a multiple of eight", &[(0, true, b"0123456")]),
        ("empty and not the last", &[(8, true, b"")]),
        ("beyond 65,535", &[(65_528, false, &long)]),
        ("beyond the end", &[(8, false, b"x"), (16, true, eight)]),
        ("an end before what is there", &[(16, true, eight), (8, false, b"x")]),
    ];
    for (what, fragments) in refused {
        let mut pool = Fragments::new();
        assert_eq!(push_all(&mut pool, 4, fragments), Pushed::Refused, "{what}");
        assert_eq!(pool.drain_given_up(), [(3, 1)], "{what}");
        pool.finish();
        let left: u64 = pool.drain_given_up().iter().map(|(_, packets)| packets).sum();
        assert_eq!(left, fragments.len() as u64 - 1, "{what}");
    }
}

#[test]
fn cut_fragments_complete_with_what_there_is() {
    let mut pool = Fragments::new();
    let first = Sent {
        version: 4,
        id: 7,
        offset: 0,
        more: true,
        octets: b"0123",
        lost: 4,
    };
    assert_eq!(pool.push(&ip(&first), piece(1, 0)), Pushed::Waiting);
    let last = Sent {
        version: 4,
        id: 7,
        offset: 8,
        more: false,
        octets: b"zz",
        lost: 9,
    };
    match pool.push(&ip(&last), piece(2, 0)) {
        Pushed::Whole { payload, cut, pieces } => {
            assert_eq!((payload.as_slice(), cut, pieces.len()), (&b"0123"[..], true, 2));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_minute_is_the_limit() {
    for (gap, whole) in [(60 * SECOND, true), (60 * SECOND + 1, false)] {
        let mut pool = Fragments::new();
        let first = Sent {
            version: 4,
            id: 7,
            offset: 0,
            more: true,
            octets: b"01234567",
            lost: 0,
        };
        let last = Sent {
            version: 4,
            id: 7,
            offset: 8,
            more: false,
            octets: b"x",
            lost: 0,
        };
        pool.push(&ip(&first), piece(1, 5));
        let pushed = pool.push(&ip(&last), piece(2, 5 + gap));
        assert_eq!(matches!(pushed, Pushed::Whole { .. }), whole);
        assert_eq!(pool.drain_given_up().is_empty(), whole);
    }
}

#[test]
fn the_oldest_gives_way() {
    let mut pool = Fragments::with_limits(2, MAX_OCTETS);
    for id in 1..=3 {
        let sent = Sent {
            version: 4,
            id,
            offset: 0,
            more: true,
            octets: b"01234567",
            lost: 0,
        };
        assert_eq!(pool.push(&ip(&sent), piece(u64::from(id), 0)), Pushed::Waiting);
    }
    assert_eq!(pool.drain_given_up(), [(3, 1)]);
    for (id, whole) in [(1, false), (3, true)] {
        let sent = Sent {
            version: 4,
            id,
            offset: 8,
            more: false,
            octets: b"x",
            lost: 0,
        };
        assert_eq!(
            matches!(pool.push(&ip(&sent), piece(9, 0)), Pushed::Whole { .. }),
            whole,
            "{id}"
        );
    }
}

#[test]
fn memory_stays_below_its_limit() {
    let limit = 64 * 1024;
    let mut pool = Fragments::with_limits(usize::MAX, limit);
    let octets = [0; 1_480];
    for id in 0..2_000 {
        let sent = Sent {
            version: 4,
            id,
            offset: 1_480,
            more: true,
            octets: &octets,
            lost: 0,
        };
        pool.push(&ip(&sent), piece(u64::from(id), 0));
        assert!(pool.memory() <= limit);
    }
    // Copies of one fragment cost too, and are not kept for ever.
    let mut pool = Fragments::with_limits(usize::MAX, usize::MAX);
    for frame in 0..20_000 {
        let sent = Sent {
            version: 4,
            id: 1,
            offset: 8,
            more: true,
            octets: b"01234567",
            lost: 0,
        };
        pool.push(&ip(&sent), piece(frame, 0));
    }
    assert!(pool.memory() < 10_000 * PIECE_COST);
}

proptest! {
    /// Any mix of fragments of four packets: each ends up in one whole packet or is given up, and what is whole has
    /// the length that its last fragment says.
    #[test]
    fn every_fragment_is_counted_once(
        version in prop_oneof![Just(4_u8), Just(6)],
        fragments in proptest::collection::vec((0_u32..4, 0_u32..6, any::<bool>(), 0_usize..20, 0_i64..30), 0..60),
    ) {
        let octets = [0x5a; 20];
        let mut pool = Fragments::with_limits(3, 4_096);
        let (mut in_whole, mut time) = (0_u64, 0);
        for (frame, (id, unit, more, length, seconds)) in (1..).zip(&fragments) {
            let octets = &octets[..if *more { length & !7 } else { *length }];
            time += seconds * SECOND;
            let sent = Sent { version, id: *id, offset: unit * 8, more: *more, octets, lost: 0 };
            if let Pushed::Whole { pieces, payload, cut } = pool.push(&ip(&sent), piece(frame, time)) {
                in_whole += pieces.len() as u64;
                prop_assert!(!cut && payload.len() <= 60);
            }
            prop_assert!(pool.memory() <= 4_096 + 40 * PIECE_COST);
        }
        pool.finish();
        let given_up: u64 = pool.drain_given_up().iter().map(|(_, packets)| packets).sum();
        prop_assert_eq!(in_whole + given_up, fragments.len() as u64);
        prop_assert_eq!(pool.memory(), 0);
    }
}
