//! How often each side of a TLS connection spoke, minute by minute, without an octet of it being kept.
//!
//! Strategy: a record's header says where the next one begins (RFC 5246 6.2.1), so one number a direction leads from
//! header to header for as long as the connection lives, and most segments cost a comparison. Where packets were lost
//! the walk goes on at the next segment that begins with a header, as senders write them; records between are not
//! counted. So a count is never more than was sent.

use crate::facts::Side;
use crate::minutes::Minutes;
use crate::proto::tls::record::{header, APPLICATION_DATA, HEADER};

/// Shortest record that counts. A SIP message has six header fields that it must have (RFC 3261 8.1.1) and does not fit
/// below; keep-alives (RFC 5626 3.5.1) and the single octets that TLS 1.0 puts before a record do.
const SHORTEST: u16 = 128;

#[derive(Debug, Default)]
pub struct Records {
    walks: [Walk; 2],
    minutes: Minutes<2>,
}

/// One direction.
#[derive(Debug, Default)]
struct Walk {
    /// Sequence number of the next octet of a header, once a header was found.
    next: Option<u32>,
    /// The header in progress, and how much of it is there.
    header: [u8; HEADER],
    filled: usize,
}

impl Records {
    /// A segment's payload, which begins at `seq`.
    pub fn segment(&mut self, side: Side, seq: u32, payload: &[u8], time: i64) {
        let Some(walk) = self.walks.get_mut(side.index()) else {
            return;
        };
        let found = walk.segment(seq, payload);
        if found > 0 {
            self.minutes.add(side.index(), found, time);
        }
    }

    /// By side.
    pub fn minutes(&self) -> &Minutes<2> {
        &self.minutes
    }
}

impl Walk {
    /// Records of application data whose header ended in this segment.
    fn segment(&mut self, seq: u32, payload: &[u8]) -> u32 {
        let ahead = self.next.map(|next| next.wrapping_sub(seq));
        let mut rest = match ahead.and_then(|ahead| usize::try_from(ahead).ok()) {
            // Inside a record, or a copy of what was walked over.
            Some(ahead) if ahead >= payload.len() && ahead < 1 << 31 => return 0,
            Some(ahead) if ahead < payload.len() => payload.get(ahead..).unwrap_or_default(),
            // Nothing known yet, or the header was in a packet that is missing: it may still come.
            _ if header(payload).is_ok() => {
                self.filled = 0;
                payload
            }
            _ => return 0,
        };
        let mut found: u32 = 0;
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(rest.len().min(HEADER.saturating_sub(self.filled)));
            for octet in part {
                if let Some(place) = self.header.get_mut(self.filled) {
                    *place = *octet;
                }
                self.filled = self.filled.saturating_add(1);
            }
            rest = behind;
            if self.filled < HEADER {
                self.next = Some(end(seq, payload));
                return found;
            }
            self.filled = 0;
            let Ok(record) = header(&self.header) else {
                self.next = Some(end(seq, payload));
                return found;
            };
            found = found.saturating_add(u32::from(
                record.content == APPLICATION_DATA && record.length >= SHORTEST,
            ));
            let body = usize::from(record.length);
            if body >= rest.len() {
                let beyond = u32::try_from(body.saturating_sub(rest.len())).unwrap_or(0);
                self.next = Some(end(seq, payload).wrapping_add(beyond));
                return found;
            }
            rest = rest.get(body..).unwrap_or_default();
        }
        found
    }
}

