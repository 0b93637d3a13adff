//! Makes captures byte by byte, from the RFCs' pictures of the headers; independent of the code under test.
#![allow(dead_code)]

use std::net::Ipv4Addr;

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

pub const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 25);
pub const SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

/// An Ethernet frame around an IPv4 packet.
pub fn ethernet(ip: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00];
    frame.extend_from_slice(ip);
    frame
}

/// The same frame with one VLAN tag (IEEE 802.1Q).
pub fn tagged(ip: &[u8], vlan: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0x00];
    frame.extend_from_slice(&vlan.to_be_bytes());
    frame.extend_from_slice(&[0x08, 0x00]);
    frame.extend_from_slice(ip);
    frame
}

/// RFC 791; identification and hop limit as given.
pub fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, id: u16, ttl: u8, payload: &[u8]) -> Vec<u8> {
    fragment(source, destination, protocol, id, ttl, 0x4000, payload)
}

/// RFC 791 with the flags-and-offset field given.
pub fn fragment(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    id: u16,
    ttl: u8,
    place: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend_from_slice(&u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
    packet.extend_from_slice(&id.to_be_bytes());
    packet.extend_from_slice(&place.to_be_bytes());
    packet.extend_from_slice(&[ttl, protocol, 0, 0]);
    packet.extend_from_slice(&source.octets());
    packet.extend_from_slice(&destination.octets());
    packet.extend_from_slice(payload);
    packet
}

/// RFC 9293.
pub fn tcp(ports: (u16, u16), seq: u32, ack: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend_from_slice(&ports.0.to_be_bytes());
    segment.extend_from_slice(&ports.1.to_be_bytes());
    segment.extend_from_slice(&seq.to_be_bytes());
    segment.extend_from_slice(&ack.to_be_bytes());
    segment.extend_from_slice(&[0x50, flags, 0x10, 0, 0, 0, 0, 0]);
    segment.extend_from_slice(payload);
    segment
}

/// RFC 768.
pub fn udp(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend_from_slice(&ports.0.to_be_bytes());
    datagram.extend_from_slice(&ports.1.to_be_bytes());
    datagram.extend_from_slice(&u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    datagram.extend_from_slice(&[0, 0]);
    datagram.extend_from_slice(payload);
    datagram
}

/// A classic little-endian microsecond capture of Ethernet frames: (microseconds, frame).
pub fn pcap(frames: &[(i64, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for (time, frame) in frames {
        let length = u32::try_from(frame.len()).unwrap();
        let seconds = u32::try_from(time / 1_000_000).unwrap();
        let micros = u32::try_from(time % 1_000_000).unwrap();
        for word in [seconds, micros, length, length] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(frame);
    }
    file
}

/// One TCP packet of the client (`true`) or the server, as a frame.
pub fn segment(client: bool, port: u16, seq: u32, ack: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let (from, to, ports) = if client {
        (CLIENT, SERVER, (port, 443))
    } else {
        (SERVER, CLIENT, (443, port))
    };
    let id = u16::try_from((seq ^ ack.rotate_left(7) ^ u32::from(flags)) & 0xffff).unwrap();
    ethernet(&ipv4(from, to, 6, id, 64, &tcp(ports, seq, ack, flags, payload)))
}
