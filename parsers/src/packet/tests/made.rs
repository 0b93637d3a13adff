//! Frames written out after the RFCs and the LINKTYPE_ registry. `udp4` and `udp6` are the innermost packets; what is
//! put around them must not change what is found.

use super::*;
use std::net::Ipv4Addr;

pub(super) const ETHERNET: &str = "aabbccddeeff001122334455";

pub(super) fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = hex("4500 0000 0001 0000 40 00 0000 0a000001 0a000002");
    packet[2..4].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    packet[9] = protocol;
    packet.extend(payload);
    packet
}

pub(super) fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = hex("60000000 0000 00 40 20010db8000000000000000000000001 20010db8000000000000000000000002");
    packet[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
    packet[6] = next;
    packet.extend(payload);
    packet
}

pub(super) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    for number in [source, destination, 8 + payload.len() as u16, 0] {
        datagram.extend(number.to_be_bytes());
    }
    datagram.extend(payload);
    datagram
}

/// Told from what is around it by its addresses.
pub(super) fn udp4() -> Vec<u8> {
    let mut packet = ipv4(17, &udp(4_000, 5_000, b"inner"));
    packet[12..20].copy_from_slice(&[192, 0, 2, 1, 192, 0, 2, 2]);
    packet
}

pub(super) fn udp6() -> Vec<u8> {
    ipv6(17, &udp(4_000, 5_000, b"inner"))
}

pub(super) fn behind(header: &str, packet: &[u8]) -> Vec<u8> {
    let mut frame = hex(header);
    frame.extend(packet);
    frame
}

/// Finds `udp4` or `udp6` in the frame, under these tunnels; gives the VLAN ids.
pub(super) fn finds_inner(link: u16, frame: &[u8], tunnels: &[&str]) -> [Option<u16>; 2] {
    let decoded = decoded(link, frame, frame.len() as u32);
    assert_eq!(kinds(&decoded), tunnels);
    match transport(&decoded.ip) {
        Transport::Udp {
            source_port: 4_000,
            destination_port: 5_000,
            payload: b"inner",
            cut: false,
        } => decoded.vlan,
        other => panic!("{other:?} in {:?}", decoded.ip),
    }
}

#[test]
fn every_link_layer_leads_to_the_packet() {
    let (four, six) = (udp4(), udp6());
    let table: [(u16, &str, &[u8]); 29] = [
        (1, "aabbccddeeff001122334455 0800", &four),
        (1, "aabbccddeeff001122334455 86dd", &six),
        // IEEE 802.3 length, LLC and SNAP.
        (1, "aabbccddeeff001122334455 0029 aaaa03 000000 0800", &four),
        (1, "aabbccddeeff001122334455 0029 aaaa03 0000f8 0800", &four),
        (1, "aabbccddeeff001122334455 8100 0005 0029 aaaa03 000000 0800", &four),
        // Loopback: AF_INET and the values AF_INET6 has, both orders.
        (0, "02000000", &four),
        (0, "00000002", &four),
        (108, "00000002", &four),
        (0, "0a000000", &six),
        (0, "17000000", &six),
        (0, "18000000", &six),
        (0, "1c000000", &six),
        (0, "0000001e", &six),
        (9, "0021", &four),
        (9, "ff030057", &six),
        (9, "21", &four),
        (50, "ff030021", &four),
        (50, "0f000800", &four),
        (104, "8f0086dd", &six),
        (12, "", &four),
        (14, "", &six),
        (101, "", &four),
        (101, "", &six),
        (113, "0000 0001 0006 0011223344550000 0800", &four),
        (113, "0004 0304 0000 0000000000000000 86dd", &six),
        (228, "", &four),
        (229, "", &six),
        (276, "0800 0000 00000002 0001 00 06 0011223344550000", &four),
        (1, "aabbccddeeff001122334455 894f 0002 0101 00000100", &four),
    ];
    for (link, header, packet) in &table {
        let frame = behind(header, packet);
        assert_eq!(finds_inner(*link, &frame, &[])[1], None, "{link} {header}");
    }
    // NFLOG: attributes (the first of five octets and three of padding), the packet's length and its own four; both
    // orders.
    for (header, packet, order) in [
        ("02000000 0500 0a00 01000000", &four, 0),
        ("0a000000", &six, 0),
        ("02000000", &four, 1),
    ] {
        let mut frame = hex(header);
        let numbers = [packet.len() as u16 + 4, 9];
        frame.extend(numbers.iter().flat_map(|number| {
            if order == 0 {
                number.to_le_bytes()
            } else {
                number.to_be_bytes()
            }
        }));
        frame.extend(packet);
        finds_inner(239, &frame, &[]);
    }
}

