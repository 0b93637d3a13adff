//! Tunnels, each with all its evidence and with one piece of it missing.

use super::made::*;
use super::*;
use std::net::Ipv4Addr;

/// The frame's flow is the outer UDP one: nothing inside is believed.
fn stays_outer(frame: &[u8], port: u16) {
    let decoded = decoded(1, frame, frame.len() as u32);
    assert!(decoded.tunnels.is_empty(), "{:?}", kinds(&decoded));
    match transport(&decoded.ip) {
        Transport::Udp { destination_port, .. } => assert_eq!(destination_port, port),
        other => panic!("{other:?}"),
    }
}

#[test]
fn tunnels_of_ip_itself() {
    let (four, six) = (udp4(), udp6());
    finds_inner(101, &ipv4(4, &four), &["ipip"]);
    finds_inner(101, &ipv4(41, &six), &["6in4"]);
    finds_inner(101, &ipv6(4, &four), &["4in6"]);
    finds_inner(101, &ipv6(41, &six), &["6in6"]);
    let gre = |header: &str, packet: &[u8]| ipv4(47, &behind(header, packet));
    let ethernet = format!("{ETHERNET} 8100 0007 0800");
    finds_inner(101, &gre("0000 0800", &four), &["gre"]);
    // Checksum, key, sequence.
    finds_inner(101, &gre("b000 86dd 00000000 00000001 00000002", &six), &["gre"]);
    // Routing: one entry of four octets, then the end.
    finds_inner(
        101,
        &gre("4000 0800 00000000 0800 00 04 0a000001 00000000", &four),
        &["gre"],
    );
    let tagged = [Some(7), None];
    assert_eq!(
        finds_inner(101, &gre(&format!("0000 6558 {ethernet}"), &four), &["gre"]),
        tagged
    );
    assert_eq!(
        finds_inner(101, &gre(&format!("0000 88be {ethernet}"), &four), &["erspan"]),
        tagged
    );
    let second = format!("1000 88be 00000001 10000000 00000000 {ethernet}");
    assert_eq!(finds_inner(101, &gre(&second, &four), &["erspan"]), tagged);
    // PPTP with sequence and acknowledgement, compressed protocol field.
    finds_inner(101, &gre("3081 880b 0022 0001 00000001 00000002 21", &four), &["gre"]);
    finds_inner(101, &gre("0000 8847 00001140", &four), &["gre", "mpls"]);
    finds_inner(101, &gre("0000 883e", &four), &["gre"]);
    finds_inner(101, &gre("0000 883e 00000000", &four), &["gre"]);
    finds_inner(
        101,
        &ipv4(97, &behind(&format!("3000 {ethernet}"), &four)),
        &["etherip"],
    );
    finds_inner(101, &ipv4(137, &behind("00001140", &four)), &["mpls"]);
    // Three levels; the fifth is not opened.
    finds_inner(101, &ipv4(4, &ipv4(4, &ipv4(4, &four))), &["ipip", "ipip", "ipip"]);
    let deep = ipv4(4, &ipv4(4, &ipv4(4, &ipv4(4, &ipv4(4, &four)))));
    let deep = decoded(101, &deep, deep.len() as u32);
    assert_eq!((deep.tunnels.len(), deep.ip.protocol), (4, 4));
    let first = deep.tunnels.iter().next().unwrap();
    let end = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
    assert_eq!((first.kind, first.ends), ("ipip", Some((end(1), end(2)))));
}

#[test]
fn what_a_tunnel_cannot_show_stays_outside() {
    let table: [(u8, &str); 8] = [
        (47, "0000 0800 55"),
        (47, "0000 0806 0001"),
        (47, "0002 0800 45000014"),
        (47, "2001 880b 0000 0001"),
        (47, "3001 880b 0004 0001 00000001 00fd 1234"),
        (47, "40"),
        (4, "60000000"),
        (97, "4000 aabbccddeeff"),
    ];
    for (protocol, text) in table {
        let packet = ipv4(protocol, &hex(text));
        let outer = decoded(101, &packet, packet.len() as u32);
        assert_eq!(
            (outer.ip.protocol, outer.tunnels.len(), outer.vlan),
            (protocol, 0, [None, None]),
            "{text}"
        );
    }
}

#[test]
fn mpls_carries_ip_or_a_pseudo_wire() {
    let ethernet = format!("{ETHERNET} 8847");
    let wire = format!("{ETHERNET} 0800");
    finds_inner(1, &behind(&format!("{ethernet} 00010040 00001140"), &udp4()), &["mpls"]);
    finds_inner(1, &behind(&format!("{ethernet} 00001140"), &udp6()), &["mpls"]);
    finds_inner(
        1,
        &behind(&format!("{ethernet} 00001140 00000000 {wire}"), &udp4()),
        &["mpls"],
    );
    finds_inner(1, &behind(&format!("{ethernet} 00001140 {wire}"), &udp4()), &["mpls"]);
    // A destination address that begins with 4 is no IP header.
    finds_inner(
        1,
        &behind(&format!("{ethernet} 00001140 46bbccddeeff 001122334455 0800"), &udp4()),
        &["mpls"],
    );
    let endless = behind(&ethernet, &[0; 100]);
    assert!(matches!(decode(1, &endless, 114), Outcome::Undecodable(_)));
}

