//! The one memory pool of an engine's stream buffers.
//!
//! Whoever keeps bytes asks first and gives back later; nothing here waits or frees by itself. When the pool is full the
//! engine chooses who gives up its bytes (the oldest undecided flow), so that memory is bounded by a number and never by
//! the traffic. Emptied buffers of one page are kept for the next stream: most flows are decided by their first packet,
//! and need no allocation of their own.

use super::buffers::Buffers;

/// The smallest buffer: more than a full Ethernet segment, less than half a kernel page's waste.
pub const PAGE: usize = 2_048;

/// Emptied buffers kept for reuse (1 MiB of pages): as many flows as are between first payload and decision on a fast
/// link, where a decision takes one or two packets. They come on top of the limit.
const SPARE: usize = 512;

#[derive(Debug)]
pub struct Budget {
    limit: usize,
    used: usize,
    /// The box is the allocation that is saved; unboxed they would cost one for each stream.
    #[allow(clippy::vec_box)]
    spare: Vec<Box<Buffers>>,
}

impl Budget {
    /// `limit` in octets; under one page nothing is ever kept.
    pub fn new(limit: usize) -> Self {
        Budget {
            limit,
            used: 0,
            spare: Vec::new(),
        }
    }

    /// True and counted as used, or false and nothing changed.
    #[must_use]
    pub fn try_reserve(&mut self, octets: usize) -> bool {
        match self.used.checked_add(octets) {
            Some(used) if used <= self.limit => {
                self.used = used;
                true
            }
            _ => false,
        }
    }

    pub fn release(&mut self, octets: usize) {
        self.used = self.used.saturating_sub(octets);
    }

    pub fn used(&self) -> usize {
        self.used
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    /// An empty buffer of one page, already paid for; None when the pool is full.
    pub(super) fn buffers(&mut self) -> Option<Box<Buffers>> {
        self.try_reserve(PAGE).then(|| self.spare.pop().unwrap_or_default())
    }

    /// Takes an emptied buffer back together with the `charged` octets that were paid for it.
    pub(super) fn take_back(&mut self, buffers: Box<Buffers>, charged: usize) {
        self.release(charged);
        if self.spare.len() < SPARE && charged <= PAGE {
            self.spare.push(buffers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_up_to_its_limit() {
        let mut budget = Budget::new(100);
        assert!(budget.try_reserve(60) && !budget.try_reserve(41) && budget.try_reserve(40));
        assert!(!budget.try_reserve(usize::MAX), "no overflow");
        budget.release(70);
        assert_eq!((budget.used(), budget.limit()), (30, 100));
        budget.release(usize::MAX);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn keeps_a_bounded_number_of_pages_for_reuse() {
        let mut budget = Budget::new(PAGE * (SPARE + 10));
        let held: Vec<_> = std::iter::from_fn(|| budget.buffers()).collect();
        assert_eq!(held.len(), SPARE + 10, "no page beyond the limit");
        for buffers in held {
            budget.take_back(buffers, PAGE);
        }
        assert_eq!((budget.used(), budget.spare.len()), (0, SPARE));
        let grown = budget.buffers().unwrap_or_default();
        budget.take_back(grown, 2 * PAGE);
        assert_eq!(budget.spare.len(), SPARE - 1, "a buffer that has grown is not kept");
    }
}
