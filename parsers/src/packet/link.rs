//! Link layers: from the first octet of a frame to its IP header.
//!
//! One function per header, each handing on to the next by the type field it found: EtherTypes are the common
//! currency (Ethernet, cooked captures, SNAP, GRE and Geneve all name them). VLAN tags, MPLS and PPPoE are noted in
//! `Outside` on the way. What has no type field is believed only when an IP header of fitting length follows.

use super::{ip, Halt, Outside, Part};
use crate::cursor::Short;
use crate::flow::record::Tunnel;

/// What stands above the link layer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Upper<'a> {
    /// IP, of the version that the type field names, if it names one.
    Ip(Option<u8>, Part<'a>),
    Other,
}

/// Labels in one MPLS stack; routers push two or three, segment routing about ten.
const MAX_LABELS: usize = 16;

/// `link` is a LINKTYPE_ number of the tcpdump registry.
pub(super) fn open<'a>(link: u16, part: Part<'a>, outside: &mut Outside) -> Result<Upper<'a>, Halt> {
    match link {
        1 => ethernet(part, outside),
        0 | 108 => loopback(part),
        9 => ppp(part, outside),
        50 => ppp_hdlc(part, outside),
        51 => pppoe(part, outside),
        // RAW, and the numbers BSDs gave it before it had one.
        12 | 14 | 101 => Ok(Upper::Ip(None, part)),
        104 => cisco_hdlc(part, outside),
        113 => cooked(part, outside),
        228 => Ok(Upper::Ip(Some(4), part)),
        229 => Ok(Upper::Ip(Some(6), part)),
        239 => nflog(part),
        276 => cooked_2(part, outside),
        _ => Ok(Upper::Other),
    }
}

/// Reads fixed fields with `read` and gives what stands behind them.
fn header<'a, T>(
    part: Part<'a>,
    layer: &'static str,
    read: impl FnOnce(&mut crate::cursor::Cursor<'a>) -> Result<T, Short>,
) -> Result<(T, Part<'a>), Halt> {
    let mut cursor = part.cursor();
    let fields = read(&mut cursor).ok();
    match (fields, part.after(&cursor)) {
        (Some(fields), Some(rest)) => Ok((fields, rest)),
        _ => Err(part.stop(layer, "the header is cut off")),
    }
}

pub(super) fn ethernet<'a>(part: Part<'a>, outside: &mut Outside) -> Result<Upper<'a>, Halt> {
    let (kind, rest) = header(part, "ethernet", |cursor| {
        cursor.skip(12)?;
        cursor.u16()
    })?;
    ethertype(kind, rest, outside)
}

/// What an EtherType (or an IEEE 802.3 length, which are the values up to 1500) announces.
pub(super) fn ethertype<'a>(mut kind: u16, mut part: Part<'a>, outside: &mut Outside) -> Result<Upper<'a>, Halt> {
    loop {
        if !outside.nest() {
            return Err(part.stop("link", "too many nested headers"));
        }
        match kind {
            0x0800 => return Ok(Upper::Ip(Some(4), part)),
            0x86dd => return Ok(Upper::Ip(Some(6), part)),
            // IEEE 802.1Q, 802.1ad and the number used before it for stacked tags.
            0x8100 | 0x88a8 | 0x9100 => {
                let ((tag, next), rest) = header(part, "vlan", |cursor| Ok((cursor.u16()?, cursor.u16()?)))?;
                outside.tag(tag & 0x0fff);
                (kind, part) = (next, rest);
            }
            // Cisco MetaData: version, length of the options in units of four octets (never none, whatever it says),
            // options, the next type.
            0x8909 => {
                let (next, rest) = header(part, "cmd", |cursor| {
                    cursor.skip(1)?;
                    let length = cursor.u8()?;
                    cursor.skip(usize::from(length.max(1)) * 4)?;
                    cursor.u16()
                })?;
                (kind, part) = (next, rest);
            }
            0x8847 | 0x8848 => return mpls(part, outside),
            0x8864 => return pppoe(part, outside),
            0x880b => return ppp(part, outside),
            0x894f => return nsh(part, outside),
            0..=1500 => match llc(part)? {
                Some((next, rest)) => (kind, part) = (next, rest),
                None => return Ok(Upper::Other),
            },
            _ => return Ok(Upper::Other),
        }
    }
}

/// IEEE 802.2 with SNAP (RFC 1042): gives the EtherType inside. Everything else in LLC (STP, CDP, NetBEUI) is not IP.
fn llc(part: Part<'_>) -> Result<Option<(u16, Part<'_>)>, Halt> {
    let ((sap, control, organization, kind), rest) = match header(part, "llc", |cursor| {
        Ok((cursor.u16()?, cursor.u8()?, cursor.u24()?, cursor.u16()?))
    }) {
        Ok(found) => found,
        // Too short for SNAP, so it is none: a frame of three octets of LLC is legal.
        Err(_) => return Ok(None),
    };
    // Organization 0 is Ethernet's, 0000f8 that of bridges (IEEE 802.1H).
    let is_snap = sap == 0xaaaa && control == 3 && matches!(organization, 0 | 0xf8) && kind > 1500;
    Ok(is_snap.then_some((kind, rest)))
}

