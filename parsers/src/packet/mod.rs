//! Layers of one packet: from the link header down to the innermost IP packet and what it carries.
//!
//! Strategy: no copy of octets, no allocation but for the names of tunnels, one pass. `link` walks to the first IP header, `ip` reads it, `tunnel`
//! says whether another packet is inside, and so on until there is none or it cannot be read: then the flow is that of
//! the last level that could. Every step carries how many octets were on the wire beside those that were captured
//! (`Part`), so that lengths are judged against the packet as it was sent, not as it was cut.

mod duplicate;
pub mod fragment;
mod ip;
mod link;
pub mod sctp;
pub mod transport;
mod tunnel;

use std::net::IpAddr;

pub use duplicate::DuplicateKey;
pub use transport::{transport, Quoted, Tcp, Transport};

use crate::cursor::Cursor;
use crate::flow::record::Tunnel;

/// Headers that can nest before a packet is given up. Real stacks (two VLAN tags, PPPoE, MPLS, a pseudo-wire) stay
/// below ten; the limit only keeps a frame made of nothing but tags from costing more than its share.
const MAX_NESTED: u8 = 24;

/// Tunnels that are remembered; what is deeper is not opened.
const MAX_TUNNELS: usize = 4;

/// A packet taken apart.
#[derive(Debug, Clone)]
pub struct Decoded<'a> {
    /// Outermost, innermost if there are two or more.
    pub vlan: [Option<u16>; 2],
    pub tunnels: Tunnels,
    /// The innermost IP packet that could be read.
    pub ip: Ip<'a>,
    pub duplicate: DuplicateKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ip<'a> {
    /// 4 or 6.
    pub version: u8,
    pub source: IpAddr,
    pub destination: IpAddr,
    /// What the payload is, behind extension headers and AH; of a fragment what its header names.
    pub protocol: u8,
    /// IP total length; where that field is 0, what the frame has behind its link header.
    pub length: u32,
    /// Captured octets of the upper layer, link padding removed.
    pub payload: &'a [u8],
    /// Octets of the upper layer by the header, captured or not.
    pub payload_len: u32,
    /// Fewer octets were captured than the header says.
    pub cut: bool,
    pub fragment: Option<Fragment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    pub id: u32,
    /// In octets.
    pub offset: u32,
    pub more: bool,
}

#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // Nearly every packet is the large one, and a box would allocate for each.
pub enum Outcome<'a> {
    Ip(Decoded<'a>),
    /// ARP, STP, LLDP, a link type or network protocol that is not IP.
    NonIp,
    /// Claims to be IP, or cannot even say what it is.
    Undecodable(Stop),
}

/// Where and why taking apart stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    pub layer: &'static str,
    pub why: &'static str,
    /// From the beginning of the frame.
    pub offset: usize,
}

/// The headers outside of the innermost packet, outermost first, at most four. Most packets have none, and room for four
/// would be most of what is handed from layer to layer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tunnels(Vec<Tunnel>);

impl Tunnels {
    pub fn iter(&self) -> impl Iterator<Item = &Tunnel> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn is_full(&self) -> bool {
        self.0.len() >= MAX_TUNNELS
    }

    /// False when there is no room.
    fn push(&mut self, tunnel: Tunnel) -> bool {
        let room = !self.is_full();
        if room {
            self.0.push(tunnel);
        }
        room
    }
}

/// What is left of the frame at some layer: captured octets, and how many there were on the wire.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    bytes: &'a [u8],
    wire: usize,
}

impl<'a> Part<'a> {
    /// None when that many octets were not captured.
    fn skip(self, octets: usize) -> Option<Part<'a>> {
        Some(Part {
            bytes: self.bytes.get(octets..)?,
            wire: self.wire.checked_sub(octets)?,
        })
    }

    /// The first `octets`, which a header says there are: what is captured behind them is padding.
    fn limit(self, octets: usize) -> Part<'a> {
        Part {
            bytes: self.bytes.get(..octets).unwrap_or(self.bytes),
            wire: octets,
        }
    }

    fn cursor(self) -> Cursor<'a> {
        Cursor::new(self.bytes)
    }

    /// The part behind what `cursor`, which came from it, has read.
    fn after(self, cursor: &Cursor<'_>) -> Option<Part<'a>> {
        self.skip(cursor.position())
    }

    fn stop(self, layer: &'static str, why: &'static str) -> Halt {
        Halt {
            layer,
            why,
            left: self.bytes.len(),
        }
    }
}

