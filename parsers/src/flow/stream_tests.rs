//! Streams against a plain model: an array in which the first writer of each octet wins.

use super::super::buffers::{PENDING_LIMIT, SEGMENT_OVERHEAD, WAITING_OCTETS, WAITING_SEGMENTS};
use super::*;
use proptest::prelude::*;

const ISN: u32 = 0xffff_fff0; // wraps after 15 octets: every test crosses the end of the number space

fn started() -> (Stream, Budget) {
    let mut stream = Stream::default();
    stream.syn(ISN);
    (stream, Budget::new(1 << 20))
}

/// Sequence number of octet `offset` of the stream.
fn at(offset: u32) -> u32 {
    ISN.wrapping_add(1).wrapping_add(offset)
}

fn push(stream: &mut Stream, offset: u32, payload: &[u8], budget: &mut Budget) -> Push {
    stream.push(at(offset), payload, payload.len() as u32, budget)
}

#[test]
fn an_idle_direction_is_small() {
    assert!(size_of::<Stream>() <= 48);
}

#[test]
fn in_order_bytes_are_ready_at_once() {
    let (mut stream, mut budget) = started();
    assert_eq!(push(&mut stream, 0, b"INVITE sip:a@b", &mut budget), Push::Ready);
    assert_eq!(stream.pending(), b"INVITE sip:a@b");
    stream.consume(7, &mut budget);
    assert_eq!(push(&mut stream, 14, b" SIP/2.0\r\n", &mut budget), Push::Ready);
    assert_eq!(stream.pending(), b"sip:a@b SIP/2.0\r\n");
    stream.consume(usize::MAX, &mut budget);
    assert_eq!(
        (stream.pending(), stream.delivered(), stream.missed()),
        (&b""[..], 24, 0)
    );
    assert!(stream.from_start());
    assert_eq!(budget.used(), 0, "an emptied stream holds nothing");
}

#[test]
fn early_segments_wait_for_the_hole() {
    let (mut stream, mut budget) = started();
    assert_eq!(push(&mut stream, 6, b"three", &mut budget), Push::Nothing);
    assert_eq!(push(&mut stream, 3, b"two", &mut budget), Push::Nothing);
    assert!(!stream.gap_is_final(), "nobody says yet that it will not come");
    assert_eq!(push(&mut stream, 0, b"one", &mut budget), Push::Ready);
    assert_eq!(stream.pending(), b"onetwothree");
    assert_eq!(stream.skip_gap(&mut budget), None);
}

#[test]
fn the_first_captured_octet_wins() {
    let (mut stream, mut budget) = started();
    push(&mut stream, 4, b"EARLY", &mut budget);
    push(&mut stream, 2, b"xxxxxxxxxxxx", &mut budget);
    assert_eq!(push(&mut stream, 0, b"0123456789", &mut budget), Push::Ready);
    assert_eq!(stream.pending(), b"01xxEARLYxxxxx");
    assert_eq!(push(&mut stream, 0, b"retransmitted!", &mut budget), Push::Nothing);
    assert_eq!(push(&mut stream, 10, b"????new", &mut budget), Push::Ready);
    assert_eq!(stream.pending(), b"01xxEARLYxxxxxnew");
}

#[test]
fn keep_alives_and_probes_of_a_closed_window_bring_nothing_new() {
    let (mut stream, mut budget) = started();
    push(&mut stream, 0, b"hello", &mut budget);
    assert_eq!(
        push(&mut stream, 4, b"\0", &mut budget),
        Push::Nothing,
        "one octet before the next (RFC 9293 3.8.4)"
    );
    assert_eq!(push(&mut stream, 4, b"", &mut budget), Push::Nothing);
    // A zero-window probe carries the next octet; the peer drops it, it is sent again with the rest.
    assert_eq!(push(&mut stream, 5, b" ", &mut budget), Push::Ready);
    assert_eq!(push(&mut stream, 5, b" world", &mut budget), Push::Ready);
    assert_eq!((stream.pending(), stream.missed()), (&b"hello world"[..], 0));
}

