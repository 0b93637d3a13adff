//! What makes two packets copies of one: a mirror port that sees a frame enter and leave delivers it twice, a router
//! between two mirrored ports with another hop limit.
//!
//! The mix is of the wyhash family (multiply 64 by 64 bits, fold the halves), up to four lanes wide, over every octet of the
//! IP packet. Its constants are fixed so that two runs agree. Who forges a collision gets one packet counted as a
//! duplicate within a millisecond, which the accounting shows.

/// Key of one packet. The engine drops a packet as a copy of an earlier one when `packet` is equal and, for TCP
/// segments without payload and those with SYN, FIN or RST (which hosts really send twice), `path` differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DuplicateKey {
    /// Over the outermost IP packet without hop limit and header checksum.
    pub packet: [u64; 2],
    /// Over link header, VLAN tags and hop limit.
    pub path: u64,
}

// Odd constants without structure: the fractional digits of pi, as Blowfish takes them for the same reason.
const KEYS: [u64; 4] = [
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7345,
    0xa409_3822_299f_31d1,
    0x082e_fa98_ec4e_6c89,
];

impl DuplicateKey {
    /// `packet` as one number.
    pub fn content(&self) -> u128 {
        let [high, low] = self.packet;
        u128::from(high) << 64 | u128::from(low)
    }

    /// `packet` begins with an IP header of `version` that was read; link padding is already off.
    pub(super) fn of(link_header: &[u8], packet: &[u8], version: u8) -> DuplicateKey {
        let mut mix = Mix::new();
        let hop_limit;
        match (version, packet.first_chunk::<20>()) {
            (4, Some(&[a, b, c, d, e, f, g, h, ttl, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3])) => {
                hop_limit = ttl;
                mix.pair(
                    u64::from_le_bytes([a, b, c, d, e, f, g, h]),
                    u64::from_le_bytes([s0, s1, s2, s3, d0, d1, d2, d3]),
                );
                mix.pair(u64::from(protocol), packet.len() as u64);
                mix.octets(packet.get(20..).unwrap_or_default());
            }
            (_, Some(&[a, b, c, d, e, f, next, limit, ..])) => {
                hop_limit = limit;
                mix.pair(u64::from_le_bytes([a, b, c, d, e, f, next, 0]), packet.len() as u64);
                mix.octets(packet.get(8..).unwrap_or_default());
            }
            (_, None) => {
                hop_limit = 0;
                mix.pair(0, packet.len() as u64);
                mix.octets(packet);
            }
        }
        let mut path = Mix::new();
        path.octets(link_header);
        path.pair(u64::from(hop_limit), link_header.len() as u64);
        DuplicateKey {
            packet: mix.finish(),
            path: path.finish()[0],
        }
    }
}

struct Mix {
    lanes: [u64; 2],
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

/// As many whole words as there are.
fn words<const OCTETS: usize, const WORDS: usize>(octets: &[u8; OCTETS]) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    for (word, raw) in words.iter_mut().zip(octets.as_chunks().0) {
        *word = u64::from_le_bytes(*raw);
    }
    words
}

impl Mix {
    fn new() -> Mix {
        Mix {
            lanes: [KEYS[0], KEYS[1]],
        }
    }

    fn pair(&mut self, first: u64, second: u64) {
        let [a, b] = self.lanes;
        self.lanes = [fold(a ^ first, KEYS[2] ^ second), fold(b ^ second, KEYS[3] ^ first)];
    }

    fn four(&mut self, [first, second, third, fourth]: [u64; 4]) {
        let [a, b] = self.lanes;
        self.lanes = [fold(a ^ first, KEYS[2] ^ second), fold(b ^ third, KEYS[3] ^ fourth)];
    }

    /// The last words may have octets in common: how many there are in all is mixed in by the caller.
    fn octets(&mut self, bytes: &[u8]) {
        // Two more lanes, since a multiplication has to wait for the one before it in its lane.
        let (blocks, rest) = bytes.as_chunks::<64>();
        let mut beside = Mix::new();
        for block in blocks {
            let [a, b, c, d, e, f, g, h] = words(block);
            self.four([a, b, c, d]);
            beside.four([e, f, g, h]);
        }
        let [first, second] = beside.lanes;
        self.pair(first, second);
        let (chunks, rest) = rest.as_chunks::<32>();
        for chunk in chunks {
            self.four(words(chunk));
        }
        if rest.is_empty() {
            return;
        }
        if let Some(last) = bytes.last_chunk::<32>() {
            self.four(words(last));
        } else if let (Some(first), Some(last)) = (bytes.first_chunk::<16>(), bytes.last_chunk::<16>()) {
            let ([a, b], [c, d]) = (words(first), words(last));
            self.four([a, b, c, d]);
        } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
            self.pair(u64::from_le_bytes(*first), u64::from_le_bytes(*last));
        } else {
            self.pair(bytes.iter().fold(0, |word, octet| word << 8 | u64::from(*octet)), 0);
        }
    }

    fn finish(self) -> [u64; 2] {
        let [a, b] = self.lanes;
        [fold(a ^ KEYS[0], b ^ KEYS[1]), fold(b ^ KEYS[2], a ^ KEYS[3])]
    }
}
