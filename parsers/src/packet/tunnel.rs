//! Packets inside packets: which IP packets carry another one, and where it begins.
//!
//! What IP itself announces (IP in IP, GRE, EtherIP, MPLS) is opened by its type fields. Tunnels in UDP are named by a
//! port alone, and a port proves nothing: they are opened only when every fixed field has the one value the
//! specification allows and an IP header whose length fits follows. Ordinary UDP on such a port stays what it is.

use super::link::{self, Upper};
use super::{ip, Ip, Outside, Part};
use crate::cursor::Cursor;
use crate::flow::record::Tunnel;

const UDP: u8 = 17;
const GRE: u8 = 47;
const IP_IN_IP: u8 = 4;
const IPV6_IN_IP: u8 = 41;
const ETHER_IP: u8 = 97;
const MPLS_IN_IP: u8 = 137;

/// VXLAN (RFC 7348) and the port Linux used before it had one, VXLAN-GPE, Geneve (RFC 8926), GTP-U (3GPP TS 29.281),
/// Teredo (RFC 4380).
const VXLAN: u16 = 4789;
const VXLAN_OLD: u16 = 8472;
const VXLAN_GPE: u16 = 4790;
const GENEVE: u16 = 6081;
const GTP_U: u16 = 2152;
const TEREDO: u16 = 3544;

type Inside<'a> = Option<(Option<u8>, Part<'a>)>;

/// Cheap test before `open`.
pub(super) fn may_hold(ip: &Ip<'_>) -> bool {
    if ip.fragment.is_some() {
        return false;
    }
    match ip.protocol {
        IP_IN_IP | IPV6_IN_IP | GRE | ETHER_IP | MPLS_IN_IP => true,
        UDP => ports(ip).is_some_and(|ports| ports.into_iter().any(|port| by_port(port).is_some())),
        _ => false,
    }
}

fn ports(ip: &Ip<'_>) -> Option<[u16; 2]> {
    let &[s0, s1, d0, d1] = ip.payload.first_chunk::<4>()?;
    Some([u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])])
}

/// The IP packet inside, and the version that is announced for it.
pub(super) fn open<'a>(outer: &Ip<'a>, outside: &mut Outside) -> Inside<'a> {
    if !outside.nest() {
        return None;
    }
    let part = Part {
        bytes: outer.payload,
        wire: outer.payload_len as usize,
    };
    match outer.protocol {
        IP_IN_IP => {
            enter(outside, outer, if outer.version == 4 { "ipip" } else { "4in6" })?;
            Some((Some(4), part))
        }
        IPV6_IN_IP => {
            enter(outside, outer, if outer.version == 4 { "6in4" } else { "6in6" })?;
            Some((Some(6), part))
        }
        GRE => gre(part, outer, outside),
        // RFC 3378: version 3, twelve reserved bits, Ethernet.
        ETHER_IP => {
            let inner = part.skip(2)?;
            (part.bytes.first_chunk::<2>() == Some(&[0x30, 0])).then_some(())?;
            enter(outside, outer, "etherip")?;
            carried(link::ethernet(inner, outside).ok()?)
        }
        // RFC 4023.
        MPLS_IN_IP => carried(link::mpls(part, outside).ok()?),
        UDP => in_udp(part, outer, outside),
        _ => None,
    }
}

/// Notes the tunnel whose header ends at `outer`; None when there are too many.
fn enter(outside: &mut Outside, outer: &Ip<'_>, kind: &'static str) -> Option<()> {
    outside
        .tunnels
        .push(Tunnel {
            kind,
            ends: Some((outer.source, outer.destination)),
        })
        .then_some(())
}

