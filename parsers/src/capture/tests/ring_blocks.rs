//! Ring blocks made octet by octet after linux/if_packet.h.

use super::*;

const VLAN_VALID: u32 = 0x10;
const VLAN_TPID_VALID: u32 = 0x40;

/// One packet of a block; `..ethernet()` fills in what a test does not care about.
#[derive(Clone)]
struct Frame {
    seconds: u32,
    nanoseconds: u32,
    data: Vec<u8>,
    wire: u32,
    status: u32,
    tci: u32,
    tpid: u16,
    device: u16,
    kind: u8,
    ethertype: u16,
    link_header: u16,
}

fn ethernet(data: &[u8]) -> Frame {
    Frame {
        seconds: 1_700_000_000,
        nanoseconds: 123_456_789,
        data: data.to_vec(),
        wire: data.len() as u32,
        status: 1,
        tci: 0,
        tpid: 0,
        device: 1,
        kind: 0,
        ethertype: 0x0800,
        link_header: 14,
    }
}

/// `struct tpacket3_hdr`, `struct sockaddr_ll` and the packet as the kernel lays them out: the network header at a
/// multiple of 16, 16 octets at least for the link header.
fn packet(frame: &Frame, last: bool) -> Vec<u8> {
    let network = (68 + frame.link_header.max(16)).next_multiple_of(16);
    let link = network - frame.link_header;
    let length = (usize::from(link) + frame.data.len()).next_multiple_of(16);
    let mut out = Vec::new();
    for number in [
        if last { 0 } else { length as u32 },
        frame.seconds,
        frame.nanoseconds,
        frame.data.len() as u32,
        frame.wire,
        frame.status,
    ] {
        out.extend(number.to_ne_bytes());
    }
    out.extend(link.to_ne_bytes());
    out.extend(network.to_ne_bytes());
    out.extend(0xdead_beef_u32.to_ne_bytes());
    out.extend(frame.tci.to_ne_bytes());
    out.extend(frame.tpid.to_ne_bytes());
    out.extend([0; 10]);
    assert_eq!(out.len(), 48);
    out.extend(17_u16.to_ne_bytes());
    out.extend(frame.ethertype.to_be_bytes());
    out.extend(3_u32.to_ne_bytes());
    out.extend(frame.device.to_ne_bytes());
    out.extend([frame.kind, 6]);
    out.extend([0; 8]);
    assert_eq!(out.len(), 68);
    out.resize(usize::from(link), 0);
    out.extend(&frame.data);
    if !last {
        out.resize(length, 0);
    }
    out
}

/// A block with room for private data before its first packet.
fn block(frames: &[Frame]) -> Vec<u8> {
    let packets: Vec<u8> = frames
        .iter()
        .enumerate()
        .flat_map(|(at, frame)| packet(frame, at + 1 == frames.len()))
        .collect();
    let first = 48 + 16;
    let mut out = Vec::new();
    for number in [
        1,
        48,
        1,
        frames.len() as u32,
        first as u32,
        (first + packets.len()) as u32,
    ] {
        out.extend(number.to_ne_bytes());
    }
    out.extend(7_u64.to_ne_bytes());
    out.extend([0; 16]);
    out.resize(first, 0);
    out.extend(packets);
    out
}

fn read_blocks<'a>(fed: impl IntoIterator<Item = &'a [u8]>) -> Vec<Seen> {
    let mut capture = Capture::ring();
    let mut seen = Vec::new();
    for blocks in fed {
        capture.feed(blocks);
        assert!(!take(&mut capture, &mut seen), "a ring has no end");
    }
    capture.finish();
    assert!(take(&mut capture, &mut seen));
    assert!(capture.info().complete && capture.info().error.is_none());
    seen
}

/// Addresses, EtherType IPv4 and three octets.
const FRAME: [u8; 17] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 9];

#[test]
fn packets_come_out_in_order_with_their_place() {
    let mut second = ethernet(&FRAME[..15]);
    second.nanoseconds = 5;
    second.wire = 1_500;
    let blocks = [
        block(&[ethernet(&FRAME), second]),
        block(&[]),
        block(&[ethernet(&FRAME)]),
    ];
    let seen = read_blocks(blocks.iter().map(Vec::as_slice));
    let first = Seen {
        time: 1_700_000_000_123_456_789,
        link: 1,
        data: FRAME.to_vec(),
        wire_len: 17,
        frame: 1,
        offset: 64,
        interface: 0,
    };
    assert_eq!(seen[0], first);
    assert_eq!((seen[1].time, seen[1].wire_len), (1_700_000_000_000_000_005, 1_500));
    assert_eq!(seen[1].data, &FRAME[..15]);
    // 82 octets to the link header, 17 of frame, rounded up to sixteens.
    assert_eq!((seen[1].frame, seen[1].offset), (2, 64 + 112));
    let place = blocks[0].len() + blocks[1].len() + 64;
    assert_eq!((seen[2].frame, seen[2].offset), (3, place as u64));
    assert_eq!(seen.len(), 3);
    assert_eq!(
        read_blocks([blocks.concat().as_slice()]),
        seen,
        "several blocks at once"
    );
}