#[test]
fn data_in_the_syn_is_the_first() {
    let mut budget = Budget::new(1 << 20);
    let mut stream = Stream::default();
    stream.syn(100);
    assert_eq!(stream.push(101, b"GET /", 5, &mut budget), Push::Ready);
    // The peer took the SYN alone: everything is sent again (RFC 7413 4.2.1).
    stream.syn(100);
    assert_eq!(stream.push(101, b"GET / HTTP/1.1", 14, &mut budget), Push::Ready);
    assert_eq!(stream.pending(), b"GET / HTTP/1.1");
    assert!(stream.from_start());
}

#[test]
fn a_late_start_is_told_from_a_late_syn() {
    let mut budget = Budget::new(1 << 20);
    let mut late = Stream::default();
    late.push(5_000, b"mid", 3, &mut budget);
    assert!(!late.from_start());
    late.syn(10);
    assert!(!late.from_start(), "octets 11 to 4,999 were not seen");

    let mut reordered = Stream::default();
    reordered.push(5_000, b"first", 5, &mut budget);
    reordered.push(5_005, b"second", 6, &mut budget);
    reordered.syn(4_999);
    assert!(reordered.from_start());
    assert_eq!(reordered.pending(), b"firstsecond");
}

#[test]
fn an_acknowledged_hole_is_given_up() {
    let (mut stream, mut budget) = started();
    push(&mut stream, 0, b"begin", &mut budget);
    assert!(
        !stream.acked(at(9)),
        "nothing waits behind it: the capture may only be out of order"
    );
    push(&mut stream, 10, b"after", &mut budget);
    assert!(!stream.gap_is_final());
    assert!(stream.acked(at(15)));
    assert_eq!(
        stream.pending(),
        b"begin",
        "what came before the hole can still be read"
    );
    assert_eq!(stream.skip_gap(&mut budget), Some(5));
    assert_eq!((stream.pending(), stream.missed()), (&b"after"[..], 5));
    assert_eq!(push(&mut stream, 5, b"relic", &mut budget), Push::Nothing, "too late");
    assert_eq!(stream.pending(), b"after");
}

#[test]
fn what_the_snap_length_cut_is_a_final_hole() {
    let (mut stream, mut budget) = started();
    assert_eq!(stream.push(at(0), b"head", 10, &mut budget), Push::Ready);
    assert!(stream.gap_is_final());
    assert_eq!(push(&mut stream, 10, b"next", &mut budget), Push::Nothing);
    assert_eq!(stream.skip_gap(&mut budget), Some(6));
    assert_eq!((stream.pending(), stream.missed()), (&b"next"[..], 6));

    // A copy that reaches further closes a part of it.
    let (mut stream, mut budget) = started();
    stream.push(at(0), b"head", 10, &mut budget);
    assert_eq!(stream.push(at(0), b"header", 10, &mut budget), Push::Ready);
    assert_eq!(stream.pending(), b"header");
    assert_eq!(stream.skip_gap(&mut budget), Some(4));
    assert_eq!(stream.skip_gap(&mut budget), None);

    // Headers only: all of it is a hole.
    let (mut stream, mut budget) = started();
    assert_eq!(stream.push(at(0), b"", 700, &mut budget), Push::Nothing);
    assert_eq!(stream.skip_gap(&mut budget), Some(700));
    assert_eq!(stream.missed(), 700);
}

#[test]
fn a_cut_segment_may_wait_too() {
    let (mut stream, mut budget) = started();
    stream.push(at(5), b"wor", 5, &mut budget);
    push(&mut stream, 0, b"hello", &mut budget);
    assert_eq!(stream.pending(), b"hellowor");
    assert!(stream.gap_is_final());
    push(&mut stream, 10, b"!", &mut budget);
    assert_eq!(stream.skip_gap(&mut budget), Some(2));
    assert_eq!(stream.pending(), b"!");
}