#[test]
fn tags_count_from_outside() {
    let frame = |tags: &str| behind(&format!("{ETHERNET} {tags} 0800"), &udp4());
    assert_eq!(finds_inner(1, &frame("8100 2064"), &[]), [Some(100), None]);
    assert_eq!(finds_inner(1, &frame("88a8 0001 8100 0002"), &[]), [Some(1), Some(2)]);
    assert_eq!(
        finds_inner(1, &frame("9100 0001 9100 0002 8100 0003"), &[]),
        [Some(1), Some(3)]
    );
    // More tags than any frame has.
    let many = frame(&"8100 0001 ".repeat(40));
    assert!(matches!(decode(1, &many, many.len() as u32), Outcome::Undecodable(_)));
}

#[test]
fn what_is_not_ip_is_said_to_be_something_else() {
    let table = [
        (1, "ffffffffffff001122334455 0806 0001080006040001"),
        (1, "0180c2000000001122334455 0026 424203 000000000000"),
        (1, "01000ccccccc001122334455 0020 aaaa03 00000c 2000 0000"),
        (1, "0180c200000e001122334455 88cc 0207040011"),
        (1, "aabbccddeeff001122334455 8863 1109000000000000"),
        (1, "aabbccddeeff001122334455 8864 11000001000a c021 0109"),
        (1, "aabbccddeeff001122334455 8847 00001140 55667788"),
        (0, "07000000 00000000"),
        (113, "0000 0338 0000 0000000000000000 0000 4500"),
        (113, "0000 0001 0006 0011223344550000 0001 ffff"),
        (239, "07000000 0800 0900 00000000"),
        (105, "08000000"),
        (65_535, "4500"),
    ];
    for (link, text) in table {
        let frame = hex(text);
        assert!(
            matches!(decode(link, &frame, frame.len() as u32), Outcome::NonIp),
            "{link} {text}"
        );
    }
}

#[test]
fn lengths_of_the_header_decide_padding_and_cut() {
    let mut frame = behind(&format!("{ETHERNET} 0800"), &udp4());
    let length = frame.len();
    frame.extend([0x55; 20]);
    let padded = decoded(1, &frame, frame.len() as u32);
    assert_eq!(
        (padded.ip.length, padded.ip.payload.len(), padded.ip.cut),
        (33, 13, false)
    );
    let cut = decoded(1, &frame[..length - 2], length as u32);
    assert_eq!(
        (cut.ip.length, cut.ip.payload.len(), cut.ip.payload_len, cut.ip.cut),
        (33, 11, 13, true)
    );
    assert!(matches!(
        transport(&cut.ip),
        Transport::Udp {
            payload: b"inn",
            cut: true,
            ..
        }
    ));
    // Total length 0: the frame decides, less its link header.
    frame[16..18].copy_from_slice(&[0, 0]);
    let offloaded = decoded(1, &frame[..length], 9_014);
    assert_eq!(
        (offloaded.ip.length, offloaded.ip.payload_len, offloaded.ip.cut),
        (9_000, 8_980, true)
    );
}

#[test]
fn an_ipv6_payload_length_of_zero_is_an_offload_or_nothing() {
    let mut frame = behind(&format!("{ETHERNET} 86dd"), &udp6());
    frame[18..20].copy_from_slice(&[0, 0]);
    let large = decoded(1, &frame, 70_054);
    assert_eq!((large.ip.length, large.ip.cut), (70_040, true));
    // No Next Header: the packet ends with its header.
    frame[20] = 59;
    let none = decoded(1, &frame, frame.len() as u32);
    assert_eq!((none.ip.length, none.ip.protocol, none.ip.payload.len()), (40, 59, 0));
}

