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
    cut_pcap(frames, usize::MAX)
}

/// The same, with at most `snaplen` octets of each frame.
pub fn cut_pcap(frames: &[(i64, Vec<u8>)], snaplen: usize) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for (time, frame) in frames {
        let length = u32::try_from(frame.len()).unwrap();
        let seconds = u32::try_from(time / 1_000_000).unwrap();
        let micros = u32::try_from(time % 1_000_000).unwrap();
        let captured = &frame[..frame.len().min(snaplen)];
        for word in [seconds, micros, u32::try_from(captured.len()).unwrap(), length] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(captured);
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

/// One TPACKET_V3 block of an Ethernet device (linux/if_packet.h): (nanoseconds, frame).
pub fn ring_block(frames: &[(i64, Vec<u8>)]) -> Vec<u8> {
    const LINK_HEADER: u16 = 82;
    let mut packets = Vec::new();
    for (at, (time, frame)) in frames.iter().enumerate() {
        let length = u32::try_from(frame.len()).unwrap();
        let total = (u32::from(LINK_HEADER) + length).next_multiple_of(16);
        let last = at + 1 == frames.len();
        let seconds = u32::try_from(time / 1_000_000_000).unwrap();
        let nanoseconds = u32::try_from(time % 1_000_000_000).unwrap();
        let start = packets.len();
        for number in [if last { 0 } else { total }, seconds, nanoseconds, length, length, 1] {
            packets.extend(number.to_ne_bytes());
        }
        packets.extend(LINK_HEADER.to_ne_bytes());
        packets.extend((LINK_HEADER + 14).to_ne_bytes());
        packets.extend([0; 20]); // hash, VLAN, padding
        packets.extend(17_u16.to_ne_bytes()); // AF_PACKET
        packets.extend(0x0800_u16.to_be_bytes());
        packets.extend(2_u32.to_ne_bytes());
        packets.extend(1_u16.to_ne_bytes()); // ARPHRD_ETHER
        packets.resize(start + usize::from(LINK_HEADER), 0);
        packets.extend(frame);
        if !last {
            packets.resize(start + total as usize, 0);
        }
    }
    let mut block = Vec::new();
    let length = u32::try_from(48 + packets.len()).unwrap();
    for number in [1, 48, 1, u32::try_from(frames.len()).unwrap(), 48, length] {
        block.extend(number.to_ne_bytes());
    }
    block.resize(48, 0);
    block.extend(packets);
    block
}
