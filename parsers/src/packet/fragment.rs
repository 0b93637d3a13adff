//! Fragments of IP packets, put together again.
//!
//! Every fragment is accounted for exactly once: it comes back in the `Whole` it completes, or is counted as given up
//! (`drain_given_up`). Overlaps have one answer: of IPv4 the octets that came first stand, an IPv6 packet with an
//! overlap is dropped whole (RFC 5722), an exact repetition is just another copy (RFC 8200 4.5). Everything depends on
//! packet time and order alone, so a replay gives the same. The pool is bounded three ways (packets under way, octets,
//! 60 s); what does not fit pushes out the oldest.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::{Fragment, Ip};

/// Packets under way at once. Linux holds 4 MiB per network namespace (`ipfrag_high_thresh`), some thousands of
/// ordinary ones.
pub const MAX_PACKETS: usize = 4_096;

/// Octets held, with what keeping a fragment costs: four times Linux's limit, because a sensor sees many hosts.
pub const MAX_OCTETS: usize = 16 * 1024 * 1024;

/// RFC 8200 4.5: a packet not complete a minute after its first fragment is abandoned.
pub const MAX_AGE: i64 = 60 * 1_000_000_000;

/// Fragments of one packet, copies included. 65,535 octets in pieces of eight are 8,192.
const MAX_PIECES: usize = 8_192;

/// Largest payload an IP packet can have; an offset beyond it is an attack (the "ping of death").
const MAX_PAYLOAD: u32 = 65_535;

/// What a fragment costs beside its octets: its `Piece`, its place in the tree, allocation.
const PIECE_COST: usize = 192;

/// Where a fragment was seen; what the flow is charged with once the packet is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// ns since 1970.
    pub time: i64,
    pub capture: u32,
    pub frame: u64,
    /// Of its record in the capture.
    pub offset: u64,
    /// IP total length.
    pub length: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The fragment completed its packet: the upper layer's octets, and all fragments in the order they came.
    Whole {
        payload: Vec<u8>,
        /// Fragments were cut by a snapshot length: `payload` ends before the first missing octet.
        cut: bool,
        pieces: Vec<Piece>,
    },
    Waiting,
    /// The fragment cannot be part of its packet; it is among the given up.
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    /// RFC 791 has the protocol in the key; RFC 8200 has not, there it is 0.
    protocol: u8,
    id: u32,
}

#[derive(Debug)]
struct Chunk {
    /// Octets on the wire from its offset on; `data` may be shorter.
    length: u32,
    data: Vec<u8>,
}

#[derive(Debug)]
struct Packet {
    /// Place in the order of age.
    number: u64,
    started: i64,
    /// By offset, none overlapping another.
    chunks: BTreeMap<u32, Chunk>,
    covered: u32,
    /// Octets of the whole, known from the last fragment.
    end: Option<u32>,
    pieces: Vec<Piece>,
    cost: usize,
    /// Dropped (RFC 5722): fragments still to come are refused.
    dropped: bool,
}

/// The pool of one engine.
#[derive(Debug)]
pub struct Fragments {
    packets: HashMap<Key, Packet>,
    by_age: BTreeMap<u64, Key>,
    next: u64,
    octets: usize,
    given_up: BTreeMap<u32, u64>,
    max_packets: usize,
    max_octets: usize,
}

impl Default for Fragments {
    fn default() -> Self {
        Fragments::new()
    }
}

enum Fit {
    Added,
    Refused,
    /// IPv6 only: the whole packet has to go.
    Overlap,
}

impl Fragments {
    pub fn new() -> Self {
        Fragments::with_limits(MAX_PACKETS, MAX_OCTETS)
    }

    pub fn with_limits(max_packets: usize, max_octets: usize) -> Self {
        Fragments {
            packets: HashMap::new(),
            by_age: BTreeMap::new(),
            next: 0,
            octets: 0,
            given_up: BTreeMap::new(),
            max_packets,
            max_octets,
        }
    }

    /// Octets held, for the memory budget.
    pub fn memory(&self) -> usize {
        self.octets
    }

    /// Takes one fragment. `ip.fragment` must be set; a whole packet is refused.
    pub fn push(&mut self, ip: &Ip<'_>, piece: Piece) -> Pushed {
        let Some(fragment) = ip.fragment else {
            return self.refuse(piece);
        };
        self.expire(piece.time);
        let key = Key {
            source: ip.source,
            destination: ip.destination,
            protocol: if ip.version == 4 { ip.protocol } else { 0 },
            id: fragment.id,
        };
        if self
            .packets
            .get(&key)
            .is_some_and(|packet| piece.time.saturating_sub(packet.started) > MAX_AGE)
        {
            self.give_up(key);
        }
        let packet = self.packets.entry(key).or_insert_with(|| {
            self.by_age.insert(self.next, key);
            let number = self.next;
            self.next += 1;
            Packet {
                number,
                started: piece.time,
                chunks: BTreeMap::new(),
                covered: 0,
                end: None,
                pieces: Vec::new(),
                cost: 0,
                dropped: false,
            }
        });
        if packet.dropped || packet.pieces.len() >= MAX_PIECES {
            return self.refuse(piece);
        }
        let held = packet.cost;
        match packet.fit(ip, fragment) {
            Fit::Added => {
                packet.pieces.push(piece);
                packet.cost += PIECE_COST;
                self.octets += packet.cost - held;
            }
            Fit::Refused => {
                if packet.pieces.is_empty() {
                    self.give_up(key);
                }
                return self.refuse(piece);
            }
            Fit::Overlap => {
                // The key stays, so that what is still to come of this packet is not taken for a new one.
                packet.dropped = true;
                packet.chunks.clear();
                packet.cost = PIECE_COST;
                let pieces = std::mem::take(&mut packet.pieces);
                self.octets = self.octets + PIECE_COST - held;
                self.count_given_up(&pieces);
                return self.refuse(piece);
            }
        }
        if packet.end == Some(packet.covered) {
            return self.whole(key);
        }
        self.make_room();
        Pushed::Waiting
    }