#[test]
pub(super) fn ipv4_options_are_stepped_over_and_broken_headers_refused() {
    let mut packet = udp4();
    packet.splice(20..20, [1, 1, 1, 0]);
    packet[0] = 0x46;
    let total = packet.len() as u16;
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    finds_inner(101, &packet, &[]);
    for (place, value) in [(0, 0x44), (0, 0x56), (0, 0x36), (3, 19)] {
        let mut broken = udp4();
        broken[place] = value;
        assert!(
            matches!(decode(101, &broken, broken.len() as u32), Outcome::Undecodable(_)),
            "{place} {value:#x}"
        );
    }
    // Announced as version 4, and is not.
    let frame = behind(&format!("{ETHERNET} 0800"), &udp6());
    assert!(matches!(decode(1, &frame, frame.len() as u32), Outcome::Undecodable(_)));
}

#[test]
fn extension_headers_lead_to_the_upper_layer() {
    let datagram = udp(4_000, 5_000, b"inner");
    let chain = |headers: &str| {
        let mut payload = hex(headers);
        payload.extend(&datagram);
        payload
    };
    // Hop-by-hop, destination options, routing, atomic fragment, AH of 24 octets, each naming the next.
    let payload = chain(
        "3c00010400000000 2b00010400000000 2c00000000000000 3300000012345678 \
         1104000000000001 00000001 000000000000000000000000",
    );
    finds_inner(101, &ipv6(0, &payload), &[]);
    let ah = chain("1104000000000001 00000001 000000000000000000000000");
    finds_inner(101, &ipv4(51, &ah), &[]);
    // A header longer than the packet: the flow is that of the last one that could be read.
    let broken = ipv6(0, &hex("3c00010400000000 11ff000000000000"));
    let broken = decoded(101, &broken, broken.len() as u32);
    assert_eq!((broken.ip.protocol, transport(&broken.ip)), (60, Transport::Other));
    // IPv4 has no extension headers: 0 and 60 are protocols of their own.
    for protocol in [0, 43, 44, 60] {
        let packet = ipv4(protocol, &hex("1100000000000000"));
        assert_eq!(decoded(101, &packet, packet.len() as u32).ip.protocol, protocol);
    }
}

#[test]
fn fragments_say_where_they_belong() {
    let mut packet = udp4();
    packet[6..8].copy_from_slice(&[0x20, 0x02]);
    let part = decoded(101, &packet, packet.len() as u32);
    assert_eq!(
        part.ip.fragment,
        Some(Fragment {
            id: 1,
            offset: 16,
            more: true
        })
    );
    // "Don't fragment" is none.
    packet[6..8].copy_from_slice(&[0x40, 0]);
    assert_eq!(decoded(101, &packet, packet.len() as u32).ip.fragment, None);
    let packet = ipv6(44, &hex("1100 0011 deadbeef 0102030405060708"));
    let part = decoded(101, &packet, packet.len() as u32);
    assert_eq!(
        part.ip.fragment,
        Some(Fragment {
            id: 0xdead_beef,
            offset: 16,
            more: true
        })
    );
    assert_eq!(
        (part.ip.protocol, part.ip.payload.len(), part.ip.payload_len),
        (17, 8, 8)
    );
}