#[test]
fn bounds_on_what_waits_make_the_hole_final() {
    let (mut stream, mut budget) = started();
    for index in 0..WAITING_SEGMENTS as u32 {
        push(&mut stream, 1 + 2 * index, b"x", &mut budget);
        assert!(!stream.gap_is_final());
    }
    push(&mut stream, 1_000, b"x", &mut budget);
    assert!(stream.gap_is_final(), "one segment too many");
    assert_eq!(stream.skip_gap(&mut budget), Some(1));
    assert!(!stream.gap_is_final(), "there is room again");

    let (mut stream, mut budget) = started();
    let half = vec![b'y'; WAITING_OCTETS / 2];
    push(&mut stream, 1, &half, &mut budget);
    push(&mut stream, 1 + half.len() as u32, &half, &mut budget);
    assert!(!stream.gap_is_final());
    push(&mut stream, 1 + WAITING_OCTETS as u32, b"y", &mut budget);
    assert!(stream.gap_is_final(), "one octet too many");
}

#[test]
fn unread_bytes_are_bounded_and_move_up_when_there_is_room() {
    let (mut stream, mut budget) = started();
    let jumbo = vec![b'j'; PENDING_LIMIT + 1_000];
    assert_eq!(push(&mut stream, 0, &jumbo, &mut budget), Push::Ready);
    assert_eq!(stream.pending().len(), PENDING_LIMIT);
    stream.consume(600, &mut budget);
    assert_eq!(
        stream.pending().len(),
        PENDING_LIMIT - 600,
        "the piece that waits moves whole"
    );
    stream.consume(400, &mut budget);
    assert_eq!(stream.pending().len(), PENDING_LIMIT);
    assert_eq!(stream.delivered(), jumbo.len() as u64);
    assert!(budget.used() <= PENDING_LIMIT + WAITING_OCTETS);
}

#[test]
fn a_full_pool_refuses_and_the_same_push_works_once_there_is_room() {
    let mut stream = Stream::default();
    stream.syn(ISN);
    let mut budget = Budget::new(PAGE);
    let long = vec![b'z'; PAGE + 1];
    assert_eq!(push(&mut stream, 0, &long, &mut budget), Push::Refused);
    assert_eq!((stream.pending(), budget.used()), (&b""[..], 0));
    assert_eq!(push(&mut stream, 0, &long[..PAGE], &mut budget), Push::Ready);
    assert_eq!(push(&mut stream, 0, &long, &mut budget), Push::Refused);
    assert_eq!(push(&mut stream, PAGE as u32 + 9, b"early", &mut budget), Push::Refused);
    stream.consume(PAGE, &mut budget);
    assert_eq!(push(&mut stream, 0, &long, &mut budget), Push::Ready);
    assert_eq!(stream.pending(), b"z");
    assert_eq!(
        Stream::default().push(1, b"x", 1, &mut Budget::new(PAGE - 1)),
        Push::Refused
    );
}

#[test]
fn segments_outside_any_window_are_ignored() {
    let (mut stream, mut budget) = started();
    assert_eq!(
        push(&mut stream, LARGEST_WINDOW + 1, b"forged", &mut budget),
        Push::Nothing
    );
    assert_eq!(budget.used(), 0);
    assert!(!stream.acked(at(LARGEST_WINDOW + 1)));
    assert_eq!(stream.unseen(), 0);
    assert_eq!(push(&mut stream, 0, b"real", &mut budget), Push::Ready);
}

