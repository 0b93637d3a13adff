//! One direction of a TCP stream: its first bytes in order, until its protocol is decided.
//!
//! Strategy: segments are laid down by sequence number (RFC 9293 3.4, arithmetic modulo 2^32). What follows without a
//! hole goes to `pending`, what came early waits, sorted and free of overlaps. Where two segments claim the same octet
//! the first one captured wins, as Zeek and Suricata do by default: the receiver may well have consumed it already, and
//! a decision never has to be taken back. A hole is given up only when nothing can fill it any more (the other side
//! acknowledged it, or the snap length cut it away) or when the bounds on early segments are hit; the caller then calls
//! `skip_gap` and tells the reader.
//!
//! After `release` nothing is buffered: only the count of octets that never came goes on, over a handful of open holes.
//! An idle direction costs `size_of::<Stream>()`, 48 octets.

pub use super::budget::Budget;
use super::budget::PAGE;
use super::buffers::{Buffers, Segment};
use super::holes::{ahead, Holes};

/// The largest window that TCP can offer (RFC 7323 2.3: 65,535 << 14, about 1 GiB). Beyond it a segment or
/// acknowledgement belongs to another connection or is forged.
const LARGEST_WINDOW: u32 = 1 << 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Push {
    /// New contiguous bytes are in `pending`.
    Ready,
    /// Nothing new to read: an early segment, a repeated one, or none at all.
    Nothing,
    /// The memory pool is full and the segment was not kept whole. Make room and push it again: what was kept of it is
    /// recognised.
    Refused,
}

#[derive(Debug, Default)]
pub struct Stream {
    /// Sequence number of the next octet in order; after `release`, of the octet after the highest seen.
    next: u32,
    /// The other side's highest acknowledgement.
    acked: u32,
    /// Sequence number of the FIN, when `ended`.
    fin: u32,
    started: bool,
    from_start: bool,
    released: bool,
    ended: bool,
    delivered: u64,
    missed: u64,
    buffers: Option<Box<Buffers>>,
    holes: Option<Box<Holes>>,
}

impl Stream {
    /// The sender's initial sequence number, from its SYN or from the SYN-ACK that acknowledges it (`ack` - 1). Data in
    /// the SYN itself (RFC 7413) starts at `seq` + 1. A repeated SYN changes nothing; one that turns up behind the
    /// first data proves that these were the first.
    pub fn syn(&mut self, seq: u32) {
        let first = seq.wrapping_add(1);
        if !self.started {
            self.start_at(first);
            self.from_start = true;
        } else if self.first() == first {
            self.from_start = true;
        }
    }

    /// Joined late: `seq` is taken for the first octet. Without effect once the stream is started.
    pub fn start_at(&mut self, seq: u32) {
        if !self.started {
            self.started = true;
            self.next = seq;
            self.acked = seq;
        }
    }

    /// Lays down one segment. `declared` is its length by the headers; what the snap length cut off after `payload` is a
    /// hole that nothing will fill. Starts a stream that is not started.
    pub fn push(&mut self, seq: u32, payload: &[u8], declared: u32, budget: &mut Budget) -> Push {
        let captured = u32::try_from(payload.len()).unwrap_or(u32::MAX).min(declared);
        if declared == 0 {
            return Push::Nothing;
        }
        self.start_at(seq);
        let distance = ahead(seq, self.next);
        if distance > LARGEST_WINDOW as i32 {
            return Push::Nothing;
        }
        if self.released {
            self.count(seq, captured, declared);
            return Push::Nothing;
        }
        // A repetition, whole or in part; a keep-alive repeats the octet before `next` (RFC 9293 3.8.4).
        let known = if distance < 0 { distance.unsigned_abs() } else { 0 };
        let Some(left) = declared.checked_sub(known).filter(|left| *left > 0) else {
            return Push::Nothing;
        };
        let seq = seq.wrapping_add(known);
        let fresh = payload
            .get(..captured as usize)
            .and_then(|kept| kept.get(known as usize..))
            .unwrap_or_default();
        let cut = left.saturating_sub(u32::try_from(fresh.len()).unwrap_or(u32::MAX));

        let mut buffers = match self.buffers.take() {
            Some(buffers) => buffers,
            None => match budget.buffers() {
                Some(mut buffers) => {
                    buffers.charged = PAGE;
                    buffers
                }
                None => return Push::Refused,
            },
        };
        let before = self.delivered;
        let kept = self.lay_down(&mut buffers, seq, fresh, cut, budget);
        self.draw(&mut buffers, budget);
        self.put_back(buffers, budget);
        match (kept, self.delivered > before) {
            (false, _) => Push::Refused,
            (true, true) => Push::Ready,
            (true, false) => Push::Nothing,
        }
    }

    /// Contiguous octets not consumed yet.
    pub fn pending(&self) -> &[u8] {
        self.buffers.as_deref().map_or(&[], Buffers::pending)
    }