fn carried(upper: Upper<'_>) -> Inside<'_> {
    match upper {
        Upper::Ip(version, part) => Some((version, part)),
        Upper::Other => None,
    }
}

/// RFC 2784, RFC 2890 (key, sequence), RFC 1701 (routing); version 1 is PPTP's (RFC 2637).
fn gre<'a>(part: Part<'a>, outer: &Ip<'_>, outside: &mut Outside) -> Inside<'a> {
    let mut cursor = part.cursor();
    let flags = cursor.u16().ok()?;
    let kind = cursor.u16().ok()?;
    let sequence = flags & 0x1000 != 0;
    let name = if matches!(kind, 0x88be | 0x22eb) {
        "erspan"
    } else {
        "gre"
    };
    enter(outside, outer, name)?;
    match flags & 7 {
        0 => {
            let routing = flags & 0x4000 != 0;
            if flags & 0x8000 != 0 || routing {
                cursor.skip(4).ok()?;
            }
            if flags & 0x2000 != 0 {
                cursor.skip(4).ok()?;
            }
            if sequence {
                cursor.skip(4).ok()?;
            }
            if routing {
                source_routes(&mut cursor)?;
            }
            gre_payload(kind, sequence, part.after(&cursor)?, outside)
        }
        1 if kind == 0x880b => {
            // Payload length and call number, then sequence and acknowledgement where flagged.
            cursor.skip(4).ok()?;
            if sequence {
                cursor.skip(4).ok()?;
            }
            if flags & 0x0080 != 0 {
                cursor.skip(4).ok()?;
            }
            // An acknowledgement alone carries nothing.
            sequence.then_some(())?;
            carried(link::ppp(part.after(&cursor)?, outside).ok()?)
        }
        _ => None,
    }
}

/// RFC 1701 3: entries of family, offset, length and address until one of family and length 0. Each is at least four
/// octets, so the walk is bounded by the packet.
fn source_routes(cursor: &mut Cursor<'_>) -> Option<()> {
    loop {
        let family = cursor.u16().ok()?;
        cursor.skip(1).ok()?;
        let length = cursor.u8().ok()?;
        if family == 0 && length == 0 {
            return Some(());
        }
        cursor.skip(usize::from(length)).ok()?;
    }
}

fn gre_payload<'a>(kind: u16, sequence: bool, part: Part<'a>, outside: &mut Outside) -> Inside<'a> {
    let ethernet = |part: Part<'a>, outside: &mut Outside| carried(link::ethernet(part, outside).ok()?);
    match kind {
        0x6558 => ethernet(part, outside),
        // ERSPAN I has no header of its own, and no sequence number; II has eight octets.
        0x88be if !sequence => ethernet(part, outside),
        0x88be => ethernet(part.skip(8)?, outside),
        // ERSPAN III: twelve octets, the frame type in bits 10 to 14 of the last word's lower half (0 = Ethernet), then
        // eight more when its last bit is set.
        0x22eb => {
            let tail = u16::from_be_bytes(*part.bytes.get(10..)?.first_chunk::<2>()?);
            let header = if tail & 1 != 0 { 20 } else { 12 };
            match tail >> 10 & 0x1f {
                0 => ethernet(part.skip(header)?, outside),
                2 => Some((None, part.skip(header)?)),
                _ => None,
            }
        }
        // Cisco MetaData, which in GRE has the next type in front instead of behind.
        0x8909 => {
            let mut cursor = part.cursor();
            let next = cursor.u16().ok()?;
            cursor.skip(1).ok()?;
            let length = cursor.u8().ok()?;
            cursor.skip(usize::from(length.max(1)) * 4).ok()?;
            carried(link::ethertype(next, part.after(&cursor)?, outside).ok()?)
        }
        // WCCP: IP, behind a redirect header of four octets in version 2.
        0x883e => {
            let inner = if ip::plausible(part, Some(4)) {
                part
            } else {
                part.skip(4)?
            };
            ip::plausible(inner, Some(4)).then_some((Some(4), inner))
        }
        _ => carried(link::ethertype(kind, part, outside).ok()?),
    }
}

type Read = for<'a> fn(Part<'a>, &mut Outside) -> Inside<'a>;

/// What a UDP datagram tunnels, if all evidence agrees.
fn in_udp<'a>(part: Part<'a>, outer: &Ip<'_>, outside: &mut Outside) -> Inside<'a> {
    let &[s0, s1, d0, d1, l0, l1, _, _] = part.bytes.first_chunk::<8>()?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let mut payload = part.skip(8)?;
    // Zero under segmentation offload.
    if length != 0 {
        let octets = length.checked_sub(8)?;
        if octets > payload.wire {
            return None;
        }
        payload = payload.limit(octets);
    }
    // Encapsulators draw the source port by chance, so the destination's says more.
    let ports = [u16::from_be_bytes([d0, d1]), u16::from_be_bytes([s0, s1])];
    let (kind, read) = ports.into_iter().find_map(by_port)?;
    enter(outside, outer, kind)?;
    let (version, inner) = read(payload, outside)?;
    ip::plausible(inner, version).then_some((version, inner))
}

fn by_port(port: u16) -> Option<(&'static str, Read)> {
    Some(match port {
        VXLAN | VXLAN_OLD => ("vxlan", vxlan),
        VXLAN_GPE => ("vxlan", vxlan_gpe),
        GENEVE => ("geneve", geneve),
        GTP_U => ("gtp-u", gtp_u),
        TEREDO => ("teredo", teredo),
        _ => return None,
    })
}

/// Flags 08, three reserved octets, network, a reserved octet; with the group policy extension also flag 80 and a
/// group in the second half of the first word. Ethernet inside.
fn vxlan<'a>(part: Part<'a>, outside: &mut Outside) -> Inside<'a> {
    let &[flags, policy, g0, g1, _, _, _, reserved] = part.bytes.first_chunk::<8>()?;
    let plain = flags == 0x08 && policy == 0 && g0 == 0 && g1 == 0;
    let grouped = flags == 0x88 && policy & !0x48 == 0;
    if !(plain || grouped) || reserved != 0 {
        return None;
    }
    carried(link::ethernet(part.skip(8)?, outside).ok()?)
}