#[test]
fn after_release_only_missing_octets_are_counted() {
    let (mut stream, mut budget) = started();
    push(&mut stream, 0, b"decided", &mut budget);
    push(&mut stream, 10, b"early", &mut budget);
    stream.release(&mut budget);
    assert_eq!((budget.used(), stream.missed(), stream.delivered()), (0, 3, 12));
    assert_eq!(push(&mut stream, 15, b"more", &mut budget), Push::Nothing);
    assert_eq!(push(&mut stream, 30, b"later", &mut budget), Push::Nothing);
    assert_eq!((budget.used(), stream.missed()), (0, 3 + 11));
    push(&mut stream, 20, b"back", &mut budget);
    assert_eq!(stream.missed(), 3 + 7, "a hole filled in its middle");
    push(&mut stream, 20, b"back", &mut budget);
    assert_eq!(stream.missed(), 3 + 7, "only once");
    push(&mut stream, 5, b"edabcear", &mut budget);
    assert_eq!(stream.missed(), 7, "the hole from before the release");
    assert!(!stream.acked(at(35)));
    push(&mut stream, 19, &[b'q'; 11], &mut budget);
    assert_eq!(
        stream.missed(),
        7,
        "acknowledged without it: it came for another reason"
    );
    stream.push(at(35), b"cut", 13, &mut budget);
    assert_eq!(stream.missed(), 17);
}

#[test]
fn what_was_acknowledged_unseen_is_missed_in_the_end() {
    let (mut stream, mut budget) = started();
    push(&mut stream, 0, b"seen", &mut budget);
    stream.acked(at(4));
    assert_eq!(stream.unseen(), 0);
    stream.acked(at(5));
    assert_eq!(stream.unseen(), 0, "may be a FIN");
    stream.acked(at(24));
    assert_eq!(stream.unseen(), 20);
    stream.end(&mut budget);
    assert_eq!(stream.missed(), 20);

    // The FIN's own number is none of data.
    let (mut stream, mut budget) = started();
    push(&mut stream, 0, b"seen", &mut budget);
    stream.fin(at(4));
    stream.acked(at(5));
    stream.end(&mut budget);
    assert_eq!(stream.missed(), 0);

    // Nothing of this direction was captured: counted from the first acknowledgement.
    let mut unheard = Stream::default();
    unheard.acked(7_000);
    assert_eq!(unheard.unseen(), 0);
    unheard.acked(7_900);
    assert_eq!(unheard.unseen(), 900);
}

#[derive(Debug, Clone)]
struct Sent {
    offset: usize,
    length: usize,
    filler: u8,
}

const LENGTH: usize = 400;

fn segments() -> impl Strategy<Value = Vec<Sent>> {
    let one =
        (0..LENGTH, 1..90_usize, any::<u8>()).prop_map(|(offset, length, filler)| Sent { offset, length, filler });
    proptest::collection::vec(one, 0..40)
}