    /// The first `n` octets of `pending` are done with. What had no room before may move up: look at `pending` again.
    pub fn consume(&mut self, n: usize, budget: &mut Budget) {
        if let Some(mut buffers) = self.buffers.take() {
            buffers.consumed = buffers.consumed.saturating_add(n).min(buffers.contiguous.len());
            self.draw(&mut buffers, budget);
            self.put_back(buffers, budget);
        }
    }

    /// The first octet of the stream is known and was where reading began.
    pub fn from_start(&self) -> bool {
        self.from_start
    }

    /// How far `seq` stands behind the first octet.
    pub fn place_of(&self, seq: u32) -> u32 {
        seq.wrapping_sub(self.first())
    }

    /// Octets that came in order.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Octets of holes that were given up.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// The next octets will not come: they were cut away, or acknowledged without having been seen while later ones
    /// wait, or too much waits behind them. Read what is pending, then `skip_gap`.
    pub fn gap_is_final(&self) -> bool {
        let Some(buffers) = self.buffers.as_deref() else {
            return false;
        };
        if buffers.cut > 0 {
            return true;
        }
        match buffers.waiting.first() {
            Some(first) if first.seq != self.next => buffers.overflowed || ahead(self.acked, first.seq) >= 0,
            _ => false,
        }
    }

    /// Gives up the hole before the earliest waiting octet and returns its length; None if there is no hole. Pending
    /// octets that were not consumed go as well: what they began cannot go on behind the hole.
    pub fn skip_gap(&mut self, budget: &mut Budget) -> Option<u64> {
        let mut buffers = self.buffers.take()?;
        let hole = buffers.waiting.first().map(|first| first.seq.wrapping_sub(self.next));
        let lost = match (buffers.cut, hole) {
            (0, hole) => hole.unwrap_or(0),
            (cut, hole) => cut.min(hole.unwrap_or(cut)),
        };
        if lost == 0 {
            self.put_back(buffers, budget);
            return None;
        }
        buffers.consumed = buffers.contiguous.len();
        buffers.overflowed = false;
        buffers.cut -= lost.min(buffers.cut);
        self.next = self.next.wrapping_add(lost);
        self.missed = self.missed.saturating_add(u64::from(lost));
        self.draw(&mut buffers, budget);
        self.put_back(buffers, budget);
        Some(u64::from(lost))
    }

    /// The other side acknowledged everything before `ack` (not to be taken from a RST, whose field may hold anything).
    /// True if that makes a hole final: see `gap_is_final`. In a stream of which nothing was seen yet, the first
    /// acknowledgement is where its octets are counted from.
    pub fn acked(&mut self, ack: u32) -> bool {
        self.start_at(ack);
        if (1..=LARGEST_WINDOW as i32).contains(&ahead(ack, self.acked)) {
            self.acked = ack;
            if let Some(holes) = self.holes.as_mut() {
                holes.settle(ack);
                if holes.is_empty() {
                    self.holes = None;
                }
            }
        }
        self.gap_is_final()
    }

    /// The sender's FIN stands at `seq` (segment's sequence number + its length): an acknowledgement of it is none of
    /// data.
    pub fn fin(&mut self, seq: u32) {
        self.start_at(seq);
        if !self.ended {
            self.ended = true;
            self.fin = seq;
        }
    }

    /// Octets after the last one seen that were sent all the same: the other side acknowledged them, or they stand before
    /// the FIN. One single octet without a FIN counts as none: it may be a FIN that was missed.
    pub fn unseen(&self) -> u32 {
        let highest = self
            .buffers
            .as_deref()
            .and_then(|buffers| buffers.waiting.last())
            .map_or(self.next, Segment::end);
        match ahead(if self.ended { self.fin } else { self.acked }, highest) {
            1 if !self.ended => 0,
            unseen => u32::try_from(unseen)
                .ok()
                .filter(|unseen| *unseen <= LARGEST_WINDOW)
                .unwrap_or(0),
        }
    }

    /// Classification is over: gives all memory back. From here on only missing octets are counted.
    pub fn release(&mut self, budget: &mut Budget) {
        self.released = true;
        let Some(mut buffers) = self.buffers.take() else { return };
        let mut cut = std::mem::take(&mut buffers.cut);
        for segment in std::mem::take(&mut buffers.waiting) {
            budget.release(segment.cost());
            // What was cut away once came whole in this segment, as far as it reaches.
            let (before, covered) = (
                segment.seq.wrapping_sub(self.next),
                segment.end().wrapping_sub(self.next),
            );
            self.count(self.next, 0, cut.min(before));
            cut = segment.cut.max(cut.saturating_sub(covered));
            self.count(segment.seq, segment.len(), segment.len());
        }
        self.count(self.next, 0, cut);
        buffers.consumed = buffers.contiguous.len();
        self.put_back(buffers, budget);
    }