/// RFC 3032. The stack does not say what it carries: IP has its version in the first four bits; a pseudo-wire begins
/// with a control word whose first four bits are zero (RFC 4385), or with an Ethernet header at once.
pub(super) fn mpls<'a>(part: Part<'a>, outside: &mut Outside) -> Result<Upper<'a>, Halt> {
    let mut rest = part;
    let mut bottom = false;
    for _ in 0..MAX_LABELS {
        let (label, behind) = header(rest, "mpls", |cursor| cursor.u32())?;
        rest = behind;
        if label & 0x100 != 0 {
            bottom = true;
            break;
        }
    }
    if !bottom {
        return Err(rest.stop("mpls", "too many labels"));
    }
    if !outside.tunnels.push(Tunnel {
        kind: "mpls",
        ends: None,
    }) {
        return Err(rest.stop("mpls", "too many tunnels"));
    }
    if ip::plausible(rest, None) {
        return Ok(Upper::Ip(None, rest));
    }
    if rest.bytes.len() < ip::TELLING && rest.wire >= ip::TELLING {
        return Err(rest.stop("mpls", "cut off before what the labels carry"));
    }
    let control_word = rest.bytes.first().is_some_and(|first| first >> 4 == 0);
    let inside = if control_word {
        rest.skip(4).and_then(|part| plausible_ethernet(part, outside))
    } else {
        None
    };
    let inside = inside.or_else(|| plausible_ethernet(rest, outside));
    Ok(inside.unwrap_or(Upper::Other))
}

/// An Ethernet frame that nothing announces: believed when it leads to an IP header of fitting length.
pub(super) fn plausible_ethernet<'a>(part: Part<'a>, outside: &mut Outside) -> Option<Upper<'a>> {
    let mut further = outside.clone();
    match ethernet(part, &mut further) {
        Ok(Upper::Ip(version, inner)) if ip::plausible(inner, version) => {
            *outside = further;
            Some(Upper::Ip(version, inner))
        }
        _ => None,
    }
}

/// RFC 2516 4: version and type 1, code 0 (session), session, length, then PPP.
fn pppoe<'a>(part: Part<'a>, outside: &mut Outside) -> Result<Upper<'a>, Halt> {
    let ((version, code), rest) = header(part, "pppoe", |cursor| {
        let fields = (cursor.u8()?, cursor.u8()?);
        cursor.skip(4)?;
        Ok(fields)
    })?;
    if version != 0x11 || code != 0 {
        return Ok(Upper::Other);
    }
    if !outside.tunnels.push(Tunnel {
        kind: "pppoe",
        ends: None,
    }) {
        return Err(rest.stop("pppoe", "too many tunnels"));
    }
    ppp(rest, outside)
}

/// RFC 1661, with or without address and control octets (RFC 1662), the protocol field in one octet or two.
pub(super) fn ppp<'a>(part: Part<'a>, outside: &mut Outside) -> Result<Upper<'a>, Halt> {
    if !outside.nest() {
        return Err(part.stop("ppp", "too many nested headers"));
    }
    let (protocol, rest) = header(part, "ppp", |cursor| {
        let mut ahead = *cursor;
        if ahead.u16() == Ok(0xff03) {
            cursor.skip(2)?;
        }
        let first = cursor.u8()?;
        // The last octet of the field is odd, the first even: an odd first octet is the whole field.
        if first & 1 != 0 {
            return Ok(u16::from(first));
        }
        Ok(u16::from_be_bytes([first, cursor.u8()?]))
    })?;
    match protocol {
        0x0021 => Ok(Upper::Ip(Some(4), rest)),
        0x0057 => Ok(Upper::Ip(Some(6), rest)),
        0x0281 | 0x0283 => mpls(rest, outside),
        _ => Ok(Upper::Other),
    }
}

/// PPP in HDLC-like framing, or Cisco's HDLC, which begins with 0f or 8f.
fn ppp_hdlc<'a>(part: Part<'a>, outside: &mut Outside) -> Result<Upper<'a>, Halt> {
    match part.bytes.first() {
        Some(0x0f | 0x8f) => cisco_hdlc(part, outside),
        _ => ppp(part, outside),
    }
}

fn cisco_hdlc<'a>(part: Part<'a>, outside: &mut Outside) -> Result<Upper<'a>, Halt> {
    let (kind, rest) = header(part, "chdlc", |cursor| {
        cursor.skip(2)?;
        cursor.u16()
    })?;
    ethertype(kind, rest, outside)
}