    /// Gives up what has waited too long at packet time `now`.
    pub fn expire(&mut self, now: i64) {
        while let Some((_, &key)) = self.by_age.first_key_value() {
            let too_old = self
                .packets
                .get(&key)
                .is_none_or(|packet| now.saturating_sub(packet.started) > MAX_AGE);
            if !too_old {
                break;
            }
            self.give_up(key);
        }
    }

    /// The end of the input: nothing will be completed any more.
    pub fn finish(&mut self) {
        while let Some((_, &key)) = self.by_age.first_key_value() {
            self.give_up(key);
        }
    }

    /// Fragments given up since the last call: number of packets of each capture.
    pub fn drain_given_up(&mut self) -> Vec<(u32, u64)> {
        std::mem::take(&mut self.given_up).into_iter().collect()
    }

    fn refuse(&mut self, piece: Piece) -> Pushed {
        self.count_given_up(&[piece]);
        Pushed::Refused
    }

    fn count_given_up(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            *self.given_up.entry(piece.capture).or_default() += 1;
        }
    }

    fn remove(&mut self, key: Key) -> Option<Packet> {
        let packet = self.packets.remove(&key)?;
        self.by_age.remove(&packet.number);
        self.octets = self.octets.saturating_sub(packet.cost);
        Some(packet)
    }

    fn give_up(&mut self, key: Key) {
        if let Some(packet) = self.remove(key) {
            self.count_given_up(&packet.pieces);
        }
    }

    fn make_room(&mut self) {
        while self.octets > self.max_octets || self.packets.len() > self.max_packets {
            let Some((_, &oldest)) = self.by_age.first_key_value() else {
                break;
            };
            self.give_up(oldest);
        }
    }

    fn whole(&mut self, key: Key) -> Pushed {
        let Some(packet) = self.remove(key) else {
            return Pushed::Waiting;
        };
        let mut payload = Vec::with_capacity(packet.covered as usize);
        let mut cut = false;
        for chunk in packet.chunks.values() {
            payload.extend_from_slice(&chunk.data);
            if chunk.data.len() < chunk.length as usize {
                cut = true;
                break;
            }
        }
        Pushed::Whole {
            payload,
            cut,
            pieces: packet.pieces,
        }
    }
}

impl Packet {
    /// Puts a fragment's octets into the gaps they fill.
    fn fit(&mut self, ip: &Ip<'_>, fragment: Fragment) -> Fit {
        let start = fragment.offset;
        let stop = start.saturating_add(ip.payload_len);
        if stop > MAX_PAYLOAD {
            return Fit::Refused;
        }
        // Only the last may have a length that is no multiple of eight, and only the last may be empty.
        if fragment.more && (ip.payload_len == 0 || !ip.payload_len.is_multiple_of(8)) {
            return Fit::Refused;
        }
        let repeated = self
            .chunks
            .get(&start)
            .is_some_and(|chunk| chunk.length == ip.payload_len);
        let last_before = self.chunks.range(..stop).next_back();
        let overlaps = last_before.is_some_and(|(at, chunk)| at.saturating_add(chunk.length) > start);
        if ip.version == 6 && overlaps && !repeated {
            return Fit::Overlap;
        }
        // The end that was said first stands, and nothing lies beyond it.
        let reach = self
            .chunks
            .last_key_value()
            .map_or(0, |(at, chunk)| at.saturating_add(chunk.length));
        let end_fits = match self.end {
            Some(end) if fragment.more => stop <= end,
            Some(end) => stop == end,
            None => fragment.more || stop >= reach,
        };
        if !end_fits {
            return Fit::Refused;
        }
        if !fragment.more {
            self.end = Some(stop);
        }
        if repeated {
            return Fit::Added;
        }
        let mut at = start;
        while at < stop {
            // What already covers `at`, or where the next chunk begins.
            let before = self.chunks.range(..=at).next_back();
            if let Some((begin, chunk)) = before {
                let covered = begin.saturating_add(chunk.length);
                if covered > at {
                    at = covered;
                    continue;
                }
            }
            let next = self
                .chunks
                .range(at..)
                .next()
                .map_or(stop, |(begin, _)| (*begin).min(stop));
            let from = ((at - start) as usize).min(ip.payload.len());
            let to = ((next - start) as usize).min(ip.payload.len());
            let data = ip.payload.get(from..to).unwrap_or_default().to_vec();
            let length = next - at;
            self.covered += length;
            self.cost += data.len() + PIECE_COST;
            self.chunks.insert(at, Chunk { length, data });
            at = next;
        }
        Fit::Added
    }
}

#[cfg(test)]
mod tests;
