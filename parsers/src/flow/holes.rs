//! Holes in the sequence numbers of a direction that is no longer buffered: a short list, so that a retransmission takes
//! its octets out of the missing ones again.

/// Holes remembered. More losses than that inside one round trip count as missing even if they are repaired.
const HOLES: usize = 8;

/// Ranges of sequence numbers counted as missing that may still come, oldest first.
#[derive(Debug, Default)]
pub(super) struct Holes {
    ranges: [(u32, u32); HOLES],
    count: usize,
}

/// How far `seq` is after `base` (negative: before), RFC 1982.
pub(super) fn ahead(seq: u32, base: u32) -> i32 {
    seq.wrapping_sub(base) as i32
}

impl Holes {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn open(&mut self, start: u32, end: u32) {
        if self.count == HOLES {
            self.remove(0);
        }
        if let Some(slot) = self.ranges.get_mut(self.count) {
            *slot = (start, end);
            self.count += 1;
        }
    }

    fn remove(&mut self, index: usize) {
        if index < self.count {
            if let Some(tail) = self.ranges.get_mut(index..self.count) {
                tail.rotate_left(1);
            }
            self.count -= 1;
        }
    }

    /// Octets of `start..end` that were missing.
    pub(super) fn fill(&mut self, start: u32, end: u32) -> u32 {
        let mut filled: u32 = 0;
        let mut index = 0;
        while index < self.count {
            let Some(&(first, last)) = self.ranges.get(index) else {
                break;
            };
            let from = if ahead(start, first) > 0 { start } else { first };
            let until = if ahead(end, last) < 0 { end } else { last };
            if ahead(until, from) <= 0 {
                index += 1;
                continue;
            }
            filled = filled.saturating_add(until.wrapping_sub(from));
            self.remove(index);
            for (left, right) in [(first, from), (until, last)] {
                if left != right && self.count < HOLES {
                    if let Some(free) = self.ranges.get_mut(index..=self.count) {
                        free.rotate_right(1);
                        if let Some(slot) = free.first_mut() {
                            *slot = (left, right);
                        }
                    }
                    self.count += 1;
                    index += 1;
                }
            }
        }
        filled
    }

    /// Holes wholly acknowledged: nobody will repeat those octets.
    pub(super) fn settle(&mut self, ack: u32) {
        let mut index = 0;
        while index < self.count {
            match self.ranges.get(index) {
                Some(&(_, end)) if ahead(ack, end) >= 0 => self.remove(index),
                _ => index += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_hole_gives_way() {
        let mut holes = Holes::default();
        for index in 0..=HOLES as u32 {
            holes.open(100 * index, 100 * index + 10);
        }
        assert_eq!(holes.fill(0, 50), 0, "forgotten");
        assert_eq!(holes.fill(0, 10_000), 10 * HOLES as u32);
        assert!(holes.is_empty());
    }

    #[test]
    fn a_full_list_splits_no_further() {
        let mut holes = Holes::default();
        for index in 0..HOLES as u32 {
            holes.open(100 * index, 100 * index + 10);
        }
        assert_eq!(holes.fill(4, 6), 2);
        assert_eq!(holes.count, HOLES, "its left part stays, its right one has no place");
        assert_eq!(holes.fill(0, 10), 4);
    }

    #[test]
    fn acknowledged_holes_are_settled_across_the_wrap() {
        let mut holes = Holes::default();
        holes.open(u32::MAX - 5, 4);
        holes.open(10, 20);
        holes.settle(19);
        assert_eq!((holes.count, holes.fill(u32::MAX - 5, 4)), (1, 0));
        holes.settle(20);
        assert!(holes.is_empty());
    }
}