/// BSD loopback: the address family, in the byte order of the capturing host (LOOP: the network's).
fn loopback(part: Part<'_>) -> Result<Upper<'_>, Halt> {
    let (raw, rest) = header(part, "loopback", |cursor| cursor.u32())?;
    let family = if raw > 0xffff { raw.swap_bytes() } else { raw };
    Ok(match family {
        2 => Upper::Ip(Some(4), rest),
        // AF_INET6 of Linux, Windows, NetBSD and OpenBSD, FreeBSD, Darwin.
        10 | 23 | 24 | 28 | 30 => Upper::Ip(Some(6), rest),
        _ => Upper::Other,
    })
}

/// Linux cooked capture: packet type, ARPHRD_ type, address, protocol.
fn cooked<'a>(part: Part<'a>, outside: &mut Outside) -> Result<Upper<'a>, Halt> {
    let ((hardware, protocol), rest) = header(part, "sll", |cursor| {
        cursor.skip(2)?;
        let hardware = cursor.u16()?;
        cursor.skip(10)?;
        Ok((hardware, cursor.u16()?))
    })?;
    cooked_protocol(hardware, protocol, rest, outside)
}

fn cooked_2<'a>(part: Part<'a>, outside: &mut Outside) -> Result<Upper<'a>, Halt> {
    let ((protocol, hardware), rest) = header(part, "sll2", |cursor| {
        let protocol = cursor.u16()?;
        cursor.skip(6)?;
        let hardware = cursor.u16()?;
        cursor.skip(10)?;
        Ok((protocol, hardware))
    })?;
    cooked_protocol(hardware, protocol, rest, outside)
}

fn cooked_protocol<'a>(hardware: u16, protocol: u16, rest: Part<'a>, outside: &mut Outside) -> Result<Upper<'a>, Halt> {
    match (hardware, protocol) {
        // ARPHRD_NETLINK: the field holds a netlink family.
        (824, _) => Ok(Upper::Other),
        // ETH_P_802_3 (Novell's raw frames), ETH_P_802_2, other pseudo-protocols of Linux.
        (_, 0x0004) => ethertype(0, rest, outside),
        (_, 0x0000..=0x05ff) => Ok(Upper::Other),
        (_, kind) => ethertype(kind, rest, outside),
    }
}

/// Linux NFLOG: address family, version 0, then attributes in the byte order of the capturing host, which nothing
/// names: the order in which the attributes fill the packet is the right one.
fn nflog(part: Part<'_>) -> Result<Upper<'_>, Halt> {
    let ((family, version), rest) = header(part, "nflog", |cursor| {
        let fields = (cursor.u8()?, cursor.u8()?);
        cursor.skip(2)?;
        Ok(fields)
    })?;
    let ip_version = match family {
        2 => 4,
        10 => 6,
        _ => return Ok(Upper::Other),
    };
    if version != 0 {
        return Ok(Upper::Other);
    }
    let payload = nflog_payload(rest, u16::from_le_bytes).or_else(|| nflog_payload(rest, u16::from_be_bytes));
    match payload {
        Some(payload) => Ok(Upper::Ip(Some(ip_version), payload)),
        None => Err(rest.stop("nflog", "no attribute holds the packet")),
    }
}

/// The octets of attribute 9, NFULA_PAYLOAD.
fn nflog_payload<'a>(mut part: Part<'a>, number: impl Fn([u8; 2]) -> u16) -> Option<Part<'a>> {
    // Each turn steps over at least four octets.
    loop {
        let &[l0, l1, t0, t1] = part.bytes.first_chunk::<4>()?;
        let length = usize::from(number([l0, l1]));
        let value = part.skip(4)?;
        let octets = length.checked_sub(4)?;
        if octets > value.wire {
            return None;
        }
        if number([t0, t1]) == 9 {
            return Some(value.limit(octets));
        }
        part = part.skip(length.next_multiple_of(4))?;
    }
}

/// Network Service Header (RFC 8300 2.2): length in units of four octets, next protocol.
pub(super) fn nsh<'a>(part: Part<'a>, outside: &mut Outside) -> Result<Upper<'a>, Halt> {
    if !outside.nest() {
        return Err(part.stop("nsh", "too many nested headers"));
    }
    let (next, rest) = header(part, "nsh", |cursor| {
        let length = usize::from(cursor.u16()? & 0x3f) * 4;
        cursor.skip(1)?;
        let next = cursor.u8()?;
        cursor.skip(length.saturating_sub(4))?;
        Ok(next)
    })?;
    match next {
        1 => Ok(Upper::Ip(Some(4), rest)),
        2 => Ok(Upper::Ip(Some(6), rest)),
        3 => ethernet(rest, outside),
        5 => mpls(rest, outside),
        _ => Ok(Upper::Other),
    }
}
