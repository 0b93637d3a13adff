//! SRTCP with nothing before it that says media: an RTCP component whose allocation lies before the capture.
//!
//! Strategy: header and SSRC of the first packet are in clear (RFC 3711 3.4). At the very end, never encrypted, stand
//! the E flag and an index, a key identifier (MKI) or none, and the tag of 10 octets that all ciphers of RFC 4568 6.2
//! give SRTCP. The index grows by one with each packet of a source, the identifier stays, the tag never is the same:
//! two packets of one source prove it. Of random octets two are such a pair by less than 2^-77: 2^-16 for version
//! and type, 2^-32 for the SSRC, 2^-29 for the index at any of its places. Even where a protocol has a header that
//! looks like this in each of its datagrams, the index alone is a matter of one pair in 500 million.

use super::{packet, MAX_DROPOUT};
use crate::cursor::Cursor;
use crate::facts::Side;

const TAG: usize = 10;
/// E flag and index in one word.
const INDEX: usize = 4;
/// Longest key identifier that is looked past: implementations use 1 to 4 of the 128 octets it may have.
const LONGEST_KEY: usize = 16;
/// Sources followed on a flow, both sides.
const SOURCES: usize = 8;

#[derive(Debug)]
struct Report {
    side: Side,
    ssrc: u32,
    /// Last octets, in which index, identifier and tag stand.
    end: Box<[u8]>,
}

/// The last report of each source, oldest first.
#[derive(Debug, Default)]
pub(super) struct Reports(Vec<Report>);

/// SSRC and last octets of what may be SRTCP: it begins with a report or feedback (RFC 4585 6.1), which holds the blocks
/// that it announces, and behind that packet is room for index and tag.
fn read(payload: &[u8]) -> Option<(u32, &[u8])> {
    let mut cursor = Cursor::new(payload);
    let (kind, blocks, _, words) = packet(&mut cursor)?;
    let needed = match kind {
        200 => blocks.saturating_mul(6).saturating_add(6),
        201 => blocks.saturating_mul(6).saturating_add(1),
        205 | 206 => 2,
        _ => return None,
    };
    let behind_ssrc = words.checked_sub(1).filter(|_| words >= needed)?;
    let ssrc = cursor.u32().ok()?;
    cursor.skip(behind_ssrc.saturating_mul(4)).ok()?;
    let rest = cursor.rest();
    let end = rest.get(rest.len().saturating_sub(INDEX + LONGEST_KEY + TAG)..)?;
    (end.len() >= INDEX + TAG).then_some((ssrc, end))
}

/// Whether the datagram may be SRTCP; no answer on its own.
pub fn probe_secured(payload: &[u8]) -> bool {
    read(payload).is_some()
}

impl Reports {
    /// Whether the datagram continues what a source sent before.
    pub(super) fn follow(&mut self, side: Side, payload: &[u8]) -> bool {
        let Some((ssrc, end)) = read(payload) else { return false };
        let known = |report: &&mut Report| report.side == side && report.ssrc == ssrc;
        if let Some(report) = self.0.iter_mut().find(known) {
            let proved = continues(&report.end, end);
            report.end = end.into();
            return proved;
        }
        if self.0.len() >= SOURCES {
            self.0.remove(0);
        }
        let end = end.into();
        self.0.push(Report { side, ssrc, end });
        false
    }
}

fn continues(before: &[u8], now: &[u8]) -> bool {
    let (Some((before, old_tag)), Some((now, tag))) = (before.split_last_chunk::<TAG>(), now.split_last_chunk()) else {
        return false;
    };
    let place = |key: usize| {
        let (before, old_key) = before.split_at_checked(before.len().checked_sub(key)?)?;
        let (now, key) = now.split_at_checked(now.len().checked_sub(key)?)?;
        let ahead = index(now)?.wrapping_sub(index(before)?);
        Some(old_key == key && (1..=u32::from(MAX_DROPOUT)).contains(&ahead))
    };
    old_tag != tag && (0..=LONGEST_KEY).any(|key| place(key) == Some(true))
}

