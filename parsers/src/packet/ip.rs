//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers, with extension headers and AH (RFC 4302) stepped over.
//!
//! The header's own length decides where the packet ends: what the frame has beyond it is padding, what it lacks was
//! cut. Only where that field is zero (segmentation offload in the sender's kernel, jumbograms) the frame decides.
//! Checksums are not validated: a capture on the sending host sees them before the hardware fills them in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Fragment, Halt, Ip, Part};

/// Extension headers that can stand in front of the upper layer. RFC 8200 4.1 names at most seven; a packet with more
/// is left at the header where we stop.
const MAX_EXTENSIONS: usize = 16;

pub(super) const HOP_BY_HOP: u8 = 0;
pub(super) const ROUTING: u8 = 43;
pub(super) const FRAGMENT: u8 = 44;
pub(super) const AH: u8 = 51;
pub(super) const NO_NEXT: u8 = 59;
pub(super) const DESTINATION: u8 = 60;

/// Reads the IP packet at the beginning of `part`; `version` is what the layer outside announced, if it did.
pub(super) fn read(part: Part<'_>, version: Option<u8>) -> Result<Ip<'_>, Halt> {
    let Some(first) = part.bytes.first() else {
        return Err(part.stop("ip", "no octet of the header was captured"));
    };
    let found = first >> 4;
    if version.is_some_and(|version| version != found) {
        return Err(part.stop("ip", "the version is not the one announced"));
    }
    match found {
        4 => version_4(part),
        6 => version_6(part),
        _ => Err(part.stop("ip", "neither version 4 nor 6")),
    }
}

fn version_4(part: Part<'_>) -> Result<Ip<'_>, Halt> {
    let Some(&[first, _, l0, l1, i0, i1, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3]) =
        part.bytes.first_chunk::<20>()
    else {
        return Err(part.stop("ipv4", "the header is cut off"));
    };
    let header = usize::from(first & 0x0f) * 4;
    if header < 20 {
        return Err(part.stop("ipv4", "the header length is below 20"));
    }
    let total = usize::from(u16::from_be_bytes([l0, l1]));
    let length = if total == 0 { part.wire } else { total };
    if length < header {
        return Err(part.stop("ipv4", "the total length is below that of the header"));
    }
    let offset_field = u16::from_be_bytes([f0, f1]);
    let more = offset_field & 0x2000 != 0;
    let offset = u32::from(offset_field & 0x1fff) * 8;
    let fragment = (more || offset != 0).then(|| Fragment {
        id: u32::from(u16::from_be_bytes([i0, i1])),
        offset,
        more,
    });
    let upper = behind(part.limit(length), header);
    let (protocol, upper) = if fragment.is_some() {
        (protocol, upper)
    } else {
        upper_layer(4, protocol, upper)
    };
    Ok(Ip {
        version: 4,
        source: IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)),
        destination: IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3)),
        protocol,
        length: length as u32,
        payload: upper.bytes,
        payload_len: upper.wire as u32,
        cut: upper.bytes.len() < upper.wire,
        fragment,
    })
}

fn version_6(part: Part<'_>) -> Result<Ip<'_>, Halt> {
    let mut cursor = part.cursor();
    let fixed = (|| {
        cursor.skip(4)?;
        let length = cursor.u16()?;
        let next = cursor.u8()?;
        cursor.skip(1)?;
        Ok::<_, crate::cursor::Short>((length, next, cursor.array::<16>()?, cursor.array::<16>()?))
    })();
    let Ok((payload, next, source, destination)) = fixed else {
        return Err(part.stop("ipv6", "the header is cut off"));
    };
    let payload = usize::from(payload);
    let length = if payload == 0 && next != NO_NEXT {
        part.wire
    } else {
        payload + 40
    };
    let upper = behind(part.limit(length), 40);
    let (protocol, upper, fragment) = extensions(6, next, upper);
    Ok(Ip {
        version: 6,
        source: IpAddr::V6(Ipv6Addr::from(source)),
        destination: IpAddr::V6(Ipv6Addr::from(destination)),
        protocol,
        length: length as u32,
        payload: upper.bytes,
        payload_len: upper.wire as u32,
        cut: upper.bytes.len() < upper.wire,
        fragment,
    })
}

/// What follows `octets` of a header that may be cut off itself.
fn behind(part: Part<'_>, octets: usize) -> Part<'_> {
    Part {
        bytes: part.bytes.get(octets..).unwrap_or_default(),
        wire: part.wire.saturating_sub(octets),
    }
}

/// Steps over what stands in front of the upper layer of a packet that is whole (or was put together).
pub(super) fn upper_layer(version: u8, protocol: u8, part: Part<'_>) -> (u8, Part<'_>) {
    let (protocol, part, _) = extensions(version, protocol, part);
    (protocol, part)
}

/// Walks extension headers (IPv6) and AH (both) up to the upper layer, a fragment, or a header that cannot be read.
fn extensions(version: u8, mut protocol: u8, mut part: Part<'_>) -> (u8, Part<'_>, Option<Fragment>) {
    for _ in 0..MAX_EXTENSIONS {
        let here = match protocol {
            AH => true,
            HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION => version == 6,
            _ => false,
        };
        if !here {
            break;
        }
        let Some(&[next, length, o0, o1]) = part.bytes.first_chunk::<4>() else {
            break;
        };
        let octets = match protocol {
            AH => (usize::from(length) + 2) * 4,
            FRAGMENT => 8,
            _ => (usize::from(length) + 1) * 8,
        };
        let Some(behind) = part.skip(octets) else { break };
        if protocol == FRAGMENT {
            let field = u16::from_be_bytes([o0, o1]);
            let (offset, more) = (u32::from(field & 0xfff8), field & 1 != 0);
            // An atomic fragment (RFC 6946) is a whole packet that carries a fragment header.
            if offset != 0 || more {
                let id = part.bytes.get(4..).and_then(|tail| tail.first_chunk::<4>());
                let id = id.map_or(0, |raw| u32::from_be_bytes(*raw));
                return (next, behind, Some(Fragment { id, offset, more }));
            }
        }
        protocol = next;
        part = behind;
    }
    (protocol, part, None)
}

/// Octets that `plausible` looks at.
pub(super) const TELLING: usize = 6;

/// Whether these octets can hardly be anything but an IP packet: what a tunnel without a type field, or inside UDP,
/// must show before we believe that it is one. Lengths have to agree with what was on the wire.
pub(super) fn plausible(part: Part<'_>, version: Option<u8>) -> bool {
    match (part.bytes.first().map(|first| first >> 4), version) {
        (Some(found), Some(version)) if found != version => false,
        (Some(4), _) => match part.bytes.first_chunk::<4>() {
            Some(&[first, _, l0, l1]) => {
                let header = usize::from(first & 0x0f) * 4;
                let total = usize::from(u16::from_be_bytes([l0, l1]));
                // Zero: inside a packet that the sender's hardware was yet to cut into segments.
                header >= 20 && (total >= header || total == 0) && total.max(header) <= part.wire
            }
            None => false,
        },
        (Some(6), _) => match part.bytes.first_chunk::<6>() {
            Some(&[_, _, _, _, l0, l1]) => usize::from(u16::from_be_bytes([l0, l1])) + 40 <= part.wire,
            None => false,
        },
        _ => false,
    }
}