/// A `Stop` before the length of the frame is known: counted from its end.
#[derive(Debug, Clone, Copy)]
struct Halt {
    layer: &'static str,
    why: &'static str,
    left: usize,
}

/// What was met outside of the IP packet on the way to it.
#[derive(Debug, Clone, Default)]
struct Outside {
    vlan: [Option<u16>; 2],
    tunnels: Tunnels,
    nested: u8,
}

impl Outside {
    fn tag(&mut self, vlan: u16) {
        let [outermost, innermost] = &mut self.vlan;
        if outermost.is_none() {
            *outermost = Some(vlan);
        } else {
            *innermost = Some(vlan);
        }
    }

    /// Counts one more header; false when there are too many.
    fn nest(&mut self) -> bool {
        self.nested = self.nested.saturating_add(1);
        self.nested <= MAX_NESTED
    }
}

/// Takes a frame apart. `link` is its LINKTYPE_ number, `wire_len` its length before a snapshot length cut it.
pub fn decode<'a>(link: u16, data: &'a [u8], wire_len: u32) -> Outcome<'a> {
    let frame = Part {
        bytes: data,
        wire: (wire_len as usize).max(data.len()),
    };
    let mut outside = Outside::default();
    let undecodable = |halt: Halt| {
        let Halt { layer, why, left } = halt;
        Outcome::Undecodable(Stop {
            layer,
            why,
            offset: data.len().saturating_sub(left),
        })
    };
    let (version, part) = match link::open(link, frame, &mut outside) {
        Ok(link::Upper::Ip(version, part)) => (version, part),
        Ok(link::Upper::Other) => return Outcome::NonIp,
        Err(halt) => return undecodable(halt),
    };
    match ip::read(part, version) {
        Ok(ip) => {
            let header = data.get(..data.len() - part.bytes.len()).unwrap_or_default();
            let duplicate = DuplicateKey::of(header, part.limit(ip.length as usize).bytes, ip.version);
            Outcome::Ip(descend(ip, outside, duplicate))
        }
        Err(halt) => undecodable(halt),
    }
}

/// Goes on inside an IP payload that was put together from fragments; `outer` is one of them.
pub fn decode_reassembled<'a>(outer: &Decoded<'_>, payload: &'a [u8]) -> Outcome<'a> {
    let header = outer.ip.length.saturating_sub(outer.ip.payload_len);
    let whole = Part {
        bytes: payload,
        wire: payload.len(),
    };
    let (protocol, upper) = ip::upper_layer(outer.ip.version, outer.ip.protocol, whole);
    let ip = Ip {
        version: outer.ip.version,
        source: outer.ip.source,
        destination: outer.ip.destination,
        protocol,
        length: header.saturating_add(payload.len() as u32),
        payload: upper.bytes,
        payload_len: upper.wire as u32,
        cut: false,
        fragment: None,
    };
    let outside = Outside {
        vlan: outer.vlan,
        tunnels: outer.tunnels.clone(),
        nested: 0,
    };
    Outcome::Ip(descend(ip, outside, outer.duplicate))
}

/// Opens tunnel after tunnel. A level that cannot be read leaves the one around it standing.
fn descend<'a>(mut ip: Ip<'a>, mut outside: Outside, duplicate: DuplicateKey) -> Decoded<'a> {
    while tunnel::may_hold(&ip) && !outside.tunnels.is_full() {
        let mut further = outside.clone();
        let Some((version, part)) = tunnel::open(&ip, &mut further) else {
            break;
        };
        let Ok(inner) = ip::read(part, version) else { break };
        ip = inner;
        outside = further;
    }
    Decoded {
        vlan: outside.vlan,
        tunnels: outside.tunnels,
        ip,
        duplicate,
    }
}

#[cfg(test)]
mod tests;