#[test]
fn tcp_with_what_was_captured_of_it() {
    let segment = hex("1000 2000 00000001 00000002 6012 0400 0000 0000 01010101 616263");
    let packet = ipv4(6, &segment);
    let whole = decoded(101, &packet, packet.len() as u32);
    let tcp = Tcp {
        source_port: 0x1000,
        destination_port: 0x2000,
        seq: 1,
        ack: 2,
        flags: 0x12,
        window: 0x400,
        payload: b"abc",
        payload_len: 3,
    };
    assert_eq!(transport(&whole.ip), Transport::Tcp(tcp));
    for length in 20..packet.len() {
        let part = decoded(101, &packet[..length], packet.len() as u32);
        match (length - 20, transport(&part.ip)) {
            (0..4, read) => assert_eq!(read, Transport::Cut, "at {length}"),
            (4..16, Transport::Tcp(read)) => {
                assert_eq!(
                    (read.source_port, read.destination_port, read.payload_len),
                    (0x1000, 0x2000, 0)
                );
            }
            (captured, Transport::Tcp(read)) => {
                assert_eq!(read.payload_len, 3, "of the header, not of the capture");
                assert_eq!(read.payload.len(), captured.saturating_sub(24));
                assert_eq!(read.flags, 0x12);
            }
            (_, other) => panic!("{other:?} at {length}"),
        }
    }
    // A data offset below five or beyond the packet: the ports stand.
    for offset in [0x40, 0xf0] {
        let mut broken = packet.clone();
        broken[32] = offset;
        let broken = decoded(101, &broken, broken.len() as u32);
        match transport(&broken.ip) {
            Transport::Tcp(tcp) => assert_eq!((tcp.destination_port, tcp.payload_len), (0x2000, 0)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn udp_lengths_that_lie() {
    for (length, payload, cut) in [
        (11_u16, &b"abc"[..], false),
        (0, b"abc", false),
        (7, b"abc", false),
        (10, b"ab", false),
        (40, b"abc", true),
    ] {
        let mut datagram = udp(1, 2, b"abc");
        datagram[4..6].copy_from_slice(&length.to_be_bytes());
        let packet = ipv4(17, &datagram);
        let ip = decoded(101, &packet, packet.len() as u32).ip;
        assert_eq!(
            transport(&ip),
            Transport::Udp {
                source_port: 1,
                destination_port: 2,
                payload,
                cut
            },
            "{length}"
        );
    }
}

#[test]
fn sctp_ports() {
    let packet = ipv4(132, &hex("0b59 0b5a 00000000 00000000 00030010"));
    let ip = decoded(101, &packet, packet.len() as u32).ip;
    let expected = Transport::Sctp {
        source_port: 2_905,
        destination_port: 2_906,
        payload: &[0, 3, 0, 16],
    };
    assert_eq!(transport(&ip), expected);
}

fn quoted(packet: &[u8]) -> Option<Quoted> {
    match transport(&decoded(101, packet, packet.len() as u32).ip) {
        Transport::Icmp { quoted, .. } => quoted,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_icmp_error_quotes_its_flow() {
    // RFC 792 promises the header and eight octets: the quotation's own lengths exceed it.
    let quotation = &udp4()[..28];
    let error = |kind: u8, code: u8, quotation: &[u8]| {
        let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
        message.extend(quotation);
        message
    };
    for (kind, unreachable) in [(3, true), (4, false), (5, false), (11, false), (12, false)] {
        let found = quoted(&ipv4(1, &error(kind, 1, quotation))).unwrap();
        assert_eq!(
            (found.source_port, found.destination_port, found.protocol),
            (4_000, 5_000, 17)
        );
        assert_eq!(found.source, IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(found.unreachable, unreachable, "{kind}");
    }
    // An echo carries what it likes.
    assert_eq!(quoted(&ipv4(1, &error(8, 0, quotation))), None);
    let six = udp6();
    for (kind, unreachable) in [(1, true), (2, false), (3, false), (4, false)] {
        let found = quoted(&ipv6(58, &error(kind, 0, &six))).unwrap();
        assert_eq!((found.destination_port, found.unreachable), (5_000, unreachable));
    }
    assert_eq!(quoted(&ipv6(58, &error(128, 0, &six))), None);
    // Of a later fragment, or when cut before the ports, the flow is not known.
    let mut later = quotation.to_vec();
    later[7] = 1;
    assert_eq!(quoted(&ipv4(1, &error(3, 1, &later))), None);
    assert_eq!(quoted(&ipv4(1, &error(3, 1, &quotation[..23]))), None);
    assert_eq!(quoted(&ipv4(1, &error(3, 1, &quotation[..19]))), None);
    // Protocols without ports, and ICMP by type and code.
    let gre = quoted(&ipv4(1, &error(3, 2, &ipv4(47, &[0; 8])))).unwrap();
    assert_eq!((gre.protocol, gre.source_port, gre.destination_port), (47, 0, 0));
    let echo = quoted(&ipv4(1, &error(11, 0, &ipv4(1, &[8, 0, 0, 0, 0, 1, 0, 1])))).unwrap();
    assert_eq!((echo.protocol, echo.source_port, echo.destination_port), (1, 8, 0));
}
