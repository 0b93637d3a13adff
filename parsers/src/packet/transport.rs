//! Transport headers: ports, TCP's numbers, and the packet that an ICMP error quotes.
//!
//! A header that was cut behind its ports still names its flow: it is returned with what could be read, the rest zero
//! and no payload. Only when not even the ports are there is it `Cut`.

use std::net::IpAddr;

use super::{ip, Ip, Part};
use crate::cursor::{Cursor, Short};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport<'a> {
    Tcp(Tcp<'a>),
    Udp {
        source_port: u16,
        destination_port: u16,
        payload: &'a [u8],
        /// Fewer octets of the datagram were captured than its length says.
        cut: bool,
    },
    /// ICMP or ICMPv6. `payload` follows the eight octets of the header.
    Icmp {
        kind: u8,
        code: u8,
        payload: &'a [u8],
        quoted: Option<Quoted>,
    },
    Sctp {
        source_port: u16,
        destination_port: u16,
        payload: &'a [u8],
    },
    /// A protocol without ports, or a fragment.
    Other,
    /// Ports (ICMP: type and code) were not captured, or are not there.
    Cut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcp<'a> {
    pub source_port: u16,
    pub destination_port: u16,
    pub seq: u32,
    pub ack: u32,
    /// The low octet: CWR ECE URG ACK PSH RST SYN FIN.
    pub flags: u8,
    pub window: u16,
    /// Captured octets.
    pub payload: &'a [u8],
    /// By the IP header, also when cut; 0 when the TCP header itself is cut or broken.
    pub payload_len: u32,
}

/// The packet an ICMP error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    /// 0 where the protocol has none; of a quoted ICMP message its type.
    pub source_port: u16,
    /// Likewise; of a quoted ICMP message its code.
    pub destination_port: u16,
    /// The error is a destination unreachable (ICMP type 3, ICMPv6 type 1).
    pub unreachable: bool,
}

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP_V6: u8 = 58;
const SCTP: u8 = 132;

pub fn transport<'a>(ip: &Ip<'a>) -> Transport<'a> {
    if ip.fragment.is_some() {
        return Transport::Other;
    }
    let part = Part {
        bytes: ip.payload,
        wire: ip.payload_len as usize,
    };
    let read = match ip.protocol {
        TCP => tcp(part).map(Transport::Tcp),
        UDP => udp(part),
        ICMP | ICMP_V6 => icmp(part, ip.protocol),
        SCTP => sctp(part),
        _ => return Transport::Other,
    };
    read.unwrap_or(Transport::Cut)
}

/// RFC 9293 3.1.
fn tcp(part: Part<'_>) -> Result<Tcp<'_>, Short> {
    let mut cursor = part.cursor();
    let source_port = cursor.u16()?;
    let destination_port = cursor.u16()?;
    let mut tcp = Tcp {
        source_port,
        destination_port,
        seq: 0,
        ack: 0,
        flags: 0,
        window: 0,
        payload: &[],
        payload_len: 0,
    };
    // From here on an error only ends the reading.
    let _ = tcp_rest(&mut tcp, &mut cursor, part);
    Ok(tcp)
}

fn tcp_rest<'a>(tcp: &mut Tcp<'a>, cursor: &mut Cursor<'a>, part: Part<'a>) -> Result<(), Short> {
    tcp.seq = cursor.u32()?;
    tcp.ack = cursor.u32()?;
    let header = usize::from(cursor.u8()? >> 4) * 4;
    tcp.flags = cursor.u8()?;
    tcp.window = cursor.u16()?;
    if header >= 20 && header <= part.wire {
        tcp.payload_len = (part.wire - header) as u32;
        tcp.payload = part.bytes.get(header..).unwrap_or_default();
    }
    Ok(())
}

/// RFC 768. A length of zero (segmentation offload, jumbograms) or below the header's means the rest of the packet.
fn udp(part: Part<'_>) -> Result<Transport<'_>, Short> {
    let mut cursor = part.cursor();
    let source_port = cursor.u16()?;
    let destination_port = cursor.u16()?;
    let length = cursor.u16().ok().map(usize::from);
    let datagram = match length {
        Some(length) if length >= 8 => part.limit(length),
        _ => part,
    };
    let payload = datagram.bytes.get(8..).unwrap_or_default();
    let cut = datagram.bytes.len() < datagram.wire;
    Ok(Transport::Udp {
        source_port,
        destination_port,
        payload,
        cut,
    })
}

/// RFC 9260 3.1.
fn sctp(part: Part<'_>) -> Result<Transport<'_>, Short> {
    let mut cursor = part.cursor();
    let source_port = cursor.u16()?;
    let destination_port = cursor.u16()?;
    let payload = part.bytes.get(12..).unwrap_or_default();
    Ok(Transport::Sctp {
        source_port,
        destination_port,
        payload,
    })
}

/// RFC 792 and RFC 4443. Errors are ICMP 3, 4, 5, 11, 12 and ICMPv6 1 to 4.
fn icmp(part: Part<'_>, protocol: u8) -> Result<Transport<'_>, Short> {
    let mut cursor = part.cursor();
    let kind = cursor.u8()?;
    let code = cursor.u8()?;
    let payload = part.bytes.get(8..).unwrap_or_default();
    let (is_error, unreachable) = match protocol {
        ICMP => (matches!(kind, 3 | 4 | 5 | 11 | 12), kind == 3),
        _ => (matches!(kind, 1..=4), kind == 1),
    };
    let quoted = if is_error {
        quote(payload, protocol, unreachable)
    } else {
        None
    };
    Ok(Transport::Icmp {
        kind,
        code,
        payload,
        quoted,
    })
}

/// A quotation is cut by nature (ICMP promises only eight octets behind the IP header), so its own lengths do not
/// limit what is read. Of a later fragment the ports are not there and the flow stays unknown.
fn quote(bytes: &[u8], error: u8, unreachable: bool) -> Option<Quoted> {
    let version = if error == ICMP { 4 } else { 6 };
    let ip = ip::read(
        Part {
            bytes,
            wire: bytes.len(),
        },
        Some(version),
    )
    .ok()?;
    if ip.fragment.is_some_and(|fragment| fragment.offset != 0) {
        return None;
    }
    let (source_port, destination_port) = match ip.protocol {
        TCP | UDP | SCTP => {
            let mut cursor = Cursor::new(ip.payload);
            (cursor.u16().ok()?, cursor.u16().ok()?)
        }
        ICMP | ICMP_V6 => {
            let mut cursor = Cursor::new(ip.payload);
            (u16::from(cursor.u8().ok()?), u16::from(cursor.u8().ok()?))
        }
        _ => (0, 0),
    };
    Some(Quoted {
        source: ip.source,
        destination: ip.destination,
        protocol: ip.protocol,
        source_port,
        destination_port,
        unreachable,
    })
}
