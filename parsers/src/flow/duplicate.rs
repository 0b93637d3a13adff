//! The same packet captured twice: a span port that mirrors both directions of a link, or a packet seen before and after
//! a router, gives a copy within microseconds.
//!
//! Strategy: a ring of the last packets of one sensor with a small hash index over their content. Chains are never
//! unlinked: an entry names the one before it in its bucket by a running number, and a number that the ring has lapped is
//! the end of the chain. So each packet costs a constant, whatever is sent.

/// Two copies are at most this far apart in packet time, ns.
const WINDOW: u64 = 1_000_000;

/// Packets remembered: 4 million a second inside the window, more than 10 Gbit/s of average packets.
const RING: usize = 4_096;

/// Buckets of the index, so many that most packets find none before them in theirs.
const BUCKETS: usize = 4 * RING;

/// Entries looked at in one bucket. An honest bucket holds one or two; a flood of equal packets would fill one with
/// thousands.
const STEPS: usize = 16;

/// No entry.
const NONE: u64 = u64::MAX;

#[derive(Debug, Clone, Copy)]
struct Entry {
    time: i64,
    content: u128,
    link: u64,
    /// Running number of the entry before it in the same bucket.
    previous: u64,
}

/// One sensor's recent packets. 320 KiB.
#[derive(Debug)]
pub struct Duplicates {
    ring: Box<[Entry]>,
    /// Per bucket the running number of its newest entry.
    newest: Box<[u64]>,
    /// Running number of the next entry.
    count: u64,
}

impl Default for Duplicates {
    fn default() -> Self {
        let empty = Entry {
            time: 0,
            content: 0,
            link: 0,
            previous: NONE,
        };
        Duplicates {
            ring: vec![empty; RING].into(),
            newest: vec![NONE; BUCKETS].into(),
            count: 0,
        }
    }
}

impl Duplicates {
    /// Whether the packet repeats one of the last millisecond; it is remembered either way. `content` is a hash of the IP
    /// packet without hop limit and header checksum, `link` one of link header, VLAN and hop limit. `strict_differs`: a
    /// TCP segment without payload, SYN, FIN or RST, which honest hosts repeat at once, is a copy only if it came
    /// another way (`link` differs); with payload or over UDP any equal packet is one.
    pub fn seen(&mut self, time: i64, content: u128, link: u64, strict_differs: bool) -> bool {
        let bucket = (content as usize) % BUCKETS;
        let head = self.newest.get(bucket).copied().unwrap_or(NONE);
        let mut number = head;
        let mut seen = false;
        for _ in 0..STEPS {
            let Some(entry) = self.entry(number) else { break };
            if entry.content == content
                && entry.time.abs_diff(time) <= WINDOW
                && !(strict_differs && entry.link == link)
            {
                seen = true;
                break;
            }
            number = entry.previous;
        }
        if let Some(slot) = self.ring.get_mut(self.count as usize % RING) {
            *slot = Entry {
                time,
                content,
                link,
                previous: head,
            };
        }
        if let Some(newest) = self.newest.get_mut(bucket) {
            *newest = self.count;
        }
        self.count = self.count.wrapping_add(1);
        seen
    }

    /// The entry of that running number, while the ring still holds it.
    fn entry(&self, number: u64) -> Option<&Entry> {
        let age = self.count.checked_sub(number)?;
        if age == 0 || age > RING as u64 {
            return None;
        }
        self.ring.get(number as usize % RING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn a_copy_within_a_millisecond_is_a_duplicate() {
        let mut packets = Duplicates::default();
        assert!(!packets.seen(0, 7, 1, false));
        assert!(packets.seen(MS, 7, 1, false), "the limit itself is inside");
        assert!(!packets.seen(3 * MS, 7, 1, false));
        assert!(!packets.seen(3 * MS, 8, 1, false), "another content");
        assert!(
            packets.seen(3 * MS - 500_000, 8, 1, false),
            "captures merged from two cards may step back a little"
        );
    }

    #[test]
    fn bare_segments_are_copies_only_when_they_came_another_way() {
        let mut packets = Duplicates::default();
        assert!(!packets.seen(0, 7, 1, true));
        assert!(!packets.seen(10, 7, 1, true), "a repeated SYN on the same wire");
        assert!(packets.seen(20, 7, 2, true), "one hop further");
        assert!(packets.seen(30, 7, 2, false), "with payload any repetition counts");
    }

    #[test]
    fn the_other_way_is_found_behind_repetitions() {
        let mut packets = Duplicates::default();
        packets.seen(0, 7, 2, true);
        for _ in 0..STEPS - 1 {
            packets.seen(1, 7, 1, true);
        }
        assert!(packets.seen(2, 7, 1, true));
    }

    #[test]
    fn collisions_in_a_bucket_hide_nothing() {
        let mut packets = Duplicates::default();
        for index in 0..STEPS as u128 {
            assert!(!packets.seen(0, index * BUCKETS as u128, 1, false));
        }
        assert!(packets.seen(0, 0, 1, false));
    }

    #[test]
    fn a_lapped_entry_is_gone() {
        let mut packets = Duplicates::default();
        packets.seen(0, 5, 1, false);
        for index in 0..RING as u128 - 1 {
            packets.seen(0, 6 + BUCKETS as u128 * index, 1, false);
        }
        assert!(packets.seen(0, 5, 1, false), "just within the ring");
        for index in 0..RING as u128 {
            packets.seen(0, 6 + BUCKETS as u128 * index, 1, false);
        }
        assert!(!packets.seen(0, 5, 1, false));
    }

    proptest! {
        /// Against a plain list, while buckets are short.
        #[test]
        fn agrees_with_a_list(packets in proptest::collection::vec((0..4_000_000_i64, 0..20_u128, 0..3_u64, any::<bool>()), 0..60)) {
            let mut duplicates = Duplicates::default();
            let mut list: Vec<(i64, u128, u64)> = Vec::new();
            for (time, content, link, strict) in packets {
                let recent = list.iter().rev().filter(|(_, other, _)| *other == content).take(STEPS);
                let expected = recent.into_iter().any(|(then, _, way)| then.abs_diff(time) <= WINDOW && (!strict || *way != link));
                prop_assert_eq!(duplicates.seen(time, content, link, strict), expected);
                list.push((time, content, link));
            }
        }
    }
}
