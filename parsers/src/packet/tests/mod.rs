//! Real frames with tshark's answers (`vectors`), frames made after the RFCs for what no capture at hand shows, and
//! look-alikes on tunnel ports that are plain UDP.

mod carried;
mod made;
mod vectors;

use super::fragment::{Fragments, Piece, Pushed};
use super::*;
use proptest::prelude::*;
use vectors::{Vector, VECTORS};

pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

pub(super) fn decoded<'a>(link: u16, frame: &'a [u8], wire_len: u32) -> Decoded<'a> {
    match decode(link, frame, wire_len) {
        Outcome::Ip(decoded) => decoded,
        other => panic!("no IP packet: {other:?}"),
    }
}

pub(super) fn kinds(decoded: &Decoded<'_>) -> Vec<&'static str> {
    decoded.tunnels.iter().map(|tunnel| tunnel.kind).collect()
}

fn ports(ip: &Ip<'_>) -> Option<(u16, u16)> {
    match transport(ip) {
        Transport::Tcp(tcp) => Some((tcp.source_port, tcp.destination_port)),
        Transport::Udp {
            source_port,
            destination_port,
            ..
        }
        | Transport::Sctp {
            source_port,
            destination_port,
            ..
        } => Some((source_port, destination_port)),
        _ => None,
    }
}

#[test]
fn real_frames_are_what_tshark_says() {
    for vector in VECTORS {
        let frame = hex(vector.frame);
        let decoded = decoded(vector.link, &frame, vector.wire_len);
        let name = vector.name;
        assert_eq!(decoded.vlan, vector.vlan, "{name}");
        assert_eq!(kinds(&decoded), vector.tunnels, "{name}");
        let ip = decoded.ip;
        assert_eq!((ip.source, ip.destination), addresses(vector), "{name}");
        assert_eq!(
            (ip.protocol, ports(&ip), ip.length),
            (vector.protocol, vector.ports, vector.length),
            "{name}"
        );
        assert_eq!(ip.fragment, None, "{name}");
        assert!(!ip.cut || frame.len() < vector.wire_len as usize, "{name}");
    }
}

fn addresses(vector: &Vector) -> (IpAddr, IpAddr) {
    (vector.source.parse().unwrap(), vector.destination.parse().unwrap())
}

/// Whatever is cut off, what is still said is either the innermost packet or one around it, never another flow.
#[test]
fn cut_at_every_length_it_is_an_outer_flow_or_none() {
    for vector in VECTORS {
        let frame = hex(vector.frame);
        let full = decoded(vector.link, &frame, vector.wire_len);
        let mut levels = Vec::new();
        for tunnel in full.tunnels.iter() {
            levels.extend(tunnel.ends);
        }
        levels.push((full.ip.source, full.ip.destination));
        for length in 0..frame.len() {
            match decode(vector.link, &frame[..length], vector.wire_len) {
                Outcome::Ip(part) => {
                    assert!(
                        levels.contains(&(part.ip.source, part.ip.destination)),
                        "{} at {length}",
                        vector.name
                    );
                    let whole = part.ip.payload == full.ip.payload;
                    assert!(part.ip.cut || whole, "{} at {length}", vector.name);
                    if let Some(ports) = ports(&part.ip).filter(|_| part.tunnels.len() == full.tunnels.len()) {
                        assert_eq!(Some(ports), vector.ports, "{} at {length}", vector.name);
                    }
                }
                Outcome::Undecodable(stop) => assert!(stop.offset <= length, "{stop:?}"),
                Outcome::NonIp => panic!("{} at {length}: a cut frame is not another protocol", vector.name),
            }
        }
    }
}

#[test]
fn a_stop_says_where() {
    // Ethernet, EtherType IPv4, version 5.
    let frame = hex("aabbccddeeff 001122334455 0800 55000014 00000000 40110000 0a000001 0a000002");
    match decode(1, &frame, 34) {
        Outcome::Undecodable(stop) => assert_eq!((stop.layer, stop.offset), ("ip", 14)),
        other => panic!("{other:?}"),
    }
}

fn same_packet(a: &[u8], b: &[u8]) -> (bool, bool) {
    let key = |frame: &[u8]| decoded(1, frame, frame.len() as u32).duplicate;
    let (a, b) = (key(a), key(b));
    (a.content() == b.content(), a.path == b.path)
}

#[test]
fn copies_differ_in_hop_limit_checksum_and_link_header_alone() {
    let ethernet = "aabbccddeeff 001122334455";
    let ip = |ttl: &str, checksum: &str, last: &str| {
        format!("4500 0020 1234 0000 {ttl} 11 {checksum} 0a000001 0a000002 1000 2000 000c 0000 010203{last}")
    };
    let plain = hex(&format!("{ethernet} 0800 {}", ip("40", "aaaa", "04")));
    let routed = hex(&format!("{ethernet} 0800 {}", ip("3f", "abaa", "04")));
    let tagged = hex(&format!("{ethernet} 8100 0064 0800 {}", ip("40", "aaaa", "04")));
    let padded = hex(&format!("{ethernet} 0800 {} 0000", ip("40", "aaaa", "04")));
    let other = hex(&format!("{ethernet} 0800 {}", ip("40", "aaaa", "05")));
    assert_eq!(same_packet(&plain, &plain), (true, true));
    assert_eq!(same_packet(&plain, &routed), (true, false));
    assert_eq!(same_packet(&plain, &tagged), (true, false));
    assert_eq!(
        same_packet(&plain, &padded),
        (true, true),
        "padding is no part of the packet"
    );
    assert_eq!(same_packet(&plain, &other), (false, true));
    // Every octet of the packet but three of its header counts.
    for place in 14..plain.len() {
        let mut changed = plain.clone();
        changed[place] ^= 1;
        if let Outcome::Ip(changed) = decode(1, &changed, changed.len() as u32) {
            let equal = changed.duplicate.packet == decoded(1, &plain, plain.len() as u32).duplicate.packet;
            assert_eq!(equal, matches!(place - 14, 8 | 10 | 11), "octet {}", place - 14);
        }
    }
    let six = |limit: &str, last: &str| {
        let addresses = "20010db8000000000000000000000001 20010db8000000000000000000000002";
        hex(&format!(
            "{ethernet} 86dd 60000000 000c 11 {limit} {addresses} 1000 2000 000c 0000 010203{last}"
        ))
    };
    assert_eq!(same_packet(&six("40", "04"), &six("3f", "04")), (true, false));
    assert_eq!(same_packet(&six("40", "04"), &six("40", "05")), (false, true));
}

/// Pieces of an IPv4 packet as Ethernet frames.
fn in_fragments(packet: &[u8], unit: usize) -> Vec<Vec<u8>> {
    let (header, upper) = packet.split_at(20);
    let count = upper.len().div_ceil(unit);
    let frame = |(place, part): (usize, &[u8])| {
        let mut frame = hex("aabbccddeeff 001122334455 0800");
        frame.extend(header);
        frame[16..18].copy_from_slice(&(20 + part.len() as u16).to_be_bytes());
        let more = if place + 1 < count { 0x2000 } else { 0 };
        frame[20..22].copy_from_slice(&((place * unit / 8) as u16 | more).to_be_bytes());
        frame.extend(part);
        frame
    };
    upper.chunks(unit).enumerate().map(frame).collect()
}

#[test]
fn a_tunnel_in_fragments_is_opened_when_they_are_together() {
    let vector = VECTORS.iter().find(|vector| vector.name == "Geneve").unwrap();
    let frame = hex(vector.frame);
    let fragments = in_fragments(&frame[14..], 24);
    let mut pool = Fragments::new();
    for (number, frame) in (1..).zip(&fragments) {
        let part = decoded(1, frame, frame.len() as u32);
        assert!(part.ip.fragment.is_some() && part.tunnels.is_empty());
        assert_eq!(
            transport(&part.ip),
            Transport::Other,
            "a fragment has no ports of its own"
        );
        let piece = Piece {
            time: 0,
            capture: 0,
            frame: number,
            offset: 0,
            length: part.ip.length,
        };
        match pool.push(&part.ip, piece) {
            Pushed::Waiting => assert!(number < fragments.len() as u64),
            Pushed::Whole { payload, .. } => {
                let Outcome::Ip(whole) = decode_reassembled(&part, &payload) else {
                    panic!("no IP packet")
                };
                assert_eq!(kinds(&whole), ["geneve"]);
                assert_eq!((whole.ip.source, whole.ip.destination), addresses(vector));
                assert_eq!((ports(&whole.ip), whole.ip.length), (vector.ports, vector.length));
                return;
            }
            Pushed::Refused => panic!("refused"),
        }
    }
    panic!("never whole");
}

proptest! {
    #[test]
    fn any_bytes_on_any_link(
        link in prop_oneof![
            proptest::sample::select(vec![0_u16, 1, 9, 12, 50, 51, 101, 104, 108, 113, 228, 229, 239, 276]),
            any::<u16>(),
        ],
        frame in proptest::collection::vec(any::<u8>(), 0..200),
        more in 0_u32..2_000,
    ) {
        check(link, &frame, frame.len() as u32 + more)?;
    }

    /// Real frames with some octets changed reach deeper than noise does.
    #[test]
    fn damaged_real_frames(
        which in 0..VECTORS.len(),
        changes in proptest::collection::vec((0_usize..130, any::<u8>()), 0..6),
        length in 0_usize..140,
    ) {
        let vector = &VECTORS[which];
        let mut frame = hex(vector.frame);
        for (place, value) in changes {
            if let Some(octet) = frame.get_mut(place) {
                *octet = value;
            }
        }
        frame.truncate(length);
        check(vector.link, &frame, vector.wire_len)?;
    }
}

/// What holds of every frame: no panic, and nothing that was not captured.
fn check(link: u16, frame: &[u8], wire_len: u32) -> Result<(), TestCaseError> {
    match decode(link, frame, wire_len) {
        Outcome::Ip(decoded) => {
            prop_assert!(decoded.ip.payload.len() + 20 <= frame.len());
            prop_assert!(decoded.ip.payload.len() <= decoded.ip.payload_len as usize);
            prop_assert_eq!(
                decoded.ip.cut,
                decoded.ip.payload.len() < decoded.ip.payload_len as usize
            );
            prop_assert!(decoded.ip.payload_len < decoded.ip.length);
            prop_assert!(decoded.tunnels.len() <= 4);
            if let Transport::Tcp(tcp) = transport(&decoded.ip) {
                prop_assert!(tcp.payload.len() <= tcp.payload_len as usize);
            }
            let Outcome::Ip(again) = decode_reassembled(&decoded, decoded.ip.payload) else {
                return Err(TestCaseError::fail("a packet is lost"));
            };
            prop_assert!(again.ip.payload.len() <= decoded.ip.payload.len());
        }
        Outcome::Undecodable(stop) => prop_assert!(stop.offset <= frame.len()),
        Outcome::NonIp => {}
    }
    Ok(())
}
