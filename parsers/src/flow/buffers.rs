//! What of a stream is held until its protocol is decided: octets in order, and early segments that wait for a hole to be
//! filled. Bounded in octets and in segments; each octet is charged to the budget.

use super::budget::{Budget, PAGE};

/// Contiguous octets kept while a reader consumes nothing. A message framed by a 16-bit length has at most 64 KiB
/// (RFC 4571, MS-TURN), a TLS record 18 KiB: four times the largest also holds the burst behind it.
pub(super) const PENDING_LIMIT: usize = 262_144;

/// Early octets kept: what is in flight behind one lost segment in the first round trips (10 segments at first,
/// RFC 6928, doubled three times), which is when protocols are decided.
pub(super) const WAITING_OCTETS: usize = 131_072;

/// Early segments kept, so that one-octet segments cost no more than full ones.
pub(super) const WAITING_SEGMENTS: usize = 64;

/// What a waiting segment costs beside its octets: its entry and the allocator's header.
pub(super) const SEGMENT_OVERHEAD: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// Contiguous octets; those before `consumed` are done with.
    pub(super) contiguous: Vec<u8>,
    pub(super) consumed: usize,
    /// Early segments by sequence number, without overlaps.
    pub(super) waiting: Vec<Segment>,
    pub(super) waiting_octets: usize,
    /// Octets right after `next` that the snap length cut away.
    pub(super) cut: u32,
    /// An early segment was dropped at a bound.
    pub(super) overflowed: bool,
    /// What `contiguous` was charged.
    pub(super) charged: usize,
}

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) seq: u32,
    pub(super) octets: Box<[u8]>,
    /// Octets after these that the snap length cut away.
    pub(super) cut: u32,
}

impl Segment {
    /// Octets fit the waiting bound, so their count fits 32 bits.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.octets.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn end(&self) -> u32 {
        self.seq.wrapping_add(self.len())
    }

    pub(super) fn cost(&self) -> usize {
        self.octets.len().saturating_add(SEGMENT_OVERHEAD)
    }
}

impl Buffers {
    pub(super) fn pending(&self) -> &[u8] {
        self.contiguous.get(self.consumed..).unwrap_or_default()
    }

    pub(super) fn room(&self) -> usize {
        PENDING_LIMIT.saturating_sub(self.pending().len())
    }

    /// False: no memory, and nothing changed.
    pub(super) fn append(&mut self, octets: &[u8], budget: &mut Budget) -> bool {
        let needed = self.pending().len().saturating_add(octets.len());
        if needed > self.charged {
            // Doubling keeps copying linear in what arrives.
            let wanted = needed.next_power_of_two().max(PAGE);
            if !budget.try_reserve(wanted - self.charged) {
                return false;
            }
            self.charged = wanted;
        }
        // Room is made at the front only when at least half of what is there is done with: each octet moves once.
        if self.contiguous.len().saturating_add(octets.len()) > self.charged
            || self.consumed > self.contiguous.len() / 2
        {
            self.contiguous.drain(..self.consumed);
            self.consumed = 0;
        }
        if self.contiguous.capacity() < self.charged {
            self.contiguous.reserve_exact(self.charged - self.contiguous.len());
        }
        self.contiguous.extend_from_slice(octets);
        true
    }

    /// Lets an early segment wait: those of its octets that nothing waiting covers. False: no memory for all of it.
    pub(super) fn wait(&mut self, seq: u32, octets: &[u8], cut: u32, next: u32, budget: &mut Budget) -> bool {
        let start = seq.wrapping_sub(next);
        let end = start.saturating_add(u32::try_from(octets.len()).unwrap_or(u32::MAX));
        let mut from = start;
        let mut index = 0;
        while from < end {
            let until = match self.waiting.get(index) {
                Some(other) => {
                    let (first, last) = (other.seq.wrapping_sub(next), other.end().wrapping_sub(next));
                    if first <= from {
                        from = from.max(last);
                        index += 1;
                        continue;
                    }
                    first.min(end)
                }
                None => end,
            };
            let piece = octets
                .get((from - start) as usize..(until - start) as usize)
                .unwrap_or_default();
            if self.waiting.len() >= WAITING_SEGMENTS
                || self.waiting_octets.saturating_add(piece.len()) > WAITING_OCTETS
            {
                self.overflowed = true;
                return true;
            }
            let segment = Segment {
                seq: next.wrapping_add(from),
                octets: piece.into(),
                cut: if until == end { cut } else { 0 },
            };
            if !budget.try_reserve(segment.cost()) {
                return false;
            }
            self.waiting_octets = self.waiting_octets.saturating_add(piece.len());
            self.waiting.insert(index, segment);
            index += 1;
            from = until;
        }
        true
    }
}