proptest! {
    /// Any segmentation, order, repetition and overlap of a text gives that text, however it is consumed.
    #[test]
    fn a_text_arrives_whole(
        isn in any::<u32>(),
        text in proptest::collection::vec(any::<u8>(), LENGTH),
        sent in segments(),
        steps in proptest::collection::vec(0..60_usize, 100),
    ) {
        let mut budget = Budget::new(1 << 20);
        let mut stream = Stream::default();
        stream.syn(isn);
        let mut read = Vec::new();
        // Whatever was sent, in the end everything is sent once more in order.
        let again = (0..LENGTH).step_by(50).map(|offset| Sent { offset, length: 50, filler: 0 });
        for (index, segment) in sent.into_iter().chain(again).enumerate() {
            let end = LENGTH.min(segment.offset + segment.length);
            let part = &text[segment.offset..end];
            let seq = isn.wrapping_add(1 + segment.offset as u32);
            let before = stream.delivered();
            let answer = stream.push(seq, part, part.len() as u32, &mut budget);
            prop_assert_eq!(answer == Push::Ready, stream.delivered() > before);
            prop_assert!(!stream.gap_is_final());
            let step = steps[index % steps.len()].min(stream.pending().len());
            read.extend_from_slice(&stream.pending()[..step]);
            stream.consume(step, &mut budget);
        }
        read.extend_from_slice(stream.pending());
        prop_assert_eq!(read, text);
        prop_assert_eq!((stream.delivered(), stream.missed()), (LENGTH as u64, 0));
        stream.release(&mut budget);
        prop_assert_eq!(budget.used(), 0);
    }

    /// Where copies differ, each octet is that of the copy captured first.
    #[test]
    fn the_first_writer_wins(sent in segments()) {
        let mut budget = Budget::new(1 << 20);
        let (mut stream, _) = started();
        let mut model = vec![None; LENGTH + 90];
        for segment in &sent {
            let part = vec![segment.filler; segment.length];
            push(&mut stream, segment.offset as u32, &part, &mut budget);
            for octet in &mut model[segment.offset..segment.offset + segment.length] {
                octet.get_or_insert(segment.filler);
            }
        }
        let contiguous: Vec<u8> = model.iter().map_while(|octet| *octet).collect();
        prop_assert_eq!(stream.pending(), &contiguous[..]);
        // Skipping each hole yields the rest, and every octet is either delivered or missed.
        stream.consume(usize::MAX, &mut budget);
        let mut rest = Vec::new();
        while stream.skip_gap(&mut budget).is_some() {
            rest.extend_from_slice(stream.pending());
            stream.consume(usize::MAX, &mut budget);
        }
        let expected: Vec<u8> = model[contiguous.len()..].iter().filter_map(|octet| *octet).collect();
        prop_assert_eq!(rest, expected);
        let highest = sent.iter().map(|segment| segment.offset + segment.length).max().unwrap_or(0);
        prop_assert_eq!(stream.delivered() + stream.missed(), highest as u64);
        prop_assert_eq!(budget.used(), 0);
    }

    /// Counting after the release agrees with the model while no more than `HOLES` holes are open.
    #[test]
    fn released_streams_count_what_is_missing(sent in proptest::collection::vec((0..8_usize, 1..4_usize), 0..30)) {
        let (mut stream, mut budget) = started();
        stream.release(&mut budget);
        let mut seen = [false; 12];
        for (first, count) in sent {
            let part = vec![0; count * 10];
            push(&mut stream, first as u32 * 10, &part, &mut budget);
            seen[first..first + count].fill(true);
        }
        let highest = seen.iter().rposition(|seen| *seen).map_or(0, |last| last + 1);
        let missing = seen[..highest].iter().filter(|seen| !**seen).count();
        prop_assert_eq!(stream.missed(), missing as u64 * 10);
        prop_assert_eq!(stream.delivered(), (highest - missing) as u64 * 10);
    }

    /// Nothing that can be sent makes it panic, hold more than its bounds or leak from the pool.
    #[test]
    fn memory_stays_within_its_bounds(
        limit in 0..400_000_usize,
        actions in proptest::collection::vec((0..8_u8, any::<u32>(), 0..3_usize, any::<u32>()), 0..120),
    ) {
        let mut budget = Budget::new(limit);
        let mut stream = Stream::default();
        let payload = vec![7; 70_000];
        for (kind, seq, size, declared) in actions {
            let near = stream.next.wrapping_add(seq % 200_000).wrapping_sub(60_000);
            let part = &payload[..[3, 1_460, 70_000][size]];
            match kind {
                0 => { stream.push(seq, part, declared, &mut budget); }
                1..=3 => { stream.push(near, part, part.len() as u32, &mut budget); }
                4 => { stream.push(near, part, part.len() as u32 + declared % 2_000, &mut budget); }
                5 => { stream.acked(near); }
                6 => { stream.consume(declared as usize % 100_000, &mut budget); }
                _ => match declared % 8 {
                    0 => stream.syn(seq),
                    1 => stream.fin(near),
                    2 => stream.release(&mut budget),
                    _ => { stream.skip_gap(&mut budget); }
                },
            }
            prop_assert!(budget.used() <= limit);
            prop_assert_eq!(stream.memory(), budget.used());
            prop_assert!(stream.pending().len() <= PENDING_LIMIT);
            prop_assert!(stream.memory() <= PENDING_LIMIT + WAITING_OCTETS + WAITING_SEGMENTS * SEGMENT_OVERHEAD);
        }
        stream.end(&mut budget);
        prop_assert_eq!((budget.used(), stream.memory()), (0, 0));
    }
}