/// draft-ietf-nvo3-vxlan-gpe: flag I, the next protocol and the flag P that says it is there, which not every sender
/// sets. With neither it is plain VXLAN.
fn vxlan_gpe<'a>(part: Part<'a>, outside: &mut Outside) -> Inside<'a> {
    let &[flags, r0, r1, next, _, _, _, reserved] = part.bytes.first_chunk::<8>()?;
    if flags & !0x04 != 0x08 || r0 != 0 || r1 != 0 || reserved != 0 {
        return None;
    }
    let inner = part.skip(8)?;
    match next {
        0 | 3 => carried(link::ethernet(inner, outside).ok()?),
        1 => Some((Some(4), inner)),
        2 => Some((Some(6), inner)),
        4 => carried(link::nsh(inner, outside).ok()?),
        _ => None,
    }
}

/// Version 0, length of the options in units of four octets, flags O and C, the EtherType, network, a reserved octet.
fn geneve<'a>(part: Part<'a>, outside: &mut Outside) -> Inside<'a> {
    let &[first, flags, k0, k1, _, _, _, reserved] = part.bytes.first_chunk::<8>()?;
    if first >> 6 != 0 || flags & 0x3f != 0 || reserved != 0 {
        return None;
    }
    let options = usize::from(first & 0x3f) * 4;
    // Options fill their room exactly: class, type, three reserved bits and a length in units of four octets.
    let mut cursor = Cursor::new(part.bytes.get(8..8 + options)?);
    while !cursor.is_empty() {
        cursor.skip(3).ok()?;
        let length = cursor.u8().ok()?;
        if length & 0xe0 != 0 {
            return None;
        }
        cursor.skip(usize::from(length) * 4).ok()?;
    }
    let inner = part.skip(8 + options)?;
    match u16::from_be_bytes([k0, k1]) {
        0x6558 => carried(link::ethernet(inner, outside).ok()?),
        0x0800 => Some((Some(4), inner)),
        0x86dd => Some((Some(6), inner)),
        _ => None,
    }
}

/// Version 1, protocol type 1, reserved bit 0, message type 255 (T-PDU), and a length that is exactly what the
/// datagram holds. Four more octets if any of E, S, PN is set; extension headers if E is.
fn gtp_u<'a>(part: Part<'a>, _outside: &mut Outside) -> Inside<'a> {
    let &[flags, kind, l0, l1, _, _, _, _] = part.bytes.first_chunk::<8>()?;
    if flags & 0xf8 != 0x30 || kind != 0xff {
        return None;
    }
    if usize::from(u16::from_be_bytes([l0, l1])) + 8 != part.wire {
        return None;
    }
    let mut inner = part.skip(8)?;
    if flags & 0x07 != 0 {
        let mut next = *inner.bytes.get(3)?;
        inner = inner.skip(4)?;
        if flags & 0x04 == 0 {
            next = 0;
        }
        // Each header is at least four octets, so the walk is bounded by the datagram.
        while next != 0 {
            let octets = usize::from(*inner.bytes.first()?) * 4;
            next = *inner.bytes.get(octets.checked_sub(1)?)?;
            inner = inner.skip(octets)?;
        }
    }
    Some((None, inner))
}

/// RFC 4380 5.1.1: IPv6 in UDP, behind an authentication or an origin indication, or both. The packet must fill the
/// datagram, and one of its addresses lie in the service's prefix.
fn teredo<'a>(part: Part<'a>, _outside: &mut Outside) -> Inside<'a> {
    let mut inner = part;
    if inner.bytes.first_chunk::<2>() == Some(&[0, 1]) {
        let identifier = usize::from(*inner.bytes.get(2)?);
        let authentication = usize::from(*inner.bytes.get(3)?);
        inner = inner.skip(4 + identifier + authentication + 9)?;
    }
    if inner.bytes.first_chunk::<2>() == Some(&[0, 0]) {
        inner = inner.skip(8)?;
    }
    let mut cursor = inner.cursor();
    let first = cursor.u8().ok()?;
    cursor.skip(3).ok()?;
    let length = usize::from(cursor.u16().ok()?);
    cursor.skip(2).ok()?;
    let addresses = [cursor.take(16).ok()?, cursor.take(16).ok()?];
    let of_the_service = addresses.iter().any(|address| address.starts_with(&[0x20, 0x01, 0, 0]));
    (first >> 4 == 6 && length + 40 == inner.wire && of_the_service).then_some((Some(6), inner))
}