fn over_udp(port: u16, header: &str, packet: &[u8]) -> Vec<u8> {
    behind(
        &format!("{ETHERNET} 0800"),
        &ipv4(17, &udp(40_000, port, &behind(header, packet))),
    )
}

#[test]
fn tunnels_in_udp_with_all_their_evidence() {
    let (four, six) = (udp4(), udp6());
    let wire = format!("{ETHERNET} 0800");
    for port in [4_789, 8_472] {
        finds_inner(
            1,
            &over_udp(port, &format!("0800000000000100 {wire}"), &four),
            &["vxlan"],
        );
    }
    finds_inner(
        1,
        &over_udp(4_789, &format!("8800000200000100 {wire}"), &four),
        &["vxlan"],
    );
    finds_inner(1, &over_udp(4_790, "0c00000100000100", &four), &["vxlan"]);
    finds_inner(1, &over_udp(4_790, "0c00000200000100", &six), &["vxlan"]);
    finds_inner(
        1,
        &over_udp(4_790, &format!("0c00000300000100 {wire}"), &four),
        &["vxlan"],
    );
    finds_inner(1, &over_udp(6_081, "0000080000000100", &four), &["geneve"]);
    finds_inner(
        1,
        &over_udp(6_081, &format!("0240655800000100 0102800100000000 {wire}"), &four),
        &["geneve"],
    );
    let length = |more: usize| format!("{:04x}", four.len() + more);
    finds_inner(
        1,
        &over_udp(2_152, &format!("30ff{} 00000001", length(0)), &four),
        &["gtp-u"],
    );
    finds_inner(
        1,
        &over_udp(2_152, &format!("32ff{} 00000001 00010000", length(4)), &four),
        &["gtp-u"],
    );
    let extended = format!("34ff{} 00000001 00000085 01000900", length(8));
    finds_inner(1, &over_udp(2_152, &extended, &four), &["gtp-u"]);
    let mut teredo = six.clone();
    teredo[8..12].copy_from_slice(&[0x20, 0x01, 0, 0]);
    finds_inner(1, &over_udp(3_544, "", &teredo), &["teredo"]);
    finds_inner(1, &over_udp(3_544, "0000 1234 0a0b0c0d", &teredo), &["teredo"]);
    finds_inner(
        1,
        &over_udp(3_544, "0001 0000 0102030405060708 00 0000 1234 0a0b0c0d", &teredo),
        &["teredo"],
    );
}

#[test]
fn plain_udp_on_a_tunnel_port_is_not_swallowed() {
    let (four, six) = (udp4(), udp6());
    let wire = format!("{ETHERNET} 0800");
    let mut longer = four.clone();
    longer[3] += 1;
    let table: [(u16, String, &[u8]); 20] = [
        (4_789, format!("0900000000000100 {wire}"), &four),
        (4_789, format!("0800000000000101 {wire}"), &four),
        (4_789, format!("0801000000000100 {wire}"), &four),
        // ARP in VXLAN has no flow of its own.
        (4_789, format!("0800000000000100 {ETHERNET} 0806"), &four),
        (4_789, format!("0800000000000100 {wire}"), &longer),
        (4_789, String::new(), b"\x08\0\0\0\0\0\0\0short"),
        (4_790, "0c00000900000100".to_string(), &four),
        (6_081, "4000080000000100".to_string(), &four),
        (6_081, "0001080000000100".to_string(), &four),
        (6_081, "0100080000000100 01028005".to_string(), &four),
        (6_081, "0000080600000100".to_string(), &four),
        (2_152, format!("30ff{:04x} 00000001", four.len() + 1), &four),
        (2_152, format!("3001{:04x} 00000001", four.len()), &four),
        (2_152, format!("38ff{:04x} 00000001", four.len()), &four),
        (2_152, format!("20ff{:04x} 00000001", four.len()), &four),
        // An extension header of length zero would never end.
        (
            2_152,
            format!("34ff{:04x} 00000001 00000085 00000000", four.len() + 8),
            &four,
        ),
        (3_544, String::new(), &six),
        (3_544, String::new(), &four),
        (3_544, String::new(), b"\0\x01"),
        (53, format!("0800000000000100 {wire}"), &four),
    ];
    for (port, header, packet) in &table {
        stays_outer(&over_udp(*port, header, packet), *port);
    }
    // Every fixed field of VXLAN's header, one bit wrong at a time.
    for bit in 0..64 {
        let mut header = hex("0800000000000100");
        header[bit / 8] ^= 0x80 >> (bit % 8);
        let mut inside = header.clone();
        inside.extend(behind(&wire, &four));
        let frame = behind(&format!("{ETHERNET} 0800"), &ipv4(17, &udp(40_000, 4_789, &inside)));
        let decoded = decoded(1, &frame, frame.len() as u32);
        let network = (32..56).contains(&bit);
        // 0x88 with an empty group policy is VXLAN too.
        assert_eq!(decoded.tunnels.len() == 1, network || bit == 0, "bit {bit}");
    }
}