/// The word at the end; its E flag is a matter of keys and stays, so that words may be compared.
fn index(octets: &[u8]) -> Option<u32> {
    octets.last_chunk::<INDEX>().map(|word| u32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::super::chance::Chance;
    use super::*;
    use proptest::prelude::*;
    use Side::{A, B};

    impl Chance {
        /// RFC 3711 3.4, figure 2: a receiver report with one block, encrypted behind its SSRC, and a MKI if any.
        fn srtcp(&mut self, ssrc: u32, word: u32, key: &[u8]) -> Vec<u8> {
            let head = [&[0x81, 201, 0, 7][..], &ssrc.to_be_bytes()].concat();
            [&head[..], &self.octets(24), &word.to_be_bytes(), key, &self.octets(TAG)].concat()
        }
    }

    fn proved_at(datagrams: &[(Side, Vec<u8>)]) -> Option<usize> {
        let mut reports = Reports::default();
        datagrams
            .iter()
            .position(|(side, payload)| reports.follow(*side, payload))
    }

    #[test]
    fn the_second_packet_of_a_source_proves_it() {
        for key in [&[][..], &[1], &[0, 1], &[0xab; 4], &[7; LONGEST_KEY]] {
            for first in [0_u32, 1, 0x8000_0000, 0x8000_00ff, 0x8001_ffff] {
                let mut chance = Chance(9);
                let talk = [0, 1].map(|n| (A, chance.srtcp(7, first + n, key)));
                assert_eq!(proved_at(&talk), Some(1), "first word {first:#x}, key {key:02x?}");
            }
        }
    }

    /// Reports of a call by the relay of a messenger (ntop/nDPI, lru_ipv6_caches.pcapng), E flag set, no key identifier.
    #[test]
    fn real_reports() {
        let talk = [
            "80c90001734e7b28800000051150ddd7bafeb9cbd7ce",
            "80c900015a5d5934636869d8cb9dd8f284841d47779bf41161555a9addf39a69f96e9cd080000001c9a4673fced23d5e1a58",
            "80c90001734e7b28fb6a8741ae18da8742955d507f436d5ecdd71c573ad5c9b49a9d18f380000006b57793ae94d6681b2279",
        ];
        let octet = |hex: &str, at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
        let talk = talk.map(|hex| (A, (0..hex.len() / 2).map(|at| octet(hex, at)).collect::<Vec<_>>()));
        assert_eq!(proved_at(&talk), Some(2));
    }

    #[test]
    fn all_forms_of_the_first_packet() {
        let mut chance = Chance(10);
        let heads: [&[u8]; 5] = [
            &[0x80, 201, 0, 1, 0, 0, 0, 9],
            &[
                0x80, 200, 0, 6, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
            ],
            // Padded, as the length of what is encrypted may ask.
            &[0xa0, 201, 0, 2, 0, 0, 0, 9, 0, 0, 0, 4],
            &[0x81, 205, 0, 3, 0, 0, 0, 9, 0, 0, 0, 8, 0, 1, 0, 0],
            &[0x8f, 206, 0, 2, 0, 0, 0, 9, 0, 0, 0, 8],
        ];
        for head in heads {
            for behind in [0, 1, 40] {
                let mut packet = |n: u8| [head, &chance.octets(behind), &[0x80, 0, 0, n], &chance.octets(TAG)].concat();
                let talk = [(B, packet(3)), (B, packet(4))];
                assert_eq!(proved_at(&talk), Some(1), "{head:?}, {behind} octets encrypted");
            }
        }
    }

    #[test]
    fn loss_is_borne_and_copies_are_no_proof() {
        let mut chance = Chance(11);
        let packets: Vec<_> = (0..20).map(|n| (A, chance.srtcp(7, 0x8000_0000 + n, &[1]))).collect();
        let some = |numbers: &[usize]| numbers.iter().map(|&n| packets[n].clone()).collect::<Vec<_>>();
        assert_eq!(proved_at(&some(&[0, 5])), Some(1), "four are lost");
        assert_eq!(
            proved_at(&some(&[0, 6, 12, 18])),
            None,
            "as many as RTP may lose, and no more"
        );
        assert_eq!(proved_at(&some(&[3, 3, 3])), None, "a copy");
        assert_eq!(proved_at(&some(&[4, 3, 5])), Some(2), "one was overtaken");
    }

    #[test]
    fn each_source_of_each_side_has_its_own_index() {
        let mut chance = Chance(12);
        let talk = [
            (A, chance.srtcp(7, 0x8000_0000, &[])),
            (B, chance.srtcp(7, 0x8000_0001, &[])),
            (A, chance.srtcp(8, 0x8000_0001, &[])),
            (B, chance.srtcp(8, 0x8000_0002, &[])),
        ];
        assert_eq!(proved_at(&talk), None);
        let mut sources: Vec<_> = (0..8).map(|ssrc| (A, chance.srtcp(ssrc, 5, &[]))).collect();
        sources.push((A, chance.srtcp(0, 6, &[])));
        assert_eq!(proved_at(&sources), Some(8), "eight sources are followed");
    }

    #[test]
    fn what_is_no_trailer_proves_nothing() {
        let mut chance = Chance(13);
        let again = |first: Vec<u8>, change: &[(usize, u8)]| {
            let mut second = first.clone();
            for &(from_end, by) in change {
                let at = second.len() - from_end;
                second[at] = second[at].wrapping_add(by);
            }
            proved_at(&[(A, first), (A, second)])
        };
        let whole = chance.srtcp(7, 0x8000_0000, &[1, 2]);
        assert_eq!(again(whole.clone(), &[(13, 1), (1, 1)]), Some(1));
        assert_eq!(again(whole.clone(), &[(13, 1)]), None, "a tag that stays");
        assert_eq!(again(whole.clone(), &[(13, 1), (12, 1), (1, 1)]), None, "another key");
        assert_eq!(
            again(whole.clone(), &[(16, 0x80), (13, 1), (1, 1)]),
            None,
            "no longer encrypted"
        );
        assert_eq!(again(whole, &[(1, 1)]), None, "an index that stays");
        // A number that counts at the very end, and one before the packet's end.
        let counted = |n: u8| [&[0x80, 201, 0, 1, 0, 0, 0, 9][..], &[5; 20], &[n]].concat();
        assert_eq!(proved_at(&[(A, counted(1)), (A, counted(2))]), None);
        let inside = |n: u8| [&[0x80, 201, 0, 5, 0, 0, 0, 9, 0, 0, 0, n][..], &[n; 12]].concat();
        assert_eq!(proved_at(&[(A, inside(1)), (A, inside(2))]), None);
    }

    #[test]
    fn the_first_packet_must_hold_what_it_announces() {
        let mut chance = Chance(14);
        let good = chance.srtcp(7, 1, &[]);
        assert!(probe_secured(&good));
        for length in 0..8 + 24 + INDEX + TAG {
            assert!(!probe_secured(&good[..length]), "cut to {length}");
        }
        for (at, octet, why) in [
            (0, 0x41, "version 1"),
            (0, 0x82, "two blocks"),
            (1, 200, "a sender report is longer"),
            (1, 202, "neither report nor feedback"),
            (3, 255, "beyond the end"),
        ] {
            let mut bytes = good.clone();
            bytes[at] = octet;
            assert!(!probe_secured(&bytes), "{why}");
        }
    }

    proptest! {
        /// The bound of this file's head, with the header given away: 20 pairs of a run are such by 20 × 2^-29.
        #[test]
        fn random_octets_behind_a_header_are_none(
            seed in 1..u64::MAX,
            lengths in prop::collection::vec(0_usize..120, 2..21),
        ) {
            let mut chance = Chance(seed);
            let head = [0x80, 201, 0, 1, 0, 0, 0, 9];
            let talk: Vec<_> = lengths.iter().map(|&length| (A, [&head[..], &chance.octets(length)].concat())).collect();
            prop_assert_eq!(proved_at(&talk), None);
        }

        #[test]
        fn any_octets_do_no_harm(datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..40)) {
            let talk: Vec<_> = datagrams.into_iter().map(|payload| (B, payload)).collect();
            prop_assert_eq!(proved_at(&talk), None);
        }
    }
}