/// Sequence number behind a payload, which is shorter than 2^32 (RFC 9293 3.4).
fn end(seq: u32, payload: &[u8]) -> u32 {
    seq.wrapping_add(u32::try_from(payload.len()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use Side::{A, B};

    fn record(kind: u8, length: u16) -> Vec<u8> {
        [
            &[kind, 3, 3][..],
            &length.to_be_bytes(),
            &vec![0x5a; usize::from(length)],
        ]
        .concat()
    }

    fn total(records: &Records, side: Side) -> u64 {
        records.minutes().total(side.index())
    }

    #[test]
    fn counts_by_side() {
        let mut records = Records::default();
        let two = [record(23, 128), record(23, 4_000)].concat();
        records.segment(A, 100, &two, 0);
        records.segment(B, 7, &record(23, 300), 0);
        records.segment(A, 100 + two.len() as u32, &record(23, 300), 0);
        assert_eq!((total(&records, A), total(&records, B)), (3, 1));
    }

    #[test]
    fn what_is_no_message_does_not_count() {
        let mut records = Records::default();
        let bytes = [record(22, 2_000), record(20, 1), record(23, 127), record(21, 200)].concat();
        records.segment(A, 0, &bytes, 0);
        assert_eq!(total(&records, A), 0);
    }

    #[test]
    fn a_lost_packet_costs_its_records_alone() {
        let mut records = Records::default();
        let one = record(23, 200);
        let length = one.len() as u32;
        records.segment(A, 0, &one, 0);
        records.segment(A, 2 * length, &one, 0);
        assert_eq!(total(&records, A), 2);
        // It comes after all, too late.
        records.segment(A, length, &one, 0);
        records.segment(A, 3 * length, &one, 0);
        assert_eq!(total(&records, A), 3);
        // The head of a record is lost: its body means nothing, the next segment does.
        let long = record(23, 3_000);
        records.segment(A, 4 * length + 1_000, &long[1_000..], 0);
        records.segment(A, 4 * length + long.len() as u32, &one, 0);
        assert_eq!(total(&records, A), 4);
    }

    #[test]
    fn an_overtaken_packet_within_a_record_costs_nothing() {
        let mut records = Records::default();
        let long = [record(23, 3_000), record(23, 200)].concat();
        records.segment(A, 0, &long[..1_000], 0);
        records.segment(A, 2_000, &long[2_000..], 0);
        records.segment(A, 1_000, &long[1_000..2_000], 0);
        assert_eq!(total(&records, A), 2);
    }

    #[test]
    fn sequence_numbers_go_round() {
        let mut records = Records::default();
        let bytes = [record(23, 500), record(23, 500), record(23, 500)].concat();
        for (at, part) in bytes.chunks(100).enumerate() {
            records.segment(B, (u32::MAX - 700).wrapping_add(at as u32 * 100), part, 0);
        }
        assert_eq!(total(&records, B), 3);
    }

    #[test]
    fn copies_of_what_was_counted_do_not_count_even_where_the_walk_lost_its_way() {
        let mut records = Records::default();
        let one = record(23, 200);
        records.segment(A, 0, &one, 0);
        records.segment(A, one.len() as u32, &[0; 50], 0);
        records.segment(A, 0, &one, 0);
        assert_eq!(total(&records, A), 1);
        records.segment(A, one.len() as u32 + 50, &one, 0);
        assert_eq!(total(&records, A), 2, "it is found again");
    }

    proptest! {
        /// Any segmentation, copies included, gives the same count; losses never give more.
        #[test]
        fn segmentation_changes_nothing_and_loss_never_adds(
            lengths in prop::collection::vec((20..=24_u8, 2..2_000_u16), 1..30),
            cuts in prop::collection::vec(1..1_500_usize, 1..60),
            lost in prop::collection::vec(any::<bool>(), 60),
            seq in any::<u32>(),
        ) {
            let bytes: Vec<u8> = lengths.iter().flat_map(|&(kind, length)| record(kind, length)).collect();
            let sent = lengths.iter().filter(|&&(kind, length)| kind == 23 && length >= SHORTEST).count() as u64;
            let (mut whole, mut holed) = (Records::default(), Records::default());
            let (mut at, mut turn) = (0, 0);
            while at < bytes.len() {
                let part = &bytes[at..(at + cuts[turn % cuts.len()]).min(bytes.len())];
                let begins = seq.wrapping_add(at as u32);
                // The first segment is whole, as a stream is only walked once it was recognised.
                let first = &bytes[..part.len().max(HEADER)];
                let (part, begins) = if at == 0 { (first, seq) } else { (part, begins) };
                whole.segment(A, begins, part, 0);
                whole.segment(A, begins, part, 0);
                if !lost[turn % lost.len()] {
                    holed.segment(A, begins, part, 0);
                }
                at = (begins.wrapping_sub(seq)) as usize + part.len();
                turn += 1;
            }
            prop_assert_eq!(total(&whole, A), sent);
            prop_assert!(total(&holed, A) <= sent);
        }

        #[test]
        fn arbitrary_segments_do_no_harm(parts in prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 0..40)), 0..40)) {
            let mut records = Records::default();
            for (seq, part) in &parts {
                records.segment(A, *seq, part, i64::from(*seq) - 5);
            }
        }
    }
}