#[test]
fn the_vlan_tag_is_put_back() {
    let mut tagged = ethernet(&FRAME);
    tagged.status |= VLAN_VALID;
    tagged.tci = 0x6123;
    let mut named = tagged.clone();
    named.status |= VLAN_TPID_VALID;
    named.tpid = 0x88a8;
    let mut not_valid = tagged.clone();
    not_valid.status = 1;
    let mut short = tagged.clone();
    short.data.truncate(11);
    let seen = read_blocks([block(&[tagged, named, not_valid, short]).as_slice()]);
    let with = |tag: [u8; 4]| [&FRAME[..12], &tag, &FRAME[12..]].concat();
    assert_eq!(
        (seen[0].data.clone(), seen[0].wire_len),
        (with([0x81, 0, 0x61, 0x23]), 21)
    );
    assert_eq!(seen[1].data, with([0x88, 0xa8, 0x61, 0x23]));
    assert_eq!(seen[2].data, FRAME);
    assert_eq!(seen[3].data, &FRAME[..11], "no room between addresses that are cut");
}

#[test]
fn devices_without_ethernet_show_their_packets_from_the_network_header() {
    let tunnel = Frame {
        device: 0xfffe,
        link_header: 0,
        ..ethernet(&[0x45, 1, 2])
    };
    let ppp = Frame {
        device: 512,
        link_header: 4,
        ..ethernet(&[0xff, 3, 0, 0x21, 0x45, 1, 2])
    };
    let other = Frame {
        ethertype: 0x8035,
        ..tunnel.clone()
    };
    let loopback = Frame {
        device: 772,
        ..ethernet(&FRAME)
    };
    let seen = read_blocks([block(&[tunnel, ppp, other, loopback]).as_slice()]);
    let kinds: Vec<(u16, &[u8])> = seen
        .iter()
        .map(|packet| (packet.link, packet.data.as_slice()))
        .collect();
    assert_eq!(
        kinds,
        [
            (101, &[0x45, 1, 2][..]),
            (101, &[0x45, 1, 2]),
            (65_535, &[0x45, 1, 2]),
            (1, &FRAME)
        ]
    );
}

#[test]
fn the_loopback_device_shows_each_packet_twice() {
    let coming = Frame {
        device: 772,
        ..ethernet(&FRAME)
    };
    let going = Frame {
        kind: 4,
        ..coming.clone()
    };
    let sent = Frame {
        kind: 4,
        ..ethernet(&FRAME)
    };
    let mut capture = Capture::ring();
    capture.feed(&block(&[going, coming, sent]));
    let mut repeated = Vec::new();
    while let Next::Packet(packet) = capture.next_packet() {
        repeated.push(packet.state == State::Repeated);
    }
    assert_eq!(repeated, [true, false, false]);
}

/// Writes a number of 32 bits over the block.
fn with(mut block: Vec<u8>, at: usize, number: u32) -> Vec<u8> {
    block[at..at + 4].copy_from_slice(&number.to_ne_bytes());
    block
}

#[test]
fn what_a_block_announces_and_does_not_hold_is_lost_by_name() {
    let good = block(&[ethernet(&FRAME)]);
    let three = block(&[ethernet(&FRAME), ethernet(&FRAME), ethernet(&FRAME)]);
    let empty = |packet: &Seen| packet.data.is_empty() && packet.wire_len == 0;
    let second = 64 + 112;
    for (bad, read, lost) in [
        (with(three.clone(), 12, u32::MAX), 3, 1), // num_pkts: one more would have had room
        (with(three.clone(), 16, 1 << 20), 0, 1),  // offset_to_first_pkt
        (with(three.clone(), 16, 20), 0, 1),       // inside the block's header
        (with(three.clone(), second, u32::MAX), 1, 2), // tp_next_offset
        (with(three.clone(), second, 64), 1, 2),   // ... inside the packet
        (with(three.clone(), second, 0), 2, 1),    // ... the end before the last
        (with(three.clone(), second + 12, 1 << 16), 1, 2), // tp_snaplen
        (with(three.clone(), second + 24, 0x0050_0008), 1, 2), // tp_mac in the header
        (with(three.clone(), second + 24, 0x0010_0052), 3, 0), // tp_net means nothing on Ethernet
        (with(three.clone(), 20, 40), 3, 0),       // blk_len below the header: all that was fed is the block
        (with(three.clone(), 20, 1 << 30), 3, 0),  // ... above what was fed: likewise
        (three[..30].to_vec(), 0, 1),
    ] {
        let seen = read_blocks([good.as_slice(), &bad, &good]);
        let counted = seen.iter().filter(|packet| empty(packet)).count();
        assert_eq!((seen.len() - 2 - counted, counted), (read, lost), "{bad:02x?}");
        assert_eq!(seen.last().unwrap().data, FRAME, "the next block is read");
    }
}

proptest! {
    #[test]
    fn no_block_makes_it_panic(
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..12),
        tail in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut bytes = block(&[ethernet(&FRAME), ethernet(&[7; 40]), ethernet(&FRAME)]);
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.extend(tail);
        let seen = read_blocks([bytes.as_slice()]);
        prop_assert!(seen.len() <= bytes.len() / 48 + 3);
    }
}