    /// The flow has ended: as `release`, and what is `unseen` counts as missed.
    pub fn end(&mut self, budget: &mut Budget) {
        self.release(budget);
        let unseen = self.unseen();
        self.next = self.next.wrapping_add(unseen);
        self.missed = self.missed.saturating_add(u64::from(unseen));
        self.holes = None;
    }

    /// Octets held in buffers, as charged to the budget.
    pub fn memory(&self) -> usize {
        self.buffers.as_deref().map_or(0, |buffers| {
            buffers
                .charged
                .saturating_add(buffers.waiting.iter().map(Segment::cost).sum::<usize>())
        })
    }

    /// Sequence number where reading began: everything since is either delivered or missed.
    fn first(&self) -> u32 {
        // The cast keeps the low 32 bits, which is all that a sequence number has.
        self.next.wrapping_sub(self.delivered.wrapping_add(self.missed) as u32)
    }

    /// Appends what comes next and lets the rest wait. False: no memory.
    fn lay_down(&mut self, buffers: &mut Buffers, seq: u32, fresh: &[u8], cut: u32, budget: &mut Budget) -> bool {
        let in_order = seq == self.next && buffers.waiting.first().is_none_or(|first| first.seq != seq);
        if !in_order {
            return buffers.wait(seq, fresh, cut, self.next, budget);
        }
        // A waiting segment was captured first and keeps its octets.
        let until_waiting = buffers
            .waiting
            .first()
            .map_or(fresh.len(), |first| first.seq.wrapping_sub(seq) as usize);
        let (now, later) = fresh.split_at(fresh.len().min(until_waiting).min(buffers.room()));
        if !buffers.append(now, budget) {
            return false;
        }
        let appended = u32::try_from(now.len()).unwrap_or(u32::MAX);
        self.advance(buffers, appended);
        if later.is_empty() {
            buffers.cut = buffers.cut.max(cut);
            return true;
        }
        buffers.wait(seq.wrapping_add(appended), later, cut, self.next, budget)
    }

    /// Moves waiting segments that have become contiguous to `contiguous`, as far as there is room and memory.
    fn draw(&mut self, buffers: &mut Buffers, budget: &mut Budget) {
        while buffers.waiting.first().is_some_and(|first| first.seq == self.next) {
            let segment = buffers.waiting.remove(0);
            if segment.octets.len() > buffers.room() || !buffers.append(&segment.octets, budget) {
                buffers.waiting.insert(0, segment);
                return;
            }
            budget.release(segment.cost());
            buffers.waiting_octets = buffers.waiting_octets.saturating_sub(segment.octets.len());
            buffers.overflowed = false;
            self.advance(buffers, segment.len());
            buffers.cut = buffers.cut.max(segment.cut);
        }
    }

    fn advance(&mut self, buffers: &mut Buffers, octets: u32) {
        self.next = self.next.wrapping_add(octets);
        self.delivered = self.delivered.saturating_add(u64::from(octets));
        buffers.cut = buffers.cut.saturating_sub(octets);
    }

    /// Keeps the buffers while they hold something, else hands them to the next stream.
    fn put_back(&mut self, mut buffers: Box<Buffers>, budget: &mut Budget) {
        if buffers.consumed < buffers.contiguous.len() || !buffers.waiting.is_empty() || buffers.cut > 0 {
            self.buffers = Some(buffers);
            return;
        }
        let charged = std::mem::take(&mut buffers.charged);
        buffers.contiguous.clear();
        buffers.consumed = 0;
        buffers.waiting = Vec::new();
        buffers.waiting_octets = 0;
        buffers.overflowed = false;
        budget.take_back(buffers, charged);
    }

    /// Counting after `release`: `next` is the end of the highest octet seen; what it jumps over is missed until it
    /// comes.
    fn count(&mut self, seq: u32, captured: u32, declared: u32) {
        let distance = ahead(seq, self.next);
        let end = seq.wrapping_add(declared);
        if distance > 0 {
            self.missed = self.missed.saturating_add(u64::from(distance.unsigned_abs()));
            self.holes.get_or_insert_default().open(self.next, seq);
        }
        // How much of the segment lies before `next`: repeated, or filling holes.
        let known = if distance < 0 {
            distance.unsigned_abs().min(declared)
        } else {
            0
        };
        let fresh = captured.saturating_sub(known);
        let cut = declared.saturating_sub(known).saturating_sub(fresh);
        if known > 0 {
            if let Some(holes) = self.holes.as_mut() {
                let filled = u64::from(holes.fill(seq, seq.wrapping_add(known.min(captured))));
                self.missed = self.missed.saturating_sub(filled);
                self.delivered = self.delivered.saturating_add(filled);
                if holes.is_empty() {
                    self.holes = None;
                }
            }
        }
        self.delivered = self.delivered.saturating_add(u64::from(fresh));
        self.missed = self.missed.saturating_add(u64::from(cut));
        if ahead(end, self.next) > 0 {
            self.next = end;
        }
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
