//! What the two legs of one conversation have in common, seen before and behind a firewall, relay or balancer: numbers
//! and octets that pass it unchanged, beside those that the readers find anyway. Gathered only when asked for.

use sha2::{Digest, Sha256};

use super::records::Records;
use super::table::Flow;
use crate::facts::{Facts, Service, Side};
use crate::proto::{rtp, stun};

/// Octets of a first payload that are compared: a whole ClientHello or the head of a request, and a bound to the work.
const COMPARED: usize = 512;

/// What is gathered while the flow is read.
#[derive(Debug, Default)]
pub struct Join {
    /// By side: hash of the payload of its first packet that had some.
    first_payload: [Option<u64>; 2],
    rtp_source: Option<u32>,
    sources: Option<Box<rtp::State>>,
    /// Of a TLS connection.
    records: Option<Box<Records>>,
}

/// What was counted in one minute since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spoken {
    pub minute: u32,
    /// Records of TLS application data of source and destination, those that are too short for a message left out.
    pub records: [u32; 2],
    /// TURN Allocate requests by UDP without credentials, but for those after whose challenge one with them came.
    pub allocates: u32,
}

/// What leaves with a record, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Initial sequence numbers of source and destination.
    pub isn: [Option<u32>; 2],
    /// First octets of the SHA-256 of the ClientHello's random.
    pub client_random: Option<[u8; 8]>,
    /// FNV-1a of the first octets that the source sent.
    pub first_payload: Option<u64>,
    pub rtp_source: Option<u32>,
    pub spoken: Vec<Spoken>,
}

impl Join {
    pub fn payload(&mut self, side: Side, payload: &[u8]) {
        if !payload.is_empty() {
            self.first_payload[side.index()].get_or_insert_with(|| hash(payload));
        }
    }

    /// A TCP segment's payload, which begins at `seq`, after it was read into `facts`.
    pub fn segment(&mut self, side: Side, seq: u32, payload: &[u8], facts: &Facts, time: i64) {
        if self.records.is_none() && facts.has(Service::Tls) {
            self.records = Some(Box::default());
        }
        if let Some(records) = &mut self.records {
            records.segment(side, seq, payload, time);
        }
    }

    /// A datagram, after it was read into `facts`.
    pub fn datagram(&mut self, side: Side, payload: &[u8], facts: &Facts) {
        self.payload(side, payload);
        if self.rtp_source.is_none() {
            let relayed = facts.has(Service::Turn).then(|| stun::relayed(payload)).flatten();
            let media = relayed.unwrap_or(payload);
            if matches!(media, [128..192, ..]) {
                self.rtp_source = rtp::source(side, media, self.sources.get_or_insert_default());
            }
        }
    }

    /// `facts` are those of the flow.
    pub fn keys(&self, flow: &Flow, source: Side, facts: &Facts) -> Keys {
        let isn = |side| flow.tcp.as_ref().and_then(|tcp| tcp.isn(side));
        let random = facts.tls.as_ref().and_then(|tls| tls.client_random);
        Keys {
            isn: [isn(source), isn(source.other())],
            client_random: random.and_then(|random| Sha256::digest(random).first_chunk().copied()),
            first_payload: self.first_payload[source.index()],
            rtp_source: self.rtp_source.or_else(|| facts.stun.as_ref()?.rtp_source),
            spoken: self.spoken(source, facts),
        }
    }

    fn spoken(&self, source: Side, facts: &Facts) -> Vec<Spoken> {
        let records = self.records.iter().flat_map(|records| records.minutes().kept());
        let records = records.map(|known| Spoken {
            minute: known.minute,
            records: [known.counts[source.index()], known.counts[source.other().index()]],
            allocates: 0,
        });
        let allocates = facts.stun.iter().flat_map(|stun| stun.allocates.kept());
        let allocates = allocates.map(|known| Spoken {
            minute: known.minute,
            allocates: known.counts[0],
            ..Spoken::default()
        });
        records.chain(allocates).collect()
    }
}

/// FNV-1a of 64 bits (draft-eastlake-fnv).
fn hash(payload: &[u8]) -> u64 {
    payload
        .iter()
        .take(COMPARED)
        .fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
            (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // Test vectors of draft-eastlake-fnv.
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(hash(&[7; 600]), hash(&[7; 512]));
        assert_ne!(hash(&[7; 511]), hash(&[7; 512]));
    }
}
